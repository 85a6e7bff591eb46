//! All models of a registry: places, connections and second attempts.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{OnceCell, Semaphore};
use tokio::time::{sleep, timeout};

use crate::llm::chat::{Answer, Chat};
use crate::llm::client;
use crate::llm::gate::Gate;
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
            let admitted = place.gate.admit().map_err(|fault| fault.server(name))?;
            let answer = place.once(chat, limits).await;
            admitted.record(&answer);
            let fault = match answer {
                Ok(answer) => return Ok(answer),
                Err(fault) => fault,
            };
            // Asking again changes nothing, though it may cost again. Who is told to wait for longer than an answer may take
            // had better ask another model.
            let patience = place.model.timeout;
            let left = Some(limits.left(Instant::now()).map_or(patience, |left| left.min(patience)));
            let wait = place.model.retry.decide(&fault, Effect::Read, attempt, left, random());
            let Some(wait) = wait else { return Err(fault.server(name)) };
            tracing::info!(model = name, %fault, "asking again in {wait:?}");
            sleep(wait).await;
            attempt += 1;
        }
    }
}

impl Place {
    async fn once(&self, chat: &Chat, limits: Limits) -> Result<Answer, Fault> {
        let longest = limits.left(Instant::now()).map_or(self.model.timeout, |left| left.min(self.model.timeout));
        let asked = async {
            let client = self.client.get_or_try_init(|| async { client::client(&self.model) }).await?;
            client::ask(client, &self.model, chat).await
        };
        let with_place = async {
            let _place = self.free.acquire().await;
            asked.await
        };
        timeout(longest, with_place).await.unwrap_or_else(|_| Err(late(longest)))
    }
}

fn late(longest: Duration) -> Fault {
    let message = format!("the model has not answered within {:.1} s", longest.as_secs_f32());
    Fault::new(Kind::Timeout, code::CALL_TIMEOUT, message).sent()
}

/// A number in `0.0..1.0`.
fn random() -> f64 {
    let (high, _) = uuid::Uuid::new_v4().as_u64_pair();
    #[expect(clippy::cast_precision_loss, reason = "any number will do")]
    let random = (high >> 11) as f64 / (1_u64 << 53) as f64;
    random
}
