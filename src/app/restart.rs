//! What of the registry counts from the start of the program on only: a change of it waits for the next start, and says so.

use std::sync::Arc;

use crate::model::code;
use crate::model::problem::{Problem, Source};
use crate::registry::server::Registry;

/// Leaves as it was in `was` what cannot change while the program runs; warns of what that concerns, as being said in `source`.
pub(super) fn held_back(registry: &mut Registry, was: &Registry, source: &Arc<Source>) -> Option<Problem> {
    let mut held = Vec::new();
    hold("`[engine]`", &mut registry.engine, &was.engine, &mut held);
    let (is, was) = (&mut registry.orchestrator, &was.orchestrator);
    hold("`keep_runs`", &mut is.keep_runs, &was.keep_runs, &mut held);
    hold("`keep_runs_count`", &mut is.keep_runs_count, &was.keep_runs_count, &mut held);
    hold("`remember`", &mut is.remember, &was.remember, &mut held);
    let is_any = !held.is_empty();
    is_any.then(|| {
        let message =
            format!("what has changed in {} has no effect before the program is started again", held.join(", "));
        Problem::warning(code::NEEDS_RESTART, source, 0..0, message)
    })
}

fn hold<T: Clone + PartialEq>(name: &'static str, is: &mut T, was: &T, held: &mut Vec<&'static str>) {
    if is != was {
        is.clone_from(was);
        held.push(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::load::load;

    #[test]
    fn what_counts_at_the_start_only_stays_and_is_told() {
        let registry = |text: &str| load(&[Source::new("registry.toml", text)]).0;
        let was = registry("[orchestrator]\nremember = \"1d\"\nkeep_runs = \"2d\"\n");
        let mut is = registry("[orchestrator]\nremember = \"1d\"\nsettle = \"9s\"\n[engine]\nbackend = \"restate\"\n");
        let told = held_back(&mut is, &was, &Source::new("registry.toml", "")).expect("a warning").to_string();
        assert!(told.contains("[MO1014]") && told.contains("`[engine]`, `keep_runs` has"), "{told}");
        assert_eq!((&is.engine, is.orchestrator.keep_runs), (&was.engine, was.orchestrator.keep_runs));
        assert_ne!(is.orchestrator.settle, was.orchestrator.settle, "other settings count at once");
        assert!(held_back(&mut is, &was, &Source::new("registry.toml", "")).is_none());
    }
}
