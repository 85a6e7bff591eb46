//! Speaks with Restate: over its ingress runs are begun and told things, over its admin API they are looked at.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use reqwest::{Client as Http, Method, StatusCode, Url};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use tokio::time::sleep;

use crate::downstream::http::plain;
use crate::model::code;
use crate::model::fault::{Fault, Kind};
use crate::registry::engine::Restate;
use crate::restate::parcel::{PARCEL, Parcel, Piece, WHOLE, too_large};
use crate::restate::wire::{Ended, Letter, RUN, STEP, Start};

/// How long Restate may be silent before the next address is tried.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long all addresses are tried in turn: a cluster that has lost a node takes some seconds to go on.
const PERSISTENCE: Duration = Duration::from_secs(15);

/// How long one question after the end of a run is left open.
const HELD: Duration = Duration::from_secs(30);

/// The largest request, in bytes: a piece of something large whose every character takes two in a message.
const BODY: usize = WHOLE + 1024 * 1024;

/// How long to wait before the addresses are tried once more.
const PAUSE: Duration = Duration::from_millis(200);

/// One row of an answer to a question in SQL.
pub(super) type Row = Map<String, Value>;

/// Where Restate is.
#[derive(Debug)]
pub(super) struct Client {
    http: Http,
    ingress: Addresses,
    admin: Addresses,
}

#[derive(Debug)]
struct Addresses {
    all: Vec<String>,
    /// The one that has answered last.
    best: AtomicUsize,
}

impl Addresses {
    fn new(all: &[String]) -> Self {
        let all = all.iter().map(|address| address.trim_end_matches('/').to_owned()).collect();
        Self { all, best: AtomicUsize::new(0) }
    }
}

/// What has come of waiting for the end of a run.
pub(super) enum Waited {
    /// It is over.
    Ended(Ended),
    /// It goes on.
    GoesOn,
    /// It is over without a word.
    Gone(Fault),
}

/// One request.
struct Asked<'a> {
    method: Method,
    path: String,
    body: Option<&'a [u8]>,
    /// How long the answer may take.
    within: Duration,
    /// How long it is tried.
    until: Instant,
}

/// An answer.
struct Said {
    status: StatusCode,
    body: Vec<u8>,
}

impl Client {
    pub(super) fn new(at: &Restate) -> Result<Self, Fault> {
        let internal = |why: String| Fault::new(Kind::Internal, code::INTERNAL, why);
        let first = at.ingress.first().map(String::as_str).unwrap_or_default();
        let url = Url::parse(first).map_err(|why| internal(format!("`{first}`: {why}")))?;
        let http = plain::builder(&url).build().map_err(|why| internal(why.without_url().to_string()))?;
        Ok(Self { http, ingress: Addresses::new(&at.ingress), admin: Addresses::new(&at.admin) })
    }

    /// Begins a run; the invocation that carries it, which is the same if it has begun already.
    pub(super) async fn start(&self, run: &str, start: &Start) -> Result<String, Fault> {
        #[derive(Deserialize)]
        struct Accepted {
            #[serde(rename = "invocationId")]
            invocation: String,
        }
        let parcel = Parcel::pack(start, run, self).await?;
        // The definition is kept as it is, for those who look at the run.
        if parcel.is_in_pieces() && Parcel::whole(&start.opening)?.size() > WHOLE {
            return Err(Fault::new(
                Kind::Invalid,
                code::PAYLOAD_TOO_LARGE,
                "the definition of the workflow is too large",
            ));
        }
        let body = body(&parcel)?;
        let said = self.ingress(Method::POST, format!("/{RUN}/{run}/run/send"), Some(&body), PATIENCE).await?;
        let accepted: Accepted = read(&said)?;
        Ok(accepted.invocation)
    }

    /// Waits for the end of a run, for a while.
    pub(super) async fn ended(&self, run: &str) -> Result<Waited, Fault> {
        let path = format!("/restate/workflow/{RUN}/{run}/attach");
        let asked = self.http.get(format!("{}{path}", self.ingress.address())).timeout(HELD);
        let response = match asked.send().await {
            Ok(response) => response,
            Err(error) if error.is_timeout() => return Ok(Waited::GoesOn),
            Err(error) => {
                self.ingress.next();
                return Err(unreachable(&error.without_url().to_string()));
            }
        };
        let status = response.status();
        let said = match response.bytes().await {
            Ok(body) => Said { status, body: body.to_vec() },
            Err(error) if error.is_timeout() => return Ok(Waited::GoesOn),
            Err(error) => return Err(unreachable(&error.without_url().to_string())),
        };
        if said.status.is_success() {
            return read(&said).map(Waited::Ended);
        }
        // A node that is about to go; the others know more.
        if [StatusCode::BAD_GATEWAY, StatusCode::SERVICE_UNAVAILABLE, StatusCode::GATEWAY_TIMEOUT].contains(&status) {
            self.ingress.next();
            return Err(refused(&said));
        }
        let gone = refused(&said);
        let message = format!("the run has ended in Restate without a report: {}", gone.message);
        Ok(Waited::Gone(Fault { message, ..gone }))
    }

    /// Tells a run that something has happened.
    pub(super) async fn tell(&self, letter: &Letter) -> Result<(), Fault> {
        let body = body(letter)?;
        let said = self.ingress(Method::POST, format!("/{STEP}/tell"), Some(&body), PATIENCE).await?;
        if said.status.is_success() { Ok(()) } else { Err(refused(&said)) }
    }

