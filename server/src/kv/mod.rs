//! `troupe kv`: each command is one documented request, and a way to print its answer.
mod history;
mod request;
mod stream;

pub(crate) use request::once;
pub use request::request;

use crate::api::{ApiRequest, Client, Reply, curl_line};
use crate::cli::{
    ClientArgs, DeleteRangeArgs, GetArgs, KvArgs, KvCommand, OutputFormat, ScanArgs, SpaceName,
};
use crate::error::CliError;
use crate::output::{Cell, Column, column, print_list, print_object, write_line, write_stdout};
use serde_json::Value;
use std::io::{BufRead, IsTerminal};

/// What `put` answers when the server says that a precondition does not hold is a problem; what
/// `cas` answers when its comparison is false is not.
const NOT_AS_EXPECTED: &str = "the present value is not as expected; nothing was written";

/// Does what a `troupe kv` command says.
///
/// # Errors
/// Whatever keeps it from being done.
pub async fn run(client: &ClientArgs, args: &KvArgs) -> Result<(), CliError> {
    let request = request(args)?.with_timeout(client.timeout);
    if client.show_curl {
        return write_line(&curl_line(&client.url, &request));
    }
    confirm(client, &args.command)?;
    let sender = Client::new(client)?;
    match &args.command {
        KvCommand::Import { .. } => return stream::import(&sender, &request, client.output).await,
        KvCommand::Export(export) => {
            return stream::export(&sender, &request, export.to.as_deref()).await;
        }
        KvCommand::Scan(_) if client.output == OutputFormat::Ndjson => {
            let rows = request.with_header("Accept", "application/x-ndjson");
            return stream::export(&sender, &rows, None).await;
        }
        KvCommand::Get(_)
        | KvCommand::Put(_)
        | KvCommand::Del(_)
        | KvCommand::Scan(_)
        | KvCommand::History(_)
        | KvCommand::Cas(_)
        | KvCommand::Checksum(_)
        | KvCommand::DeleteRange(_) => {}
    }
    let reply = sender.send(&request).await?;
    print(client.output, args, &reply)
}

fn print(format: OutputFormat, args: &KvArgs, reply: &Reply) -> Result<(), CliError> {
    match &args.command {
        KvCommand::Get(get) => print_values(format, (get, args.space()), reply),
        KvCommand::Scan(scan) => print_rows(format, scan, &reply.json()?),
        KvCommand::History(_) => history::print(format, &reply.json()?),
        KvCommand::Cas(_) => {
            let answer = reply.json()?;
            print_object(format, &answer)?;
            match answer.get("succeeded").and_then(Value::as_bool) {
                Some(true) => Ok(()),
                Some(false) => Err(CliError::Compared(NOT_AS_EXPECTED.to_owned())),
                None => Err(CliError::BadAnswer("`succeeded` is missing".to_owned())),
            }
        }
        KvCommand::Put(_)
        | KvCommand::Del(_)
        | KvCommand::Import { .. }
        | KvCommand::Export(_)
        | KvCommand::Checksum(_)
        | KvCommand::DeleteRange(_) => {
            let answer = reply.json()?;
            print_object(format, &answer)?;
            partial(reply, &answer)
        }
    }
}

/// A batch whose parts had different outcomes.
fn partial(reply: &Reply, answer: &Value) -> Result<(), CliError> {
    if reply.status != 207 {
        return Ok(());
    }
    let failed = answer.get("failed").and_then(Value::as_array).map_or(0, Vec::len);
    Err(CliError::Partial(format!("{failed} of the keys failed, the others are done")))
}

/// One key in a table is its value alone, so that `$(troupe kv get k)` is the value.
fn print_values(
    format: OutputFormat,
    (args, space): (&GetArgs, SpaceName),
    reply: &Reply,
) -> Result<(), CliError> {
    let condition = match space {
        SpaceName::Raw => column("ETAG", "/etag", Cell::Plain),
        SpaceName::Kv => column("VERSION", "/version", Cell::Plain),
    };
    let columns =
        [column("KEY", "/key", Cell::Plain), column("VALUE", "/value", Cell::Plain), condition];
    if args.raw {
        return write_stdout(&reply.body);
    }
    let answer = reply.json()?;
    if args.keys.len() > 1 {
        print_list(format, &answer, &columns)?;
        let items = answer.get("items").and_then(Value::as_array);
        let missing = items.into_iter().flatten().filter(|item| item.get("missing").is_some());
        return match missing.count() {
            0 => Ok(()),
            count => Err(CliError::NotFound(format!("{count} of the keys have no value"))),
        };
    }
    match (format, answer.get("value")) {
        (OutputFormat::Table, Some(Value::String(text))) => write_line(text),
        (OutputFormat::Table, Some(value)) => write_line(&value.to_string()),
        (OutputFormat::Table, None) => Err(CliError::BadAnswer("`value` is missing".to_owned())),
        (OutputFormat::Json | OutputFormat::Ndjson, _) => print_object(format, &answer),
    }
}

fn print_rows(format: OutputFormat, args: &ScanArgs, answer: &Value) -> Result<(), CliError> {
    const COLUMNS: [Column; 2] =
        [column("KEY", "/key", Cell::Plain), column("VALUE", "/value", Cell::Plain)];
    let columns = if args.keys_only { &COLUMNS[..1] } else { &COLUMNS[..] };
    print_list(format, answer, columns)?;
    if let (OutputFormat::Table, Some(cursor)) = (format, answer["next_cursor"].as_str()) {
        eprintln!("more: --cursor {cursor}");
    }
    Ok(())
}

/// Asks before what cannot be undone.
fn confirm(client: &ClientArgs, command: &KvCommand) -> Result<(), CliError> {
    let KvCommand::DeleteRange(DeleteRangeArgs { dry_run: false, .. }) = command else {
        return Ok(());
    };
    confirm_or_refuse(client, "delete all keys of this range?")
}

/// Asks a person; without one, `--yes` must have been given.
///
/// # Errors
/// Neither said yes.
pub(crate) fn confirm_or_refuse(client: &ClientArgs, question: &str) -> Result<(), CliError> {
    if client.yes {
        return Ok(());
    }
    if !std::io::stdin().is_terminal() {
        return Err(CliError::Usage(format!("{question} Say so with --yes")));
    }
    eprint!("{question} [y/N] ");
    let mut answer = String::new();
    let read = std::io::stdin().lock().read_line(&mut answer);
    read.map_err(|source| CliError::io("cannot read the answer", source))?;
    match answer.trim() {
        "y" | "Y" | "yes" => Ok(()),
        _ => Err(CliError::Failed("nothing was done".to_owned())),
    }
}

/// Sends a request that is only printed.
pub(crate) async fn fetch(client: &ClientArgs, request: &ApiRequest) -> Result<Value, CliError> {
    Client::new(client)?.send(request).await?.json()
}

#[cfg(test)]
mod tests;
