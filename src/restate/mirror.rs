//! A run on Restate as the rest of the program sees it: a handle like that of any run, whoever begun it and wherever it goes on.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until};

use crate::engine::command::{Callee, Command, Outcome, StepQuestion};
use crate::engine::event::{Event, Failure, Timestamp, What};
use crate::engine::run::Run;
use crate::model::code;
use crate::model::fault::{Fault, Kind};
use crate::restate::client::Waited;
use crate::restate::others::Others;
use crate::restate::store::OnRestate;
use crate::restate::wire::{Start, Terms};
use crate::runner::backend::{Backend as _, Carrying};
use crate::runner::drive::{Begin, Watch, started};
use crate::runner::effects::{Effects, now};
use crate::runner::live::{Board, Ends, Handle, INBOX, Message, OpenQuestion, Reporter, View};
use crate::runner::report::Report;

/// How soon, and at most how late, is looked again how a run stands. A look costs Restate more than a short run does, so that such a
/// run ends before the first.
const LOOK: (Duration, Duration) = (Duration::from_millis(700), Duration::from_secs(3));

/// How long to wait before Restate is asked for the end of a run once more.
const AGAIN: Duration = Duration::from_millis(300);

/// How long what has happened to a run that is over may be incomplete where it is kept.
const SETTLED: Duration = Duration::from_secs(20);

/// The version of what a run begins with.
const VERSION: u32 = 1;

/// Begins a run, or follows one that has begun.
pub(super) fn carry(on: OnRestate, begin: Begin) -> (Carrying, Handle) {
    let (handle, ends) = Handle::of(&begin);
    let going = async move {
        let (board, run_id, told) = (Arc::clone(&begin.board), begin.through.run.clone(), ends.end.clone());
        let report = follow(on, begin, ends).await.map(Arc::new);
        board.set(&run_id, Vec::new());
        if let Some(report) = &report {
            told.send_replace(Some(Arc::clone(report)));
        }
        report
    };
    (Box::pin(going), handle)
}

async fn follow(on: OnRestate, mut begin: Begin, mut ends: Ends) -> Option<Report> {
    let opening = begin.record.opening.take();
    let accepted = match opening {
        Some(opening) => {
            let terms = Terms::of(&begin.through);
            let done = std::mem::take(&mut begin.done);
            let start = Start {
                version: VERSION,
                opening: Arc::unwrap_or_clone(opening),
                terms,
                started: started(&begin),
                done,
            };
            on.client.start(&begin.through.run, &start).await
        }
        None => match on.kept(&begin.through.run).await {
            Ok(Some(kept)) => Ok(kept.invocation),
            Ok(None) => Err(Fault::new(Kind::NotFound, code::NO_SUCH_RUN, "Restate has no such run")),
            Err(fault) => Err(fault),
        },
    };
    let (outbox, wants) = mpsc::channel(INBOX);
    let mut mirror = Mirror::new(on.clone(), begin, &ends, outbox);
    let invocation = match accepted {
        Ok(invocation) => invocation,
        Err(fault) => return Some(mirror.gone(&fault)),
    };
    let run = mirror.run_id.clone();
    tokio::select! {
        report = mirror.go(&mut ends) => report,
        () = deliver(on, (&run, &invocation), wants) => None,
    }
}

/// What a run is to hear, and when that has happened.
type Word = (String, Timestamp, What);

/// Tells a run and those that it has set off what they are to hear, in order, however long Restate is away.
async fn deliver(on: OnRestate, (own, invocation): (&str, &str), mut outbox: mpsc::Receiver<Word>) {
    while let Some((run, now, what)) = outbox.recv().await {
        let mut is_told = false;
        loop {
            let told =
                if run == own { on.post(own, invocation, now, &what).await } else { on.tell(&run, what.clone()).await };
            let Err(fault) = told else { break };
            if !std::mem::replace(&mut is_told, true) {
                tracing::warn!(run, "{fault}; the run has not heard of something yet");
            }
            if [code::PAYLOAD_TOO_LARGE, code::NO_SUCH_RUN].contains(&fault.code) {
                break;
            }
            sleep(AGAIN).await;
        }
    }
    // As long as the run is followed there may be more.
    pending::<()>().await;
}

