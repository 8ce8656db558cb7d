//! What is asked of Troupe for a transfer, and what answers are understood.
use super::{body, rows, succeeded};
use crate::bench::options::Workload;
use bytes::Bytes;
use serde_json::{Value, json};

fn asked(workload: Workload) -> Value {
    let (from, to) = (Bytes::from_static(b"a-1"), Bytes::from_static(b"b_2"));
    let kind = workload.transfers().expect("a workload of transfers");
    serde_json::from_str(&body([&from, &to], (7, kind))).expect("JSON")
}

#[test]
fn a_transfer_is_one_request_with_two_steps() {
    let then = json!([{"add": {"key": "a-1", "by": -7}}, {"add": {"key": "b_2", "by": 7}}]);
    assert_eq!(asked(Workload::Transfer), json!({ "then": then }));
    assert_eq!(asked(Workload::OnePhase), json!({ "then": then }));
    assert_eq!(asked(Workload::TwoPhase), json!({ "then": then, "commit": "two_phase" }));
    let condition = json!([{"key": "a-1", "value": {"ge_int": 7}}]);
    assert_eq!(asked(Workload::TransferIf), json!({ "if": condition, "then": then }));
}

#[test]
fn only_a_transfer_that_took_place_is_good() {
    assert!(succeeded(br#"{"succeeded":true,"commit_ts":"7"}"#).is_ok());
    assert!(succeeded(br#"{"succeeded":false}"#).is_err());
    assert!(succeeded(b"done").is_err());
}

#[test]
fn balances_are_numbers_or_missing() {
    let found = rows(br#"{"items":[{"key":"a","value":"-3"},{"key":"b","missing":true}]}"#);
    assert_eq!(found.ok(), Some(vec![Some(-3), None]));
    assert!(rows(br#"{"items":[{"key":"a","value":"much"}]}"#).is_err());
}
