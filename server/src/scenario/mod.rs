//! `troupe scenario`: runs the scripts of `scenarios/`, each against a fresh cluster of real
//! processes, under a time limit.
//!
//! A script opens with what it shows and what it needs (`# title: `, `# nodes: `, `# regions: `,
//! `# timeout: `). It gets these variables:
//!
//! | variable | what |
//! |---|---|
//! | `TROUPE_URLS` | HTTP addresses of the nodes, by spaces |
//! | `TROUPE_CONTROL` | JSON file that describes the nodes: id, pid, addresses, data, command |
//! | `TROUPE_BIN` | this program |
//! | `TROUPE_SCRATCH` | a folder for its own files, deleted afterwards |
//!
//! It passes if it ends with 0 in time. Everything it started is killed at its end.
mod cluster;
mod find;
mod header;
mod script;

pub(crate) use cluster::Cluster;
pub use find::Scenario;
pub use header::Header;

use crate::cli::{OutputFormat, ScenarioArgs, ScenarioCommand, ScenarioRunArgs};
use crate::clock::now;
use crate::error::CliError;
use crate::exit::Exit;
use crate::output::{Cell, column, print_list, write_line};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

/// Lists or runs scenarios.
///
/// # Errors
/// There is no such scenario, or a signal came.
pub fn run(args: &ScenarioArgs) -> Result<ExitCode, CliError> {
    match &args.command {
        ScenarioCommand::List => list(&find::all(args.dir.as_deref())?),
        ScenarioCommand::Run(run) => {
            let scenarios = find::named(args.dir.as_deref(), &run.names)?;
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime = runtime.map_err(|source| CliError::io("cannot start", source))?;
            runtime.block_on(run_all(&scenarios, run))
        }
    }
}

fn list(scenarios: &[Scenario]) -> Result<ExitCode, CliError> {
    let items: Vec<_> = scenarios
        .iter()
        .map(|scenario| {
            json!({
                "name": scenario.name,
                "nodes": scenario.header.nodes,
                "regions": scenario.header.regions,
                "timeout": seconds(scenario.header.timeout),
                "title": scenario.header.title,
            })
        })
        .collect();
    let columns = [
        column("NAME", "/name", Cell::Plain),
        column("NODES", "/nodes", Cell::Plain),
        column("REGIONS", "/regions", Cell::Plain),
        column("AT MOST", "/timeout", Cell::Plain),
        column("TITLE", "/title", Cell::Plain),
    ];
    print_list(OutputFormat::Table, &json!({ "items": items }), &columns)?;
    Ok(ExitCode::SUCCESS)
}

async fn run_all(scenarios: &[Scenario], args: &ScenarioRunArgs) -> Result<ExitCode, CliError> {
    let (mut passed, mut failed) = (0, 0);
    for scenario in scenarios {
        let started = now();
        let outcome = tokio::select! {
            outcome = run_one(scenario, args) => outcome,
            exit = stopped() => return Err(CliError::Signal(exit?)),
        };
        let took = format!("{:.1} s", started.elapsed().as_secs_f64());
        match outcome {
            Ok(()) => {
                passed += 1;
                write_line(&format!("PASS {} ({took})\n", scenario.name))?;
            }
            Err(error) => {
                failed += 1;
                write_line(&format!("FAIL {} ({took}): {error}\n", scenario.name))?;
            }
        }
    }
    write_line(&format!("{passed} passed, {failed} failed"))?;
    Ok(if failed == 0 { ExitCode::SUCCESS } else { Exit::Failed.into() })
}

/// Ends when a signal asks this process to end; answers the exit code for it.
pub(crate) async fn stopped() -> Result<Exit, CliError> {
    let handler = |kind| signal(kind).map_err(|source| CliError::io("cannot take signals", source));
    let (mut interrupt, mut terminate) =
        (handler(SignalKind::interrupt())?, handler(SignalKind::terminate())?);
    Ok(tokio::select! {
        _ = interrupt.recv() => Exit::Interrupted,
        _ = terminate.recv() => Exit::Terminated,
    })
}

async fn run_one(scenario: &Scenario, args: &ScenarioRunArgs) -> Result<(), CliError> {
    let header = &scenario.header;
    write_line(&format!(
        "RUN  {}: {} ({} nodes, {} regions, at most {})",
        scenario.name,
        header.title,
        header.nodes,
        header.regions,
        seconds(header.timeout),
    ))?;
    let folder = folder(&scenario.name, args.work_dir.as_deref())?;
    let outcome = in_cluster(scenario, folder.path()).await;
    if outcome.is_err() || args.keep {
        let path = folder.keep();
        write_line(&format!("     data and logs: {}", path.display()))?;
    }
    outcome
}

/// The cluster is stopped when this ends, and also when it is dropped by a signal.
async fn in_cluster(scenario: &Scenario, folder: &Path) -> Result<(), CliError> {
    let mut cluster = Cluster::start((scenario.header.nodes, scenario.header.regions), folder)?;
    let outcome = match cluster.ready().await {
        Ok(()) => script::run(scenario, &cluster, folder).await,
        Err(error) => Err(error),
    };
    cluster.stop().await;
    outcome
}

fn folder(name: &str, work_dir: Option<&Path>) -> Result<tempfile::TempDir, CliError> {
    let parent = work_dir.map_or_else(std::env::temp_dir, PathBuf::from);
    let made = std::fs::create_dir_all(&parent).and_then(|()| {
        tempfile::Builder::new().prefix(&format!("troupe-{name}-")).tempdir_in(&parent)
    });
    made.map_err(|source| CliError::io(format!("cannot write to {}", parent.display()), source))
}

fn seconds(duration: Duration) -> String {
    troupe_config::units::duration::to_text(duration)
}

#[cfg(test)]
mod tests;
