//! The catalog: an immutable snapshot of everything that is offered, and the way back from a name to its server.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Value, json};

use crate::catalog::naming::{exposed, marked};
use crate::catalog::template::fits;
use crate::model::entry::{Entry, Kind};
use crate::model::name::ToolRef;
use crate::model::suggest::nearest;
use crate::registry::server::Server;

/// The `_meta` key that holds `server.tool` for a tool of a server.
pub const ORIGIN_KEY: &str = "io.mcp-orchestrator/origin";

/// What one server contributes.
pub struct Contribution<'a> {
    /// Its registry entry.
    pub server: &'a Server,
    /// What it offers.
    pub entries: &'a [Entry],
}

/// Something that the program itself offers: a workflow or a tool of its own.
#[derive(Debug, Clone)]
pub struct Own {
    /// Its name, which no server's tool may take.
    pub name: String,
    /// The tool definition.
    pub definition: Map<String, Value>,
}

/// One entry as hosts see it.
#[derive(Debug, Clone)]
pub struct Offer {
    /// The entry itself.
    pub entry: Arc<Entry>,
    /// The definition as shown.
    definition: Box<RawValue>,
}

impl Offer {
    /// The definition as hosts see it.
    pub fn definition(&self) -> &RawValue {
        &self.definition
    }
}

/// Everything that is offered.
#[derive(Debug, Clone, Default)]
pub struct Catalog {
    reserved: BTreeSet<String>,
    prefix: bool,
    own: BTreeMap<String, Box<RawValue>>,
    tools: BTreeMap<String, Offer>,
    prompts: BTreeMap<String, Offer>,
    resources: BTreeMap<String, Offer>,
    templates: BTreeMap<String, Offer>,
    /// Tool names without their server; `None` where several servers have one.
    bare: HashMap<String, Option<String>>,
    origins: HashMap<ToolRef, Arc<Entry>>,
    /// What could not be offered, and why.
    left_out: BTreeSet<String>,
}

impl Catalog {
    /// Builds the snapshot of what servers offer. No tool of theirs takes one of the `reserved` names. Of two resources with
    /// one URI, that of the server with the lower priority number is kept.
    ///
    /// Without `prefix` names stay as they are, where no other server has the same.
    pub fn build(mut contributions: Vec<Contribution<'_>>, reserved: BTreeSet<String>, prefix: bool) -> Self {
        contributions.sort_by_key(|contribution| (contribution.server.priority, &contribution.server.name));
        let mut catalog = Self { reserved, prefix, ..Self::default() };
        for Contribution { server, entries } in contributions {
            for entry in entries {
                match entry.kind {
                    Kind::Tool if !server.tools.admits(&entry.id) => {}
                    Kind::Tool => catalog.add_tool(server, entry),
                    Kind::Prompt => catalog.add_prompt(entry),
                    Kind::Resource | Kind::Template => catalog.add_located(entry),
                }
            }
        }
        catalog
    }

    /// The same snapshot with what the program itself offers, which may depend on what the servers do.
    #[must_use]
    pub fn with_own(&self, own: Vec<Own>) -> Self {
        Self { own: own.into_iter().map(|Own { name, definition }| (name, raw(&definition))).collect(), ..self.clone() }
    }

    /// The part of it of which `is_own_shown` by our own tools' names, `is_server_shown` by servers' names, and
    /// `is_tool_shown` by the names that hosts see.
    #[must_use]
    pub fn subset(
        &self,
        is_own_shown: impl Fn(&str) -> bool,
        is_server_shown: impl Fn(&str) -> bool,
        is_tool_shown: impl Fn(&str) -> bool,
    ) -> Self {
        let mut part = self.clone();
        part.own.retain(|name, _| is_own_shown(name));
        part.tools.retain(|name, offer| is_server_shown(&offer.entry.server) && is_tool_shown(name));
        for map in [&mut part.prompts, &mut part.resources, &mut part.templates] {
            map.retain(|_, offer| is_server_shown(&offer.entry.server));
        }
        part.bare.retain(|_, name| name.as_ref().is_none_or(|name| part.tools.contains_key(name)));
        let shown: BTreeSet<_> = part.tools.values().map(|offer| (&offer.entry.server, &offer.entry.id)).collect();
        part.origins.retain(|_, entry| shown.contains(&(&entry.server, &entry.id)));
        part
    }

