//! Histories of lists: each anomaly is found, clean ones pass.
use super::*;
use std::time::{Duration, Instant};
use troupe_actors::env::Rngs;
use troupe_actors::real_env::SeededRngs;

fn a(key: u32, value: u64) -> ListStep {
    ListStep::Append(key, value)
}

fn r(key: u32, list: &[u64]) -> ListStep {
    ListStep::Read(key, list.to_vec())
}

/// All at the same time.
fn txn(steps: Vec<ListStep>) -> ListTxn {
    ListTxn {
        client: 1,
        invoked: 1,
        returned: Some(1_000),
        level: Level::Snapshot,
        fate: Fate::Committed,
        read_ts: None,
        commit_ts: None,
        steps,
    }
}

fn at(invoked: u64, returned: u64, steps: Vec<ListStep>) -> ListTxn {
    ListTxn { invoked, returned: Some(returned), ..txn(steps) }
}

fn serializable(steps: Vec<ListStep>) -> ListTxn {
    ListTxn { level: Level::Serializable, ..txn(steps) }
}

/// What the first complaint begins with; nothing if there is none.
fn verdict(history: &[ListTxn]) -> String {
    let found = check(history);
    found.wrong.first().map(|text| text.split(':').next().unwrap().to_owned()).unwrap_or_default()
}

#[test]
fn each_anomaly_has_its_name() {
    let failed = |steps| ListTxn { fate: Fate::Failed, ..txn(steps) };
    let cases = [
        ("", vec![]),
        ("", vec![txn(vec![r(1, &[]), a(1, 1), r(1, &[1])]), txn(vec![r(1, &[1])])]),
        // Two write both keys, in another order each.
        (
            "G0",
            vec![
                txn(vec![a(1, 1), a(2, 1)]),
                txn(vec![a(1, 2), a(2, 2)]),
                txn(vec![r(1, &[1, 2]), r(2, &[2, 1])]),
            ],
        ),
        ("G1a", vec![failed(vec![a(1, 1)]), txn(vec![r(1, &[1])])]),
        ("G1b", vec![txn(vec![a(1, 1), a(1, 2)]), txn(vec![r(1, &[1])]), txn(vec![r(1, &[1, 2])])]),
        // Each reads what the other wrote.
        ("G1c", vec![txn(vec![a(1, 1), r(2, &[1])]), txn(vec![a(2, 1), r(1, &[1])])]),
        // One snapshot with a half of a transaction.
        (
            "G-single",
            vec![
                txn(vec![a(1, 1), a(2, 1)]),
                txn(vec![r(1, &[1]), r(2, &[])]),
                txn(vec![r(2, &[1])]),
            ],
        ),
        // A long fork.
        (
            "G-nonadjacent",
            vec![
                txn(vec![a(1, 1)]),
                txn(vec![a(2, 1)]),
                txn(vec![r(1, &[1]), r(2, &[])]),
                txn(vec![r(1, &[]), r(2, &[1])]),
            ],
        ),
        // Both append to what they read, and the second overwrites the first.
        (
            "lost append of 1 to key 1",
            vec![
                at(1, 5, vec![r(1, &[]), a(1, 1)]),
                at(2, 6, vec![r(1, &[]), a(1, 2)]),
                at(7, 8, vec![r(1, &[2])]),
            ],
        ),
        // As above, with both kept: they overlap, and both read nothing.
        (
            "G-single",
            vec![
                txn(vec![r(1, &[]), a(1, 1)]),
                txn(vec![r(1, &[]), a(1, 2)]),
                txn(vec![r(1, &[1, 2])]),
            ],
        ),
        (
            "incompatible orders of key 1",
            vec![
                txn(vec![a(1, 1)]),
                txn(vec![a(1, 2)]),
                txn(vec![r(1, &[1])]),
                txn(vec![r(1, &[2])]),
            ],
        ),
        ("key 1 holds 1 twice", vec![txn(vec![a(1, 1)]), txn(vec![r(1, &[1, 1])])]),
        ("nobody wrote 9 of key 1", vec![txn(vec![r(1, &[9])])]),
        ("internal", vec![txn(vec![a(1, 1), r(1, &[])])]),
        ("internal", vec![txn(vec![r(1, &[]), r(1, &[1])]), txn(vec![a(1, 1)])]),
        // A read that was asked for after the write was acknowledged.
        (
            "G-single-realtime",
            vec![at(1, 2, vec![a(1, 1)]), at(3, 4, vec![r(1, &[])]), at(5, 6, vec![r(1, &[1])])],
        ),
        // Two writes that were applied against real time.
        (
            "G0-realtime",
            vec![at(1, 2, vec![a(1, 1)]), at(3, 4, vec![a(1, 2)]), at(5, 6, vec![r(1, &[2, 1])])],
        ),
    ];
    for (number, (name, history)) in cases.into_iter().enumerate() {
        assert_eq!(verdict(&history), name, "case {number}: {:?}", check(&history).wrong);
    }
}

#[test]
fn write_skew_is_counted_under_snapshot_isolation_and_forbidden_when_serializable() {
    let skew = |make: fn(Vec<ListStep>) -> ListTxn| {
        vec![
            make(vec![r(1, &[]), a(2, 1)]),
            make(vec![r(2, &[]), a(1, 1)]),
            txn(vec![r(1, &[1]), r(2, &[1])]),
        ]
    };
    let found = check(&skew(txn));
    assert_eq!((found.wrong.len(), found.write_skews), (0, 1), "{:?}", found.wrong);
    assert_eq!(verdict(&skew(serializable)), "G2-item");
    // One that is serializable does not make the other so.
    let mut mixed = skew(txn);
    mixed[0].level = Level::Serializable;
    assert_eq!(verdict(&mixed), "");
}

