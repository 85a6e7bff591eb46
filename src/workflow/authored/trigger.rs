//! `triggers`: what sets a workflow off.

use std::str::FromStr as _;
use std::sync::Arc;

use croner::Cron;
use jiff::tz::TimeZone;

use crate::document::node::{Node, Value};
use crate::document::table::Table;
use crate::model::code;
use crate::model::name::is_event_name;
use crate::workflow::authored::author::Author;
use crate::workflow::conduct::{Missed, Overlap, Source, Trigger};
use crate::workflow::site::{Place, Use};

/// What a trigger may be.
const SOURCES: [&str; 5] = ["cron", "webhook", "file", "mcp", "event"];

/// The triggers of a workflow: a list, or a single one.
pub(super) fn triggers(author: &mut Author, table: &mut Table<'_>, uses: &mut Vec<Use>) -> Vec<Trigger> {
    let Some(node) = table.take("triggers") else { return Vec::new() };
    match &node.value {
        Value::List(items) => {
            let places = items.iter().enumerate();
            places.filter_map(|(place, item)| trigger(author, item, &format!("triggers[{place}]"), uses)).collect()
        }
        _ => trigger(author, node, "triggers", uses).into_iter().collect(),
    }
}

fn trigger(author: &mut Author, node: &Node, what: &str, uses: &mut Vec<Use>) -> Option<Trigger> {
    let mut table = author.reader.table(node, what)?;
    let given: Vec<_> = SOURCES.into_iter().filter(|source| table.key_span(source).is_some()).collect();
    let source = match given.as_slice() {
        ["cron"] => cron(author, &mut table),
        ["webhook"] => webhook(author, &mut table),
        ["file"] => word(author, &mut table, "file").map(Source::File),
        ["mcp"] => mcp(author, &mut table),
        ["event"] => event(author, &mut table),
        [] => {
            let span = author.head(&node.span);
            let message = format!("`{what}` needs one of `{}`", SOURCES.join("`, `"));
            author.reader.error(code::MISSING, span, message);
            None
        }
        _ => {
            let span = author.head(&node.span);
            let message = format!("`{what}` has all of `{}`, but is one trigger", given.join("`, `"));
            author.reader.error(code::CONFLICT, span, message).help = Some("make two triggers of it".to_owned());
            for source in SOURCES {
                table.take(source);
            }
            None
        }
    };
    let when_key = table.path("when");
    let when = table.take("when").and_then(|node| author.condition(node, &when_key, Place::Trigger, uses));
    let input = table.take("input").map(|node| author.template(node, Place::Trigger, uses));
    let overlaps = [
        ("queue", Overlap::Queue),
        ("skip", Overlap::Skip),
        ("cancel_previous", Overlap::CancelPrevious),
        ("parallel", Overlap::Parallel),
    ];
    let overlap_key = table.path("overlap");
    let overlap = table.take("overlap").and_then(|node| author.reader.word(node, &overlap_key, &overlaps));
    table.finish(&mut author.reader);
    Some(Trigger { source: source?, when, input, overlap: overlap.unwrap_or_default() })
}

fn word(author: &mut Author, table: &mut Table<'_>, key: &'static str) -> Option<Arc<str>> {
    let what = table.path(key);
    table.take(key).and_then(|node| author.reader.text(node, &what)).map(Arc::from)
}

fn cron(author: &mut Author, table: &mut Table<'_>) -> Option<Source> {
    let what = table.path("cron");
    let node = table.take("cron");
    let pattern = node.and_then(|node| author.reader.text(node, &what));
    if let (Some(node), Some(pattern)) = (node, &pattern)
        && let Err(error) = Cron::from_str(pattern)
    {
        let message = format!("`{pattern}` is no cron pattern: {error}");
        author.reader.error(code::WRONG_VALUE, node.span.clone(), message).help =
            Some("five fields: minute, hour, day, month, weekday; for example `0 6 * * MON-FRI`".to_owned());
    }
    let what = table.path("timezone");
    let zone = table.take("timezone");
    let timezone = zone.and_then(|node| author.reader.text(node, &what));
    if let (Some(node), Some(name)) = (zone, &timezone)
        && TimeZone::get(name).is_err()
    {
        author.reader.error(code::WRONG_VALUE, node.span.clone(), format!("there is no time zone `{name}`")).help =
            Some("for example `Europe/Berlin`, or `UTC`".to_owned());
    }
    let words = [("once", Missed::Once), ("skip", Missed::Skip), ("all", Missed::All)];
    let what = table.path("missed");
    let missed = table.take("missed").and_then(|node| author.reader.word(node, &what, &words)).unwrap_or_default();
    Some(Source::Cron { pattern: pattern?.into(), timezone: timezone.map(Arc::from), missed })
}

fn webhook(author: &mut Author, table: &mut Table<'_>) -> Option<Source> {
    let what = table.path("webhook");
    let node = table.take("webhook");
    let path = node.and_then(|node| author.reader.text(node, &what));
    if let (Some(node), Some(path)) = (node, &path)
        && !path.starts_with('/')
    {
        let message = format!("`{what}` must be a path, such as `/hooks/{path}`");
        author.reader.error(code::WRONG_VALUE, node.span.clone(), message);
    }
    let what = table.path("verify");
    let verify = table.take("verify").and_then(|node| author.reader.table(node, &what));
    let hmac = verify.and_then(|mut verify| {
        let hmac = word(author, &mut verify, "hmac");
        verify.finish(&mut author.reader);
        hmac
    });
    Some(Source::Webhook { path: path?.into(), hmac })
}

fn mcp(author: &mut Author, table: &mut Table<'_>) -> Option<Source> {
    let what = table.path("mcp");
    let node = table.take("mcp");
    let uri = word(author, table, "uri");
    let text = node.and_then(|node| author.reader.text(node, &what))?;
    let Some((server, notification)) =
        text.split_once('.').filter(|(server, rest)| !server.is_empty() && !rest.is_empty())
    else {
        let span = node.map(|node| node.span.clone()).unwrap_or_default();
        author.reader.error(code::WRONG_VALUE, span, format!("`{what}` must be `server.notification`")).help =
            Some("for example `shop.resources/updated`".to_owned());
        return None;
    };
    Some(Source::Mcp { server: server.into(), notification: notification.into(), uri })
}

fn event(author: &mut Author, table: &mut Table<'_>) -> Option<Source> {
    let what = table.path("event");
    let node = table.take("event")?;
    let text = author.reader.text(node, &what)?;
    if !is_event_name(&text) {
        author.reader.error(code::WRONG_VALUE, node.span.clone(), format!("`{text}` cannot name an event"));
        return None;
    }
    Some(Source::Event(text.into()))
}
