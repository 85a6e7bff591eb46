//! A service as the records of a name tell it (RFC 2782, RFC 6763), as a server.
//!
//! SRV says where it is, TXT how it is talked to: `path` (`/mcp`), `type` (`http` or `sse`), `scheme` (`https` on port 443, else `http`)
//! and `name`. Of several places, each is an instance: lower priorities are nearer tiers. Among equals, weights are followed where they
//! differ; where they do not, a call goes to the quicker of two.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde_json::json;

use crate::discovery::answer::document;
use crate::registry::naming::legal_name;

/// The most instances that a server may have.
const MOST: usize = 64;

/// Where most servers have their endpoint.
const PATH: &str = "/mcp";

/// A service.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Service {
    /// What it is called, unless it says otherwise.
    pub(super) name: String,
    /// What TXT says, with keys in lower case.
    pub(super) said: BTreeMap<String, String>,
    /// Where it is.
    pub(super) targets: Vec<Target>,
}

/// One place of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) priority: u16,
    /// Its share of the calls among those of its priority.
    pub(super) weight: u16,
    /// The name of the machine, without the dot at its end.
    pub(super) host: String,
    pub(super) port: u16,
    /// The addresses of the machine.
    pub(super) addresses: Vec<IpAddr>,
}

/// What the strings of a TXT record say. The first of equal keys counts (RFC 6763, 6.4).
pub(super) fn said<'a>(strings: impl Iterator<Item = &'a [u8]>) -> BTreeMap<String, String> {
    let mut said = BTreeMap::new();
    for string in strings {
        let text = String::from_utf8_lossy(string);
        if let Some((key, value)) = text.split_once('=').filter(|(key, _)| !key.is_empty()) {
            said.entry(key.to_ascii_lowercase()).or_insert_with(|| value.to_owned());
        }
    }
    said
}

impl Service {
    /// Its name as a server and the document for it; nothing if it is nowhere.
    pub(super) fn document(&self) -> Option<(String, String)> {
        let name = legal_name(self.said.get("name").unwrap_or(&self.name));
        let mut targets: Vec<_> = self.targets.iter().filter(|target| !target.host.is_empty()).collect();
        targets.sort_by_key(|target| (target.priority, &target.host, target.port));
        let mut tiers: Vec<_> = targets.iter().map(|target| target.priority).collect();
        tiers.dedup();
        let tier = |target: &Target| tiers.iter().position(|priority| *priority == target.priority);
        let is_weighed =
            targets.windows(2).any(|two| two[0].priority == two[1].priority && two[0].weight != two[1].weight);
        let mut places: Vec<(String, &Target, u32)> = Vec::new();
        for target in targets {
            let urls = self.urls(target);
            let weight = share(target.weight, urls.len());
            places.extend(urls.into_iter().map(|url| (url, target, weight)));
        }
        places.truncate(MOST);
        let (first, others) = places.split_first()?;
        let replica = |(url, target, weight): &(String, &Target, u32)| {
            let mut replica = json!({ "url": url, "priority": tier(target) });
            if is_weighed {
                replica["weight"] = json!(weight);
            }
            replica
        };
        let kind = self.said.get("type").or_else(|| self.said.get("transport"));
        let mut server = json!({ "url": first.0, "type": kind.map_or("http", String::as_str) });
        if !others.is_empty() {
            server["replicas"] = others.iter().map(replica).collect();
        }
        if !others.is_empty() && is_weighed {
            server["weight"] = json!(first.2);
        }
        Some((name.clone(), document(&name, &server)))
    }