#[test]
fn a_read_of_the_past_may_miss_what_is_acknowledged_but_not_half_of_it() {
    let past = |steps| ListTxn { level: Level::Past, ..at(10, 11, steps) };
    let write = at(1, 2, vec![a(1, 1), a(2, 1)]);
    let last = at(20, 21, vec![r(1, &[1]), r(2, &[1])]);
    let old = past(vec![r(1, &[]), r(2, &[])]);
    assert_eq!(verdict(&[write.clone(), old, last.clone()]), "");
    let torn = past(vec![r(1, &[1]), r(2, &[])]);
    assert_eq!(verdict(&[write, torn, last]), "G-single");
}

#[test]
fn an_unknown_outcome_may_go_either_way_but_not_both() {
    let open = ListTxn { fate: Fate::Unknown, returned: None, ..txn(vec![a(1, 1), a(2, 1)]) };
    let nothing = at(50, 60, vec![r(1, &[]), r(2, &[])]);
    let all = at(50, 60, vec![r(1, &[1]), r(2, &[1])]);
    assert_eq!(verdict(&[open.clone(), nothing]), "");
    assert_eq!(verdict(&[open.clone(), all.clone()]), "");
    assert_eq!(check(&[open.clone(), all]).counted, 2);
    let half = [at(50, 60, vec![r(1, &[1])]), at(70, 80, vec![r(2, &[])])];
    let lost = [vec![open], half.to_vec()].concat();
    assert_eq!(verdict(&lost), "lost append of 1 to key 2");
}

/// What a correct database with snapshot isolation answers: the first to commit wins.
fn random_history(seed: u64, count: usize) -> Vec<ListTxn> {
    const KEYS: u64 = 40;
    const OPEN: usize = 8;
    let mut rng = SeededRngs::new(seed).rng("history");
    let mut below = |end: u64| rng.between(0, end);
    let mut now = 0;
    let mut store: BTreeMap<u32, Vec<(u64, u64)>> = BTreeMap::new();
    let mut open: Vec<(u64, ListTxn)> = Vec::new();
    let mut history = Vec::new();
    let mut value = 0;
    while history.len() < count {
        now += 1;
        if open.len() < OPEN {
            let keys: BTreeSet<u32> = (0..3).map(|_| below(KEYS) as u32).collect();
            let mut begun = at(now, now, Vec::new());
            for key in keys {
                let versions = store.entry(key).or_default().iter();
                begun.steps.push(r(key, &versions.map(|(value, _)| *value).collect::<Vec<_>>()));
                if below(3) == 0 {
                    value += 1;
                    begun.steps.push(a(key, value));
                }
            }
            open.push((now, begun));
            continue;
        }
        let (began, mut ended) = open.swap_remove(below(OPEN as u64) as usize);
        let is_newer = |(key, _): (u32, u64)| {
            store.get(&key).and_then(|versions| versions.last()).is_some_and(|(_, at)| *at > began)
        };
        if ended.appends().any(is_newer) {
            ended.fate = Fate::Failed;
        } else {
            for (key, value) in ended.appends() {
                store.entry(key).or_default().push((value, now));
            }
            if below(20) == 0 {
                ended.fate = Fate::Unknown;
            }
        }
        now += 1;
        ended.returned = Some(now);
        history.push(ended);
    }
    let all = store.iter().map(|(key, versions)| {
        r(*key, &versions.iter().map(|(value, _)| *value).collect::<Vec<_>>())
    });
    history.push(at(now + 1, now + 2, all.collect()));
    history
}

#[test]
fn what_a_correct_database_answers_passes() {
    for seed in 1..=20 {
        let history = random_history(seed, 400);
        let found = check(&history);
        assert_eq!(found.wrong, Vec::<String>::new(), "seed {seed}");
        assert!(found.counted > 100 && found.reads > 300, "{found:?}");
    }
}

#[test]
fn one_stale_read_among_many_is_found() {
    let mut missed = Vec::new();
    for seed in 1..=20 {
        let mut history = random_history(seed, 400);
        // A reader whose list lacks what its own snapshot of another key proves to be there.
        let spoilt = history.iter_mut().rev().skip(50).find_map(|txn| {
            let is_reader = txn.fate == Fate::Committed && txn.appends().count() == 0;
            let long = txn.steps.iter_mut().find_map(|step| match step {
                ListStep::Read(_, list) if list.len() > 4 => Some(list),
                ListStep::Read(..) | ListStep::Append(..) => None,
            });
            long.filter(|_| is_reader).map(|list| list.truncate(list.len() - 4))
        });
        spoilt.expect("there is such a reader");
        if check(&history).wrong.is_empty() {
            missed.push(seed);
        }
    }
    assert_eq!(missed, Vec::<u64>::new());
}

#[test]
#[expect(clippy::disallowed_methods, reason = "how long a check takes is real time")]
fn ten_thousand_transactions_take_less_than_seconds() {
    let history = random_history(77, 10_000);
    let began = Instant::now();
    let found = check(&history);
    let took = began.elapsed();
    assert_eq!(found.wrong, Vec::<String>::new());
    assert!(found.write_skews > 0, "{found:?}");
    assert!(took < Duration::from_secs(5), "{took:?}");
}
