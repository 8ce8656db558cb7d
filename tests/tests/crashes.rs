//! Real processes that are killed, paused, cut off and robbed of their disks. `make crash EVENTS=300`
//! does much more of the same, at random.
use std::path::Path;
use std::time::Duration;
use tokio::time::Instant;
use troupe_actors::real_env::SeededRngs;
use troupe_tests::nemesis::api::Freshness;
use troupe_tests::nemesis::cluster::{Cluster, Plan, built_troupe};
use troupe_tests::nemesis::event::Kind;
use troupe_tests::nemesis::links::Flow;
use troupe_tests::nemesis::load::{KEYS, Load, PROBER, PROBES};
use troupe_tests::nemesis::recovery::until_serving;
use troupe_tests::nemesis::report::Judgement;
use troupe_tests::nemesis::run::{RunOptions, run};
use troupe_tests::nemesis::verdict::check_window;
use troupe_tests::workload::{Op, Outcome};

/// A write that nobody can serve is given up after that.
const PATIENCE: Duration = Duration::from_secs(2);
/// Time for anything that is waited for.
const DEADLINE: Duration = Duration::from_secs(30);

fn block_on<T>(what: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(what)
}

async fn three_nodes(folder: &Path) -> (Cluster, std::sync::Arc<Load>) {
    let folder = folder.join("cluster");
    let plan = Plan { troupe: built_troupe(), folder, nodes: 3, regions: 3 };
    let cluster = Cluster::found(plan).await;
    let load = Load::new(cluster.urls(), Box::new(SeededRngs::new(1)));
    until_serving(&load).await.expect("a new cluster serves");
    (cluster, load)
}

/// Number of a node that leads a Region, not counting the system Region.
async fn a_leader(cluster: &Cluster) -> usize {
    let url = format!("{}/v1/regions", cluster.url(0));
    let text = reqwest::get(url).await.expect("an answer").text().await.expect("a body");
    let regions: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let items = regions["items"].as_array().expect("Regions");
    let leaders = items.iter().filter(|region| region["id"] != 1);
    let store = leaders.filter_map(|region| region["leader"]["store"].as_u64()).next();
    usize::try_from(store.expect("a Region has a leader") - 1).expect("three Stores")
}

fn others_than(node: usize) -> [usize; 2] {
    [(node + 1) % 3, (node + 2) % 3]
}

async fn ask(load: &Load, node: usize, key: u32, op: Op) -> Outcome {
    let window = load.current();
    load.ask(&window, PROBER, node, (key, op), Freshness::Leader, PATIENCE).await
}

/// Writes key by key through `nodes` until each key took a write.
async fn write_all(load: &Load, nodes: [usize; 2]) {
    let deadline = Instant::now() + DEADLINE;
    for key in KEYS..KEYS + PROBES {
        let mut turn = 0;
        while ask(load, nodes[turn % 2], key, Op::Put(load.value())).await != Outcome::Done {
            assert!(Instant::now() < deadline, "nobody serves key {key}");
            turn += 1;
        }
    }
}

/// Reads of all keys at once, under way before the first answer. Their outcomes are in the history.
async fn read_all_at_once(load: &Load, node: usize) -> usize {
    let keys = (KEYS..KEYS + PROBES).map(|key| ask(load, node, key, Op::Get));
    let outcomes = futures::future::join_all(keys).await;
    outcomes.into_iter().filter(|outcome| matches!(outcome, Outcome::Read(_))).count()
}

fn assert_linearizable(load: &Load) {
    let verdict = check_window(&load.current());
    assert_eq!(verdict.wrong, [] as [String; 0]);
    assert_eq!((verdict.undecided, verdict.lost), (0, 0));
}

#[test]
fn every_kind_of_event_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let report = block_on(run(RunOptions {
        seed: 20,
        events: Kind::ROUND.len(),
        kinds: Kind::ROUND.iter().map(|(kind, _)| *kind).collect(),
        troupe: built_troupe(),
        folder: folder.path().join("run"),
    }));
    println!("{report}");
    // A machine that is busy with other tests may be too slow for a run that counts.
    if report.judgement() == Judgement::Violated {
        panic!("data and logs: {}", folder.keep().display());
    }
    assert_eq!(report.events.len(), Kind::ROUND.len());
    assert_eq!((report.history.lost, report.history.undecided), (0, 0));
    assert!(report.answered > 1_000, "little was answered");
    assert!(report.replicas >= 3 * 7, "three replicas of each Region were compared");
}

