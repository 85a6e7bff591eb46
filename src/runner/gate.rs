//! Places that are handed out by turns: who has none yet waits until he is called.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use crate::model::priority::Priority;
use crate::policy::turns::{Manner, Refusal, Turn, Turns, Wanted};

/// A number of places and the queue for them.
#[derive(Debug)]
pub struct Gate {
    /// Guarded for one decision.
    state: Mutex<State>,
    began: Instant,
}

#[derive(Debug)]
struct State {
    turns: Turns,
    /// How many have given their place back for a while.
    away: usize,
    /// How those who wait are called.
    bells: HashMap<u64, oneshot::Sender<()>>,
}

/// A place, or one to come. Dropping it gives it back, or leaves the queue.
#[derive(Debug)]
pub struct Ticket {
    gate: Arc<Gate>,
    who: Arc<str>,
    standing: Standing,
}

#[derive(Debug)]
enum Standing {
    Has(Instant),
    Waits(u64, oneshot::Receiver<()>),
}

/// One who has given his place back for a while.
#[derive(Debug)]
pub struct Away {
    gate: Arc<Gate>,
    who: Arc<str>,
}

/// How many may be away at once; the others keep their places.
const MOST_AWAY: usize = 100_000;

impl Gate {
    /// So many places, for which so many may wait.
    pub fn new(places: usize, most_waiting: usize) -> Arc<Self> {
        let state = State { turns: Turns::new(places, most_waiting), away: 0, bells: HashMap::new() };
        Arc::new(Self { state: Mutex::new(state), began: Instant::now() })
    }

    /// A place for `who`, now or later.
    pub fn ask(
        self: &Arc<Self>,
        who: &Arc<str>,
        priority: Priority,
        deadline: Option<Instant>,
        manner: Manner,
    ) -> Result<Ticket, Refusal> {
        let deadline = deadline.map(|deadline| deadline.saturating_duration_since(self.began));
        let wanted = Wanted { who: Arc::clone(who), priority, deadline, manner };
        let mut state = self.state();
        let standing = match state.turns.ask(wanted, self.began.elapsed())? {
            Turn::Now => Standing::Has(Instant::now()),
            Turn::Later(number) => {
                let (bell, called) = oneshot::channel();
                state.bells.insert(number, bell);
                Standing::Waits(number, called)
            }
        };
        Ok(Ticket { gate: Arc::clone(self), who: Arc::clone(who), standing })
    }

    /// A place beyond the number of places, if need be.
    pub fn insist(self: &Arc<Self>, who: &Arc<str>) -> Ticket {
        self.state().turns.insist(who);
        Ticket { gate: Arc::clone(self), who: Arc::clone(who), standing: Standing::Has(Instant::now()) }
    }

    /// So many places from now on, for which so many may wait. Nobody loses what he has.
    pub fn resize(&self, places: usize, most_waiting: usize) {
        let mut state = self.state();
        state.turns.resize(places, most_waiting);
        self.call(&mut state);
    }

    /// How many places are taken, and how many wait for one.
    pub fn load(&self) -> (usize, usize) {
        let state = self.state();
        (state.turns.in_use(), state.turns.waiting())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Calls those whose turn it is.
    fn call(&self, state: &mut State) {
        while let Some(number) = state.turns.next(self.began.elapsed()) {
            // Whoever does not hear it any more gives the place back as soon as the lock is free.
            let _ = state.bells.remove(&number).map(|bell| bell.send(()));
        }
    }
}

impl Ticket {
    /// Whether its turn has not come yet.
    pub fn is_waiting(&self) -> bool {
        matches!(self.standing, Standing::Waits(..))
    }

    /// Waits for its turn. May be dropped and waited for again.
    pub async fn called(&mut self) {
        if let Standing::Waits(_, called) = &mut self.standing {
            // It fails only if the gate is gone, which we hold.
            let _ = called.await;
            self.standing = Standing::Has(Instant::now());
        }
    }
}

impl Ticket {
    /// Gives the place back for a while, unless it is still to come or too many do so.
    pub fn lend(self) -> Result<Away, Self> {
        if self.is_waiting() {
            return Err(self);
        }
        let mut state = self.gate.state();
        if state.away >= MOST_AWAY {
            drop(state);
            return Err(self);
        }
        state.away += 1;
        drop(state);
        Ok(Away { gate: Arc::clone(&self.gate), who: Arc::clone(&self.who) })
    }
}

impl Away {
    /// Asks for a place again.
    pub fn back(&self, priority: Priority) -> Ticket {
        // Nobody is refused who was let in before.
        self.gate.ask(&self.who, priority, None, Manner::Admitted).unwrap_or_else(|_| self.gate.insist(&self.who))
    }
}

impl Drop for Away {
    fn drop(&mut self) {
        self.gate.state().away -= 1;
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut state = self.gate.state();
        let kept: Option<Duration> = match &self.standing {
            Standing::Has(since) => Some(since.elapsed()),
            Standing::Waits(number, _) => {
                state.bells.remove(number);
                if state.turns.withdraw(*number) {
                    return;
                }
                None
            }
        };
        state.turns.leave(&self.who);
        if let Some(kept) = kept {
            state.turns.note(kept);
        }
        self.gate.call(&mut state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(gate: &Arc<Gate>, who: &str) -> Result<Ticket, Refusal> {
        gate.ask(&who.into(), Priority::Normal, None, Manner::Patient)
    }

    #[tokio::test]
    async fn a_place_goes_to_the_next_even_if_one_who_was_called_has_left() {
        let gate = Gate::new(1, 2);
        let first = ask(&gate, "a").expect("a place");
        let second = ask(&gate, "b").expect("a place in the queue");
        let mut third = ask(&gate, "c").expect("a place in the queue");
        assert!(matches!(ask(&gate, "d"), Err(Refusal::Full { waiting: 2, .. })));
        assert!(!first.is_waiting() && second.is_waiting());
        drop(first);
        assert_eq!(gate.load(), (1, 1));
        drop(second);
        third.called().await;
        assert!(!third.is_waiting());
        drop(third);
        assert_eq!(gate.load(), (0, 0));
    }

    #[tokio::test]
    async fn a_place_that_is_lent_is_somebody_elses_until_that_one_leaves() {
        let gate = Gate::new(1, 0);
        let away = ask(&gate, "a").expect("a place").lend().expect("nobody else is away");
        let second = ask(&gate, "b").expect("the place that was lent");
        let back = away.back(Priority::Normal);
        assert!(back.is_waiting() && !second.is_waiting());
        let back = back.lend().expect_err("it is not there yet");
        drop(second);
        let mut back = back;
        back.called().await;
        assert_eq!(gate.load(), (1, 0));
    }
}
