//! Transactions against Regions that really execute their commands (`txn/world.rs`).
mod codes;
mod collect;
mod death;
mod isolation;
mod once;
mod slow;
mod world;

use super::*;
use troupe_types::Timestamp;
use troupe_types::key::txn_key;
use troupe_types::txn::session::{
    CommitProtocol, CommittedBy, Comparison, Condition, OneShot, TxnCompare, TxnOp,
};
use world::{World, k, once, store};

#[actix::test]
async fn one_region_commits_in_one_phase_and_more_asynchronously() {
    let world = World::new();
    let service = world.service();
    let o = options(&service, 5000);
    let one = OneShot { then: vec![store("a", "1")], ..OneShot::default() };
    let done = service.txn_once(one, &o).await.unwrap();
    assert_eq!(done.committed_by, CommittedBy::OnePhase);
    assert_eq!(world.engine.lock().unwrap().log, ["prewrite"]);
    let two = OneShot {
        conditions: vec![TxnCompare {
            key: k("a"),
            condition: Condition::Version(Comparison::Eq, done.commit_ts),
        }],
        then: vec![TxnOp::Add { key: k("a"), by: 4 }, store("z", "2")],
        ..OneShot::default()
    };
    let done = service.txn_once(two, &o).await.unwrap();
    assert!(done.succeeded);
    assert_eq!(done.committed_by, CommittedBy::Async);
    let (rows, _) = service.txn_batch_get(vec![k("a"), k("z"), k("n")], None, &o).await.unwrap();
    let values: Vec<_> = rows.into_iter().map(|row| row.map(|row| row.value)).collect();
    assert_eq!(values, [Some(Bytes::from("5")), Some(Bytes::from("2")), None]);
}

#[actix::test]
async fn a_lost_answer_never_makes_two_outcomes() {
    for lose in [vec!["prewrite"], vec!["commit"], vec!["prewrite", "commit"]] {
        for commit in [CommitProtocol::Auto, CommitProtocol::TwoPhase] {
            let world = World::new();
            let service = world.service();
            let o = options(&service, 5000);
            world.engine.lock().unwrap().lose.clone_from(&lose);
            let mut request = OneShot {
                then: vec![TxnOp::Add { key: k("a"), by: 1 }, TxnOp::Add { key: k("z"), by: 1 }],
                idempotency: once("once", 1),
                ..OneShot::default()
            };
            request.settings.commit = commit;
            let first = service.txn_once(request.clone(), &o).await.unwrap();
            let again = service.txn_once(request, &o).await.unwrap();
            assert!(again.repeated && !first.repeated);
            assert_eq!(first.commit_ts, again.commit_ts);
            let (row, _) = service.txn_get(k("z"), None, &o).await.unwrap();
            assert_eq!(row.unwrap().value, Bytes::from("1"));
        }
    }
}
