//! What a step does when it is tried, verb by verb.

use std::sync::Arc;

use serde_json::{Value as Json, json};

use crate::engine::block::BlockFrame;
use crate::engine::branch::{self, ParallelFrame};
use crate::engine::call::CallFrame;
use crate::engine::command::{Callee, StepCall};
use crate::engine::delegation;
use crate::engine::event::Failure;
use crate::engine::frame::Kind;
use crate::engine::place::Door;
use crate::engine::scope::Scope;
use crate::engine::step::StepFrame;
use crate::engine::turn::Turn;
use crate::engine::wait::WaitFrame;
use crate::expr::template::Template;
use crate::expr::value::Value;
use crate::model::code;
use crate::model::effect::Effect;
use crate::model::fault;
use crate::workflow::definition::{Step, Verb};

/// What has come of a verb at once.
pub(super) enum Deed {
    /// Something that must run first.
    Started(Box<Kind>),
    /// A value.
    Done(Value),
    /// The output of the whole run.
    Return(Value),
}

/// Does what the step's verb says; `number` is the attempt's.
pub(super) fn perform(frame: &StepFrame, turn: &Turn<'_>, number: u32) -> Result<Deed, Box<Failure>> {
    let step = frame.step(turn);
    let value = |template: &Template, what: &str| frame.scope.value(template, what, Some(&frame.at));
    let block = |door: Door| {
        let prefix = format!("{}/", frame.at);
        Deed::Started(Kind::Block(BlockFrame::new(frame.place.enter(door), prefix, frame.scope.clone())).into())
    };
    let ask = |callee: Callee, args: &Template| {
        let arguments = arguments(Some(args), &frame.scope, &frame.at)?;
        let call = call(frame, step, (callee, step.own_effect), arguments, number);
        Ok(Deed::Started(Kind::Call(call).into()))
    };
    match &step.verb {
        Verb::Tool { tool, args } => ask(Callee::Tool(tool.clone()), args),
        Verb::Workflow { name, args } => ask(Callee::Workflow(Arc::clone(name)), args),
        Verb::Llm(llm) => {
            let asked = delegation::question(llm, step, &frame.scope, &frame.at)?;
            let call = call(frame, step, (Callee::Model, step.own_effect), asked, number);
            Ok(Deed::Started(Kind::Call(call).into()))
        }
        Verb::Agent(errand) => {
            let sees = (&frame.scope, &turn.state.board);
            let (given, shared) = delegation::errand(errand, step, sees, &frame.at)?;
            let callee = Callee::Agent(Arc::clone(&errand.agent));
            let call = call(frame, step, (callee, step.own_effect), given, number).sharing(shared);
            Ok(Deed::Started(Kind::Call(call).into()))
        }
        Verb::Set(template) => Ok(Deed::Done(value(template, "set")?)),
        Verb::Return(template) => Ok(Deed::Return(value(template, "return")?)),
        Verb::Fail(template) => Err(failed(&value(template, "fail")?).into()),
        Verb::Wait(wait) => {
            let wait = WaitFrame::new(wait, &frame.scope, &frame.at, turn.now())?;
            Ok(Deed::Started(Kind::Wait(wait).into()))
        }
        Verb::Steps(_) => Ok(block(Door::Body)),
        Verb::Parallel(_, join) => {
            let parallel = ParallelFrame::new(frame.place.clone(), Arc::clone(&frame.at), frame.scope.clone(), *join);
            Ok(Deed::Started(Kind::Parallel(parallel).into()))
        }
        Verb::Switch(cases) => Ok(match branch::choose(cases, &frame.scope, &frame.at)? {
            Some(case) => block(Door::Part(case)),
            None => Deed::Done(Value::null()),
        }),
    }
}

/// A call that the step makes of somebody, who may do so much.
pub(super) fn call(
    frame: &StepFrame,
    step: &Step,
    (callee, effect): (Callee, Effect),
    arguments: Json,
    attempt: u32,
) -> CallFrame {
    let at = frame.at.to_string();
    let (timeout, allowance) = (step.timeout, step.limits.allowance);
    let call = StepCall { at, attempt, callee, arguments, effect, timeout, allowance, is_afterwards: false };
    CallFrame::new(Arc::clone(&frame.at), call, step.optional)
}

/// The arguments of a call; without any, an empty object.
pub(super) fn arguments(args: Option<&Template>, scope: &Scope, at: &str) -> Result<Json, Box<Failure>> {
    let Some(args) = args else { return Ok(json!({})) };
    match scope.value(args, "args", Some(at))?.to_json() {
        Json::Null => Ok(json!({})),
        arguments @ Json::Object(_) => Ok(arguments),
        other => {
            let message = format!("`args` of step `{at}` must be an object, but is {}", Value::from_json(other).kind());
            Err(Failure::new(fault::Kind::Invalid, code::EXPRESSION_FAILED, message).at(at).into())
        }
    }
}

/// The arguments that a verb has.
pub(super) fn arguments_of(verb: &Verb) -> Option<&Template> {
    match verb {
        Verb::Tool { args, .. } | Verb::Workflow { args, .. } => Some(args),
        _ => None,
    }
}

/// What a verb is called in what the run shows.
pub(super) fn label(verb: &Verb) -> Arc<str> {
    match verb {
        Verb::Tool { tool, .. } => tool.to_string().into(),
        Verb::Workflow { name, .. } => Arc::clone(name),
        Verb::Llm(_) => "llm".into(),
        Verb::Agent(errand) => Arc::clone(&errand.agent),
        Verb::Set(_) => "set".into(),
        Verb::Parallel(..) => "parallel".into(),
        Verb::Switch(_) => "switch".into(),
        Verb::Steps(_) => "steps".into(),
        Verb::Wait(_) => "wait".into(),
        Verb::Fail(_) => "fail".into(),
        Verb::Return(_) => "return".into(),
    }
}

/// The failure that a `fail` step stands for.
fn failed(message: &Value) -> Failure {
    let message = match message.to_json() {
        Json::String(text) => text,
        other => other.to_string(),
    };
    Failure::new(fault::Kind::Rejected, code::FAILED_BY_WORKFLOW, message)
}
