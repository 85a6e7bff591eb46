//! One run on Restate: durable futures in, the pure engine, durable commands out.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use restate_sdk::context::{
    ContextClient as _, ContextSideEffects as _, ContextWriteState as _, RequestTarget, RunFuture as _, WorkflowContext,
};
use restate_sdk::errors::{HandlerError, TerminalError};
use restate_sdk::serde::Json;
use serde::Serialize;
use serde_json::Value;

use crate::engine::command::{Command, StepCall};
use crate::engine::event::{Called, Event, Timestamp, What};
use crate::engine::retrace::Retrace;
use crate::engine::run::Run;
use crate::model::fault::Fault;
use crate::model::principal::Principal;
use crate::model::usage::Usage;
use crate::restate::client::Client;
use crate::restate::flight::{Flight, Next};
use crate::restate::parcel::{PARCEL, Parcel, WHOLE};
use crate::restate::serve::{Node, Worker};
use crate::restate::wire::{Ended, Listener, News, Note, Start, TOPIC, Terms, key};
use crate::runner::live::OpenQuestion;
use crate::runner::record::standing;
use crate::runner::report::Report;
use crate::workflow::definition::Workflow;
use crate::workflow::pin::replan;

/// How long the data of a large event is kept for those who have heard of it.
const NEWS: Duration = Duration::from_hours(24 * 365);

/// How much of what has happened is told with the end, in bytes; more is read from the state.
const TOLD: usize = 1024 * 1024;

/// Carries a run to its end. What cannot be read is left to a version that can: Restate tries again.
pub(super) async fn drive(ctx: &WorkflowContext<'_>, worker: &Worker, start: Parcel) -> Result<Ended, HandlerError> {
    let Start { opening, terms, started, done, .. } = start.open(&worker.on.client).await?;
    let workflow = replan(&opening.workflow, &opening.definition, &opening.format, &opening.plan)
        .map_err(|why| format!("run {}: {why}", opening.run))?;
    let workflow = Arc::new(workflow);
    let began = opening.began;
    ctx.set(key::OPENING, Json(opening));
    if let Some(root) = &terms.root {
        ctx.set(key::ROOT, Json(root.clone()));
    }
    let mut driven = Driven {
        ctx,
        node: &worker.node,
        client: &worker.on.client,
        run: Run::new(Arc::clone(&workflow)),
        flight: Flight::new(ctx, &worker.on.client, terms.clone()),
        terms,
        done,
        last: began,
        events: Vec::new(),
        number: 0,
        size: 0,
        note: None,
    };
    driven.tell_how_it_stands();
    driven.join(&workflow).await;
    driven.apply(Event { now: began, what: started }).await?;
    while driven.run.outcome().is_none() {
        driven.tell_how_it_stands();
        match driven.flight.next().await? {
            Next::Event(event) => driven.apply(*event).await?,
            Next::Late(late) => {
                while let Some(event) = driven.flight.due(late) {
                    driven.apply(event).await?;
                }
            }
            Next::Cancelled => {
                let why = "it was cancelled in Restate".to_owned();
                driven.apply(Event { now: 0, what: What::CancelRequested { why } }).await?;
            }
        }
    }
    driven.end(&workflow, began).await?;
    Ok(Ended { events: (driven.size <= TOLD).then_some(driven.events) })
}

fn listener(ctx: &WorkflowContext<'_>) -> Listener {
    Listener { invocation: ctx.invocation_id().to_owned() }
}

/// A run and what it has set off.
struct Driven<'c> {
    ctx: &'c WorkflowContext<'c>,
    node: &'c Node,
    client: &'c Client,
    run: Run,
    flight: Flight<'c>,
    terms: Terms,
    /// What need not be done again.
    done: Retrace,
    /// When the last thing happened. Clocks of processes differ; for a run, time goes on only.
    last: Timestamp,
    events: Vec<Event>,
    number: usize,
    /// How large the events are together.
    size: usize,
    note: Option<Note>,
}

