//! Rules over values and between them, each with its reason. All are checked; all that fail are
//! told at once.
use crate::error::{ConfigError, Finding};
use crate::sections::{
    ActorsConfig, ClusterConfig, Config, GcConfig, HttpConfig, LimitsConfig, NodeConfig, PdConfig,
    RaftConfig, SnapshotConfig, StorageConfig,
};
use crate::units::ByteSize;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

/// Room in a Raft entry besides the value: the key, its expiry, and how a command is framed.
const ENTRY_OVERHEAD: u64 = 64 << 10;

struct Findings(Vec<Finding>);

impl Findings {
    fn require(&mut self, holds: bool, key: &'static str, problem: impl Into<String>) {
        if !holds {
            self.0.push(Finding { key, problem: problem.into() });
        }
    }

    fn within<T: PartialOrd + std::fmt::Debug>(
        &mut self,
        key: &'static str,
        value: T,
        range: RangeInclusive<T>,
    ) {
        let holds = range.contains(&value);
        let problem = format!("{value:?} is not in {:?} to {:?}", range.start(), range.end());
        self.require(holds, key, problem);
    }

    fn size(&mut self, key: &'static str, value: ByteSize, range: RangeInclusive<ByteSize>) {
        let holds = range.contains(&value);
        let problem = format!("{value} is not in {} to {}", range.start(), range.end());
        self.require(holds, key, problem);
    }

    fn positive(&mut self, key: &'static str, value: Duration) {
        self.require(!value.is_zero(), key, "must be longer than zero");
    }

    fn at_least_one(&mut self, key: &'static str, count: usize) {
        self.require(count >= 1, key, "must be at least 1: with 0 nothing would ever pass");
    }
}

impl Config {
    /// Checks all rules.
    ///
    /// # Errors
    /// [`ConfigError::Invalid`] with every rule that does not hold.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let mut findings = Findings(Vec::new());
        node(&self.node, &mut findings);
        cluster(&self.cluster, &mut findings);
        raft(&self.raft, &mut findings);
        raft_and_limits(&self.raft, &self.limits, &mut findings);
        storage(&self.storage, &self.snapshot, &mut findings);
        limits(&self.limits, &mut findings);
        actors(&self.actors, &mut findings);
        pd(&self.pd, &mut findings);
        gc(&self.gc, &self.pd, &mut findings);
        http(&self.http, &mut findings);
        if findings.0.is_empty() { Ok(()) } else { Err(ConfigError::Invalid(findings.0)) }
    }
}

fn node(node: &NodeConfig, findings: &mut Findings) {
    address("node.http-address", &node.http_address, node.insecure, findings);
    address("node.grpc-address", &node.grpc_address, node.insecure, findings);
    let clash = node.http_address == node.grpc_address && port_of(&node.http_address) != Some(0);
    findings.require(!clash, "node.grpc-address", "is the same as node.http-address");
    advertised("node.advertise-http", &node.advertise_http, &node.http_address, findings);
    advertised("node.advertise-grpc", &node.advertise_grpc, &node.grpc_address, findings);
    findings.require(!node.data.is_empty(), "node.data", "a node needs a data directory");
    let different: BTreeSet<_> = node.data.iter().collect();
    let problem = "a directory is listed twice: each Store needs its own";
    findings.require(different.len() == node.data.len(), "node.data", problem);
}

fn address(key: &'static str, address: &str, insecure: bool, findings: &mut Findings) {
    if port_of(address).is_none() {
        return findings.require(false, key, format!("`{address}` is not host:port"));
    }
    let problem = format!(
        "`{address}` can be reached from other machines, without encryption or authentication: \
         use a loopback address such as 127.0.0.1, or set node.insecure = true (--insecure)"
    );
    findings.require(insecure || is_loopback(address), key, problem);
}

fn advertised(
    key: &'static str,
    advertised: &Option<String>,
    listened: &str,
    findings: &mut Findings,
) {
    if let Some(address) = advertised {
        let problem = format!("`{address}` is not host:port");
        findings.require(port_of(address).is_some(), key, problem);
    }
    let reachable = advertised.as_deref().unwrap_or(listened);
    let problem = format!("others cannot connect to `{reachable}`: say which address they use");
    findings.require(!is_unspecified(reachable), key, problem);
}

fn port_of(address: &str) -> Option<u16> {
    let (host, port) = address.rsplit_once(':')?;
    let bare_v6 = host.contains(':') && !(host.starts_with('[') && host.ends_with(']'));
    if host.is_empty() || bare_v6 || host.contains(char::is_whitespace) {
        return None;
    }
    port.parse().ok()
}

/// Can only this machine reach it? A name other than `localhost` may mean anything.
#[must_use]
pub fn is_loopback(address: &str) -> bool {
    match address.parse::<SocketAddr>() {
        Ok(socket) => socket.ip().is_loopback(),
        Err(_) => address.rsplit_once(':').is_some_and(|(host, _)| host == "localhost"),
    }
}

