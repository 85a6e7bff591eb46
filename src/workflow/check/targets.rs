//! What steps call, and whether it exists.

use crate::expr::template::Template;
use crate::model::code;
use crate::model::code::Code;
use crate::model::name::ToolRef;
use crate::model::problem::{Patch, Problem, Span};
use crate::model::suggest;
use crate::workflow::definition::{Step, Workflow};
use crate::workflow::modifier::Fallback;
use crate::workflow::site::CallSite;
use crate::workflow::surroundings::{Facts, Surroundings};
use crate::workflow::verb::Verb;

/// One call that a step may make.
pub(super) struct Called<'a> {
    /// Whom.
    pub(super) target: Target<'a>,
    /// With what.
    pub(super) args: &'a Template,
    /// Where the target stands.
    pub(super) target_site: &'a CallSite,
    /// Where the arguments stand; for a fallback without any, those of the step.
    pub(super) args_site: &'a CallSite,
}

/// Whom a step calls.
pub(super) enum Target<'a> {
    /// A tool.
    Tool(&'a ToolRef),
    /// A workflow.
    Workflow(&'a str),
}

/// The calls of a step itself: its verb's, then those of its fallbacks.
pub(super) fn calls(step: &Step) -> Vec<Called<'_>> {
    let own = &step.sites.call;
    let (target, args) = match &step.verb {
        Verb::Tool { tool, args, .. } => (Some(Target::Tool(tool)), Some(args)),
        Verb::Workflow { name, args, .. } => (Some(Target::Workflow(name)), Some(args)),
        _ => (None, None),
    };
    let verb = target.zip(args).map(|(target, args)| Called { target, args, target_site: own, args_site: own });
    let fallbacks = step.fallback.iter().zip(&step.sites.fallback).filter_map(|(fallback, site)| match fallback {
        Fallback::Tool { tool, args: Some(given), .. } => {
            Some(Called { target: Target::Tool(tool), args: given, target_site: site, args_site: site })
        }
        Fallback::Tool { tool, args: None, .. } => {
            Some(Called { target: Target::Tool(tool), args: args?, target_site: site, args_site: own })
        }
        Fallback::Workflow { name, args: Some(given), .. } => {
            Some(Called { target: Target::Workflow(name), args: given, target_site: site, args_site: site })
        }
        Fallback::Workflow { name, args: None, .. } => {
            Some(Called { target: Target::Workflow(name), args: args?, target_site: site, args_site: own })
        }
        Fallback::Cached(_) | Fallback::Value(_) => None,
    });
    verb.into_iter().chain(fallbacks).collect()
}

/// What is known of the target; nothing if its server has not been heard of yet.
pub(super) fn resolve(
    workflow: &Workflow,
    surroundings: &dyn Surroundings,
    call: &Called<'_>,
) -> Result<Option<Facts>, Box<Problem>> {
    let unknown = |code: Code, message: String, wanted: &str, prefix: &str, known: &[String]| {
        let span = call.target_site.target.clone();
        let problem = Problem::error(code, &workflow.source, span, message);
        let problem = match suggest::nearest(wanted, known.iter().map(String::as_str)) {
            Some(near) => {
                let patch = rename(workflow, &problem.span, wanted, near);
                Problem { patch, ..problem.help(format!("did you mean `{prefix}{near}`?")) }
            }
            None => problem.maybe_help(listed(known)),
        };
        Box::new(problem)
    };
    match call.target {
        Target::Workflow(name) => {
            let facts = surroundings.workflow(name);
            if facts.is_none() {
                let message = format!("no workflow `{name}`");
                return Err(unknown(code::UNKNOWN_WORKFLOW, message, name, "", &surroundings.workflows()));
            }
            Ok(facts)
        }
        Target::Tool(tool) => {
            let servers = surroundings.servers();
            if !servers.contains(&tool.server) {
                let message = format!("no server `{}`", tool.server);
                return Err(unknown(code::UNKNOWN_SERVER, message, &tool.server, "", &servers));
            }
            let facts = surroundings.tool(tool);
            match surroundings.tools_of(&tool.server) {
                Some(tools) if facts.is_none() && !tools.contains(&tool.tool) => {
                    let message = format!("server `{}` has no tool `{}`", tool.server, tool.tool);
                    let prefix = format!("{}.", tool.server);
                    Err(unknown(code::UNKNOWN_TOOL, message, &tool.tool, &prefix, &tools))
                }
                _ => Ok(facts),
            }
        }
    }
}

/// Replaces the name where the file shows it as it is. What stands before a tool's name is its server's.
fn rename(workflow: &Workflow, span: &Span, wanted: &str, near: &str) -> Option<Patch> {
    let written = workflow.source.text.get(span.clone())?;
    let is_tool = written.trim_end_matches(['"', '\'']).ends_with(&format!(".{wanted}"));
    let start = span.start + if is_tool { written.rfind(wanted)? } else { written.find(wanted)? };
    Some(Patch { span: start..start + wanted.len(), replacement: near.to_owned() })
}

fn listed(known: &[String]) -> Option<String> {
    (1..=12).contains(&known.len()).then(|| format!("there are `{}`", known.join("`, `")))
}
