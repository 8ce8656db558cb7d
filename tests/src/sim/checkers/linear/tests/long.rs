//! Long histories of many clients: the checker decides, and soon.
use crate::sim::checkers::linear::{Verdict, check_key};
use crate::workload::{Generator, History, Op, OpId, Outcome, Record, Value};
use rustix::time::{ClockId, clock_gettime};
use troupe_actors::env::{Rng, Rngs};
use troupe_actors::real_env::SeededRngs;

/// Operations of a history.
const OPERATIONS: usize = 10_000;
/// Clients that are at it at the same time.
const CLIENTS: u32 = 8;

/// An operation under way, and what came of it once it took effect.
struct Open {
    id: OpId,
    op: Op,
    came: Option<Outcome>,
}

/// One true register; operations take effect at random points between question and answer. Of a
/// hundred operations, `unknown` are never answered; they take effect late, or never.
struct Register {
    history: History,
    value: Option<Value>,
    rng: Box<dyn Rng>,
    unknown: u64,
    lost: Vec<Open>,
}

impl Register {
    fn run(seed: u64, unknown: u64) -> Vec<Record> {
        let rngs = SeededRngs::new(seed);
        let mut register = Self {
            history: History::default(),
            value: None,
            rng: rngs.rng("register"),
            unknown,
            lost: Vec::new(),
        };
        let generator = |number| Generator::new(number, 1, rngs.rng(&format!("client {number}")));
        let mut clients: Vec<(Generator, Option<Open>)> =
            (0..CLIENTS).map(|number| (generator(number), None)).collect();
        while register.history.records().len() < OPERATIONS {
            let one = register.rng.between(0, u64::from(CLIENTS));
            let (generator, open) = &mut clients[usize::try_from(one).unwrap()];
            *open = register.go_on(u32::try_from(one).unwrap(), generator, open.take());
            register.perhaps_a_lost_one();
        }
        register.history.records().to_vec()
    }

    fn go_on(
        &mut self,
        client: u32,
        generator: &mut Generator,
        open: Option<Open>,
    ) -> Option<Open> {
        match open {
            None => {
                let (_, op) = generator.draw();
                Some(Open { id: self.history.invoke(client, 0, op), op, came: None })
            }
            Some(open) if self.rng.between(0, 100) < self.unknown && open.came.is_none() => {
                self.lost.push(open);
                None
            }
            Some(open @ Open { came: None, .. }) => {
                let came = Some(self.take_effect(open.op));
                Some(Open { came, ..open })
            }
            Some(Open { id, op, came: Some(came) }) => {
                self.history.complete(id, came);
                generator.learn(0, op, came);
                None
            }
        }
    }

    fn perhaps_a_lost_one(&mut self) {
        if self.rng.between(0, 100) < self.unknown
            && let Some(open) = self.lost.pop()
        {
            self.take_effect(open.op);
        }
    }

    fn take_effect(&mut self, op: Op) -> Outcome {
        let previous = self.value;
        match op {
            Op::Get => return Outcome::Read(previous),
            Op::Put(value) => self.value = Some(value),
            Op::Delete => self.value = None,
            Op::Cas { expect, new } => {
                let succeeded = previous == expect;
                if succeeded {
                    self.value = Some(new);
                }
                return Outcome::Swapped { succeeded, previous };
            }
        }
        Outcome::Done
    }
}

/// Lets the last read see what a read two thirds of a history earlier saw.
fn make_stale(records: &mut [Record]) {
    let is_read = |record: &Record| matches!(record.outcome, Outcome::Read(Some(_)));
    let earlier = records[..records.len() / 3].iter().rfind(|record| is_read(record)).copied();
    let last = records.iter_mut().rfind(|record| is_read(record)).unwrap();
    last.outcome = earlier.unwrap().outcome;
}

/// Checks, and answers the milliseconds of processor time beside.
fn timed(records: &[Record]) -> (Verdict, i64) {
    let now = || {
        let time = clock_gettime(ClockId::ThreadCPUTime);
        time.tv_sec * 1_000 + time.tv_nsec / 1_000_000
    };
    let start = now();
    let verdict = check_key(records);
    (verdict, now() - start)
}

/// True histories pass and stale ones do not, each within a second.
fn decides(unknown: u64) {
    for seed in 1..=5 {
        let mut records = Register::run(seed, unknown);
        assert_eq!(records.len(), OPERATIONS);
        let (verdict, true_ms) = timed(&records);
        assert_eq!(verdict, Verdict::Linearizable, "seed {seed}");
        make_stale(&mut records);
        let (verdict, stale_ms) = timed(&records);
        assert!(matches!(verdict, Verdict::Violation(_)), "seed {seed}: {verdict:?}");
        println!("seed {seed}, {unknown} % unknown: {true_ms} ms, with a stale read {stale_ms} ms");
        assert!(true_ms.max(stale_ms) < 1_000, "seed {seed}: {true_ms} ms and {stale_ms} ms");
    }
}

#[test]
fn ten_thousand_operations_of_eight_clients_are_decided_in_a_second() {
    decides(0);
}

#[test]
fn so_are_those_with_unknown_outcomes() {
    decides(2);
}
