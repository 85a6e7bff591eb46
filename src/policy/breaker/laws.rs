//! Whatever happens, it does what a model does that remembers every call, and it can always recover.

use std::time::{Duration, Instant};

use proptest::collection::vec;
use proptest::prelude::{Just, ProptestConfig, Strategy, prop_assert, prop_assert_eq, prop_oneof, proptest};

use crate::policy::breaker::window::Window;
use crate::policy::breaker::{Breaker, Outcome, Permit, Settings, State};

const SECOND: Duration = Duration::from_secs(1);

/// Times are whole seconds and so is a tenth of the window, so that buckets and exact ages agree.
const SETTINGS: Settings =
    Settings { failures: 3, window: Duration::from_secs(10), open_for: Duration::from_secs(7), half_open_probes: 2 };

#[derive(Debug, Clone, Copy)]
enum Step {
    Call,
    /// The outcome of the call under way with this number, counted round and round.
    End(usize, Outcome),
    Pass(u32),
    Reset,
    ForceOpen,
}

fn any_step() -> impl Strategy<Value = Step> {
    let outcome = prop_oneof![3 => Just(Outcome::Success), 4 => Just(Outcome::Failure), 1 => Just(Outcome::Neutral)];
    prop_oneof![
        12 => Just(Step::Call),
        12 => (0..8_usize, outcome).prop_map(|(index, outcome)| Step::End(index, outcome)),
        5 => (0..12_u32).prop_map(Step::Pass),
        1 => Just(Step::Pass(70)),
        1 => prop_oneof![Just(Step::Reset), Just(Step::ForceOpen)],
    ]
}

/// The specification, written for reading: it keeps every call and computes all else from them.
struct Model {
    state: State,
    /// When it opened, or admitted its latest probe.
    since: Instant,
    /// Failed or not, and when, since it last closed.
    calls: Vec<(bool, Instant)>,
    /// How often recovery has failed since it last closed.
    relapses: u32,
    under_way: u32,
    successes: u32,
    /// How often the state has changed.
    epoch: u32,
}

impl Model {
    fn new(now: Instant) -> Self {
        Self { state: State::Closed, since: now, calls: Vec::new(), relapses: 0, under_way: 0, successes: 0, epoch: 0 }
    }

    fn wait(&self) -> Duration {
        (SETTINGS.open_for * 2_u32.pow(self.relapses.min(8))).min(SETTINGS.open_for * 10)
    }

    fn in_window(&self, now: Instant) -> Vec<bool> {
        self.calls.iter().filter(|(_, at)| now - *at < SETTINGS.window).map(|(failed, _)| *failed).collect()
    }

    fn failures(&self, now: Instant) -> usize {
        self.in_window(now).iter().filter(|failed| **failed).count()
    }

    fn enter(&mut self, state: State, now: Instant) {
        self.epoch += 1;
        (self.state, self.since, self.under_way, self.successes) = (state, now, 0, 0);
        if state == State::Closed {
            self.calls.clear();
            self.relapses = 0;
        }
    }

    fn admit(&mut self, now: Instant) -> bool {
        let is_waited_for = now - self.since >= self.wait();
        if self.state == State::Open && is_waited_for {
            self.enter(State::HalfOpen, now);
        }
        let has_place = self.under_way < SETTINGS.half_open_probes;
        match self.state {
            State::Closed => return true,
            State::Open => return false,
            State::HalfOpen if !has_place && !is_waited_for => return false,
            State::HalfOpen => {}
        }
        self.since = now;
        self.under_way += u32::from(has_place);
        true
    }

    fn record(&mut self, epoch: u32, outcome: Outcome, now: Instant) {
        if epoch != self.epoch {
            return;
        }
        self.under_way = self.under_way.saturating_sub(1);
        if outcome == Outcome::Neutral {
            return;
        }
        let failed = outcome == Outcome::Failure;
        self.calls.push((failed, now));
        if self.state == State::HalfOpen {
            self.successes += u32::from(!failed);
            if failed {
                self.relapses += 1;
                self.enter(State::Open, now);
            } else if self.successes == SETTINGS.half_open_probes {
                self.enter(State::Closed, now);
            }
            return;
        }
        let in_a_row = self.calls.iter().rev().take_while(|(failed, _)| *failed).count();
        let often = self.failures(now) >= 3 && 2 * self.failures(now) >= self.in_window(now).len();
        if failed && (in_a_row >= 3 || often) {
            self.enter(State::Open, now);
        }
    }
}

