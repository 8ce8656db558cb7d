//! The page of a result, in Markdown.
use super::bars::BARS;
use crate::bench::groups::{Figure, Groups, Spread, number};
use crate::bench::options::{Route, TargetName};
use crate::bench::result::{Cell, RunResult};
use std::fmt::Write;

/// The page; `pictures` are files beside it.
pub(super) fn page(result: &RunResult, groups: &Groups<'_>, pictures: &[&str]) -> String {
    let mut page = String::from(
        "# Results\n\nWritten by `troupe bench report` from [result.json](result.json); how it was \
         measured stands in the [README](README.md). Figures are medians over repetitions with \
         [smallest..largest].\n\n",
    );
    facts(&mut page, result);
    bars(&mut page, groups);
    page.push_str("## Pictures\n\n");
    for name in pictures {
        let _ = writeln!(page, "![{}]({name})\n", name.trim_end_matches(".svg"));
    }
    figures(&mut page, groups);
    ceilings(&mut page, result);
    void(&mut page, result);
    page
}

fn facts(page: &mut String, result: &RunResult) {
    let machine = &result.machine;
    let versions = result.versions.iter().map(|(name, version)| format!("{name} {version}"));
    let syncs = result.repetitions.iter().map(|repetition| repetition.disk_sync_us).collect();
    let loads = result.repetitions.iter().map(|repetition| repetition.load_average).collect();
    let text = |spread: Option<Spread>| spread.map_or("-".to_owned(), |spread| spread.text());
    let memory = machine.memory_bytes >> 30;
    let rows = [
        ("command", format!("`{}`", result.command)),
        ("day", day(result.started)),
        ("versions", versions.collect::<Vec<_>>().join(", ")),
        ("build", format!("{}, commit {}", machine.build, machine.commit)),
        ("machine", format!("{} cores of {}, {memory} GiB", machine.cores, machine.cpu)),
        ("system", format!("Linux {}, {}", machine.kernel, machine.file_system)),
        ("keys, Regions", format!("{}, {}", result.keys, result.regions)),
        ("clients ask", asked(result.route).to_owned()),
        ("disk sync before each cluster, µs", text(Spread::new(syncs))),
        ("load average before each cluster", text(Spread::new(loads))),
    ];
    page.push_str("| run | |\n|---|---|\n");
    for (name, value) in rows {
        let _ = writeln!(page, "| {name} | {value} |");
    }
    page.push('\n');
}

fn asked(route: Route) -> &'static str {
    match route {
        Route::Any => "one server each, evenly spread, whoever leads",
        Route::Leader => "the leader of the key",
    }
}

/// The day of a time in seconds since 1970, by the Gregorian calendar.
pub(super) fn day(seconds: u64) -> String {
    let is_leap = |year: u64| {
        year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
    };
    let (mut days, mut year) = (seconds / 86_400, 1970);
    while days >= 365 + u64::from(is_leap(year)) {
        days -= 365 + u64::from(is_leap(year));
        year += 1;
    }
    let february = 28 + u64::from(is_leap(year));
    let mut month = 1;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    format!("{year}-{month:02}-{:02}", days + 1)
}

fn bars(page: &mut String, groups: &Groups<'_>) {
    if !BARS.iter().any(|bar| bar.concerns(groups)) {
        return;
    }
    page.push_str("## Bars\n\nValues of 256 B, closed loop, Troupe by etcd in the same run.\n\n");
    page.push_str("| bar | wanted | Troupe | etcd | ratio | |\n|---|---|---|---|---|---|\n");
    for bar in BARS.iter().filter(|bar| bar.concerns(groups)) {
        let (what, wanted) = (bar.title(), bar.wanted());
        let _ = match bar.reached(groups) {
            None => writeln!(page, "| {what} | {wanted} | | | | not measured |"),
            Some(reached) => {
                let (troupe, etcd) = (reached.troupe.text(), reached.etcd.text());
                let met = if reached.met { "**met**" } else { "not met" };
                writeln!(
                    page,
                    "| {what} | {wanted} | {troupe} | {etcd} | {:.2} × | {met} |",
                    reached.ratio
                )
            }
        };
    }
    page.push('\n');
}

fn figures(page: &mut String, groups: &Groups<'_>) {
    page.push_str("## Figures\n\n| B | load | target |");
    Figure::ALL.iter().for_each(|figure| {
        let _ = write!(page, " {} |", figure.title());
    });
    page.push_str(" p95, ms | p99.9, ms | longest, ms | memory, MiB | client CPU, µs |\n");
    page.push_str(&"|---".repeat(3 + Figure::ALL.len() + 5));
    page.push_str("|\n");
    for (subject, targets) in groups {
        for (target, cells) in targets {
            let (bytes, load, target) = (subject.value_bytes, subject.load(), target.as_str());
            let _ = write!(page, "| {bytes} | {load} | {target} |");
            for figure in Figure::ALL {
                let text = Spread::of(figure, cells).map_or("-".to_owned(), |s| s.text());
                let _ = write!(page, " {text} |");
            }
            let _ = writeln!(page, " {} |", rest(cells).join(" | "));
        }
    }
    page.push('\n');
}

/// Medians of what is told without its spread.
#[expect(clippy::cast_precision_loss, reason = "MiB of memory")]
fn rest(cells: &[&Cell]) -> [String; 5] {
    let median = |figure: fn(&Cell) -> f64| {
        let spread = Spread::new(cells.iter().map(|cell| figure(cell)).collect());
        spread.map_or("-".to_owned(), |spread| number(spread.median))
    };
    [
        median(|cell| cell.latency_us.p95 / 1000.0),
        median(|cell| cell.latency_us.p999 / 1000.0),
        median(|cell| cell.latency_us.max / 1000.0),
        median(|cell| cell.servers.map_or(0, |servers| servers.memory_bytes >> 20) as f64),
        median(|cell| cell.client_cpu_us),
    ]
}

fn ceilings(page: &mut String, result: &RunResult) {
    if result.ceilings.is_empty() {
        return;
    }
    page.push_str(
        "## The load generator itself\n\nAgainst a server in another process that answers at once \
         and stores nothing:\n\n| protocol | load | requests a second | p99, ms | client CPU, µs \
         | server CPU, µs |\n|---|---|---|---|---|---|\n",
    );
    for repetition in &result.ceilings {
        let protocol = match repetition.target {
            TargetName::EchoGrpc => "gRPC",
            TargetName::EchoHttp | TargetName::Troupe | TargetName::Etcd | TargetName::Running => {
                "HTTP"
            }
        };
        for cell in &repetition.cells {
            let servers = cell.servers.map_or("-".to_owned(), |servers| number(servers.cpu_us));
            let _ = writeln!(
                page,
                "| {protocol} | {}, {} clients | {} | {} | {} | {servers} |",
                cell.workload.as_str(),
                cell.clients,
                number(cell.ops_per_second),
                number(cell.latency_us.p99 / 1000.0),
                number(cell.client_cpu_us),
            );
        }
    }
    page.push('\n');
}

fn void(page: &mut String, result: &RunResult) {
    for repetition in &result.repetitions {
        if let Some(why) = &repetition.void {
            let (target, number) = (repetition.target.as_str(), repetition.number);
            let bytes = repetition.value_bytes;
            let _ = writeln!(page, "Left out: {target} {number}, {bytes} B: {why}\n");
        }
    }
}

#[cfg(test)]
mod tests;
