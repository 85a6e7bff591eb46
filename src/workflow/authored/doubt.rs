//! `in_doubt` and `check`: what is done about a call that may have been carried out, and whose answer is lost.

use crate::document::table::Table;
use crate::model::code;
use crate::workflow::authored::author::Author;
use crate::workflow::authored::verb;
use crate::workflow::modifier::InDoubt;
use crate::workflow::site::{Place, StepSites};
use crate::workflow::verb::Verb;

/// What a step may say.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Word {
    Ask,
    Check,
    Fail,
    Retry,
}

/// `in_doubt: ask | check | fail | retry`; `check: { tool, args }` alone means `check`.
pub(super) fn in_doubt(author: &mut Author, table: &mut Table<'_>, inside: Place, sites: &mut StepSites) -> InDoubt {
    let words = [("ask", Word::Ask), ("check", Word::Check), ("fail", Word::Fail), ("retry", Word::Retry)];
    let (path, span) = (table.path("in_doubt"), table.key_span("in_doubt"));
    let word = table.take("in_doubt").and_then(|node| author.reader.word(node, &path, &words));
    let check_span = table.key_span("check");
    let check = check(author, table, inside, sites);
    match (word, check) {
        (Some(Word::Check) | None, Some(check)) => InDoubt::Check(check),
        (Some(_), Some(_)) => {
            let span = check_span.unwrap_or_default();
            author
                .reader
                .warning(code::NO_EFFECT, span, "`check` has no effect: `in_doubt` says something else")
                .help = Some("say `in_doubt: check`, or remove `check`".to_owned());
            InDoubt::Ask
        }
        (Some(Word::Check), None) => {
            if check_span.is_none() {
                author
                    .reader
                    .error(code::MISSING, span.unwrap_or_default(), "`in_doubt: check` needs a `check`")
                    .help = Some(
                    "name a tool that finds what was done: `check: { tool: server.find, args: { … } }`".to_owned(),
                );
            }
            InDoubt::Ask
        }
        (Some(Word::Fail), None) => InDoubt::Fail,
        (Some(Word::Retry), None) => InDoubt::Retry,
        (Some(Word::Ask) | None, None) => InDoubt::Ask,
    }
}

fn check(author: &mut Author, table: &mut Table<'_>, inside: Place, sites: &mut StepSites) -> Option<Verb> {
    let what = table.path("check");
    let node = table.take("check")?;
    let mut table = author.reader.table(node, &what)?;
    let tool = table.require(&mut author.reader, "tool");
    let args = verb::arguments(author, table.take("args"), &what, inside, sites);
    let tool = tool.and_then(|tool| verb::tool_name(author, tool, &format!("{what}.tool")));
    table.finish(&mut author.reader);
    Some(Verb::Tool { tool: tool?, args, providers: Vec::new() })
}