fn is_unspecified(address: &str) -> bool {
    address.parse::<SocketAddr>().is_ok_and(|socket| socket.ip().is_unspecified())
}

fn cluster(cluster: &ClusterConfig, findings: &mut Findings) {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let valid = (1..=64).contains(&cluster.name.len()) && cluster.name.chars().all(allowed);
    let problem = format!("`{}` is not 1 to 64 letters, digits, - _ or .", cluster.name);
    findings.require(valid, "cluster.name", problem);
    for address in &cluster.join {
        let problem = format!("`{address}` is not host:port");
        findings.require(port_of(address).is_some(), "cluster.join", problem);
    }
    findings.within("cluster.bootstrap-stores", cluster.bootstrap_stores, 1..=1000);
    findings.within("cluster.bootstrap-regions", cluster.bootstrap_regions, 1..=100_000);
    let counts =
        [("cluster.replicas", cluster.replicas), ("cluster.pd-replicas", cluster.pd_replicas)];
    for (key, count) in counts {
        findings.within(key, count, 1..=7);
        let problem = format!("{count} is even and survives no more failures than one less");
        findings.require(count % 2 == 1, key, problem);
    }
}

fn raft(raft: &RaftConfig, findings: &mut Findings) {
    findings.within("raft.tick", raft.tick, Duration::from_millis(10)..=Duration::from_secs(10));
    let beats = raft.heartbeat_ticks >= 1;
    findings.require(beats, "raft.heartbeat-ticks", "must be at least 1");
    let problem = "must be more than raft.heartbeat-ticks: followers would stand for election \
                   between two heartbeats of a healthy leader";
    let patient = raft.election_ticks > raft.heartbeat_ticks;
    findings.require(patient, "raft.election-ticks", problem);
    let longest = raft.election_timeout() * 9 / 10;
    let problem = format!(
        "must be at most {} (90 % of raft.tick times raft.election-ticks): a leader whose clock \
         is slow would serve old data after another was elected",
        crate::units::duration::to_text(longest)
    );
    findings.require(raft.lease <= longest, "raft.lease", problem);
    let entry = ByteSize::kib(64)..=ByteSize::mib(64);
    findings.size("raft.max-entry-bytes", raft.max_entry_bytes, entry);
    let problem = "must be at least raft.max-entry-bytes, or a largest entry could never be sent";
    let fits = raft.max_uncommitted_bytes >= raft.max_entry_bytes;
    findings.require(fits, "raft.max-uncommitted-bytes", problem);
    let problem = "must be at most raft.max-entry-bytes: a batch is one entry";
    let fits = raft.batch_bytes <= raft.max_entry_bytes;
    findings.require(fits, "raft.batch-bytes", problem);
    findings.at_least_one("raft.max-inflight-messages", raft.max_inflight_messages);
    findings.at_least_one("raft.batch-commands", raft.batch_commands);
    findings.at_least_one("raft.proposals-per-region", raft.proposals_per_region);
}

fn raft_and_limits(raft: &RaftConfig, limits: &LimitsConfig, findings: &mut Findings) {
    let needed = limits.value.bytes().saturating_add(limits.key.bytes()) + ENTRY_OVERHEAD;
    let problem = format!(
        "a value of {} with its key does not fit into a Raft entry of {} (raft.max-entry-bytes)",
        limits.value, raft.max_entry_bytes
    );
    findings.require(needed <= raft.max_entry_bytes.bytes(), "limits.value", problem);
}

fn storage(storage: &StorageConfig, snapshot: &SnapshotConfig, findings: &mut Findings) {
    let memory = ByteSize::mib(1)..=ByteSize(1 << 50);
    findings.size("storage.block-cache", storage.block_cache, memory.clone());
    findings.size("storage.write-buffer", storage.write_buffer, memory);
    findings.within("storage.background-jobs", storage.background_jobs, 1..=64);
    findings.size("storage.log-file", storage.log_file, ByteSize::mib(1)..=ByteSize::mib(1024));
    findings.positive("storage.log-purge-interval", storage.log_purge_interval);
    findings.positive("storage.flush-interval", storage.flush_interval);
    findings.size("snapshot.chunk", snapshot.chunk, ByteSize::kib(4)..=ByteSize::mib(8));
    let problem = "must be at least snapshot.chunk, or no chunk could ever be sent";
    let passes = snapshot.rate_per_second >= snapshot.chunk;
    findings.require(passes, "snapshot.rate-per-second", problem);
    findings.at_least_one("snapshot.concurrent-send", snapshot.concurrent_send);
    findings.at_least_one("snapshot.concurrent-receive", snapshot.concurrent_receive);
    findings.positive("snapshot.stale-after", snapshot.stale_after);
}

