//! The `troupe` binary: a node, a demo cluster, a client of the JSON API, and the operator's tools.
//!
//! | module | subject |
//! |---|---|
//! | [`cli`] | the command line: what there is to say, and nothing of what it does |
//! | [`api`] | requests to the JSON API: sending them, and printing them as curl lines |
//! | [`kv`] | `troupe kv`: keys and values |
//! | [`txn`] | `troupe txn`: transactions |
//! | [`ctl`] | `troupe ctl`: cluster, Stores, Regions, locks, old versions, actors, traces, configuration |
//! | [`start`] | `troupe start`: layers of configuration, logs, then [`boot`] |
//! | [`boot`] | runs a node in this process |
//! | [`demo`] | `troupe demo`: a cluster on this machine |
//! | [`scenario`] | `troupe scenario`: runs the scripts of `scenarios/` against fresh clusters |
//! | [`bench`] | `troupe bench`: how fast, beside another system in the same run |
//! | [`doctor`] | `troupe doctor`: is this machine fit for a node? |
//! | [`output`] | tables, JSON, progress |
//! | [`exit`] | exit codes, decided in one place |
//!
//! stdout carries data, stderr carries talk.
pub mod api;
pub mod bench;
pub mod boot;
pub mod cli;
mod clock;
pub mod ctl;
pub mod demo;
pub mod doctor;
mod error;
pub mod exit;
mod files;
pub mod kv;
pub mod logs;
pub mod output;
pub mod scenario;
pub mod start;
mod sys;
pub mod txn;

pub use error::CliError;

use clap::{CommandFactory, Parser};
use cli::{Cli, Command};
use std::process::ExitCode;

/// Parses the command line and does what it says.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(cli) {
        Ok(code) => code,
        Err(error) => {
            if !error.is_silent() {
                eprintln!("troupe: {error}");
            }
            error.exit().into()
        }
    }
}

fn run(cli: Cli) -> Result<ExitCode, CliError> {
    match cli.command {
        Command::Start(args) => start::run(&args),
        Command::Demo(args) => {
            logs::init(&args.log_config()?)?;
            Ok(demo::run(args.into()))
        }
        Command::Init(args) => files::init(&args).map(|()| ExitCode::SUCCESS),
        Command::Kv(args) => in_runtime(kv::run(&cli.client, &args)),
        Command::Txn(args) => in_runtime(txn::run(&cli.client, &args)),
        Command::Ctl(args) => in_runtime(ctl::run(&cli.client, &args)),
        Command::Scenario(args) => scenario::run(&args),
        Command::Bench(args) => bench::run(&cli.client, &args),
        Command::Doctor(args) => doctor::run(&args, cli.client.output),
        Command::Completions { shell } => completions(shell).map(|()| ExitCode::SUCCESS),
    }
}

fn in_runtime(work: impl Future<Output = Result<(), CliError>>) -> Result<ExitCode, CliError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|source| CliError::io("cannot start", source))?;
    let outcome = runtime.block_on(work);
    runtime.shutdown_background();
    outcome.map(|()| ExitCode::SUCCESS)
}

fn completions(shell: clap_complete::Shell) -> Result<(), CliError> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "troupe", &mut script);
    output::write_stdout(&script)
}
