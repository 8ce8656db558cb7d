//! B18: a lock is resolved by a key that is no longer the primary (tidb#42937).
//!
//! A client locks a key that is to decide, gives it up, and goes on with another one. A lock request of the
//! first round comes late, or stays since its client was gone: whoever meets that lock asks the old primary,
//! finds nothing there, and rolls the transaction back, though it commits by its new primary.
//!
//! The test leaves such a lock behind, has readers and writers meet it, then lets the transaction commit by its new
//! primary: it must be there as a whole.
use super::cluster::{SECOND, in_cluster, plan, sleep};
use super::transactions::{key, lock, prewrite, put};
use troupe_types::NodeId;
use troupe_types::txn::session::{OneShot, TxnMode, TxnOp, TxnSettings};
use troupe_types::txn::{PessimisticAction, Prewrite, TxnCommand, TxnReply};

#[test]
fn b18_the_old_primary_decides_nothing() {
    in_cluster(plan(1_218), |cluster| async move {
        let (old, new, other, left) = (key(0), key(1), key(2), key(3));
        let start_ts = cluster.timestamp().await;
        let is_locked = |answer| matches!(answer, Ok(TxnReply::Locked(_)));
        for key in [&old, &left] {
            let request = lock(key, &old, (start_ts, start_ts));
            assert!(is_locked(cluster.tell(key, request).await));
        }
        // The client crashes here for its first try. The next one gives up the old primary.
        let give_up = TxnCommand::PessimisticRollback {
            keys: vec![old.clone()],
            start_ts,
            for_update_ts: start_ts,
        };
        assert_eq!(cluster.tell(&old, give_up).await, Ok(TxnReply::Done));
        let for_update_ts = cluster.timestamp().await;
        for key in [&new, &old, &other] {
            let request = lock(key, &new, (start_ts, for_update_ts));
            assert!(is_locked(cluster.tell(key, request).await));
        }
        let beat = TxnCommand::HeartBeat { primary: new.clone(), start_ts, ttl_ms: 60_000 };
        assert!(cluster.tell(&new, beat).await.is_ok());
        sleep(5 * SECOND).await;
        // A writer wants what was left behind, and finds that its primary is another one.
        let op = TxnOp::Put { key: left.clone(), value: "other".into(), ttl_ms: None };
        let settings = TxnSettings {
            mode: TxnMode::Pessimistic,
            lock_wait_ms: Some(2_000),
            ..TxnSettings::default()
        };
        let request = OneShot { then: vec![op], settings, ..OneShot::default() };
        let wrote = cluster.once(NodeId(2), request, 10 * SECOND).await;
        assert!(wrote.is_ok(), "nothing holds that key: {wrote:?}");
        let keys = [new.clone(), old.clone(), other.clone()];
        for place in 0..keys.len() {
            let mut change = put(&keys[place], "new");
            change.pessimistic = PessimisticAction::Check;
            let command = Prewrite {
                mutations: vec![change],
                for_update_ts,
                lock_ttl_ms: 60_000,
                ..prewrite(&keys, place, start_ts)
            };
            cluster.prewritten(&keys[place], command).await;
        }
        let commit_ts = cluster.timestamp().await;
        let commit = TxnCommand::Commit { keys: vec![new.clone()], start_ts, commit_ts };
        assert_eq!(cluster.tell(&new, commit).await, Ok(TxnReply::Done));
        let (rows, _) = cluster.values(NodeId(3), &keys, None).await;
        assert!(
            rows.iter().all(|row| row.as_ref().is_some_and(|(_, at)| *at == commit_ts)),
            "{rows:?}"
        );
    });
}
