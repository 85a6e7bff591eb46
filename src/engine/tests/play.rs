//! Plays a run: keeps its time, its calls and its timers, and objects to whatever no run may do.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::document::format::Format;
use crate::engine::command::{Command, KeptAs, Outcome, StepCall, StepQuestion};
use crate::engine::event::{Answer, Called, Event, Failure, Identity, Kept, What};
use crate::engine::run::Run;
use crate::engine::view::StepView;
use crate::model::code;
use crate::model::effect::Effect;
use crate::model::fault::Kind;
use crate::model::name::ToolRef;
use crate::model::problem::Source;
use crate::model::usage::Usage;
use crate::workflow::authored;
use crate::workflow::definition::Workflow;
use crate::workflow::plan;
use crate::workflow::surroundings::{Facts, Surroundings};

/// Tools that tell by their names what they do: `get…` reads, `put…` may be repeated, `post…` writes.
pub(super) struct Tools;

impl Surroundings for Tools {
    fn servers(&self) -> Vec<String> {
        vec!["s".to_owned()]
    }

    fn tools_of(&self, _: &str) -> Option<Vec<String>> {
        None
    }

    fn tool(&self, tool: &ToolRef) -> Option<Facts> {
        let effects = [("get", Effect::Read), ("put", Effect::Idempotent), ("post", Effect::Write)];
        let (_, effect) = effects.into_iter().find(|(prefix, _)| tool.tool.starts_with(prefix))?;
        Some(Facts { effect, input_schema: None, output_schema: None })
    }

    fn workflows(&self) -> Vec<String> {
        vec!["child".to_owned()]
    }

    fn workflow(&self, name: &str) -> Option<Facts> {
        (name == "child").then_some(Facts { effect: Effect::Write, input_schema: None, output_schema: None })
    }
}

/// A planned workflow of this text, which may leave out its name.
pub(super) fn workflow(text: &str) -> Arc<Workflow> {
    let (format, text) = if text.trim_start().starts_with('{') {
        (Format::Json, text.to_owned())
    } else {
        (Format::Yaml, format!("name: test\n{text}"))
    };
    let (workflow, problems) = authored::read(&Source::new("test", text), format);
    let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
    plan::plan(&workflow.unwrap_or_else(|| panic!("{}", problems.join("\n"))), &Tools).workflow
}

/// A run and what is going on outside of it.
pub(super) struct Play {
    pub(super) run: Run,
    pub(super) now: u64,
    pub(super) events: Vec<Event>,
    pub(super) calls: Vec<StepCall>,
    pub(super) questions: Vec<StepQuestion>,
    /// The results that were kept, the last counts.
    pub(super) kept: Vec<(KeptAs, Kept)>,
    recalled: Vec<What>,
    /// Every event that was emitted.
    pub(super) emitted: Vec<(String, Value)>,
    pub(super) timers: BTreeMap<String, u64>,
    /// Every call ever made, by address and attempt.
    pub(super) ever: BTreeMap<(String, u32), StepCall>,
    finished: usize,
}

impl Play {
    /// A run of the workflow of this text that has begun with this input.
    pub(super) fn of(text: &str, input: Value) -> Self {
        Self::begin(&workflow(text), input, 7)
    }

    pub(super) fn begin(workflow: &Arc<Workflow>, input: Value, seed: u64) -> Self {
        Self::begin_with(workflow, input, seed, Vec::new())
    }

    /// A run that finds what this one has kept, so many milliseconds old, at most 1,000.
    pub(super) fn again(&self, text: &str, input: Value, age: u64) -> Self {
        let young = |(name, kept): &(KeptAs, Kept)| (name.clone(), Kept { since: 1_000 - age, ..kept.clone() });
        Self::begin_with(&workflow(text), input, 7, self.kept.iter().map(young).collect())
    }

