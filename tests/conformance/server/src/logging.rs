//! Log messages to the client, no more of them than it wants.

use std::sync::{Arc, Mutex, PoisonError};

use rmcp::model::{LoggingLevel, LoggingMessageNotificationParam};
use rmcp::service::{RequestContext, RoleServer};

use crate::era::is_modern;

/// What a legacy session has set. A modern request says it itself, or wants none.
#[derive(Clone)]
pub(crate) struct Threshold(Arc<Mutex<LoggingLevel>>);

impl Default for Threshold {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(LoggingLevel::Info)))
    }
}

impl Threshold {
    pub(crate) fn set(&self, level: LoggingLevel) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = level;
    }

    pub(crate) async fn info(&self, context: &RequestContext<RoleServer>, message: &str) {
        let is_modern = context.protocol_version().is_some_and(|version| is_modern(version.as_str()));
        let threshold = match context.meta.log_level() {
            None if is_modern => return,
            Some(level) if is_modern => level,
            _ => *self.0.lock().unwrap_or_else(PoisonError::into_inner),
        };
        if severity(LoggingLevel::Info) >= severity(threshold) {
            let message = LoggingMessageNotificationParam::new(LoggingLevel::Info, message.into())
                .with_logger("conformance-server");
            // Fails only if the client is gone.
            let _ = context.peer.notify_logging_message(message).await;
        }
    }
}

fn severity(level: LoggingLevel) -> u8 {
    match level {
        LoggingLevel::Debug => 0,
        LoggingLevel::Info => 1,
        LoggingLevel::Notice => 2,
        LoggingLevel::Warning => 3,
        LoggingLevel::Error => 4,
        LoggingLevel::Critical => 5,
        LoggingLevel::Alert => 6,
        LoggingLevel::Emergency => 7,
    }
}
