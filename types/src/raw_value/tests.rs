//! Round trips and refusals of the stored value format.
use super::*;

#[test]
fn what_is_stored_comes_back() {
    for (value, expires_at) in [(&b""[..], None), (b"v", None), (b"v", Some(UnixMillis(7)))] {
        let raw = RawValue { value: Bytes::from_static(value), expires_at };
        assert_eq!(RawValue::decode(&raw.encode()), Ok(raw));
    }
}

#[test]
fn broken_trailers_are_refused() {
    for stored in [&b""[..], b"value\x02", b"short\x01"] {
        assert_eq!(RawValue::decode(&Bytes::from_static(stored)), Err(BadRawValue));
    }
}

#[test]
fn a_value_ends_at_its_expiry() {
    let raw = RawValue { value: Bytes::new(), expires_at: Some(UnixMillis(10)) };
    assert!(!raw.is_expired(UnixMillis(9)) && raw.is_expired(UnixMillis(10)));
}
