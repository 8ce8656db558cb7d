//! Hops and merging of trace tags.
use super::*;

#[test]
fn a_trace_ends_after_its_hops() {
    let mut tags = TraceTags::start(7);
    for left in (0..TRACE_HOPS).rev() {
        tags = tags.next_hop();
        assert_eq!(tags.tags(), [TraceTag { id: 7, hops_left: left }]);
    }
    assert!(tags.next_hop().is_empty());
}

#[test]
fn merged_tags_are_bounded_and_keep_the_longer_way() {
    let mut tags = TraceTags::start(1).next_hop();
    tags.merge(&TraceTags::start(1));
    assert_eq!(tags.tags(), [TraceTag { id: 1, hops_left: TRACE_HOPS }]);
    tags.merge(&TraceTags::start(1).next_hop());
    assert_eq!(tags.tags(), [TraceTag { id: 1, hops_left: TRACE_HOPS }]);
    for id in 2..=9 {
        tags.merge(&TraceTags::start(id));
    }
    let ids: Vec<u64> = tags.tags().iter().map(|tag| tag.id).collect();
    assert_eq!(ids, [1, 2, 3, 4]);
}
