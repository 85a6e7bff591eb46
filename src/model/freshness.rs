//! How long a list may be kept, and by whom (2026-07-28, caching).

use std::time::Duration;

/// A server's word on its lists; without one they may not be kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Freshness {
    /// How long they may be kept.
    pub ttl: Duration,
    /// Whether they are the same for everybody.
    pub is_public: bool,
}

impl Freshness {
    /// What may be kept longest and by everybody, to begin a [`Freshness::and`] with.
    pub const MOST: Self = Self { ttl: Duration::from_mins(5), is_public: true };

    /// What holds for two lists together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self { ttl: self.ttl.min(other.ttl), is_public: self.is_public && other.is_public }
    }

    /// What is left of it after `elapsed`.
    #[must_use]
    pub fn after(self, elapsed: Duration) -> Self {
        Self { ttl: self.ttl.saturating_sub(elapsed), ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_strictest_word_counts() {
        let minute = Freshness { ttl: Duration::from_mins(1), is_public: true };
        let private = Freshness { ttl: Duration::from_mins(2), is_public: false };
        let both = Freshness::MOST.and(minute).and(private);
        assert_eq!(both, Freshness { ttl: Duration::from_mins(1), is_public: false });
        assert_eq!(both.after(Duration::from_secs(50)).ttl, Duration::from_secs(10));
        assert_eq!(both.and(Freshness::default()).ttl, Duration::ZERO);
    }
}
