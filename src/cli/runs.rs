//! `runs`: what is stored of runs, and what operators want of them.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::app::run::App;
use crate::cli::archive;
use crate::cli::args::runs::Runs;
use crate::cli::exit::Exit;
use crate::cli::query;
use crate::cli::terminal::Terminal;
use crate::gateway::runs::Waiter;
use crate::journal::entry::Stored;
use crate::journal::folder::holder;
use crate::journal::mail::Wish;
use crate::journal::reader::Reader;
use crate::journal::retention::Retention;
use crate::model::name::is_event_name;
use crate::runner::effects::now;
use crate::runner::report::so_far;

/// How often is looked whether something has happened.
const LOOK: Duration = Duration::from_millis(100);

/// How long the owner of a run may take to do what is wanted of it.
const PATIENCE: Duration = Duration::from_secs(10);

/// What cannot be done, in words, and what kind of failure that is.
pub(super) type Refusal = (String, Exit);

/// Does what needs no server.
pub async fn runs(folder: &Path, what: Runs, terminal: Terminal) -> Exit {
    if let Runs::Import { file } = &what {
        return archive::import(folder, file, terminal).await;
    }
    let done = match Reader::open(folder) {
        Ok(reader) => act(&reader, folder, what, terminal).await,
        Err(_) => Err((format!("no runs are stored in `{}`", folder.display()), Exit::Failed)),
    };
    done.map_or_else(
        |(why, exit)| {
            terminal.error(&why);
            exit
        },
        |()| Exit::Ok,
    )
}

/// What is wanted of a run, if that is what the command says.
pub(super) fn wish(what: &Runs) -> Result<Option<(String, Wish)>, Refusal> {
    let (run, wish) = match what {
        Runs::Cancel { run } => (run, Wish::Cancel),
        Runs::Signal { run, event, data } => {
            let data = match data {
                None => Value::Null,
                Some(text) => serde_json::from_str(text)
                    .map_err(|why| (format!("what is known about the event is not JSON: {why}"), Exit::Usage))?,
            };
            if !is_event_name(event) {
                return Err((format!("`{event}` is no name of an event, such as `order.shipped`"), Exit::Usage));
            }
            (run, Wish::Signal { event: event.clone(), data })
        }
        Runs::Answer { run, answer, step } => {
            let answer = match answer.as_str() {
                "no" => None,
                "yes" => Some(json!({})),
                text => Some(
                    serde_json::from_str(text)
                        .map_err(|why| (format!("the answer is neither `yes`, `no` nor JSON: {why}"), Exit::Usage))?,
                ),
            };
            (run, Wish::Answer { step: step.clone(), answer })
        }
        Runs::Decide { run, decision, step } => {
            let payload = match decision.as_str() {
                word @ ("retry" | "fail") => json!(word),
                text => {
                    let result: Value = serde_json::from_str(text).map_err(|why| {
                        (format!("the decision is neither `retry`, `fail` nor JSON: {why}"), Exit::Usage)
                    })?;
                    json!({ "it_happened": result })
                }
            };
            (run, Wish::Decide { step: step.clone(), payload })
        }
        _ => return Ok(None),
    };
    Ok(Some((run.clone(), wish)))
}

async fn act(reader: &Reader, folder: &Path, what: Runs, terminal: Terminal) -> Result<(), Refusal> {
    if let Some((run, wish)) = wish(&what)? {
        return post(reader, folder, &run, wish, terminal).await;
    }
    match what {
        Runs::List { limit } => list(&reader.last(limit).map_err(|why| unreadable(&why))?, terminal),
        Runs::Show { run } => {
            let stored = find(reader, &run)?;
            let mut all = stored.to_json();
            if !stored.is_over() {
                let history = reader.events(&run, 0).map_err(|why| unreadable(&why))?;
                so_far(&mut all, &stored, &history);
                if holder(folder).is_none() {
                    terminal.note(&format!(
                        "no program goes on with it now: `serve` does once it is started, or `runs resume {run}`"
                    ));
                }
            }
            let children = reader.children(&stored.opening.run).map_err(|why| unreadable(&why))?;
            if !children.is_empty() {
                all["runs"] = children.iter().map(|child| json!(child.opening.run)).collect();
            }
            terminal.data(&format!("{all:#}"));
        }
        Runs::Export { run } => archive::export(reader, find(reader, &run)?, terminal)?,
        Runs::Query { sql, limit } => query::query(folder, &sql, limit, terminal).await?,
        Runs::Retry { run, again } => {
            post(reader, folder, &run, Wish::Retry { does_again: again }, terminal).await?;
            if let Some(next) = successor(reader, folder, &run).await? {
                terminal.data(&next.opening.run);
            }
        }
        Runs::Follow { run } => follow(reader, &find(reader, &run)?.opening.run, terminal).await?,
        Runs::Prune { days, keep } => {
            let age = Duration::from_hours(24 * u64::from(days));
            let count = reader.prune(Retention { age, count: keep }, now()).map_err(|why| unreadable(&why))?;
            terminal.note(&format!("{count} runs deleted"));
        }
        // These need the servers, or the journal for themselves; the others are wishes.
        _ => {}
    }
    Ok(())
}

