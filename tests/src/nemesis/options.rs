//! The command line of the program `nemesis`.
use super::cluster::built_troupe;
use super::report::{Judgement, Report};
use super::run::{RunOptions, run};
use clap::Parser;
use std::path::PathBuf;
use std::process::ExitCode;
use troupe_actors::env::Rngs;
use troupe_actors::real_env::SeededRngs;

/// Starts three nodes, works on them, kills, pauses, cuts off and robs them of their disks, and
/// checks that nothing was lost.
#[derive(Debug, Parser)]
#[command(name = "nemesis")]
pub struct Options {
    /// How many events.
    #[arg(long, default_value_t = 60)]
    events: usize,
    /// Decides which events happen, and when; without it, a new one is made up and printed.
    #[arg(long)]
    seed: Option<u64>,
    /// Where to write the results as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Program of a node; without it, the one beside this program.
    #[arg(long, value_name = "PROGRAM")]
    troupe: Option<PathBuf>,
    /// Keep data and logs even when nothing was wrong.
    #[arg(long)]
    keep: bool,
}

/// Runs what the command line asks for. Status 0: passed; 1: a promise was broken; 2: void.
#[must_use]
pub fn main() -> ExitCode {
    let options = Options::parse();
    let made_up = || SeededRngs::from_system().rng("seed").between(1, 1_000_000);
    let folder = tempfile::Builder::new().prefix("nemesis-").tempdir().expect("a folder").keep();
    let what = RunOptions {
        seed: options.seed.unwrap_or_else(made_up),
        events: options.events,
        kinds: Vec::new(),
        troupe: options.troupe.clone().unwrap_or_else(built_troupe),
        folder,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let report = runtime.expect("a runtime").block_on(run(what));
    end(&options, &report)
}

fn end(options: &Options, report: &Report) -> ExitCode {
    println!("{report}");
    if let Some(path) = &options.json
        && let Err(error) = report.write_json(path)
    {
        eprintln!("cannot write {}: {error}", path.display());
        return ExitCode::from(1);
    }
    match report.judgement() {
        Judgement::Passed if options.keep => println!("kept {}", report.folder.display()),
        Judgement::Passed => {
            // Nobody needs them; whatever cannot be removed stays in the temporary folder.
            let _ = std::fs::remove_dir_all(&report.folder);
        }
        Judgement::Void => return ExitCode::from(2),
        Judgement::Violated => return ExitCode::from(1),
    }
    ExitCode::SUCCESS
}