/// tikv#964, etcd#20418: a leader that slept longer than its lease answers reads by it.
#[test]
fn b1_a_leader_that_slept_serves_no_stale_read() {
    let folder = tempfile::tempdir().expect("a folder");
    block_on(async {
        let (cluster, load) = three_nodes(folder.path()).await;
        for _ in 0..2 {
            let sleeper = a_leader(&cluster).await;
            read_all_at_once(&load, sleeper).await;
            cluster.pause(sleeper);
            // The others lead all Regions after that, and have newer values.
            write_all(&load, others_than(sleeper)).await;
            let reads = read_all_at_once(&load, sleeper);
            let wake_up = async {
                tokio::task::yield_now().await;
                cluster.resume(sleeper);
            };
            tokio::join!(reads, wake_up);
            read_all_at_once(&load, sleeper).await;
            until_serving(&load).await.expect("all are back");
        }
        assert_linearizable(&load);
    });
}

/// The same with a leader that is awake but hears nobody: it may serve until its lease is over, and
/// nothing after that.
#[test]
fn b1_a_leader_that_is_cut_off_serves_no_stale_read() {
    let folder = tempfile::tempdir().expect("a folder");
    block_on(async {
        let (cluster, load) = three_nodes(folder.path()).await;
        let alone = a_leader(&cluster).await;
        for other in others_than(alone) {
            cluster.links.set(alone, other, Flow::Cut);
            cluster.links.set(other, alone, Flow::Cut);
        }
        let reads = async {
            for _ in 0..3 {
                read_all_at_once(&load, alone).await;
            }
        };
        tokio::join!(write_all(&load, others_than(alone)), reads);
        cluster.links.heal();
        until_serving(&load).await.expect("all are back");
        assert_linearizable(&load);
    });
}

/// etcd#15247: a leader that is stuck in fdatasync keeps its lease by heartbeats. Others must take over
/// while its disk hangs, and it must not answer from what it had.
#[test]
fn b26_a_leader_whose_disk_hangs_hands_over() {
    let folder = tempfile::tempdir().expect("a folder");
    block_on(async {
        let (cluster, load) = three_nodes(folder.path()).await;
        for _ in 0..2 {
            let stuck = a_leader(&cluster).await;
            cluster.disk(stuck).slow_down(10 * DEADLINE);
            // Each Region that the stuck node leads finds another leader, or this does not end.
            write_all(&load, others_than(stuck)).await;
            let (_, _, met) = cluster.disk(stuck).met();
            assert!(met > 0, "the disk of node {} was not asked", stuck + 1);
            read_all_at_once(&load, stuck).await;
            cluster.disk(stuck).heal();
            until_serving(&load).await.expect("all are back");
        }
        assert_linearizable(&load);
    });
}

/// tikv#9886 and its kin: a leader with a full disk refused writes for as long as the disk was full,
/// although the others had room, and gateways went on asking it after it had stepped down.
#[test]
fn b15_a_leader_whose_disk_is_full_hands_over_and_works_again() {
    let folder = tempfile::tempdir().expect("a folder");
    block_on(async {
        let (mut cluster, load) = three_nodes(folder.path()).await;
        let full = a_leader(&cluster).await;
        cluster.disk(full).fill();
        write_all(&load, others_than(full)).await;
        let (_, refused, _) = cluster.disk(full).met();
        assert!(refused > 0, "the disk of node {} was not asked", full + 1);
        cluster.disk(full).heal();
        // RocksDB may have had to flush meanwhile, which ends the node.
        if cluster.take_end(full).is_some() {
            cluster.clear_mark(full);
            cluster.start(full);
        }
        until_serving(&load).await.expect("with room again it works");
        assert_linearizable(&load);
    });
}