pub(super) fn list(all: &[Stored], terminal: Terminal) {
    if terminal.is_json {
        let all: Vec<_> = all.iter().map(Stored::to_json).collect();
        terminal.data(&format!("{:#}", Value::from(all)));
        return;
    }
    if all.is_empty() {
        terminal.note("no runs are stored");
    }
    for stored in all {
        let began = jiff::Timestamp::from_millisecond(stored.opening.began.cast_signed()).unwrap_or_default();
        let part = if stored.opening.parent.is_some() { "  (part of another)" } else { "" };
        let opening = &stored.opening;
        terminal.data(&format!(
            "{}  {:10}  {}  {}{part}",
            opening.run,
            stored.standing.status,
            began.strftime("%Y-%m-%d %H:%M:%SZ"),
            opening.workflow
        ));
    }
}

/// The run of this id.
fn find(reader: &Reader, run: &str) -> Result<Stored, Refusal> {
    let found = reader.run(run).map_err(|why| unreadable(&why))?;
    found.ok_or_else(|| (format!("no run `{run}` is stored\nhint: `runs list` shows the last"), Exit::Failed))
}

pub(super) fn unreadable(why: &rusqlite::Error) -> Refusal {
    (format!("the journal cannot be read: {why}"), Exit::Unexpected)
}

/// Writes what has happened from an event on; the number of the next.
fn write(reader: &Reader, run: &str, from: u64, terminal: Terminal) -> Result<u64, Refusal> {
    let events = reader.events(run, from).map_err(|why| unreadable(&why))?;
    for event in &events {
        terminal.data(&serde_json::to_string(event).unwrap_or_default());
    }
    Ok(from + events.len() as u64)
}

async fn follow(reader: &Reader, run: &str, terminal: Terminal) -> Result<(), Refusal> {
    let mut next = 0;
    loop {
        // First how it stands: what has happened until then is written after that.
        let stored = find(reader, run)?;
        next = write(reader, run, next, terminal)?;
        if stored.is_over() || matches!(stored.standing.status.as_str(), "waiting" | "paused") {
            terminal.note(&format!("{run} {}", stored.standing.status));
            return Ok(());
        }
        sleep(LOOK).await;
    }
}

/// Leaves a wish for the process that owns the run, and waits for what it says.
async fn post(reader: &Reader, folder: &Path, run: &str, wish: Wish, terminal: Terminal) -> Result<(), Refusal> {
    let stored = find(reader, run)?;
    if stored.is_over() && !matches!(wish, Wish::Retry { .. }) {
        return Err((format!("run `{run}` has ended: {}", stored.standing.status), Exit::Failed));
    }
    let letter = reader.post(run, &wish).map_err(|why| unreadable(&why))?;
    let Some(holder) = holder(folder) else {
        terminal.note("no program goes on with this run now; it is done as soon as one does");
        terminal.note("hint: `runs resume` goes on with it here");
        return Ok(());
    };
    await_answer(reader, letter, &holder, terminal).await
}

/// Has the program that owns `folder` go over to another level.
pub async fn level(folder: &Path, level: String, terminal: Terminal) -> Exit {
    let asked = async {
        let nobody = || (format!("no program that serves keeps its runs in {} now", folder.display()), Exit::Failed);
        let holder = holder(folder).ok_or_else(nobody)?;
        let reader = Reader::open(folder).map_err(|_| nobody())?;
        let letter = reader.post("", &Wish::Level { level }).map_err(|why| unreadable(&why))?;
        await_answer(&reader, letter, &holder, terminal).await
    };
    asked.await.map_or_else(
        |(why, exit)| {
            terminal.error(&why);
            exit
        },
        |()| Exit::Ok,
    )
}

