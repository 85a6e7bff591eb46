//! `cache`, and `cached` as a fallback.

use crate::document::node::Value;
use crate::document::table::Table;
use crate::model::code;
use crate::workflow::authored::author::Author;
use crate::workflow::modifier::{Cache, Fallback};
use crate::workflow::site::{CallSite, Place, StepSites};
use crate::workflow::verb::Verb;

/// `cache: 10m`, or `{ ttl, key, scope, stale_if_error }`. The last of these is one more `fallback`.
pub(super) fn cache(
    author: &mut Author,
    table: &mut Table<'_>,
    inside: Place,
    fallback: &mut Vec<Fallback>,
    sites: &mut StepSites,
) -> Option<Cache> {
    let what = table.path("cache");
    let node = table.take("cache")?;
    if matches!(node.value, Value::Table(_)) {
        let mut table = author.reader.table(node, &what)?;
        let ttl = table
            .require(&mut author.reader, "ttl")
            .and_then(|node| author.reader.duration(node, &format!("{what}.ttl")));
        let key = table.take("key").map(|node| author.template(node, inside, &mut sites.uses));
        let scopes = [("caller", false), ("shared", true)];
        let scope = table.take("scope").and_then(|node| author.reader.word(node, &format!("{what}.scope"), &scopes));
        let stale = table.take("stale_if_error");
        if let Some(limit) = stale.and_then(|node| author.reader.duration(node, &format!("{what}.stale_if_error"))) {
            fallback.push(Fallback::Cached(limit));
            sites.fallback.push(CallSite::default());
        }
        table.finish(&mut author.reader);
        Some(Cache { ttl: ttl?, key, is_shared: scope.unwrap_or_default() })
    } else {
        Some(Cache { ttl: author.reader.duration(node, &what)?, key: None, is_shared: false })
    }
}

/// Reports a kept result that could be that of another input. A call is told by what it is asked; anything else needs a key.
pub(super) fn findable(
    author: &mut Author,
    table: &Table<'_>,
    verb: &Verb,
    (cache, fallback): (Option<&Cache>, &[Fallback]),
) {
    let wanted_by = match cache {
        Some(cache) => cache.key.is_none().then_some("cache"),
        // What is wrong with `cache` itself has been reported.
        None if table.key_span("cache").is_some() => None,
        None => fallback.iter().any(|fallback| matches!(fallback, Fallback::Cached(_))).then_some("fallback"),
    };
    let Some(wanted_by) = wanted_by.filter(|_| !verb.is_call()) else { return };
    let span = table.key_span(wanted_by).unwrap_or_else(|| table.span());
    let message = "what this step works on cannot be told, so its result cannot be found again";
    author.reader.error(code::MISSING, span, message).help =
        Some("say by what to find it: `cache: { ttl: 10m, key: $input.id }`".to_owned());
}
