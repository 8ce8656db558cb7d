//! Medians, and which measurements belong together. Also makes results for other tests.
use super::*;
use crate::bench::client::Protocol;
use crate::bench::machine::Machine;
use crate::bench::options::Route;
use crate::bench::recorder::Latency;
use crate::bench::result::{PerOperation, Repetition, SCHEMA};

/// A closed loop with so many clients and requests a second.
pub fn cell(workload: Workload, clients: usize, ops_per_second: f64) -> Cell {
    let ms = 1e6 / ops_per_second * clients as f64;
    Cell {
        workload,
        clients,
        rate: None,
        seconds: 1.0,
        operations: 1000,
        errors: 0,
        first_error: None,
        unanswered: 0,
        ops_per_second,
        latency_us: Latency { p50: ms, p99: 2.0 * ms, ..Latency::default() },
        servers: Some(PerOperation {
            cpu_us: 1e6 / ops_per_second,
            syncs: Some(0.5),
            written_bytes: Some(100.0),
            ..PerOperation::default()
        }),
        client_cpu_us: 5.0,
    }
}

/// A repetition with values of 256 bytes.
pub fn repetition(target: TargetName, cells: Vec<Cell>) -> Repetition {
    Repetition {
        target,
        protocol: Protocol::Http,
        number: 1,
        value_bytes: 256,
        void: None,
        disk_sync_us: 100.0,
        load_average: 0.1,
        verified: 10,
        wrong: 0,
        cells,
    }
}

/// A run.
pub fn result(repetitions: Vec<Repetition>) -> RunResult {
    RunResult {
        schema: SCHEMA.to_owned(),
        started: 1_700_000_000,
        command: "troupe bench run".to_owned(),
        machine: Machine::default(),
        versions: BTreeMap::new(),
        keys: 10,
        regions: 1,
        route: Route::Any,
        warm_up_seconds: 0.5,
        ceilings: Vec::new(),
        repetitions,
    }
}

#[test]
fn a_spread_has_median_and_ends() {
    let spread = Spread::new(vec![3.0, 1.0, 2.0]);
    assert_eq!(spread, Some(Spread { median: 2.0, min: 1.0, max: 3.0, count: 3 }));
    let even = Spread::new(vec![4.0, 1.0]).map(|spread| spread.text());
    assert_eq!(even.as_deref(), Some("2.50 [1.00..4.00]"));
    assert_eq!(Spread::new(Vec::new()), None);
}

#[test]
fn numbers_have_as_many_digits_as_people_read() {
    let texts = [0.0, 0.066, 1.234, 12.34, 123.4, 1234.5, 1_234_567.0].map(number);
    assert_eq!(texts, ["0", "0.066", "1.23", "12.3", "123", "1,234", "1,234,567"]);
}

#[test]
fn repetitions_are_taken_together_and_void_ones_left_out() {
    let put = |ops| vec![cell(Workload::Put, 8, ops)];
    let mut void = repetition(TargetName::Troupe, put(1.0));
    void.void = Some("errors".to_owned());
    let run = result(vec![
        repetition(TargetName::Troupe, put(100.0)),
        repetition(TargetName::Etcd, put(50.0)),
        repetition(TargetName::Troupe, put(120.0)),
        void,
    ]);
    let groups = groups(&run);
    let subject = Subject { value_bytes: 256, rate: None, workload: Workload::Put, clients: 8 };
    assert_eq!(groups.keys().copied().collect::<Vec<_>>(), [subject]);
    let troupe = Spread::of(Figure::Throughput, &groups[&subject][&TargetName::Troupe]);
    assert_eq!(troupe.map(|spread| (spread.median, spread.count)), Some((110.0, 2)));
    assert_eq!(groups[&subject][&TargetName::Etcd].len(), 1);
}
