//! All models of a registry: places, connections and second attempts.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{OnceCell, Semaphore, SemaphorePermit};
use tokio::time::{sleep, timeout};

use crate::downstream::endpoint::fraction;
use crate::llm::chat::{Answer, Chat};
use crate::llm::client;
use crate::llm::gate::{Admitted, Gate};
use crate::model::code;
use crate::model::effect::Effect;
use crate::model::fault::{Fault, Kind};
use crate::model::limits::Limits;
use crate::model::suggest::did_you_mean;
use crate::registry::model::{Model, Models};

/// The models, ready to be asked.
#[derive(Default)]
pub struct Pool(BTreeMap<Arc<str>, Place>);

struct Place {
    model: Arc<Model>,
    /// How many may be asked at once.
    free: Semaphore,
    gate: Gate,
    /// Made when it is first asked, because its placeholders are expanded then.
    client: OnceCell<reqwest::Client>,
}

/// A place among those who are asked at once, and the leave of the breaker.
type Turn<'a> = (Option<SemaphorePermit<'a>>, Admitted<'a>);

impl Pool {
    /// The models of a registry.
    pub fn new(models: &Models) -> Self {
        let place = |model: &Arc<Model>| Place {
            model: Arc::clone(model),
            free: Semaphore::new(model.concurrency),
            gate: Gate::default(),
            client: OnceCell::new(),
        };
        Self(models.iter().map(|(name, model)| (Arc::clone(name), place(model))).collect())
    }

    /// The model `name`.
    pub fn get(&self, name: &str) -> Result<&Arc<Model>, Fault> {
        self.place(name).map(|place| &place.model)
    }

    fn place(&self, name: &str) -> Result<&Place, Fault> {
        self.0.get(name).ok_or_else(|| {
            let fault = Fault::new(Kind::NotFound, code::NO_SUCH_MODEL, format!("there is no model `{name}`"));
            match did_you_mean(name, self.0.keys().map(AsRef::as_ref)) {
                Some(near) => fault.hint(near),
                None => fault.hint("models stand under `[models]` in the registry"),
            }
        })
    }

    /// Asks the model `name`, again and again as the registry says. Dropping the future closes the connection, which ends
    /// the answer.
    pub async fn ask(&self, name: &str, chat: &Chat, limits: Limits) -> Result<Answer, Fault> {
        let place = self.place(name)?;
        let mut attempt = 1;
        loop {
            // Whoever is not asked at all gives the next model its turn.
            let turn = place.turn(limits).await.map_err(|fault| fault.server(name))?;
            let fault = match place.once(chat, limits, turn).await {
                Ok(answer) => return Ok(answer),
                Err(fault) => fault,
            };
            // Asking again changes nothing, though it may cost again. Who is told to wait for longer than an answer may take
            // had better ask another model.
            let patience = place.model.timeout;
            let left = Some(limits.left(Instant::now()).map_or(patience, |left| left.min(patience)));
            let wait = place.model.retry.decide(&fault, Effect::Read, attempt, left, fraction());
            let Some(wait) = wait else { return Err(fault.server(name)) };
            tracing::info!(model = name, %fault, "asking again in {wait:?}");
            sleep(wait).await;
            attempt += 1;
        }
    }
}

impl Place {
    /// A place and the leave to ask.
    async fn turn(&self, limits: Limits) -> Result<Turn<'_>, Fault> {
        // Who is refused anyway must not wait for a place.
        self.gate.admit().map(drop)?;
        // That others have all places is no failure of the model.
        let longest = self.longest(limits);
        let place = timeout(longest, self.free.acquire()).await.map_err(|_| busy(longest))?;
        Ok((place.ok(), self.gate.admit()?))
    }

    async fn once(&self, chat: &Chat, limits: Limits, (_place, admitted): Turn<'_>) -> Result<Answer, Fault> {
        let asked = async {
            let client = self.client.get_or_try_init(|| async { client::client(&self.model) }).await?;
            client::ask(client, &self.model, chat).await
        };
        let longest = self.longest(limits);
        let answer = timeout(longest, asked).await.unwrap_or_else(|_| Err(late(longest)));
        // Nor is it one that its caller has less time than it may take.
        let is_impatient = longest < self.model.timeout;
        if !(is_impatient && answer.as_ref().is_err_and(|fault| fault.kind == Kind::Timeout)) {
            admitted.record(&answer);
        }
        answer
    }

    fn longest(&self, limits: Limits) -> Duration {
        limits.left(Instant::now()).map_or(self.model.timeout, |left| left.min(self.model.timeout))
    }
}

fn busy(longest: Duration) -> Fault {
    let message = format!("the model had no place free within {:.1} s; nothing was sent", longest.as_secs_f32());
    Fault::new(Kind::Timeout, code::SERVER_BUSY, message)
        .hint("try again later, raise its `concurrency` in the registry, or give it a `fallback` there")
}

fn late(longest: Duration) -> Fault {
    let message = format!("the model has not answered within {:.1} s", longest.as_secs_f32());
    Fault::new(Kind::Timeout, code::CALL_TIMEOUT, message).sent()
}
