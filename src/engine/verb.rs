//! What a step does when it is tried, verb by verb.

use std::sync::Arc;

use serde_json::{Value as Json, json};

use crate::engine::arrival::AwaitFrame;
use crate::engine::ask::AskFrame;
use crate::engine::block::BlockFrame;
use crate::engine::board::Seen;
use crate::engine::branch::{self, ParallelFrame};
use crate::engine::call::CallFrame;
use crate::engine::command::{Callee, StepCall, StepQuestion};
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
use crate::workflow::definition::Step;
use crate::workflow::verb::Verb;

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
pub(super) fn perform(frame: &StepFrame, turn: &mut Turn<'_>, number: u32) -> Result<Deed, Box<Failure>> {
    let step = frame.step(turn);
    let value = |template: &Template, what: &str| frame.scope.value(template, what, Some(&frame.at));
    let block = |door: Door| {
        let prefix = format!("{}/", frame.at);
        Deed::Started(Kind::Block(BlockFrame::new(frame.place.enter(door), prefix, frame.scope.clone())).into())
    };
    if let Some(Asked { callee, arguments, shared }) = asked(frame, turn)? {
        let call =
            call(frame, step, (callee, step.own_effect), arguments, number).sharing(shared).keyed(key(frame, step)?);
        return Ok(Deed::Started(Kind::Call(call).into()));
    }
    match &step.verb {
        Verb::Tool { .. } | Verb::Workflow { .. } | Verb::Llm(_) | Verb::Agent(_) => Ok(Deed::Done(Value::null())),
        Verb::Set(template) => Ok(Deed::Done(value(template, "set")?)),
        Verb::Return(template) => Ok(Deed::Return(value(template, "return")?)),
        Verb::Fail(template) => Err(failed(&value(template, "fail")?).into()),
        Verb::Wait(wait) => {
            let wait = WaitFrame::new(wait, &frame.scope, &frame.at, turn.now())?;
            Ok(Deed::Started(Kind::Wait(wait).into()))
        }
        Verb::Ask(ask) => {
            let message = value(&ask.question, "ask")?.to_json();
            let message = message.as_str().map_or_else(|| message.to_string(), ToOwned::to_owned);
            let question = StepQuestion {
                at: Arc::clone(&frame.at),
                attempt: number,
                message,
                schema: ask.answer.clone(),
                audience: ask.audience.clone(),
            };
            Ok(Deed::Started(Kind::Ask(AskFrame::new(question)).into()))
        }
        Verb::Emit { event, data } => {
            let data = value(data, "data")?.to_json();
            turn.emit(&frame.at, event, data);
            Ok(Deed::Done(Value::null()))
        }
        verb @ Verb::Await { .. } => match AwaitFrame::new(verb, &frame.at, &frame.scope) {
            Some(wait) => Ok(Deed::Started(Kind::Await(wait).into())),
            None => Ok(Deed::Done(Value::null())),
        },
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

/// What the step calls for, if that is what it does.
pub(super) struct Asked {
    /// Whom.
    pub(super) callee: Callee,
    /// With what.
    pub(super) arguments: Json,
    /// What an agent shares with others.
    pub(super) shared: Seen,
}

/// Whom the step calls and with what, if that is what it does.
pub(super) fn asked(frame: &StepFrame, turn: &Turn<'_>) -> Result<Option<Asked>, Box<Failure>> {
    let (step, scope, at) = (frame.step(turn), &frame.scope, &frame.at);
    let (callee, arguments, shared) = match &step.verb {
        Verb::Tool { tool, args, .. } => (Callee::Tool(tool.clone()), arguments(Some(args), scope, at)?, Seen::new()),
        Verb::Workflow { name, args, .. } => {
            (Callee::Workflow(Arc::clone(name)), arguments(Some(args), scope, at)?, Seen::new())
        }
        Verb::Llm(llm) => (Callee::Model, delegation::question(llm, step, scope, at)?, Seen::new()),
        Verb::Agent(errand) => {
            let (given, shared) = delegation::errand(errand, step, (scope, &turn.state.board), at)?;
            (Callee::Agent(Arc::clone(&errand.agent)), given, shared)
        }
        _ => return Ok(None),
    };
    Ok(Some(Asked { callee, arguments, shared }))
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
    let providers = match (&callee, &step.verb) {
        (Callee::Tool(callee), Verb::Tool { tool, providers, .. }) if callee == tool => {
            providers.iter().map(|(name, _)| Arc::clone(name)).collect()
        }
        _ => Vec::new(),
    };
    let is_detached = matches!((&callee, &step.verb), (Callee::Workflow(callee), Verb::Workflow { name, is_detached: true, .. }) if callee == name);
    let call = StepCall {
        at,
        attempt,
        callee,
        arguments,
        providers,
        key: None,
        effect,
        timeout,
        allowance,
        is_detached,
        is_afterwards: false,
    };
    CallFrame::new(Arc::clone(&frame.at), call, step.optional)
}

/// The key of a call of the step, if it has one of its own.
fn key(frame: &StepFrame, step: &Step) -> Result<Option<String>, Box<Failure>> {
    let Some(template) = &step.key else { return Ok(None) };
    let key = frame.scope.value(template, "idempotency_key", Some(&frame.at))?.to_json();
    Ok(Some(key.as_str().map_or_else(|| key.to_string(), ToOwned::to_owned)))
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
        Verb::Ask(_) => "ask".into(),
        Verb::Emit { event, .. } => format!("emit {event}").into(),
        Verb::Await { event, .. } => format!("await {event}").into(),
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
