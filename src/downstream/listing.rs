//! What a server offers: its lists drained page by page, each definition judged by itself.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::downstream::request::Request;
use crate::downstream::session::Session;
use crate::downstream::stdio::tail::harmless;
use crate::model::chain::{Hop, Hops, PATH_KEY};
use crate::model::effect::Effect;
use crate::model::entry::{Entry, Kind};
use crate::model::fault::Fault;
use crate::model::freshness::Freshness;
use crate::model::limits::Limits;
use crate::registry::server::Server;
use crate::wire::mirror::{Mirrored, mirrored};

/// How many pages of one list are read.
const MAX_PAGES: usize = 200;

/// How many entries of one kind a server may offer.
const MAX_ENTRIES: usize = 20_000;

/// The longest description that is passed on, in characters.
const MAX_DESCRIPTION: usize = 8_000;

/// Everything a server offers, in its own order.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Listing {
    /// The usable entries of every kind.
    pub entries: Vec<Entry>,
    /// Its advice to models.
    pub instructions: Option<String>,
    /// Definitions that were left out, each with the reason.
    pub rejected: Vec<String>,
    /// How long it all may be kept; `None` if there is no list at all.
    pub freshness: Option<Freshness>,
}

/// Asks `session` for every list that its server has, on behalf of the orchestrator that is us. What has come through us
/// already is left out.
pub async fn list(session: &Session, server: &Server, us: Hop) -> Result<Listing, Fault> {
    let about = session.about();
    let mut listing = Listing { instructions: about.instructions.clone(), ..Listing::default() };
    for kind in Kind::ALL {
        let capability = match kind {
            Kind::Tool => "tools",
            Kind::Prompt => "prompts",
            Kind::Resource | Kind::Template => "resources",
        };
        if !about.can(capability) {
            continue;
        }
        match drain(session, (server, us), kind, &mut listing).await {
            // Many servers have resources but no templates, and say so with an error.
            Err(fault) if kind == Kind::Template && fault.rpc.is_some() => {}
            result => result?,
        }
    }
    if let Some(link) = session.mirrors() {
        link.mirror(headers(&mut listing));
    }
    for rejected in &listing.rejected {
        tracing::warn!(server = %server.name, "left out: {rejected}");
    }
    Ok(listing)
}

/// Which arguments of which tools headers are to repeat. Tools that want it in a way that cannot be followed are left out, as
/// a client over HTTP must (2026-07-28, basic/transports).
fn headers(listing: &mut Listing) -> HashMap<String, Vec<Mirrored>> {
    let mut wanted = HashMap::new();
    let (entries, rejected) = (&mut listing.entries, &mut listing.rejected);
    entries.retain(|entry| match mirrored(entry.definition.get("inputSchema").unwrap_or_default()) {
        _ if entry.kind != Kind::Tool => true,
        Ok(arguments) => {
            if !arguments.is_empty() {
                wanted.insert(entry.id.clone(), arguments);
            }
            true
        }
        Err(why) => {
            rejected.push(format!("tool `{}`: {why}", entry.id));
            false
        }
    });
    wanted
}

async fn drain(
    session: &Session,
    (server, us): (&Server, Hop),
    kind: Kind,
    listing: &mut Listing,
) -> Result<(), Fault> {
    let mut cursors = HashSet::new();
    let mut seen = HashSet::new();
    let limits = Limits { hops: Hops::default().with(us).unwrap_or_default(), ..Limits::default() };
    let mut request = Request { limits, ..Request::new(kind.list_method()) };
    for _ in 0..MAX_PAGES {
        let page = session.request(&request).await?;
        let (items, cursor, freshness) = read_page(&page, kind.list_key());
        listing.freshness = Some(listing.freshness.unwrap_or(Freshness::MOST).and(freshness));
        for item in items {
            match read_entry(item, kind, server) {
                Ok(entry) if entry.path.contains(us) => {}
                Ok(entry) if seen.contains(&entry.id) => {
                    listing.rejected.push(format!("a second `{}` in {}", entry.id, kind.list_method()));
                }
                Ok(entry) => {
                    seen.insert(entry.id.clone());
                    listing.entries.push(entry);
                }
                Err(why) => listing.rejected.push(why),
            }
            if seen.len() >= MAX_ENTRIES {
                listing.rejected.push(format!("everything in {} beyond {MAX_ENTRIES} entries", kind.list_method()));
                return Ok(());
            }
        }
        match cursor {
            Some(cursor) if cursors.insert(cursor.clone()) => {
                request = Request { limits, ..Request::new(kind.list_method()).with_text("cursor", &cursor) };
            }
            Some(_) => {
                listing.rejected.push(format!("further pages of {}: a cursor came back twice", kind.list_method()));
                return Ok(());
            }
            None => return Ok(()),
        }
    }
    listing.rejected.push(format!("everything in {} beyond {MAX_PAGES} pages", kind.list_method()));
    Ok(())
}

