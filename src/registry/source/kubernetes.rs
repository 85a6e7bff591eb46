//! A Kubernetes cluster as a source: which of its services are servers, and how its API is reached.

use crate::document::node::Node;
use crate::document::reader::Reader;
use crate::document::table::Table;
use crate::model::code;
use crate::registry::launch::text as placeholders;
use crate::registry::settings::{boolean, text};
use crate::registry::source::place::address;
use crate::registry::text::Text;

/// Which services of a cluster are servers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kubernetes {
    /// The labels that they have, as a selector.
    pub labels: String,
    /// Where they are; everywhere if `None`.
    pub namespace: Option<String>,
    /// How its API is reached.
    pub access: Access,
}

/// How the API of a cluster is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Access {
    /// As the service account of the pod that the program runs in.
    Pod,
    /// By what the registry says.
    Api {
        /// Its address.
        url: Text,
        /// What proves who asks.
        token: Option<Text>,
        /// The file with the certificate of the authority that has signed the API's.
        ca: Option<Text>,
    },
    /// By what a file says that is written for `kubectl`.
    Config {
        /// Its path.
        file: Text,
        /// Which of its contexts counts; the current one if `None`.
        context: Option<String>,
        /// Whether the program is run that it names to prove who asks.
        exec: bool,
    },
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
    let (file, context) = (secret(reader, &mut table, "kubeconfig"), text(reader, &mut table, "context"));
    let exec = boolean(reader, &mut table, "exec").unwrap_or(false);
    for (key, with) in [("token", "api"), ("ca", "api"), ("context", "kubeconfig"), ("exec", "kubeconfig")] {
        if let (Some(span), None) = (table.key_span(key), table.key_span(with)) {
            reader.warning(code::NO_EFFECT, span, format!("`{}` has no effect without `{with}`", table.path(key)));
        }
    }
    if let (Some(span), Some(_)) = (table.key_span("kubeconfig"), &api) {
        reader.error(code::CONFLICT, span, format!("`{}` does not go with `api`", table.path("kubeconfig")));
    }
    let access = match (api, file) {
        (Some(url), _) => Access::Api { url, token, ca },
        (None, Some(file)) => Access::Config { file, context, exec },
        (None, None) => Access::Pod,
    };
    table.finish(reader);
    Some(Kubernetes { labels: labels?, namespace, access })
}

fn is_namespace(name: &str) -> bool {
    (1..=63).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}
