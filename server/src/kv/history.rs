//! What `troupe kv history` prints.
use crate::cli::OutputFormat;
use crate::error::CliError;
use crate::output::{Cell, Column, column, print_object, table, write_stdout};
use serde_json::Value;

const VERSIONS: &[Column] = &[
    column("COMMIT TS", "/commit_ts", Cell::Plain),
    column("KIND", "/kind", Cell::Plain),
    column("START TS", "/start_ts", Cell::Plain),
    column("EXPIRES AT MS", "/expires_at_ms", Cell::Plain),
    column("VALUE", "/value", Cell::Plain),
];

/// A row for each version, newest first; the lock is no version, so it stands on stderr.
pub(super) fn print(format: OutputFormat, answer: &Value) -> Result<(), CliError> {
    if format != OutputFormat::Table {
        return print_object(format, answer);
    }
    let versions = answer.get("versions").and_then(Value::as_array);
    let versions =
        versions.ok_or_else(|| CliError::BadAnswer("`versions` is missing".to_owned()))?;
    write_stdout(table(VERSIONS, versions).as_bytes())?;
    if let Some(lock) = answer.get("lock").filter(|lock| lock.is_object()) {
        eprintln!("{}", locked(lock));
    }
    Ok(())
}

/// Who holds the key.
pub(super) fn locked(lock: &Value) -> String {
    let text = |name: &str| match lock.get(name) {
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => "?".to_owned(),
    };
    let expired =
        if lock["expired"] == true { ", expired: `troupe ctl locks resolve`" } else { "" };
    format!(
        "locked by the transaction that began at {} ({}, for {} ms{expired})",
        text("start_ts"),
        text("kind"),
        text("age_ms")
    )
}
