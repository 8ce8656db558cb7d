//! `troupe txn`: transactions.
use clap::{Args, Subcommand};
use std::path::PathBuf;

/// Transactions over keys of space kv.
#[derive(Debug, Args)]
pub struct TxnArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: TxnCommand,
}

/// What to do with transactions.
#[derive(Debug, Subcommand)]
pub enum TxnCommand {
    /// Do a whole transaction in one request: {"if":[…],"then":[…],"else":[…]}
    ///
    /// Exit code 4 if the conditions do not hold and the steps of `else` were done instead.
    Run(TxnRunArgs),
    /// Begin an interactive transaction and print its id
    Begin(TxnBeginArgs),
    /// Do steps of an interactive transaction: {"ops":[…]}
    Ops(TxnOpsArgs),
    /// Commit an interactive transaction; may be repeated
    Commit {
        /// Its id
        id: String,
        /// Takes effect once, however often it is sent under this key
        #[arg(long, value_name = "KEY")]
        idempotency_key: Option<String>,
    },
    /// Roll an interactive transaction back; may be repeated
    Rollback {
        /// Its id
        id: String,
    },
    /// Tell how an interactive transaction stands
    Status {
        /// Its id
        id: String,
    },
    /// Keep an interactive transaction open: its idle time begins anew
    Keepalive {
        /// Its id
        id: String,
    },
    /// List open interactive transactions of the node that is asked
    List,
}

/// How a transaction runs; what is not said, the server decides.
#[derive(Clone, Debug, Default, Args)]
pub struct TxnSettingsArgs {
    /// Check at the commit, or lock before reading [server's default: optimistic]
    #[arg(long, value_parser = ["optimistic", "pessimistic"])]
    pub mode: Option<String>,
    /// serializable: what was read is checked again at the commit [server's default: snapshot]
    #[arg(long, value_parser = ["snapshot", "serializable"])]
    pub isolation: Option<String>,
    /// How it commits [server's default: auto]
    #[arg(long, value_parser = ["auto", "async", "two_phase"])]
    pub commit: Option<String>,
    /// How long to wait for locks of others, such as 1s; 0s: not at all
    #[arg(long, value_name = "TIME")]
    pub lock_wait: Option<String>,
}

/// Do a whole transaction in one request.
#[derive(Debug, Args)]
pub struct TxnRunArgs {
    /// File with the body of POST /v1/txn; - for stdin
    pub file: PathBuf,
    /// How it runs.
    #[command(flatten)]
    pub settings: TxnSettingsArgs,
    /// Takes effect once, however often it is sent under this key
    #[arg(long, value_name = "KEY")]
    pub idempotency_key: Option<String>,
    /// How bytes are shown: auto, utf8, b64, hex or json
    #[arg(long)]
    pub enc: Option<String>,
}

/// Begin an interactive transaction.
#[derive(Debug, Args)]
pub struct TxnBeginArgs {
    /// How it runs.
    #[command(flatten)]
    pub settings: TxnSettingsArgs,
    /// It is rolled back after so long without a request, such as 30s
    #[arg(long, value_name = "TIME")]
    pub ttl: Option<String>,
}

/// Do steps of an interactive transaction.
#[derive(Debug, Args)]
pub struct TxnOpsArgs {
    /// Id of the transaction
    pub id: String,
    /// File with the body of POST /v1/txns/ID/ops; - for stdin
    pub file: PathBuf,
    /// How bytes are shown: auto, utf8, b64, hex or json
    #[arg(long)]
    pub enc: Option<String>,
}
