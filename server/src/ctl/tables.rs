//! Which columns people see of each list.
use crate::cli::{CtlCommand, LocksArgs, LocksCommand};
use crate::error::CliError;
use crate::output::{Cell, Column, cell, column, table};
use serde_json::Value;

const STORES: &[Column] = &[
    column("ID", "/id", Cell::Plain),
    column("NODE", "/node", Cell::Plain),
    column("STATE", "/state", Cell::Plain),
    column("ALIVE", "/alive", Cell::Plain),
    column("SILENT MS", "/silent_ms", Cell::Plain),
    column("REGIONS", "/regions", Cell::Plain),
    column("LEADERS", "/leaders", Cell::Plain),
    column("HALTED", "/halted", Cell::Plain),
    column("CAPACITY", "/capacity_bytes", Cell::Bytes),
    column("FREE", "/available_bytes", Cell::Bytes),
    column("WRITES", "/writes", Cell::Plain),
    column("READS", "/reads", Cell::Plain),
];

const REGIONS: &[Column] = &[
    column("ID", "/id", Cell::Plain),
    column("START", "/range/start", Cell::Plain),
    column("END", "/range/end", Cell::Plain),
    column("LEADER", "/leader", Cell::Peers),
    column("PEERS", "/peers", Cell::Peers),
    column("DOWN", "/down", Cell::Plain),
    column("SIZE", "/approximate_bytes", Cell::Bytes),
];

const ACTORS: &[Column] = &[
    column("ID", "/id", Cell::Plain),
    column("KIND", "/kind", Cell::Plain),
    column("NAME", "/name", Cell::Plain),
    column("STATE", "/state", Cell::Plain),
    column("DEPTH", "/depth", Cell::Plain),
    column("RESTARTS", "/restarts", Cell::Plain),
    column("HANDLED", "/handled", Cell::Plain),
    column("MAX WAIT US", "/max_wait_us", Cell::Plain),
    column("LAST MESSAGE", "/last_message", Cell::Plain),
];

const RESTARTS: &[Column] = &[
    column("AT MS", "/at_ms", Cell::Plain),
    column("ACTOR", "/actor", Cell::Plain),
    column("KIND", "/kind", Cell::Plain),
    column("NAME", "/name", Cell::Plain),
    column("GENERATION", "/generation", Cell::Plain),
    column("VERDICT", "/verdict", Cell::Plain),
    column("PANIC", "/panic", Cell::Plain),
];

const TRACES: &[Column] = &[
    column("ID", "/id", Cell::Plain),
    column("STARTED MS", "/started_ms", Cell::Plain),
    column("SPANS", "/spans", Cell::Plain),
    column("TOOK US", "/duration_us", Cell::Plain),
    column("ROOT", "/root", Cell::Plain),
];

const OPERATORS: &[Column] = &[
    column("ID", "/id", Cell::Plain),
    column("REGION", "/region", Cell::Plain),
    column("STATE", "/state", Cell::Plain),
    column("AGE MS", "/age_ms", Cell::Plain),
    column("REQUEST", "/request", Cell::Plain),
    column("REASON", "/reason", Cell::Plain),
];

const LOCKS: &[Column] = &[
    column("KEY", "/key", Cell::Plain),
    column("KIND", "/kind", Cell::Plain),
    column("START TS", "/start_ts", Cell::Plain),
    column("PRIMARY", "/primary", Cell::Plain),
    column("AGE MS", "/age_ms", Cell::Plain),
    column("TTL MS", "/ttl_ms", Cell::Plain),
    column("EXPIRED", "/expired", Cell::Plain),
    column("KEYS", "/txn_size", Cell::Plain),
    column("ASYNC", "/async_commit", Cell::Plain),
];

const WAITS: &[Column] = &[
    column("STORE", "/store", Cell::Plain),
    column("WAITER", "/waiter", Cell::Plain),
    column("HOLDER", "/holder", Cell::Plain),
    column("KEY", "/key", Cell::Plain),
    column("WAITED MS", "/waited_ms", Cell::Plain),
];

const BROKEN: &[Column] = &[
    column("AT MS", "/at_ms", Cell::Plain),
    column("VICTIM", "/victim", Cell::Plain),
    column("CYCLE", "/cycle", Cell::Plain),
];

/// Commands that wait, and deadlocks that were broken, newest last; the detector's edges are those of
/// the waits, seen from elsewhere, and stand in the JSON alone.
pub(super) fn deadlocks(answer: &Value) -> Result<String, CliError> {
    let list = |name: &str| {
        let items = answer.get(name).and_then(Value::as_array);
        items.ok_or_else(|| CliError::BadAnswer(format!("`{name}` is missing")))
    };
    let recent: Vec<Value> = list("recent")?.iter().map(with_cycle).collect();
    Ok(format!(
        "waiting now: {}\n{}\nbroken deadlocks: {}\n{}",
        list("waits")?.len(),
        table(WAITS, list("waits")?),
        recent.len(),
        table(BROKEN, &recent)
    ))
}

/// The circle as `waiter -> holder (key)`, link by link.
fn with_cycle(record: &Value) -> Value {
    let links = record.get("cycle").and_then(Value::as_array);
    let links = links.into_iter().flatten().map(|link| {
        let part = |name| cell(link.get(name).unwrap_or(&Value::Null));
        format!("{}->{} ({})", part("waiter"), part("holder"), part("key"))
    });
    let mut shown = record.clone();
    shown["cycle"] = Value::String(links.collect::<Vec<_>>().join(", "));
    shown
}

/// The columns of a command that answers with a list.
pub(super) fn columns(command: &CtlCommand) -> Option<&'static [Column]> {
    match command {
        CtlCommand::Stores => Some(STORES),
        CtlCommand::Regions(_) => Some(REGIONS),
        CtlCommand::Actors { .. } => Some(ACTORS),
        CtlCommand::Restarts => Some(RESTARTS),
        CtlCommand::Traces { id: None, .. } => Some(TRACES),
        CtlCommand::Operators { id: None, .. } => Some(OPERATORS),
        CtlCommand::Locks(LocksArgs { command: None | Some(LocksCommand::List(_)), .. }) => {
            Some(LOCKS)
        }
        CtlCommand::Cluster
        | CtlCommand::Store(_)
        | CtlCommand::Region(_)
        | CtlCommand::Actor { .. }
        | CtlCommand::Traces { id: Some(_), .. }
        | CtlCommand::Operators { id: Some(_), .. }
        | CtlCommand::Locks(LocksArgs { command: Some(LocksCommand::Resolve { .. }), .. })
        | CtlCommand::Deadlocks
        | CtlCommand::Gc { .. }
        | CtlCommand::Config(_) => None,
    }
}
