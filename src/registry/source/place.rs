//! Where a source of servers is: what is asked, and how.

use core::net::{IpAddr, SocketAddr};

use crate::document::node::Node;
use crate::document::reader::Reader;
use crate::document::table::Table;
use crate::model::code;
use crate::registry::launch::{args, text as placeholders, texts_by_name, url};
use crate::registry::server::{Address, Command};
use crate::registry::settings::texts;
use crate::registry::source::kubernetes::{self, Kubernetes};
use crate::registry::text::Text;

/// What says where a source is, with the keys that go with it; each source has one of these.
const PLACES: [(&str, &[&str]); 5] = [
    ("command", &["args", "env", "cwd"]),
    ("url", &["headers"]),
    ("dns", &["nameserver"]),
    ("kubernetes", &[]),
    ("mdns", &["interfaces"]),
];

/// What is there only if the program was built with it.
const OPTIONAL: [(&str, bool); 2] = [("dns", cfg!(feature = "dns")), ("mdns", cfg!(feature = "mdns"))];

/// Where questions about names go, unless an address says so.
const DNS_PORT: u16 = 53;

/// Where a source is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A program that prints servers.
    Command(Command),
    /// An address that answers with servers.
    Url(Address),
    /// A name with SRV and TXT records, or with PTR records that lead to such names.
    Dns(Dns),
    /// Services of a cluster.
    Kubernetes(Kubernetes),
    /// Services that make themselves known in the local network.
    Mdns(Mdns),
}

/// A name to look up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dns {
    /// The name.
    pub name: String,
    /// Who is asked; those of the system if `None`.
    pub nameserver: Option<SocketAddr>,
}

/// A kind of service in the local network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mdns {
    /// The kind, with a dot at its end.
    pub kind: String,
    /// The network interfaces that are listened to; all if empty.
    pub interfaces: Vec<String>,
}

impl Place {
    /// The word that users see.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Command(_) => "command",
            Self::Url(_) => "url",
            Self::Dns(_) => "dns",
            Self::Kubernetes(_) => "kubernetes",
            Self::Mdns(_) => "mdns",
        }
    }

    /// Whether it has to be asked again and again, and does not tell by itself.
    pub fn is_polled(&self) -> bool {
        !matches!(self, Self::Kubernetes(_) | Self::Mdns(_))
    }
}

/// Reads the one place that a source has.
pub(super) fn read(reader: &mut Reader, table: &mut Table<'_>) -> Option<Place> {
    let given: Vec<_> = PLACES.iter().filter_map(|(key, _)| Some((*key, table.key_span(key)?))).collect();
    let command = command(reader, table);
    let url = table.take("url").and_then(|node| address(reader, node, &table.path("url")));
    let headers = texts_by_name(reader, table, "headers");
    let dns = dns(reader, table);
    let cluster = table.take("kubernetes").and_then(|node| kubernetes::read(reader, node, &table.path("kubernetes")));
    let mdns = mdns(reader, table);
    match &given[..] {
        [_] => {}
        [] => {
            let span = reader.head(&table.span());
            let all: Vec<_> = PLACES.iter().map(|(key, _)| format!("`{key}`")).collect();
            reader.error(code::MISSING, span, format!("`{}` says nowhere to look", table.what())).help =
                Some(format!("give it one of {}", all.join(", ")));
        }
        [(first, _), (second, span), ..] => {
            let message = format!("`{}` has both `{first}` and `{second}`", table.what());
            reader.error(code::CONFLICT, span.clone(), message).help = Some("write one source for each".to_owned());
        }
    }
    for (place, keys) in PLACES {
        for key in keys.iter().filter(|_| !given.iter().any(|(key, _)| *key == place)) {
            if let Some(span) = table.key_span(key) {
                let message = format!("`{}` has no effect without `{place}`", table.path(key));
                reader.warning(code::NO_EFFECT, span, message);
            }
        }
    }
    for (key, span) in given.iter().filter(|(key, _)| OPTIONAL.contains(&(*key, false))) {
        let message = format!("`{}` is not known to this program: it was built without `{key}`", table.path(key));
        reader.error(code::WRONG_VALUE, span.clone(), message).help =
            Some(format!("use one that was built with `--features {key}`"));
    }
    command
        .map(Place::Command)
        .or_else(|| url.map(|url| Place::Url(Address { url, headers, transport: None, oauth: None })))
        .or_else(|| dns.map(Place::Dns))
        .or_else(|| cluster.map(Place::Kubernetes))
        .or_else(|| mdns.map(Place::Mdns))
}

