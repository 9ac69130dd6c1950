//! What a campaign has seen, for people.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// What a campaign has seen.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    /// Kills by place; `by time` are those at a random moment.
    pub kills: BTreeMap<&'static str, usize>,
    /// Times that a disk failed under a program.
    pub faults: usize,
    /// Changes that were asked for.
    pub rounds: usize,
    /// Runs that nobody knew the outcome of.
    pub unknown: usize,
    /// Tries to go on with one of these.
    pub resumed: usize,
    /// Effects of which a person said what had become of them.
    pub resolved: usize,
    /// Repeatable effects that the host sent again.
    pub repeated: usize,
    /// How long it took.
    pub time: Duration,
}

impl Figures {
    /// All kills.
    pub fn killed(&self) -> usize {
        self.kills.values().sum()
    }

    /// These and those of another campaign that ran beside it.
    pub fn and(mut self, other: &Self) -> Self {
        for (place, count) in &other.kills {
            *self.kills.entry(place).or_default() += count;
        }
        self.faults += other.faults;
        self.rounds += other.rounds;
        self.unknown += other.unknown;
        self.resumed += other.resumed;
        self.resolved += other.resolved;
        self.repeated += other.repeated;
        self.time = self.time.max(other.time);
        self
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} kills and {} faults in {} runs, {:.1} s: {} unknown, {} resumed, {} effects resolved, {} repeated",
            self.killed(),
            self.faults,
            self.rounds,
            self.time.as_secs_f32(),
            self.unknown,
            self.resumed,
            self.resolved,
            self.repeated
        )?;
        let mut between = "; killed: ";
        for (place, count) in &self.kills {
            write!(f, "{between}{place} {count}")?;
            between = ", ";
        }
        Ok(())
    }
}
