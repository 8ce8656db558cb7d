//! The configuration, translated for each part of a node.
use std::time::Duration;
use troupe_actors::env::CellOptions;
use troupe_actors::gc::{GcOptions, SWEEP_ROWS};
use troupe_actors::region_peer::core::CoreOptions;
use troupe_actors::snapshot::SnapshotOptions;
use troupe_actors::store::StoreOptions;
use troupe_actors::store::collector::CollectOptions;
use troupe_actors::store::core::ChoreTimes;
use troupe_actors::supervision::Policy;
use troupe_actors::transport::{ServerOptions, TransportOptions};
use troupe_actors::txn_session::SessionOptions;
use troupe_config::Config;
use troupe_pd_actor::PdOptions;
use troupe_storage::engine::rocks::RocksOptions;
use troupe_storage::raft_log::engine::RaftLogOptions;

pub(super) fn cells(config: &Config) -> CellOptions {
    CellOptions {
        mailbox_messages: config.actors.mailbox_messages,
        mailbox_bytes: config.actors.mailbox_bytes.as_usize(),
        yield_after_messages: config.actors.yield_after_messages,
        recorder_inputs: config.actors.recorder_inputs,
    }
}

pub(super) fn sessions(config: &Config) -> SessionOptions {
    let limits = &config.limits;
    SessionOptions { open: limits.txn_open, bytes: limits.txn_session_bytes.as_usize() }
}

fn core(config: &Config) -> CoreOptions {
    let raft = &config.raft;
    CoreOptions {
        tick: raft.tick,
        heartbeat_ticks: raft.heartbeat_ticks.into(),
        election_ticks: raft.election_ticks.into(),
        lease: raft.lease,
        max_entry_bytes: raft.max_entry_bytes.bytes(),
        max_message_bytes: raft.max_message_bytes.bytes(),
        max_inflight_messages: raft.max_inflight_messages,
        max_uncommitted_bytes: raft.max_uncommitted_bytes.bytes(),
        batch_commands: raft.batch_commands,
        batch_bytes: raft.batch_bytes.as_usize(),
        proposals: raft.proposals_per_region,
        log_keep_entries: raft.log_keep_entries,
        log_cache_bytes: raft.log_cache_bytes.bytes(),
        down_after: config.pd.store_silent_after,
        report_every: config.pd.region_heartbeat,
    }
}

pub(super) fn store(config: &Config) -> StoreOptions {
    let election = config.raft.tick * config.raft.election_ticks;
    StoreOptions {
        core: core(config),
        times: ChoreTimes {
            tick: config.raft.tick,
            heartbeat: config.pd.store_heartbeat,
            cut_logs: config.storage.flush_interval,
            purge_log: config.storage.log_purge_interval,
            check_health: Duration::from_secs(1),
            collect: Duration::from_secs(1),
        },
        policy: Policy {
            restarts: config.actors.restarts,
            window: config.actors.restart_window,
            backoff_min: config.actors.backoff_min,
            backoff_max: config.actors.backoff_max,
        },
        storm_min: usize::try_from(config.actors.storm_min).unwrap_or(usize::MAX),
        storm_window: config.actors.storm_window,
        orphan_after: election * 5,
        read_threads: 2,
        txn_threads: 2,
        trust: config.gc.safe_point_trust,
        collect: CollectOptions {
            rest: Duration::from_secs(1),
            again_after: config.gc.compact_interval,
        },
    }
}

pub(super) fn gc(config: &Config) -> GcOptions {
    GcOptions {
        interval: config.gc.interval,
        life_time: config.gc.life_time,
        trust: config.gc.safe_point_trust,
        sweep_steps: config.gc.sweep_rows.div_ceil(SWEEP_ROWS),
    }
}

pub(super) fn snapshots(config: &Config) -> SnapshotOptions {
    SnapshotOptions {
        sending: config.snapshot.concurrent_send,
        keep_generated: config.snapshot.stale_after,
        keep_received: config.snapshot.stale_after,
        ..SnapshotOptions::default()
    }
}

pub(super) fn transport(config: &Config) -> TransportOptions {
    TransportOptions {
        snapshot_bytes_per_s: config.snapshot.rate_per_second.bytes(),
        snapshot_chunk_bytes: config.snapshot.chunk.as_usize(),
        ..TransportOptions::default()
    }
}

pub(super) fn server(config: &Config) -> ServerOptions {
    ServerOptions {
        snapshots_in_flight: config.snapshot.concurrent_receive,
        longest_call: config.limits.deadline_max,
        transport: transport(config),
        ..ServerOptions::default()
    }
}

pub(super) fn pd(config: &Config) -> PdOptions {
    PdOptions {
        tso_window: config.pd.tso_window,
        silent_after: config.pd.store_silent_after,
        operator_timeout: config.pd.operator_timeout,
        ..PdOptions::for_tick(config.raft.tick)
    }
}

pub(super) fn rocks(config: &Config) -> RocksOptions {
    RocksOptions {
        block_cache_bytes: config.storage.block_cache.bytes(),
        write_buffer_bytes: config.storage.write_buffer.bytes(),
        max_background_jobs: u16::try_from(config.storage.background_jobs).unwrap_or(u16::MAX),
        ..RocksOptions::default()
    }
}

pub(super) fn raft_log(config: &Config) -> RaftLogOptions {
    let file = config.storage.log_file.bytes();
    RaftLogOptions {
        target_file_bytes: file,
        prefill_bytes: file,
        purge_threshold_bytes: file * 16,
        ..RaftLogOptions::default()
    }
}
