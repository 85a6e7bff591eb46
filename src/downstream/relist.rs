//! Asking a connected server anew what it offers.

use std::sync::Arc;

use tokio::time::timeout;

use crate::downstream::endpoint::Endpoint;
use crate::downstream::listing::list;
use crate::downstream::session::Session;
use crate::model::code;
use crate::model::fault::{Fault, Kind};

impl Endpoint {
    /// Lists the server anew; false if that failed, so that it is to be tried again.
    pub(super) async fn relist(&self, session: &Session) -> bool {
        let limit = self.server.connect_timeout;
        match timeout(limit, list(session, &self.server, self.us)).await {
            Ok(Ok(listing)) => {
                self.listing.send_if_modified(|current| {
                    let is_new = current.as_deref() != Some(&listing);
                    if is_new {
                        *current = Some(Arc::new(listing));
                    }
                    is_new
                });
                self.listed(None);
                return true;
            }
            Ok(Err(fault)) => self.listed(Some(fault)),
            Err(_) => {
                let message = format!("did not list what it offers within {} s", limit.as_secs_f32());
                self.listed(Some(Fault::new(Kind::Timeout, code::CALL_TIMEOUT, message)));
            }
        }
        false
    }

    fn listed(&self, fault: Option<Fault>) {
        if let Some(fault) = &fault {
            tracing::warn!(server = %self.server.name, %fault, "cannot be listed");
        }
        self.state.send_modify(|state| state.fault = fault.map(|fault| Fault { was_sent: false, ..fault }));
    }
}
