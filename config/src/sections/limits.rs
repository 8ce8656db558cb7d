//! What a request may ask for, and how the HTTP gateway listens.
use crate::table::section;
use crate::units::ByteSize;
use std::time::Duration;

section! {
    /// What a single request may ask for, and what all together may. Sizes are of decoded bytes.
    LimitsConfig as "limits" {
        /// Largest key. At most 64KiB.
        key: ByteSize = ByteSize::kib(8),
        /// Largest value.
        value: ByteSize = ByteSize::mib(6),
        /// Keys or items in one batch request.
        batch_keys: usize = 1024,
        /// Keys and values in one batch request.
        batch_bytes: ByteSize = ByteSize::mib(8),
        /// Rows of a scan's page, if the request does not say how many.
        scan_rows_default: usize = 100,
        /// Rows of a scan's page at most.
        scan_rows_max: usize = 10_000,
        /// Keys and values of a scan's page; the page ends with the row that passes it.
        scan_bytes: ByteSize = ByteSize::mib(8),
        /// Conditions and steps of a transaction in one request.
        txn_ops: usize = 4096,
        /// Keys and values of a transaction in one request.
        txn_bytes: ByteSize = ByteSize::mib(16),
        /// Keys and values that an interactive transaction may write.
        txn_session_bytes: ByteSize = ByteSize::mib(64),
        /// An interactive transaction is rolled back after so long without a request, if its begin
        /// does not say.
        #[serde(with = "crate::units::duration")]
        txn_idle: Duration = Duration::from_secs(30),
        /// The longest such time that a begin may ask for.
        #[serde(with = "crate::units::duration")]
        txn_idle_max: Duration = Duration::from_secs(600),
        /// Interactive transactions that are open on a node at the same time; more are refused as
        /// busy.
        txn_open: usize = 256,
        /// Largest body of an HTTP request that is not streamed. At least `batch-bytes`, and
        /// `txn-bytes` and a third, as base64 needs.
        body: ByteSize = ByteSize::mib(24),
        /// Longest line of an import. At least `value` and a third, as base64 needs.
        import_line: ByteSize = ByteSize::mib(9),
        /// A request is given up after so long, if it does not say.
        #[serde(with = "crate::units::duration")]
        deadline_default: Duration = Duration::from_secs(10),
        /// The longest deadline that a request may ask for.
        #[serde(with = "crate::units::duration")]
        deadline_max: Duration = Duration::from_secs(60),
        /// A body may take so long to arrive, and longer by its size over `body-min-rate`.
        #[serde(with = "crate::units::duration")]
        body_base: Duration = Duration::from_secs(10),
        /// Bytes a second that a client must send. At least 1.
        body_min_rate: ByteSize = ByteSize::kib(64),
        /// Requests that the node works on at the same time; more are refused as busy.
        in_flight_requests: usize = 4096,
        /// Bytes of the requests that the node works on; more are refused as busy. At least
        /// `body`.
        in_flight_bytes: ByteSize = ByteSize::mib(256),
    }
}

section! {
    /// HTTP gateway.
    HttpConfig as "http" {
        /// Threads that serve HTTP. 1 to 256.
        workers: usize = 2,
        /// Connections of one worker at the same time; more wait.
        max_connections: usize = 1024,
        /// An idle connection is closed after so long.
        #[serde(with = "crate::units::duration")]
        keep_alive: Duration = Duration::from_secs(15),
        /// The head of a request must arrive within so long.
        #[serde(with = "crate::units::duration")]
        header_timeout: Duration = Duration::from_secs(5),
        /// Names that a request's `Host` may have, besides `localhost`, `127.0.0.1`, `[::1]` and
        /// the node's own addresses. It keeps foreign web pages from reaching a local node.
        allowed_hosts: Vec<String> = Vec::new(),
    }
}