fn limits(limits: &LimitsConfig, findings: &mut Findings) {
    findings.size("limits.key", limits.key, ByteSize(1)..=ByteSize::kib(64));
    findings.at_least_one("limits.batch-keys", limits.batch_keys);
    findings.at_least_one("limits.scan-rows-default", limits.scan_rows_default);
    let problem = "must be at least limits.scan-rows-default";
    let fits = limits.scan_rows_max >= limits.scan_rows_default;
    findings.require(fits, "limits.scan-rows-max", problem);
    let problem = "must be at least limits.batch-bytes, and limits.txn-bytes and a third, since values \
                   may come as base64: or a largest request could not arrive";
    let base64 = limits.txn_bytes.bytes().saturating_add(limits.txn_bytes.bytes() / 3);
    let fits = limits.body >= limits.batch_bytes && limits.body.bytes() >= base64;
    findings.require(fits, "limits.body", problem);
    findings.at_least_one("limits.txn-ops", limits.txn_ops);
    let problem = "must be at least limits.txn-bytes, or a largest request could never be served";
    findings.require(
        limits.txn_session_bytes >= limits.txn_bytes,
        "limits.txn-session-bytes",
        problem,
    );
    findings.positive("limits.txn-idle", limits.txn_idle);
    let problem = "must be at least limits.txn-idle";
    findings.require(limits.txn_idle_max >= limits.txn_idle, "limits.txn-idle-max", problem);
    findings.at_least_one("limits.txn-open", limits.txn_open);
    let problem = "must be at least limits.value and a third: a value may come as base64";
    let base64 = limits.value.bytes().saturating_add(limits.value.bytes() / 3);
    findings.require(limits.import_line.bytes() >= base64, "limits.import-line", problem);
    findings.positive("limits.deadline-default", limits.deadline_default);
    let problem = "must be at least limits.deadline-default";
    let fits = limits.deadline_max >= limits.deadline_default;
    findings.require(fits, "limits.deadline-max", problem);
    findings.positive("limits.body-base", limits.body_base);
    let some = limits.body_min_rate.bytes() >= 1;
    findings.require(some, "limits.body-min-rate", "must be at least 1");
    findings.at_least_one("limits.in-flight-requests", limits.in_flight_requests);
    let problem = "must be at least limits.body, or a largest request would always be refused";
    findings.require(limits.in_flight_bytes >= limits.body, "limits.in-flight-bytes", problem);
}

fn actors(actors: &ActorsConfig, findings: &mut Findings) {
    findings.at_least_one("actors.mailbox-messages", actors.mailbox_messages);
    findings.size("actors.mailbox-bytes", actors.mailbox_bytes, ByteSize(1)..=ByteSize(1 << 50));
    findings.at_least_one("actors.yield-after-messages", actors.yield_after_messages as usize);
    findings.within("actors.network-threads", actors.network_threads, 0..=64);
    findings.positive("actors.restart-window", actors.restart_window);
    findings.positive("actors.backoff-min", actors.backoff_min);
    let problem = "must be at least actors.backoff-min";
    findings.require(actors.backoff_max >= actors.backoff_min, "actors.backoff-max", problem);
    let problem = "must be at least 2: one crash is no storm";
    findings.require(actors.storm_min >= 2, "actors.storm-min", problem);
    findings.positive("actors.storm-window", actors.storm_window);
}

fn pd(pd: &PdConfig, findings: &mut Findings) {
    findings.positive("pd.store-heartbeat", pd.store_heartbeat);
    findings.positive("pd.region-heartbeat", pd.region_heartbeat);
    findings.positive("pd.operator-timeout", pd.operator_timeout);
    let problem = "must be at least twice pd.store-heartbeat: one lost heartbeat is no silence";
    let patient = pd.store_silent_after >= pd.store_heartbeat.saturating_mul(2);
    findings.require(patient, "pd.store-silent-after", problem);
    findings.positive("pd.tso-window", pd.tso_window);
}

fn gc(gc: &GcConfig, pd: &PdConfig, findings: &mut Findings) {
    let problem = "must be at least 10s: no transaction may take longer than that";
    findings.require(gc.life_time >= Duration::from_secs(10), "gc.life-time", problem);
    findings.positive("gc.interval", gc.interval);
    let problem = "must be at least three times pd.store-heartbeat: a Store hears of the safe point \
                   with its heartbeats, and two lost ones must not stop it";
    let patient = gc.safe_point_trust >= pd.store_heartbeat.saturating_mul(3);
    findings.require(patient, "gc.safe-point-trust", problem);
    findings.positive("gc.compact-interval", gc.compact_interval);
}

fn http(http: &HttpConfig, findings: &mut Findings) {
    findings.within("http.workers", http.workers, 1..=256);
    findings.at_least_one("http.max-connections", http.max_connections);
    findings.positive("http.header-timeout", http.header_timeout);
    for host in &http.allowed_hosts {
        let bare = !host.is_empty() && !host.contains(['/', ' ']);
        let problem = format!("`{host}` is not the name of a host");
        findings.require(bare, "http.allowed-hosts", problem);
    }
}