    /// A certificate is for a name; without one, each address is a place of its own.
    fn urls(&self, target: &Target) -> Vec<String> {
        let by_port = if target.port == 443 { "https" } else { "http" };
        let scheme = self.said.get("scheme").map_or(by_port, String::as_str);
        let path = self.said.get("path").map_or(PATH, String::as_str);
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        // A record is no place for a placeholder of ours.
        let path = path.replace('$', "%24");
        let hosts = if scheme == "https" || target.addresses.is_empty() {
            vec![target.host.clone()]
        } else {
            let has_old = target.addresses.iter().any(IpAddr::is_ipv4);
            // Both kinds of address of one machine are no two instances.
            let one_kind = target.addresses.iter().filter(|address| address.is_ipv4() == has_old);
            let mut hosts: Vec<_> = one_kind.map(bracketed).collect();
            hosts.sort();
            hosts
        };
        hosts.into_iter().map(|host| format!("{scheme}://{host}:{}{path}", target.port)).collect()
    }
}

/// What each of so many addresses has of a weight, in twelfths, so that up to four of them share it exactly.
fn share(weight: u16, addresses: usize) -> u32 {
    let all = u32::from(weight) * 12;
    let each = all / u32::try_from(addresses.max(1)).unwrap_or(u32::MAX);
    each.max(u32::from(weight > 0))
}

fn bracketed(address: &IpAddr) -> String {
    if address.is_ipv4() { address.to_string() } else { format!("[{address}]") }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn target(priority: u16, host: &str, port: u16, addresses: &[&str]) -> Target {
        let addresses = addresses.iter().map(|address| address.parse().expect("an address")).collect();
        Target { priority, weight: 0, host: host.to_owned(), port, addresses }
    }

    fn server(texts: &[&str], targets: Vec<Target>) -> Option<(String, Value)> {
        let said = said(texts.iter().map(|text| text.as_bytes()));
        let (name, text) = Service { name: "My docs".to_owned(), said, targets }.document()?;
        let document: Value = serde_json::from_str(&text).expect("JSON");
        Some((name.clone(), document["mcpServers"][name].clone()))
    }

    #[test]
    fn each_place_is_an_instance_and_each_priority_a_tier() {
        let far = target(20, "far.example", 8080, &["10.0.0.9"]);
        let near = target(10, "near.example", 8080, &["10.0.0.2", "10.0.0.1", "fe80::1"]);
        let (name, server) = server(&["path=/api", "x"], vec![far, near]).expect("a server");
        assert_eq!(name, "My_docs");
        let replicas = json!([
            { "url": "http://10.0.0.2:8080/api", "priority": 0 }, { "url": "http://10.0.0.9:8080/api", "priority": 1 },
        ]);
        assert_eq!(server, json!({ "url": "http://10.0.0.1:8080/api", "type": "http", "replicas": replicas }));
    }

    #[test]
    fn weights_count_where_they_differ_and_are_shared_by_the_addresses_of_a_place() {
        let heavy = Target { weight: 3, ..target(10, "a.example", 80, &["10.0.0.1", "10.0.0.2"]) };
        let light = Target { weight: 1, ..target(10, "b.example", 80, &["10.0.0.3"]) };
        let far = Target { weight: 7, ..target(20, "c.example", 80, &["10.0.0.4"]) };
        let (_, alike) = server(&[], vec![heavy.clone(), far.clone()]).expect("a server");
        assert!(!alike.to_string().contains("weight"), "two tiers share nothing: {alike}");
        let (_, server) = server(&[], vec![heavy, light, far]).expect("a server");
        let replicas = server["replicas"].as_array().expect("others");
        let weights: Vec<_> = replicas.iter().map(|other| &other["weight"]).collect();
        assert_eq!((&server["weight"], weights), (&json!(18), vec![&json!(18), &json!(12), &json!(84)]), "{server}");
    }

    #[test]
    fn with_encryption_the_name_counts() {
        let (name, server) =
            server(&["Name=docs", "type=sse", "name=other"], vec![target(0, "a.example", 443, &["10.0.0.1"])])
                .expect("a server");
        assert_eq!((name.as_str(), server), ("docs", json!({ "url": "https://a.example:443/mcp", "type": "sse" })));
    }

    #[test]
    fn what_is_nowhere_is_no_server() {
        assert_eq!(server(&[], vec![target(0, "", 0, &[])]), None);
    }
}
