//! `troupe ctl`: look at a cluster and change it.
use super::kv::RangeArgs;
use clap::{Args, Subcommand};
use std::path::PathBuf;
use std::time::Duration;

/// Look at a cluster and change it.
#[derive(Debug, Args)]
pub struct CtlArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: CtlCommand,
}

/// What to look at or change.
#[derive(Debug, Subcommand)]
pub enum CtlCommand {
    /// The cluster: its nodes and who leads the Placement Driver
    Cluster,
    /// All Stores
    Stores,
    /// One Store: show, drain or remove it
    #[command(subcommand)]
    Store(StoreCommand),
    /// Regions in the order of their keys
    Regions(RegionsArgs),
    /// One Region: show it, or change where its replicas are
    #[command(subcommand)]
    Region(RegionCommand),
    /// Actors of the node that is asked
    Actors {
        /// Only this kind, such as region_peer
        #[arg(long)]
        kind: Option<String>,
        /// Only this state: starting, running, backing_off, quarantined or stopped
        #[arg(long)]
        state: Option<String>,
        /// Largest first: depth, restarts, handled or max_wait
        #[arg(long)]
        sort: Option<String>,
        /// Actors at most
        #[arg(long)]
        limit: Option<u64>,
    },
    /// One actor with its flight recording
    Actor {
        /// Its id
        id: String,
    },
    /// Crashes of actors on the node that is asked, and what became of them
    Restarts,
    /// Message traces: the latest, or one by its id
    Traces {
        /// Id of a trace
        id: Option<String>,
        /// Print a Mermaid sequence diagram
        #[arg(long, requires = "id")]
        mermaid: bool,
    },
    /// Changes of Regions: running and recent ones, or one by its id
    Operators {
        /// Id of an operator
        id: Option<u64>,
        /// Only of this Region
        #[arg(long, conflicts_with = "id")]
        region: Option<u64>,
    },
    /// Locks of transactions: list them, or resolve those of ended ones
    Locks(LocksArgs),
    /// Who waits for whom, and deadlocks that were broken
    Deadlocks,
    /// Old versions of keys: from when on they are kept
    Gc {
        /// What to do [default: status]
        #[command(subcommand)]
        command: Option<GcCommand>,
    },
    /// Configuration files
    #[command(subcommand)]
    Config(ConfigCommand),
}

/// Locks of transactions.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct LocksArgs {
    /// Which to list.
    #[command(flatten)]
    pub list: LockListArgs,
    /// What to do [default: list]
    #[command(subcommand)]
    pub command: Option<LocksCommand>,
}

/// What to do with locks.
#[derive(Debug, Subcommand)]
pub enum LocksCommand {
    /// List them in the order of their keys
    List(LockListArgs),
    /// Commit or roll back what transactions that ended or expired have left
    Resolve {
        /// Which.
        #[command(flatten)]
        range: KeyRangeArgs,
    },
}

/// Which locks to list.
#[derive(Clone, Debug, Default, Args)]
pub struct LockListArgs {
    /// Of which keys.
    #[command(flatten)]
    pub range: KeyRangeArgs,
    /// Locks at most
    #[arg(long)]
    pub limit: Option<u64>,
    /// Go on where an earlier list stopped
    #[arg(long)]
    pub cursor: Option<String>,
}

/// Locks of a part of the transactional space; without any of these: of all of it.
#[derive(Clone, Debug, Default, Args)]
pub struct KeyRangeArgs {
    /// Of which keys.
    #[command(flatten)]
    pub keys: RangeArgs,
    /// These keys are hexadecimal digits
    #[arg(long)]
    pub hex: bool,
    /// Of transactions that began by then: a timestamp, an RFC 3339 time, or so long ago such as -5s
    #[arg(long, value_name = "WHEN", allow_hyphen_values = true)]
    pub began_by: Option<String>,
}

