//! What a run asks of the person at the terminal: answered by `--answer STEP=ANSWER`, or by typing.

use std::collections::BTreeMap;
use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::sync::Arc;
use std::thread;

use serde_json::{Map, Value, json};
use tokio::sync::oneshot;

use crate::cli::terminal::{Paint, Terminal};
use crate::engine::event::{Answer, What};
use crate::gateway::door::Gateway;
use crate::gateway::runs::{Stand, Waiter};
use crate::model::code;
use crate::model::fault::{Fault, Kind};
use crate::model::suggest::did_you_mean;
use crate::runner::live::OpenQuestion;
use crate::runner::report::Report;
use crate::workflow::definition::{Block, Workflow};
use crate::workflow::schema::violations;
use crate::workflow::verb::Verb;

/// Looks before the run begins whether the answers that are given along can be what its steps ask for.
pub fn check(workflow: &Workflow, given: &[String]) -> Result<(), Fault> {
    let mut asks = Asks::default();
    workflow.blocks().for_each(|(_, block)| asks.note(block));
    for pair in given {
        let wrong = |message: String| Fault::new(Kind::Invalid, code::WRONG_ANSWER, message);
        let (at, text) = pair
            .split_once('=')
            .ok_or_else(|| wrong(format!("`--answer {pair}` answers nothing")).hint("it has the form STEP=ANSWER"))?;
        // The step itself, of which there may be several, each in its own place.
        let step = at.rsplit('/').next().and_then(|step| step.split('[').next()).unwrap_or(at);
        match asks.schemas.get(step) {
            Some(schema) => _ = read(at, schema.as_deref(), text)?,
            // A workflow within may ask.
            None if asks.has_workflows => {}
            None => {
                let fault = wrong(format!("no step `{at}` asks anything"));
                let near = did_you_mean(step, asks.schemas.keys().map(AsRef::as_ref));
                return Err(fault.hint(near.unwrap_or_else(|| "`graph` shows the steps".to_owned())));
            }
        }
    }
    Ok(())
}

/// What the steps of a workflow ask.
#[derive(Default)]
struct Asks {
    schemas: BTreeMap<Arc<str>, Option<Arc<Value>>>,
    has_workflows: bool,
}

impl Asks {
    fn note(&mut self, block: &Block) {
        for step in &block.steps {
            match &step.verb {
                Verb::Ask(ask) => _ = self.schemas.insert(Arc::clone(&step.id), ask.answer.clone()),
                Verb::Workflow { .. } | Verb::Agent { .. } => self.has_workflows = true,
                _ => {}
            }
            step.blocks().for_each(|(_, block)| self.note(block));
        }
    }
}

/// Waits for the end of a run and answers what it asks. With a question that nobody answers here the run is left, if it is stored.
pub async fn attend(
    gateway: &Gateway,
    mut waiter: Waiter,
    given: Vec<String>,
    terminal: Terminal,
) -> Result<Arc<Report>, Fault> {
    loop {
        let open = match waiter.ended_or_open().await? {
            Stand::Ended(report) => return Ok(report),
            Stand::Waiting(open) => open,
        };
        for question in &open {
            let answer = match answer(question, &given, terminal).await {
                Ok(answer) => answer,
                Err(fault) => return Err(left(gateway, &waiter.leave().run_id, question, fault)),
            };
            let (at, attempt) = (question.question.at.to_string(), question.question.attempt);
            gateway.tell_run(&question.run_id, What::Answered { at, attempt, answer }).await?;
        }
        let handle = Arc::clone(waiter.handle());
        tokio::select! {
            _ = waiter.ended() => {}
            () = handle.board.has_changed(&open) => {}
        }
    }
}

/// What is said of a run that is left with a question.
fn left(gateway: &Gateway, run: &str, question: &OpenQuestion, fault: Fault) -> Fault {
    if !gateway.is_kept(run) {
        return fault;
    }
    let (asking, at) = (&question.run_id, &question.question.at);
    fault.hint(format!(
        "it waits for that: `runs answer {asking} ANSWER`, then `runs resume {run}`; `--answer {at}=ANSWER` would have said it along"
    ))
}

