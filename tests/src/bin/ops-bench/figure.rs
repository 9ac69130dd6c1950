//! A row of the table: something of ours, what it is compared with, and its budget.

use serde::{Deserialize, Serialize};

use crate::amount::{Amount, short};

/// One figure.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Figure {
    /// A word that stays, for histories.
    pub(crate) id: String,
    /// What people read.
    pub(crate) what: String,
    /// In what it is measured.
    pub(crate) unit: String,
    /// Ours.
    pub(crate) ours: Amount,
    /// The same of something else, in the same minutes.
    pub(crate) baseline: Option<Baseline>,
    /// What it has to keep to.
    pub(crate) budget: Option<Budget>,
}

/// What ours is compared with.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Baseline {
    /// What it is.
    pub(crate) what: String,
    /// What was measured of it.
    pub(crate) amount: Amount,
}

/// A limit.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Budget {
    /// Ours is at most this.
    AtMost(f64),
    /// Ours is at least this.
    AtLeast(f64),
    /// Ours is at most this many times the baseline.
    TimesAtMost(f64),
}

impl Figure {
    pub(crate) fn new(id: &str, what: &str, unit: &str, ours: Amount) -> Self {
        Self {
            id: id.to_owned(),
            what: what.to_owned(),
            unit: unit.to_owned(),
            ours,
            baseline: None,
            budget: None,
        }
    }

    pub(crate) fn beside(mut self, what: &str, amount: Amount) -> Self {
        self.baseline = Some(Baseline { what: what.to_owned(), amount });
        self
    }

    pub(crate) fn budget(mut self, budget: Budget) -> Self {
        self.budget = Some(budget);
        self
    }

    /// Ours in parts of the baseline.
    pub(crate) fn ratio(&self) -> Option<f64> {
        self.baseline.as_ref().map(|baseline| self.ours.value / baseline.amount.value)
    }

    /// How much of the budget is used up: at most 1 is met. None where there is no budget.
    pub(crate) fn used(&self) -> Option<f64> {
        match self.budget? {
            // A budget of nothing at all is met by nothing at all.
            Budget::AtMost(0.0) => Some(if self.ours.value == 0.0 { 0.0 } else { f64::INFINITY }),
            Budget::AtMost(limit) => Some(self.ours.value / limit),
            Budget::AtLeast(limit) => Some(limit / self.ours.value),
            // What has no baseline has not been compared, and has not met it.
            Budget::TimesAtMost(limit) => Some(self.ratio().map_or(f64::INFINITY, |ratio| ratio / limit)),
        }
    }

    /// Whether the budget is kept to.
    pub(crate) fn is_met(&self) -> bool {
        self.used().is_none_or(|used| used <= 1.0)
    }

    /// The budget in words.
    pub(crate) fn limit(&self) -> String {
        match self.budget {
            None => String::new(),
            Some(Budget::AtMost(limit)) => format!("<= {limit} {}", self.unit),
            Some(Budget::AtLeast(limit)) => format!(">= {limit} {}", self.unit),
            Some(Budget::TimesAtMost(limit)) => format!("<= {limit} x"),
        }
    }

    /// What came of the budget, in words.
    pub(crate) fn verdict(&self) -> String {
        match self.used() {
            None => String::new(),
            Some(used) if used <= 1.0 => "met".to_owned(),
            Some(used) => format!("missed by {} x", short(used)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_met_up_to_its_limit() {
        let figure = |ours: f64, baseline: Option<f64>, budget| {
            let mut figure = Figure::new("id", "it", "ms", Amount::once(ours)).budget(budget);
            if let Some(baseline) = baseline {
                figure = figure.beside("that", Amount::once(baseline));
            }
            (figure.is_met(), figure.verdict())
        };
        for (ours, baseline, budget, expected) in [
            (0.2, None, Budget::AtMost(0.2), "met"),
            (0.3, None, Budget::AtMost(0.2), "missed by 1.50 x"),
            (0.0, None, Budget::AtMost(0.0), "met"),
            (1.0, None, Budget::AtMost(0.0), "missed by inf x"),
            (8000.0, None, Budget::AtLeast(8000.0), "met"),
            (4000.0, None, Budget::AtLeast(8000.0), "missed by 2.00 x"),
            (3.0, Some(4.0), Budget::TimesAtMost(0.75), "met"),
            (6.0, Some(4.0), Budget::TimesAtMost(0.75), "missed by 2.00 x"),
            (1.0, None, Budget::TimesAtMost(0.75), "missed by inf x"),
        ] {
            let expected = (expected == "met", expected.to_owned());
            assert_eq!(figure(ours, baseline, budget), expected, "{ours} {baseline:?} {budget:?}");
        }
        let free = Figure::new("id", "it", "ms", Amount::once(9.0));
        assert!(free.is_met() && free.verdict().is_empty() && free.limit().is_empty());
    }
}
