//! The mutations of a commit, their primary, and how they are committed.
use troupe_types::txn::session::CommitProtocol;
use troupe_types::txn::{Mutation, MutationOp};
use troupe_types::{Key, Timestamp};

/// Most keys of an asynchronous commit: the primary lock names all others.
pub const ASYNC_KEYS: usize = 256;
/// Most bytes of keys of an asynchronous commit.
pub const ASYNC_KEY_BYTES: usize = 4 << 10;
/// Shortest time that a lock lives without a heartbeat.
pub const SHORTEST_TTL_MS: u64 = 3_000;
/// Longest.
pub const LONGEST_TTL_MS: u64 = 20_000;
/// Most bytes of one prewrite: far below what a Raft entry may hold.
const BATCH_BYTES: usize = 1 << 20;
/// Most keys of one command.
pub const BATCH_KEYS: usize = 1024;

/// What a commit does.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The key that decides.
    pub primary: Key,
    /// In key order.
    pub mutations: Vec<Mutation>,
    /// Bytes of keys and values.
    pub bytes: usize,
}

/// How it may be committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Protocol {
    /// In one phase, if one command holds everything.
    pub one_phase: bool,
    /// Asynchronously.
    pub asynchronous: bool,
}

impl Protocol {
    /// In two phases.
    pub const TWO_PHASE: Self = Self { one_phase: false, asynchronous: false };
}

/// Does the mutation leave a lock?
#[must_use]
pub fn leaves_lock(mutation: &Mutation) -> bool {
    match mutation.op {
        MutationOp::Put { .. }
        | MutationOp::Insert { .. }
        | MutationOp::Delete
        | MutationOp::Lock => true,
        MutationOp::CheckNotExists => false,
    }
}

impl Plan {
    /// A plan for `mutations` (in key order), with `primary` if it is settled already. `None` if
    /// nothing leaves a lock: there is nothing to commit.
    #[must_use]
    pub fn new(mutations: Vec<Mutation>, primary: Option<Key>) -> Option<Self> {
        let changes = |mutation: &&Mutation| match mutation.op {
            MutationOp::Put { .. } | MutationOp::Insert { .. } | MutationOp::Delete => true,
            MutationOp::Lock | MutationOp::CheckNotExists => false,
        };
        let chosen = mutations.iter().find(changes).or_else(|| {
            // A primary must leave a lock, or there is nothing that decides.
            mutations.iter().find(|mutation| leaves_lock(mutation))
        });
        let primary = primary.or_else(|| chosen.map(|mutation| mutation.key.clone()))?;
        assert!(
            mutations.iter().any(|mutation| mutation.key == primary && leaves_lock(mutation)),
            "the primary is one of the keys that are locked"
        );
        let bytes = mutations.iter().map(|m| m.key.len() + m.value_bytes()).sum();
        Some(Self { primary, mutations, bytes })
    }

    /// Keys that hold locks after the prewrite.
    #[must_use]
    pub fn locked_keys(&self) -> Vec<Key> {
        self.mutations.iter().filter(|m| leaves_lock(m)).map(|m| m.key.clone()).collect()
    }

    /// All locked keys but the primary.
    #[must_use]
    pub fn secondaries(&self) -> Vec<Key> {
        let mut keys = self.locked_keys();
        keys.retain(|key| *key != self.primary);
        keys
    }

    /// How it may be committed, when its mutations need `batches` commands.
    ///
    /// A mere check leaves no lock, so an asynchronous commit could not show that it failed.
    #[must_use]
    pub fn protocol(&self, wanted: CommitProtocol, batches: usize) -> Protocol {
        let key_bytes: usize = self.mutations.iter().map(|mutation| mutation.key.len()).sum();
        let is_small = self.mutations.len() <= ASYNC_KEYS && key_bytes <= ASYNC_KEY_BYTES;
        let asynchronous = is_small && self.mutations.iter().all(leaves_lock);
        match wanted {
            CommitProtocol::Auto => Protocol { one_phase: batches == 1, asynchronous },
            CommitProtocol::Async => Protocol { one_phase: false, asynchronous },
            CommitProtocol::TwoPhase => Protocol::TWO_PHASE,
        }
    }

    /// How long its locks live without a heartbeat, from its prewrite on: six seconds times the
    /// square root of its size in MiB, within bounds.
    #[must_use]
    pub fn ttl_ms(&self) -> u64 {
        ttl_ms(self.bytes)
    }
}

/// See [`Plan::ttl_ms`].
#[must_use]
pub fn ttl_ms(bytes: usize) -> u64 {
    const MS_FOR_ONE_MIB: u128 = 6_000;
    let square = MS_FOR_ONE_MIB * MS_FOR_ONE_MIB * bytes as u128 / (1 << 20);
    u64::try_from(square.isqrt()).unwrap_or(u64::MAX).clamp(SHORTEST_TTL_MS, LONGEST_TTL_MS)
}

/// Cuts mutations of one Region into commands of bounded size.
#[must_use]
pub fn cut(mutations: Vec<Mutation>) -> Vec<Vec<Mutation>> {
    let mut batches: Vec<Vec<Mutation>> = Vec::new();
    let mut bytes = 0;
    for mutation in mutations {
        let size = mutation.key.len() + mutation.value_bytes();
        match batches.last_mut() {
            Some(batch) if bytes + size <= BATCH_BYTES && batch.len() < BATCH_KEYS => {
                batch.push(mutation);
                bytes += size;
            }
            Some(_) | None => {
                batches.push(vec![mutation]);
                bytes = size;
            }
        }
    }
    batches
}

/// How long one that began at `mine` waits for the locks of one that began at `other`, in
/// milliseconds, if it holds locks itself.
///
/// Two transactions that hold what the other one wants would both wait in vain. So the younger gives
/// way soon, and the older finds the keys free.
#[must_use]
pub fn patience_ms(mine: Timestamp, other: Timestamp, wanted_ms: u64, holds_locks: bool) -> u64 {
    const YOUNGER_WAITS_MS: u64 = 60;
    if holds_locks && mine > other { wanted_ms.min(YOUNGER_WAITS_MS) } else { wanted_ms }
}
