//! Models and agents that steps name, and whether there are such.

use std::sync::Arc;

use crate::expr::template::Template;
use crate::model::code;
use crate::model::code::Code;
use crate::model::name::{OURS, SAMPLING, ToolRef, is_pattern};
use crate::model::problem::{Problem, Span};
use crate::model::suggest;
use crate::workflow::check::targets::{Called, Target, resolve};
use crate::workflow::definition::{Step, Workflow};
use crate::workflow::delegation::Llm;
use crate::workflow::surroundings::Surroundings;
use crate::workflow::verb::Verb;

/// What is wrong with the models, tools, agents and providers that a step names.
pub(super) fn check(workflow: &Workflow, surroundings: &dyn Surroundings, step: &Step) -> Vec<Problem> {
    match &step.verb {
        Verb::Llm(llm) => {
            let models = models(workflow, surroundings, llm);
            models.into_iter().chain(tools(workflow, surroundings, llm)).collect()
        }
        Verb::Agent(errand) => no_such_agent(workflow, surroundings, &errand.agent, &errand.site).into_iter().collect(),
        Verb::Tool { tool, providers, .. } if !providers.is_empty() => {
            let Some(known) = surroundings.providers(tool) else {
                let message = format!("`{tool}` is no capability, so nobody else can do its job");
                let span = providers[0].1.clone();
                let problem = Problem::error(code::NO_EFFECT, &workflow.source, span, message);
                return vec![problem.help("capabilities stand under `[capabilities]` in the registry")];
            };
            let wrong = providers.iter().filter(|(name, _)| !known.iter().any(|known| **known == **name));
            wrong
                .map(|(name, span)| unknown(workflow, (code::UNKNOWN_SERVER, "provider"), name, span, &known))
                .collect()
        }
        _ => Vec::new(),
    }
}

fn models(workflow: &Workflow, surroundings: &dyn Surroundings, llm: &Llm) -> Vec<Problem> {
    let Some(known) = surroundings.models() else { return Vec::new() };
    let constant = |template: &Template| template.as_literal()?.as_str().map(Arc::from);
    let named: Vec<(Arc<str>, Span)> = if llm.providers.is_empty() {
        llm.model.as_ref().and_then(constant).map(|name| (name, llm.model_site.clone())).into_iter().collect()
    } else {
        llm.providers.clone()
    };
    if named.is_empty() && llm.model.is_none() && known.len() > 1 {
        let message = "the registry has several models, and the step does not say which it asks".to_owned();
        let problem = Problem::error(code::MISSING, &workflow.source, llm.site.clone(), message);
        return vec![problem.help(format!("add `model: {}`", known[0]))];
    }
    let known: Vec<_> = known.into_iter().chain([SAMPLING.to_owned()]).collect();
    named
        .iter()
        .filter(|(name, _)| !known.iter().any(|known| **known == **name))
        .map(|(name, span)| unknown(workflow, (code::UNKNOWN_MODEL, "model"), name, span, &known))
        .collect()
}

fn tools(workflow: &Workflow, surroundings: &dyn Surroundings, llm: &Llm) -> Vec<Problem> {
    let nothing = Template::Table(Vec::new());
    let wrong = llm.tools.iter().filter_map(|(name, site)| {
        let tool = ToolRef::parse(name).filter(|_| !is_pattern(name))?;
        let [of_workflows, of_agents] = OURS;
        if tool.server == of_agents {
            return no_such_agent(workflow, surroundings, &tool.tool, &site.target);
        }
        let target = if tool.server == of_workflows { Target::Workflow(&tool.tool) } else { Target::Tool(&tool) };
        let call = Called { target, args: &nothing, target_site: site, args_site: site };
        resolve(workflow, surroundings, &call).err().map(|problem| *problem)
    });
    wrong.collect()
}

fn no_such_agent(workflow: &Workflow, surroundings: &dyn Surroundings, name: &str, site: &Span) -> Option<Problem> {
    let known = surroundings.agents().filter(|known| !known.iter().any(|known| **known == *name))?;
    Some(unknown(workflow, (code::UNKNOWN_AGENT, "agent"), name, site, &known))
}

fn unknown(workflow: &Workflow, (code, what): (Code, &str), name: &str, span: &Span, known: &[String]) -> Problem {
    let problem = Problem::error(code, &workflow.source, span.clone(), format!("no {what} `{name}`"));
    match suggest::nearest(name, known.iter().map(String::as_str)) {
        Some(near) => problem.help(format!("did you mean `{near}`?")),
        None if (1..=12).contains(&known.len()) => problem.help(format!("there are `{}`", known.join("`, `"))),
        None => problem.help(format!("{what}s stand under `[{what}s]` in the registry")),
    }
}
