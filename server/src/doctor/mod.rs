//! `troupe doctor`: is this machine fit for a node? Each check measures something and, if it does
//! not like it, says what to do.
mod disk;
mod machine;

use crate::cli::{DoctorArgs, OutputFormat};
use crate::error::CliError;
use crate::output::{print_list, stdout_in_colour, write_line};
use crate::start::file_and_environment;
use serde::Serialize;
use serde_json::json;
use std::process::ExitCode;
use troupe_config::{Config, Layers};

/// What a check thinks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Fine.
    Ok,
    /// A node will run, but worse than it could.
    Warn,
    /// A node will not run, or lose what it should keep.
    Fail,
}

/// The result of one check.
#[derive(Clone, Debug, Serialize)]
pub struct Check {
    /// What was looked at.
    pub name: String,
    /// What to think of it.
    pub verdict: Verdict,
    /// What was found, with numbers.
    pub found: String,
    /// What to do about it.
    pub advice: Option<String>,
}

impl Check {
    fn ok(name: impl Into<String>, found: impl Into<String>) -> Self {
        Self { name: name.into(), verdict: Verdict::Ok, found: found.into(), advice: None }
    }

    fn warn(name: impl Into<String>, found: impl Into<String>, advice: impl Into<String>) -> Self {
        let advice = Some(advice.into());
        Self { name: name.into(), verdict: Verdict::Warn, found: found.into(), advice }
    }

    fn fail(name: impl Into<String>, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { verdict: Verdict::Fail, ..Self::warn(name, found, advice) }
    }
}

/// Runs all checks and prints what they found.
///
/// # Errors
/// The configuration is wrong, or the output cannot be written.
pub fn run(args: &DoctorArgs, format: OutputFormat) -> Result<ExitCode, CliError> {
    let mut layers = Layers::new();
    file_and_environment(&mut layers, args.config.as_deref(), std::env::vars())?;
    let mut config = layers.load()?.config;
    if !args.data.is_empty() {
        config.node.data.clone_from(&args.data);
    }
    let checks = checks(&config);
    match format {
        OutputFormat::Table => checks.iter().try_for_each(print)?,
        OutputFormat::Json | OutputFormat::Ndjson => {
            print_list(format, &json!({ "items": checks }), &[])?;
        }
    }
    let failed = checks.iter().any(|check| check.verdict == Verdict::Fail);
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// All checks for a node with this configuration.
#[must_use]
pub fn checks(config: &Config) -> Vec<Check> {
    let mut checks = vec![validity(config)];
    checks.push(machine::port("HTTP port", &config.node.http_address, "--http"));
    checks.push(machine::port("gRPC port", &config.node.grpc_address, "--grpc"));
    checks.push(machine::open_files());
    checks.push(machine::memory(config));
    checks.push(machine::clock());
    for directory in &config.node.data {
        checks.extend(disk::checks(directory));
    }
    checks
}

fn validity(config: &Config) -> Check {
    match config.validate() {
        Ok(()) => Check::ok("configuration", "valid"),
        Err(error) => Check::fail("configuration", error.to_string(), "change these keys"),
    }
}

fn print(check: &Check) -> Result<(), CliError> {
    let (word, colour) = match check.verdict {
        Verdict::Ok => ("ok  ", 32),
        Verdict::Warn => ("warn", 33),
        Verdict::Fail => ("FAIL", 31),
    };
    let word = match stdout_in_colour() {
        true => format!("\x1b[{colour}m{word}\x1b[0m"),
        false => word.to_owned(),
    };
    write_line(&format!("{word}  {}: {}", check.name, check.found))?;
    match &check.advice {
        Some(advice) => write_line(&format!("      -> {advice}")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
