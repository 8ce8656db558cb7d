//! Limits and habits of the network between nodes.
use std::time::Duration;

/// Limits of the link to one remote node. Decided on by the pure core of the link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkOptions {
    /// Raft messages that may wait; further ones are dropped and counted.
    pub outbox_messages: usize,
    /// Bytes of Raft messages that may wait.
    pub outbox_bytes: usize,
    /// Forwarded requests that may wait; further ones are refused.
    pub waiting_calls: usize,
    /// Most messages or requests in one frame.
    pub frame_items: usize,
    /// Bytes after which a frame is closed. One larger item makes a frame of its own.
    pub frame_bytes: usize,
    /// Frames that may be handed to a stream before it has taken one: what waits longer than that
    /// makes the next frame larger.
    pub frames_ahead: usize,
    /// Wait after the first lost connection; doubles with each further one.
    pub backoff_min: Duration,
    /// Longest wait.
    pub backoff_max: Duration,
    /// At most one report that a Store is unreachable in this time.
    pub unreachable_every: Duration,
}

impl Default for LinkOptions {
    fn default() -> Self {
        Self {
            outbox_messages: 16_384,
            outbox_bytes: 64 << 20,
            waiting_calls: 16_384,
            frame_items: 512,
            frame_bytes: 2 << 20,
            frames_ahead: 4,
            backoff_min: Duration::from_millis(100),
            backoff_max: Duration::from_secs(3),
            unreachable_every: Duration::from_secs(1),
        }
    }
}

/// Limits of connections, both sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransportOptions {
    /// See [`LinkOptions`].
    pub link: LinkOptions,
    /// Longest wait for a TCP and HTTP/2 connection.
    pub connect_timeout: Duration,
    /// A silent connection is probed after this time, and given up after as long again.
    pub keepalive: Duration,
    /// HTTP/2 flow-control window of a stream; the connection's is twice as large.
    pub window_bytes: u32,
    /// Bytes a second that all snapshots sent by this node may use together.
    pub snapshot_bytes_per_s: u64,
    /// Bytes of one snapshot chunk.
    pub snapshot_chunk_bytes: usize,
    /// A snapshot that makes no progress for so long is given up.
    pub snapshot_stall: Duration,
}

impl Default for TransportOptions {
    fn default() -> Self {
        Self {
            link: LinkOptions::default(),
            connect_timeout: Duration::from_secs(2),
            keepalive: Duration::from_secs(3),
            window_bytes: 4 << 20,
            snapshot_bytes_per_s: 100 << 20,
            snapshot_chunk_bytes: 1 << 20,
            snapshot_stall: Duration::from_secs(30),
        }
    }
}

/// Limits of the server side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerOptions {
    /// Streams that one connection may have open.
    pub concurrent_streams: u32,
    /// Bytes of the headers of one request.
    pub header_list_bytes: u32,
    /// Requests of one forwarding stream that may be served at the same time.
    pub calls_in_flight: usize,
    /// Snapshots that may come in at the same time; further ones are refused.
    pub snapshots_in_flight: usize,
    /// Longest time that a request may ask to be served.
    pub longest_call: Duration,
    /// Connections, as on the client's side.
    pub transport: TransportOptions,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            concurrent_streams: 256,
            header_list_bytes: 16 << 10,
            calls_in_flight: 4096,
            snapshots_in_flight: 32,
            longest_call: Duration::from_secs(300),
            transport: TransportOptions::default(),
        }
    }
}
