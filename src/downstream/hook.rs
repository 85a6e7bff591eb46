//! Asking somebody outside for a decision: a program that is started for it, or an address that JSON is posted to.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::header::{ACCEPT, CONTENT_TYPE};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use crate::downstream::http::faults::read;
use crate::downstream::http::plain::is_near;
use crate::downstream::http::site::Site;
use crate::downstream::place::Place;
use crate::downstream::secrets::Secrets;
use crate::downstream::stdio::child::{Child, Pipes, spawn};
use crate::downstream::stdio::tail::Tail;
use crate::downstream::stdio::watchdog::Watchdog;
use crate::model::fault::Fault;
use crate::registry::bounds::Bounds;
use crate::registry::interceptor::{Hook, HookPlace};
use crate::registry::server::{Address, Command};

/// The longest decision that is read, in bytes.
const MAX_ANSWER: usize = 8 * 1024 * 1024;

/// What is needed to ask.
pub struct Hooks {
    watchdog: Arc<Watchdog>,
    tasks: TaskTracker,
    /// Where has been asked before, so that connections are used again; guarded for one look-up.
    sites: Mutex<Vec<(Address, Site)>>,
}

impl Hooks {
    /// Programs that are started are watched by `watchdog`, and their tasks run on `tasks`.
    pub(super) fn new(watchdog: Arc<Watchdog>, tasks: TaskTracker) -> Self {
        Self { watchdog, tasks, sites: Mutex::default() }
    }

    /// Puts `question`; the answer, or in words why there is none. No answer at all is null.
    pub async fn ask(
        &self,
        name: &str,
        hook: &Hook,
        question: &Value,
        left: Option<Duration>,
    ) -> Result<Value, String> {
        let limit = left.map_or(hook.timeout, |left| left.min(hook.timeout));
        let asked = async {
            match &hook.place {
                HookPlace::Command(command) => self.run(name, command, question.to_string()).await,
                HookPlace::Url(address) => self.post(address, question).await,
            }
        };
        let answer = timeout(limit, asked).await.map_err(|_| format!("no answer within {limit:?}"))??;
        if answer.trim_ascii().is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&answer).map_err(|why| format!("its answer is no JSON: {why}"))
    }

    /// What `command` prints when nothing is said to it.
    pub async fn print(&self, name: &str, command: &Command) -> Result<Vec<u8>, String> {
        self.run(name, command, String::new()).await
    }

    /// What `address` answers to a GET: over https, or from this machine.
    pub async fn fetch(&self, address: &Address) -> Result<Vec<u8>, String> {
        let site = self.site(address).map_err(|fault| fault.message)?;
        if site.url.scheme() != "https" && !is_near(&site.url) {
            return Err("its address is neither of https nor on this machine".to_owned());
        }
        let get = site.get(site.url.clone()).header(ACCEPT, "application/json");
        let response = site.send(get).await.map_err(|fault| fault.message)?;
        taken(response).await
    }

    async fn run(&self, name: &str, command: &Command, input: String) -> Result<Vec<u8>, String> {
        let secrets = Arc::new(Secrets::of(command.texts().into_iter()));
        let tail = Arc::new(Tail::hiding(&secrets));
        let started = spawn(name, (command, Bounds::default()), &tail, &self.watchdog, &self.tasks);
        let (child, Pipes { mut stdin, stdout }) = started.map_err(|fault| secrets.hide(&fault.message))?;
        let child = Killed(child);
        let put = async move {
            // Whoever decides without reading everything may hang up.
            let _ = stdin.write_all(input.as_bytes()).await;
            drop(stdin);
        };
        let mut answer = Vec::new();
        let mut stdout = stdout.take(MAX_ANSWER as u64 + 1);
        let ((), taken) = futures::future::join(put, stdout.read_to_end(&mut answer)).await;
        taken.map_err(|why| format!("its answer cannot be read: {why}"))?;
        if answer.len() > MAX_ANSWER {
            return Err(too_long());
        }
        child.0.ended_well().await.map(|()| answer)
    }

    async fn post(&self, address: &Address, question: &Value) -> Result<Vec<u8>, String> {
        let site = self.site(address).map_err(|fault| fault.message)?;
        let post = site.post(site.url.clone()).header(CONTENT_TYPE, "application/json").body(question.to_string());
        let response = site.send(post).await.map_err(|fault| fault.message)?;
        taken(response).await
    }

    fn site(&self, address: &Address) -> Result<Site, Fault> {
        let mut sites = self.sites.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, site)) = sites.iter().find(|(known, _)| known == address) {
            return Ok(site.clone());
        }
        let (url, socket) = match Place::of(address)? {
            Place::Web { url, socket } => (url, socket),
            Place::Socket(path) => (reqwest::Url::parse("http://localhost/").expect("a URL"), Some(path)),
        };
        let site = Site::new(url, socket, &address.headers)?;
        sites.push((address.clone(), site.clone()));
        Ok(site)
    }
}

async fn taken(response: reqwest::Response) -> Result<Vec<u8>, String> {
    if !response.status().is_success() {
        return Err(format!("it answers with HTTP {}", response.status()));
    }
    let answer = read(response, MAX_ANSWER).await.map_err(|fault| fault.message)?;
    Ok(answer.to_vec())
}

/// A program that does not outlive its question.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        self.0.kill();
    }
}

fn too_long() -> String {
    format!("its answer is longer than {MAX_ANSWER} bytes")
}
