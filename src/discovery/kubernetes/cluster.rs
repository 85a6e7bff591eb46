//! What is known of a cluster: its services and their endpoints, and which servers they are.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::discovery::answer::{Documents, document};
use crate::registry::naming::legal_name;

/// What annotations of a service that are meant for us begin with: `path`, `scheme`, `type`, `port` and `name`.
const ANNOTATION: &str = "mcp-orchestrator/";

/// The label by which a slice names its service.
const OWNER: &str = "kubernetes.io/service-name";

/// The most instances that a server may have.
const MOST: usize = 64;

/// A kind of object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Service,
    Slice,
}

/// By namespace and name.
type Objects = BTreeMap<(String, String), Value>;

/// What is known of a cluster.
#[derive(Debug, Default)]
pub(super) struct Cluster {
    services: Option<Objects>,
    slices: Option<Objects>,
    /// The kinds that could not be followed, and are to be listed anew.
    lost: BTreeSet<Kind>,
}

impl Cluster {
    fn of(&mut self, kind: Kind) -> &mut Option<Objects> {
        match kind {
            Kind::Service => &mut self.services,
            Kind::Slice => &mut self.slices,
        }
    }

    /// Everything of a kind, as it was listed.
    pub(super) fn replace(&mut self, kind: Kind, list: &Value) {
        let items = list["items"].as_array().map(Vec::as_slice).unwrap_or_default();
        self.lost.remove(&kind);
        *self.of(kind) = Some(items.iter().map(|object| (key(object), object.clone())).collect());
    }

    /// One object that is new or changed.
    pub(super) fn put(&mut self, kind: Kind, object: &Value) {
        self.of(kind).get_or_insert_default().insert(key(object), object.clone());
    }

    /// One that is gone.
    pub(super) fn remove(&mut self, kind: Kind, object: &Value) {
        self.of(kind).get_or_insert_default().remove(&key(object));
    }

    /// A kind could not be followed.
    pub(super) fn lose(&mut self, kind: Kind) {
        self.lost.insert(kind);
    }

    /// Whether both kinds have been listed, and followed since.
    pub(super) fn is_complete(&self) -> bool {
        self.lost.is_empty() && self.services.is_some() && self.slices.is_some()
    }

    /// The services that have ready endpoints. With `is_whole` services of several namespaces are told apart.
    pub(super) fn servers(&self, is_whole: bool) -> Documents {
        let services = self.services.iter().flatten();
        services.filter_map(|((space, name), service)| self.server(space, name, service, is_whole)).collect()
    }

    fn server(&self, space: &str, name: &str, service: &Value, is_whole: bool) -> Option<(String, String)> {
        let said = |key: &str| service["metadata"]["annotations"][format!("{ANNOTATION}{key}")].as_str();
        let whole = if is_whole { format!("{space}-{name}") } else { name.to_owned() };
        let name_as_server = legal_name(said("name").unwrap_or(&whole));
        let scheme = said("scheme").unwrap_or("http");
        // An annotation is no place for a placeholder of ours.
        let path = said("path").unwrap_or("/mcp").replace('$', "%24");
        let slices = self
            .slices
            .iter()
            .flatten()
            .filter(|((of, _), slice)| of == space && slice["metadata"]["labels"][OWNER].as_str() == Some(name));
        let slices: Vec<_> = slices.map(|(_, slice)| slice).collect();
        let is_old = |slice: &&Value| slice["addressType"] == "IPv4";
        // Both kinds of address of one pod are no two instances.
        let has_old = slices.iter().any(is_old);
        let mut places: Vec<String> = Vec::new();
        for slice in slices.iter().filter(|slice| is_old(slice) == has_old && slice["addressType"] != "FQDN") {
            let Some(port) = port(slice, said("port")) else { continue };
            for address in ready(slice) {
                let host = if has_old { address.to_owned() } else { format!("[{address}]") };
                places.push(format!("{scheme}://{host}:{port}/{}", path.trim_start_matches('/')));
            }
        }
        places.sort();
        places.dedup();
        places.truncate(MOST);
        let mut places = places.into_iter();
        let mut server = json!({ "url": places.next()?, "type": said("type").unwrap_or("http") });
        let others: Vec<_> = places.map(|url| json!({ "url": url })).collect();
        if !others.is_empty() {
            server["replicas"] = json!(others);
        }
        Some((name_as_server.clone(), document(&name_as_server, &server)))
    }
}

