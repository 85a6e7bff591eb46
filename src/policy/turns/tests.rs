//! Who comes first, and that everybody comes.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

fn wanted(who: &str, priority: Priority) -> Wanted {
    Wanted { who: who.into(), priority, deadline: None, manner: Manner::Prompt }
}

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// One place, which is taken.
fn busy() -> Turns {
    let mut turns = Turns::new(1, 100);
    assert_eq!(turns.ask(wanted("somebody", Priority::Normal), seconds(0)), Ok(Turn::Now));
    turns
}

fn later(turns: &mut Turns, wanted: Wanted, now: Duration) -> u64 {
    match turns.ask(wanted, now) {
        Ok(Turn::Later(number)) => number,
        other => panic!("{other:?}"),
    }
}

/// The order in which those who wait have their turns, one place given back after the other.
fn order(turns: &mut Turns, now: Duration) -> Vec<u64> {
    let mut order = Vec::new();
    turns.leave(&"somebody".into());
    while let Some(number) = turns.next(now) {
        order.push(number);
        // Whoever it was: shares are looked at elsewhere.
        turns.in_use -= 1;
    }
    order
}

#[test]
fn the_urgent_come_first_then_who_has_less_time_then_who_came_first() {
    let mut turns = busy();
    let low = later(&mut turns, wanted("a", Priority::Low), seconds(0));
    let first = later(&mut turns, wanted("b", Priority::Normal), seconds(0));
    let second = later(&mut turns, wanted("c", Priority::Normal), seconds(0));
    let soon = Wanted { deadline: Some(seconds(60)), ..wanted("d", Priority::Normal) };
    let soon = later(&mut turns, soon, seconds(0));
    let critical = later(&mut turns, wanted("e", Priority::Critical), seconds(0));
    assert_eq!(order(&mut turns, seconds(0)), [critical, soon, first, second, low]);
}

#[test]
fn who_has_much_going_on_lets_others_go_first() {
    let mut turns = Turns::new(2, 100);
    assert_eq!(turns.ask(wanted("greedy", Priority::Normal), seconds(0)), Ok(Turn::Now));
    assert_eq!(turns.ask(wanted("greedy", Priority::Normal), seconds(0)), Ok(Turn::Now));
    let third = later(&mut turns, wanted("greedy", Priority::Normal), seconds(0));
    let modest = later(&mut turns, wanted("modest", Priority::Normal), seconds(1));
    turns.leave(&"greedy".into());
    assert_eq!((turns.next(seconds(2)), turns.next(seconds(2))), (Some(modest), None));
    turns.leave(&"greedy".into());
    assert_eq!(turns.next(seconds(2)), Some(third));
}

#[test]
fn what_waits_becomes_urgent() {
    let mut turns = busy();
    let old = later(&mut turns, wanted("a", Priority::Low), seconds(0));
    let new = later(&mut turns, wanted("b", Priority::Critical), AGE * 4);
    assert_eq!(order(&mut turns, AGE * 4), [old, new]);
}

#[test]
fn a_full_queue_says_how_many_wait_and_when_to_come_back() {
    let mut turns = Turns::new(2, 1);
    turns.insist(&"a".into());
    turns.insist(&"a".into());
    later(&mut turns, wanted("b", Priority::Normal), seconds(0));
    let refused = turns.ask(wanted("c", Priority::Normal), seconds(0));
    assert_eq!(refused, Err(Refusal::Full { waiting: 1, retry_after: SHORTEST_REST }));
    assert!(turns.ask(Wanted { manner: Manner::Admitted, ..wanted("d", Priority::Low) }, seconds(0)).is_ok());
    assert!(turns.withdraw(1), "what was let in before waits all the same");
    turns.leave(&"a".into());
    turns.note(seconds(30));
    turns.insist(&"a".into());
    let refused = turns.ask(wanted("c", Priority::Normal), seconds(0));
    assert_eq!(refused, Err(Refusal::Full { waiting: 1, retry_after: seconds(15) }));
}

#[test]
fn who_would_come_too_late_is_told_at_once() {
    let mut turns = busy();
    turns.leave(&"somebody".into());
    turns.note(seconds(60));
    turns.insist(&"somebody".into());
    let soon = Wanted { deadline: Some(seconds(30)), ..wanted("a", Priority::Normal) };
    assert!(turns.ask(soon.clone(), seconds(0)).is_ok(), "nobody is before him, and the place may be free any time");
    let refused = turns.ask(Wanted { who: "b".into(), ..soon }, seconds(0));
    assert_eq!(refused, Err(Refusal::TooLate { waiting: 1, expected: seconds(60) }));
    let patient = Wanted { manner: Manner::Patient, ..soon.clone() };
    assert!(turns.ask(patient, seconds(0)).is_ok(), "who did not ask for that is not refused for it");
    let urgent = Wanted { priority: Priority::High, ..soon };
    assert!(turns.ask(urgent, seconds(0)).is_ok(), "whoever goes first has time enough");
}

#[test]
fn who_leaves_the_queue_is_not_called() {
    let mut turns = busy();
    let one = later(&mut turns, wanted("a", Priority::Normal), seconds(0));
    let two = later(&mut turns, wanted("b", Priority::Normal), seconds(0));
    assert!(turns.withdraw(one) && !turns.withdraw(one));
    assert_eq!(order(&mut turns, seconds(0)), [two]);
}

proptest! {
    /// However many urgent ones keep coming, in whatever order: nobody is overtaken by one who came more than four ages and
    /// one later, and no more places are given than there are.
    #[test]
    fn nobody_starves(
        places in 1..4usize,
        steps in vec((0..4usize, 0..4usize, 0..20u64, any::<bool>()), 1..200),
    ) {
        let mut turns = Turns::new(places, 1_000);
        let mut now = Duration::ZERO;
        let mut came: HashMap<u64, (Duration, Arc<str>)> = HashMap::new();
        let mut holders: Vec<Arc<str>> = Vec::new();
        for (who, priority, pause, leaves) in steps {
            now += Duration::from_secs(pause);
            let who: Arc<str> = format!("p{who}").into();
            match turns.ask(wanted(&who, Priority::ALL[priority]), now) {
                Ok(Turn::Now) => holders.push(who),
                Ok(Turn::Later(number)) => _ = came.insert(number, (now, who)),
                Err(refusal) => prop_assert!(false, "{refusal:?}"),
            }
            if leaves && !holders.is_empty() {
                turns.leave(&holders.remove(0));
            }
            while let Some(number) = turns.next(now) {
                let (since, who) = came.remove(&number).expect("one who waits");
                for (earlier, _) in came.values() {
                    prop_assert!(since <= *earlier + AGE * 5, "overtaken by one who came at {since:?}, not {earlier:?}");
                }
                holders.push(who);
            }
            prop_assert!(turns.in_use() == holders.len() && turns.in_use() <= places);
            prop_assert!(turns.waiting() == came.len());
            prop_assert!(turns.waiting() == 0 || turns.in_use() == places, "a place is free and somebody waits");
        }
        // Everybody has his turn in the end.
        while let Some(who) = holders.pop() {
            turns.leave(&who);
            while let Some(number) = turns.next(now) {
                holders.push(came.remove(&number).expect("one who waits").1);
            }
        }
        prop_assert!(came.is_empty());
    }
}
