//! Disk threads of a node that stand still while a test holds them, as in a sync that does not return.
use std::collections::BTreeSet;
use std::sync::Mutex;
use tokio::sync::Notify;

/// See the module. Holds nothing at first; outlives crashes of its node, and is told by name which
/// threads to hold: `log`, `apply`, `chores`, `read`, `snap`.
#[derive(Debug, Default)]
pub struct Holds {
    held: Mutex<BTreeSet<&'static str>>,
    released: Notify,
}

impl Holds {
    /// Jobs of the thread `name` begin no more.
    pub fn hold(&self, name: &'static str) {
        self.held.lock().unwrap().insert(name);
    }

    /// They go on.
    pub fn release(&self, name: &'static str) {
        self.held.lock().unwrap().remove(name);
        self.released.notify_waiters();
    }

    fn is_held(&self, worker: &str) -> bool {
        self.held.lock().unwrap().iter().any(|name| worker.ends_with(name))
    }

    /// Completes when the thread `worker` is not held.
    pub async fn pass(&self, worker: &str) {
        loop {
            // Listens before it looks: a release in between is heard.
            let released = self.released.notified();
            if !self.is_held(worker) {
                return;
            }
            released.await;
        }
    }
}
