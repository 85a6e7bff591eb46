//! Jobs that several tools can do, under one name that workflows and hosts use.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value as Json;

use crate::document::node::{Node, Value};
use crate::document::reader::Reader;
use crate::document::table::Table;
use crate::expr::error::Error;
use crate::expr::expression::Reference;
use crate::expr::scope::Lookup;
use crate::expr::template::Template;
use crate::expr::text::Text;
use crate::expr::value::Value as Computed;
use crate::model::code;
use crate::model::name::ToolRef;
use crate::model::problem::{Problem, Span};
use crate::policy::rank::Weights;
use crate::registry::settings::{duration, text, word};

/// How old an answer may be that stands in for a new one.
const KEPT: std::ops::RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_hours(24 * 30);

/// A job: `[capabilities."web.search"]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Capability {
    /// What models read.
    pub description: Option<String>,
    /// In which order its members are tried.
    pub route: Route,
    /// What counts how much when the order is that of the score.
    pub weights: Weights,
    /// The tools that can do it, at least one.
    pub members: Vec<Member>,
    /// What is answered if none of them can.
    pub fallback: Fallback,
}

/// What is answered when nobody can do a job.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Fallback {
    /// An earlier answer to the same question, if it is no older than that.
    pub cached: Option<Duration>,
    /// This, if there is no such answer.
    pub value: Option<Json>,
}

/// In which order members are tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route {
    /// As they are written.
    Order,
    /// The quick, idle and reliable first.
    Score,
    /// The same one first for the same caller.
    Sticky,
}

/// A tool that can do a job.
#[derive(Debug, Clone, PartialEq)]
pub struct Member {
    /// The tool.
    pub tool: ToolRef,
    /// Its arguments, over `args`, those of the job; the same if `None`.
    pub args: Option<Adapter>,
    /// The job's result, over `result`, the tool's; the same if `None`.
    pub output: Option<Adapter>,
}

impl Member {
    /// Whether `name` means this member: it is its server's.
    pub fn is_of(&self, name: &str) -> bool {
        self.tool.server == name
    }
}

/// A value computed from one other.
#[derive(Clone)]
pub struct Adapter {
    written: Json,
    root: &'static str,
    template: Template,
}

impl Adapter {
    /// Always this text.
    pub(super) fn constant(text: &str) -> Self {
        Self { written: Json::from(text), root: "", template: Template::Value(Json::from(text).into()) }
    }

    /// The value over `value`.
    pub fn apply(&self, value: &Json) -> Result<Json, Error> {
        let scope: Arc<dyn Lookup> = Arc::new(One::new(self.root, value));
        self.template.eval(&scope).map(|value| value.to_json())
    }

    /// What it refers to.
    pub(super) fn references(&self) -> Vec<&Reference> {
        self.template.references()
    }
}

impl PartialEq for Adapter {
    fn eq(&self, other: &Self) -> bool {
        (&self.written, self.root) == (&other.written, other.root)
    }
}

impl fmt::Debug for Adapter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.written.fmt(f)
    }
}

/// A scope with one root.
#[derive(Debug)]
pub(super) struct One {
    root: &'static str,
    value: Computed,
}

impl One {
    /// `root` stands for `value`.
    pub(super) fn new(root: &'static str, value: &Json) -> Self {
        Self { root, value: Computed::from_json(value) }
    }
}

impl Lookup for One {
    fn get(&self, name: &str) -> Option<Computed> {
        (name == self.root).then(|| self.value.clone())
    }

    fn names(&self) -> Vec<String> {
        vec![self.root.to_owned()]
    }
}

/// The capabilities by name.
pub type Capabilities = BTreeMap<ToolRef, Arc<Capability>>;

/// A member's tool and where it stands, to be looked for when all servers are known.
pub(super) type Named = Vec<(ToolRef, Span)>;

/// Reads the table of capabilities; those of a later file replace those of the same name. Gives back what they name.
pub(super) fn read(reader: &mut Reader, node: &Node, capabilities: &mut Capabilities) -> Named {
    let mut named = Named::new();
    let Some(mut all) = reader.table(node, "capabilities") else { return named };
    for field in all.rest() {
        let Some(name) = ToolRef::parse(&field.key) else {
            let message = format!("`{}` cannot be a capability's name", field.key);
            reader.error(code::WRONG_VALUE, field.key_span.clone(), message).help =
                Some("write two parts, quoted, such as `\"web.search\"`".to_owned());
            continue;
        };
        let found = reader.problems.len();
        let what = format!("capabilities.\"{}\"", field.key);
        let capability = reader.table(&field.value, &what).and_then(|table| capability(reader, table, &mut named));
        if let Some(capability) = capability.filter(|_| !reader.failed_since(found)) {
            capabilities.insert(name, Arc::new(capability));
        }
    }
    named
}