async fn answer(question: &OpenQuestion, given: &[String], terminal: Terminal) -> Result<Answer, Fault> {
    let at = &question.question.at;
    let ready = given.iter().filter_map(|pair| pair.split_once('=')).find(|(step, _)| **step == **at);
    if let Some((_, text)) = ready {
        return read(at, question.question.schema.as_deref(), text);
    }
    if !std::io::stdin().is_terminal() {
        let message = format!("`{at}` asks: {}", question.question.message);
        let hint = format!("answer with `--answer {at}=yes`, `={{…}}` or `=no`, or run it in a terminal");
        return Err(Fault::new(Kind::Rejected, code::NEEDS_ANSWER, message).hint(hint));
    }
    terminal.note(&format!("{} {}", terminal.paint("?", Paint::Cyan), question.question.message));
    let (sender, typed) = oneshot::channel();
    let asked = question.clone();
    // Not a task: nothing can end the reading of a line but the line, and the program must be able to end without it.
    thread::spawn(move || sender.send(typed_answer(&asked)));
    typed.await.unwrap_or(Ok(Answer::Declined { why: None }))
}

/// An answer as text: `yes`, `no`, or what the question's fields are to be, as JSON.
fn read(at: &str, schema: Option<&Value>, text: &str) -> Result<Answer, Fault> {
    let content = match text {
        "no" => return Ok(Answer::Declined { why: None }),
        "yes" => json!(true),
        text => serde_json::from_str(text).map_err(|error| wrong(at, &error.to_string()))?,
    };
    let Some(schema) = schema else {
        return Answer::yes_or_no(&content).ok_or_else(|| wrong(at, "it is a question of yes or no"));
    };
    let why = violations(schema, &content, "it");
    if why.is_empty() { Ok(Answer::Given(content)) } else { Err(wrong(at, &why.join("; "))) }
}

fn wrong(at: &str, why: &str) -> Fault {
    let message = format!("the answer to `{at}` does not fit: {why}");
    Fault::new(Kind::Invalid, code::WRONG_ANSWER, message)
}

/// Asks for one field after the other.
fn typed_answer(question: &OpenQuestion) -> Result<Answer, Fault> {
    let Some(schema) = &question.question.schema else {
        return Ok(loop {
            match line("  yes or no: ").map(|word| word.to_lowercase()).as_deref() {
                Some("y" | "yes") => break Answer::Given(json!(true)),
                Some("n" | "no") | None => break Answer::Declined { why: None },
                Some(_) => {}
            }
        });
    };
    loop {
        let Some(content) = typed_fields(schema) else { return Ok(Answer::Declined { why: None }) };
        match read(&question.question.at, Some(schema), &Value::Object(content).to_string()) {
            Ok(answer) => return Ok(answer),
            Err(fault) => {
                let _ = writeln!(std::io::stderr(), "  {}; once more", fault.message);
            }
        }
    }
}

/// What is typed for each field; nothing at the end of input.
fn typed_fields(schema: &Value) -> Option<Map<String, Value>> {
    let mut content = Map::new();
    for (name, field) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
        let text = line(&format!("  {name}{}: ", hint(schema, name, field)))?;
        let is_text = field.get("type").is_some_and(|kind| kind == "string");
        match (text.as_str(), is_text) {
            ("", _) => continue,
            (_, true) => content.insert(name.clone(), text.into()),
            ("y" | "yes", false) => content.insert(name.clone(), true.into()),
            ("n" | "no", false) => content.insert(name.clone(), false.into()),
            (_, false) => content.insert(name.clone(), serde_json::from_str(&text).unwrap_or_else(|_| text.into())),
        };
    }
    Some(content)
}

/// What a field is about, what it may be, and whether it may be left out.
fn hint(schema: &Value, name: &str, field: &Value) -> String {
    let listed = |key: &str| field.get(key).and_then(Value::as_array);
    let choices = listed("enum").map(|all| all.iter().map(Value::to_string).collect::<Vec<_>>().join(" or "));
    let kind = field.get("type").and_then(Value::as_str).filter(|kind| *kind != "string").map(ToOwned::to_owned);
    let about = field.get("description").and_then(Value::as_str).map(ToOwned::to_owned);
    let required = schema.get("required").and_then(Value::as_array).into_iter().flatten();
    let is_optional = !required.into_iter().any(|required| required == name);
    let optional = is_optional.then(|| "may be left out".to_owned());
    let parts: Vec<_> = [about, choices.or(kind), optional].into_iter().flatten().collect();
    if parts.is_empty() { String::new() } else { format!(" ({})", parts.join("; ")) }
}

/// One line of the person at the terminal; nothing at the end of input.
fn line(prompt: &str) -> Option<String> {
    let _ = write!(std::io::stderr(), "{prompt}").and_then(|()| std::io::stderr().flush());
    let mut line = String::new();
    let read = std::io::stdin().lock().read_line(&mut line).ok()?;
    (read > 0).then(|| line.trim().to_owned())
}
