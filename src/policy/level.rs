//! How much of the work goes on: everything, or less while servers are missing that much depends on.
//!
//! A level is entered when so many servers have been missing for a while, and left when they have been back for a longer while,
//! so that a server that comes and goes does not take the rest along. A level that was set by hand stays until that is taken
//! back.

use std::time::{Duration, Instant};

/// How much goes on, from everything to least.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Everything.
    Normal,
    /// What is to be kept while something is missing.
    Reduced,
    /// What is to be kept whatever is missing.
    Minimal,
}

impl Level {
    /// Every level, the fullest first.
    pub const ALL: [Self; 3] = [Self::Normal, Self::Reduced, Self::Minimal];

    /// The word that users see.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::Reduced => "reduced",
            Self::Minimal => "minimal",
        }
    }
}

/// When which level is entered and left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// With so many servers missing the level is reduced; never if `None`.
    pub reduced_at: Option<u32>,
    /// With so many servers missing the level is minimal; never if `None`.
    pub minimal_at: Option<u32>,
    /// They must have been missing for so long.
    pub enter_after: Duration,
    /// And they must have been back for so long.
    pub leave_after: Duration,
}

/// The level now, and what it may become.
#[derive(Debug, Clone)]
pub struct Levels {
    settings: Settings,
    level: Level,
    by_hand: Option<Level>,
    /// Since when more would be missing than the level is for, and the least that has fitted since.
    worse: Option<(Instant, Level)>,
    /// Since when less would be, and the most that has fitted since.
    better: Option<(Instant, Level)>,
}

impl Levels {
    /// Everything goes on.
    pub fn new(settings: Settings) -> Self {
        Self { settings, level: Level::Normal, by_hand: None, worse: None, better: None }
    }

    /// The level now.
    pub fn level(&self) -> Level {
        self.by_hand.unwrap_or(self.level)
    }

    /// Whether somebody has set it.
    pub fn is_by_hand(&self) -> bool {
        self.by_hand.is_some()
    }

    /// Sets the level by hand, or takes that back.
    pub fn set(&mut self, level: Option<Level>) {
        self.by_hand = level;
    }

    /// Takes note that so many servers are `missing` at `now`, and gives back the level.
    pub fn observe(&mut self, missing: u32, now: Instant) -> Level {
        let fitting = self.fitting(missing);
        let Settings { enter_after, leave_after, .. } = self.settings;
        let since = |seen: Option<(Instant, Level)>| seen.unwrap_or((now, fitting));
        let (worse_since, least) = since(self.worse);
        let (better_since, most) = since(self.better);
        self.worse = (fitting > self.level).then(|| (worse_since, least.min(fitting)));
        self.better = (fitting < self.level).then(|| (better_since, most.max(fitting)));
        let lasting = |seen: Option<(Instant, Level)>, limit: Duration| {
            seen.filter(|(since, _)| now.saturating_duration_since(*since) >= limit).map(|(_, level)| level)
        };
        if let Some(level) = lasting(self.worse, enter_after).or_else(|| lasting(self.better, leave_after)) {
            self.level = level;
            (self.worse, self.better) = (None, None);
        }
        self.level()
    }

    fn fitting(&self, missing: u32) -> Level {
        let is_at = |limit: Option<u32>| limit.is_some_and(|limit| missing >= limit.max(1));
        match () {
            () if is_at(self.settings.minimal_at) => Level::Minimal,
            () if is_at(self.settings.reduced_at) => Level::Reduced,
            () => Level::Normal,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SETTINGS: Settings = Settings {
        reduced_at: Some(1),
        minimal_at: Some(2),
        enter_after: Duration::from_secs(5),
        leave_after: Duration::from_secs(30),
    };

    #[test]
    fn a_level_is_entered_after_a_while_and_left_after_a_longer_one() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut levels = Levels::new(SETTINGS);
        assert_eq!(levels.observe(1, at(0)), Level::Normal);
        assert_eq!(levels.observe(1, at(4)), Level::Normal);
        assert_eq!(levels.observe(1, at(5)), Level::Reduced);
        assert_eq!(levels.observe(2, at(6)), Level::Reduced);
        assert_eq!(levels.observe(2, at(11)), Level::Minimal);
        assert_eq!(levels.observe(0, at(12)), Level::Minimal);
        assert_eq!(levels.observe(0, at(41)), Level::Minimal);
        assert_eq!(levels.observe(0, at(42)), Level::Normal);
    }

    #[test]
    fn a_moment_of_more_does_not_count_for_all_the_time_before_it() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut levels = Levels::new(SETTINGS);
        assert_eq!(levels.observe(1, at(0)), Level::Normal);
        assert_eq!(levels.observe(2, at(5)), Level::Reduced, "only one has been missing for so long");
        assert_eq!(levels.observe(2, at(6)), Level::Reduced);
        assert_eq!(levels.observe(2, at(11)), Level::Minimal);
        assert_eq!(levels.observe(1, at(12)), Level::Minimal);
        assert_eq!(levels.observe(0, at(42)), Level::Reduced, "only one has been back for so long");
    }

    #[test]
    fn a_server_that_comes_and_goes_changes_nothing() {
        let start = Instant::now();
        let mut levels = Levels::new(SETTINGS);
        for second in 0..100 {
            let missing = u32::from(second % 4 != 0);
            assert_eq!(levels.observe(missing, start + Duration::from_secs(second)), Level::Normal);
        }
    }

    #[test]
    fn what_is_set_by_hand_stays_until_it_is_taken_back() {
        let now = Instant::now();
        let mut levels = Levels::new(SETTINGS);
        levels.set(Some(Level::Minimal));
        assert_eq!(levels.observe(0, now + Duration::from_secs(100)), Level::Minimal);
        levels.set(None);
        assert_eq!(levels.level(), Level::Normal);
    }

    proptest! {
        #[test]
        fn a_level_lasts_as_long_as_it_takes_to_enter_it(
            looks in proptest::collection::vec((0u32..4, 0u64..20), 1..200),
        ) {
            let mut now = Instant::now();
            let mut levels = Levels::new(SETTINGS);
            let (mut last, mut changed) = (Level::Normal, None);
            let mut seen = Vec::new();
            for (missing, pause) in looks {
                now += Duration::from_secs(pause);
                let level = levels.observe(missing, now);
                seen.push((now, levels.fitting(missing)));
                if level != last {
                    let since: Option<Instant> = changed.replace(now);
                    let least = if level > last { SETTINGS.enter_after } else { SETTINGS.leave_after };
                    prop_assert!(since.is_none_or(|since| now - since >= least));
                    let is_so = |fitting: Level| if level > last { fitting >= level } else { fitting <= level };
                    let long = seen.iter().rev().take_while(|(_, fitting)| is_so(*fitting)).last();
                    prop_assert!(long.is_some_and(|(since, _)| now - *since >= least), "it has not been so for long");
                    last = level;
                }
            }
        }
    }
}
