//! Sends one snapshot: its head, then the bytes of its files, no faster than allowed.
use super::channels::Channels;
use super::counters::{NetCounters, add, count};
use super::link::actor::LinkParts;
use super::options::TransportOptions;
use super::port::{OutgoingSnapshot, TransportError};
use super::runtime::Identity;
use super::wire::{self, proto};
use crate::env::Env;
use crate::snapshot::limiter::TokenBucket;
use bytes::{Bytes, BytesMut};
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use troupe_types::StoreId;

/// No snapshot takes longer; a stalled one is given up much earlier.
pub(super) const LONGEST: Duration = Duration::from_secs(3600);
/// Chunks that may wait for the stream: bounds the memory of one snapshot.
const CHUNKS_AHEAD: usize = 4;

/// Sends the snapshots of a node. Cheap to clone.
#[derive(Clone)]
pub(super) struct SnapshotSender {
    env: Env,
    identity: Identity,
    options: TransportOptions,
    counters: Arc<NetCounters>,
    channels: Arc<Channels>,
    /// Shared by all snapshots in flight.
    bucket: Arc<Mutex<TokenBucket>>,
}

impl SnapshotSender {
    pub(super) fn new(parts: &LinkParts, channels: Arc<Channels>) -> Self {
        let bucket = TokenBucket::new(parts.options.snapshot_bytes_per_s, parts.env.now());
        Self {
            env: parts.env.clone(),
            identity: parts.identity.clone(),
            options: parts.options,
            counters: parts.counters.clone(),
            channels,
            bucket: Arc::new(Mutex::new(bucket)),
        }
    }

    /// Sends `snapshot` to the Store `to` at `address`; completes when the receiver has verified it.
    pub(super) fn send(
        &self,
        address: String,
        to: StoreId,
        snapshot: OutgoingSnapshot,
    ) -> impl Future<Output = Result<(), TransportError>> + Send + 'static {
        let sender = self.clone();
        async move {
            let result = sender.send_all(&address, to, snapshot).await;
            match &result {
                Ok(()) => count(&sender.counters.snapshots_sent),
                Err(_) => count(&sender.counters.snapshots_failed),
            }
            result
        }
    }

    async fn send_all(
        &self,
        address: &str,
        to: StoreId,
        snapshot: OutgoingSnapshot,
    ) -> Result<(), TransportError> {
        let mut client = self.channels.client(address).await?;
        let (chunks, queue) = mpsc::channel(CHUNKS_AHEAD);
        let call = client.snapshot(ReceiverStream::new(queue));
        let feed = self.feed(to, snapshot, chunks);
        // The feed ends the stream by dropping its end; a refusal of the receiver ends the feed.
        let (fed, answer) = tokio::join!(feed, call);
        match answer {
            // The receiver verifies all files against the manifest: its word settles it.
            Ok(_) => Ok(()),
            Err(status) => {
                let failed = self.channels.failed(address, &status);
                Err(fed.err().unwrap_or(failed))
            }
        }
    }

    /// Fails only for reasons on our side; a stream that the receiver closed is a normal end here.
    async fn feed(
        &self,
        to: StoreId,
        snapshot: OutgoingSnapshot,
        chunks: mpsc::Sender<proto::SnapshotChunk>,
    ) -> Result<(), TransportError> {
        let OutgoingSnapshot { envelope, manifest, folder } = snapshot;
        let head = proto::SnapshotHead {
            cluster: self.identity.cluster().get(),
            to_store: to.get(),
            envelope: Some(wire::pack(envelope)),
            manifest: wire::to_bytes(&manifest),
        };
        let first = proto::SnapshotChunk { head: Some(head), file: 0, data: Bytes::new() };
        if !self.push(&chunks, first).await? {
            return Ok(());
        }
        for (number, _) in manifest.files.iter().enumerate() {
            let path = folder.join(number.to_string());
            let unreadable = |error: std::io::Error| TransportError::Unreachable {
                why: format!("cannot read {}: {error}", path.display()),
            };
            let mut file = tokio::fs::File::open(&path).await.map_err(unreadable)?;
            loop {
                let mut data = BytesMut::with_capacity(self.options.snapshot_chunk_bytes);
                read_chunk(&mut file, &mut data).await.map_err(unreadable)?;
                if data.is_empty() {
                    break;
                }
                self.pace(data.len()).await;
                let file = u32::try_from(number).unwrap_or(u32::MAX);
                let chunk = proto::SnapshotChunk { head: None, file, data: data.freeze() };
                if !self.push(&chunks, chunk).await? {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// `false` if the receiver has closed the stream.
    async fn push(
        &self,
        chunks: &mpsc::Sender<proto::SnapshotChunk>,
        chunk: proto::SnapshotChunk,
    ) -> Result<bool, TransportError> {
        let bytes = chunk.data.len();
        let sent = tokio::time::timeout(self.options.snapshot_stall, chunks.send(chunk)).await;
        let Ok(sent) = sent else {
            return Err(TransportError::Broken { why: "the receiver takes no more data".into() });
        };
        add(&self.counters.snapshot_bytes_sent, bytes);
        Ok(sent.is_ok())
    }

    async fn pace(&self, bytes: usize) {
        let now = self.env.now();
        let wait = {
            let mut bucket = self.bucket.lock().unwrap_or_else(PoisonError::into_inner);
            bucket.take(now, bytes as u64)
        };
        if !wait.is_zero() {
            self.env.spawner.sleep(wait).await;
        }
    }
}

/// Fills `data` up to its capacity, or to the end of the file.
async fn read_chunk(file: &mut tokio::fs::File, data: &mut BytesMut) -> std::io::Result<()> {
    let mut room = data.capacity() as u64;
    while room > 0 {
        let read = file.take(room).read_buf(data).await?;
        if read == 0 {
            break;
        }
        room -= read as u64;
    }
    Ok(())
}