/// A run that goes on elsewhere.
struct Mirror {
    on: OnRestate,
    /// What the run is to hear.
    outbox: mpsc::Sender<Word>,
    run_id: String,
    workflow: Arc<str>,
    run: Run,
    /// How many events it has heard of.
    heard: usize,
    began: Timestamp,
    last: Timestamp,
    board: Arc<Board>,
    watcher: Option<Arc<dyn Watch>>,
    reporter: Reporter,
    /// Puts questions to the host.
    effects: Effects,
    /// What the host has answered, which the run need not have heard yet.
    answered: Vec<(String, u32)>,
    /// Whether it may have set off others.
    has_others: bool,
    /// The runs that it has set off and that ask something.
    others: Others,
}

impl Mirror {
    fn new(on: OnRestate, begin: Begin, ends: &Ends, outbox: mpsc::Sender<Word>) -> Self {
        let at_first = now();
        Self {
            outbox,
            run_id: begin.through.run.clone(),
            workflow: Arc::clone(&begin.plan.workflow.name),
            run: Run::new(Arc::clone(&begin.plan.workflow)),
            heard: 0,
            began: at_first,
            last: at_first,
            others: Others::new(on.clone(), &begin.through, Arc::clone(&begin.board)),
            on,
            board: begin.board,
            watcher: begin.watcher,
            reporter: Reporter::new(Arc::clone(&ends.listener)),
            effects: Effects::new(begin.through),
            answered: Vec::new(),
            has_others: false,
        }
    }

    async fn go(&mut self, ends: &mut Ends) -> Option<Report> {
        let (on, run_id) = (self.on.clone(), self.run_id.clone());
        let ended = async move {
            loop {
                match on.client.ended(&run_id).await {
                    Ok(Waited::GoesOn) => {}
                    Ok(over) => return over,
                    Err(fault) => {
                        tracing::debug!(%fault, "the end of a run cannot be waited for now");
                        sleep(AGAIN).await;
                    }
                }
            }
        };
        tokio::pin!(ended);
        let own = self.run_id.clone();
        let mut is_stopped = false;
        let mut pause = LOOK.0;
        let mut look = Instant::now() + pause;
        loop {
            // Who asks for the end may be answered late when nodes come and go; what has happened tells as much.
            if let Some(report) = self.report() {
                return Some(report);
            }
            let has_room = self.outbox.capacity() > 0;
            tokio::select! {
                biased;
                over = &mut ended => {
                    return tokio::select! {
                        report = self.over(over) => Some(report),
                        () = ends.signs.rest.cancelled() => None,
                    };
                }
                () = ends.signs.stop.cancelled(), if !is_stopped && has_room => {
                    is_stopped = true;
                    self.tell(&own, What::CancelRequested { why: "its caller has left".to_owned() });
                }
                () = ends.signs.rest.cancelled() => return None,
                Some(message) = ends.messages.recv(), if has_room => {
                    match message {
                        Message::Event(what) => self.tell(&own, *what),
                        Message::Look(answer) => {
                            self.refresh().await;
                            // Fails only if nobody wants to know any more.
                            let _ = answer.send(View::of(&self.run));
                        }
                    }
                    pause = LOOK.0;
                    look = Instant::now() + pause;
                }
                Some((_, what)) = self.effects.next(), if has_room => {
                    if let Some(what) = what {
                        if let What::Answered { at, attempt, .. } = &what {
                            self.answered.push((at.clone(), *attempt));
                        }
                        self.tell(&own, what);
                    }
                }
                (run, what) = self.others.answered(), if has_room => {
                    self.tell(&run, what);
                    pause = LOOK.0;
                    look = Instant::now() + pause;
                }
                () = sleep_until(look) => {
                    let is_new = self.refresh().await;
                    pause = if is_new { LOOK.0 } else { (pause * 2).min(LOOK.1) };
                    look = Instant::now() + pause;
                }
            }
        }
    }

    /// Has the run told that something has happened, or one that it has set off.
    fn tell(&self, run: &str, what: What) {
        if self.outbox.try_send((run.to_owned(), now(), what)).is_err() {
            tracing::error!(run = self.run_id, "the run does not hear of something: too much waits to be told");
        }
    }

