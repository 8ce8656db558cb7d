//! Which writes share a sync, and who is told.
use super::core::{Append, Input, LogWriterCore, Output, Work};
use raft::eraftpb::{Entry, HardState};
use troupe_storage::raft_log::{LogBatch, RegionLogWrite};
use troupe_types::{Generation, LogIndex, RegionId, Term, TraceTags};

const A: RegionId = RegionId(1);
const B: RegionId = RegionId(2);

fn entries(indexes: std::ops::RangeInclusive<u64>, term: u64) -> Vec<Entry> {
    indexes.map(|index| Entry { index, term, ..Entry::default() }).collect()
}

fn write(entries: Vec<Entry>) -> RegionLogWrite {
    RegionLogWrite { entries, ..RegionLogWrite::default() }
}

fn hard_state(term: u64) -> Option<HardState> {
    Some(HardState { term, ..HardState::default() })
}

fn append(region: RegionId, number: u64, write: RegionLogWrite) -> Input<u64> {
    let generation = Generation(3);
    Input::Append(Append { region, generation, number, write, tags: TraceTags::NONE })
}

fn acked(region: RegionId, number: u64) -> Output<u64> {
    Output::Persisted { region, generation: Generation(3), number, tags: TraceTags::NONE }
}

/// Takes all of `inputs`; answers what came out.
fn steps(core: &mut LogWriterCore<u64>, inputs: Vec<Input<u64>>) -> Vec<Output<u64>> {
    let mut out = Vec::new();
    for input in inputs {
        core.step(input, &mut out);
    }
    out
}

fn batch(regions: Vec<(RegionId, RegionLogWrite)>) -> Output<u64> {
    Output::Write(Work { batch: LogBatch { regions }, ..Work::default() })
}

#[test]
fn writes_of_all_regions_that_arrive_together_share_a_batch() {
    let mut core = LogWriterCore::default();
    let inputs = vec![
        append(B, 1, write(entries(6..=6, 6))),
        append(A, 4, write(entries(9..=9, 7))),
        append(B, 2, write(entries(7..=8, 6))),
        Input::Flush,
    ];
    let expected = batch(vec![(A, write(entries(9..=9, 7))), (B, write(entries(6..=8, 6)))]);
    assert_eq!(steps(&mut core, inputs), [expected]);
    // What arrives while the sync is under way waits for the next one.
    let during = vec![append(A, 5, write(entries(10..=10, 7))), Input::Flush];
    assert_eq!(steps(&mut core, during), []);
    assert_eq!(steps(&mut core, vec![Input::Done]), [acked(A, 4), acked(B, 2)]);
    let expected = batch(vec![(A, write(entries(10..=10, 7)))]);
    assert_eq!(steps(&mut core, vec![Input::Flush]), [expected]);
    assert_eq!(steps(&mut core, vec![Input::Done, Input::Flush]), [acked(A, 5)]);
}

/// Two writes of one Region in one batch leave what both, one after the other, would leave.
#[test]
fn writes_of_one_region_merge_as_if_written_in_turn() {
    let with_state =
        |write: RegionLogWrite, term| RegionLogWrite { hard_state: hard_state(term), ..write };
    let reset = |write: RegionLogWrite, index| RegionLogWrite {
        reset_to: Some((LogIndex(index), Term(9))),
        ..write
    };
    let mixed: Vec<Entry> = [entries(6..=7, 6), entries(8..=8, 7)].concat();
    let replaced: Vec<Entry> = entries(6..=6, 7);
    let table = [
        (write(entries(6..=7, 6)), write(entries(8..=8, 7)), write(mixed.clone())),
        // The later tail replaces what it overlaps.
        (write(entries(6..=9, 6)), write(entries(8..=8, 7)), write(mixed)),
        (write(entries(6..=9, 6)), write(replaced.clone()), write(replaced)),
        (with_state(write(vec![]), 6), with_state(write(vec![]), 7), with_state(write(vec![]), 7)),
        (with_state(write(vec![]), 6), write(vec![]), with_state(write(vec![]), 6)),
        // A reset forgets earlier entries, not the earlier hard state.
        (
            with_state(write(entries(6..=9, 6)), 6),
            reset(write(entries(51..=52, 9)), 50),
            with_state(reset(write(entries(51..=52, 9)), 50), 6),
        ),
        // What follows a reset is appended behind it.
        (
            reset(write(vec![]), 50),
            with_state(write(entries(51..=51, 9)), 9),
            with_state(reset(write(entries(51..=51, 9)), 50), 9),
        ),
        (reset(write(entries(51..=51, 9)), 50), reset(write(vec![]), 60), reset(write(vec![]), 60)),
    ];
    for (earlier, later, expected) in table {
        let mut core = LogWriterCore::default();
        let inputs = vec![append(A, 1, earlier), append(A, 2, later), Input::Flush];
        assert_eq!(steps(&mut core, inputs), [batch(vec![(A, expected)])]);
        assert_eq!(steps(&mut core, vec![Input::Done]), [acked(A, 2)], "the highest number");
    }
}

