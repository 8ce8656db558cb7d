//! `troupe bench compare`: two results, figure by figure, and which differences are more than noise.
use super::groups::{Figure, Groups, Spread, Subject, groups, number};
use super::options::TargetName;
use super::result::RunResult;
use crate::cli::OutputFormat;
use crate::error::CliError;
use crate::output::{Cell, Column, column, print_list};
use serde_json::json;
use std::path::Path;

/// Smaller differences are noise whatever the spread.
const LEAST: f64 = 0.05;
/// With one repetition there is no spread to judge by: only larger differences count.
const LEAST_ALONE: f64 = 0.20;

const COLUMNS: [Column; 7] = [
    column("TARGET", "/target", Cell::Plain),
    column("BYTES", "/value_bytes", Cell::Plain),
    column("LOAD", "/load", Cell::Plain),
    column("FIGURE", "/figure", Cell::Plain),
    column("BEFORE", "/before", Cell::Plain),
    column("AFTER", "/after", Cell::Plain),
    column("CHANGE", "/change", Cell::Plain),
];

/// What a difference means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// No more than repetitions of the same differ.
    Noise,
    /// Better than before.
    Better,
    /// Worse than before.
    Worse,
}

/// A figure in both results.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// Of which system.
    pub target: TargetName,
    /// Of which measurement.
    pub subject: Subject,
    /// Which.
    pub figure: Figure,
    /// In the first result.
    pub before: Spread,
    /// In the second one.
    pub after: Spread,
    /// What it means.
    pub verdict: Verdict,
}

impl Difference {
    /// Change of the median, as a share of the one before.
    #[must_use]
    pub fn change(&self) -> f64 {
        if self.before.median == 0.0 { 0.0 } else { self.after.median / self.before.median - 1.0 }
    }
}

/// Prints the differences.
///
/// # Errors
/// A file cannot be read; or something became worse.
pub fn run(before: &Path, after: &Path, format: OutputFormat) -> Result<(), CliError> {
    let (before, after) = (RunResult::read(before)?, RunResult::read(after)?);
    if before.machine.cpu != after.machine.cpu || before.machine.cores != after.machine.cores {
        eprintln!("troupe: these were measured on different machines");
    }
    let differences = differences(&groups(&before), &groups(&after));
    if differences.is_empty() {
        return Err(CliError::Failed("the results have no measurement in common".to_owned()));
    }
    let items: Vec<_> = differences.iter().map(item).collect();
    print_list(format, &json!({ "items": items }), &COLUMNS)?;
    let worse = differences.iter().filter(|found| found.verdict == Verdict::Worse).count();
    match worse {
        0 => Ok(()),
        worse => Err(CliError::Failed(format!("{worse} figure(s) are worse, beyond noise"))),
    }
}

/// All figures that both have.
#[must_use]
pub fn differences(before: &Groups<'_>, after: &Groups<'_>) -> Vec<Difference> {
    let mut differences = Vec::new();
    for (subject, targets) in before {
        for (target, cells) in targets {
            let Some(later) = after.get(subject).and_then(|targets| targets.get(target)) else {
                continue;
            };
            for figure in Figure::ALL {
                let spreads = Spread::of(figure, cells).zip(Spread::of(figure, later));
                differences.extend(spreads.map(|(before, after)| Difference {
                    target: *target,
                    subject: *subject,
                    figure,
                    before,
                    after,
                    verdict: judge(figure, before, after),
                }));
            }
        }
    }
    differences
}

/// Beyond noise is what is large enough and where no repetition of the one reaches into the other.
fn judge(figure: Figure, before: Spread, after: Spread) -> Verdict {
    let least = if before.count.min(after.count) == 1 { LEAST_ALONE } else { LEAST };
    let grew = after.min > before.max && after.median > before.median * (1.0 + least);
    let shrank = after.max < before.min && after.median < before.median * (1.0 - least);
    match (grew, shrank) {
        (false, false) => Verdict::Noise,
        (grew, _) if grew == figure.more_is_better() => Verdict::Better,
        (_, _) => Verdict::Worse,
    }
}

fn item(difference: &Difference) -> serde_json::Value {
    let percent = difference.change() * 100.0;
    let verdict = match difference.verdict {
        Verdict::Noise => "noise",
        Verdict::Better => "better",
        Verdict::Worse => "WORSE",
    };
    let numbers = |spread: &Spread| json!([spread.median, spread.min, spread.max, spread.count]);
    json!({
        "target": difference.target.as_str(),
        "value_bytes": difference.subject.value_bytes,
        "load": difference.subject.load(),
        "figure": difference.figure.title(),
        "before": difference.before.text(),
        "after": difference.after.text(),
        "change": format!("{}{} % {verdict}", if percent < 0.0 { "" } else { "+" }, number(percent)),
        "numbers": { "before": numbers(&difference.before), "after": numbers(&difference.after) },
        "verdict": verdict.to_lowercase(),
    })
}

#[cfg(test)]
mod tests;
