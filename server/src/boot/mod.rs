//! Starts and runs a node in this process.
use std::process::ExitCode;
use troupe_config::Config;

/// Runs a node until it is told to stop. `config` is valid and logs are set up.
#[must_use]
pub fn run(config: Config) -> ExitCode {
    drop(config);
    eprintln!("troupe: starting a node is not wired yet");
    ExitCode::FAILURE
}
