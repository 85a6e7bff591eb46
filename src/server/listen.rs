//! A modern host's subscription: a request that is answered when it ends, and notifications until then.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::sync::broadcast::error::RecvError;

use crate::gateway::door::Gateway;
use crate::server::host::Host;
use crate::wire::outbox::{Message, Outbox};

/// The `_meta` key that says which subscription a notification belongs to.
const SUBSCRIPTION_KEY: &str = "io.modelcontextprotocol/subscriptionId";

/// What a host wants to be told of.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Filter {
    tools_list_changed: bool,
    prompts_list_changed: bool,
    resources_list_changed: bool,
    resource_subscriptions: Vec<String>,
}

/// Tells the host what it subscribed to until the future is dropped or the host is gone.
pub async fn listen(
    gateway: Arc<Gateway>,
    host: Arc<Host>,
    id: Box<RawValue>,
    params: Option<Box<RawValue>>,
    outlet: Outbox,
) {
    #[derive(Deserialize, Default)]
    struct Params {
        #[serde(default)]
        notifications: Filter,
    }
    let params = params.and_then(|params| serde_json::from_str::<Params>(params.get()).ok()).unwrap_or_default();
    let filter = params.notifications;
    let _subscribed = gateway.subscribe(&filter.resource_subscriptions, host.profile.as_deref()).await;
    let told = Told { id, outlet };
    let mut versions = gateway.versions();
    let mut notices = gateway.pool().notices();
    let mut known = *versions.borrow_and_update();
    if !told.tell("notifications/subscriptions/acknowledged", json!({ "notifications": filter.honoured() })).await {
        return;
    }
    loop {
        let is_there = tokio::select! {
            () = told.outlet.closed() => false,
            changed = versions.changed() => if changed.is_err() { false } else {
                let now = *versions.borrow_and_update();
                let lists = [
                    ("tools", filter.tools_list_changed && now.tools != known.tools),
                    ("prompts", filter.prompts_list_changed && now.prompts != known.prompts),
                    ("resources", filter.resources_list_changed && now.resources != known.resources),
                ];
                known = now;
                let mut is_there = true;
                for (list, _) in lists.into_iter().filter(|(_, is_wanted)| *is_wanted) {
                    is_there &= told.tell(&format!("notifications/{list}/list_changed"), json!({})).await;
                }
                is_there
            },
            notice = notices.recv() => match notice {
                Ok(notice)
                    if notice.method.as_ref() == "notifications/resources/updated"
                        && gateway.shows_server(host.profile.as_deref(), &notice.server) =>
                {
                    let params = notice.params.as_deref().and_then(|raw| serde_json::from_str::<Value>(raw.get()).ok());
                    match params.filter(|params| params.is_object() && filter.names(params)) {
                        Some(params) => told.tell(&notice.method, params).await,
                        None => true,
                    }
                }
                Ok(_) | Err(RecvError::Lagged(_)) => true,
                Err(RecvError::Closed) => false,
            },
        };
        if !is_there {
            return;
        }
    }
}

impl Filter {
    fn names(&self, params: &Value) -> bool {
        params["uri"].as_str().is_some_and(|uri| self.resource_subscriptions.iter().any(|wanted| wanted == uri))
    }

    fn honoured(&self) -> Value {
        let mut honoured = serde_json::Map::new();
        for (key, is_wanted) in [
            ("toolsListChanged", self.tools_list_changed),
            ("promptsListChanged", self.prompts_list_changed),
            ("resourcesListChanged", self.resources_list_changed),
        ] {
            if is_wanted {
                honoured.insert(key.to_owned(), json!(true));
            }
        }
        if !self.resource_subscriptions.is_empty() {
            honoured.insert("resourceSubscriptions".to_owned(), json!(self.resource_subscriptions));
        }
        Value::Object(honoured)
    }
}

struct Told {
    id: Box<RawValue>,
    outlet: Outbox,
}

impl Told {
    /// False if the host is gone.
    async fn tell(&self, method: &str, mut params: Value) -> bool {
        if !params["_meta"].is_object() {
            params["_meta"] = json!({});
        }
        params["_meta"][SUBSCRIPTION_KEY] = json!(self.id);
        let line = json!({ "jsonrpc": "2.0", "method": method, "params": params }).to_string();
        self.outlet.send(Message::from(line)).await.is_ok()
    }
}

/// The answer to a subscription that we end.
pub fn ended(id: &RawValue) -> String {
    let meta = json!({ SUBSCRIPTION_KEY: id });
    json!({ "jsonrpc": "2.0", "id": id, "result": { "resultType": "complete", "_meta": meta } }).to_string()
}
