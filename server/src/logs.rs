//! Logs: to stderr, for people on a terminal and one JSON object a line otherwise.
use crate::error::CliError;
use crate::output::stderr_in_colour;
use std::io::IsTerminal;
use tracing_subscriber::EnvFilter;
use troupe_config::{ConfigError, LogConfig, LogFormat};

/// Sets up logs of this process. The first call counts.
///
/// # Errors
/// The level is not a filter.
pub fn init(config: &LogConfig) -> Result<(), CliError> {
    // Libraries tell only what matters, unless they are named.
    let quiet = "raft_engine=warn,actix_server=warn,actix_http=warn,h2=warn,hyper=warn,tonic=warn";
    let filter = EnvFilter::try_new(format!("{quiet},{}", config.level)).map_err(|error| {
        ConfigError::BadValue {
            origin: "configuration".to_owned(),
            key: "log.level".to_owned(),
            message: format!("`{}` is not a filter: {error}", config.level),
        }
    })?;
    let terminal = std::io::stderr().is_terminal();
    let human = match config.format {
        LogFormat::Auto => terminal,
        LogFormat::Human => true,
        LogFormat::Json => false,
    };
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let set = if human {
        builder.with_ansi(stderr_in_colour()).with_target(false).try_init()
    } else {
        builder.json().flatten_event(true).with_current_span(false).try_init()
    };
    if set.is_err() {
        tracing::debug!("logs were already set up");
    }
    Ok(())
}
