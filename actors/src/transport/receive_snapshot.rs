//! Takes one snapshot in: files into a folder of the Store, verified and durable before the replica
//! hears of it.
use super::port::OutgoingSnapshot;
use super::server::ServerParts;
use super::wire::{self, proto};
use crate::snapshot::core::RECEIVED;
use crate::snapshot::folders::Folder;
use std::path::Path;
use tokio::io::AsyncWriteExt;
use tokio::sync::Semaphore;
use tonic::{Status, Streaming};
use troupe_types::StoreId;
use troupe_types::codec;
use troupe_types::raft_message::{RaftEnvelope, SnapshotFile, SnapshotManifest};

/// Most files of a snapshot: far more than column families times any sensible split of one.
const MAX_FILES: usize = 1024;

struct Incoming {
    to: StoreId,
    envelope: RaftEnvelope,
    manifest: SnapshotManifest,
}

/// Receives one snapshot; `Ok` once its replica was told.
pub(super) async fn receive(
    parts: &ServerParts,
    slots: &Semaphore,
    mut chunks: Streaming<proto::SnapshotChunk>,
) -> Result<(), Status> {
    let stall = parts.options.transport.snapshot_stall;
    let first = next(&mut chunks, stall).await?;
    let head = first.and_then(|chunk| chunk.head);
    let head = head.ok_or_else(|| Status::invalid_argument("the first chunk has no head"))?;
    let incoming = check(parts, head)?;
    let Ok(_slot) = slots.try_acquire() else {
        return Err(Status::resource_exhausted("too many snapshots come in; try again later"));
    };
    let Some(parent) = parts.inbox.snapshot_folder(incoming.to) else {
        return Err(Status::not_found("the store takes no snapshots now"));
    };
    let Incoming { to, envelope, manifest } = incoming;
    // Removed again unless everything below succeeds.
    let folder = Folder::create(&parent, RECEIVED, manifest.region.id, manifest.index);
    let folder = folder.map_err(|e| disk("create the folder", &e))?;
    for (number, meta) in manifest.files.iter().enumerate() {
        write_file(folder.path(), number, meta, &mut chunks, stall).await?;
    }
    if next(&mut chunks, stall).await?.is_some() {
        return Err(Status::invalid_argument("more data than the manifest names"));
    }
    sync_folder(folder.path()).await?;
    sync_folder(&parent).await?;
    let folder = folder.keep();
    parts.inbox.deliver_snapshot(to, OutgoingSnapshot { envelope, manifest, folder });
    Ok(())
}

fn check(parts: &ServerParts, head: proto::SnapshotHead) -> Result<Incoming, Status> {
    let to = StoreId(head.to_store);
    if !parts.identity.is_ours(head.cluster) {
        super::counters::count(&parts.counters.wrong_cluster);
        return Err(Status::failed_precondition("this node belongs to another cluster"));
    }
    let envelope = head.envelope.ok_or_else(|| Status::invalid_argument("no envelope"))?;
    let undecodable =
        |error| Status::invalid_argument(format!("the head does not decode: {error}"));
    let envelope = wire::unpack(envelope).map_err(undecodable)?;
    let manifest: SnapshotManifest = codec::decode(&head.manifest).map_err(undecodable)?;
    if !parts.regions.has_store(to) || envelope.to.store != to {
        super::counters::count(&parts.counters.wrong_store);
        return Err(Status::failed_precondition("the store is not on this node"));
    }
    if envelope.cluster != parts.identity.cluster() || envelope.region != manifest.region.id {
        return Err(Status::invalid_argument("envelope and manifest do not belong together"));
    }
    if manifest.files.len() > MAX_FILES {
        return Err(Status::invalid_argument("too many files"));
    }
    Ok(Incoming { to, envelope, manifest })
}

async fn write_file(
    folder: &Path,
    number: usize,
    meta: &SnapshotFile,
    chunks: &mut Streaming<proto::SnapshotChunk>,
    stall: std::time::Duration,
) -> Result<(), Status> {
    let path = folder.join(number.to_string());
    let created = tokio::fs::File::create_new(&path).await;
    let mut file = created.map_err(|e| disk("create a file", &e))?;
    let (mut bytes, mut crc) = (0_u64, 0_u32);
    while bytes < meta.bytes {
        let chunk = next(chunks, stall).await?;
        let chunk = chunk.ok_or_else(|| Status::data_loss("the stream ended within a file"))?;
        if u32::try_from(number) != Ok(chunk.file) || chunk.data.is_empty() {
            return Err(Status::data_loss("a chunk is out of order"));
        }
        bytes += chunk.data.len() as u64;
        if bytes > meta.bytes {
            return Err(Status::data_loss("a file is longer than its manifest says"));
        }
        crc = crc32c::crc32c_append(crc, &chunk.data);
        file.write_all(&chunk.data).await.map_err(|e| disk("write a file", &e))?;
    }
    if crc != meta.crc32c {
        return Err(Status::data_loss(format!(
            "checksum of file {number} is {crc:08x}, its manifest says {:08x}",
            meta.crc32c
        )));
    }
    file.flush().await.map_err(|e| disk("write a file", &e))?;
    file.sync_all().await.map_err(|e| disk("sync a file", &e))
}

async fn next(
    chunks: &mut Streaming<proto::SnapshotChunk>,
    stall: std::time::Duration,
) -> Result<Option<proto::SnapshotChunk>, Status> {
    let waited = tokio::time::timeout(stall, chunks.message()).await;
    waited.map_err(|_| Status::deadline_exceeded("the sender stalled"))?
}

async fn sync_folder(path: &Path) -> Result<(), Status> {
    let opened = tokio::fs::File::open(path).await.map_err(|e| disk("open the folder", &e))?;
    opened.sync_all().await.map_err(|e| disk("sync the folder", &e))
}

fn disk(what: &str, error: &std::io::Error) -> Status {
    Status::internal(format!("cannot {what}: {error}"))
}
