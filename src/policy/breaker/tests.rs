//! When it opens, how it recovers, and which answers count.

use std::time::{Duration, Instant};

use serde_json::value::RawValue;

use super::*;
use crate::model::fault::Rpc;

const SECOND: Duration = Duration::from_secs(1);

fn call(breaker: &mut Breaker, outcome: Outcome, now: Instant) {
    let permit = breaker.admit(now).expect("admitted");
    breaker.record(permit, outcome, now);
}

fn calls(breaker: &mut Breaker, count: usize, outcome: Outcome, now: Instant) {
    for _ in 0..count {
        call(breaker, outcome, now);
    }
}

/// A breaker that has just opened, and when.
fn opened() -> (Breaker, Instant) {
    let now = Instant::now();
    let mut breaker = Breaker::new(Settings::default());
    calls(&mut breaker, 5, Outcome::Failure, now);
    assert_eq!(breaker.state(now), State::Open);
    (breaker, now)
}

#[test]
fn failures_in_a_row_open_it_however_much_went_well_before() {
    let now = Instant::now();
    let mut breaker = Breaker::new(Settings::default());
    calls(&mut breaker, 1_000, Outcome::Success, now);
    calls(&mut breaker, 4, Outcome::Failure, now);
    assert_eq!(breaker.state(now), State::Closed);
    call(&mut breaker, Outcome::Failure, now);
    assert_eq!(breaker.state(now), State::Open);
    assert_eq!(breaker.admit(now), Err(60 * SECOND));
}

#[test]
fn one_failure_a_day_opens_it_once_enough_are_in_a_row() {
    let start = Instant::now();
    let mut breaker = Breaker::new(Settings::default());
    for day in 0..5 {
        assert_eq!(breaker.state(start), State::Closed);
        call(&mut breaker, Outcome::Failure, start + day * 86_400 * SECOND);
    }
    assert_eq!(breaker.state(start + 4 * 86_400 * SECOND), State::Open);
}

#[test]
fn every_second_call_failing_opens_it_and_every_third_does_not() {
    let now = Instant::now();
    let mut breaker = Breaker::new(Settings::default());
    for _ in 0..4 {
        calls(&mut breaker, 1, Outcome::Success, now);
        calls(&mut breaker, 1, Outcome::Failure, now);
    }
    call(&mut breaker, Outcome::Success, now);
    assert_eq!((breaker.state(now), breaker.failures(now)), (State::Closed, 4));
    call(&mut breaker, Outcome::Failure, now);
    assert_eq!(breaker.state(now), State::Open);

    let mut breaker = Breaker::new(Settings::default());
    for _ in 0..100 {
        calls(&mut breaker, 2, Outcome::Success, now);
        calls(&mut breaker, 1, Outcome::Failure, now);
    }
    assert_eq!((breaker.state(now), breaker.failures(now)), (State::Closed, 100));
}

#[test]
fn old_failures_leave_the_window() {
    let start = Instant::now();
    let mut breaker = Breaker::new(Settings::default());
    calls(&mut breaker, 4, Outcome::Failure, start);
    assert_eq!(breaker.failures(start + 29 * SECOND), 4);
    let later = start + 30 * SECOND;
    assert_eq!(breaker.failures(later), 0);
    call(&mut breaker, Outcome::Success, later);
    call(&mut breaker, Outcome::Failure, later);
    assert_eq!((breaker.state(later), breaker.failures(later)), (State::Closed, 1));
}

#[test]
fn cancelled_calls_say_nothing() {
    let now = Instant::now();
    let mut breaker = Breaker::new(Settings::default());
    for _ in 0..4 {
        call(&mut breaker, Outcome::Failure, now);
        call(&mut breaker, Outcome::Neutral, now);
    }
    assert_eq!(breaker.state(now), State::Closed);
    call(&mut breaker, Outcome::Failure, now);
    assert_eq!(breaker.state(now), State::Open);
}

#[test]
fn half_open_lets_no_stampede_through() {
    let (mut breaker, start) = opened();
    assert_eq!(breaker.admit(start + 59 * SECOND), Err(SECOND));
    let now = start + 60 * SECOND;
    assert_eq!((breaker.state(now), breaker.retry_after(now)), (State::HalfOpen, None));
    let admitted = (0..1_000).filter(|_| breaker.admit(now).is_ok()).count();
    assert_eq!(admitted, 3);
    assert_eq!(breaker.admit(now), Err(SECOND));
}