    fn begin_with(workflow: &Arc<Workflow>, input: Value, seed: u64, kept: Vec<(KeptAs, Kept)>) -> Self {
        let mut play = Self {
            run: Run::new(Arc::clone(workflow)),
            now: 1_000,
            events: Vec::new(),
            calls: Vec::new(),
            questions: Vec::new(),
            kept,
            recalled: Vec::new(),
            emitted: Vec::new(),
            timers: BTreeMap::new(),
            ever: BTreeMap::new(),
            finished: 0,
        };
        let run = Identity { id: "r1".to_owned(), caller: "tester".to_owned() };
        play.happens(What::Started { run, input, seed, flags: json!({ "NEW": true }) });
        play
    }

    /// Something happens. Every event is sent twice, and the second time must not matter.
    pub(super) fn happens(&mut self, what: What) -> Vec<Command> {
        let event = Event { now: self.now, what };
        let commands = self.run.apply(event.clone());
        let before = (self.run.steps().len(), self.run.progress());
        assert_eq!(self.run.apply(event.clone()), [], "a duplicate of {event:?}");
        assert_eq!((self.run.steps().len(), self.run.progress()), before);
        self.events.push(event);
        for command in &commands {
            self.take_in(command);
        }
        assert_eq!(self.finished, usize::from(self.run.outcome().is_some()), "finished once, when there is an outcome");
        // Whoever looks for a result is told at once.
        for what in std::mem::take(&mut self.recalled) {
            self.happens(what);
        }
        commands
    }

    fn take_in(&mut self, command: &Command) {
        assert_eq!(self.finished, 0, "{command:?} after the end");
        match command {
            Command::Call(call) => {
                assert!(
                    self.ever.insert((call.at.clone(), call.attempt), call.clone()).is_none(),
                    "{} made twice",
                    call.at
                );
                assert!(call.arguments.is_object());
                self.calls.push(call.clone());
            }
            Command::Cancel { at, attempt } => {
                let before = self.calls.len() + self.questions.len();
                self.calls.retain(|call| (&call.at, call.attempt) != (at, *attempt));
                self.questions.retain(|asked| (&*asked.at, asked.attempt) != (&**at, *attempt));
                assert_eq!(self.calls.len() + self.questions.len() + 1, before, "{at} cancelled, but not in flight");
            }
            Command::Recall { at, kept_as } => {
                let kept = self.kept.iter().rev().find(|(known, _)| known == kept_as);
                let kept = kept.map(|(_, kept)| kept.clone());
                self.recalled.push(What::Recalled { at: at.clone(), kept });
            }
            Command::Keep { kept_as, value } => {
                self.kept.push((kept_as.clone(), Kept { value: value.clone(), since: self.now }));
            }
            Command::Ask(question) => self.questions.push(question.clone()),
            Command::Emit { event, data, .. } => self.emitted.push((event.to_string(), data.clone())),
            Command::Timer { at, due } => {
                assert!(*due > self.now && self.timers.insert(at.clone(), *due).is_none(), "timer {at}");
            }
            Command::Forget { at } => assert!(self.timers.remove(at).is_some(), "{at} forgotten, but not set"),
            Command::Finish(outcome) => {
                assert_eq!(Some(outcome), self.run.outcome());
                assert!(
                    self.calls.is_empty() && self.questions.is_empty() && self.timers.is_empty(),
                    "left behind at the end"
                );
                self.finished += 1;
            }
        }
    }

    /// The addresses of the calls in flight, in order of being made.
    pub(super) fn waiting(&self) -> Vec<&str> {
        self.calls.iter().map(|call| &*call.at).collect()
    }

    /// The call in flight of a step.
    pub(super) fn call(&self, at: &str) -> &StepCall {
        let found = self.calls.iter().find(|call| call.at == at);
        found.unwrap_or_else(|| panic!("`{at}` is not in flight, but {:?}", self.waiting()))
    }

