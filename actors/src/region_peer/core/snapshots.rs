//! Snapshots: asked for when a replica is too far behind, sent as files, installed in order with
//! the entries around them.
//!
//! While a snapshot is being installed, what raft-rs wants to persist is held back: the log may start
//! behind the snapshot only once the data is there. A crash in between is mended at the next start,
//! which installs again and then lets the log begin at the applied index.
use super::{Output, RegionCore};
use raft::SnapshotStatus;
use raft::eraftpb::{Message, SnapshotMetadata};
use std::path::PathBuf;
use troupe_types::error::UnknownReason;
use troupe_types::raft_message::SnapshotManifest;
use troupe_types::{LogIndex, Peer, PeerId, RegionError, Term};

/// A manifest and where its files lie.
type Files = (SnapshotManifest, PathBuf);

pub(super) struct Snapshots<W> {
    generating: bool,
    /// Made, not yet sent.
    made: Option<Files>,
    /// Received, not yet accepted by raft-rs.
    incoming: Option<Files>,
    /// An accepted snapshot is being installed; outputs that wait for it.
    pub(super) installing: Option<Vec<Output<W>>>,
    /// A snapshot was installed, and the log that starts behind it is not durable yet.
    installed: Option<LogIndex>,
}

impl<W> Default for Snapshots<W> {
    fn default() -> Self {
        Self { generating: false, made: None, incoming: None, installing: None, installed: None }
    }
}

impl<W> RegionCore<W> {
    /// Asks for a snapshot if a replica needs one and none is made or on its way.
    pub(super) fn ask_for_snapshot(&mut self, out: &mut Vec<Output<W>>) {
        if !self.node.store().take_wanted() || self.snapshots.generating {
            return;
        }
        if let Some((_, folder)) = self.snapshots.made.take() {
            // It is older than what is needed now.
            self.node.mut_store().withdraw_snapshot();
            out.push(Output::DiscardSnapshot(folder));
        }
        self.snapshots.generating = true;
        out.push(Output::GenerateSnapshot);
    }

    pub(super) fn on_snapshot_generated(&mut self, made: Option<Files>, out: &mut Vec<Output<W>>) {
        self.snapshots.generating = false;
        let Some((manifest, folder)) = made else { return };
        if !self.is_leader() {
            out.push(Output::DiscardSnapshot(folder));
            return;
        }
        self.node.mut_store().offer_snapshot(manifest.clone());
        self.snapshots.made = Some((manifest, folder));
    }

    pub(super) fn send_snapshot(&mut self, to: Peer, message: Message, out: &mut Vec<Output<W>>) {
        self.node.mut_store().withdraw_snapshot();
        match self.snapshots.made.take() {
            Some((manifest, folder)) => {
                out.push(Output::SendSnapshot { to, message, manifest, folder });
            }
            // Another replica took it a moment ago: this one asks again.
            None => self.node.report_snapshot(to.id.get(), SnapshotStatus::Failure),
        }
    }

    pub(super) fn on_snapshot_sent(&mut self, to: PeerId, ok: bool) {
        let status = if ok { SnapshotStatus::Finish } else { SnapshotStatus::Failure };
        self.node.report_snapshot(to.get(), status);
    }

    pub(super) fn on_snapshot_received(
        &mut self,
        from: Peer,
        message: Message,
        files: Files,
        out: &mut Vec<Output<W>>,
    ) {
        self.heard.insert(from.id, self.now);
        if self.region().peer(from.id).is_none() {
            self.strangers.insert(from.id, from);
        }
        if self.snapshots.installing.is_some() {
            out.push(Output::DiscardSnapshot(files.1));
            return;
        }
        if let Some((_, folder)) = self.snapshots.incoming.replace(files) {
            out.push(Output::DiscardSnapshot(folder));
        }
        let _ = self.node.step(message);
    }

    /// raft-rs has taken the snapshot. Answers where the log starts anew.
    pub(super) fn accept_snapshot(
        &mut self,
        metadata: &SnapshotMetadata,
        out: &mut Vec<Output<W>>,
    ) -> Option<(LogIndex, Term)> {
        let incoming = self.snapshots.incoming.take();
        let files = incoming.filter(|(manifest, _)| manifest.index.get() == metadata.index);
        let (manifest, folder) = files.expect("invariant: raft-rs accepts what was received");
        assert!(manifest.index >= self.applied, "a snapshot of what is applied already");
        let lost = self.proposals.on_snapshot(manifest.index);
        let error = RegionError::OutcomeUnknown { why: UnknownReason::Snapshot };
        out.extend(lost.into_iter().map(|w| Output::Reply(w, Err(error.clone()))));
        self.node.mut_store().reset_to(&manifest);
        let start = (manifest.index, manifest.term);
        self.snapshots.installing = Some(Vec::new());
        out.push(Output::InstallSnapshot { manifest, folder });
        Some(start)
    }

    /// A received snapshot that raft-rs did not want.
    pub(super) fn drop_refused_snapshot(&mut self, out: &mut Vec<Output<W>>) {
        if let Some((_, folder)) = self.snapshots.incoming.take() {
            out.push(Output::DiscardSnapshot(folder));
        }
    }

    pub(super) fn on_snapshot_installed(
        &mut self,
        index: LogIndex,
        term: Term,
        out: &mut Vec<Output<W>>,
    ) {
        let held = self.snapshots.installing.take();
        out.extend(held.expect("invariant: one snapshot is installed at a time"));
        self.applied = index;
        self.applied_term = term;
        self.snapshots.installed = Some(index);
        self.permit_reads(out);
        self.strangers.clear();
    }

    /// raft-rs counts as applied only what it knows to be durable, a snapshot too.
    pub(super) fn on_log_durable(&mut self) {
        let durable = self.node.raft.raft_log.persisted;
        if let Some(index) = self.snapshots.installed.take_if(|index| index.get() <= durable) {
            self.node.advance_apply_to(index.get());
        }
    }
}
