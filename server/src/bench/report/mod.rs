//! `troupe bench report`: a result as a page with tables and pictures.
//!
//! | file | subject |
//! |---|---|
//! | `bars.rs` | what was set out to be reached beside etcd, and whether it was |
//! | `page.rs` | the page, in Markdown |
//! | `svg.rs` | pictures, readable on light and on dark pages |
mod bars;
mod page;
mod svg;

use super::groups::{Figure, Groups, Spread, groups};
use super::result::RunResult;
use crate::error::CliError;
use std::collections::BTreeSet;
use std::path::Path;
use svg::{Bar, Chart, Row};

/// What is drawn, with the name of its file and its title.
const PICTURES: [(&str, Figure, &str); 4] = [
    ("throughput", Figure::Throughput, "Requests a second (more is better)"),
    ("p50", Figure::P50, "Median latency, ms (less is better)"),
    ("p99", Figure::P99, "99th percentile of latency, ms (less is better)"),
    ("server-cpu", Figure::ServerCpu, "CPU of all servers, µs a request (less is better)"),
];

/// Writes `RESULTS.md`, `result.json` and the pictures into `folder`.
///
/// # Errors
/// The result cannot be read, or a file not written.
pub fn run(result: &Path, folder: &Path) -> Result<(), CliError> {
    let result = RunResult::read(result)?;
    let groups = groups(&result);
    let pictures = pictures(&groups);
    let failed = |source| CliError::io(format!("cannot write to {}", folder.display()), source);
    std::fs::create_dir_all(folder).map_err(failed)?;
    for (name, chart) in &pictures {
        std::fs::write(folder.join(name), chart.svg()).map_err(failed)?;
    }
    let names: Vec<&str> = pictures.iter().map(|(name, _)| name.as_str()).collect();
    let page = page::page(&result, &groups, &names);
    std::fs::write(folder.join("RESULTS.md"), page).map_err(failed)?;
    result.write(&folder.join("result.json"))?;
    eprintln!("troupe: wrote {}", folder.join("RESULTS.md").display());
    Ok(())
}

/// Pictures of closed loops, one a figure and length of values, with their file names.
fn pictures(groups: &Groups<'_>) -> Vec<(String, Chart)> {
    let sizes: BTreeSet<usize> = groups.keys().map(|subject| subject.value_bytes).collect();
    let mut pictures = Vec::new();
    for value_bytes in sizes {
        for (name, figure, title) in PICTURES {
            let rows = rows(groups, value_bytes, figure);
            if !rows.is_empty() {
                let title = format!("{title}, values of {value_bytes} B");
                pictures.push((format!("{name}-{value_bytes}.svg"), Chart { title, rows }));
            }
        }
    }
    pictures
}

fn rows(groups: &Groups<'_>, value_bytes: usize, figure: Figure) -> Vec<Row> {
    let mut rows = Vec::new();
    for (subject, targets) in groups {
        if subject.value_bytes != value_bytes || subject.rate.is_some() {
            continue;
        }
        let bars = targets.iter().filter_map(|(target, cells)| {
            Spread::of(figure, cells).map(|spread| Bar { target: *target, spread })
        });
        rows.push(Row { label: subject.load(), bars: bars.collect() });
    }
    rows.retain(|row| !row.bars.is_empty());
    rows
}
