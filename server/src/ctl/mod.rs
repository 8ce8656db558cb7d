//! `troupe ctl`: look at a cluster and change it. Each command is one documented request, except
//! those about configuration files, which ask no server.
mod config;
mod request;
mod tables;

pub use request::request;

use crate::api::{ApiRequest, Client, curl_line};
use crate::cli::{
    ClientArgs, CtlArgs, CtlCommand, GcCommand, OutputFormat, RegionCommand, StoreCommand,
};
use crate::error::CliError;
use crate::kv::{confirm_or_refuse, fetch};
use crate::output::{print_list, print_object, write_line, write_stdout};
use serde_json::Value;

/// Does what a `troupe ctl` command says.
///
/// # Errors
/// Whatever keeps it from being done.
pub async fn run(client: &ClientArgs, args: &CtlArgs) -> Result<(), CliError> {
    if let CtlCommand::Config(command) = &args.command {
        return config::run(client.output, command);
    }
    let Some(request) = request(&args.command) else {
        return Err(CliError::Usage("this command asks no server".to_owned()));
    };
    let request = request.with_timeout(client.timeout);
    if client.show_curl {
        return write_line(&curl_line(&client.url, &request));
    }
    if let Some(question) = question(&args.command) {
        confirm_or_refuse(client, question)?;
    }
    if let CtlCommand::Traces { mermaid: true, .. } = &args.command {
        return write_stdout(&Client::new(client)?.send(&request).await?.body);
    }
    let answer = fetch(client, &request).await?;
    print(client.output, &args.command, &answer)?;
    outcome(&args.command, &request, &answer)
}

/// What to ask before what cannot be undone.
fn question(command: &CtlCommand) -> Option<&'static str> {
    match command {
        CtlCommand::Store(StoreCommand::Remove { .. }) => {
            Some("strike this Store off the cluster for good?")
        }
        CtlCommand::Region(RegionCommand::RemovePeer { .. }) => Some("delete this replica?"),
        CtlCommand::Gc { command: Some(GcCommand::Advance { .. }) } => {
            Some("give up reading what is older than that?")
        }
        CtlCommand::Store(StoreCommand::Show { .. } | StoreCommand::Drain { .. })
        | CtlCommand::Region(
            RegionCommand::Show { .. }
            | RegionCommand::AddPeer { .. }
            | RegionCommand::MovePeer { .. }
            | RegionCommand::TransferLeader { .. }
            | RegionCommand::Release { .. },
        )
        | CtlCommand::Cluster
        | CtlCommand::Stores
        | CtlCommand::Regions(_)
        | CtlCommand::Actors { .. }
        | CtlCommand::Actor { .. }
        | CtlCommand::Restarts
        | CtlCommand::Traces { .. }
        | CtlCommand::Operators { .. }
        | CtlCommand::Locks(_)
        | CtlCommand::Deadlocks
        | CtlCommand::Gc { command: None | Some(GcCommand::Status | GcCommand::Barrier(_)) }
        | CtlCommand::Config(_) => None,
    }
}

fn print(format: OutputFormat, command: &CtlCommand, answer: &Value) -> Result<(), CliError> {
    if let Some(columns) = tables::columns(command) {
        print_list(format, answer, columns)?;
        if let (OutputFormat::Table, Some(cursor)) = (format, answer["next_cursor"].as_str()) {
            eprintln!("more: --cursor {cursor}");
        }
        return Ok(());
    }
    match (command, format) {
        (CtlCommand::Deadlocks, OutputFormat::Table) => {
            write_stdout(tables::deadlocks(answer)?.as_bytes())
        }
        (_, OutputFormat::Table | OutputFormat::Json | OutputFormat::Ndjson) => {
            print_object(format, answer)
        }
    }
}

/// An operator that was waited for has not always succeeded.
fn outcome(command: &CtlCommand, request: &ApiRequest, answer: &Value) -> Result<(), CliError> {
    let CtlCommand::Region(_) = command else { return Ok(()) };
    if !request.query.iter().any(|(name, _)| name == "wait") {
        return Ok(());
    }
    let reason = answer.get("reason").and_then(Value::as_str).unwrap_or("no reason given");
    match answer.get("state").and_then(Value::as_str) {
        Some("succeeded") => Ok(()),
        Some("running") => Err(CliError::TooSlow("the change is still going on".to_owned())),
        Some(state) => Err(CliError::Failed(format!("the change ended as {state}: {reason}"))),
        None => Err(CliError::BadAnswer("`state` is missing".to_owned())),
    }
}

#[cfg(test)]
mod tests;
