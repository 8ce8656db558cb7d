//! Which columns people see of each list.
use crate::cli::CtlCommand;
use crate::output::{Cell, Column, column};

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

/// The columns of a command that answers with a list.
pub(super) fn columns(command: &CtlCommand) -> Option<&'static [Column]> {
    match command {
        CtlCommand::Stores => Some(STORES),
        CtlCommand::Regions(_) => Some(REGIONS),
        CtlCommand::Actors { .. } => Some(ACTORS),
        CtlCommand::Restarts => Some(RESTARTS),
        CtlCommand::Traces { id: None, .. } => Some(TRACES),
        CtlCommand::Operators { id: None, .. } => Some(OPERATORS),
        CtlCommand::Cluster
        | CtlCommand::Store(_)
        | CtlCommand::Region(_)
        | CtlCommand::Actor { .. }
        | CtlCommand::Traces { id: Some(_), .. }
        | CtlCommand::Operators { id: Some(_), .. }
        | CtlCommand::Config(_) => None,
    }
}
