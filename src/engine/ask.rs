//! A question to somebody, and what its answer becomes.

use std::sync::Arc;

use serde_json::Value as Json;

use crate::engine::command::StepQuestion;
use crate::engine::event::{Answer, Failure};
use crate::engine::frame::{End, FrameId, Next};
use crate::engine::turn::Turn;
use crate::expr::value::Value;
use crate::model::code;
use crate::model::fault::Kind;
use crate::workflow::schema::violations;

/// A question that waits for its answer.
#[derive(Debug)]
pub(super) struct AskFrame {
    question: StepQuestion,
}

impl AskFrame {
    /// A question that is about to be put.
    pub(super) fn new(question: StepQuestion) -> Self {
        Self { question }
    }

    /// What is asked.
    pub(super) fn question(&self) -> &StepQuestion {
        &self.question
    }

    pub(super) fn start(&self, turn: &mut Turn<'_>, id: FrameId) -> Next {
        turn.ask(id, self.question.clone());
        Next::Wait
    }

    pub(super) fn answered(&self, answer: Answer) -> Next {
        let at = &self.question.at;
        let rejected = |message: String| {
            let failure = Failure::new(Kind::Rejected, code::DECLINED, message).at(at);
            Next::End(End::failed(failure.hint("`catch` it with `on: rejected` to do something else")))
        };
        match answer {
            Answer::Given(content) => match &self.question.schema {
                // Without anything to fill in, to answer is to agree.
                None => Next::End(End::completed(Value::from_json(Json::Bool(true)))),
                Some(schema) => match violations(schema, &content, "the answer").as_slice() {
                    [] => Next::End(End::completed(Value::from_json(content))),
                    why => {
                        let message = format!("the answer to `{at}` is not what was asked for: {}", why.join("; "));
                        let failure = Failure::new(Kind::Invalid, code::WRONG_ANSWER, message);
                        Next::End(End::failed(Failure { data: content, ..failure }.at(at)))
                    }
                },
            },
            Answer::Declined { why: None } => rejected(format!("the answer to `{at}` was no")),
            Answer::Declined { why: Some(why) } => rejected(format!("the answer to `{at}` was no: {why}")),
        }
    }
}

/// What an unanswered question fails with.
pub(super) fn unanswered(at: &Arc<str>, limit: std::time::Duration) -> Failure {
    let message = format!("nobody answered `{at}` within {limit:?}");
    Failure::new(Kind::Timeout, code::NOT_ANSWERED, message)
        .hint("give the step a longer `timeout`, or a `default` that counts if nobody answers")
}
