//! A Kubernetes cluster as a source: which of its services are servers, and how its API is reached.

use crate::document::node::Node;
use crate::document::reader::Reader;
use crate::document::table::Table;
use crate::model::code;
use crate::registry::launch::text as placeholders;
use crate::registry::settings::text;
use crate::registry::source::place::address;
use crate::registry::text::Text;

/// Which services of a cluster are servers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kubernetes {
    /// The labels that they have, as a selector.
    pub labels: String,
    /// Where they are; everywhere if `None`.
    pub namespace: Option<String>,
    /// The address of the cluster's API; that of the cluster that the program runs in if `None`.
    pub api: Option<Text>,
    /// What proves who asks; the service account of the program's pod if `None` and there is no `api`.
    pub token: Option<Text>,
    /// The file with the certificate of the authority that has signed the API's.
    pub ca: Option<Text>,
}

/// Reads `kubernetes` of a source.
pub(super) fn read(reader: &mut Reader, node: &Node, what: &str) -> Option<Kubernetes> {
    let mut table = reader.table(node, what)?;
    let labels = table.require(reader, "labels").and_then(|node| reader.text(node, &table.path("labels")));
    let namespace = text(reader, &mut table, "namespace");
    let api = table.take("api").and_then(|node| address(reader, node, &table.path("api")));
    let secret = |reader: &mut Reader, table: &mut Table<'_>, key: &'static str| {
        let node = table.take(key)?;
        placeholders(reader, node, &table.path(key))
    };
    let (token, ca) = (secret(reader, &mut table, "token"), secret(reader, &mut table, "ca"));
    if let Some(name) = namespace.as_ref().filter(|name| !is_namespace(name)) {
        let span = table.key_span("namespace").unwrap_or_else(|| table.span());
        reader.error(code::WRONG_VALUE, span, format!("`{name}` cannot be a namespace")).help =
            Some("one namespace, for instance `tools`; without it, all are looked at".to_owned());
    }
    if api.is_none() {
        for key in ["token", "ca"] {
            if let Some(span) = table.key_span(key) {
                reader.warning(code::NO_EFFECT, span, format!("`{}` has no effect without `api`", table.path(key)));
            }
        }
    }
    table.finish(reader);
    Some(Kubernetes { labels: labels?, namespace, api, token, ca })
}

fn is_namespace(name: &str) -> bool {
    (1..=63).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}
