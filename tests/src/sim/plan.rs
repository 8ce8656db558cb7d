//! What a world is made from: how many nodes, Regions and replicas, and the limits of all actors.
use super::net::millis;
use std::time::Duration;
use troupe_actors::env::{CellOptions, Rng, Rngs};
use troupe_actors::gc::GcOptions;
use troupe_actors::real_env::SeededRngs;
use troupe_actors::region_peer::core::CoreOptions;
use troupe_actors::snapshot::SnapshotOptions;
use troupe_actors::store::StoreOptions;
use troupe_actors::store::collector::CollectOptions;
use troupe_actors::store::core::ChoreTimes;
use troupe_actors::supervision::Policy;

/// Time between two Raft ticks. All other times follow from it, as in the fast profile of a real node.
pub const TICK: Duration = Duration::from_millis(100);
/// Ticks without a leader before an election.
pub const ELECTION_TICKS: u64 = 10;
/// Length of a leader's lease.
pub const LEASE: Duration = Duration::from_millis(800);

/// How long a Store trusts what it heard of the safe point: a few of its heartbeats.
const TRUST: Duration = Duration::from_secs(4);

/// What all nodes of a world have in common.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Decides everything.
    pub seed: u64,
    /// Data Regions made at the start.
    pub regions: u32,
    /// Nodes at the start.
    pub nodes: u32,
    /// Replicas of each Region.
    pub replicas: u32,
    /// Log entries that are kept for slow replicas; fewer make more snapshots.
    pub log_keep_entries: u64,
    /// One job in so many meets a slow disk; 0 = none does.
    pub slow_job: u64,
    /// How often one replica may crash before it is quarantined.
    pub restarts: u32,
    /// Wait before the first restart.
    pub restart_after: Duration,
    /// Messages that may wait in one mailbox.
    pub mailbox_messages: usize,
    /// Messages handled in a row by one actor.
    pub yield_after_messages: u32,
    /// Commands that may share an entry.
    pub batch_commands: usize,
    /// Largest append message.
    pub max_message_bytes: u64,
    /// Append messages in flight to one replica.
    pub max_inflight_messages: usize,
    /// Writes in flight in one Region.
    pub proposals: usize,
    /// Bytes of entries kept in memory.
    pub log_cache_bytes: u64,
    /// Snapshots made, and sent, at the same time.
    pub snapshots_at_once: usize,
    /// How far clocks may be off in speed, in parts in a million either way.
    pub drift_ppm: u64,
    /// How long versions that a newer one hides stay.
    pub gc_life_time: Duration,
}

impl Plan {
    /// Three nodes and four data Regions; short logs, so that who was away needs a snapshot.
    #[must_use]
    pub fn of_seed(seed: u64) -> Self {
        Self {
            seed,
            regions: 4,
            nodes: 3,
            replicas: 3,
            log_keep_entries: 20,
            slow_job: 200,
            restarts: 3,
            restart_after: Policy::default().backoff_min,
            mailbox_messages: CellOptions::default().mailbox_messages,
            yield_after_messages: CellOptions::default().yield_after_messages,
            batch_commands: 8,
            max_message_bytes: 1 << 20,
            max_inflight_messages: 256,
            proposals: 1024,
            log_cache_bytes: 4 << 10,
            snapshots_at_once: 2,
            drift_ppm: DRIFT_PPM,
            gc_life_time: Duration::from_secs(5),
        }
    }

    /// Like [`Plan::of_seed`], with limits that the seed may make very small, in one seed of five on
    /// five nodes, and in half of the seeds with clocks that stand still now and then instead of
    /// running far apart. Replicas may crash as often as they like.
    #[must_use]
    pub fn wild(seed: u64) -> Self {
        let mut rng = SeededRngs::new(seed).rng("plan");
        let plain = Self::of_seed(seed);
        let rng = &mut *rng;
        Self {
            nodes: if rng.between(0, 5) == 0 { 5 } else { 3 },
            log_keep_entries: one_of(rng, &[20, 20, 5, 2, 1]),
            slow_job: one_of(rng, &[200, 200, 50, 0]),
            restarts: u32::MAX,
            restart_after: one_of(rng, &[plain.restart_after, millis(10), millis(1)]),
            mailbox_messages: one_of(rng, &[plain.mailbox_messages, 64, 8, 2]),
            yield_after_messages: one_of(rng, &[plain.yield_after_messages, 64, 4, 1]),
            batch_commands: one_of(rng, &[8, 8, 2, 1]),
            max_message_bytes: one_of(rng, &[1 << 20, 1 << 20, 512, 1]),
            max_inflight_messages: one_of(rng, &[256, 256, 2, 1]),
            proposals: one_of(rng, &[1024, 1024, 8, 2]),
            log_cache_bytes: one_of(rng, &[4 << 10, 64 << 10, 256, 1]),
            snapshots_at_once: one_of(rng, &[2, 2, 1]),
            drift_ppm: one_of(rng, &[DRIFT_PPM, DRIFT_BESIDE_FREEZES_PPM]),
            ..plain
        }
    }