#[test]
fn traces_of_all_merged_writes_are_told() {
    let mut core = LogWriterCore::default();
    for (number, trace) in [(1, 11), (2, 22)] {
        let Input::Append(one) = append(A, number, write(entries(6..=6, 6))) else { return };
        let one = Append { tags: TraceTags::start(trace), ..one };
        steps(&mut core, vec![Input::Append(one)]);
    }
    let out = steps(&mut core, vec![Input::Flush, Input::Done]);
    let Some(Output::Persisted { tags, .. }) = out.last() else { panic!("{out:?}") };
    let mut traces: Vec<u64> = tags.tags().iter().map(|tag| tag.id).collect();
    traces.sort_unstable();
    assert_eq!(traces, [11, 22]);
}

#[test]
fn a_fence_waits_for_its_region_alone() {
    let mut core = LogWriterCore::default();
    assert_eq!(steps(&mut core, vec![Input::Fence(A, 1)]), [Output::Fenced(1)]);
    steps(&mut core, vec![append(A, 1, write(entries(6..=6, 6)))]);
    let fences = vec![Input::Fence(A, 2), Input::Fence(B, 3)];
    assert_eq!(steps(&mut core, fences), [Output::Fenced(3)], "A is queued");
    assert_eq!(steps(&mut core, vec![Input::Flush]).len(), 1, "A is under way");
    assert_eq!(steps(&mut core, vec![Input::Done]), [acked(A, 1), Output::Fenced(2)]);
}

#[test]
fn a_full_disk_keeps_the_batch_and_the_order() {
    let mut core = LogWriterCore::default();
    let first = write(entries(6..=6, 6));
    steps(&mut core, vec![append(A, 1, first.clone()), Input::Flush]);
    let stalled = LogBatch { regions: vec![(A, first.clone())] };
    let out = steps(&mut core, vec![Input::DiskFull(stalled.clone())]);
    assert_eq!(out, [Output::RetryLater]);
    // Later writes do not overtake it, and its fence does not open.
    let second = append(A, 2, write(entries(7..=7, 6)));
    assert_eq!(steps(&mut core, vec![second, Input::Flush, Input::Fence(A, 9)]), []);
    assert_eq!(steps(&mut core, vec![Input::Retry]), [batch(vec![(A, first)])]);
    assert_eq!(steps(&mut core, vec![Input::DiskFull(stalled)]), [Output::RetryLater]);
    assert_eq!(steps(&mut core, vec![Input::Retry]).len(), 1);
    assert_eq!(steps(&mut core, vec![Input::Retry]), [], "once for each refusal");
    assert_eq!(steps(&mut core, vec![Input::Done]), [acked(A, 1)]);
    let expected = batch(vec![(A, write(entries(7..=7, 6)))]);
    assert_eq!(steps(&mut core, vec![Input::Flush]), [expected]);
    assert_eq!(steps(&mut core, vec![Input::Done]), [acked(A, 2), Output::Fenced(9)]);
}

#[test]
fn the_furthest_compaction_counts() {
    let mut core = LogWriterCore::default();
    let inputs = vec![
        Input::Compact(A, LogIndex(9)),
        Input::Compact(A, LogIndex(7)),
        Input::Compact(B, LogIndex(5)),
        Input::Flush,
    ];
    let compact = vec![(A, LogIndex(9)), (B, LogIndex(5))];
    assert_eq!(steps(&mut core, inputs), [Output::Write(Work { compact, ..Work::default() })]);
    assert_eq!(steps(&mut core, vec![Input::Done, Input::Flush]), []);
}

/// Lazy work comes first in a round. A write that the destroyed replica had queued came behind the
/// order to forget its log, and brought the log back to life for ever.
#[test]
fn a_forgotten_region_is_not_written_again() {
    let mut core = LogWriterCore::default();
    let inputs = vec![
        append(A, 1, write(entries(6..=6, 6))),
        append(B, 1, write(entries(6..=6, 6))),
        Input::Compact(A, LogIndex(5)),
        Input::Forget(A),
        // A later replica of the same Region.
        append(A, 2, write(entries(51..=51, 9))),
        Input::Flush,
    ];
    let regions = vec![(A, write(entries(51..=51, 9))), (B, write(entries(6..=6, 6)))];
    let work = Work { batch: LogBatch { regions }, compact: Vec::new(), forget: vec![A] };
    assert_eq!(steps(&mut core, inputs), [Output::Write(work)]);
}