/// Waits for what `holder` says to a wish.
async fn await_answer(reader: &Reader, letter: i64, holder: &str, terminal: Terminal) -> Result<(), Refusal> {
    let until = Instant::now() + PATIENCE;
    while Instant::now() < until {
        match reader.answer_to(letter).map_err(|why| unreadable(&why))? {
            Some(answer) if answer.is_empty() => {
                terminal.note(&format!("done by {holder}"));
                return Ok(());
            }
            Some(why) => return Err((why, Exit::Failed)),
            None => sleep(LOOK).await,
        }
    }
    Err((format!("{holder} has not answered within {PATIENCE:?}"), Exit::Failed))
}

/// The run that tries `run` again, once its process has stored it.
async fn successor(reader: &Reader, folder: &Path, run: &str) -> Result<Option<Stored>, Refusal> {
    let until = Instant::now() + PATIENCE;
    loop {
        let next = reader.retried(run).map_err(|why| unreadable(&why))?;
        if next.is_some() || holder(folder).is_none() || Instant::now() >= until {
            return Ok(next);
        }
        sleep(LOOK).await;
    }
}

/// Whether another process does what is wanted, or this one can without the servers.
pub fn needs_servers(what: &Runs, folder: &Path) -> bool {
    match what {
        Runs::Resume { .. } => true,
        Runs::Retry { .. } => holder(folder).is_none(),
        _ => false,
    }
}

/// Tries a run again, until it has ended or waits for somebody.
pub async fn retry(app: &App, run: &str, does_again: bool, terminal: Terminal) -> Exit {
    app.gateway().hear_operators(None);
    match app.gateway().retry_run(run, does_again).await {
        Ok(waiter) => attend(vec![waiter], terminal).await,
        Err(fault) => {
            terminal.error(&fault.to_string());
            Exit::of(&fault)
        }
    }
}

/// Goes on with what an earlier process has left, until it has ended or waits for somebody.
pub async fn resume(app: &App, run: Option<&str>, terminal: Terminal) -> Exit {
    let waiters = app.gateway().resume_runs(run);
    // What it was to be told meanwhile comes first: it may be what the run waits for.
    app.gateway().deliver_mail(run).await;
    app.gateway().hear_operators(run);
    if waiters.is_empty() {
        terminal.note(&run.map_or_else(|| "no run is left".to_owned(), |run| format!("run `{run}` is not left")));
    }
    attend(waiters, terminal).await
}

/// What a run that does not go on by itself wants of people.
pub(super) fn wants(shown: &Value) -> Vec<String> {
    let listed = |key: &str| shown[key].as_array().into_iter().flatten().cloned();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let asks = listed("questions").map(|asked| {
        let (run, step) = (text(&asked["run_id"]), text(&asked["step"]));
        format!("`{step}` asks: {}\nhint: `runs answer {run} ANSWER`, then `runs resume`", text(&asked["question"]))
    });
    let run = text(&shown["run_id"]);
    let doubts = listed("in_doubt").map(|doubt| {
        let step = text(&doubt["step"]);
        format!(
            "nobody knows whether the call of `{step}` was carried out\nhint: look, then `runs decide {run} retry`, `fail` or what came \
             of it as JSON, then `runs resume`"
        )
    });
    asks.chain(doubts).collect()
}

async fn attend(waiters: Vec<Waiter>, terminal: Terminal) -> Exit {
    let handles: Vec<_> = waiters.into_iter().map(Waiter::leave).collect();
    let mut exit = Exit::Ok;
    for handle in handles {
        let shown = loop {
            let shown = handle.to_json().await;
            if matches!(shown["status"].as_str(), Some("running" | "undoing" | "queued")) {
                tokio::select! {
                    _ = handle.ended() => {}
                    () = sleep(LOOK) => {}
                    () = crate::cli::serve::asked_to_stop(|| {}) => return Exit::Failed,
                }
                continue;
            }
            break shown;
        };
        if shown["status"] != "completed" {
            exit = Exit::Failed;
        }
        let line =
            format!("{}  {:10}  {}", handle.run_id, shown["status"].as_str().unwrap_or_default(), handle.workflow);
        terminal.data(&if terminal.is_json { shown.to_string() } else { line });
        for want in wants(&shown) {
            terminal.note(&want);
        }
    }
    exit
}