    /// The same snapshot in which what the program itself offers under these names is defined so.
    #[must_use]
    pub fn redefined(mut self, own: Vec<Own>) -> Self {
        for Own { name, definition } in own {
            if let Some(known) = self.own.get_mut(&name) {
                *known = raw(&definition);
            }
        }
        self
    }

    /// What could not be offered, and why: a line for each.
    pub fn left_out(&self) -> &BTreeSet<String> {
        &self.left_out
    }

    fn add_tool(&mut self, server: &Server, entry: &Entry) {
        let origin = ToolRef { server: entry.server.to_string(), tool: entry.id.clone() };
        let rule = server.tools.get(&entry.id);
        let shown_as = rule.and_then(|rule| rule.rename.as_deref()).unwrap_or(&entry.id);
        let name = self
            .free_name(&entry.server, shown_as, |name| self.reserved.contains(name) || self.tools.contains_key(name));
        let mut definition = entry.definition.clone();
        definition.insert("name".to_owned(), json!(name));
        for (key, value) in [
            ("title", rule.and_then(|rule| rule.title.as_deref())),
            ("description", rule.and_then(|rule| rule.description.as_deref())),
        ] {
            if let Some(value) = value {
                definition.insert(key.to_owned(), json!(value));
            }
        }
        // Who calls it without a task is given the result all the same.
        if let Some(support) = definition.get_mut("execution").and_then(|execution| execution.get_mut("taskSupport"))
            && support == "required"
        {
            *support = json!("optional");
        }
        mark(&mut definition, ORIGIN_KEY, json!(origin.to_string()));
        self.bare.entry(shown_as.to_owned()).and_modify(|name| *name = None).or_insert_with(|| Some(name.clone()));
        let entry = Arc::new(entry.clone());
        self.origins.insert(origin, Arc::clone(&entry));
        self.tools.insert(name, Offer { definition: raw(&definition), entry });
    }

    /// The name under which something is offered: its own if there are no prefixes, else with its server's, marked if that
    /// is taken.
    fn free_name(&self, server: &str, id: &str, is_taken: impl Fn(&str) -> bool) -> String {
        if !self.prefix && !is_taken(id) {
            return id.to_owned();
        }
        let name = exposed(server, id);
        if is_taken(&name) { marked(server, id) } else { name }
    }

    fn add_prompt(&mut self, entry: &Entry) {
        let name = self.free_name(&entry.server, &entry.id, |name| self.prompts.contains_key(name));
        let mut definition = entry.definition.clone();
        definition.insert("name".to_owned(), json!(name));
        mark(&mut definition, ORIGIN_KEY, json!(format!("{}.{}", entry.server, entry.id)));
        self.prompts.insert(name, Offer { definition: raw(&definition), entry: Arc::new(entry.clone()) });
    }

    fn add_located(&mut self, entry: &Entry) {
        let map = if entry.kind == Kind::Resource { &mut self.resources } else { &mut self.templates };
        if let Some(first) = map.get(&entry.id) {
            let (kept, uri) = (&first.entry.server, &entry.id);
            self.left_out.insert(format!("`{uri}` of `{}`, as `{kept}` has the same", entry.server));
            return;
        }
        map.insert(entry.id.clone(), Offer { definition: raw(&entry.definition), entry: Arc::new(entry.clone()) });
    }

    /// The definitions of `kind` in their order: what is ours first, then by name.
    pub fn definitions(&self, kind: Kind) -> impl Iterator<Item = &RawValue> {
        let own = self.own(kind).map(|(_, definition)| definition);
        own.chain(self.map(kind).values().map(|offer| offer.definition.as_ref()))
    }

    /// The definitions of our own that are of `kind`, by name.
    pub fn own(&self, kind: Kind) -> impl Iterator<Item = (&str, &RawValue)> {
        let own = self.own.iter().filter(move |_| kind == Kind::Tool);
        own.map(|(name, definition)| (name.as_str(), definition.as_ref()))
    }

    /// How many entries of `kind` there are, what is ours included.
    pub fn count(&self, kind: Kind) -> usize {
        self.map(kind).len() + if kind == Kind::Tool { self.own.len() } else { 0 }
    }

