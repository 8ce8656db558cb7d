//! Three nodes, random changes of the leader, lost and late outcomes, clocks that step: timestamps
//! grow for every observer, and no id is given twice.
use super::*;
use std::collections::BTreeSet;

/// Small generator (xorshift): a seed decides the whole run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

struct World {
    dice: Dice,
    nodes: Vec<Bench>,
    /// Who leads the system Region.
    leader: usize,
    term: u64,
    /// Largest timestamp that anybody was told.
    largest: u64,
    /// Requests under way: node, request, largest timestamp when it was sent.
    asked: BTreeMap<(usize, u64), u64>,
    ids: BTreeSet<u64>,
    timestamps: u64,
    reigns: u64,
}

impl World {
    fn new(seed: u64) -> Self {
        let rows = Rows::default();
        let plan = |id| (id == 1).then(|| bootstrap_plan(9, 1));
        let mut nodes: Vec<Bench> = (1..=3).map(|id| Bench::new(id, &rows, plan(id))).collect();
        for node in &mut nodes {
            node.holds_writes = true;
        }
        Self {
            dice: Dice(seed * 2 + 1),
            nodes,
            leader: 0,
            term: 6,
            largest: 0,
            asked: BTreeMap::new(),
            ids: BTreeSet::new(),
            timestamps: 0,
            reigns: 0,
        }
    }

    fn round(&mut self) {
        if self.dice.roll(40) == 0 {
            self.leader = usize::try_from(self.dice.roll(3)).unwrap();
            self.term += 1;
        }
        for i in 0..self.nodes.len() {
            self.nodes[i].pass(TICK / 2);
            if self.dice.roll(100) == 0 {
                self.nodes[i].unix.0 -= self.dice.roll(3_600_000);
            }
            self.tell_status(i);
            self.settle_write(i);
            self.ask(i);
            self.hear(i);
        }
    }

    /// A node that no longer leads may not hear of it for a while.
    fn tell_status(&mut self, i: usize) {
        let was_serving = self.nodes[i].core.is_serving();
        if self.dice.roll(2) == 0 {
            self.nodes[i].step(Input::Tick);
        }
        if i == self.leader {
            let is_valid = self.dice.roll(4) > 0;
            self.nodes[i].status(Some((Term(self.term), is_valid)), None);
        } else if self.dice.roll(10) == 0 {
            self.nodes[i].status(None, None);
        }
        self.reigns += u64::from(was_serving && !self.nodes[i].core.is_serving());
    }

    /// Only the leader's writes reach the rows; outcomes may be lost either way.
    fn settle_write(&mut self, i: usize) {
        while !self.nodes[i].held.is_empty() && self.dice.roll(3) > 0 {
            let reaches = i == self.leader && self.dice.roll(10) > 0;
            if reaches && self.dice.roll(20) > 0 {
                self.nodes[i].release();
                continue;
            }
            let (id, expect, rows) = self.nodes[i].held.pop_front().unwrap();
            let outcome = if reaches {
                self.nodes[i].rows.write(&expect, &rows);
                WriteOutcome::Unknown { why: "lost".to_owned() }
            } else {
                WriteOutcome::TryAgain
            };
            self.nodes[i].step(Input::WriteDone { id, outcome });
        }
    }

    fn ask(&mut self, i: usize) {
        let count = 1 + u32::try_from(self.dice.roll(262_144)).unwrap();
        let request = match self.dice.roll(3) {
            0 => PdRequest::AllocateIds { count: 1 + count % 900 },
            _ => PdRequest::Timestamps { count },
        };
        let id = self.nodes[i].send(request);
        self.asked.insert((i, id), self.largest);
        let (unix, now) = (self.nodes[i].unix, self.nodes[i].now);
        if let Ok(last) = self.nodes[i].oracle.take(count, unix, || now) {
            self.told(last.get(), count, self.largest);
        }
    }

    fn hear(&mut self, i: usize) {
        for (id, result) in std::mem::take(&mut self.nodes[i].replies) {
            let before = self.asked.remove(&(i, id)).expect("asked once");
            match result {
                Ok(PdReply::Timestamps { last, count }) => self.told(last.get(), count, before),
                Ok(PdReply::Ids { first, count }) => {
                    for id in first..first + u64::from(count) {
                        assert!(self.ids.insert(id), "id {id} was given twice");
                    }
                }
                Ok(other) => panic!("unexpected {other:?}"),
                Err(_) => {}
            }
        }
    }

    fn told(&mut self, last: u64, count: u32, before: u64) {
        let first = last + 1 - u64::from(count);
        assert!(first > before, "{first} is not above {before}, told before it was asked for");
        self.largest = self.largest.max(last);
        self.timestamps += 1;
    }
}

#[test]
fn any_order_of_changes_keeps_the_promises() {
    let (mut timestamps, mut ids, mut reigns) = (0, 0, 0);
    for seed in 0..60 {
        let mut world = World::new(seed);
        for _ in 0..400 {
            world.round();
        }
        timestamps += world.timestamps;
        ids += world.ids.len();
        reigns += world.reigns;
    }
    assert!(timestamps > 5_000 && ids > 50_000 && reigns > 200, "{timestamps} {ids} {reigns}");
}
