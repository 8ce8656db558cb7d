//! Queries are decoded as forms are, and nothing unknown passes.
use super::{Query, from_json, unknown};
use crate::json::request::ScanBody;
use troupe_types::Code;

#[test]
fn a_query_is_decoded() {
    let query = Query::parse("a=1+2&b=%2B&&c", &["a", "b", "c", "d"]).unwrap();
    assert_eq!(
        (query.get("a"), query.get("b"), query.get("c")),
        (Some("1 2"), Some("+"), Some(""))
    );
    assert_eq!(query.get("d"), None);
    assert!(query.switch("c").unwrap() && !query.switch("d").unwrap());
    assert_eq!(query.number("d", 1, 2).unwrap(), None);
    assert_eq!(query.number("b", 1, 2).unwrap_err().code, Code::BadParameter);
}

#[test]
fn an_unknown_field_is_named_with_the_nearest_known_one() {
    let problem = from_json::<ScanBody>(b"{\"revers\":true}").unwrap_err();
    assert_eq!(problem.code, Code::UnknownField);
    assert_eq!(problem.detail, "there is no field `revers`; did you mean `reverse`?");
    let far = unknown("field", "zzz", &["keys"]);
    assert_eq!(far.detail, "there is no field `zzz`; known: keys");
}
