//! The runtime of the network, and who this node is.
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use troupe_types::{ClusterId, NodeId};

/// Where all gRPC work of a node runs, both sides: on threads of its own, or beside the actors.
///
/// HTTP/2 framing costs more than any actor, so with cores to spare it has a thread: it then never
/// delays the actors of an arbiter. With few cores the wakes between the two threads cost more than
/// that, four of them on the way of each write, and both run on one. One own thread is enough, since
/// it carries whole batches.
#[derive(Clone)]
pub struct NetRuntime(Arc<Place>);

enum Place {
    Own(Option<tokio::runtime::Runtime>),
    Beside(tokio::runtime::Handle),
}

impl NetRuntime {
    /// Starts `threads` threads; 0: runs on the caller's arbiter, which must be of actix or tokio.
    ///
    /// # Errors
    /// The system refused a thread.
    pub fn start(threads: usize) -> std::io::Result<Self> {
        if threads == 0 {
            return Ok(Self(Arc::new(Place::Beside(tokio::runtime::Handle::current()))));
        }
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(threads)
            .max_blocking_threads(8)
            .thread_name("net")
            .enable_all()
            .build()?;
        Ok(Self(Arc::new(Place::Own(Some(runtime)))))
    }

    /// To spawn on it.
    #[must_use]
    pub fn handle(&self) -> tokio::runtime::Handle {
        match &*self.0 {
            Place::Own(runtime) => {
                runtime.as_ref().expect("invariant: the runtime goes only in drop").handle().clone()
            }
            Place::Beside(handle) => handle.clone(),
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // Dropping a runtime waits for its threads, which is a panic on another runtime's thread.
        if let Self::Own(runtime) = self
            && let Some(runtime) = runtime.take()
        {
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
