//! Interceptors: what happens to calls of servers' tools on their way, beside the call itself.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value as Json;

use crate::document::node::{Node, Value};
use crate::document::reader::Reader;
use crate::document::table::Table;
use crate::expr::error::Error;
use crate::expr::expression::Expr;
use crate::expr::scope::Lookup;
use crate::model::code;
use crate::model::problem::{Problem, Span};
use crate::model::suggest::did_you_mean;
use crate::registry::capability::{Adapter, One, adapter};
use crate::registry::launch::{args, text as placeholders, texts_by_name, url};
use crate::registry::patterns::{Patterns, patterns};
use crate::registry::server::{Address, Command};
use crate::registry::settings::{duration, word};

/// What its expressions begin with.
const ROOT: &str = "call";

/// What is known of a call before it is made.
const BEFORE: [&str; 7] = ["server", "tool", "name", "effect", "arguments", "caller", "profile"];

/// What is known of it afterwards, beside that.
const AFTER: [&str; 2] = ["result", "is_error"];

/// What may be done; each interceptor does one of these.
const ACTIONS: [&str; 6] = ["deny", "set", "set_headers", "output", "command", "url"];

/// Headers that say how the program and the server understand each other are not for registries to set.
const RESERVED: [&str; 9] = [
    "host",
    "content-length",
    "content-type",
    "transfer-encoding",
    "connection",
    "accept",
    "last-event-id",
    "upgrade",
    "te",
];

/// How long a hook may take, unless the registry says.
const HOOK_TIMEOUT: Duration = Duration::from_secs(5);

/// One entry of `[[interceptors]]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Interceptor {
    /// What it is called in errors and in the log.
    pub name: String,
    /// The tools that it concerns, as `server.tool`; all of them if `None`.
    tools: Option<Patterns>,
    /// Whether it acts before or after the call.
    pub at: At,
    /// When it acts; always if `None`.
    pub when: Option<Condition>,
    /// What it does.
    pub action: Action,
}

impl Interceptor {
    /// Whether calls of `tool`, as `server.tool`, are its business.
    pub fn concerns(&self, tool: &str) -> bool {
        self.tools.as_ref().is_none_or(|tools| tools.matches(tool))
    }
}

/// On which side of the call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum At {
    /// Before anything is sent.
    Before,
    /// Once the result is there.
    After,
}

/// What an interceptor does.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Refuses the call, or withholds its result, for this reason.
    Deny(Adapter),
    /// Sets these arguments; one that becomes null is left out.
    Set(Adapter),
    /// Has the call carry these headers, if its server is reached over HTTP; one that is null is left out.
    Headers(Adapter),
    /// Replaces what the tool has put out.
    Output(Adapter),
    /// Leaves it to somebody else.
    Ask(Hook),
}

/// Somebody else who decides.
#[derive(Debug, Clone, PartialEq)]
pub struct Hook {
    /// Who.
    pub place: HookPlace,
    /// How long it may take.
    pub timeout: Duration,
    /// Whether the call goes on if there is no decision.
    pub fails_open: bool,
}

/// How a hook is asked.
#[derive(Debug, Clone, PartialEq)]
pub enum HookPlace {
    /// A program is started for each call, which reads JSON and writes JSON.
    Command(Command),
    /// JSON is posted.
    Url(Address),
}

/// An expression over the call.
#[derive(Clone, Debug)]
pub struct Condition(Expr);

impl Condition {
    /// Whether it holds for `call`.
    pub fn holds(&self, call: &Json) -> Result<bool, Error> {
        let scope: Arc<dyn Lookup> = Arc::new(One::new(ROOT, call));
        self.0.test(&scope)
    }
}

impl PartialEq for Condition {
    fn eq(&self, other: &Self) -> bool {
        self.0.source() == other.0.source()
    }
}

