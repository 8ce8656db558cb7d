//! Anomalies: which isolation allows write skew, and which refuses it.
use super::world::{Running, all_settings, begin, everything_runs, get, values};
use super::*;
use troupe_types::txn::session::{OneShotOutcome, TxnIsolation, TxnOpResult, TxnSettings};

const APART: [&str; 2] = ["ada", "zoe"];
const TOGETHER: [&str; 2] = ["ada", "bob"];

/// Looks whether the other one is on duty, and goes off duty.
fn goes(mine: &str, other: &str, settings: TxnSettings) -> OneShot {
    OneShot { then: vec![get(other, false), store(mine, "off")], settings, ..OneShot::default() }
}

/// Goes off duty only if the other one is on duty.
fn goes_if_other_stays(mine: &str, other: &str, settings: TxnSettings) -> OneShot {
    let is_on = Condition::Value(Comparison::Eq, Bytes::from("on"));
    let conditions = vec![TxnCompare { key: k(other), condition: is_on }];
    OneShot { conditions, then: vec![store(mine, "off")], settings, ..OneShot::default() }
}

/// Has its first step seen the other one on duty?
fn saw_on(outcome: &OneShotOutcome) -> bool {
    match &outcome.results[0] {
        TxnOpResult::Value(Some(row)) => row.value == "on",
        other => panic!("{other:?}"),
    }
}

/// What came of two transactions of which the first is held at a command while the second runs.
struct Both {
    first: OneShotOutcome,
    second: OneShotOutcome,
    /// The first had not ended when the second began.
    at_once: bool,
    after: Vec<Option<String>>,
}

async fn both(names: [&str; 2], held_at: &'static str, requests: [OneShot; 2]) -> Both {
    let world = World::new();
    let watcher = world.service();
    let setup = OneShot { then: names.map(|name| store(name, "on")).into(), ..OneShot::default() };
    watcher.txn_once(setup, &options(&watcher, 5000)).await.unwrap();
    everything_runs().await;
    let [one, two] = requests;
    let gate = world.of_node(1).hold(held_at);
    let mut first: Running = begin(&world.of_node(1).service(), one, 20_000);
    let ended = tokio::select! {
        biased;
        () = gate.reached.notified() => None,
        ended = &mut first => Some(ended.unwrap().unwrap()),
    };
    let mut second = begin(&world.of_node(2).service(), two, 20_000);
    // Some must wait for the one that is held.
    let early = tokio::time::timeout(Duration::from_millis(100), &mut second).await;
    gate.open.notify_one();
    let at_once = ended.is_none();
    let first = match ended {
        Some(first) => first,
        None => first.await.unwrap().unwrap(),
    };
    let second = match early {
        Ok(second) => second.unwrap().unwrap(),
        Err(_) => second.await.unwrap().unwrap(),
    };
    everything_runs().await;
    let after = values(&watcher, &names).await;
    assert_eq!(world.engine.lock().unwrap().locks(), [], "locks stay");
    Both { first, second, at_once, after }
}

fn isolated(isolation: TxnIsolation) -> Vec<(String, TxnSettings)> {
    all_settings().into_iter().filter(|(_, settings)| settings.isolation == isolation).collect()
}

#[actix::test]
async fn a_snapshot_allows_write_skew() {
    for (name, settings) in isolated(TxnIsolation::Snapshot) {
        for names in [APART, TOGETHER] {
            let [a, b] = names;
            let requests = [goes(a, b, settings), goes(b, a, settings)];
            let seen = both(names, "prewrite", requests).await;
            assert!(seen.at_once, "{name}");
            assert!(saw_on(&seen.first) && saw_on(&seen.second), "{name} {names:?}");
            assert_eq!(seen.after, [Some("off".to_owned()), Some("off".to_owned())]);
        }
    }
}

#[actix::test]
async fn serializable_transactions_refuse_write_skew_wherever_the_first_is_held() {
    let mut at_once = 0;
    for (name, settings) in isolated(TxnIsolation::Serializable) {
        for names in [APART, TOGETHER] {
            for held_at in ["pessimistic_lock", "prewrite", "commit"] {
                let [a, b] = names;
                let requests = [goes(a, b, settings), goes(b, a, settings)];
                let seen = both(names, held_at, requests).await;
                let both_saw_on = saw_on(&seen.first) && saw_on(&seen.second);
                assert!(!both_saw_on, "{name} {names:?}, held at {held_at}");
                at_once += usize::from(seen.at_once);
            }
        }
    }
    assert!(at_once > 12, "only {at_once} were held at all");
}

#[actix::test]
async fn what_is_read_for_an_update_is_safe_from_write_skew_under_a_snapshot_too() {
    for (name, settings) in isolated(TxnIsolation::Snapshot) {
        for names in [APART, TOGETHER] {
            let [a, b] = names;
            let goes = |mine, other| OneShot {
                then: vec![get(other, true), store(mine, "off")],
                settings,
                ..OneShot::default()
            };
            let seen = both(names, "prewrite", [goes(a, b), goes(b, a)]).await;
            assert!(!(saw_on(&seen.first) && saw_on(&seen.second)), "{name} {names:?}");
        }
    }
}

#[actix::test]
async fn conditions_are_safe_from_write_skew_in_every_isolation() {
    for (name, settings) in all_settings() {
        for names in [APART, TOGETHER] {
            let [a, b] = names;
            let requests =
                [goes_if_other_stays(a, b, settings), goes_if_other_stays(b, a, settings)];
            let seen = both(names, "prewrite", requests).await;
            let went = usize::from(seen.first.succeeded) + usize::from(seen.second.succeeded);
            let off = seen.after.iter().filter(|v| v.as_deref() == Some("off")).count();
            assert_eq!((went, off), (1, 1), "{name} {names:?}");
        }
    }
}