    /// Looks what has happened meanwhile; whether anything has.
    async fn refresh(&mut self) -> bool {
        match self.on.events_from(&self.run_id, self.heard).await {
            Ok(events) => {
                let is_new = !events.is_empty();
                self.hear(events);
                self.show();
                if self.has_others {
                    self.others.look().await;
                }
                is_new
            }
            Err(fault) => {
                tracing::debug!(%fault, "it cannot be seen now how a run stands");
                false
            }
        }
    }

    fn hear(&mut self, events: Vec<Event>) {
        for event in events {
            if self.heard == 0 {
                self.began = event.now;
            }
            self.last = event.now;
            self.heard += 1;
            if let What::Answered { at, attempt, .. } = &event.what {
                // Whoever was asked as well need not answer any more.
                self.effects.cancel(at.clone(), *attempt);
            }
            for command in self.run.apply(event) {
                self.has_others |= may_begin_another(&command);
                if let Command::Cancel { at, attempt } = command {
                    self.effects.cancel(at, attempt);
                }
            }
        }
    }

    /// Puts its questions to the host, or on the board.
    fn show(&mut self) {
        if let Some(watcher) = &self.watcher {
            watcher.changed(&self.run);
        }
        self.reporter.report(&self.run);
        let questions = self.run.questions();
        for question in &questions {
            if !self.effects.has_asked(question) {
                self.effects.ask(&self.workflow, question);
            }
        }
        let is_answered = |question: &StepQuestion| {
            self.answered.iter().any(|(at, attempt)| **at == *question.at && *attempt == question.attempt)
        };
        let open = questions.into_iter().filter(|question| !self.effects.is_asking(question) && !is_answered(question));
        let open = open.map(|question| OpenQuestion { run_id: self.run_id.clone(), question }).collect();
        self.board.set(&self.run_id, open);
    }

    /// The run is over: how, is asked until it is known.
    async fn over(&mut self, over: Waited) -> Report {
        match over {
            Waited::Ended(ended) => {
                let heard = self.heard;
                self.hear(ended.events.into_iter().flatten().skip(heard).collect());
            }
            Waited::Gone(fault) => return self.gone(&fault),
            Waited::GoesOn => {}
        }
        let mut until = Instant::now() + SETTLED;
        loop {
            if let Some(report) = self.report() {
                if let Some(watcher) = &self.watcher {
                    watcher.changed(&self.run);
                }
                return report;
            }
            match self.on.events_from(&self.run_id, self.heard).await {
                Ok(events) if events.is_empty() && Instant::now() > until => {
                    let message = "what happened to the run is not kept as a whole";
                    return self.gone(&Fault::new(Kind::Internal, code::INTERNAL, message));
                }
                Ok(events) => self.hear(events),
                Err(fault) => {
                    tracing::warn!(run = self.run_id, "{fault}; how the run has ended is told later");
                    until = Instant::now() + SETTLED;
                }
            }
            if self.report().is_none() {
                sleep(AGAIN).await;
            }
        }
    }

    /// What is told of the run, if it is over as far as it has been heard of.
    fn report(&self) -> Option<Report> {
        Report::of(&self.run, &self.run_id, &self.workflow, self.last.saturating_sub(self.began))
    }

    /// What is told of a run of which no end is known.
    fn gone(&self, fault: &Fault) -> Report {
        let failure = Failure::new(fault.kind, fault.code, fault.message.clone());
        Report {
            run_id: self.run_id.clone(),
            workflow: self.workflow.to_string(),
            // It may go on, or have ended, all the same: only what was refused was never begun.
            outcome: Outcome::Failed(Failure {
                hint: fault.hint.clone(),
                was_sent: fault.was_sent || fault.code == code::BACKEND_DOWN,
                ..failure
            }),
            steps: self.run.steps(),
            undone: self.run.undone().to_vec(),
            lost: Vec::new(),
            usage: self.run.usage(),
            took: self.last.saturating_sub(self.began),
        }
    }
}

fn may_begin_another(command: &Command) -> bool {
    matches!(command, Command::Call(call) if !matches!(call.callee, Callee::Tool(_)))
}