/// Reads `[[interceptors]]`. Those of later files come after those of earlier ones.
pub(super) fn read(reader: &mut Reader, node: &Node, interceptors: &mut Vec<Arc<Interceptor>>) {
    let Some(items) = reader.list(node, "interceptors") else { return };
    for (place, item) in items.iter().enumerate() {
        let Some(mut table) = reader.table(item, &format!("interceptors[{place}]")) else { continue };
        let found = reader.problems.len();
        let name = table.require(reader, "name").and_then(|node| reader.text(node, &table.path("name")));
        let tools = patterns(reader, &mut table, "tools");
        let name = name.unwrap_or_else(|| table.what().to_owned());
        let interceptor = interceptor(reader, &mut table, name.clone(), tools.clone());
        table.finish(reader);
        let interceptor = interceptor.filter(|_| !reader.failed_since(found));
        interceptors.push(Arc::new(interceptor.unwrap_or_else(|| broken(name, tools))));
    }
}

/// Stands in for an interceptor that cannot be understood: what it was to guard is not left open.
fn broken(name: String, tools: Option<Patterns>) -> Interceptor {
    let why = Adapter::constant("it has a mistake in the registry, which `mcp-orchestrator check` shows");
    Interceptor { name, tools, at: At::Before, when: None, action: Action::Deny(why) }
}

fn interceptor(
    reader: &mut Reader,
    table: &mut Table<'_>,
    name: String,
    tools: Option<Patterns>,
) -> Option<Interceptor> {
    let at = word(reader, table, "at", &[("before", At::Before), ("after", At::After)]);
    let when = table.take("when").and_then(|node| condition(reader, node, &table.path("when")));
    let (action, side) = action(reader, table)?;
    let at = at.or(side).unwrap_or(At::Before);
    if let Some(side) = side.filter(|side| *side != at) {
        let key =
            ["set", "set_headers", "output"].into_iter().find(|key| table.key_span(key).is_some()).unwrap_or("set");
        let right = if side == At::Before { "before" } else { "after" };
        let span = table.key_span("at").unwrap_or_else(|| table.span());
        reader.error(code::CONFLICT, span, format!("`{}` can only be done {right} a call", table.path(key)));
    }
    let interceptor = Interceptor { name, tools, at, when, action };
    check_references(reader, table, &interceptor);
    Some(interceptor)
}

/// The one thing that it does, and on which side of the call that is possible.
fn action(reader: &mut Reader, table: &mut Table<'_>) -> Option<(Action, Option<At>)> {
    let spans: Vec<(&str, Span)> = ACTIONS.iter().filter_map(|key| Some((*key, table.key_span(key)?))).collect();
    if let [_, (second, span), ..] = &spans[..] {
        let message = format!("`{}` does several things, `{}` and `{second}` among them", table.what(), spans[0].0);
        reader.error(code::CONFLICT, span.clone(), message).help =
            Some("write one interceptor for each; they act in the order in which they are written".to_owned());
    }
    let deny = table.take("deny").and_then(|node| adapter(reader, node, ROOT));
    let set = table.take("set").and_then(|node| {
        if !matches!(node.value, Value::Table(_)) {
            let message = format!("`{}` is no table of arguments", table.path("set"));
            reader.error(code::WRONG_VALUE, node.span.clone(), message);
        }
        adapter(reader, node, ROOT)
    });
    let headers = table.take("set_headers").and_then(|node| {
        check_headers(reader, node, &table.path("set_headers"));
        adapter(reader, node, ROOT)
    });
    let output = table.take("output").and_then(|node| adapter(reader, node, ROOT));
    let hook = hook(reader, table);
    if spans.is_empty() {
        let span = reader.head(&table.span());
        reader.error(code::MISSING, span, format!("`{}` does nothing", table.what())).help =
            Some(format!("give it one of `{}`", ACTIONS.join("`, `")));
    }
    deny.map(|deny| (Action::Deny(deny), None))
        .or_else(|| set.map(|set| (Action::Set(set), Some(At::Before))))
        .or_else(|| headers.map(|headers| (Action::Headers(headers), Some(At::Before))))
        .or_else(|| output.map(|output| (Action::Output(output), Some(At::After))))
        .or_else(|| hook.map(|hook| (Action::Ask(hook), None)))
}

