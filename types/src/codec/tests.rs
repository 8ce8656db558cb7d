//! What is encoded comes back, and broken bytes are told apart.
use super::*;

#[test]
fn what_is_encoded_comes_back() {
    let value = (7_u64, "text".to_owned(), Some(vec![1_u8, 2]));
    assert_eq!(decode::<(u64, String, Option<Vec<u8>>)>(&encode(&value)).unwrap(), value);
}

#[test]
fn broken_bytes_are_refused() {
    assert!(matches!(decode::<u64>(&[]), Err(CodecError::Empty)));
    assert!(matches!(decode::<u64>(&[2, 1]), Err(CodecError::UnknownFormat { found: 2 })));
    assert!(matches!(decode::<u64>(&[FORMAT]), Err(CodecError::Malformed { .. })));
    // A length that the input does not have must not be believed.
    let huge = [FORMAT, 0xFF, 0xFF, 0xFF, 0xFF, 0x0F];
    assert!(matches!(decode::<Vec<u8>>(&huge), Err(CodecError::Malformed { .. })));
}