#[test]
fn a_cancelled_probe_frees_its_place_without_a_verdict() {
    let (mut breaker, start) = opened();
    let now = start + 60 * SECOND;
    let probes = [(); 3].map(|()| breaker.admit(now).expect("a probe"));
    assert!(breaker.admit(now).is_err());
    breaker.record(probes[0], Outcome::Neutral, now);
    assert!(breaker.admit(now).is_ok());
    assert!(breaker.admit(now).is_err());
    assert_eq!(breaker.state(now), State::HalfOpen);
}

#[test]
fn one_call_an_hour_is_enough_to_recover() {
    let (mut breaker, start) = opened();
    for hour in 1..=3 {
        let now = start + hour * 3_600 * SECOND;
        assert_eq!(breaker.state(now), State::HalfOpen, "hour {hour}");
        call(&mut breaker, Outcome::Success, now);
    }
    assert_eq!(breaker.state(start), State::Closed);
}

#[test]
fn a_lost_permit_does_not_shut_the_server_off_for_ever() {
    let (mut breaker, start) = opened();
    let now = start + 60 * SECOND;
    let lost = [(); 3].map(|()| breaker.admit(now));
    assert!(lost.iter().all(Result::is_ok));
    assert!(breaker.admit(now + 59 * SECOND).is_err());
    let later = now + 60 * SECOND;
    let probe = breaker.admit(later).expect("in the place of the overdue one");
    assert!(breaker.admit(later).is_err(), "one more, not three");
    breaker.record(probe, Outcome::Success, later);
    calls(&mut breaker, 2, Outcome::Success, later);
    assert_eq!(breaker.state(later), State::Closed);
}

#[test]
fn a_slow_probe_still_counts_when_another_took_its_place() {
    let (mut breaker, start) = opened();
    let now = start + 60 * SECOND;
    let slow = [(); 3].map(|()| breaker.admit(now).expect("a probe"));
    let much_later = now + 300 * SECOND;
    let _one_more = breaker.admit(much_later).expect("in the place of an overdue one");
    for probe in slow {
        breaker.record(probe, Outcome::Success, much_later);
    }
    assert_eq!(breaker.state(much_later), State::Closed);
}

#[test]
fn a_failed_probe_opens_it_again_and_the_wait_doubles_up_to_ten_times() {
    let (mut breaker, mut now) = opened();
    let mut waits = Vec::new();
    for _ in 0..6 {
        let wait = breaker.retry_after(now).expect("open");
        waits.push(wait.as_secs());
        now += wait;
        call(&mut breaker, Outcome::Failure, now);
    }
    assert_eq!(waits, [60, 120, 240, 480, 600, 600]);
    now += 600 * SECOND;
    calls(&mut breaker, 3, Outcome::Success, now);
    calls(&mut breaker, 5, Outcome::Failure, now);
    assert_eq!(breaker.retry_after(now), Some(60 * SECOND), "closing has reset the wait");
}

#[test]
fn many_probes_failing_together_double_the_wait_once() {
    let (mut breaker, start) = opened();
    let now = start + 60 * SECOND;
    let probes = [(); 3].map(|()| breaker.admit(now).expect("a probe"));
    for probe in probes {
        breaker.record(probe, Outcome::Failure, now);
    }
    assert_eq!(breaker.retry_after(now), Some(120 * SECOND));
}

#[test]
fn a_late_answer_from_before_the_outage_changes_nothing() {
    let now = Instant::now();
    let mut breaker = Breaker::new(Settings::default());
    let stale = [(); 9].map(|()| breaker.admit(now).expect("closed"));
    for permit in &stale[..5] {
        breaker.record(*permit, Outcome::Failure, now);
    }
    let later = now + 60 * SECOND;
    let probe = breaker.admit(later).expect("half open");
    for permit in &stale[5..8] {
        breaker.record(*permit, Outcome::Success, later);
    }
    assert_eq!(breaker.state(later), State::HalfOpen, "stale successes do not close it");
    breaker.record(stale[8], Outcome::Failure, later);
    assert_eq!(breaker.state(later), State::HalfOpen, "a stale failure does not open it");
    breaker.record(probe, Outcome::Success, later);
    calls(&mut breaker, 2, Outcome::Success, later);
    assert_eq!(breaker.state(later), State::Closed);
}

