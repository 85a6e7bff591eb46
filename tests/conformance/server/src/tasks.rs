//! The tools that work in a task, for who can be given one.

use std::time::Duration;

use rmcp::model::{
    CallToolResponse, CallToolResult, ClientCapabilities, CreateTaskResult, ErrorData, InputRequests, JsonObject,
};
use rmcp::task_manager::{TaskContext, TaskExit, TaskFuture, TaskOptions};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::ask::{Answers, Gathered, Round, form, one};
use crate::server::Fixture;
use crate::tools::{failed, said};

/// How long what fails works before.
const WORK: Duration = Duration::from_millis(200);

/// `None` for a tool that is not one of these.
pub(crate) async fn call(
    fixture: &Fixture,
    round: &Round<'_>,
    arguments: &JsonObject,
) -> Result<Option<CallToolResponse>, ErrorData> {
    let has_tasks = round.context.client_capabilities().is_some_and(|client| client.supports_tasks());
    let spawn = |work: Work| {
        let options = TaskOptions::new().with_poll_interval_ms(100);
        CallToolResponse::Task(CreateTaskResult::new(fixture.shared.tasks.spawn(options, |context| work.run(context))))
    };
    let needs_a_task = matches!(round.name, "failing_job" | "protocol_error_job" | "test_tool_with_task");
    if needs_a_task && !has_tasks {
        let required = ClientCapabilities::builder().enable_tasks().build();
        return Err(ErrorData::missing_required_client_capability(required));
    }
    Ok(Some(match round.name {
        "slow_compute" => {
            let seconds = arguments.get("seconds").and_then(Value::as_f64).unwrap_or(0.0).clamp(0.0, 600.0);
            let time = Duration::from_secs_f64(seconds);
            if has_tasks {
                spawn(Work::Compute(time))
            } else {
                sleep(time).await;
                computed().into()
            }
        }
        "failing_job" => spawn(Work::Fail),
        "protocol_error_job" => spawn(Work::Break),
        "test_tool_with_task" => {
            let question = form("What is your name?", &json!({ "name": { "type": "string" } }));
            match round.gather(one("user_name", question), None).await? {
                Gathered::Ask(ask) => ask.into(),
                Gathered::Answers(answers) => spawn(Work::Greet(answers)),
            }
        }
        "confirm_delete" | "multi_input" => {
            let questions = questions(round.name, arguments);
            if has_tasks {
                spawn(Work::Ask(questions))
            } else {
                match round.gather(questions, None).await? {
                    Gathered::Ask(ask) => ask.into(),
                    Gathered::Answers(answers) => answered(&answers).into(),
                }
            }
        }
        _ => return Ok(None),
    }))
}

/// What a task does.
enum Work {
    Compute(Duration),
    Fail,
    Break,
    Greet(Answers),
    Ask(InputRequests),
}

impl Work {
    fn run(self, context: TaskContext) -> TaskFuture {
        Box::pin(async move {
            match self {
                Self::Compute(time) => tokio::select! {
                    () = context.cancelled() => Err(TaskExit::Cancelled),
                    () = sleep(time) => Ok(computed()),
                },
                Self::Fail => {
                    sleep(WORK).await;
                    Ok(failed("The job has failed."))
                }
                Self::Break => {
                    sleep(WORK).await;
                    Err(TaskExit::Error(ErrorData::internal_error("The job has broken.", None)))
                }
                Self::Greet(answers) => Ok(answered(&answers)),
                Self::Ask(questions) => {
                    let asked = questions.into_iter().map(async |(name, question)| {
                        let answer = context.request_input(name.clone(), question).await?;
                        Ok::<_, TaskExit>((name, answer))
                    });
                    let answers = futures::future::try_join_all(asked).await?;
                    Ok(answered(&answers.into_iter().collect()))
                }
            }
        })
    }
}

fn questions(name: &str, arguments: &JsonObject) -> InputRequests {
    let confirm = json!({ "confirm": { "type": "boolean" } });
    if name == "confirm_delete" {
        let file = arguments.get("filename").and_then(Value::as_str).unwrap_or("the file");
        return one("confirm", form(&format!("Delete {file}?"), &confirm));
    }
    let name = form("What is your name?", &json!({ "name": { "type": "string" } }));
    InputRequests::from([("name".to_owned(), name), ("confirm".to_owned(), form("Are you sure?", &confirm))])
}

fn computed() -> CallToolResult {
    said("Computed.")
}

fn answered(answers: &Answers) -> CallToolResult {
    said(format!("Answered: {}", json!(answers)))
}