/// Whether what stands at `node` is a table of headers that may be set.
fn check_headers(reader: &mut Reader, node: &Node, what: &str) {
    let Value::Table(fields) = &node.value else {
        reader.error(code::WRONG_VALUE, node.span.clone(), format!("`{what}` is no table of headers"));
        return;
    };
    for field in fields {
        let lower = field.key.to_ascii_lowercase();
        let is_name =
            !lower.is_empty() && lower.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
        if !is_name || RESERVED.contains(&lower.as_str()) || lower.starts_with("mcp-") {
            let message = format!("`{what}` cannot set the header `{}`", field.key);
            reader.error(code::WRONG_VALUE, field.key_span.clone(), message).help =
                Some("headers of the protocol are the program's own; others are such as `X-Tenant`".to_owned());
        }
    }
}

fn hook(reader: &mut Reader, table: &mut Table<'_>) -> Option<Hook> {
    let command = table.take("command").and_then(|node| placeholders(reader, node, &table.path("command")));
    let url = table.take("url").and_then(|node| url(reader, node, &table.path("url")));
    let (args, env) = (args(reader, table), texts_by_name(reader, table, "env"));
    let cwd = table.take("cwd").and_then(|node| placeholders(reader, node, &table.path("cwd")));
    let headers = texts_by_name(reader, table, "headers");
    let longest = Duration::from_millis(1)..=Duration::from_mins(5);
    let timeout = duration(reader, table, "timeout", longest).unwrap_or(HOOK_TIMEOUT);
    let fails_open = word(reader, table, "on_error", &[("deny", false), ("allow", true)]).unwrap_or(false);
    let place = match (command, url) {
        (Some(command), _) => HookPlace::Command(Command { command, args, env, cwd }),
        (None, Some(url)) => HookPlace::Url(Address { url, headers, transport: None, oauth: None }),
        (None, None) => {
            for key in ["args", "env", "cwd", "headers", "timeout", "on_error"] {
                if let Some(span) = table.key_span(key) {
                    let message = format!("`{}` has no effect without `command` or `url`", table.path(key));
                    reader.warning(code::NO_EFFECT, span, message);
                }
            }
            return None;
        }
    };
    Some(Hook { place, timeout, fails_open })
}

fn condition(reader: &mut Reader, node: &Node, what: &str) -> Option<Condition> {
    let text = reader.text(node, what)?;
    match Expr::parse_with(&text, &[ROOT]) {
        Ok(expr) => Some(Condition(expr)),
        Err(error) => {
            let problem = Problem::error(code::BAD_EXPRESSION, &reader.source, node.span.clone(), error.message);
            reader.problem(problem.maybe_help(error.help));
            None
        }
    }
}

/// A name that no call has would only be noticed when a call fails by it.
fn check_references(reader: &mut Reader, table: &Table<'_>, interceptor: &Interceptor) {
    let of_when = interceptor.when.as_ref().map(|when| when.0.references().iter().collect());
    let of_action = match &interceptor.action {
        Action::Deny(adapter) => Some(("deny", adapter.references())),
        Action::Set(adapter) => Some(("set", adapter.references())),
        Action::Headers(adapter) => Some(("set_headers", adapter.references())),
        Action::Output(adapter) => Some(("output", adapter.references())),
        Action::Ask(_) => None,
    };
    let known: Vec<_> = match interceptor.at {
        At::Before => BEFORE.to_vec(),
        At::After => BEFORE.into_iter().chain(AFTER).collect(),
    };
    for (key, references) in of_when.map(|references: Vec<_>| ("when", references)).into_iter().chain(of_action) {
        for reference in references {
            let (root, field) = (reference.path.first().map(String::as_str), reference.path.get(1));
            let (what, help) = match field {
                _ if root != Some(ROOT) => {
                    (root.unwrap_or_default(), Some(format!("the call is `{ROOT}`, as in `{ROOT}.arguments.path`")))
                }
                Some(field) if !known.contains(&field.as_str()) => (
                    field.as_str(),
                    did_you_mean(field, known.iter().copied())
                        .or_else(|| Some(format!("there are `{}`", known.join("`, `")))),
                ),
                _ => continue,
            };
            let span = table.key_span(key).unwrap_or_else(|| table.span());
            let message = format!("`{}` names `{what}`, which is not known here", table.path(key));
            let problem = Problem::error(code::UNKNOWN_ROOT, &reader.source, span, message);
            reader.problem(problem.maybe_help(help));
        }
    }
}

#[cfg(test)]
mod tests;