#[test]
fn an_operator_can_close_and_open_it() {
    let (mut breaker, start) = opened();
    breaker.reset();
    assert_eq!((breaker.state(start), breaker.failures(start)), (State::Closed, 0));
    let stale = breaker.admit(start).expect("closed");
    breaker.force_open(start);
    assert_eq!(breaker.admit(start), Err(60 * SECOND));
    breaker.record(stale, Outcome::Success, start);
    assert_eq!(breaker.state(start + 59 * SECOND), State::Open);
    calls(&mut breaker, 3, Outcome::Success, start + 60 * SECOND);
    assert_eq!(breaker.state(start), State::Closed);
}

#[test]
fn settings_of_nothing_still_make_a_breaker() {
    let nothing = Settings { failures: 0, window: Duration::ZERO, open_for: Duration::ZERO, half_open_probes: 0 };
    let now = Instant::now();
    let mut breaker = Breaker::new(nothing);
    call(&mut breaker, Outcome::Failure, now);
    assert_eq!(breaker.state(now), State::HalfOpen, "open for no time at all");
    let probe = breaker.admit(now).expect("half open");
    assert_eq!(breaker.admit(now), Err(SECOND), "still no stampede");
    breaker.record(probe, Outcome::Success, now);
    assert_eq!(breaker.state(now), State::Closed);

    let endless = Settings { window: Duration::MAX, open_for: Duration::MAX, ..nothing };
    let mut breaker = Breaker::new(endless);
    call(&mut breaker, Outcome::Failure, now);
    assert_eq!(breaker.admit(now), Err(Duration::MAX));
}

fn outcome(fault: Fault) -> Outcome {
    outcome_of(&Err(fault))
}

fn rpc(kind: Kind, code: i64) -> Fault {
    let mut fault = Fault::new(kind, code::SERVER_ERROR, "x").sent();
    fault.rpc = Some(Rpc { code, data: None });
    fault
}

#[test]
fn a_tool_that_says_it_failed_is_no_failure_of_its_server() {
    let body = RawValue::from_string(r#"{"isError":true,"content":[]}"#.to_owned()).expect("json");
    assert_eq!(outcome_of(&Ok(Reply::new(body))), Outcome::Success);
    assert_eq!(outcome(Fault::new(Kind::ToolError, code::STEP_FAILED, "x")), Outcome::Success);
}

#[test]
fn a_server_that_answers_works_unless_it_says_that_it_is_broken() {
    assert_eq!(outcome(rpc(Kind::Invalid, -32602)), Outcome::Success);
    assert_eq!(outcome(rpc(Kind::NotFound, -32601)), Outcome::Success);
    assert_eq!(outcome(rpc(Kind::Internal, 42)), Outcome::Success);
    assert_eq!(outcome(rpc(Kind::Internal, -32603)), Outcome::Failure);
    assert_eq!(outcome(Fault::new(Kind::Internal, code::BAD_ANSWER, "x")), Outcome::Failure);
}

#[test]
fn silence_in_every_form_is_a_failure() {
    assert_eq!(outcome(Fault::new(Kind::Timeout, code::CALL_TIMEOUT, "x")), Outcome::Failure);
    assert_eq!(outcome(Fault::new(Kind::Unavailable, code::SERVER_DOWN, "x")), Outcome::Failure);
    assert_eq!(outcome(Fault::new(Kind::Unavailable, code::SPAWN_FAILED, "x")), Outcome::Failure);
    assert_eq!(outcome(Fault::new(Kind::RateLimited, code::SERVER_ERROR, "429")), Outcome::Failure);
    assert_eq!(outcome(Fault::new(Kind::InDoubt, code::CALL_TIMEOUT, "x")), Outcome::Failure);
}

#[test]
fn what_never_reached_the_server_says_nothing_about_it() {
    for kind in [Kind::Denied, Kind::Invalid, Kind::NotFound, Kind::Budget, Kind::Rejected, Kind::Internal] {
        assert_eq!(outcome(Fault::new(kind, code::INTERNAL, "x")), Outcome::Neutral, "{kind:?}");
    }
    for code in [code::BREAKER_OPEN, code::SERVER_STARTING, code::CRASH_LOOP, code::UNSET_VARIABLE] {
        assert_eq!(outcome(Fault::new(Kind::Unavailable, code, "x")), Outcome::Neutral, "{code}");
    }
    assert_eq!(outcome(Fault::new(Kind::RateLimited, code::SERVER_BUSY, "x")), Outcome::Neutral);
    assert_eq!(outcome(rpc(Kind::Cancelled, -32603)), Outcome::Neutral);
}
