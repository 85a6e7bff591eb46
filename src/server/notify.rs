//! What an initialized host is told without asking: changed lists, log messages, updated resources.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::CancellationToken;

use crate::downstream::notice::Notice;
use crate::gateway::door::Gateway;
use crate::server::host::Host;
use crate::wire::outbox::{Message, Outbox};

/// Tells the host until `stop`. A modern host subscribes instead, so it is told nothing here.
pub async fn announce(gateway: Arc<Gateway>, host: Arc<Host>, outbox: Outbox, stop: CancellationToken) {
    let mut versions = gateway.versions();
    let mut notices = gateway.pool().notices();
    let mut known = *versions.borrow_and_update();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            changed = versions.changed() => {
                if changed.is_err() {
                    return;
                }
                let now = *versions.borrow_and_update();
                let lists =
                    [("tools", now.tools != known.tools), ("prompts", now.prompts != known.prompts), ("resources", now.resources != known.resources)];
                known = now;
                for (list, _) in lists.into_iter().filter(|(_, has_changed)| *has_changed && host.is_initialized()) {
                    let line = format!(r#"{{"jsonrpc":"2.0","method":"notifications/{list}/list_changed"}}"#);
                    if outbox.send(Message::from(line)).await.is_err() {
                        return;
                    }
                }
            }
            notice = notices.recv() => match notice {
                Ok(notice) if !gateway.shows_server(host.profile.as_deref(), &notice.server) => {}
                Ok(notice) => {
                    if let Some(line) = line(&notice, |level| host.wants(level)).filter(|_| host.is_initialized()) {
                        // A host that does not keep up loses log messages rather than answers.
                        let _ = outbox.try_send(Message::from(line));
                    }
                }
                Err(RecvError::Lagged(lost)) => tracing::debug!(lost, "log messages of servers were dropped"),
                Err(RecvError::Closed) => return,
            },
        }
    }
}

/// The notification as the host gets it: log messages say which server they are of.
pub(super) fn line(notice: &Notice, wants: impl Fn(&str) -> bool) -> Option<String> {
    let mut params: Value = match &notice.params {
        Some(params) => serde_json::from_str(params.get()).ok()?,
        None => json!({}),
    };
    if notice.method.as_ref() == "notifications/message" {
        let level = params.get("level")?.as_str()?;
        if !wants(level) {
            return None;
        }
        let logger = match params.get("logger").and_then(Value::as_str) {
            Some(logger) => format!("{}/{logger}", notice.server),
            None => notice.server.to_string(),
        };
        params.as_object_mut()?.insert("logger".to_owned(), json!(logger));
    }
    Some(json!({ "jsonrpc": "2.0", "method": notice.method.as_ref(), "params": params }).to_string())
}

#[cfg(test)]
mod tests {
    use serde_json::value::to_raw_value;

    use super::*;

    #[test]
    fn a_log_message_says_which_server_it_is_of() {
        let notice = |level: &str| Notice {
            server: "github".into(),
            method: "notifications/message".into(),
            params: to_raw_value(&json!({ "level": level, "logger": "api", "data": 1 })).ok().map(Arc::from),
        };
        let host = Host::default();
        let told = line(&notice("warning"), |level| host.wants(level)).expect("a warning is told");
        assert!(told.contains(r#""logger":"github/api""#), "{told}");
        assert_eq!(line(&notice("debug"), |level| host.wants(level)), None);
    }
}
