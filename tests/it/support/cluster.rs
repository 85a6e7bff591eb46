//! A double of a Kubernetes API server: lists and watches of services and slices, with versions, bookmarks, 410 Gone.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};

use super::accept::accept;
use super::web::{read, respond};

/// A running API server; its threads end with the test process.
pub(crate) struct Cluster {
    pub(crate) port: u16,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    version: u64,
    /// By kind and name.
    objects: BTreeMap<(String, String), Value>,
    /// What has happened: when, to which kind, what.
    events: Vec<(u64, String, Value)>,
    /// Watches from before that cannot be had.
    oldest: u64,
    /// Watches that have begun before that are over.
    epoch: u64,
    is_down: bool,
    /// Paths with queries, and whether who asked showed the token.
    asked: Vec<String>,
}

impl Cluster {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port on loopback");
        let port = listener.local_addr().expect("it is bound").port();
        let shared = Arc::new(Shared::default());
        accept(listener, &shared, |shared, stream| shared.serve(stream));
        Self { port, shared }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state()
    }

    fn happen(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state());
        self.shared.changed.notify_all();
    }

    /// A service with these annotations.
    pub(crate) fn service(&self, name: &str, annotations: Value) {
        let object = json!({ "metadata": { "name": name, "namespace": "tools", "annotations": annotations } });
        self.happen(|state| state.put("services", name, object));
    }

    /// A slice of `service` with one ready endpoint on loopback.
    pub(crate) fn slice(&self, name: &str, service: &str, port: u16) {
        let labels = json!({ "kubernetes.io/service-name": service });
        let object = json!({
            "metadata": { "name": name, "namespace": "tools", "labels": labels }, "addressType": "IPv4",
            "ports": [{ "name": "mcp", "port": port }],
            "endpoints": [{ "addresses": ["127.0.0.1"], "conditions": { "ready": true } }],
        });
        self.happen(|state| state.put("endpointslices", name, object));
    }

    pub(crate) fn delete(&self, kind: &str, name: &str) {
        self.happen(|state| {
            let mut object = state.objects.remove(&(kind.to_owned(), name.to_owned())).expect("it is there");
            state.version += 1;
            object["metadata"]["resourceVersion"] = json!(state.version.to_string());
            state.events.push((state.version, kind.to_owned(), json!({ "type": "DELETED", "object": object })));
        });
    }

    /// Time passes without a change that is watched; with a bookmark, watches are told.
    pub(crate) fn pass(&self, has_bookmark: bool) {
        self.happen(|state| {
            state.version += 10;
            for kind in ["services", "endpointslices"].into_iter().filter(|_| has_bookmark) {
                let object = json!({ "metadata": { "resourceVersion": state.version.to_string() } });
                state.events.push((state.version, kind.to_owned(), json!({ "type": "BOOKMARK", "object": object })));
            }
        });
    }

    /// All watches break off.
    pub(crate) fn break_off(&self) {
        self.happen(|state| state.epoch += 1);
    }

    /// Versions before now are too old.
    pub(crate) fn forget(&self) {
        self.happen(|state| {
            state.oldest = state.version;
            state.events.clear();
        });
    }

    /// Whether it answers with 503 from now on, and breaks its watches off.
    pub(crate) fn set_down(&self, is_down: bool) {
        self.happen(|state| {
            state.is_down = is_down;
            state.epoch += 1;
        });
    }

    /// What was asked for, oldest first.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.state().asked.clone()
    }
}

impl State {
    fn put(&mut self, kind: &str, name: &str, mut object: Value) {
        self.version += 1;
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        let before = self.objects.insert((kind.to_owned(), name.to_owned()), object.clone());
        let what = if before.is_some() { "MODIFIED" } else { "ADDED" };
        self.events.push((self.version, kind.to_owned(), json!({ "type": what, "object": object })));
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serve(&self, stream: &TcpStream) -> Option<()> {
        let (_, path, headers, _) = read(stream)?;
        let is_known = headers.contains("authorization: Bearer t0ken");
        let mut state = self.state();
        state.asked.push(path.clone());
        let is_down = state.is_down;
        let kind = ["services", "endpointslices"]
            .into_iter()
            .find(|kind| path.contains(&format!("/namespaces/tools/{kind}?")));
        let (Some(kind), true) = (kind.filter(|_| is_known), path.contains("labelSelector=mcp%3Dyes")) else {
            drop(state);
            return respond(stream, 403, "", "application/json", "{}");
        };
        if is_down {
            drop(state);
            return respond(stream, 503, "", "application/json", "{}");
        }
        if !path.contains("watch=true") {
            let items: Vec<_> =
                state.objects.iter().filter(|((of, _), _)| of == kind).map(|(_, object)| object.clone()).collect();
            let list = json!({ "metadata": { "resourceVersion": state.version.to_string() }, "items": items });
            drop(state);
            return respond(stream, 200, "", "application/json", &list.to_string());
        }
        let version = path.split("resourceVersion=").nth(1)?.split('&').next()?.parse().ok()?;
        self.watch(stream, kind, version, state)
    }

    /// Tells events until the watch breaks off; the body ends with the connection.
    fn watch<'a>(
        &'a self,
        mut stream: &TcpStream,
        kind: &str,
        mut version: u64,
        mut state: MutexGuard<'a, State>,
    ) -> Option<()> {
        let head = "HTTP/1.1 200 x\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n";
        let epoch = state.epoch;
        if version < state.oldest {
            let gone = json!({ "type": "ERROR", "object": { "kind": "Status", "code": 410, "message": "too old resource version" } });
            let _ = stream.write_all(format!("{head}{gone}\n").as_bytes());
            return None;
        }
        stream.write_all(head.as_bytes()).ok()?;
        while state.epoch == epoch {
            let news: Vec<_> = state.events.iter().filter(|(at, of, _)| *at > version && of == kind).cloned().collect();
            if news.is_empty() {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            drop(state);
            for (at, _, event) in news {
                version = at;
                stream.write_all(format!("{event}\n").as_bytes()).ok()?;
            }
            state = self.state();
        }
        None
    }
}