impl Driven<'_> {
    /// Hears of the events that the run may wait for from now on.
    async fn join(&mut self, workflow: &Workflow) {
        for name in workflow.awaited() {
            let topic = RequestTarget::object(TOPIC, name.as_ref(), "join");
            let joined = self.ctx.request::<_, ()>(topic, Json(listener(self.ctx))).call().await;
            self.heed(joined);
        }
    }

    /// What has come of something that fails only if the run is cancelled meanwhile.
    fn heed<T>(&mut self, came: Result<T, TerminalError>) -> Option<T> {
        if came.is_err() {
            self.flight.hear_of_cancellation();
        }
        came.ok()
    }

    /// Keeps an event, so that others see it.
    async fn keep(&mut self, event: Event) -> Result<(), Fault> {
        let parcel = self.flight.pack(&event).await?;
        if self.size <= TOLD {
            self.size += if parcel.is_in_pieces() { TOLD + 1 } else { parcel.size() };
            self.events.push(event);
        }
        self.ctx.set(&key::event(self.number), Json(parcel));
        self.number += 1;
        Ok(())
    }

    async fn take_in(&mut self, what: What) -> Result<Vec<Command>, Fault> {
        let event = Event { now: self.last, what };
        self.keep(event.clone()).await?;
        let commands = self.run.apply(event);
        for command in &commands {
            let Command::Call(call) = command else { continue };
            if call.is_once_only() && !self.done.knows(call) {
                let what = What::Intended { at: call.at.clone(), attempt: call.attempt };
                let intended = Event { now: self.last, what };
                self.keep(intended.clone()).await?;
                self.run.apply(intended);
            }
        }
        Ok(commands)
    }

    async fn apply(&mut self, event: Event) -> Result<(), HandlerError> {
        self.last = self.last.max(event.now);
        let mut happened = VecDeque::from([event.what]);
        while let Some(what) = happened.pop_front() {
            let commands = self.take_in(what).await?;
            let mut calls = Vec::new();
            for command in commands {
                happened.extend(self.carry_out(command, &mut calls).await?);
            }
            self.flight.call(calls).await?;
        }
        Ok(())
    }

    /// Does what the run wants done; gives back what has come of it at once.
    async fn carry_out(&mut self, command: Command, made: &mut Vec<StepCall>) -> Result<Option<What>, Fault> {
        match command {
            Command::Call(call) => {
                if let Some(result) = self.done.take(&call) {
                    let StepCall { at, attempt, .. } = call;
                    let (outcome, usage) = (Called::Result(result), Usage::default());
                    return Ok(Some(What::Called { at, attempt, outcome, usage }));
                }
                made.push(call);
            }
            Command::Timer { at, due } => self.flight.timer(at, due),
            Command::Cancel { at, attempt } => {
                made.retain(|call| !(call.at == at && call.attempt == attempt));
                self.flight.cancel(&at, attempt);
            }
            Command::Forget { at } => self.flight.forget(&at),
            Command::Recall { at, kept_as } => {
                // What is kept differs from process to process, so what was found is written down.
                let (kept, caller) = (self.node.shelf.clone(), Principal::new(self.terms.caller.clone()));
                let found = self.ctx.run(|| async move { Ok(Json(kept.find(&kept_as, &caller).filter(fits))) });
                let found = found.name("recall").await;
                let kept = self.heed(found).and_then(Json::into_inner);
                return Ok(Some(What::Recalled { at, kept }));
            }
            Command::Keep { kept_as, value } => {
                self.node.shelf.keep(&kept_as, &Principal::new(self.terms.caller.clone()), &value, self.last);
            }
            Command::Emit { at, event, data } => {
                self.emit(&at, &event, data).await?;
            }
            // A question stands open until somebody answers it, by way of the inbox.
            Command::Ask(_) | Command::Finish(_) => {}
        }
        Ok(None)
    }

    /// Tells all who wait for it that something has happened.
    async fn emit(&mut self, at: &str, event: &str, data: Value) -> Result<(), Fault> {
        let id = format!("{}/{at}", self.terms.run);
        let what = What::Arrived { id, event: event.to_owned(), data };
        // Who hears of it may outlive this run by far.
        let place = format!("{}.news", self.terms.run);
        let what = Parcel::pack(&what, &place, self.client).await?;
        if what.is_in_pieces() {
            self.forget(&place, NEWS);
        }
        let topic = RequestTarget::object(TOPIC, event, "publish");
        let _ = self.ctx.request::<_, ()>(topic, Json(News { now: self.last, what })).send();
        Ok(())
    }

    /// Has pieces of something large forgotten after a while.
    fn forget(&self, place: &str, after: Duration) {
        let forget = RequestTarget::object(PARCEL, place, "forget");
        let _ = self.ctx.request::<_, ()>(forget, ()).send_after(after);
    }

    /// Keeps how the run stands, if that is something new.
    fn tell_how_it_stands(&mut self) {
        let open = self.run.questions().into_iter();
        let open: Vec<_> = open.map(|question| OpenQuestion { run_id: self.terms.run.clone(), question }).collect();
        let standing = standing(&self.run, &open);
        let invocation = self.ctx.invocation_id().to_owned();
        // What does not travel whole is seen by what has happened.
        let told = standing.report.filter(fits).unwrap_or_default();
        let note = Note { status: standing.status, ended: None, told, invocation };
        self.set_note(note);
    }

    fn set_note(&mut self, note: Note) {
        if self.note.as_ref() != Some(&note) {
            self.ctx.set(key::NOTE, Json(note.clone()));
            self.note = Some(note);
        }
    }

    /// The run is over.
    async fn end(&mut self, workflow: &Workflow, began: Timestamp) -> Result<(), Fault> {
        for name in workflow.awaited() {
            let topic = RequestTarget::object(TOPIC, name.as_ref(), "leave");
            let _ = self.ctx.request::<_, ()>(topic, Json(listener(self.ctx))).send();
        }
        let took = self.last.saturating_sub(began);
        let Some(report) = Report::of(&self.run, &self.terms.run, &workflow.name, took) else { return Ok(()) };
        let told = self.flight.pack(&report.to_json()).await?;
        self.ctx.set(key::REPORT, Json(told));
        let invocation = self.ctx.invocation_id().to_owned();
        let status = report.status().to_owned();
        self.set_note(Note { status, ended: Some(self.last), told: Value::Null, invocation });
        if self.flight.has_pieces {
            self.forget(&self.terms.run, self.node.keep);
        }
        Ok(())
    }
}

/// Whether something travels whole.
fn fits(what: &impl Serialize) -> bool {
    serde_json::to_vec(what).is_ok_and(|text| text.len() <= WHOLE)
}
