//! Tables as people see them.
use super::progress::summary;
use super::table::fields;
use super::{Cell, column, table};
use serde_json::json;
use std::time::Duration;

#[test]
fn a_table_has_a_header_and_a_row_an_item() {
    let columns = [
        column("ID", "/id", Cell::Plain),
        column("PEERS", "/peers", Cell::Peers),
        column("SIZE", "/bytes", Cell::Bytes),
        column("START", "/range/start", Cell::Plain),
        column("NOTE", "/note", Cell::Plain),
    ];
    let items = [json!({
        "id": 7,
        "peers": [{"id": 1, "store": 2, "role": "voter"}, {"id": 3, "store": 4, "role": "learner"}],
        "bytes": 1_600_000,
        "range": {"start": {"hex": "00ff"}},
        "note": "two\nlines\u{7}",
    })];
    let printed = table(&columns, &items);
    let rows: Vec<Vec<&str>> =
        printed.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[0], ["ID", "PEERS", "SIZE", "START", "NOTE"]);
    assert_eq!(rows[1], ["7", "1@2", "3@4?", "1.5MiB", "hex:00ff", "two\\nlines\\u{7}"]);
    assert_eq!(rows.len(), 2);
}

#[test]
fn a_missing_value_is_a_dash() {
    let printed = table(&[column("A", "/a", Cell::Bytes)], &[json!({})]);
    assert_eq!(printed.split_whitespace().collect::<Vec<_>>(), ["A", "-"]);
}

#[test]
fn an_object_is_printed_field_by_field() {
    let printed = fields(&json!({
        "id": 1,
        "labels": {},
        "leader": {"node": 2},
        "nodes": [{"http": "h", "id": 1}],
    }));
    assert_eq!(printed, "id: 1\nlabels: -\nleader:\n  node: 2\nnodes:\n  - http=h  id=1\n");
}

#[test]
fn progress_tells_rows_bytes_and_rate() {
    let told = summary(3000, 5 << 20, Duration::from_millis(1500));
    assert_eq!(told, "3000 rows, 5 MiB in 1.5 s (2000 rows/s)");
}
