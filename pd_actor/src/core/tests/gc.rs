//! Safe points only grow, barriers hold them back, and both outlive their leader.
use super::*;
use troupe_types::Timestamp;
use troupe_types::txn::gc::{GcBarrier, GcState};

/// A timestamp so many seconds before the clock of a fresh [`Bench`].
fn ago(seconds: u64) -> Timestamp {
    Timestamp::compose(UNIX - seconds * 1000, 0)
}

fn barrier(service: &str, ts: Timestamp, expires_at: Option<u64>) -> PdRequest {
    let expires_at = expires_at.map(UnixMillis);
    PdRequest::SetGcBarrier(GcBarrier { service: service.to_owned(), ts, expires_at })
}

fn txn_to(target: Timestamp) -> PdRequest {
    PdRequest::AdvanceTxnSafePoint { target }
}

fn gc_to(target: Timestamp) -> PdRequest {
    PdRequest::AdvanceGcSafePoint { target }
}

impl Bench {
    fn gc(&mut self, request: PdRequest) -> GcState {
        match self.ask(request) {
            Ok(PdReply::Gc(state)) => state,
            other => panic!("unexpected {other:?}"),
        }
    }
}

#[test]
fn safe_points_only_grow_and_gc_stays_behind() {
    let mut pd = Bench::first(1, 1);
    assert_eq!(pd.gc(PdRequest::GcState), GcState::default());
    assert_eq!(pd.gc(txn_to(ago(60))).txn_safe_point, ago(60));
    assert_eq!(pd.gc(txn_to(ago(90))).txn_safe_point, ago(60), "never back");
    assert_eq!(pd.code(gc_to(ago(50))), "BAD_PARAMETER", "beyond what is still served");
    assert_eq!(pd.gc(gc_to(ago(60))).gc_safe_point, ago(60));
    assert_eq!(pd.gc(gc_to(ago(70))).gc_safe_point, ago(60), "never back");
}

#[test]
fn the_future_is_no_safe_point() {
    let mut pd = Bench::first(1, 1);
    let ahead = Timestamp::compose(UNIX + 3_600_000, 0);
    assert_eq!(pd.code(txn_to(ahead)), "BAD_PARAMETER");
    assert_eq!(pd.code(txn_to(Timestamp::MAX)), "BAD_PARAMETER");
    assert_eq!(pd.code(barrier("backup", ahead, None)), "BAD_PARAMETER");
    assert_eq!(pd.gc(PdRequest::GcState), GcState::default());
}

#[test]
fn a_barrier_holds_the_safe_point_until_it_is_removed() {
    let mut pd = Bench::first(1, 1);
    assert_eq!(pd.code(barrier("backup", ago(60), None)), "ok");
    assert_eq!(pd.code(barrier("cdc", ago(30), None)), "ok");
    assert_eq!(pd.gc(txn_to(ago(10))).txn_safe_point, ago(60), "the lowest barrier counts");
    let state = pd.gc(barrier("backup", ago(20), None));
    assert_eq!(state.barriers.len(), 2, "one barrier a service");
    assert_eq!(pd.gc(txn_to(ago(10))).txn_safe_point, ago(30));
    let removed = PdRequest::RemoveGcBarrier { service: "cdc".to_owned() };
    assert_eq!(pd.gc(removed.clone()).barriers.len(), 1);
    assert_eq!(pd.gc(removed).barriers.len(), 1, "removing it again changes nothing");
    assert_eq!(pd.gc(txn_to(ago(10))).txn_safe_point, ago(20));
}

#[test]
fn a_barrier_cannot_bring_versions_back() {
    let mut pd = Bench::first(1, 1);
    pd.gc(txn_to(ago(60)));
    assert_eq!(pd.code(barrier("backup", ago(61), None)), "SNAPSHOT_GONE");
    assert_eq!(pd.code(barrier("backup", ago(60), None)), "ok");
    assert_eq!(pd.code(barrier("", ago(60), None)), "BAD_PARAMETER");
    assert_eq!(pd.code(barrier(&"x".repeat(129), ago(60), None)), "BAD_PARAMETER");
}

#[test]
fn a_barrier_ends_by_the_oracles_clock() {
    let mut pd = Bench::first(1, 1);
    let end = pd.unix.get() + 5000;
    assert_eq!(pd.code(barrier("backup", ago(60), Some(end))), "ok");
    assert_eq!(pd.code(barrier("late", ago(60), Some(UNIX - 1))), "BAD_PARAMETER");
    (0..49).for_each(|_| pd.tick(true));
    assert_eq!(pd.gc(txn_to(ago(10))).txn_safe_point, ago(60));
    pd.tick(true);
    assert!(pd.gc(PdRequest::GcState).barriers.is_empty());
    assert_eq!(pd.gc(txn_to(ago(10))).txn_safe_point, ago(10));
}

#[test]
fn a_clock_that_steps_back_revives_no_barrier() {
    let mut pd = Bench::first(1, 1);
    let end = pd.unix.get() + 1000;
    assert_eq!(pd.code(barrier("backup", ago(60), Some(end))), "ok");
    pd.unix.0 += 2000;
    pd.ask(PdRequest::Timestamps { count: 1 }).unwrap();
    pd.unix.0 -= 3000;
    assert_eq!(pd.gc(txn_to(ago(10))).txn_safe_point, ago(10));
}

#[test]
fn nothing_is_answered_before_it_is_durable() {
    let mut pd = Bench::first(1, 1);
    pd.holds_writes = true;
    let moved = pd.send(txn_to(ago(60)));
    let asked = pd.send(PdRequest::GcState);
    assert!(!pd.replies.contains_key(&moved) && !pd.replies.contains_key(&asked));
    assert_eq!(pd.release(), WriteOutcome::Done);
    let expected = GcState { txn_safe_point: ago(60), ..GcState::default() };
    assert_eq!(pd.replies.remove(&moved), Some(Ok(PdReply::Gc(expected.clone()))));
    assert_eq!(pd.replies.remove(&asked), Some(Ok(PdReply::Gc(expected))));
}

#[test]
fn the_next_leader_goes_on_where_the_former_was_once_that_one_is_silent() {
    let mut old = Bench::first(3, 4);
    old.join(2);
    let mut new = Bench::new(2, &old.rows, None);
    old.gc(txn_to(ago(60)));
    old.gc(gc_to(ago(70)));
    assert_eq!(old.code(barrier("backup", ago(60), None)), "ok");
    let before = old.gc(PdRequest::GcState);
    (new.now, new.unix, new.term) = (old.now, old.unix, Term(9));
    new.tick(true);
    new.tick(true);
    assert_eq!(new.gc(PdRequest::GcState), before);
    // The former leader is still within its lease and may answer from what it holds.
    assert_eq!(old.gc(PdRequest::GcState), before);
    assert_eq!(new.code(txn_to(ago(60))), "unavailable");
    (0..6).for_each(|_| new.tick(true));
    assert_eq!(new.gc(gc_to(ago(60))).gc_safe_point, ago(60));
    (0..6).for_each(|_| old.pass(TICK));
    assert_eq!(old.code(PdRequest::GcState), "unavailable");
}
