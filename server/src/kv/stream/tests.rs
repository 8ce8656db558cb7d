//! How streams are cut into lines, and how their last line is read.
use super::{Closing, closing, lines, stopped};
use crate::exit::Exit;
use bytes::Bytes;
use futures::StreamExt;
use serde_json::json;

async fn cut(chunks: &[&'static str]) -> Vec<String> {
    let chunks = chunks.iter().map(|chunk| Ok(Bytes::from_static(chunk.as_bytes())));
    let lines = lines(futures::stream::iter(chunks.collect::<Vec<_>>()));
    let lines = lines.map(|line| String::from_utf8(line.unwrap().to_vec()).unwrap());
    lines.collect().await
}

#[tokio::test]
async fn lines_are_found_whatever_the_chunks() {
    assert_eq!(cut(&["a\nb", "b\n\n", "\nc"]).await, ["a", "bb", "c"]);
    assert_eq!(cut(&["", "\n"]).await, Vec::<String>::new());
    assert_eq!(cut(&["x", "y", "z\n"]).await, ["xyz"]);
}

#[test]
fn rows_are_told_from_the_closing_line() {
    assert!(closing(br#"{"key":"done","value":"{\"done\":true}"}"#).is_none());
    assert!(closing(br#"{"value":"x","key":{"hex":"00"}}"#).is_none());
    let done = closing(br#"{"done":true,"rows":3,"checksum":"00ff"}"#);
    assert!(matches!(done, Some(Closing::Done { rows: 3, checksum }) if checksum == "00ff"));
    let error = closing(br#"{"error":{"code":"NO_QUORUM","status":503}}"#);
    assert!(matches!(error, Some(Closing::Error(_))));
}

#[test]
fn an_error_is_partial_only_after_rows() {
    let error = json!({"code": "NO_QUORUM", "status": 503, "title": "t"});
    assert_eq!(stopped(&error, "0 rows", 0).exit(), Exit::Unavailable);
    assert_eq!(stopped(&error, "7 rows", 7).exit(), Exit::Partial);
}
