//! How long an answer may stand in for a new one.

use std::time::Duration;

/// For how long the answers of a tool are kept, and for whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keeping {
    /// As long as this, an answer is as good as a new one.
    pub ttl: Duration,
    /// Whether all callers share the answers; else each has its own.
    pub is_shared: bool,
    /// So long after that, it is better than a failure.
    pub stale_if_error: Duration,
    /// So long after that, it will do while a new one is fetched.
    pub stale_while_revalidate: Duration,
}

/// What a kept answer is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// It is given.
    Fresh,
    /// It is given, and a new one is fetched for the next caller.
    WhileRevalidating,
    /// A new one is fetched; it is given if that fails.
    IfError,
    /// Nothing.
    None,
}

impl Keeping {
    /// What an answer of this age is good for.
    pub fn use_of(&self, age: Duration) -> Use {
        let over = age.saturating_sub(self.ttl);
        if age < self.ttl {
            Use::Fresh
        } else if over < self.stale_while_revalidate {
            Use::WhileRevalidating
        } else if over < self.stale_if_error {
            Use::IfError
        } else {
            Use::None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_grows_old_in_steps() {
        let second = Duration::from_secs;
        let keeping = Keeping {
            ttl: second(10),
            is_shared: false,
            stale_if_error: second(60),
            stale_while_revalidate: second(5),
        };
        let uses = [0, 9, 10, 14, 15, 69, 70].map(|age| keeping.use_of(second(age)));
        let (new, meanwhile, instead) = (Use::Fresh, Use::WhileRevalidating, Use::IfError);
        assert_eq!(uses, [new, new, meanwhile, meanwhile, instead, instead, Use::None]);
        let plain = Keeping { stale_if_error: Duration::ZERO, stale_while_revalidate: Duration::ZERO, ..keeping };
        assert_eq!(plain.use_of(second(10)), Use::None);
    }
}
