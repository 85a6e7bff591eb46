//! A list page by page. A cursor names the last entry of its page, so that pages stay right when the catalog changes in
//! between.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use crate::catalog::snapshot::{Catalog, mark, raw};
use crate::model::chain::{Hop, Hops, PATH_KEY};
use crate::model::entry::Kind;

/// How many entries a page has. Some hosts never ask for a second page, so it is large.
pub const PAGE: usize = 1_000;

/// Where a page begins: after what is ours or a server's, of this name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cursor {
    is_servers: bool,
    name: String,
}

impl Cursor {
    /// Reads a cursor of ours.
    pub fn parse(text: &str) -> Option<Self> {
        let text = String::from_utf8(URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
        let (whose, name) = text.split_at_checked(1)?;
        let is_servers = ["o", "s"].iter().position(|known| *known == whose)? == 1;
        Some(Self { is_servers, name: name.to_owned() })
    }

    /// As hosts get it.
    pub fn to_text(&self) -> String {
        let whose = if self.is_servers { "s" } else { "o" };
        URL_SAFE_NO_PAD.encode(format!("{whose}{}", self.name))
    }
}

/// One page of a list.
pub struct Page<'a> {
    /// Its definitions.
    pub definitions: Vec<Cow<'a, RawValue>>,
    /// Where the next one begins; `None` if it is the last.
    pub next: Option<Cursor>,
}

impl Catalog {
    /// The page of `kind` that begins after `cursor`: what is ours first, then by name. For another orchestrator each
    /// definition says which it has come through, `us` as the last.
    pub fn page(&self, kind: Kind, cursor: Option<&Cursor>, us: Option<Hop>) -> Page<'_> {
        let own = self.own(kind).map(|(name, definition)| (false, name, definition, Hops::default()));
        let theirs = self.offers(kind).map(|(name, offer)| (true, name, offer.definition(), offer.entry.path));
        let is_before = |(is_servers, name, ..): &(bool, &str, &RawValue, Hops)| {
            cursor.is_some_and(|cursor| (*is_servers, *name) <= (cursor.is_servers, cursor.name.as_str()))
        };
        let mut rest = own.chain(theirs).skip_while(is_before);
        let mut page = Page { definitions: Vec::new(), next: None };
        let mut last = None;
        for (is_servers, name, definition, path) in rest.by_ref().take(PAGE) {
            last = Some(Cursor { is_servers, name: name.to_owned() });
            page.definitions.extend(match us {
                None => Some(Cow::Borrowed(definition)),
                Some(us) => with_path(definition, path, us).map(Cow::Owned),
            });
        }
        page.next = last.filter(|_| rest.next().is_some());
        page
    }
}

/// A definition that says which orchestrators it has come through; `None` if that were too many.
fn with_path(definition: &RawValue, path: Hops, us: Hop) -> Option<Box<RawValue>> {
    let mut definition: Map<String, Value> = serde_json::from_str(definition.get()).ok()?;
    mark(&mut definition, PATH_KEY, json!(path.with(us)?.to_texts()));
    Some(raw(&definition))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::snapshot::Own;

    fn catalog(count: usize) -> Catalog {
        let own =
            |n: usize| Own { name: format!("tool-{n:05}"), definition: Map::from_iter([("n".to_owned(), json!(n))]) };
        Catalog::default().with_own((0..count).map(own).collect())
    }

    #[test]
    fn the_pages_make_up_the_whole() {
        let catalog = catalog(2 * PAGE + 1);
        let mut cursor = None;
        let mut sizes = Vec::new();
        loop {
            let page = catalog.page(Kind::Tool, cursor.as_ref(), None);
            sizes.push(page.definitions.len());
            let Some(next) = page.next else { break };
            assert_eq!(Cursor::parse(&next.to_text()).as_ref(), Some(&next));
            cursor = Some(next);
        }
        assert_eq!(sizes, [PAGE, PAGE, 1]);
        assert!(self::catalog(PAGE).page(Kind::Tool, None, None).next.is_none());
    }

    #[test]
    fn what_is_no_cursor_is_not_taken_for_one() {
        for text in ["", "x", "2", "b29wcw=="] {
            assert_eq!(Cursor::parse(text), None, "{text}");
        }
    }
}
