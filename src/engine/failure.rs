//! How failures are made, and what they allow to be done about them.

use std::fmt::Display;

use serde_json::Value as Json;

use crate::engine::command::Outcome;
use crate::engine::event::Failure;
use crate::expr::error::Error;
use crate::expr::value::Value;
use crate::model::code::{self, Code};
use crate::model::effect::Effect;
use crate::model::fault::Kind;

impl Outcome {
    /// The failure of a run that did not complete.
    pub fn failure(&self) -> Option<Failure> {
        match self {
            Self::Completed(_) => None,
            Self::Failed(failure) => Some(failure.clone()),
            Self::Cancelled { why } => {
                Some(Failure::new(Kind::Cancelled, code::RUN_CANCELLED, format!("the run was cancelled: {why}")))
            }
        }
    }
}

impl Failure {
    /// The message after the name of the server and tool that it comes from.
    pub fn sentence(&self) -> String {
        match (&self.server, &self.target) {
            (Some(server), Some(target)) => format!("{server}.{target}: {}", self.message),
            (Some(one), None) | (None, Some(one)) => format!("{one}: {}", self.message),
            (None, None) => self.message.clone(),
        }
    }

    /// A failure with nothing but a kind, a code and a message.
    pub fn new(kind: Kind, code: Code, message: impl Into<String>) -> Self {
        Self {
            kind: kind.as_str().to_owned(),
            code: code.as_str().to_owned(),
            message: message.into(),
            step: None,
            server: None,
            target: None,
            hint: None,
            retry_after: None,
            was_sent: false,
            data: Json::Null,
        }
    }

    /// An expression that could not be computed: `what` of a step, or of the workflow if it is no step's.
    pub(super) fn of_expression(error: &Error, what: &str, step: Option<&str>) -> Self {
        let whose = step.map_or_else(|| "the workflow".to_owned(), |step| format!("step `{step}`"));
        let message = format!("`{what}` of {whose} cannot be computed: {} in `{}`", error.message, error.expression);
        let failure = Self::new(Kind::Invalid, code::EXPRESSION_FAILED, message);
        Self { hint: error.help.clone(), step: step.map(str::to_owned), ..failure }
    }

    /// A run that has grown beyond a bound.
    pub(super) fn too_large(message: impl Into<String>) -> Self {
        Self::new(Kind::Budget, code::RUN_TOO_LARGE, message)
    }

    /// The failure of a whole of which so many parts must succeed, while no more than `left` of `of` can, this being the
    /// failure that made it so.
    pub(super) fn too_few(self, parts: &str, (left, of): (usize, usize), needed: usize) -> Self {
        let message = format!(
            "no more than {left} of {of} {parts} can succeed, but {needed} must; the last failed: {}",
            self.message
        );
        Self { code: code::TOO_FEW.as_str().to_owned(), message, ..self }
    }

    /// Names the step, unless a step further inside is named already.
    #[must_use]
    pub(super) fn at(mut self, step: impl Display) -> Self {
        self.step.get_or_insert_with(|| step.to_string());
        self
    }

    /// Says what to do.
    #[must_use]
    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The kind; a word that no kind has is a mistake of ours.
    pub(super) fn kind(&self) -> Kind {
        Kind::parse(&self.kind).unwrap_or(Kind::Internal)
    }

    /// What `error` is in expressions: every key is there, null if it is not known.
    pub(super) fn to_value(&self) -> Value {
        Value::from_json(self.to_json())
    }

    /// [`Failure::to_value`] as JSON.
    pub(super) fn to_json(&self) -> Json {
        serde_json::json!({
            "kind": self.kind,
            "code": self.code,
            "message": self.message,
            "step": self.step,
            "server": self.server,
            "target": self.target,
            "hint": self.hint,
            "data": self.data,
        })
    }

    /// Whether nobody can say if what was asked for has happened: the request had left us, no answer came, and doing it
    /// again would do it twice. A server that answered, even with a refusal, leaves no doubt.
    pub(super) fn leaves_doubt(&self, effect: Effect) -> bool {
        let unanswered =
            matches!(self.kind(), Kind::Timeout | Kind::Unavailable | Kind::Cancelled | Kind::Internal | Kind::InDoubt);
        self.was_sent && unanswered && !effect.may_repeat()
    }

    /// This failure as it is told: of kind `in_doubt` if it leaves doubt.
    #[must_use]
    pub(super) fn told(mut self, effect: Effect) -> Self {
        if self.leaves_doubt(effect) && self.kind() != Kind::InDoubt {
            self.message = format!(
                "{}; the call had been sent and its outcome is unknown, so the tool was not called again",
                self.message
            );
            Kind::InDoubt.as_str().clone_into(&mut self.kind);
            self.hint.get_or_insert_with(|| {
                "check whether it has happened before trying again; a tool that may safely be called twice is marked \
                 with `effect: idempotent`"
                    .to_owned()
            });
        }
        self
    }
}
