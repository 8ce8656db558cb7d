//! Is the node ready, and what are its figures?
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use troupe_actors::env::Env;
use troupe_actors::gc::GcHandle;
use troupe_actors::node::PdCaller;
use troupe_actors::store::inbox::LocalStores;
use troupe_http_api::{ReadyChecks, Sample, SampleKind};
use troupe_types::pd::{PdReply, PdRequest};
use troupe_types::{KeyRange, Peer, PeerRole, SYSTEM_REGION, UnixMillis};

/// What a node has reached on its way to being ready.
#[derive(Default)]
pub(super) struct Progress {
    pub registered: AtomicBool,
    pub bootstrapped: AtomicBool,
    /// PD has as many replicas as it shall have, or as there are nodes.
    pub safe: AtomicBool,
    /// Every Region was seen with a leader.
    pub led: AtomicBool,
    pub stopping: AtomicBool,
}

/// Regions whose leaders are waited for; PD answers at most so many at once.
const FIRST_REGIONS: u32 = 1000;

/// Time between two questions to PD while the node is not ready.
const ASK_AGAIN: Duration = Duration::from_millis(100);

/// Does PD survive the loss of a node, as far as the cluster has nodes for it? Until then the
/// cluster is still being founded.
async fn pd_is_replicated(env: &Env, pd: &Arc<dyn PdCaller>, pd_replicas: u32) -> bool {
    let deadline = env.now().after(Duration::from_secs(5));
    let view = pd.call(PdRequest::Cluster, deadline).await;
    let routes = pd.call(PdRequest::RegionById { region: SYSTEM_REGION }, deadline).await;
    let (Ok(PdReply::Cluster(view)), Ok(PdReply::Routes(routes))) = (view, routes) else {
        return false;
    };
    let is_voter = |peer: &&Peer| peer.role == PeerRole::Voter;
    let voters = routes.first().map_or(0, |r| r.region.peers.iter().filter(is_voter).count());
    let wanted = usize::try_from(pd_replicas).unwrap_or(usize::MAX).min(view.nodes.len());
    voters >= wanted
}

/// Registers with PD, then waits until the first Regions are made and lead.
pub(super) async fn become_ready(
    env: Env,
    pd: Arc<dyn PdCaller>,
    register: PdRequest,
    progress: Arc<Progress>,
    pd_replicas: u32,
) {
    let steps = [(register, &progress.registered), (PdRequest::Cluster, &progress.bootstrapped)];
    for (request, reached) in steps {
        while !reached.load(Ordering::Relaxed) {
            match pd.call(request.clone(), env.now().after(Duration::from_secs(5))).await {
                Ok(PdReply::Done) => reached.store(true, Ordering::Relaxed),
                Ok(PdReply::Cluster(view)) if view.bootstrapped => {
                    reached.store(true, Ordering::Relaxed);
                }
                Ok(_) => {}
                Err(error) => tracing::info!(%error, "PD does not know this node yet"),
            }
            env.spawner.sleep(ASK_AGAIN).await;
        }
    }
    while !progress.led.load(Ordering::Relaxed) {
        let range = KeyRange::new(KeyRange::raw_space().start, Vec::new());
        let request = PdRequest::Regions { range, limit: FIRST_REGIONS };
        if let Ok(PdReply::Routes(routes)) =
            pd.call(request, env.now().after(Duration::from_secs(5))).await
        {
            let all_lead = routes.iter().all(|route| route.leader.is_some());
            progress.led.store(all_lead && !routes.is_empty(), Ordering::Relaxed);
        }
        env.spawner.sleep(ASK_AGAIN).await;
    }
    while !pd_is_replicated(&env, &pd, pd_replicas).await {
        env.spawner.sleep(ASK_AGAIN).await;
    }
    progress.safe.store(true, Ordering::Relaxed);
    tracing::info!("this node is a member of its cluster");
}

