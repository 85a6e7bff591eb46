//! Sources of servers that change by themselves: `[discovery.sources.NAME]`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::document::node::{Field, Node};
use crate::document::reader::Reader;
use crate::document::table::Table;
use crate::model::code;
use crate::model::name::is_server_name;
use crate::registry::settings::{boolean, duration, text, texts, whole};
use crate::registry::source::place::Place;

pub mod kubernetes;
pub mod place;

/// What the titles of sources begin with.
pub const TITLE: &str = "discovery.sources.";

/// How often a source may be asked.
const REFRESH: std::ops::RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_hours(24);

/// How long it may take to answer.
const TIMEOUT: std::ops::RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_mins(5);

/// How long a server may stay that its source does not name any more.
const GRACE: std::ops::RangeInclusive<Duration> = Duration::ZERO..=Duration::from_hours(24);

/// The most servers that one source may bring.
const MOST: u64 = 1_000;

/// The sources by name.
pub type Sources = BTreeMap<Arc<str>, Arc<ServerSource>>;

/// A source of servers that changes by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerSource {
    /// Its name.
    pub name: Arc<str>,
    /// Where it is.
    pub place: Place,
    /// How often it is asked.
    pub refresh: Duration,
    /// How long it may take to answer.
    pub timeout: Duration,
    /// How long a server stays that it does not name any more.
    pub grace: Duration,
    /// How many servers it may bring.
    pub max_servers: usize,
    /// Put before the names of its servers.
    pub prefix: String,
    /// Whether what its servers say of their tools is believed.
    pub trusted: bool,
    /// Whether its servers may be programs, which are started here.
    pub allow_commands: bool,
    /// The variables of the environment that its servers may be given.
    pub variables: Vec<String>,
}

impl ServerSource {
    /// What its servers are said to come from.
    pub fn title(&self) -> String {
        format!("{TITLE}{}", self.name)
    }
}

/// Reads `sources` of `[discovery]`. A source that was read before keeps its name.
pub(super) fn read(reader: &mut Reader, node: &Node, sources: &mut Sources) {
    let Some(mut table) = reader.table(node, "discovery.sources") else { return };
    for field in table.rest() {
        let found = reader.problems.len();
        let source = source(reader, field);
        let Some(source) = source.filter(|_| !reader.failed_since(found)) else { continue };
        if sources.contains_key(&source.name) {
            let message = format!("the source `{}` is already defined in another file", source.name);
            reader.error(code::DUPLICATE, field.key_span.clone(), message).help =
                Some("rename or remove one of them".to_owned());
        } else {
            sources.insert(Arc::clone(&source.name), Arc::new(source));
        }
    }
}

fn source(reader: &mut Reader, field: &Field) -> Option<ServerSource> {
    let mut table = reader.table(&field.value, &format!("discovery.sources.{}", field.key))?;
    if !is_server_name(&field.key) {
        let message = format!("`{}` cannot be a source's name", field.key);
        reader.error(code::WRONG_VALUE, field.key_span.clone(), message).help =
            Some("use 1 to 64 of `A-Z a-z 0-9 _ -`".to_owned());
    }
    let place = place::read(reader, &mut table);
    let refresh = duration(reader, &mut table, "refresh", REFRESH).unwrap_or(Duration::from_mins(1));
    let timeout = duration(reader, &mut table, "timeout", TIMEOUT).unwrap_or(Duration::from_secs(10));
    let grace = duration(reader, &mut table, "grace", GRACE).unwrap_or(Duration::from_mins(1));
    let max_servers = whole(reader, &mut table, "max_servers", 1..=MOST).unwrap_or(100);
    let prefix = prefix(reader, &mut table);
    let trusted = boolean(reader, &mut table, "trusted");
    let allow_commands = boolean(reader, &mut table, "allow_commands").unwrap_or(false);
    let variables = texts(reader, &mut table, "variables").unwrap_or_default();
    let is_local = matches!(place, Some(Place::Command(_)));
    if allow_commands && !is_local {
        let span = table.key_span("allow_commands").unwrap_or_else(|| table.span());
        let message = format!("`{}` only goes with `command`", table.path("allow_commands"));
        reader.error(code::CONFLICT, span, message).help =
            Some("programs to start never come from the network; write such servers into a file".to_owned());
    }
    table.finish(reader);
    Some(ServerSource {
        name: Arc::from(field.key.as_str()),
        place: place?,
        refresh,
        timeout,
        grace,
        max_servers,
        prefix,
        trusted: trusted.unwrap_or(is_local),
        allow_commands,
        variables,
    })
}

fn prefix(reader: &mut Reader, table: &mut Table<'_>) -> String {
    let span = table.key_span("prefix");
    let prefix = text(reader, table, "prefix").unwrap_or_default();
    // A whole name has 64 letters.
    if !prefix.is_empty() && (!is_server_name(&prefix) || prefix.len() > 32) {
        let message = format!("`{}` cannot begin a server's name", table.path("prefix"));
        reader.error(code::WRONG_VALUE, span.unwrap_or_else(|| table.span()), message).help =
            Some("use 1 to 32 of `A-Z a-z 0-9 _ -`, for instance `lan-`".to_owned());
    }
    prefix
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::problem::Source;
    use crate::registry::load::load;

    fn read(text: &str) -> (Sources, Vec<String>) {
        let (registry, problems) = load(&[Source::new("registry.toml", text)]);
        (registry.discovery.sources, problems.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn a_source_is_read_with_what_it_may_bring() {
        let (sources, problems) = read(
            "[discovery.sources.inventory]\ncommand = \"list\"\nargs = [\"-a\"]\nallow_commands = true\n\
             [discovery.sources.team]\nurl = \"https://x.example/servers.json\"\nprefix = \"team-\"\nrefresh = \"5m\"\n",
        );
        assert_eq!(problems, [""; 0]);
        let (inventory, team) = (&sources["inventory"], &sources["team"]);
        assert!(inventory.trusted && inventory.allow_commands && !team.trusted && !team.allow_commands);
        assert_eq!((team.refresh, team.prefix.as_str(), team.place.kind()), (Duration::from_mins(5), "team-", "url"));
    }

    #[test]
    fn what_cannot_be_meant_is_said() {
        for (text, part) in [
            ("[discovery.sources.a]\n", "says nowhere to look"),
            ("[discovery.sources.a]\ncommand = \"x\"\nurl = \"https://x.example\"\n", "has both `command` and `url`"),
            ("[discovery.sources.a]\nurl = \"https://x.example\"\nallow_commands = true\n", "only goes with `command`"),
            ("[discovery.sources.a]\nurl = \"http://x.example/a\"\n", "use `https://`"),
            ("[discovery.sources.\"a b\"]\ncommand = \"x\"\n", "cannot be a source's name"),
            ("[discovery.sources.a]\ndns = \"servers\"\n", "is no name to look up"),
            ("[discovery.sources.a]\ndns = \"_mcp._tcp.x.example\"\nnameserver = \"ns.example\"\n", "is no address"),
            ("[discovery.sources.a]\ncommand = \"x\"\nheaders = { A = \"b\" }\n", "has no effect without `url`"),
        ] {
            let (_, problems) = read(text);
            assert!(problems.iter().any(|problem| problem.contains(part)), "{text}: {problems:?}");
        }
    }
}
