//! What was measured: a value with the range around it, and how it is told.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A measured value, and the range in which it moved.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Amount {
    /// The value that counts.
    pub(crate) value: f64,
    /// The 5th percentile of the samples.
    pub(crate) low: f64,
    /// The 95th percentile of the samples.
    pub(crate) high: f64,
    /// How many samples there are.
    pub(crate) samples: usize,
}

impl Amount {
    /// The median of samples, with their 5th and 95th percentile.
    pub(crate) fn median(samples: &[f64]) -> Self {
        Self::around(percentile(samples, 50.0), samples)
    }

    /// A value that was made of all samples, with the range in which its parts moved.
    pub(crate) fn around(value: f64, parts: &[f64]) -> Self {
        Self { value, low: percentile(parts, 5.0), high: percentile(parts, 95.0), samples: parts.len() }
    }

    /// The percentile of all samples of some rounds, with the range of the rounds' own.
    pub(crate) fn share(rounds: &[Vec<f64>], share: f64) -> Self {
        let each: Vec<_> = rounds.iter().map(|round| percentile(round, share)).collect();
        Self::around(percentile(&rounds.concat(), share), &each)
    }

    /// A value that was counted or read once.
    pub(crate) fn once(value: f64) -> Self {
        Self { value, low: value, high: value, samples: 1 }
    }

    /// It with its range, in a few characters.
    pub(crate) fn told(self, unit: &str) -> String {
        let Self { value, low, high, samples } = self;
        if samples == 1 {
            return format!("{} {unit}", short(value));
        }
        format!("{} {unit} ({}-{})", short(value), short(low), short(high))
    }
}

/// A number with three significant digits.
pub(crate) fn short(value: f64) -> String {
    let digits = match value.abs() {
        size if size == 0.0 || size >= 100.0 => 0,
        size if size >= 10.0 => 1,
        size if size >= 1.0 => 2,
        _ => 3,
    };
    format!("{value:.digits$}")
}

/// The value below which a share of the samples lies, by the nearest rank.
pub(crate) fn percentile(samples: &[f64], share: f64) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (share / 100.0 * sorted.len() as f64).ceil() as usize;
    sorted[rank.clamp(1, sorted.len()) - 1]
}

/// A time in milliseconds.
pub(crate) fn millisecond(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_samples_of_the_nearest_rank() {
        let samples: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        for (share, expected) in [(5.0, 5.0), (50.0, 50.0), (95.0, 95.0), (99.0, 99.0), (100.0, 100.0)] {
            assert_eq!(percentile(&samples, share), expected, "{share}");
        }
        assert_eq!(percentile(&[7.0], 5.0), 7.0);
        let amount = Amount::median(&samples);
        assert_eq!((amount.value, amount.low, amount.high, amount.samples), (50.0, 5.0, 95.0, 100));
    }

    #[test]
    fn numbers_are_told_with_three_digits() {
        for (value, expected) in
            [(0.0, "0"), (0.1234, "0.123"), (1.234, "1.23"), (12.34, "12.3"), (1234.5, "1234")]
        {
            assert_eq!(short(value), expected);
        }
        assert_eq!(Amount::once(3.0).told("MiB"), "3.00 MiB");
    }
}