    /// May clocks stand still for [`FREEZE_MS`]? Then they do not run far apart besides.
    #[must_use]
    pub fn has_freezes(&self) -> bool {
        self.drift_ppm == DRIFT_BESIDE_FREEZES_PPM
    }

    pub(super) fn cells(&self) -> CellOptions {
        CellOptions {
            mailbox_messages: self.mailbox_messages,
            yield_after_messages: self.yield_after_messages,
            recorder_inputs: 32,
            ..CellOptions::default()
        }
    }

    pub(super) fn snapshots(&self) -> SnapshotOptions {
        SnapshotOptions {
            generating: self.snapshots_at_once,
            sending: self.snapshots_at_once,
            waiting: self.mailbox_messages.min(1024),
            ..SnapshotOptions::default()
        }
    }

    pub(super) fn store_options(&self) -> StoreOptions {
        let core = CoreOptions {
            tick: TICK,
            heartbeat_ticks: 2,
            election_ticks: ELECTION_TICKS,
            lease: LEASE,
            max_entry_bytes: 8 << 20,
            max_message_bytes: self.max_message_bytes,
            max_inflight_messages: self.max_inflight_messages,
            max_uncommitted_bytes: 64 << 20,
            batch_commands: self.batch_commands,
            batch_bytes: 1 << 20,
            proposals: self.proposals,
            log_keep_entries: self.log_keep_entries,
            log_cache_bytes: self.log_cache_bytes,
            down_after: Duration::from_secs(30),
            report_every: Duration::from_secs(5),
        };
        let times = ChoreTimes {
            tick: TICK,
            heartbeat: Duration::from_secs(1),
            cut_logs: Duration::from_secs(2),
            purge_log: Duration::from_secs(10),
            check_health: Duration::from_secs(5),
            collect: millis(500),
        };
        StoreOptions {
            core,
            times,
            policy: Policy {
                restarts: self.restarts,
                backoff_min: self.restart_after,
                ..Policy::default()
            },
            storm_min: 20,
            storm_window: Duration::from_secs(60),
            orphan_after: TICK * 50,
            read_threads: 1,
            txn_threads: 1,
            trust: TRUST,
            collect: CollectOptions { rest: millis(100), again_after: Duration::from_secs(10) },
        }
    }

    pub(super) fn gc(&self) -> GcOptions {
        GcOptions {
            interval: Duration::from_secs(1),
            life_time: self.gc_life_time,
            trust: TRUST,
            sweep_steps: 2,
        }
    }
}

/// Clocks may differ by a tenth in speed; any two of these stay below that.
const DRIFT_PPM: u64 = 45_000;
/// What is left of that beside clocks that stand still.
const DRIFT_BESIDE_FREEZES_PPM: u64 = 15_000;
/// Shortest and longest time that a monotonic clock stands still: with the drift, and at most once in
/// a lease, it still loses less than a tenth of the time between two votes.
pub const FREEZE_MS: (u64, u64) = (5, 40);

fn one_of<T: Copy>(rng: &mut dyn Rng, choices: &[T]) -> T {
    choices[usize::try_from(rng.between(0, choices.len() as u64)).unwrap()]
}

/// The longest time that a job of a slow disk takes, and a node is held.
#[must_use]
pub(super) fn leases(rng: &mut dyn Rng, low: u64, high: u64) -> Duration {
    let lease = u64::try_from(LEASE.as_millis()).unwrap();
    millis(rng.between(low * lease, high * lease))
}
