//! Holds a result against what its step expects.

use crate::engine::event::Failure;
use crate::engine::scope::Scope;
use crate::expr::value::Value;
use crate::model::code;
use crate::model::fault::Kind;
use crate::workflow::modifier::Expect;
use crate::workflow::schema;

/// Fails if the result is not what the step at `at` expects. The failure has the result as its data.
pub(super) fn check(expect: &Expect, scope: &Scope, result: &Value, at: &str) -> Result<(), Box<Failure>> {
    let why = match expect {
        Expect::Holds(condition) if scope.with("result", result.clone()).holds(condition, "expect", at)? => {
            return Ok(());
        }
        Expect::Holds(condition) => format!("`{}` does not hold", condition.source()),
        Expect::Fits(schema) => {
            let violations = schema::violations(schema, &result.to_json(), "the result");
            if violations.is_empty() {
                return Ok(());
            }
            violations.join("; ")
        }
    };
    let message = format!("the result of step `{at}` is not what it expects: {why}");
    let failure = Failure::new(Kind::ToolError, code::UNEXPECTED, message).at(at);
    Err(Failure { was_sent: true, data: result.to_json(), ..failure }.into())
}
