//! What is encoded decodes to the same bytes, in every encoding and in URLs.
use super::{BytesIn, BytesOut, Enc, KeyEnc, percent_decode};
use base64::Engine as _;
use base64::engine::general_purpose::{URL_SAFE, URL_SAFE_NO_PAD};
use bytes::Bytes;
use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, percent_encode};
use proptest::prelude::*;
use std::borrow::Cow;

fn round_trip(bytes: &[u8], enc: Enc) -> Bytes {
    let out = BytesOut { bytes: Bytes::copy_from_slice(bytes), enc };
    let json = serde_json::to_vec(&out).unwrap();
    serde_json::from_slice::<BytesIn>(&json).unwrap().value().unwrap()
}

/// Only what must be escaped in a path.
const SPARSE: &AsciiSet = &CONTROLS.add(b'%').add(b'?').add(b'#').add(b' ');

proptest! {
    #[test]
    fn any_bytes_come_back(bytes: Vec<u8>) {
        for enc in [Enc::Auto, Enc::Base64, Enc::Hex] {
            prop_assert_eq!(&round_trip(&bytes, enc)[..], &bytes[..]);
        }
        let hex = KeyEnc::Hex.decode(hex::encode(&bytes).into()).unwrap();
        prop_assert_eq!(&hex[..], &bytes[..]);
        for text in [URL_SAFE.encode(&bytes), URL_SAFE_NO_PAD.encode(&bytes)] {
            prop_assert_eq!(&KeyEnc::Base64Url.decode(text.into()).unwrap()[..], &bytes[..]);
        }
    }

    #[test]
    fn any_text_comes_back(text: String) {
        prop_assert_eq!(&round_trip(text.as_bytes(), Enc::Utf8)[..], text.as_bytes());
        for set in [SPARSE, NON_ALPHANUMERIC] {
            let encoded = percent_encode(text.as_bytes(), set).to_string();
            let decoded = percent_decode(encoded.as_bytes()).unwrap();
            prop_assert_eq!(&KeyEnc::Text.decode(decoded).unwrap()[..], text.as_bytes());
        }
    }

    #[test]
    fn decoding_never_panics(bytes: Vec<u8>, text: String) {
        let _ = percent_decode(&bytes);
        let _ = serde_json::from_slice::<BytesIn>(&bytes);
        for enc in [KeyEnc::Text, KeyEnc::Hex, KeyEnc::Base64Url] {
            let _ = enc.decode(Cow::Borrowed(&text));
        }
    }
}

#[test]
fn json_is_kept_as_it_was_written() {
    for text in ["007.0e+1", "{ \"a\" :1 }", "[1e400,-0]", "\"\\u0041\""] {
        let body = format!("{{\"json\":{text}}}");
        let read = serde_json::from_str::<BytesIn>(&body);
        let Ok(read) = read else {
            assert_eq!(text, "007.0e+1", "only a number with leading zeros is no JSON");
            continue;
        };
        let value = read.value().unwrap();
        assert_eq!(&value[..], text.as_bytes());
        let out = BytesOut { bytes: value, enc: Enc::Json };
        assert_eq!(serde_json::to_string(&out).unwrap(), body);
    }
}

#[test]
fn auto_shows_text_that_a_terminal_shows() {
    let shown = |bytes: &[u8]| {
        let out = BytesOut { bytes: Bytes::copy_from_slice(bytes), enc: Enc::Auto };
        serde_json::to_string(&out).unwrap()
    };
    assert_eq!(shown("a\n☃".as_bytes()), "\"a\\n☃\"");
    assert_eq!(shown(b"\x00"), "{\"b64\":\"AA==\"}");
    assert_eq!(shown(b"\x1b[31m"), "{\"b64\":\"G1szMW0=\"}");
    assert_eq!(shown(b"\xff"), "{\"b64\":\"/w==\"}");
    assert_eq!(shown(b""), "\"\"");
}
