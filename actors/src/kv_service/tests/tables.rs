//! The pure parts: the cache of routes, reactions to errors, pauses, the code at the deadline.
use super::*;

mod cache {
    use super::*;

    #[test]
    fn a_key_is_found_only_inside_its_region() {
        let mut cache = RegionCache::default();
        cache.insert(region(2, "b", "d", 1), Some(peer(1)));
        for (text, found) in [("a", false), ("b", true), ("c~", true), ("d", false)] {
            assert_eq!(cache.lookup(&key(text)).is_some(), found, "{text}");
        }
        for (end, found) in [("b", false), ("b0", true), ("d", true), ("d0", false)] {
            assert_eq!(cache.lookup_below(&key(end)).is_some(), found, "below {end}");
        }
    }

    #[test]
    fn a_split_replaces_the_parent_and_an_old_shape_does_not_come_back() {
        let mut cache = RegionCache::default();
        cache.insert(region(2, "", "", 1), Some(peer(1)));
        assert!(cache.insert(region(3, "m", "", 2), None));
        assert!(cache.lookup(&key("a")).is_none(), "the parent was wider than it can be now");
        assert!(!cache.insert(region(2, "", "", 1), Some(peer(1))), "old news");
        assert!(cache.insert(region(2, "", "m", 2), Some(peer(2))));
        assert_eq!(cache.len(), 2);
        assert_eq!(cache.lookup(&key("a")).unwrap().region.id, RegionId(2));
    }

    #[test]
    fn a_stale_shape_of_the_same_region_is_refused() {
        let mut cache = RegionCache::default();
        let mut newer = region(2, "", "", 1);
        newer.epoch.conf_ver = 5;
        assert!(cache.insert(newer, None));
        assert!(!cache.insert(region(2, "", "", 1), None));
    }

    #[test]
    fn leaders_are_learned_kept_and_forgotten() {
        let mut cache = RegionCache::default();
        cache.insert(region(2, "", "", 1), None);
        cache.set_leader(RegionId(2), Some(peer(3)));
        cache.insert(region(2, "", "m", 2), None);
        assert_eq!(cache.lookup(&key("a")).unwrap().leader, Some(peer(3)), "kept over a split");
        let mut without = region(2, "", "m", 2);
        without.peers.pop();
        without.epoch.conf_ver = 2;
        cache.insert(without, None);
        assert_eq!(cache.lookup(&key("a")).unwrap().leader, None, "it is no member any more");
    }

    #[test]
    fn invalidate_spares_what_was_learned_meanwhile() {
        let mut cache = RegionCache::default();
        cache.insert(region(2, "", "", 2), None);
        cache.invalidate(RegionId(2), RegionEpoch { conf_ver: 1, version: 1 });
        assert_eq!(cache.len(), 1);
        cache.invalidate(RegionId(2), RegionEpoch { conf_ver: 1, version: 2 });
        assert!(cache.is_empty() && cache.by_id(RegionId(2)).is_none());
    }
}

fn all_region_errors() -> Vec<(RegionError, Reaction)> {
    let region_id = RegionId(2);
    let shape = region(2, "", "m", 2);
    vec![
        (
            RegionError::NotLeader { region: region_id, leader: Some(peer(2)) },
            Reaction::AskLeader(peer(2)),
        ),
        (RegionError::NotLeader { region: region_id, leader: None }, Reaction::NextReplica),
        (
            RegionError::RegionNotFound { region: region_id, store: StoreId(1) },
            Reaction::RefreshRoute,
        ),
        (
            RegionError::EpochNotMatch { current: Box::new(shape.clone()) },
            Reaction::NewShape(shape),
        ),
        (RegionError::KeyNotInRegion { region: region_id }, Reaction::RefreshRoute),
        (busy(70), Reaction::BackOff { at_least_ms: 70 }),
        (RegionError::StaleCommand, Reaction::BackOff { at_least_ms: 0 }),
        (
            RegionError::NotReady { region: region_id, why: NotReadyReason::NewTerm },
            Reaction::NextReplica,
        ),
        (RegionError::RegionHalted { region: region_id, store: StoreId(1) }, Reaction::NextReplica),
        (RegionError::EntryTooLarge { actual: 2, limit: 1 }, Reaction::Fail(Code::TooLarge)),
        (RegionError::DiskFull { store: StoreId(1) }, Reaction::Fail(Code::DiskFull)),
        (RegionError::DeadlineExceeded, Reaction::Fail(Code::DeadlineExceeded)),
        (unknown(), Reaction::Fail(Code::OutcomeUnknown)),
        (RegionError::ChangeRefused { why: String::new() }, Reaction::Fail(Code::OperatorConflict)),
        (RegionError::WrongRecipient, Reaction::RefreshRoute),
        (RegionError::Malformed { what: String::new() }, Reaction::Fail(Code::Corruption)),
    ]
}

#[test]
fn reactions_to_region_errors() {
    for (error, reaction) in all_region_errors() {
        assert_eq!(on_region_error(&error, true), reaction, "{error:?}");
    }
    assert_eq!(on_region_error(&unknown(), false), Reaction::NextReplica, "reads may be repeated");
}

#[test]
fn a_write_goes_on_only_after_errors_that_promise_no_effect() {
    for (error, reaction) in all_region_errors() {
        if error.class() == Class::Unknown {
            assert!(matches!(reaction, Reaction::Fail(code) if code.class() == Class::Unknown));
        }
    }
    let broken = TransportError::Broken { why: String::new() };
    assert_eq!(on_transport_error(&broken, true), Reaction::Fail(Code::OutcomeUnknown));
    assert_eq!(on_transport_error(&broken, false), Reaction::NextReplica);
    let unreachable = TransportError::Unreachable { why: String::new() };
    assert_eq!(on_transport_error(&unreachable, true), Reaction::NextReplica);
}

#[test]
fn pauses_grow_and_hints_are_followed_at_once_only_twice() {
    let mut pauses = Pauses::default();
    let hint = Reaction::AskLeader(peer(1));
    assert_eq!(pauses.next(&hint), Duration::ZERO);
    assert_eq!(pauses.next(&hint), Duration::ZERO);
    let waits: Vec<u128> = (0..9).map(|_| pauses.next(&hint).as_millis()).collect();
    assert_eq!(waits, [2, 4, 8, 16, 32, 64, 128, 200, 200]);
    let busy = Reaction::BackOff { at_least_ms: 700 };
    assert_eq!(pauses.next(&busy), Duration::from_millis(700));
}

#[test]
fn the_code_at_the_deadline_says_what_was_wrong_all_the_time() {
    let halted = RegionError::RegionHalted { region: RegionId(2), store: StoreId(1) };
    let leaderless = RegionError::NotLeader { region: RegionId(2), leader: None };
    let table: Vec<(Vec<RegionError>, Code)> = vec![
        (vec![], Code::DeadlineExceeded),
        (vec![leaderless.clone()], Code::NoQuorum),
        (vec![leaderless.clone(), halted.clone()], Code::RegionUnavailable),
        (vec![busy(5)], Code::ServerBusy),
        (vec![busy(5), leaderless], Code::DeadlineExceeded),
        (vec![RegionError::StaleCommand], Code::DeadlineExceeded),
    ];
    for (errors, code) in table {
        let mut causes = Causes::default();
        errors.iter().for_each(|error| causes.region_error(RegionId(2), error));
        assert_eq!(causes.code_at_deadline(), code, "{errors:?}");
    }
    let mut causes = Causes::default();
    causes.pd_error(&PdError::NotLeader { leader: None });
    assert_eq!(causes.code_at_deadline(), Code::PdUnavailable);
}
