//! A run that goes on, as others see it who want something of it.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::engine::command::{StepCall, StepQuestion};
use crate::engine::event::What;
use crate::engine::run::Run;
use crate::engine::view::StepView;
use crate::model::call::Progress;
use crate::runner::drive::Begin;
use crate::runner::report::{Report, doubt_json, step_json};
use crate::runner::waiting::QUEUED;
use crate::workflow::verb::Audience;

/// How many messages to a run may wait.
pub const INBOX: usize = 16;

/// How long a run may take to look at a message. It only ever computes in between, so this is ample.
const PROMPT: Duration = Duration::from_secs(10);

/// What a run is told from outside.
#[derive(Debug)]
pub enum Message {
    /// Something has happened.
    Event(Box<What>),
    /// Somebody wants to see it.
    Look(oneshot::Sender<View>),
}

/// A run at one moment.
#[derive(Debug, Clone, Default)]
pub struct View {
    /// Every step that has begun.
    pub steps: Vec<StepView>,
    /// Whether it has failed and undoes what it has done.
    pub is_undoing: bool,
    /// The calls of which nobody knows whether they were carried out.
    pub doubts: Vec<StepCall>,
    /// Whether it waits for its turn to begin.
    pub is_queued: bool,
}

impl View {
    /// How `run` stands.
    pub fn of(run: &Run) -> Self {
        Self { steps: run.steps(), is_undoing: run.is_undoing(), doubts: run.doubts(), is_queued: false }
    }
}

/// A question that waits for `answer_run`.
#[derive(Debug, Clone)]
pub struct OpenQuestion {
    /// The run that asks, which may be one that the run in hand has started.
    pub run_id: String,
    /// What is asked.
    pub question: StepQuestion,
}

impl OpenQuestion {
    /// The question as programs and models see it.
    pub fn to_json(&self) -> Value {
        let StepQuestion { at, message, schema, audience, .. } = &self.question;
        let mut all = json!({ "run_id": self.run_id, "step": at, "question": message });
        if let Some(schema) = schema {
            all["answer_schema"] = Value::clone(schema);
        }
        if let Audience::Role(role) = audience {
            all["to"] = json!(format!("role:{role}"));
        }
        all
    }
}

/// The open questions of a run and of all that it has started.
#[derive(Debug, Default)]
pub struct Board(watch::Sender<BTreeMap<String, Vec<OpenQuestion>>>);

impl Board {
    /// Replaces the open questions of one run.
    pub fn set(&self, run_id: &str, open: Vec<OpenQuestion>) {
        self.0.send_if_modified(|all| {
            if open.is_empty() {
                return all.remove(run_id).is_some();
            }
            all.insert(run_id.to_owned(), open);
            true
        });
    }

    /// All open questions.
    pub fn open(&self) -> Vec<OpenQuestion> {
        self.0.borrow().values().flatten().cloned().collect()
    }

    /// Waits until there is an open question.
    pub async fn has_some(&self) {
        // Fails only once the sender is gone, which is here.
        let _ = self.0.subscribe().wait_for(|all| !all.is_empty()).await;
    }

    /// Waits until there is none of the questions in `seen`, or another one.
    pub async fn has_changed(&self, seen: &[OpenQuestion]) {
        let names = |open: &[OpenQuestion]| -> Vec<_> {
            open.iter()
                .map(|open| (open.run_id.clone(), Arc::clone(&open.question.at), open.question.attempt))
                .collect()
        };
        let seen = names(seen);
        let flat = |all: &BTreeMap<String, Vec<OpenQuestion>>| all.values().flatten().cloned().collect::<Vec<_>>();
        let _ = self.0.subscribe().wait_for(|all| names(&flat(all)) != seen).await;
    }
}

/// Reports progress for as long as somebody wants to hear of it.
#[derive(Default)]
pub struct Listener(Mutex<Option<Arc<dyn Progress>>>);

impl Listener {
    /// Reports to `progress`.
    pub fn new(progress: Option<Arc<dyn Progress>>) -> Self {
        Self(Mutex::new(progress))
    }

    /// Whoever listened has been answered.
    pub fn hush(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

impl Progress for Listener {
    fn report(&self, progress: f64, total: Option<f64>, message: Option<&str>) {
        if let Some(listener) = &*self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            listener.report(progress, total, message);
        }
    }
}

/// Reports progress, each number of finished steps once, since progress must rise.
pub struct Reporter {
    listener: Arc<Listener>,
    done: Option<usize>,
}

impl Reporter {
    /// Reports to `listener`.
    pub fn new(listener: Arc<Listener>) -> Self {
        Self { listener, done: None }
    }

