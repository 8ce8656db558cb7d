//! What the link decides, without any network.
use super::core::{Input, LinkCore, Output, QueuedCall};
use crate::transport::options::LinkOptions;
use bytes::Bytes;
use std::time::Duration;
use troupe_types::raft_message::RaftEnvelope;
use troupe_types::request::{RegionBody, RegionRequest, RegionTarget};
use troupe_types::{ClusterId, Moment, Peer, PeerId, RegionEpoch, RegionId, StoreId, TraceTags};

const TO: StoreId = StoreId(2);

fn options() -> LinkOptions {
    LinkOptions {
        outbox_messages: 4,
        outbox_bytes: 4000,
        waiting_calls: 2,
        frame_items: 3,
        frame_bytes: 1000,
        ..LinkOptions::default()
    }
}

fn envelope(number: u64, bytes: usize) -> RaftEnvelope {
    RaftEnvelope {
        cluster: ClusterId(1),
        region: RegionId(number),
        from: Peer::voter(PeerId(1), StoreId(1)),
        to: Peer::voter(PeerId(2), TO),
        epoch: RegionEpoch::INITIAL,
        message: Bytes::from(vec![0; bytes]),
        is_tombstone: false,
    }
}

fn call(id: u64) -> Input {
    let target = RegionTarget { region: RegionId(7), epoch: RegionEpoch::INITIAL };
    let request =
        RegionRequest { store: TO, target, body: RegionBody::Status, traces: TraceTags::NONE };
    Input::Call(QueuedCall { id, deadline: Moment::NEVER, bytes: 10, request })
}

struct Link {
    core: LinkCore,
    now: Moment,
}

impl Link {
    fn new() -> Self {
        Self { core: LinkCore::new(options()), now: Moment(0).after(Duration::from_secs(100)) }
    }

    fn step(&mut self, input: Input) -> Vec<Output> {
        let mut out = Vec::new();
        self.core.step(self.now, input, &mut out);
        out
    }

    fn raft(&mut self, numbers: std::ops::Range<u64>, bytes: usize) -> Vec<Output> {
        let messages = numbers.map(|number| envelope(number, bytes)).collect();
        self.step(Input::Raft { to: TO, messages, tags: TraceTags::NONE })
    }

    fn flush(&mut self) -> Vec<Output> {
        self.step(Input::Flush { raft_room: 4, call_room: 4 })
    }

    fn up() -> Self {
        let mut link = Self::new();
        assert_eq!(link.raft(0..0, 0), [Output::Connect(1)]);
        assert_eq!(link.step(Input::Connected(1)), []);
        link
    }

    fn wait_after_loss(&mut self, attempt: u64) -> Duration {
        let out = self.step(Input::Lost { attempt, jitter: 0 });
        let wait = out.iter().find_map(|output| match output {
            Output::WakeAfter(wait, _) => Some(*wait),
            _ => None,
        });
        wait.expect("a loss plans the next attempt")
    }
}

fn frames(outputs: &[Output]) -> Vec<Vec<u64>> {
    let frame = |output: &Output| match output {
        Output::SendRaft { messages, .. } => {
            Some(messages.iter().map(|message| message.region.get()).collect())
        }
        _ => None,
    };
    outputs.iter().filter_map(frame).collect()
}

#[test]
fn connects_on_demand_and_sends_what_waited_in_order() {
    let mut link = Link::new();
    assert_eq!(link.raft(0..2, 10), [Output::Connect(1)]);
    assert_eq!(link.flush(), [], "nothing is sent before the connection stands");
    assert_eq!(link.raft(2..4, 10), [], "one attempt at a time");
    link.step(Input::Connected(1));
    assert_eq!(frames(&link.flush()), [vec![0, 1, 2], vec![3]]);
    assert_eq!(link.flush(), []);
}

#[test]
fn frames_end_at_their_bytes_but_a_large_message_goes_alone() {
    let mut link = Link::up();
    link.raft(0..1, 500);
    link.raft(1..2, 500);
    link.raft(2..3, 2000);
    assert_eq!(frames(&link.flush()), [vec![0], vec![1], vec![2]]);
}

#[test]
fn a_full_outbox_drops_counts_and_reports_once_in_a_while() {
    let mut link = Link::up();
    let out = link.raft(0..6, 10);
    assert_eq!(out, [Output::Dropped { messages: 2 }, Output::ReportUnreachable(TO)]);
    assert_eq!(link.raft(6..7, 10), [Output::Dropped { messages: 1 }]);
    link.now = link.now.after(Duration::from_secs(2));
    assert!(link.raft(7..8, 10).contains(&Output::ReportUnreachable(TO)));
    assert_eq!(frames(&link.flush()), [vec![0, 1, 2], vec![3]], "the oldest are kept");
}

#[test]
fn the_outbox_is_also_limited_by_bytes() {
    let mut link = Link::up();
    assert_eq!(link.raft(0..1, 3000), []);
    assert!(link.raft(1..2, 3000).contains(&Output::Dropped { messages: 1 }));
}

#[test]
fn asks_to_be_told_when_there_is_room_again() {
    let mut link = Link::up();
    link.raft(0..4, 10);
    let out = link.step(Input::Flush { raft_room: 1, call_room: 0 });
    assert_eq!(frames(&out), [vec![0, 1, 2]]);
    assert!(out.contains(&Output::TellRoom { raft: true, calls: false }));
    assert_eq!(frames(&link.step(Input::Flush { raft_room: 1, call_room: 1 })), [vec![3]]);
}

#[test]
fn a_loss_fails_what_waits_and_refuses_until_the_wait_is_over() {
    let mut link = Link::up();
    link.raft(0..2, 10);
    link.step(call(1));
    let out = link.step(Input::Lost { attempt: 1, jitter: 0 });
    assert_eq!(
        out,
        [
            Output::ForgetConnection(1),
            Output::FailCall { id: 1, why: "the connection was lost" },
            Output::Dropped { messages: 2 },
            Output::ReportUnreachable(TO),
            Output::WakeAfter(Duration::from_millis(100), 1),
        ]
    );
    assert!(matches!(link.step(call(2))[..], [Output::FailCall { id: 2, .. }]));
    assert_eq!(link.raft(2..3, 10), [Output::Dropped { messages: 1 }]);
    assert_eq!(link.step(Input::Woken(1)), [Output::Connect(2)], "it was wanted meanwhile");
    assert_eq!(link.step(Input::Lost { attempt: 1, jitter: 0 }), [], "late news");
    assert_eq!(link.step(call(3)), []);
    link.step(Input::Connected(2));
    assert!(matches!(&link.flush()[..], [Output::SendCalls(calls)] if calls[0].id == 3));
}

#[test]
fn waits_double_up_to_a_limit_and_a_good_connection_forgives() {
    let mut link = Link::up();
    let mut waits = Vec::new();
    for attempt in 1..=8 {
        waits.push(link.wait_after_loss(attempt).as_millis());
        link.step(call(0));
        assert_eq!(link.step(Input::Woken(attempt)), [Output::Connect(attempt + 1)]);
    }
    assert_eq!(waits, [100, 200, 400, 800, 1600, 3000, 3000, 3000]);
    link.step(Input::Connected(9));
    link.now = link.now.after(Duration::from_secs(60));
    assert_eq!(link.wait_after_loss(9).as_millis(), 100);
}

#[test]
fn requests_beyond_the_limit_are_refused() {
    let mut link = Link::up();
    assert_eq!(link.step(call(1)), []);
    assert_eq!(link.step(call(2)), []);
    assert!(matches!(link.step(call(3))[..], [Output::FailCall { id: 3, .. }]));
}