/// Old versions of keys.
#[derive(Debug, Subcommand)]
pub enum GcCommand {
    /// Safe points and barriers
    Status,
    /// Let versions that a newer one hides at a moment be collected, unless a barrier keeps them
    Advance {
        /// A timestamp, an RFC 3339 time, or so long ago such as -10m
        #[arg(value_name = "WHEN", allow_hyphen_values = true)]
        safe_point: String,
    },
    /// Barriers: what services need kept
    #[command(subcommand)]
    Barrier(BarrierCommand),
}

/// Barriers.
#[derive(Debug, Subcommand)]
pub enum BarrierCommand {
    /// Keep versions from a moment on
    Set {
        /// Name of the service; one barrier each
        service: String,
        /// From when on: a timestamp, an RFC 3339 time, or so long ago such as -10m
        #[arg(long, value_name = "WHEN", allow_hyphen_values = true)]
        at: String,
        /// For so long, such as 1h; without it: until the barrier is removed
        #[arg(long, value_name = "TIME")]
        ttl: Option<String>,
    },
    /// Keep versions no longer
    Remove {
        /// Name of the service
        service: String,
    },
}

/// One Store.
#[derive(Debug, Subcommand)]
pub enum StoreCommand {
    /// Show it
    Show {
        /// Id of the Store
        id: u64,
    },
    /// Move its replicas away and give it no new ones
    Drain {
        /// Id of the Store
        id: u64,
    },
    /// Strike a drained, empty Store off the cluster
    Remove {
        /// Id of the Store
        id: u64,
    },
}

/// Which Regions to list.
#[derive(Debug, Args)]
pub struct RegionsArgs {
    /// Only those with a replica on this Store
    #[arg(long)]
    pub store: Option<u64>,
    /// Only the one that holds this key
    #[arg(long)]
    pub key: Option<String>,
    /// Regions at most
    #[arg(long)]
    pub limit: Option<u64>,
    /// Go on where an earlier list stopped
    #[arg(long)]
    pub cursor: Option<String>,
}

/// A Region, and how long to wait for the change.
#[derive(Debug, Args)]
pub struct RegionTarget {
    /// Id of the Region
    pub id: u64,
    /// Wait so long for the change to be done; without it, say that it began
    #[arg(long, value_parser = humantime::parse_duration)]
    pub wait: Option<Duration>,
}

/// One Region.
#[derive(Debug, Subcommand)]
pub enum RegionCommand {
    /// Show it with the state of each replica
    Show {
        /// Id of the Region
        id: u64,
    },
    /// Add a replica on a Store
    AddPeer {
        /// Which Region.
        #[command(flatten)]
        target: RegionTarget,
        /// Store that gets a replica
        #[arg(long)]
        store: u64,
    },
    /// Remove the replica from a Store
    RemovePeer {
        /// Which Region.
        #[command(flatten)]
        target: RegionTarget,
        /// Store that loses its replica
        #[arg(long)]
        store: u64,
    },
    /// Move a replica from one Store to another
    MovePeer {
        /// Which Region.
        #[command(flatten)]
        target: RegionTarget,
        /// Store that loses its replica
        #[arg(long)]
        from: u64,
        /// Store that gets one
        #[arg(long)]
        to: u64,
    },
    /// Let the replica on a Store lead
    TransferLeader {
        /// Which Region.
        #[command(flatten)]
        target: RegionTarget,
        /// Store whose replica shall lead
        #[arg(long)]
        store: u64,
    },
    /// Start a quarantined replica again
    Release {
        /// Id of the Region
        id: u64,
        /// Store of the replica
        #[arg(long)]
        store: u64,
    },
}

/// Configuration files; no server is asked.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Check a file together with the environment
    Check {
        /// The file
        file: PathBuf,
    },
    /// Print the value in effect of each key, and where it came from
    Explain {
        /// Only keys that begin with this, such as raft or raft.tick
        key: Option<String>,
        /// The file
        #[arg(long, env = "TROUPE_CONFIG")]
        config: Option<PathBuf>,
    },
}