    /// Reports how far `run` is.
    pub fn report(&mut self, run: &Run) {
        let progress = run.progress();
        if self.done.is_some_and(|done| done >= progress.done) {
            return;
        }
        self.done = Some(progress.done);
        let at = (progress.done + 1).min(progress.total);
        let message = format!("{at}/{} {}", progress.total, progress.current.as_deref().unwrap_or_default());
        #[expect(clippy::cast_precision_loss, reason = "a run has far fewer than 2^52 steps")]
        self.listener.report(progress.done as f64, Some(progress.total as f64), Some(message.trim_end()));
    }
}

/// A run that goes on, or has ended.
pub struct Handle {
    /// Its id.
    pub run_id: String,
    /// What makes a run that is wanted twice the same run.
    pub key: Option<String>,
    /// The run that it tries again.
    pub retry_of: Option<Arc<str>>,
    /// With what it was wanted, if it has a key.
    pub input: Option<Value>,
    /// The name of its workflow.
    pub workflow: Arc<str>,
    /// On whose behalf it runs.
    pub caller: Arc<str>,
    /// The open questions of the run in hand and of all that it has started.
    pub board: Arc<Board>,
    /// Who hears of its progress.
    pub listener: Arc<Listener>,
    /// Cancels it.
    pub stop: CancellationToken,
    /// Leaves it to the next process, if it is stored.
    pub rest: CancellationToken,
    /// It goes on without anybody who waits for it.
    pub left: CancellationToken,
    /// How many wait for it.
    pub waiters: AtomicUsize,
    inbox: mpsc::Sender<Message>,
    ended: watch::Receiver<Option<Arc<Report>>>,
}

/// The other end of a handle: held by whatever carries the run to its end.
pub struct Ends {
    /// What others want of it.
    pub messages: mpsc::Receiver<Message>,
    /// Where its end is told.
    pub end: watch::Sender<Option<Arc<Report>>>,
    /// Who hears of its progress.
    pub listener: Arc<Listener>,
    /// What others want of it beside messages.
    pub signs: Signs,
}

/// What others want of a run beside messages; see [`Handle`].
pub struct Signs {
    /// Cancels it.
    pub stop: CancellationToken,
    /// Leaves it to the next process.
    pub rest: CancellationToken,
    /// Nobody waits for it any more.
    pub left: CancellationToken,
}

impl Handle {
    /// A handle of the run that begins so, and its other end.
    pub fn of(begin: &Begin) -> (Self, Ends) {
        let (inbox, messages) = mpsc::channel(INBOX);
        let (end, ended) = watch::channel(None);
        let listener = Arc::new(Listener::new(begin.progress.clone()));
        let handle = Self {
            run_id: begin.through.run.clone(),
            key: begin.key.clone(),
            retry_of: begin.through.retry_of.clone(),
            input: begin.key.as_ref().map(|_| begin.input.clone()),
            workflow: Arc::clone(&begin.plan.workflow.name),
            caller: Arc::clone(&begin.through.principal.name),
            board: Arc::clone(&begin.board),
            listener: Arc::clone(&listener),
            stop: CancellationToken::new(),
            rest: CancellationToken::new(),
            left: CancellationToken::new(),
            waiters: AtomicUsize::default(),
            inbox,
            ended,
        };
        let signs = Signs { stop: handle.stop.clone(), rest: handle.rest.clone(), left: handle.left.clone() };
        (handle, Ends { messages, end, listener, signs })
    }

    /// Tells the run that something has happened; false if it has ended.
    pub async fn tell(&self, what: What) -> bool {
        matches!(timeout(PROMPT, self.inbox.send(Message::Event(what.into()))).await, Ok(Ok(())))
    }

    /// How it stands; `None` if it has ended.
    pub async fn look(&self) -> Option<View> {
        let (sender, view) = oneshot::channel();
        timeout(PROMPT, self.inbox.send(Message::Look(sender))).await.ok()?.ok()?;
        timeout(PROMPT, view).await.ok()?.ok()
    }

    /// How it has ended, if it has.
    pub fn report(&self) -> Option<Arc<Report>> {
        self.ended.borrow().clone()
    }

    /// Waits for its end. `None` if it ended without a word, which only a mistake of ours makes it do.
    pub async fn ended(&self) -> Option<Arc<Report>> {
        self.ended.clone().wait_for(Option::is_some).await.ok().and_then(|report| report.clone())
    }

    /// How it stands, as programs and models see it.
    pub async fn to_json(&self) -> Value {
        if let Some(report) = self.report() {
            return report.to_json();
        }
        let view = self.look().await;
        if let Some(report) = self.report() {
            return report.to_json();
        }
        let questions: Vec<_> = self.board.open().iter().map(OpenQuestion::to_json).collect();
        let status = match &view {
            Some(view) if view.is_queued => QUEUED,
            Some(view) if !view.doubts.is_empty() => "paused",
            Some(view) if view.is_undoing => "undoing",
            _ if questions.is_empty() => "running",
            _ => "waiting",
        };
        let steps: Vec<_> = view.iter().flat_map(|view| &view.steps).map(step_json).collect();
        let mut all = json!({ "run_id": self.run_id, "workflow": &*self.workflow, "status": status });
        if !questions.is_empty() {
            all["questions"] = Value::from(questions);
        }
        let doubts: Vec<_> = view.iter().flat_map(|view| &view.doubts).map(doubt_json).collect();
        if !doubts.is_empty() {
            all["in_doubt"] = Value::from(doubts);
        }
        all["steps"] = Value::from(steps);
        all
    }
}
