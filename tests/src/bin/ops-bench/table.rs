//! The table for people: ratios first.

use crate::amount::short;
use crate::figure::Figure;

/// One line for each figure under a head, in columns.
pub(crate) fn text(figures: &[Figure]) -> String {
    let head = ["ratio", "budget", "", "what", "ours (5-95 %)", "baseline (5-95 %)"].map(str::to_owned);
    let rows: Vec<[String; 6]> = std::iter::once(head).chain(figures.iter().map(row)).collect();
    let mut widths = [0; 6];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |row: &[String; 6]| {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn row(figure: &Figure) -> [String; 6] {
    let ratio = figure.ratio().map_or_else(String::new, |ratio| format!("{} x", short(ratio)));
    let baseline = figure.baseline.as_ref();
    let baseline = baseline
        .map_or_else(String::new, |base| format!("{}: {}", base.what, base.amount.told(&figure.unit)));
    [ratio, figure.limit(), figure.verdict(), figure.what.clone(), figure.ours.told(&figure.unit), baseline]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::amount::Amount;
    use crate::figure::Budget;

    #[test]
    fn ratios_come_first_and_columns_stand_below_each_other() {
        let cold = Figure::new("run", "a run", "ms", Amount::median(&[2.0, 3.0, 4.0]))
            .beside("the engine", Amount::once(4.0))
            .budget(Budget::TimesAtMost(0.75));
        let text = text(&[cold, Figure::new("memory", "memory", "MiB", Amount::once(7.0))]);
        let expected = "\
ratio    budget    what    ours (5-95 %)        baseline (5-95 %)
0.750 x  <= 0.75 x  met  a run   3.00 ms (2.00-4.00)  the engine: 4.00 ms
                       memory  7.00 MiB";
        let squeeze = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(squeeze(&text), squeeze(expected));
        let at = |word: &str| text.lines().find_map(|line| line.find(word)).unwrap();
        assert_eq!(at("what"), at("a run"));
        assert_eq!(at("what"), at("memory"));
    }
}
