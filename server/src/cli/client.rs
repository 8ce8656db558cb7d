//! How to reach a server and how to print what it says.
use clap::{Args, ValueEnum};
use std::time::Duration;

/// How to reach a server and how to print.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Client options")]
pub struct ClientArgs {
    /// HTTP address of any node
    #[arg(long, global = true, env = "TROUPE_URL", default_value = "http://127.0.0.1:20180")]
    pub url: String,
    /// How to print data
    #[arg(short, long, global = true, value_enum, default_value_t)]
    pub output: OutputFormat,
    /// Print the curl line that does the same, and do nothing
    #[arg(long, global = true)]
    pub show_curl: bool,
    /// Do not ask before something that cannot be undone
    #[arg(short, long, global = true)]
    pub yes: bool,
    /// Give up after so long, such as 250ms or 30s
    #[arg(long, global = true, value_parser = humantime::parse_duration)]
    pub timeout: Option<Duration>,
}

/// How to print data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum OutputFormat {
    /// Columns for people
    #[default]
    Table,
    /// One JSON document
    Json,
    /// One JSON object a line
    Ndjson,
}
