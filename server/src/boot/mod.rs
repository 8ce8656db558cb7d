//! Starts and runs a node in this process.
//!
//! ```text
//! disks ─► who am I? (disk, join, or a new cluster) ─► network ─► Stores ─► PD ─► gRPC ─► HTTP
//! ```
//! Stopped in reverse: HTTP takes nothing new, leaders move away, actors end.
//!
//! | file | subject |
//! |---|---|
//! | [`node`] | the parts in order |
//! | `disks.rs` | data directories |
//! | `identity.rs` | founding and joining a cluster |
//! | `late.rs` | parts that need each other |
//! | `health.rs` | readiness and figures |
//! | `options.rs` | the configuration for each part |
mod disks;
mod health;
mod identity;
mod late;
pub mod node;
mod options;

pub use node::{Listeners, Node};

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use troupe_actors::env::Env;
use troupe_actors::real_env::real_env;
use troupe_config::Config;
use troupe_storage::{StorageError, failure};

/// Time for a graceful stop.
pub const STOP_PATIENCE: Duration = Duration::from_secs(10);

/// Why a node does not start.
#[derive(Debug, thiserror::Error)]
pub enum BootError {
    /// A data directory cannot be used.
    #[error("cannot use {}: {source}", folder.display())]
    Folder {
        /// Which.
        folder: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The engine or the log does not open.
    #[error("the disks cannot be opened: {0}; is another troupe process using the directory?")]
    Storage(#[from] StorageError),
    /// An address cannot be listened on.
    #[error("cannot listen on {address}: {source}; choose another with --http or --grpc")]
    Listen {
        /// Which.
        address: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The network does not start.
    #[error("the network does not start: {0}")]
    Network(#[source] std::io::Error),
    /// Some directories belong to a cluster, some are new.
    #[error(
        "a new data directory was given to a node that has a cluster already: start a further node with it"
    )]
    NewDirectoryOfOldNode,
    /// Directories of different nodes.
    #[error("the data directories belong to different nodes")]
    MixedDirectories,
    /// The file with the identity of a directory is damaged.
    #[error("{} does not hold a number: remove the data directory of this node that never joined", path.display())]
    BadIdentity {
        /// Which file.
        path: PathBuf,
    },
    /// The cluster refuses the node.
    #[error("the cluster refuses this node: {code}: {detail}")]
    JoinRefused {
        /// Stable code.
        code: &'static str,
        /// For people.
        detail: String,
    },
    /// No node of the cluster answers.
    #[error(
        "no way into the cluster by {addresses}: {last}; are these HTTP addresses of running nodes?"
    )]
    JoinFailed {
        /// Addresses tried.
        addresses: String,
        /// Last failure.
        last: String,
    },
    /// The node died of its disks again and again.
    #[error("this node died three times within ten minutes: look at {}, mend the cause, then remove that file", mark.display())]
    DiesAgainAndAgain {
        /// The file with the reasons.
        mark: PathBuf,
    },
}

/// Runs a node until it is told to stop. `config` is valid and logs are set up.
#[must_use]
pub fn run(config: Config) -> ExitCode {
    failure::install_panic_hook(|_| {});
    let env = environment(&config);
    let result = actix_rt::System::new().block_on(async move {
        let listeners = listen(&config)?;
        let http = config.node.reachable_http().to_owned();
        let marks = config.node.data.first().cloned();
        let node = Node::start(env, Arc::new(config), listeners).await?;
        tracing::info!(url = %format!("http://{http}"), "listening");
        let forget = clear_marks_when_healthy(marks, node.env.clone());
        actix_rt::spawn(forget);
        until_told_to_stop().await;
        tracing::info!("stopping: leaders move away (once more to force)");
        tokio::select! {
            () = node.stop(STOP_PATIENCE) => {}
            () = until_told_to_stop() => tracing::warn!("forced"),
        }
        Ok::<(), BootError>(())
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("troupe: {error}");
            match error {
                BootError::Folder { .. } | BootError::Storage(_) => ExitCode::from(74),
                BootError::Network(_)
                | BootError::Listen { .. }
                | BootError::NewDirectoryOfOldNode
                | BootError::MixedDirectories
                | BootError::BadIdentity { .. }
                | BootError::JoinRefused { .. }
                | BootError::JoinFailed { .. }
                | BootError::DiesAgainAndAgain { .. } => ExitCode::FAILURE,
            }
        }
    }
}

/// A node that has run for as long as fatal ends count has left them behind.
async fn clear_marks_when_healthy(folder: Option<PathBuf>, env: Env) {
    env.spawner.sleep(Duration::from_millis(failure::WINDOW_MS)).await;
    if let Some(folder) = folder
        && let Err(error) = failure::clear_marks(&folder)
    {
        tracing::warn!(%error, "the mark of earlier failures stays");
    }
}

/// The environment of one node of this process.
#[must_use]
pub fn environment(config: &Config) -> Env {
    real_env(options::cells(config), config.actors.trace_spans)
}

/// Binds both addresses of `config`.
///
/// # Errors
/// An address is taken or does not exist.
pub fn listen(config: &Config) -> Result<Listeners, BootError> {
    let bind = |address: &str| {
        TcpListener::bind(address)
            .map_err(|source| BootError::Listen { address: address.to_owned(), source })
    };
    Ok(Listeners { http: bind(&config.node.http_address)?, grpc: bind(&config.node.grpc_address)? })
}

/// Completes at the first SIGTERM or SIGINT.
pub(crate) async fn until_told_to_stop() {
    use tokio::signal::unix::{SignalKind, signal};
    let terminate = signal(SignalKind::terminate());
    let interrupt = signal(SignalKind::interrupt());
    match (terminate, interrupt) {
        (Ok(mut terminate), Ok(mut interrupt)) => {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        }
        (Err(error), _) | (_, Err(error)) => {
            tracing::error!(%error, "signals cannot be received; stop the process by kill -9");
            std::future::pending::<()>().await;
        }
    }
}
