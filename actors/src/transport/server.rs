//! The gRPC server of a node.
use super::counters::NetCounters;
use super::options::ServerOptions;
use super::runtime::{Identity, NetRuntime};
use super::service::NodeService;
use super::wire::MAX_MESSAGE_BYTES;
use super::wire::proto::node_server::NodeServer;
use crate::env::Env;
use crate::node::{LocalPd, RaftInbox, RegionService};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use tokio::sync::{Semaphore, watch};
use tokio_stream::wrappers::TcpListenerStream;

/// What the server hands requests to.
pub struct ServerParts {
    /// The environment.
    pub env: Env,
    /// Who this node is. Until that is known, everything is refused but questions to PD that need no
    /// cluster (`Join`).
    pub identity: Identity,
    /// Takes Raft messages and snapshots.
    pub inbox: Arc<dyn RaftInbox>,
    /// Serves forwarded requests.
    pub regions: Arc<dyn RegionService>,
    /// Answers for PD, if it leads here.
    pub pd: Arc<dyn LocalPd>,
    /// Figures; the client side's may be shared.
    pub counters: Arc<NetCounters>,
    /// Limits.
    pub options: ServerOptions,
}

/// How far the end of a server has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    /// All is served.
    Serving,
    /// Nothing new is taken; what is under way is answered. The streams between nodes end here, since
    /// they never end by themselves.
    Draining,
    /// Everything ends at once.
    Ended,
}

/// Completes when `phase` has come.
pub(super) async fn reached(mut phases: watch::Receiver<Phase>, phase: Phase) {
    // An error means that the handle is gone, and with it the server.
    let _ = phases.wait_for(|now| *now >= phase).await;
}

/// A running server. Dropping it stops it at once.
pub struct ServerHandle {
    /// Where it listens.
    pub address: SocketAddr,
    phase: watch::Sender<Phase>,
    task: tokio::task::JoinHandle<Result<(), tonic::transport::Error>>,
}

impl ServerHandle {
    /// Takes no new connection and no new request; completes when what was under way is answered, or
    /// after `patience`, which ends the rest.
    pub async fn stop(mut self, env: &Env, patience: std::time::Duration) {
        self.phase.send_replace(Phase::Draining);
        tokio::select! {
            _ = &mut self.task => {}
            () = env.spawner.sleep(patience) => {}
        }
    }
}

impl Drop for ServerHandle {
    fn drop(&mut self) {
        // The connections are tasks of their own: they end because their streams do.
        self.phase.send_replace(Phase::Ended);
        self.task.abort();
    }
}

/// Serves `listener` on the network's runtime.
///
/// # Errors
/// The listener cannot be used.
pub fn serve(
    runtime: &NetRuntime,
    listener: TcpListener,
    parts: ServerParts,
) -> std::io::Result<ServerHandle> {
    let address = listener.local_addr()?;
    listener.set_nonblocking(true)?;
    let handle = runtime.handle();
    let listener = {
        let _inside = handle.enter();
        tokio::net::TcpListener::from_std(listener)?
    };
    let options = parts.options.clone();
    let (phase, phases) = watch::channel(Phase::Serving);
    let draining = reached(phases.clone(), Phase::Draining);
    let slots = Arc::new(Semaphore::new(options.snapshots_in_flight));
    let service = NodeServer::new(NodeService { parts: Arc::new(parts), slots, phases })
        .max_decoding_message_size(MAX_MESSAGE_BYTES)
        .max_encoding_message_size(MAX_MESSAGE_BYTES);
    let transport = options.transport;
    let server = tonic::transport::Server::builder()
        .tcp_nodelay(true)
        .max_concurrent_streams(options.concurrent_streams)
        .http2_max_header_list_size(options.header_list_bytes)
        .initial_stream_window_size(transport.window_bytes)
        .initial_connection_window_size(transport.window_bytes.saturating_mul(2))
        .http2_keepalive_interval(Some(transport.keepalive))
        .http2_keepalive_timeout(Some(transport.keepalive))
        .add_service(service);
    let incoming = futures::StreamExt::map(TcpListenerStream::new(listener), |accepted| {
        accepted.and_then(|socket| socket.set_nodelay(true).map(|()| socket))
    });
    let task = handle.spawn(server.serve_with_incoming_shutdown(incoming, draining));
    Ok(ServerHandle { address, phase, task })
}
