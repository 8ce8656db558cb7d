//! Figures of a run as a table for people.
use super::result::{Cell, Repetition, RunResult};
use comfy_table::{CellAlignment, Table, presets};

const HEADER: [&str; 14] = [
    "TARGET",
    "REP",
    "BYTES",
    "LOAD",
    "OPS/S",
    "P50 ms",
    "P95 ms",
    "P99 ms",
    "P99.9 ms",
    "SRV µs/op",
    "CLI µs/op",
    "SYNC/op",
    "B/op",
    "MiB",
];

/// All measurements, one a line.
#[must_use]
pub fn table(result: &RunResult) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(HEADER);
    for repetition in result.ceilings.iter().chain(&result.repetitions) {
        for cell in &repetition.cells {
            table.add_row(row(repetition, cell));
        }
    }
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 2));
        if index != 0 && index != 3 {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let mut text = table.trim_fmt() + "\n";
    for repetition in &result.repetitions {
        if let Some(why) = &repetition.void {
            let (target, number) = (repetition.target.as_str(), repetition.number);
            text.push_str(&format!("void: {target} {number}: {why}\n"));
        }
    }
    text
}

fn row(repetition: &Repetition, cell: &Cell) -> Vec<String> {
    let milliseconds = |us: f64| format!("{:.2}", us / 1000.0);
    let servers = |figure: fn(&super::result::PerOperation) -> String| {
        cell.servers.as_ref().map_or("-".to_owned(), figure)
    };
    let load = match cell.rate {
        None => format!("{} x{}", cell.workload.as_str(), cell.clients),
        Some(rate) => format!("{} at {rate}/s", cell.workload.as_str()),
    };
    let latency = cell.latency_us;
    vec![
        repetition.target.as_str().to_owned(),
        repetition.number.to_string(),
        repetition.value_bytes.to_string(),
        load,
        format!("{:.0}", cell.ops_per_second),
        milliseconds(latency.p50),
        milliseconds(latency.p95),
        milliseconds(latency.p99),
        milliseconds(latency.p999),
        servers(|servers| format!("{:.1}", servers.cpu_us)),
        format!("{:.1}", cell.client_cpu_us),
        servers(|servers| servers.syncs.map_or("-".to_owned(), |syncs| format!("{syncs:.3}"))),
        servers(|servers| {
            servers.written_bytes.map_or("-".to_owned(), |bytes| format!("{bytes:.0}"))
        }),
        servers(|servers| (servers.memory_bytes >> 20).to_string()),
    ]
}
