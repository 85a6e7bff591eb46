//! What carries runs to their ends: `[engine]`.

use core::net::{IpAddr, Ipv4Addr, SocketAddr};

use crate::document::node::{Node, Value};
use crate::document::reader::Reader;
use crate::document::table::Table;
use crate::model::code;
use crate::model::problem::Span;
use crate::registry::settings::{text, word};

/// Where Restate is and where it finds us, unless the registry says otherwise: all on this machine, at Restate's own ports.
const INGRESS: &str = "http://127.0.0.1:8080";
const ADMIN: &str = "http://127.0.0.1:9070";
const LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9080);

/// What carries runs to their ends.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Engine {
    /// This process, which stores them in its data directory.
    #[default]
    Embedded,
    /// Restate.
    Restate(Restate),
}

/// Where Restate is, and where it finds us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restate {
    /// Where runs are begun; one after the other is tried.
    pub ingress: Vec<String>,
    /// Where runs are looked at, and where we say what we can do; one after the other is tried.
    pub admin: Vec<String>,
    /// Where we wait for Restate.
    pub listen: SocketAddr,
    /// Under which address Restate finds us, or whatever spreads its requests over several of us.
    pub advertise: Option<String>,
}

impl Default for Restate {
    fn default() -> Self {
        Self { ingress: vec![INGRESS.to_owned()], admin: vec![ADMIN.to_owned()], listen: LISTEN, advertise: None }
    }
}

/// Reads `[engine]`.
pub(super) fn read(reader: &mut Reader, node: &Node, engine: &mut Engine) {
    let Some(mut table) = reader.table(node, "engine") else { return };
    let is_restate = word(reader, &mut table, "backend", &[("embedded", false), ("restate", true)]);
    let settings = table.take("restate").map(|node| restate(reader, node, &table.path("restate")));
    match is_restate {
        Some(true) => *engine = Engine::Restate(settings.unwrap_or_default()),
        Some(false) => *engine = Engine::Embedded,
        None => {}
    }
    table.finish(reader);
}

fn restate(reader: &mut Reader, node: &Node, what: &str) -> Restate {
    let mut restate = Restate::default();
    let Some(mut table) = reader.table(node, what) else { return restate };
    if let Some(ingress) = addresses(reader, &mut table, "ingress") {
        restate.ingress = ingress;
    }
    if let Some(admin) = addresses(reader, &mut table, "admin") {
        restate.admin = admin;
    }
    if let Some(node) = table.take("listen") {
        let path = table.path("listen");
        match reader.text(node, &path).map(|text| text.parse()) {
            Some(Ok(listen)) => restate.listen = listen,
            Some(Err(_)) => {
                reader
                    .error(code::WRONG_VALUE, node.span.clone(), format!("`{path}` is no address with a port"))
                    .help = Some("for example `127.0.0.1:9080`, or `0.0.0.0:9080` for other machines".to_owned());
            }
            None => {}
        }
    }
    let span = table.key_span("advertise");
    restate.advertise = text(reader, &mut table, "advertise");
    if let (Some(span), Some(address)) = (span, &restate.advertise) {
        check(reader, &span, &table.path("advertise"), address);
    }
    table.finish(reader);
    restate
}

/// One address or several.
fn addresses(reader: &mut Reader, table: &mut Table<'_>, key: &'static str) -> Option<Vec<String>> {
    let (node, path) = (table.take(key)?, table.path(key));
    let found = match &node.value {
        Value::List(_) => reader.texts(node, &path)?,
        _ => vec![reader.text(node, &path)?],
    };
    for address in &found {
        check(reader, &node.span, &path, address);
    }
    Some(found)
}

fn check(reader: &mut Reader, span: &Span, what: &str, address: &str) {
    if !["http://", "https://"].iter().any(|scheme| address.starts_with(scheme)) {
        reader.error(code::WRONG_VALUE, span.clone(), format!("`{what}` is no address of HTTP: `{address}`")).help =
            Some("for example `http://127.0.0.1:8080`".to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::problem::Source;
    use crate::registry::load::load;

    fn engine(text: &str) -> (Engine, Vec<String>) {
        let (registry, problems) = load(&[Source::new("registry.toml", text)]);
        (registry.engine, problems.iter().map(|problem| problem.message.clone()).collect())
    }

    #[test]
    fn without_a_word_this_process_carries_the_runs() {
        assert_eq!(engine("[servers]"), (Engine::Embedded, vec![]));
        assert_eq!(engine("[engine]\nrestate = { listen = \"127.0.0.1:1\" }").0, Engine::Embedded);
    }

    #[test]
    fn restate_is_at_its_own_ports_unless_the_registry_says_where() {
        assert_eq!(engine("[engine]\nbackend = \"restate\""), (Engine::Restate(Restate::default()), vec![]));
        let (told, problems) = engine(
            "[engine]\nbackend = \"restate\"\n[engine.restate]\ningress = [\"http://a:1\", \"http://b:1\"]\nlisten = \"0.0.0.0:7\"\n\
             advertise = \"http://us:7\"",
        );
        let Engine::Restate(told) = told else { panic!("{told:?}") };
        assert_eq!((told.ingress.len(), told.listen.port(), told.advertise.as_deref()), (2, 7, Some("http://us:7")));
        assert_eq!(problems, Vec::<String>::new());
    }

    #[test]
    fn what_is_no_address_is_a_problem() {
        let (_, problems) =
            engine("[engine]\nbackend = \"restate\"\nrestate = { ingress = \"a:1\", listen = \"here\" }");
        assert_eq!(
            problems,
            [
                "`engine.restate.ingress` is no address of HTTP: `a:1`",
                "`engine.restate.listen` is no address with a port"
            ]
        );
    }
}