/// The raw items of a page, the cursor of the next one, and how long it may be kept.
fn read_page<'a>(page: &'a RawValue, key: &str) -> (Vec<&'a RawValue>, Option<String>, Freshness) {
    #[derive(Deserialize)]
    struct Page<'a> {
        #[serde(borrow, default)]
        tools: Option<&'a RawValue>,
        #[serde(borrow, default)]
        prompts: Option<&'a RawValue>,
        #[serde(borrow, default)]
        resources: Option<&'a RawValue>,
        #[serde(borrow, default, rename = "resourceTemplates")]
        templates: Option<&'a RawValue>,
        #[serde(borrow, default, rename = "nextCursor")]
        cursor: Option<&'a RawValue>,
        #[serde(borrow, default, rename = "ttlMs")]
        ttl: Option<&'a RawValue>,
        #[serde(borrow, default, rename = "cacheScope")]
        scope: Option<&'a RawValue>,
    }
    let Ok(page) = serde_json::from_str::<Page<'_>>(page.get()) else {
        return (Vec::new(), None, Freshness::default());
    };
    let list = match key {
        "tools" => page.tools,
        "prompts" => page.prompts,
        "resources" => page.resources,
        _ => page.templates,
    };
    let items = list.and_then(|list| serde_json::from_str(list.get()).ok()).unwrap_or_default();
    let cursor = page.cursor.and_then(|cursor| serde_json::from_str::<String>(cursor.get()).ok());
    let ttl = page.ttl.and_then(|ttl| ttl.get().parse().ok()).map_or(Duration::ZERO, Duration::from_millis);
    let is_public = page.scope.is_some_and(|scope| scope.get() == "\"public\"");
    (items, cursor.filter(|cursor| !cursor.is_empty()), Freshness { ttl, is_public })
}

/// One definition, or why it is left out.
fn read_entry(item: &RawValue, kind: Kind, server: &Server) -> Result<Entry, String> {
    let what = kind.list_method();
    let definition: Map<String, Value> =
        serde_json::from_str(item.get()).map_err(|error| format!("an entry of {what}: {error}"))?;
    let id = definition.get(kind.id_key()).and_then(Value::as_str).unwrap_or_default().to_owned();
    let is_named = matches!(kind, Kind::Tool | Kind::Prompt);
    if id.is_empty() || (is_named && (id.len() > 128 || id.chars().any(|c| c.is_control() || c.is_whitespace()))) {
        return Err(format!("an entry of {what}: its `{}` is not usable", kind.id_key()));
    }
    if kind == Kind::Tool && !definition.get("inputSchema").is_some_and(Value::is_object) {
        return Err(format!("tool `{id}`: its `inputSchema` is not an object"));
    }
    Ok(judged(kind, id, definition, server))
}

/// A definition with what the registry and we make of it.
pub(super) fn judged(kind: Kind, id: String, mut definition: Map<String, Value>, server: &Server) -> Entry {
    for key in ["title", "description"] {
        match definition.get_mut(key) {
            Some(Value::String(text)) => *text = tidy(text),
            Some(_) => {
                definition.shift_remove(key);
            }
            None => {}
        }
    }
    let effect = match kind {
        Kind::Tool => effect_of(&id, &definition, server),
        _ => Effect::Read,
    };
    let path = take_path(&mut definition);
    Entry { kind, server: Arc::clone(&server.name), id, definition, effect, path }
}

/// The orchestrators that a definition says it has come through; that is not for hosts.
fn take_path(definition: &mut Map<String, Value>) -> Hops {
    let Some(meta) = definition.get_mut("_meta").and_then(Value::as_object_mut) else { return Hops::default() };
    let path = meta.shift_remove(PATH_KEY).and_then(|path| serde_json::from_value::<Vec<String>>(path).ok());
    path.map_or_else(Hops::default, |path| Hops::of_texts(&path))
}

fn effect_of(tool: &str, definition: &Map<String, Value>, server: &Server) -> Effect {
    if let Some(effect) = server.tools.get(tool).and_then(|rule| rule.effect) {
        return effect;
    }
    let annotations = definition.get("annotations").and_then(Value::as_object);
    Effect::from_annotations(annotations.filter(|_| server.trusted))
}

/// Text for people and models, without control characters and of bounded length.
fn tidy(text: &str) -> String {
    let lines: Vec<_> = text.chars().take(MAX_DESCRIPTION).collect::<String>().lines().map(harmless).collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_read_however_odd_its_items_are() {
        let raw = RawValue::from_string(r#"{"tools":[{"name":"a"},5,null],"nextCursor":"x","extra":{}}"#.to_owned());
        let raw = raw.expect("JSON");
        let (items, cursor, freshness) = read_page(&raw, "tools");
        assert_eq!((items.len(), cursor.as_deref(), freshness), (3, Some("x"), Freshness::default()));
        assert_eq!(read_page(&raw, "prompts").0.len(), 0);
    }
}
