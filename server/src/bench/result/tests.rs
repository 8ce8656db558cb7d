//! Reading, writing and judging results.
use super::*;

fn cell(operations: u64, errors: u64) -> Cell {
    Cell {
        workload: Workload::Put,
        clients: 2,
        rate: None,
        seconds: 1.0,
        operations,
        errors,
        first_error: (errors > 0).then(|| "refused".to_owned()),
        unanswered: 0,
        ops_per_second: 1.0,
        latency_us: Latency::default(),
        servers: Some(PerOperation::default()),
        client_cpu_us: 1.0,
    }
}

fn repetition(cells: Vec<Cell>) -> Repetition {
    Repetition {
        target: TargetName::Troupe,
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

#[test]
fn few_errors_are_tolerated_many_make_a_repetition_void() {
    let mut few = repetition(vec![cell(10_000, 1), cell(10_000, 2)]);
    few.judge();
    assert_eq!(few.void, None);
    let mut many = repetition(vec![cell(10_000, 0), cell(1_000, 12)]);
    many.judge();
    assert_eq!(many.void.as_deref(), Some("12 of 11000 requests failed: refused"));
}

#[test]
fn a_lost_write_makes_a_repetition_void() {
    let mut lost = repetition(vec![cell(10_000, 0)]);
    lost.wrong = 1;
    lost.judge();
    assert_eq!(lost.void.as_deref(), Some("1 of 10 keys read back wrong"));
}

#[test]
fn a_file_reads_back_equal_and_another_one_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("r.json");
    let mut result = RunResult {
        schema: SCHEMA.to_owned(),
        started: 5,
        command: "troupe bench run".to_owned(),
        machine: Machine::default(),
        versions: BTreeMap::from([("troupe".to_owned(), "1".to_owned())]),
        keys: 10,
        regions: 1,
        route: Route::Any,
        warm_up_seconds: 0.5,
        ceilings: Vec::new(),
        repetitions: vec![repetition(vec![cell(10, 0)])],
    };
    result.write(&path).expect("it can be written");
    assert_eq!(RunResult::read(&path).expect("it is a result"), result);
    result.schema = "something-else/9".to_owned();
    result.write(&path).expect("it can be written");
    let refused = RunResult::read(&path).map_err(|error| error.to_string());
    assert!(refused.is_err_and(|error| error.contains("something-else/9")));
}
