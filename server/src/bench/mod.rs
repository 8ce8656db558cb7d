//! `troupe bench`: how fast, and at what cost, beside another system in the same run.
//!
//! ```text
//! matrix ── target/ ── starts servers on a fresh folder, ends them
//!    │ ──── fill ───── writes all keys before, reads some back after
//!    └ ──── measure ── warm-up, window, what the servers used in it (process)
//!              └ load/ ── threads, clients (client: http | etcd), open loop (schedule)
//!                            └ recorder, books: latencies; which writes may be a key's last
//! ```
//!
//! | file | subject |
//! |---|---|
//! | `options.rs` | what a run measures, in which order |
//! | `data.rs`, `ledger.rs`, `accounts.rs`, `books.rs`, `recorder.rs`, `schedule.rs` | pure parts |
//! | `machine.rs`, `result.rs` | what is written down, and about which machine |
//! | `routes.rs` | which server leads which keys |
//! | `table.rs`, `progress.rs` | for people |
//! | `groups.rs`, `compare.rs`, `report/` | equal measurements together; two results; a page of one |
//! | `echo/` | the server that the load generator is measured against |
//!
//! The load generator, the servers and the echo are processes of their own. How to read the figures:
//! `docs/benchmarks/README.md`.
mod accounts;
mod books;
mod client;
mod compare;
mod data;
mod echo;
mod etcd;
mod fill;
mod groups;
mod http;
mod ledger;
mod load;
mod machine;
mod matrix;
mod measure;
mod options;
mod process;
mod progress;
mod recorder;
mod report;
mod result;
mod routes;
mod schedule;
mod table;
mod target;

pub use options::{Route, TargetName, Workload};

use crate::cli::{BenchArgs, BenchCommand, BenchRunArgs, ClientArgs, OutputFormat};
use crate::error::CliError;
use crate::exit::Exit;
use crate::output::{write_line, write_stdout};
use matrix::Run;
use options::Options;
use result::RunResult;
use std::process::ExitCode;

/// A load average above it disturbs what is measured.
const BUSY: f64 = 0.5;

/// Does what the command line says.
///
/// # Errors
/// Servers do not start, files cannot be read or written, or a signal came.
pub fn run(client: &ClientArgs, args: &BenchArgs) -> Result<ExitCode, CliError> {
    match &args.command {
        BenchCommand::Run(run) => in_runtime(run_matrix(client, run)),
        BenchCommand::Compare { before, after } => {
            compare::run(before, after, client.output).map(|()| ExitCode::SUCCESS)
        }
        BenchCommand::Report { result, out } => {
            report::run(result, out).map(|()| ExitCode::SUCCESS)
        }
        BenchCommand::Echo { protocol, value_bytes } => {
            in_runtime(echo::run(*protocol, *value_bytes)).map(|()| ExitCode::SUCCESS)
        }
    }
}

fn in_runtime<T>(work: impl Future<Output = Result<T, CliError>>) -> Result<T, CliError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|source| CliError::io("cannot start", source))?.block_on(work)
}

async fn run_matrix(client: &ClientArgs, args: &BenchRunArgs) -> Result<ExitCode, CliError> {
    check(args)?;
    warn(args);
    let run = Run { args, url: &client.url, options: Options::new(args) };
    // What was started is ended when this future is dropped.
    let result = tokio::select! {
        result = run.all() => result?,
        exit = crate::scenario::stopped() => return Err(CliError::Signal(exit?)),
    };
    result.write(&args.out)?;
    print(&result, client.output)?;
    eprintln!("troupe: wrote {}", args.out.display());
    let void = result.repetitions.iter().filter(|repetition| repetition.void.is_some()).count();
    Ok(if void == 0 { ExitCode::SUCCESS } else { Exit::Partial.into() })
}

fn check(args: &BenchRunArgs) -> Result<(), CliError> {
    if args.value_bytes.iter().any(|&bytes| bytes < data::STAMP_BYTES) {
        let least = data::STAMP_BYTES;
        return Err(CliError::Usage(format!("--value-bytes: at least {least}")));
    }
    if args.targets.contains(&TargetName::Etcd) && !target::etcd_is_installed() {
        let advice = "install it (Debian, Ubuntu: sudo apt-get install etcd-server), or leave it \
                      out with --targets troupe";
        return Err(CliError::NotFound(format!("there is no `etcd` on the PATH: {advice}")));
    }
    if args.clients.contains(&0) {
        return Err(CliError::Usage("--clients: at least 1".to_owned()));
    }
    Ok(())
}

/// What would make figures worthless, or worth less.
fn warn(args: &BenchRunArgs) {
    let folder = args.dir.clone().unwrap_or_else(std::env::temp_dir);
    let machine = machine::Machine::this(&folder);
    if machine.file_system == "tmpfs" {
        let folder = folder.display();
        eprintln!("troupe: {folder} is in memory, where syncs cost nothing; choose a disk: --dir");
    }
    let load = machine::load_average();
    if load > BUSY {
        eprintln!("troupe: the machine is busy (load average {load}); expect noise");
    }
}

fn print(result: &RunResult, format: OutputFormat) -> Result<(), CliError> {
    let json = || serde_json::to_value(result).expect("invariant: strings and numbers");
    match format {
        OutputFormat::Table => write_stdout(table::table(result).as_bytes()),
        OutputFormat::Json => write_line(&format!("{:#}", json())),
        OutputFormat::Ndjson => write_line(&json().to_string()),
    }
}