    /// The call of a step comes back with this.
    pub(super) fn comes_back(&mut self, at: &str, outcome: Called) -> Vec<Command> {
        self.comes_back_with(at, outcome, Usage::CALL)
    }

    /// The call of a step comes back with this, having used up so much.
    pub(super) fn comes_back_with(&mut self, at: &str, outcome: Called, usage: Usage) -> Vec<Command> {
        let attempt = self.call(at).attempt;
        self.calls.retain(|call| call.at != at);
        self.happens(What::Called { at: at.to_owned(), attempt, outcome, usage })
    }

    /// A step's tool answers with this structured content.
    pub(super) fn answer(&mut self, at: &str, content: Value) -> Vec<Command> {
        self.comes_back(at, Called::Result(Value::from_iter([("structuredContent", content)])))
    }

    /// A step's tool says that it failed.
    pub(super) fn refuse(&mut self, at: &str, text: &str) -> Vec<Command> {
        let content = json!([{ "type": "text", "text": text }]);
        self.comes_back(at, Called::Result(json!({ "isError": true, "content": content })))
    }

    /// A step's call fails before it is sent.
    pub(super) fn fail(&mut self, at: &str, kind: Kind) -> Vec<Command> {
        self.comes_back(at, Called::Failure(Failure::new(kind, code::SERVER_DOWN, "it is down")))
    }

    /// A step's call fails after it was sent.
    pub(super) fn lose(&mut self, at: &str, kind: Kind) -> Vec<Command> {
        let failure = Failure::new(kind, code::SERVER_DOWN, "it went away");
        self.comes_back(at, Called::Failure(Failure { was_sent: true, ..failure }))
    }

    /// The question of a step is answered.
    pub(super) fn say(&mut self, at: &str, answer: Answer) -> Vec<Command> {
        let place = self.questions.iter().position(|asked| &*asked.at == at);
        let asked = self.questions.remove(place.unwrap_or_else(|| panic!("`{at}` asks nothing")));
        self.happens(What::Answered { at: at.to_owned(), attempt: asked.attempt, answer })
    }

    /// Something happens outside of the run.
    pub(super) fn arrives(&mut self, event: &str, data: Value) -> Vec<Command> {
        let id = format!("e{}", self.events.len());
        self.happens(What::Arrived { id, event: event.to_owned(), data })
    }

    /// So much time passes, in milliseconds; timers that become due go off on time.
    pub(super) fn pass(&mut self, milliseconds: u64) {
        let until = self.now + milliseconds;
        while let Some((at, due)) = self.next_timer().filter(|(_, due)| *due <= until) {
            self.timers.remove(&at);
            self.now = due;
            self.happens(What::Fired { at });
        }
        self.now = until;
    }

    /// The timer that is due first.
    pub(super) fn next_timer(&self) -> Option<(String, u64)> {
        self.timers.iter().min_by_key(|(_, due)| **due).map(|(at, due)| (at.clone(), *due))
    }

    /// The output of the run, which must be over.
    pub(super) fn output(&self) -> Value {
        match self.run.outcome() {
            Some(Outcome::Completed(output)) => output.clone(),
            other => panic!("not completed: {other:?}, in flight {:?}", self.waiting()),
        }
    }

    /// The failure of the run, which must have failed.
    pub(super) fn failure(&self) -> Failure {
        match self.run.outcome() {
            Some(Outcome::Failed(failure)) => failure.clone(),
            other => panic!("not failed: {other:?}, in flight {:?}", self.waiting()),
        }
    }

    /// The row of a step.
    pub(super) fn row(&self, at: &str) -> StepView {
        self.run.steps().into_iter().find(|row| &*row.at == at).unwrap_or_else(|| panic!("`{at}` has not begun"))
    }

    /// Every row as `address status`.
    pub(super) fn rows(&self) -> Vec<String> {
        self.run.steps().iter().map(|row| format!("{} {}", row.at, row.status.as_str())).collect()
    }
}
