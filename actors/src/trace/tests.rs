//! The ring of spans, and what acts on a thread.
use super::*;

fn span(trace: u64) -> Span {
    Span {
        trace,
        seq: 0,
        from: "a".to_owned(),
        to: "b".to_owned(),
        message: "M",
        sent: Moment(0),
        handled_at: UnixMillis(0),
        wait_us: 0,
        work_us: 0,
    }
}

#[test]
fn the_ring_is_bounded_and_keeps_the_newest_in_order() {
    let ring = TraceRing::new(4);
    for n in 0..10 {
        ring.push(span(n % 2));
    }
    let kept: Vec<_> = ring.all().iter().map(|span| (span.seq, span.trace)).collect();
    assert_eq!(kept, [(6, 0), (7, 1), (8, 0), (9, 1)]);
    let odd: Vec<_> = ring.trace(1).iter().map(|span| span.seq).collect();
    assert_eq!(odd, [7, 9]);
}

#[test]
fn what_acts_is_put_back_even_after_a_panic() {
    let outer = Current { actor: ActorId(1), tags: TraceTags::start(5) };
    with(outer, || {
        let inner = Current { actor: ActorId(2), tags: TraceTags::NONE };
        let broken = std::panic::catch_unwind(|| with(inner, || assert_eq!(current().actor.0, 9)));
        assert!(broken.is_err());
        assert_eq!((current().actor, current().tags), (ActorId(1), TraceTags::start(5)));
        with_tags(TraceTags::start(6), || {
            assert_eq!((current().actor, current().tags), (ActorId(1), TraceTags::start(6)));
        });
    });
    assert_eq!(current().actor, ActorId(0));
}