    /// Every offer of `kind` that is a server's, by the name or URI that hosts see.
    pub fn offers(&self, kind: Kind) -> impl Iterator<Item = (&str, &Offer)> {
        self.map(kind).iter().map(|(name, offer)| (name.as_str(), offer))
    }

    fn map(&self, kind: Kind) -> &BTreeMap<String, Offer> {
        match kind {
            Kind::Tool => &self.tools,
            Kind::Prompt => &self.prompts,
            Kind::Resource => &self.resources,
            Kind::Template => &self.templates,
        }
    }

    /// The tool under an exposed name, or under a bare name that only one server has.
    pub fn tool(&self, name: &str) -> Option<&Offer> {
        self.tools.get(name).or_else(|| self.tools.get(self.bare.get(name)?.as_deref()?))
    }

    /// Whether our own tool `name` is offered.
    pub fn has_own(&self, name: &str) -> bool {
        self.own.contains_key(name)
    }

    /// The tool of a server under its own name.
    pub fn origin(&self, tool: &ToolRef) -> Option<&Arc<Entry>> {
        self.origins.get(tool)
    }

    /// The prompt under an exposed name.
    pub fn prompt(&self, name: &str) -> Option<&Offer> {
        self.prompts.get(name)
    }

    /// The entry whose URI, or else whose template, `uri` fits.
    pub fn resource(&self, uri: &str) -> Option<&Offer> {
        let template = || self.templates.iter().find(|(template, _)| fits(template, uri)).map(|(_, offer)| offer);
        self.resources.get(uri).or_else(template)
    }

    /// A resource that nobody lists, as the results of tools may link to: it is of the only server that has any of its scheme.
    pub fn unlisted(&self, uri: &str) -> Option<Entry> {
        let scheme = |uri: &str| uri.split_once(':').map(|(scheme, _)| scheme.to_owned());
        let wanted = scheme(uri)?;
        let offers = self.resources.values().chain(self.templates.values());
        let mut kin = offers.map(|offer| &offer.entry).filter(|entry| scheme(&entry.id).as_ref() == Some(&wanted));
        let first = kin.next()?;
        kin.all(|other| other.server == first.server).then(|| Entry { id: uri.to_owned(), ..Entry::clone(first) })
    }

    /// The offered tool name nearest to `name`.
    pub fn near_tool(&self, name: &str) -> Option<&str> {
        let bare = self.bare.keys().map(String::as_str);
        nearest(name, self.tools.keys().chain(self.own.keys()).map(String::as_str).chain(bare))
    }

    /// Whether the definitions of `kind` are the same as in `other`.
    pub fn is_same(&self, other: &Self, kind: Kind) -> bool {
        self.definitions(kind).map(RawValue::get).eq(other.definitions(kind).map(RawValue::get))
    }
}

/// Adds a member to a definition's `_meta`.
pub(super) fn mark(definition: &mut Map<String, Value>, key: &str, value: Value) {
    let meta = definition.entry("_meta").or_insert_with(|| json!({}));
    if !meta.is_object() {
        *meta = json!({});
    }
    meta[key] = value;
}

/// A definition as it is sent.
pub(super) fn raw(definition: &Map<String, Value>) -> Box<RawValue> {
    to_raw_value(definition).expect("JSON values always serialise")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::effect::Effect;

    fn catalog(offers: &[(&str, &str)]) -> Catalog {
        let mut catalog = Catalog::default();
        for (server, uri) in offers {
            catalog.add_located(&Entry {
                kind: if uri.contains('{') { Kind::Template } else { Kind::Resource },
                server: (*server).into(),
                id: (*uri).to_owned(),
                definition: serde_json::Map::new(),
                effect: Effect::Read,
                path: crate::model::chain::Hops::default(),
            });
        }
        catalog
    }

    #[test]
    fn a_resource_that_nobody_lists_is_of_the_only_server_that_has_any_of_its_scheme() {
        let catalog =
            catalog(&[("notes", "note://1"), ("notes", "note://{id}"), ("a", "file:///a"), ("b", "file:///b")]);
        let owner = |uri: &str| catalog.unlisted(uri).map(|entry| (entry.server.to_string(), entry.id));
        assert_eq!(owner("note://x/y"), Some(("notes".to_owned(), "note://x/y".to_owned())));
        for nobodys in ["file:///c", "other://1", "no address"] {
            assert_eq!(owner(nobodys), None, "{nobodys}");
        }
    }
}
