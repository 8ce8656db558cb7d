//! The verdict covers every kind of note.
use super::*;
use crate::workload::txn::Level;
use std::collections::BTreeSet;

const TOTAL: i64 = 10;

fn asked(steps: Vec<ListStep>) -> ListTxn {
    ListTxn {
        client: 1,
        invoked: 0,
        returned: None,
        level: Level::Snapshot,
        fate: Fate::Unknown,
        read_ts: None,
        commit_ts: None,
        steps,
    }
}

fn wrong(book: &Book) -> String {
    book.verdict(TOTAL).wrong.join("; ")
}

#[test]
fn an_empty_book_is_fine_and_says_that_it_is_empty() {
    let verdict = Book::default().verdict(TOTAL);
    assert_eq!(verdict.wrong, Vec::<String>::new());
    assert_eq!((verdict.lists.counted, verdict.balances), (0, 0));
}

#[test]
fn lists_are_judged_by_what_was_noted_at_their_end() {
    let mut book = Book::default();
    let id = book.begin(asked(vec![ListStep::Append(0, 7)]));
    book.end(id, Fate::Committed, ListEnd { commit_ts: Some(Timestamp(5)), ..ListEnd::default() });
    let id = book.begin(asked(Vec::new()));
    let seen = |list| ListEnd {
        steps: Some(vec![ListStep::Read(0, list)]),
        read_ts: Some(Timestamp(6)),
        commit_ts: None,
    };
    let mut lost = book.clone();
    book.end(id, Fate::Committed, seen(vec![7]));
    assert_eq!(wrong(&book), "");
    assert_eq!(book.counts(), Counts { committed: 2, failed: 0, unknown: 0 });
    lost.end(id, Fate::Committed, seen(vec![]));
    assert!(wrong(&lost).contains("lost append of 7"), "{}", wrong(&lost));
}

#[test]
fn commits_out_of_real_time_are_found_across_kinds() {
    let mut book = Book::default();
    let (invoked, returned) = (book.tick(), book.tick());
    let who = "a transfer".to_owned();
    let commit_ts = Some(Timestamp(50));
    book.stamp(Stamped { who, invoked, returned, read_ts: None, commit_ts });
    let id = book.begin(asked(vec![ListStep::Append(0, 7)]));
    book.end(id, Fate::Committed, ListEnd { commit_ts: Some(Timestamp(5)), ..ListEnd::default() });
    assert!(wrong(&book).contains("external consistency"), "{}", wrong(&book));
}

#[test]
fn accounts_groups_and_attempts_are_judged() {
    let mut book = Book::default();
    book.saw_accounts(Balances { how: "a scan".to_owned(), accounts: vec![Some(4), Some(5)] });
    let sight = |key| Sight { group: 0, written: BTreeSet::from([key]), who: "r".to_owned() };
    book.saw_group(sight(1));
    book.saw_group(sight(2));
    let attempt = |ts| Attempt {
        key: "k".to_owned(),
        fate: Fate::Committed,
        commit_ts: Some(Timestamp(ts)),
        succeeded: true,
        repeated: false,
    };
    book.sent(attempt(1));
    book.sent(attempt(2));
    let wrong = wrong(&book);
    for what in ["holds 9 and not 10", "long fork", "two outcomes under one key"] {
        assert!(wrong.contains(what), "{what}: {wrong}");
    }
}
