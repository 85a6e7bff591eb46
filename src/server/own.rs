//! What hosts ask of us ourselves.

use std::sync::{Arc, PoisonError};

use serde_json::value::RawValue;

use crate::catalog::page::Cursor;
use crate::downstream::protocol::Era;
use crate::model::entry::Kind;
use crate::server::answer;
use crate::server::call::{Params, heard};
use crate::server::connection::{Connection, Request, post, text};
use crate::server::host::Refusal;
use crate::server::listen::{ended, listen};
use crate::server::requests;

impl Connection {
    /// A list of what there is.
    pub(super) fn list(&self, request: Request, kind: Kind, read: &Params<'_>) {
        let cursor = read.get("cursor").map(|raw| text(Some(raw)).and_then(|text| Cursor::parse(&text)));
        if let Some(None) = cursor {
            let refusal = Refusal::new(-32602, "this cursor was not given out here: begin with the first page");
            return self.refusal(&request.id, &refusal, &request.outlet);
        }
        let cursor = cursor.flatten();
        // Another orchestrator leaves out what has come through it.
        let is_chained = !heard(read.get("_meta")).hops.is_empty();
        let (gateway, host) = (Arc::clone(&self.gateway), Arc::clone(&self.host));
        let lists = Arc::clone(&self.lists);
        self.tasks.spawn(async move {
            gateway.settle().await;
            let _place = lists.acquire().await;
            let catalog = gateway.seen(host.profile.as_deref());
            let page = catalog.page(kind, cursor.as_ref(), is_chained.then(|| gateway.pool().us()));
            let freshness = gateway.freshness(host.profile.as_deref());
            let line = answer::list(&request.id, &page, kind, freshness, request.sender.era);
            post(&request.outlet, line).await;
        });
    }

    /// Everything that is neither a list nor a call.
    pub(super) fn own(&self, request: Request, params: Option<&RawValue>) {
        let (gateway, host) = (Arc::clone(&self.gateway), Arc::clone(&self.host));
        match (request.method.as_str(), request.sender.era) {
            ("server/discover", Era::Modern) => {
                self.reply(&request.id, &requests::discover(&gateway, &host), Era::Modern, &request.outlet);
            }
            ("ping", Era::Legacy) => self.reply(&request.id, &serde_json::json!({}), Era::Legacy, &request.outlet),
            ("logging/setLevel", Era::Legacy) => match requests::set_level(&gateway, &host, params) {
                Ok(result) => self.reply(&request.id, &result, Era::Legacy, &request.outlet),
                Err(refusal) => self.refusal(&request.id, &refusal, &request.outlet),
            },
            ("resources/subscribe" | "resources/unsubscribe", Era::Legacy) => self.subscribe(request, params),
            ("subscriptions/listen", Era::Modern) => {
                let Request { id, outlet, .. } = request;
                let (params, answered) = (params.map(ToOwned::to_owned), id.clone());
                self.spawn(&id, async move {
                    listen(gateway, host, answered.clone(), params, outlet.clone()).await;
                    post(&outlet, ended(&answered)).await;
                });
            }
            (method, _) => {
                let refusal = Refusal::new(-32601, format!("Method not found: {method}"));
                self.refusal(&request.id, &refusal, &request.outlet);
            }
        }
    }

    /// Begins or ends to tell a host of the initialize era of a resource.
    fn subscribe(&self, request: Request, params: Option<&RawValue>) {
        let Request { id, method, outlet, .. } = request;
        let Some(uri) = requests::member(params, "uri") else {
            return self.refusal(&id, &Refusal::new(-32602, "which resource? `uri` is missing"), &outlet);
        };
        let (gateway, subscribed) = (Arc::clone(&self.gateway), Arc::clone(&self.subscribed));
        let profile = self.host.profile.clone();
        self.tasks.spawn(async move {
            let new = match method.as_str() {
                "resources/subscribe" => Some(gateway.subscribe(std::slice::from_ref(&uri), profile.as_deref()).await),
                _ => None,
            };
            {
                let mut all = subscribed.lock().unwrap_or_else(PoisonError::into_inner);
                match new {
                    Some(new) => drop(all.insert(uri, new)),
                    None => drop(all.remove(&uri)),
                }
            }
            post(&outlet, answer::result(&id, &serde_json::json!({}), Era::Legacy)).await;
        });
    }
}
