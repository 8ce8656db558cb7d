//! `troupe txn`: transactions. Each command is one documented request, and a way to print its answer.
mod request;

pub use request::request;

use crate::api::curl_line;
use crate::cli::{ClientArgs, OutputFormat, TxnArgs, TxnCommand};
use crate::error::CliError;
use crate::kv::fetch;
use crate::output::{Cell, Column, column, print_list, print_object, write_line};
use serde_json::Value;

const OPEN: &[Column] = &[
    column("TXN", "/txn", Cell::Plain),
    column("STATE", "/state", Cell::Plain),
    column("MODE", "/mode", Cell::Plain),
    column("ISOLATION", "/isolation", Cell::Plain),
    column("KEYS", "/keys", Cell::Plain),
    column("START TS", "/start_ts", Cell::Plain),
    column("EXPIRES IN MS", "/expires_in_ms", Cell::Plain),
];

/// Does what a `troupe txn` command says.
///
/// # Errors
/// Whatever keeps it from being done.
pub async fn run(client: &ClientArgs, args: &TxnArgs) -> Result<(), CliError> {
    let request = request(&args.command, &request::read)?.with_timeout(client.timeout);
    if client.show_curl {
        return write_line(&curl_line(&client.url, &request));
    }
    let answer = fetch(client, &request).await?;
    print(client.output, &args.command, &answer)?;
    outcome(&args.command, &answer)
}

fn print(format: OutputFormat, command: &TxnCommand, answer: &Value) -> Result<(), CliError> {
    match (command, format) {
        (TxnCommand::List, _) => print_list(format, answer, OPEN),
        // So that `ID=$(troupe txn begin)` is the id.
        (TxnCommand::Begin(_), OutputFormat::Table) => {
            let id = answer.get("txn").and_then(Value::as_str);
            write_line(id.ok_or_else(|| CliError::BadAnswer("`txn` is missing".to_owned()))?)
        }
        (TxnCommand::Begin(_), OutputFormat::Json | OutputFormat::Ndjson)
        | (
            TxnCommand::Run(_)
            | TxnCommand::Ops(_)
            | TxnCommand::Commit { .. }
            | TxnCommand::Rollback { .. }
            | TxnCommand::Status { .. }
            | TxnCommand::Keepalive { .. },
            _,
        ) => print_object(format, answer),
    }
}

/// What was answered is not always what was asked for.
fn outcome(command: &TxnCommand, answer: &Value) -> Result<(), CliError> {
    match command {
        TxnCommand::Run(_) => match answer.get("succeeded").and_then(Value::as_bool) {
            Some(true) => Ok(()),
            Some(false) => {
                let told = "the conditions do not hold; the steps of `else` were done";
                Err(CliError::Compared(told.to_owned()))
            }
            None => Err(CliError::BadAnswer("`succeeded` is missing".to_owned())),
        },
        TxnCommand::Commit { id, .. } => ended(answer, "committed", id),
        TxnCommand::Rollback { id } => ended(answer, "rolled_back", id),
        TxnCommand::Begin(_)
        | TxnCommand::Ops(_)
        | TxnCommand::Status { .. }
        | TxnCommand::Keepalive { .. }
        | TxnCommand::List => Ok(()),
    }
}

fn ended(answer: &Value, wanted: &str, id: &str) -> Result<(), CliError> {
    match answer.get("state").and_then(Value::as_str) {
        Some(state) if state == wanted => Ok(()),
        Some("committing" | "unknown") => {
            let told = format!("it is not decided yet: ask `troupe txn status {id}`");
            Err(CliError::Undecided(told))
        }
        Some(state) => Err(CliError::Failed(format!("the transaction is {state}"))),
        None => Err(CliError::BadAnswer("`state` is missing".to_owned())),
    }
}

#[cfg(test)]
mod tests;
