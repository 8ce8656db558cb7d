//! `troupe start`: gathers the configuration, checks it, sets up logs and runs a node.
use crate::cli::StartArgs;
use crate::error::CliError;
use crate::{boot, logs};
use std::path::Path;
use std::process::ExitCode;
use troupe_config::{Config, Layers, Loaded};

/// Runs a node until it is told to stop.
///
/// # Errors
/// The configuration is wrong, or logs cannot be set up.
pub fn run(args: &StartArgs) -> Result<ExitCode, CliError> {
    let loaded = load(args, std::env::vars())?;
    loaded.config.validate()?;
    if args.check_config {
        eprintln!("troupe: the configuration is valid");
        return Ok(ExitCode::SUCCESS);
    }
    logs::init(&loaded.config.log)?;
    if loaded.config.node.insecure {
        tracing::warn!("insecure: whoever reaches this node can read and write all data");
    }
    Ok(boot::run(loaded.config))
}

/// All layers: defaults, the fast clock, file, environment, flags.
///
/// # Errors
/// A layer does not fit.
pub fn load(
    args: &StartArgs,
    environment: impl IntoIterator<Item = (String, String)>,
) -> Result<Loaded, CliError> {
    let mut layers = Layers::new();
    if args.fast_clock {
        layers.profile("--fast-clock", &Config::default().fast_clock());
    }
    file_and_environment(&mut layers, args.config.as_deref(), environment)?;
    flags(&mut layers, args)?;
    Ok(layers.load()?)
}

/// The two layers that every command with a configuration has.
///
/// # Errors
/// The file cannot be read, or a layer does not fit.
pub fn file_and_environment(
    layers: &mut Layers,
    file: Option<&Path>,
    environment: impl IntoIterator<Item = (String, String)>,
) -> Result<(), CliError> {
    if let Some(path) = file {
        layers.read_file(path)?;
    }
    Ok(layers.environment(environment)?)
}

fn flags(layers: &mut Layers, args: &StartArgs) -> Result<(), CliError> {
    let single = [
        ("--http", "node.http-address", &args.http),
        ("--grpc", "node.grpc-address", &args.grpc),
        ("--log-level", "log.level", &args.log_level),
        ("--log-format", "log.format", &args.log_format),
    ];
    for (flag, key, value) in single {
        if let Some(value) = value {
            layers.flag(flag, key, value)?;
        }
    }
    let data = args.data.iter().map(|path| path.display().to_string()).collect::<Vec<_>>();
    let lists = [
        ("--data", "node.data", &data),
        ("--join", "cluster.join", &args.join),
        ("--label", "node.labels", &args.label),
    ];
    for (flag, key, values) in lists {
        if !values.is_empty() {
            layers.flag(flag, key, &values.join(","))?;
        }
    }
    if args.insecure {
        layers.flag("--insecure", "node.insecure", "true")?;
    }
    for setting in &args.set {
        let Some((key, value)) = setting.split_once('=') else {
            return Err(CliError::Usage(format!("--set {setting}: write SECTION.KEY=VALUE")));
        };
        layers.flag(&format!("--set {key}"), key, value)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
