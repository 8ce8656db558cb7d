//! Timestamps only grow; ids never repeat.
use super::*;
use troupe_types::Timestamp;

fn take(pd: &mut Bench, count: u32) -> Timestamp {
    match pd.ask(PdRequest::Timestamps { count }) {
        Ok(PdReply::Timestamps { last, count: given }) => {
            assert_eq!(given, count);
            last
        }
        other => panic!("unexpected {other:?}"),
    }
}

#[test]
fn batches_do_not_overlap_and_share_a_millisecond() {
    let mut pd = Bench::first(1, 1);
    let mut before = Timestamp(0);
    for count in [1, 1, 7, 262_144, 1, 262_143, 2, 262_144, 100_000, 200_000] {
        let last = take(&mut pd, count);
        let first = Timestamp(last.get() + 1 - u64::from(count));
        assert!(first > before, "{count}");
        assert_eq!(first.physical_ms(), last.physical_ms(), "{count}");
        before = last;
    }
    assert_eq!(pd.code(PdRequest::Timestamps { count: 0 }), "BAD_PARAMETER");
    assert_eq!(pd.code(PdRequest::Timestamps { count: 262_145 }), "BAD_PARAMETER");
}

#[test]
fn timestamps_follow_the_clock_but_never_back() {
    let mut pd = Bench::first(1, 1);
    let before = take(&mut pd, 1);
    assert_eq!(before.physical_ms(), pd.unix.get());
    pd.unix.0 -= 3_600_000;
    let behind = take(&mut pd, 1);
    assert!(behind > before);
    pd.unix.0 += 3_600_000 + 60_000;
    let ahead = take(&mut pd, 1);
    assert_eq!(ahead.physical_ms(), pd.unix.get(), "the window follows a jump");
}

/// Found by the simulator: after the wall clock had been set back, locks of dead transactions did not
/// expire for as long as it was set back, and their keys could not be read.
#[test]
fn time_goes_on_while_the_wall_clock_is_behind() {
    let mut pd = Bench::first(1, 1);
    let before = take(&mut pd, 1);
    pd.unix.0 -= 3_600_000;
    let began = pd.now;
    for _ in 0..200 {
        pd.tick(true);
        take(&mut pd, 1);
    }
    let passed = u64::try_from(pd.now.since(began).as_millis()).unwrap();
    let grown = take(&mut pd, 1).physical_ms() - before.physical_ms();
    assert!(passed > 1_000, "{passed} ms show something");
    assert!((passed * 3 / 4..=passed).contains(&grown), "{grown} ms in {passed} ms");
}

#[test]
fn the_bound_is_durable_before_it_is_used() {
    let mut pd = Bench::first(1, 1);
    take(&mut pd, 1);
    for _ in 0..100 {
        pd.tick(true);
        let last = take(&mut pd, 100_000);
        let rows = pd.rows.0.borrow();
        let bound: u64 = troupe_types::codec::decode(&rows[&b"s/tso"[..]]).unwrap();
        assert!(last.physical_ms() < bound);
    }
}

#[test]
fn an_idle_oracle_writes_nothing() {
    let mut pd = Bench::first(1, 1);
    take(&mut pd, 1);
    for _ in 0..100 {
        pd.tick(true);
    }
    let rows = pd.rows.0.borrow().clone();
    for _ in 0..100 {
        pd.tick(true);
    }
    assert_eq!(*pd.rows.0.borrow(), rows);
}

#[test]
fn a_new_leader_starts_above_the_old_ones_window_even_with_a_slow_clock() {
    let mut old = Bench::first(1, 1);
    let last = take(&mut old, 1000);
    let mut new = Bench::new(2, &old.rows, None);
    new.unix.0 -= 3_600_000;
    new.lead();
    assert!(take(&mut new, 1) > last);
}

#[test]
fn a_new_leader_waits_until_the_old_one_surely_gives_none() {
    let mut old = Bench::first(1, 1);
    old.tick(true);
    let mut new = Bench::new(2, &old.rows, None);
    new.now = old.now;
    new.tick(true);
    let waits = new.send(PdRequest::Timestamps { count: 1 });
    // The old one was confirmed a tick ago, for four ticks; the new one waits five.
    let mut answered_at = None;
    for _ in 0..10 {
        old.pass(TICK);
        new.tick(true);
        let (unix, now) = (old.unix, old.now);
        let old_gives = old.oracle.take(1, unix, || now).is_ok();
        if new.replies.contains_key(&waits) {
            answered_at = answered_at.or(Some(new.now));
            assert!(!old_gives, "both would give timestamps");
        }
    }
    assert!(answered_at.is_some());
}

#[test]
fn a_restarted_process_starts_above_its_own_window() {
    let mut pd = Bench::first(1, 1);
    let last = take(&mut pd, 262_144);
    let mut again = Bench::new(1, &pd.rows, None);
    again.lead();
    assert!(take(&mut again, 1) > last);
}

#[test]
fn ids_never_repeat_whether_the_last_write_is_lost_or_kept() {
    for is_kept in [false, true] {
        let mut old = Bench::first(1, 1);
        let mut given = Vec::new();
        for _ in 0..3 {
            let Ok(PdReply::Ids { first, count }) = old.ask(PdRequest::AllocateIds { count: 700 })
            else {
                panic!("ids")
            };
            given.extend(first..first + u64::from(count));
        }
        old.holds_writes = true;
        old.send(PdRequest::AllocateIds { count: 5000 });
        assert!(old.replies.is_empty());
        if is_kept {
            let (_, expect, rows) = old.held.pop_front().unwrap();
            assert_eq!(old.rows.write(&expect, &rows), WriteOutcome::Done);
        }
        let mut new = Bench::new(2, &old.rows, None);
        new.lead();
        for _ in 0..3 {
            let Ok(PdReply::Ids { first, count }) = new.ask(PdRequest::AllocateIds { count: 700 })
            else {
                panic!("ids")
            };
            given.extend(first..first + u64::from(count));
        }
        let all = given.len();
        given.sort_unstable();
        given.dedup();
        assert_eq!(given.len(), all, "kept: {is_kept}");
        assert!(given[0] >= 100);
    }
}
