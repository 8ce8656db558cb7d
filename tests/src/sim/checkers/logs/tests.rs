//! Logs that contradict each other, or themselves of earlier, are found.
use super::{EntryView, LogView, LogWatch};
use raft::eraftpb::HardState;
use troupe_storage::raft_log::LogState;
use troupe_types::{
    KeyRange, LogIndex, Peer, PeerId, Region, RegionEpoch, RegionId, StoreId, Term,
};

/// The replica on Store `store` of three, with entries of these terms behind entry 5 of term 5, of
/// which those up to `committed` are committed and applied.
fn view(store: u64, terms: &[u64], committed: u64) -> LogView {
    let peers = (1..=3).map(|id| Peer::voter(PeerId(id), StoreId(id))).collect();
    let range = KeyRange::new(&b"a"[..], &b"z"[..]);
    let entry = |term: &u64| EntryView { term: Term(*term), hash: *term, is_conf: false };
    let term = terms.last().copied().unwrap_or(5);
    LogView {
        store: StoreId(store),
        life: 1,
        peer: PeerId(store),
        region: Region { id: RegionId(2), range, epoch: RegionEpoch::INITIAL, peers },
        applied: LogIndex(committed),
        applied_term: committed.checked_sub(6).map_or(Term(5), |at| Term(terms[at as usize])),
        log: LogState {
            hard_state: HardState { term, commit: committed, ..HardState::default() },
            truncated: (LogIndex(5), Term(5)),
            last_index: LogIndex(5 + terms.len() as u64),
        },
        entries: terms.iter().map(entry).collect(),
    }
}

/// What is found wrong in `looks`, which come one after the other.
fn wrong(looks: &[Vec<LogView>]) -> Vec<String> {
    let mut watch = LogWatch::default();
    // The first looks find out who the members are.
    watch.look(&[view(1, &[], 5), view(2, &[], 5), view(3, &[], 5)]);
    looks.iter().for_each(|views| watch.look(views));
    watch.wrong().to_vec()
}

fn assert_found(looks: &[Vec<LogView>], what: &str) {
    let wrong = wrong(looks);
    assert!(wrong.len() == 1 && wrong[0].contains(what), "{what} is not what is found: {wrong:?}");
}

#[test]
fn logs_that_agree_as_far_as_they_must_are_right() {
    let uncommitted = vec![view(1, &[6, 6, 6], 7), view(2, &[6, 6], 6), view(3, &[6, 7], 6)];
    let later = vec![view(1, &[6, 6, 6], 8), view(2, &[6, 6, 6], 8), view(3, &[6, 6, 6], 7)];
    assert_eq!(wrong(&[uncommitted[..2].to_vec(), later]), Vec::<String>::new());
    assert_eq!(wrong(&[uncommitted]), Vec::<String>::new());
}

#[test]
fn two_entries_of_one_index_and_term_are_found_also_at_different_times() {
    let mut other = view(2, &[6], 5);
    other.entries[0].hash = 99;
    assert_found(&[vec![view(1, &[6], 5), other.clone()]], "entry 6 is");
    assert_found(&[vec![view(1, &[6], 5)], vec![other]], "entry 6 is");
}

#[test]
fn one_entry_behind_different_pasts_is_found() {
    assert_found(&[vec![view(1, &[6, 7], 5), view(2, &[5, 7], 5)]], "entry 7 is");
    let mut cut = view(2, &[7], 5);
    cut.log.truncated = (LogIndex(6), Term(5));
    cut.log.last_index = LogIndex(7);
    assert_found(&[vec![view(1, &[6, 7], 5), cut]], "entry 7 is");
}

#[test]
fn a_committed_entry_that_becomes_another_is_found() {
    let before = vec![view(1, &[6], 6), view(2, &[6], 6), view(3, &[], 5)];
    let after = vec![view(1, &[6], 6), view(2, &[6], 6), view(3, &[7], 6)];
    assert_found(&[before, after], "was committed");
}

#[test]
fn what_is_committed_on_too_few_disks_is_found() {
    let one_disk = vec![view(1, &[6], 6), view(2, &[], 5), view(3, &[], 5)];
    assert_found(&[one_disk], "on 1 disks only");
}

#[test]
fn a_snapshot_says_nothing_of_the_log_that_it_replaces() {
    let mut installed = view(3, &[7, 7], 5);
    (installed.applied, installed.applied_term) = (LogIndex(7), Term(6));
    let before = vec![view(1, &[6, 6], 7), view(2, &[6, 6], 7), installed];
    assert_eq!(wrong(&[before]), Vec::<String>::new());
}

#[test]
fn what_is_cut_off_counts_as_held() {
    let mut cut = view(2, &[6, 6], 7);
    cut.entries.clear();
    cut.log.truncated = (LogIndex(7), Term(6));
    cut.log.last_index = LogIndex(7);
    let held = vec![view(1, &[6, 6], 6), cut, view(3, &[], 5)];
    assert_eq!(wrong(&[held]), Vec::<String>::new());
}

#[test]
fn a_majority_is_not_counted_while_the_members_change() {
    let mut changing = view(1, &[6], 6);
    changing.region.epoch.conf_ver += 1;
    let others = [view(2, &[], 5), view(3, &[], 5)];
    let looks = [&[changing][..], &others].concat();
    assert_eq!(wrong(&[looks]), Vec::<String>::new());
}

#[test]
fn a_term_that_goes_back_and_a_second_vote_are_found() {
    assert_found(&[vec![view(1, &[6], 5)], vec![view(1, &[], 5)]], "the term went back");
    let voted = |vote, life| {
        let mut view = view(1, &[6], 5);
        (view.log.hard_state.vote, view.life) = (vote, life);
        vec![view]
    };
    assert_found(&[voted(1, 1), voted(2, 1)], "another vote");
    assert_found(&[voted(1, 1), voted(0, 2)], "another vote");
    assert_eq!(wrong(&[voted(0, 1), voted(2, 2)]), Vec::<String>::new());
}

#[test]
fn indexes_go_back_with_a_crash_only() {
    let applied = |applied, life| {
        let mut view = view(1, &[6, 6], 7);
        (view.applied, view.life) = (LogIndex(applied), life);
        vec![view, self::view(2, &[6, 6], 7)]
    };
    assert_found(&[applied(7, 1), applied(6, 1)], "the applied index went back");
    assert_eq!(wrong(&[applied(7, 1), applied(6, 2)]), Vec::<String>::new());
    let mut back = applied(7, 1);
    back[0].log.hard_state.commit = 6;
    assert_found(&[applied(7, 1), back], "the commit index went back");
}
