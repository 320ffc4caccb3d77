//! Medians and tables.

use std::collections::HashMap;

/// What was measured of a server in a case, a figure for each round.
pub type Rounds = Vec<f64>;

/// All figures of a table, by server and by column; a text where a server failed.
#[derive(Default)]
pub struct Figures {
    cells: HashMap<(&'static str, usize), Result<Rounds, String>>,
}

impl Figures {
    pub fn add(&mut self, server: &'static str, column: usize, figure: Result<f64, String>) {
        let cell = self.cells.entry((server, column)).or_insert_with(|| Ok(Vec::new()));
        match (cell, figure) {
            (Ok(rounds), Ok(figure)) => rounds.push(figure),
            (cell @ Ok(_), Err(error)) => *cell = Err(error),
            (Err(_), _) => {}
        }
    }

    pub fn has_failed(&self, server: &'static str, column: usize) -> bool {
        matches!(self.cells.get(&(server, column)), Some(Err(_)))
    }

    pub fn rounds(&self, server: &'static str, column: usize) -> Option<&Rounds> {
        self.cells.get(&(server, column))?.as_ref().ok().filter(|rounds| !rounds.is_empty())
    }

    /// Who failed in what, and how.
    pub fn failures(&self) -> impl Iterator<Item = (&'static str, usize, &str)> {
        self.cells
            .iter()
            .filter_map(|((server, column), cell)| Some((*server, *column, cell.as_ref().err()?.as_str())))
    }

    /// Median (least to most), and beside it how many times `limit`'s figure that is: the median of the rounds' ratios, as
    /// neighbours in time share what the machine does meanwhile, and where that median lies with a probability of 95 %.
    pub fn cell(
        &self,
        server: &'static str,
        column: usize,
        limit: Option<&'static str>,
        digits: usize,
    ) -> String {
        let Some(rounds) = self.rounds(server, column) else {
            return if self.has_failed(server, column) { "failed".into() } else { "-".into() };
        };
        let mut cell = grouped(median(rounds), digits);
        if rounds.len() > 1 {
            let (least, most) = rounds.iter().fold((f64::MAX, f64::MIN), |(a, b), x| (a.min(*x), b.max(*x)));
            cell += &format!(" ({}–{})", grouped(least, digits), grouped(most, digits));
        }
        if let Some(limit) =
            limit.filter(|limit| *limit != server).and_then(|limit| self.rounds(limit, column))
        {
            let ratios: Rounds = rounds.iter().zip(limit).map(|(own, limit)| own / limit).collect();
            cell += &format!(" **{:.2}**", median(&ratios));
            if let Some((low, high)) = interval(ratios) {
                cell += &format!(" [{low:.2}–{high:.2}]");
            }
        }
        cell
    }
}

pub fn median(figures: &[f64]) -> f64 {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        len if len % 2 == 1 => sorted[len / 2],
        len => f64::midpoint(sorted[len / 2 - 1], sorted[len / 2]),
    }
}

/// Between which of the figures the true median lies in 19 of 20 cases, whatever their distribution is: so far from the middle
/// in their order as 1.96 deviations of a binomial distribution are. Of too few figures nothing can be said.
fn interval(mut figures: Rounds) -> Option<(f64, f64)> {
    let (len, away) = (figures.len() as f64, 0.98 * (figures.len() as f64).sqrt());
    let (low, high) = ((len / 2.0 - away).floor(), (len / 2.0 + away).ceil());
    figures.sort_by(f64::total_cmp);
    if low < 1.0 {
        return None;
    }
    Some((*figures.get(low as usize - 1)?, *figures.get(high as usize)?))
}

/// The figure that `share` of all are not above, of sorted ones.
pub fn percentile(sorted: &[u64], share: f64) -> u64 {
    let at = (sorted.len() as f64 * share).ceil() as usize;
    sorted.get(at.saturating_sub(1)).copied().unwrap_or(0)
}

/// With commas between thousands.
pub fn grouped(figure: f64, digits: usize) -> String {
    let text = format!("{figure:.digits$}");
    let (whole, rest) =
        text.split_once('.').map_or((text.as_str(), None), |(whole, rest)| (whole, Some(rest)));
    let mut grouped = String::new();
    for (at, digit) in whole.chars().enumerate() {
        if at > 0 && (whole.len() - at).is_multiple_of(3) && !grouped.ends_with('-') {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    rest.map_or_else(|| grouped.clone(), |rest| format!("{grouped}.{rest}"))
}

/// Prints a markdown table.
pub fn print(title: &str, columns: &[String], rows: impl IntoIterator<Item = (String, Vec<String>)>) {
    println!("\n{title}\n\n| server | {} |\n|---|{}", columns.join(" | "), "---:|".repeat(columns.len()));
    for (server, cells) in rows {
        println!("| {server} | {} |", cells.join(" | "));
    }
}

/// Prints how servers failed, if any did.
pub fn print_failures(figures: &Figures, columns: &[String]) -> bool {
    let mut lines: Vec<String> = figures
        .failures()
        .map(|(server, column, error)| format!("- {server} failed in {}: it {error}", columns[column]))
        .collect();
    lines.sort();
    if !lines.is_empty() {
        println!("\n{}", lines.join("\n"));
    }
    !lines.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_of_the_median_is_that_of_the_tables() {
        // The ranks for the sign test, widened to whole ones: 100 figures, 40 to 61; 20 figures, 5 to 16; fewer than 8, none.
        let ranks = |len: u32| interval((1..=len).map(f64::from).collect());
        assert_eq!(ranks(100), Some((40.0, 61.0)));
        assert_eq!(ranks(20), Some((5.0, 16.0)));
        assert_eq!(ranks(9), Some((1.0, 9.0)));
        assert_eq!((ranks(8), ranks(7), ranks(1)), (Some((1.0, 8.0)), None, None));
    }
}
