//! Bugs that other systems of this kind have had, as tests of this one. A file a bug, named by the
//! number that it has in `docs/known-bugs.md`; the head of each tells what happened there, what would go
//! wrong here, and what the test does.
#![allow(clippy::unwrap_used, reason = "these are tests: they may panic")]
mod cluster;
mod one_replica;
mod recording;
mod transactions;

mod b01_lease_and_pause;
mod b02_transfer_inside_the_lease;
mod b03_read_before_the_first_commit;
mod b04_reused_read_context;
mod b05_reads_that_share_an_index;
mod b10_raft_state_and_applied_state;
mod b11_entries_while_a_snapshot_is_applied;
mod b12_acknowledged_before_the_sync;
mod b13_applied_index_apart_from_the_data;
mod b14_written_after_a_failed_sync;
mod b16_late_prewrite;
mod b17_late_pessimistic_lock;
mod b18_another_primary;
mod b19_read_then_transfer;
mod b20_answers_lost;
mod b22_pessimistic_snapshots;
mod b24_member_changes;
mod b26_stuck_leader_and_clocks;