fn key(object: &Value) -> (String, String) {
    let text = |key: &str| object["metadata"][key].as_str().unwrap_or_default().to_owned();
    (text("namespace"), text("name"))
}

/// The port that is `wanted` by name or number, or else the first.
fn port(slice: &Value, wanted: Option<&str>) -> Option<u64> {
    let mut ports = slice["ports"].as_array()?.iter();
    let number = wanted.and_then(|wanted| wanted.parse::<u64>().ok());
    let fits = |port: &&Value| {
        wanted.is_none_or(|wanted| port["name"] == wanted || number.is_some_and(|number| port["port"] == number))
    };
    ports.find(fits)?["port"].as_u64()
}

/// The addresses of endpoints that are ready; where nothing is said, they are.
fn ready(slice: &Value) -> impl Iterator<Item = &str> {
    let endpoints = slice["endpoints"].as_array().into_iter().flatten();
    let ready = endpoints.filter(|endpoint| endpoint["conditions"]["ready"] != json!(false));
    // Only the first address of an endpoint counts: the others are the same pod.
    ready.filter_map(|endpoint| endpoint["addresses"][0].as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(name: &str, annotations: &Value) -> Value {
        json!({ "metadata": { "namespace": "tools", "name": name, "annotations": annotations } })
    }

    fn slice(name: &str, of: &str, kind: &str, endpoints: &[(&str, bool)]) -> Value {
        let endpoints: Vec<_> = endpoints
            .iter()
            .map(|(address, is_ready)| json!({ "addresses": [address], "conditions": { "ready": is_ready } }))
            .collect();
        json!({
            "metadata": { "namespace": "tools", "name": name, "labels": { OWNER: of } }, "addressType": kind,
            "ports": [{ "name": "web", "port": 80 }, { "name": "mcp", "port": 8080 }], "endpoints": endpoints,
        })
    }

    #[test]
    fn ready_endpoints_are_the_instances_of_their_service() {
        let mut cluster = Cluster::default();
        let said = json!({ "mcp-orchestrator/port": "mcp", "mcp-orchestrator/path": "api" });
        cluster.replace(Kind::Service, &json!({ "items": [service("docs", &said), service("idle", &json!({}))] }));
        assert!(!cluster.is_complete());
        let pods = [("10.0.0.2", true), ("10.0.0.1", true), ("10.0.0.3", false)];
        let items = [slice("docs-1", "docs", "IPv4", &pods), slice("docs-2", "docs", "IPv6", &[("fe80::1", true)])];
        cluster.replace(Kind::Slice, &json!({ "items": items }));
        assert!(cluster.is_complete());
        let server = json!({ "url": "http://10.0.0.1:8080/api", "type": "http", "replicas": [{ "url": "http://10.0.0.2:8080/api" }] });
        assert_eq!(cluster.servers(false), Documents::from([("docs".to_owned(), document("docs", &server))]));
        assert!(cluster.servers(true).contains_key("tools-docs"));
    }

    #[test]
    fn events_change_what_is_known() {
        let mut cluster = Cluster::default();
        cluster.replace(Kind::Service, &json!({ "items": [] }));
        cluster.replace(Kind::Slice, &json!({ "items": [slice("a", "docs", "IPv6", &[("fe80::1", true)])] }));
        assert!(cluster.servers(false).is_empty());
        cluster.put(Kind::Service, &service("docs", &json!({})));
        let server = json!({ "url": "http://[fe80::1]:80/mcp", "type": "http" });
        assert_eq!(cluster.servers(false)["docs"], document("docs", &server));
        cluster.remove(Kind::Service, &service("docs", &json!({})));
        assert!(cluster.servers(false).is_empty());
    }
}
