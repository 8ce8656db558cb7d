//! The end of what began below a safe point, and the removal of values that have ended.
use super::world::{World, k, store};
use super::*;
use troupe_types::txn::WriteKind;
use troupe_types::txn::session::TxnSettings;

fn expiring(key: &str) -> TxnOp {
    TxnOp::Put { key: k(key), value: Bytes::from("v"), ttl_ms: Some(1) }
}

/// Kinds of the records of a key, newest first.
async fn kinds(service: &KvService, key: &str, o: &CallOptions) -> Vec<WriteKind> {
    let history = service.txn_history(k(key), o).await.unwrap();
    let history = history.map(|history| history.versions).unwrap_or_default();
    history.into_iter().map(|version| version.kind).collect()
}

#[actix::test]
async fn what_began_below_a_safe_point_is_ended_whether_it_lives_or_not() {
    let world = World::new();
    let service = world.service();
    let o = options(&service, 5000);
    world.prewrite_only(&["b", "y"]);
    let safe_point = service.timestamp(&o).await.unwrap();
    world.prewrite_only(&["c"]);
    let mut left = Some(KeyRange::txn_space());
    let mut done = 0;
    while let Some(range) = left {
        let walked = service.txn_resolve_below(range, safe_point, &o).await.unwrap();
        done += walked.done;
        left = walked.rest;
    }
    assert_eq!(done, 2);
    let (locks, _) = service.txn_locks(KeyRange::txn_space(), None, 10, &o).await.unwrap();
    let keys: Vec<_> = locks.into_iter().map(|lock| lock.key).collect();
    assert_eq!(keys, [k("c")], "what began above is left alone");
    assert_eq!(kinds(&service, "b", &o).await, [WriteKind::Rollback]);
    let two = OneShot {
        then: vec![store("b", "1"), store("y", "1")],
        settings: TxnSettings { commit: CommitProtocol::TwoPhase, ..Default::default() },
        ..OneShot::default()
    };
    service.txn_once(two, &o).await.unwrap();
}

#[actix::test]
async fn only_values_that_have_ended_are_removed() {
    let world = World::new();
    let service = world.service();
    let o = options(&service, 5000);
    let ops = vec![expiring("a"), store("b", "stays"), expiring("z")];
    service.txn_once(OneShot { then: ops, ..OneShot::default() }, &o).await.unwrap();
    // Two milliseconds of the oracle later.
    world.pass(3);
    let rewritten = OneShot { then: vec![store("z", "new")], ..OneShot::default() };
    service.txn_once(rewritten, &o).await.unwrap();
    let (mut left, mut done) = (Some(KeyRange::txn_space()), 0);
    while let Some(range) = left {
        let walked = service.txn_remove_ended(range, &o).await.unwrap();
        done += walked.done;
        left = walked.rest;
    }
    assert_eq!(done, 1);
    assert_eq!(kinds(&service, "a", &o).await, [WriteKind::Delete, WriteKind::Put]);
    assert_eq!(kinds(&service, "b", &o).await, [WriteKind::Put]);
    assert_eq!(kinds(&service, "z", &o).await, [WriteKind::Put, WriteKind::Put]);
    let again = service.txn_remove_ended(KeyRange::txn_space(), &o).await.unwrap();
    assert_eq!(again.done, 0, "a deleted key has no value that could end");
}

/// Values are found to have ended, and one is stored anew before they are removed.
#[actix::test]
async fn a_value_stored_between_look_and_removal_stays() {
    let world = World::new();
    let service = world.service();
    let o = options(&service, 5000);
    let ops = vec![expiring("a"), expiring("b")];
    service.txn_once(OneShot { then: ops, ..OneShot::default() }, &o).await.unwrap();
    world.pass(3);
    world.engine.lock().unwrap().after_scan = Some(k("b"));
    let walked = service.txn_remove_ended(KeyRange::txn_space(), &o).await.unwrap();
    assert_eq!(walked.done, 1);
    assert_eq!(kinds(&service, "a", &o).await, [WriteKind::Delete, WriteKind::Put]);
    let (row, _) = service.txn_get(k("b"), None, &o).await.unwrap();
    assert_eq!(row.unwrap().value, Bytes::from("meanwhile"));
}