    /// Says what has become of a step, however long that takes. Only the first word counts.
    pub(super) async fn answer(&self, step: &str, done: &Parcel) {
        let Ok(body) = serde_json::to_vec(done) else { return };
        loop {
            let path = format!("/restate/awakeables/{step}/resolve");
            match self.ingress(Method::POST, path, Some(&body), PATIENCE).await {
                Ok(said) if said.status.is_success() => return,
                Ok(said) => tracing::warn!("{}; a step cannot be answered yet", refused(&said)),
                Err(fault) => tracing::warn!("{fault}; a step cannot be answered yet"),
            }
            sleep(PAUSE).await;
        }
    }

    /// Keeps a piece of something that is too large to travel beside a run.
    pub(super) async fn keep_piece(&self, run: &str, piece: &Piece) -> Result<(), Fault> {
        let body = body(piece)?;
        let said = self.ingress(Method::POST, format!("/{PARCEL}/{run}/put"), Some(&body), PATIENCE).await?;
        if said.status.is_success() { Ok(()) } else { Err(refused(&said)) }
    }

    /// Asks in SQL.
    pub(super) async fn query(&self, sql: &str) -> Result<Vec<Row>, Fault> {
        #[derive(Deserialize)]
        struct Answer {
            rows: Vec<Row>,
        }
        let body = json!({ "query": sql }).to_string();
        let asked = Asked {
            method: Method::POST,
            path: "/query".to_owned(),
            body: Some(body.as_bytes()),
            within: PATIENCE,
            until: Instant::now() + PERSISTENCE,
        };
        let answer: Answer = read(&self.ask(&self.admin, asked).await?)?;
        Ok(answer.rows)
    }

    /// Says under which address we are found. Saying it twice is fine; what has changed since is taken over.
    pub(super) async fn register(&self, advertised: &str) -> Result<(), Fault> {
        for force in [false, true] {
            let body = json!({ "uri": advertised, "force": force }).to_string();
            let asked = Asked {
                method: Method::POST,
                path: "/deployments".to_owned(),
                body: Some(body.as_bytes()),
                within: PATIENCE,
                until: Instant::now(),
            };
            let said = self.ask(&self.admin, asked).await?;
            if said.status.is_success() {
                return Ok(());
            }
            if said.status != StatusCode::CONFLICT {
                return Err(refused(&said));
            }
        }
        Ok(())
    }

    async fn ingress(
        &self,
        method: Method,
        path: String,
        body: Option<&[u8]>,
        within: Duration,
    ) -> Result<Said, Fault> {
        let until = Instant::now() + PERSISTENCE;
        self.ask(&self.ingress, Asked { method, path, body, within, until }).await
    }

    /// Asks one address after the other. All that is asked here may be asked twice.
    async fn ask(&self, of: &Addresses, asked: Asked<'_>) -> Result<Said, Fault> {
        loop {
            let mut why = String::new();
            for _ in 0..of.all.len() {
                match self.ask_once(of.address(), &asked).await {
                    Ok(said) if !said.status.is_server_error() => return Ok(said),
                    Ok(said) => why = refused(&said).message,
                    Err(error) => why = error.without_url().to_string(),
                }
                of.next();
            }
            if Instant::now() + PAUSE >= asked.until {
                return Err(unreachable(&format!("{why} ({})", of.all.join(", "))));
            }
            sleep(PAUSE).await;
        }
    }

    async fn ask_once(&self, address: &str, asked: &Asked<'_>) -> Result<Said, reqwest::Error> {
        let mut request = self
            .http
            .request(asked.method.clone(), format!("{address}{}", asked.path))
            .timeout(asked.within)
            .header("accept", "application/json");
        if let Some(body) = asked.body {
            request = request.header("content-type", "application/json").body(body.to_vec());
        }
        let response = request.send().await?;
        let status = response.status();
        Ok(Said { status, body: response.bytes().await?.to_vec() })
    }
}

impl Addresses {
    fn address(&self) -> &str {
        let best = self.best.load(Ordering::Relaxed);
        self.all.get(best % self.all.len().max(1)).map(String::as_str).unwrap_or_default()
    }

    fn next(&self) {
        self.best.fetch_add(1, Ordering::Relaxed);
    }
}

/// What is to be sent, unless it is too large.
fn body(what: &impl serde::Serialize) -> Result<Vec<u8>, Fault> {
    let body = serde_json::to_vec(what).map_err(|why| Fault::new(Kind::Internal, code::INTERNAL, why.to_string()))?;
    if body.len() > BODY {
        return Err(too_large(body.len()));
    }
    Ok(body)
}

fn read<T: DeserializeOwned>(said: &Said) -> Result<T, Fault> {
    if !said.status.is_success() {
        return Err(refused(said));
    }
    serde_json::from_slice(&said.body).map_err(|why| {
        Fault::new(Kind::Internal, code::BAD_ANSWER, format!("Restate answers what cannot be read: {why}"))
    })
}

fn refused(said: &Said) -> Fault {
    let text = String::from_utf8_lossy(&said.body);
    let told =
        serde_json::from_str::<Value>(&text).ok().and_then(|told| Some(told.get("message")?.as_str()?.to_owned()));
    let told: String = told.unwrap_or_else(|| text.into_owned()).chars().take(500).collect();
    let message = format!("Restate answers {}: {told}", said.status);
    Fault::new(Kind::Unavailable, code::BACKEND_DOWN, message)
        .hint("see Restate's log; `[engine.restate]` of the registry says where it is")
}

fn unreachable(why: &str) -> Fault {
    Fault::new(
        Kind::Unavailable,
        code::BACKEND_DOWN,
        format!("Restate, which carries the runs, cannot be reached: {why}"),
    )
    .hint("see that it runs and that `[engine.restate]` of the registry has its addresses")
}