fn command(reader: &mut Reader, table: &mut Table<'_>) -> Option<Command> {
    let command = table.take("command").and_then(|node| placeholders(reader, node, &table.path("command")));
    let (args, env) = (args(reader, table), texts_by_name(reader, table, "env"));
    let cwd = table.take("cwd").and_then(|node| placeholders(reader, node, &table.path("cwd")));
    Some(Command { command: command?, args, env, cwd })
}

/// An address that tells servers: what travels in the open could be anybody's.
pub(super) fn address(reader: &mut Reader, node: &Node, what: &str) -> Option<Text> {
    let url = url(reader, node, what)?;
    let prefix = url.literal_prefix().to_ascii_lowercase();
    let is_near = |host: &str| ["localhost", "127.", "[::1]"].iter().any(|near| host.starts_with(near));
    let is_open = prefix.strip_prefix("http://").is_some_and(|host| url.is_literal() && !is_near(host));
    if is_open || prefix.starts_with("unix:") {
        let message = format!("`{what}` could be answered by anybody");
        reader.error(code::WRONG_VALUE, node.span.clone(), message).help =
            Some("use `https://`, or `http://` on this machine".to_owned());
        return None;
    }
    Some(url)
}

fn dns(reader: &mut Reader, table: &mut Table<'_>) -> Option<Dns> {
    let name = table.take("dns").and_then(|node| name(reader, node, &table.path("dns")));
    let nameserver = table.take("nameserver").and_then(|node| nameserver(reader, node, &table.path("nameserver")));
    Some(Dns { name: name?, nameserver })
}

fn mdns(reader: &mut Reader, table: &mut Table<'_>) -> Option<Mdns> {
    let kind = table.take("mdns").and_then(|node| {
        let text = reader.text(node, &table.path("mdns"))?;
        let kind = text.trim_end_matches('.');
        let is_kind = kind.starts_with('_') && (kind.ends_with("._tcp.local") || kind.ends_with("._udp.local"));
        if !is_kind {
            let message = format!("`{}` is no kind of service in the local network", table.path("mdns"));
            reader.error(code::WRONG_VALUE, node.span.clone(), message).help =
                Some("for instance `_mcp._tcp.local`".to_owned());
        }
        is_kind.then(|| format!("{kind}."))
    });
    let interfaces = texts(reader, table, "interfaces").unwrap_or_default();
    Some(Mdns { kind: kind?, interfaces })
}

fn name(reader: &mut Reader, node: &Node, what: &str) -> Option<String> {
    let name = reader.text(node, what)?;
    let labels: Vec<_> = name.trim_end_matches('.').split('.').collect();
    let is_label = |label: &&str| (1..=63).contains(&label.len()) && !label.contains(char::is_whitespace);
    if labels.len() < 2 || name.len() > 253 || !labels.iter().all(is_label) {
        reader.error(code::WRONG_VALUE, node.span.clone(), format!("`{what}` is no name to look up")).help =
            Some("a whole name, for instance `_mcp._tcp.example.com`".to_owned());
        return None;
    }
    Some(name)
}

fn nameserver(reader: &mut Reader, node: &Node, what: &str) -> Option<SocketAddr> {
    let text = reader.text(node, what)?;
    let alone = || text.parse::<IpAddr>().ok().map(|address| SocketAddr::new(address, DNS_PORT));
    let address = text.parse().ok().or_else(alone);
    if address.is_none() {
        reader.error(code::WRONG_VALUE, node.span.clone(), format!("`{what}` is no address of a name server")).help =
            Some("for instance `10.0.0.53` or `127.0.0.1:5353`".to_owned());
    }
    address
}
