//! One measurement: a load, the window that counts, and what the servers used in it.
use super::books::Books;
use super::load::{Aim, Data, Load};
use super::options::{CellPlan, Options};
use super::process::Usage;
use super::recorder::Recorder;
use super::result::{Cell, PerOperation, ratio};
use super::target::{Sample, Servers};
use crate::clock::now;
use crate::error::CliError;
use std::sync::Arc;
use std::time::Duration;

/// How often it is looked whether the last requests of an open loop are answered.
const POLL: Duration = Duration::from_millis(10);
/// How long it is waited for them at least.
const LEAST_PATIENCE: Duration = Duration::from_secs(5);

/// What the window saw.
struct Seen {
    seconds: f64,
    servers: Option<(Sample, Sample)>,
    client: Usage,
    unanswered: u64,
}

/// Measures, and adds what was written to `books`.
///
/// # Errors
/// The servers cannot be reached, or ended.
pub async fn measure(
    servers: &Servers,
    aim: &Aim,
    (options, plan): (&Options, CellPlan),
    (data, books): (&Arc<Data>, &mut Books),
) -> Result<Cell, CliError> {
    let load = Load::start(aim, plan, data).await?;
    tokio::time::sleep(options.warm_up).await;
    let seen = window(servers, &load, (options.duration, data)).await?;
    let (recorder, written) = load.stop().await?;
    books.merge(written);
    Ok(cell(plan, &recorder, &seen))
}

async fn window(
    servers: &Servers,
    load: &Load,
    (duration, data): (Duration, &Data),
) -> Result<Seen, CliError> {
    let own = || {
        Usage::of(std::process::id()).map_err(|source| CliError::io("cannot read /proc", source))
    };
    let (before, own_before) = (servers.sample().await?, own()?);
    let started = now();
    load.window.open(data.now());
    tokio::time::sleep(duration).await;
    load.window.close(data.now());
    let seconds = started.elapsed().as_secs_f64();
    let (client, after) = (own()?.since(own_before), servers.sample().await?);
    let unanswered = unanswered(load, duration).await;
    Ok(Seen { seconds, servers: before.zip(after), client, unanswered })
}

/// Waits for the answers of an open loop, as long again as was measured.
async fn unanswered(load: &Load, measured: Duration) -> u64 {
    let patience = measured.max(LEAST_PATIENCE);
    let Some(arrivals) = &load.arrivals else { return 0 };
    let started = now();
    while arrivals.open() > 0 && started.elapsed() < patience {
        tokio::time::sleep(POLL).await;
    }
    arrivals.open()
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn cell(plan: CellPlan, recorder: &Recorder, seen: &Seen) -> Cell {
    let good = recorder.operations - recorder.errors;
    let operations = recorder.operations;
    Cell {
        workload: plan.workload,
        clients: plan.clients,
        rate: plan.rate,
        seconds: rounded(seen.seconds, 3),
        operations,
        errors: recorder.errors,
        first_error: recorder.first_error.clone(),
        unanswered: seen.unanswered,
        ops_per_second: rounded(good as f64 / seen.seconds, 1),
        latency_us: recorder.latency(),
        servers: seen.servers.map(|(before, after)| per_operation(before, after, operations)),
        client_cpu_us: rounded(ratio(seen.client.user_us + seen.client.system_us, operations), 2),
    }
}

fn per_operation(before: Sample, after: Sample, operations: u64) -> PerOperation {
    let used = after.usage.since(before.usage);
    let grown = |before: Option<u64>, after: Option<u64>, digits| {
        let grown = before.zip(after).map(|(before, after)| after.saturating_sub(before));
        grown.map(|grown| rounded(ratio(grown, operations), digits))
    };
    PerOperation {
        cpu_us: rounded(ratio(used.user_us + used.system_us, operations), 2),
        system_us: rounded(ratio(used.system_us, operations), 2),
        syncs: grown(before.syncs, after.syncs, 4),
        written_bytes: grown(before.written_bytes, after.written_bytes, 1),
        context_switches: rounded(ratio(used.context_switches, operations), 3),
        memory_bytes: used.memory_bytes,
    }
}

fn rounded(figure: f64, digits: i32) -> f64 {
    let scale = 10_f64.powi(digits);
    (figure * scale).round() / scale
}