/// Plays `steps`; after each, `check` sees the breaker, the model and the time.
fn play(
    steps: &[Step],
    mut check: impl FnMut(&Breaker, &Model, Instant) -> Result<(), proptest::test_runner::TestCaseError>,
) -> Result<(Breaker, Instant), proptest::test_runner::TestCaseError> {
    let mut now = Instant::now();
    let (mut breaker, mut model) = (Breaker::new(SETTINGS), Model::new(now));
    let mut under_way: Vec<(Permit, u32)> = Vec::new();
    for step in steps {
        match *step {
            Step::Call => {
                let permit = breaker.admit(now);
                prop_assert_eq!(permit.is_ok(), model.admit(now));
                under_way.extend(permit.ok().map(|permit| (permit, model.epoch)));
            }
            Step::End(index, outcome) if !under_way.is_empty() => {
                let (permit, epoch) = under_way.swap_remove(index % under_way.len());
                breaker.record(permit, outcome, now);
                model.record(epoch, outcome, now);
            }
            Step::End(..) => {}
            Step::Pass(seconds) => now += seconds * SECOND,
            Step::Reset => {
                breaker.reset();
                model.enter(State::Closed, now);
            }
            Step::ForceOpen => {
                breaker.force_open(now);
                model.enter(State::Open, now);
            }
        }
        check(&breaker, &model, now)?;
    }
    Ok((breaker, now))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn it_does_what_the_model_does(steps in vec(any_step(), 0..120)) {
        play(&steps, |breaker, model, now| {
            let is_over = model.state == State::Open && now - model.since >= model.wait();
            prop_assert_eq!(breaker.state(now), if is_over { State::HalfOpen } else { model.state });
            prop_assert_eq!(breaker.failures(now) as usize, model.failures(now));
            Ok(())
        })?;
    }

    #[test]
    fn a_failure_counts_for_nine_tenths_of_the_window_at_least_and_for_the_whole_at_most(
        ages in vec(0..30_000_u64, 0..40),
        length in 1..20_000_u64,
    ) {
        let (start, length) = (Instant::now(), Duration::from_millis(length));
        let now = start + 30 * SECOND;
        let mut window = Window::new(length);
        window.count(false, start);
        let mut ages: Vec<_> = ages.into_iter().map(Duration::from_millis).collect();
        ages.sort_by_key(|age| std::cmp::Reverse(*age));
        for age in &ages {
            window.count(true, now.checked_sub(*age).expect("after the start"));
        }
        let younger_than = |limit: Duration| ages.iter().filter(|age| **age < limit).count();
        let counted = window.failures(now) as usize;
        prop_assert!((younger_than(length / 10 * 9)..=younger_than(length)).contains(&counted));
    }

    #[test]
    fn a_refusal_says_when_to_come_back_and_keeps_its_word(steps in vec(any_step(), 0..120)) {
        play(&steps, |breaker, _, now| {
            let mut copy = breaker.clone();
            match breaker.retry_after(now) {
                None => prop_assert!(copy.admit(now).is_ok()),
                Some(after) => {
                    prop_assert!(after > Duration::ZERO && after <= SETTINGS.open_for * 10);
                    prop_assert_eq!(copy.admit(now), Err(after));
                    prop_assert!(breaker.state(now) == State::HalfOpen || copy.admit(now + after).is_ok());
                }
            }
            Ok(())
        })?;
    }

    #[test]
    fn a_server_that_works_again_is_used_again_whatever_happened(steps in vec(any_step(), 0..120)) {
        // The permits that `steps` left under way never come back.
        let (mut breaker, now) = play(&steps, |_, _, _| Ok(()))?;
        let now = now + SETTINGS.open_for * 10;
        for _ in 0..SETTINGS.half_open_probes {
            let permit = breaker.admit(now);
            prop_assert!(permit.is_ok());
            breaker.record(permit.expect("just checked"), Outcome::Success, now);
        }
        prop_assert_eq!(breaker.state(now), State::Closed);
    }
}
