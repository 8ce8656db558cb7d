//! The runtime of the network, and who this node is.
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use troupe_types::{ClusterId, NodeId};

/// A tokio runtime with threads of its own for all gRPC work of a node, both sides.
///
/// Not the arbiters': tonic's server asks for futures that may move between threads, and HTTP/2
/// framing, which costs more than any actor, must not delay the actors of an arbiter. One or two
/// threads are enough, since each carries whole batches.
#[derive(Clone)]
pub struct NetRuntime(Arc<Owned>);

struct Owned(Option<tokio::runtime::Runtime>);

impl NetRuntime {
    /// Starts `threads` threads (at least 1).
    ///
    /// # Errors
    /// The system refused a thread.
    pub fn start(threads: usize) -> std::io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(threads.max(1))
            .max_blocking_threads(8)
            .thread_name("net")
            .enable_all()
            .build()?;
        Ok(Self(Arc::new(Owned(Some(runtime)))))
    }

    /// To spawn on it.
    #[must_use]
    pub fn handle(&self) -> tokio::runtime::Handle {
        self.0.0.as_ref().expect("invariant: the runtime goes only in drop").handle().clone()
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        // Dropping a runtime waits for its threads, which is a panic on another runtime's thread.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// Who this node is; known only once it has joined its cluster. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Identity(Arc<Ids>);

#[derive(Debug, Default)]
struct Ids {
    cluster: AtomicU64,
    node: AtomicU64,
}

impl Identity {
    /// Not yet known.
    #[must_use]
    pub fn unknown() -> Self {
        Self::default()
    }

    /// Known from the start.
    #[must_use]
    pub fn of(cluster: ClusterId, node: NodeId) -> Self {
        let identity = Self::default();
        identity.set(cluster, node);
        identity
    }

    /// Sets both, once joined.
    pub fn set(&self, cluster: ClusterId, node: NodeId) {
        self.0.node.store(node.get(), Ordering::Release);
        self.0.cluster.store(cluster.get(), Ordering::Release);
    }

    /// The cluster; 0 = not yet known.
    #[must_use]
    pub fn cluster(&self) -> ClusterId {
        ClusterId(self.0.cluster.load(Ordering::Acquire))
    }

    /// The node; 0 = not yet known.
    #[must_use]
    pub fn node(&self) -> NodeId {
        NodeId(self.0.node.load(Ordering::Acquire))
    }

    /// Does `cluster` name ours? Never while ours is not known.
    #[must_use]
    pub fn is_ours(&self, cluster: u64) -> bool {
        cluster != 0 && cluster == self.cluster().get()
    }
}
