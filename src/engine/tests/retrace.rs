//! What a run that is tried again takes over from the one before it.

use serde_json::{Value, json};

use crate::engine::event::{Called, Decision, Event, What};
use crate::engine::retrace::Retrace;
use crate::engine::tests::play::{Play, workflow};
use crate::model::usage::Usage;

const WRITES: &str = "steps:\n  - { id: a, tool: s.post, check: { tool: s.get_it } }\n  - { id: b, fail: no }\n";

/// What is left of a run of [`WRITES`] that was taken up with its write in doubt, after this has happened to it; and the result
/// of the write, if that need not be made again.
fn after(all: impl IntoIterator<Item = What>) -> (Vec<String>, Option<Value>) {
    let play = Play::of(WRITES, json!({}));
    let intended = What::Intended { at: "a".to_owned(), attempt: 1 };
    let later = [intended, What::Resumed].into_iter().chain(all).map(|what| Event { now: 5_000, what });
    let history: Vec<_> = play.events.iter().cloned().chain(later).collect();
    let mut retrace = Retrace::of(workflow(WRITES), &history);
    (retrace.doubts.iter().cloned().collect(), retrace.take(play.call("a")))
}

fn checked(result: Value) -> What {
    let outcome = Called::Result(result);
    What::Called { at: "a#check".to_owned(), attempt: 1, outcome, usage: Usage::CALL }
}

fn decided(decision: Decision) -> [What; 2] {
    // Whoever was asked could not say.
    [checked(json!({ "isError": true })), What::Decided { at: "a".to_owned(), attempt: 1, decision }]
}

#[test]
fn a_write_of_which_somebody_knows_that_it_happened_is_not_made_again() {
    let seven = json!({ "structuredContent": 7 });
    assert_eq!(after(decided(Decision::ItHappened(json!(7)))), (vec![], Some(seven.clone())));
    assert_eq!(after([checked(seven.clone())]), (vec![], Some(seven)));
}

#[test]
fn a_write_of_which_somebody_knows_that_it_has_not_happened_is_in_no_doubt() {
    assert_eq!(after(decided(Decision::Retry)), (vec![], None));
    assert_eq!(after([checked(json!({ "structuredContent": {} }))]), (vec![], None));
}

#[test]
fn a_doubt_that_nobody_has_cleared_up_stays_one() {
    let doubt = (vec!["a".to_owned()], None);
    assert_eq!(after([]), doubt);
    assert_eq!(after(decided(Decision::Fail)), doubt);
}