fn capability(reader: &mut Reader, mut table: Table<'_>, named: &mut Named) -> Option<Capability> {
    let routes = [("order", Route::Order), ("score", Route::Score), ("sticky", Route::Sticky)];
    let description = text(reader, &mut table, "description");
    let route = word(reader, &mut table, "route", &routes).unwrap_or(Route::Order);
    let weights = table.take("weights").map(|node| weights(reader, node, &table.path("weights"))).unwrap_or_default();
    let fallback =
        table.take("fallback").map(|node| fallback(reader, node, &table.path("fallback"))).unwrap_or_default();
    let what = table.path("members");
    let listed = table.require(reader, "members").and_then(|node| Some((node, reader.list(node, &what)?.iter())));
    table.finish(reader);
    let (node, listed) = listed?;
    let members: Vec<_> = listed.filter_map(|item| member(reader, item, &what, named)).collect();
    if members.is_empty() {
        reader.error(code::MISSING, node.span.clone(), format!("`{what}` names no tool"));
    }
    Some(Capability { description, route, weights, members, fallback })
}

fn fallback(reader: &mut Reader, node: &Node, what: &str) -> Fallback {
    let Some(mut table) = reader.table(node, what) else { return Fallback::default() };
    let cached = duration(reader, &mut table, "cached", KEPT);
    let value = table.take("value").map(Node::to_json);
    if value.is_none() && table.key_span("cached").is_none() {
        reader.error(code::MISSING, node.span.clone(), format!("`{what}` says nothing")).help =
            Some("write `{ cached = \"1h\" }`, `{ value = … }`, or both".to_owned());
    }
    table.finish(reader);
    Fallback { cached, value }
}

fn weights(reader: &mut Reader, node: &Node, what: &str) -> Weights {
    let mut weights = Weights::default();
    let Some(mut table) = reader.table(node, what) else { return weights };
    for (key, weight) in
        [("latency", &mut weights.latency), ("load", &mut weights.load), ("reliability", &mut weights.reliability)]
    {
        let Some(node) = table.take(key) else { continue };
        if let Some(number) = node.to_json().as_f64().filter(|number| (0.0..=1_000.0).contains(number)) {
            *weight = number;
        } else {
            let message = format!("`{}` is not a number from 0 to 1000", table.path(key));
            reader.error(code::WRONG_VALUE, node.span.clone(), message);
        }
    }
    table.finish(reader);
    weights
}

/// A tool's name alone, or a table with adapters.
fn member(reader: &mut Reader, node: &Node, what: &str, named: &mut Named) -> Option<Member> {
    let (tool, args, output, span) = if let Value::Text(tool) = &node.value {
        (tool.clone(), None, None, node.span.clone())
    } else {
        let mut table = reader.table(node, what)?;
        let tool = table.require(reader, "tool")?;
        let (tool, span) = (reader.text(tool, &table.path("tool")), tool.span.clone());
        let args = table.take("args").and_then(|node| adapter(reader, node, "args"));
        let output = table.take("output").and_then(|node| adapter(reader, node, "result"));
        table.finish(reader);
        (tool?, args, output, span)
    };
    let Some(tool) = ToolRef::parse(&tool) else {
        let message = format!("`{tool}` is no tool");
        reader.error(code::WRONG_VALUE, span, message).help = Some("write `server.tool`".to_owned());
        return None;
    };
    named.push((tool.clone(), span));
    Some(Member { tool, args, output })
}

/// A value over the one root `root`.
pub(super) fn adapter(reader: &mut Reader, node: &Node, root: &'static str) -> Option<Adapter> {
    Some(Adapter { written: node.to_json(), root, template: template(reader, node, root)? })
}

fn template(reader: &mut Reader, node: &Node, root: &'static str) -> Option<Template> {
    Some(match &node.value {
        Value::Text(text) => match Text::parse_with(text, &[root]) {
            Ok(text) => Template::Text(text),
            Err(error) => {
                let problem = Problem::error(code::BAD_EXPRESSION, &reader.source, node.span.clone(), error.message);
                reader.problem(problem.maybe_help(error.help));
                return None;
            }
        },
        Value::List(items) => {
            let items: Option<Vec<_>> = items.iter().map(|item| template(reader, item, root)).collect();
            Template::List(items?)
        }
        Value::Table(fields) => {
            let field =
                |field: &crate::document::node::Field| Some((field.key.clone(), template(reader, &field.value, root)?));
            let fields: Option<Vec<_>> = fields.iter().map(field).collect();
            Template::Table(fields?)
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => Template::Value(Computed::from_json(node.to_json())),
    })
}
