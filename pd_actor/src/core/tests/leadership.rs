//! Claims, fencing, and what those who wait are told.
use super::*;

fn not_leader(result: &PdResult) -> bool {
    matches!(result, Err(PdError::NotLeader { .. }))
}

#[test]
fn a_follower_names_the_leader() {
    let mut pd = Bench::new(2, &Rows::default(), None);
    assert_eq!(pd.ask(PdRequest::Cluster), Err(PdError::NotLeader { leader: None }));
    pd.status(None, Some("n1:1"));
    let leader = Some("n1:1".to_owned());
    assert_eq!(pd.ask(PdRequest::Cluster), Err(PdError::NotLeader { leader }));
}

#[test]
fn no_claim_without_a_valid_lease() {
    let mut pd = Bench::new(1, &Rows::default(), Some(bootstrap_plan(1, 1)));
    pd.status(Some((Term(6), false)), None);
    assert!(pd.rows.0.borrow().is_empty());
    assert!(!pd.core.is_serving());
}

#[test]
fn a_deposed_leader_answers_nothing_after_its_write_was_rejected() {
    let mut old = Bench::first(3, 4);
    old.holds_writes = true;
    let ids = old.send(PdRequest::AllocateIds { count: 5 });
    let behind = old.send(PdRequest::AllocateIds { count: 5 });
    let reads = old.send(PdRequest::Cluster);
    assert!(old.replies.is_empty(), "all wait for rows");

    let mut new = Bench::new(2, &old.rows, None);
    new.lead();
    assert_eq!(old.release(), WriteOutcome::Rejected);
    assert!(!old.core.is_serving());
    for id in [ids, behind, reads] {
        assert!(not_leader(&old.replies.remove(&id).unwrap()), "request {id}");
    }
    assert!(not_leader(&old.ask(PdRequest::Timestamps { count: 1 })));
    let (unix, now) = (old.unix, old.now);
    assert!(old.oracle.take(1, unix, || now).is_err(), "nor without a message");
}

#[test]
fn a_lost_lead_refuses_those_who_wait_and_says_what_is_unknown() {
    let mut pd = Bench::first(3, 4);
    pd.holds_writes = true;
    let sent = pd.send(PdRequest::AllocateIds { count: 5 });
    // The second needs another row, which is not sent while the first is on its way.
    let staged = pd.send(PdRequest::AllocateIds { count: 5000 });
    pd.status(None, Some("n2:1"));
    assert!(matches!(pd.replies.remove(&sent), Some(Err(PdError::Unavailable { .. }))));
    let leader = Some("n2:1".to_owned());
    assert_eq!(pd.replies.remove(&staged), Some(Err(PdError::NotLeader { leader })));
}

#[test]
fn a_late_write_of_the_predecessor_is_loaded_or_rejected() {
    let mut old = Bench::first(3, 4);
    old.holds_writes = true;
    old.send(PdRequest::AllocateIds { count: 5 });
    // The new leader has read the claim, but not yet written its own.
    let mut new = Bench::new(2, &old.rows, None);
    new.holds_writes = true;
    new.tick(true);
    assert_eq!(new.held.len(), 1, "the claim");
    assert_eq!(old.release(), WriteOutcome::Done);
    let Some(Ok(PdReply::Ids { first, count })) = old.replies.pop_first().map(|(_, r)| r) else {
        panic!("durable, so answered")
    };
    new.holds_writes = false;
    assert_eq!(new.release(), WriteOutcome::Done);
    new.lead();
    let Ok(PdReply::Ids { first: next, .. }) = new.ask(PdRequest::AllocateIds { count: 1 }) else {
        panic!("ids")
    };
    assert!(next >= first + u64::from(count), "{next} was given before");
}

#[test]
fn two_claims_at_once_one_wins() {
    let rows = Rows::default();
    let (mut a, mut b) = (
        Bench::new(1, &rows, Some(bootstrap_plan(1, 1))),
        Bench::new(2, &rows, Some(bootstrap_plan(1, 1))),
    );
    (a.holds_writes, b.holds_writes) = (true, true);
    a.tick(true);
    b.tick(true);
    assert_eq!(a.release(), WriteOutcome::Done);
    assert_eq!(b.release(), WriteOutcome::Rejected);
    assert!(a.core.is_serving());
    assert!(!b.core.is_serving());
}

#[test]
fn an_unknown_outcome_ends_the_reign_and_begins_another() {
    let mut pd = Bench::first(3, 4);
    pd.holds_writes = true;
    let id = pd.send(PdRequest::AllocateIds { count: 5 });
    let (write, ..) = pd.held.pop_front().unwrap();
    pd.holds_writes = false;
    let outcome = WriteOutcome::Unknown { why: "test".to_owned() };
    pd.step(Input::WriteDone { id: write, outcome });
    assert!(matches!(pd.replies.remove(&id), Some(Err(PdError::Unavailable { .. }))));
    assert!(!pd.core.is_serving());
    pd.tick(true);
    assert!(pd.core.is_serving());
}

#[test]
fn a_write_without_effect_is_sent_again() {
    let mut pd = Bench::first(3, 4);
    pd.holds_writes = true;
    let id = pd.send(PdRequest::AllocateIds { count: 5 });
    let (first, ..) = pd.held.pop_front().unwrap();
    pd.step(Input::WriteDone { id: first, outcome: WriteOutcome::TryAgain });
    assert!(pd.replies.is_empty());
    assert_eq!(pd.release(), WriteOutcome::Done);
    assert!(matches!(pd.replies.remove(&id), Some(Ok(PdReply::Ids { .. }))));
}

#[test]
fn a_new_term_ends_the_reign() {
    let mut pd = Bench::first(3, 4);
    pd.status(Some((Term(8), true)), None);
    assert!(!pd.core.is_serving(), "others may have led in between");
}

#[test]
fn without_a_confirmed_lease_nothing_is_answered() {
    let mut pd = Bench::first(3, 4);
    for _ in 0..6 {
        pd.pass(TICK);
        pd.step(Input::Tick);
        pd.status(Some((Term(6), false)), None);
    }
    assert_eq!(pd.code(PdRequest::Cluster), "unavailable");
    let (unix, now) = (pd.unix, pd.now);
    assert!(pd.oracle.take(1, unix, || now).is_err());
    pd.tick(true);
    assert_eq!(pd.code(PdRequest::Cluster), "ok");
}