/// Checks of `/readyz`.
pub(super) fn checks(stores: LocalStores, progress: Arc<Progress>) -> ReadyChecks {
    Arc::new(move || {
        let holds = |flag: &AtomicBool, why: &str| {
            if flag.load(Ordering::Relaxed) { Ok(()) } else { Err(why.to_owned()) }
        };
        let leaderless = stores.iter().flat_map(|store| store.router.list()).filter(|(_, peer)| {
            peer.view.delegate().is_none_or(|delegate| delegate.leader.is_none())
        });
        let regions = match leaderless.count() {
            0 => Ok(()),
            count => Err(format!("{count} replicas know no leader of their Region yet")),
        };
        let stopping = progress.stopping.load(Ordering::Relaxed);
        vec![
            ("placement-driver".to_owned(), holds(&progress.registered, "PD has not answered yet")),
            (
                "bootstrap".to_owned(),
                holds(
                    &progress.bootstrapped,
                    "the first Regions are not made: more Stores must join",
                ),
            ),
            (
                "leaders".to_owned(),
                holds(&progress.led, "PD has not seen a leader of each Region yet"),
            ),
            (
                "replicated-placement-driver".to_owned(),
                holds(&progress.safe, "PD is being copied to further nodes"),
            ),
            ("regions".to_owned(), regions),
            (
                "running".to_owned(),
                if stopping { Err("the node is stopping".to_owned()) } else { Ok(()) },
            ),
        ]
    })
}

/// Figures of the collector: of its newest round, if this node has led PD.
fn collection(collector: &GcHandle) -> Vec<Sample> {
    let round = collector.round();
    let seconds = |at: UnixMillis| at.get() / 1000;
    let rows = [
        ("troupe_gc_rounds", "Rounds of collection that this node began.", round.number),
        (
            "troupe_gc_safe_point_seconds",
            "Time of the safe point of the newest round of this node, since 1970.",
            round.safe_point.physical_ms() / 1000,
        ),
        (
            "troupe_gc_finished_seconds",
            "When a round of this node last came to its end, since 1970.",
            round.finished_at.map(seconds).unwrap_or_default(),
        ),
        (
            "troupe_gc_failed",
            "Did the last round of this node fail?",
            u64::from(round.last_error.is_some()),
        ),
    ];
    let gauge = |(name, help, value): (&'static str, &'static str, u64)| {
        #[expect(clippy::cast_precision_loss, reason = "a metric is a floating point number")]
        let value = value as f64;
        Sample { name, help, kind: SampleKind::Gauge, labels: Vec::new(), value }
    };
    rows.into_iter().map(gauge).collect()
}

fn sample(
    store: &str,
    (name, help, kind): (&'static str, &'static str, SampleKind),
    value: u64,
) -> Sample {
    #[expect(clippy::cast_precision_loss, reason = "a metric is a floating point number")]
    let value = value as f64;
    Sample { name, help, kind, labels: vec![("store", store.to_owned())], value }
}

/// Figures of the Stores for `/metrics`.
pub(super) fn figures(stores: &LocalStores, collector: &GcHandle) -> Vec<Sample> {
    let mut samples = collection(collector);
    for store in stores.iter() {
        let id = store.id.to_string();
        let log = store.log.figures();
        let now = store.env.now();
        let peers = store.router.list();
        let leaders = peers.iter().filter(|(_, peer)| peer.view.leads(now)).count() as u64;
        let (counter, gauge) = (SampleKind::Counter, SampleKind::Gauge);
        let commands = store.figures.commands.load(Ordering::Relaxed);
        let batches = store.figures.batches.load(Ordering::Relaxed);
        let reads = store.reads.load(Ordering::Relaxed);
        let rows = [
            (("troupe_raft_log_syncs_total", "Syncs of the Raft log.", counter), log.syncs),
            (
                ("troupe_raft_log_bytes_total", "Bytes written to the Raft log.", counter),
                log.bytes_written,
            ),
            (
                ("troupe_raft_log_entries_total", "Entries appended to the Raft log.", counter),
                log.entries,
            ),
            (
                ("troupe_raft_log_batches_total", "Batches appended to the Raft log.", counter),
                log.batches,
            ),
            (("troupe_applied_commands_total", "Write commands applied.", counter), commands),
            (("troupe_apply_batches_total", "Write batches of the engine.", counter), batches),
            (("troupe_reads_total", "Reads served.", counter), reads),
            (
                ("troupe_collected_records_total", "Old versions collected.", counter),
                store.garbage.records.load(Ordering::Relaxed),
            ),
            (
                ("troupe_collections_total", "Runs of collection.", counter),
                store.garbage.runs.load(Ordering::Relaxed),
            ),
            (("troupe_replicas", "Replicas that take messages.", gauge), peers.len() as u64),
            (("troupe_leaders", "Replicas that lead with a valid lease.", gauge), leaders),
        ];
        samples.extend(rows.into_iter().map(|(meta, value)| sample(&id, meta, value)));
        for (name, value) in store.health.load().iter() {
            let mut one = sample(
                &id,
                ("troupe_engine", "Figures of the key-value engine, by property.", gauge),
                *value,
            );
            one.labels.push(("property", (*name).to_owned()));
            samples.push(one);
        }
    }
    samples
}
