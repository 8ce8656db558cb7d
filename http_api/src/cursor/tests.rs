//! Cursors come back whole, and any change is found.
use super::{Place, Question, decode, encode, flags};
use proptest::prelude::*;
use troupe_types::{ClusterId, Code, KeyRange, Timestamp};

proptest! {
    #[test]
    fn what_is_left_comes_back(start: Vec<u8>, end: Vec<u8>, a: Vec<u8>, b: Vec<u8>, flag in 0_u8..8, ts: u64) {
        let question = Question { range: KeyRange::new(a, b), flags: flag };
        let rest = Place { rest: KeyRange::new(start, end), read_ts: Timestamp(ts) };
        let cursor = encode(ClusterId(7), &question, &rest);
        prop_assert_eq!(decode(ClusterId(7), &question, &cursor).unwrap(), rest);
        prop_assert_eq!(decode(ClusterId(8), &question, &cursor).unwrap_err().code, Code::BadCursor);
    }

    #[test]
    fn a_changed_cursor_is_refused(at in 0_usize..60, to in "[A-Za-z0-9_-]") {
        let question = Question { range: KeyRange::new(&b"a"[..], &b"z"[..]), flags: 0 };
        let rest = Place::new(KeyRange::new(&b"mmmmmmmmmmmmmmmm"[..], &b"z"[..]));
        let cursor = encode(ClusterId(7), &question, &rest);
        let at = at % cursor.len();
        let mut changed = cursor.clone();
        changed.replace_range(at..=at, &to);
        prop_assume!(changed != cursor);
        prop_assert_eq!(decode(ClusterId(7), &question, &changed).unwrap_err().code, Code::BadCursor);
    }

    #[test]
    fn no_text_panics(text: String) {
        let question = Question { range: KeyRange::default(), flags: 0 };
        let _ = decode(ClusterId(7), &question, &text);
    }
}

#[test]
fn a_cursor_belongs_to_its_question() {
    let range = KeyRange::new(&b"a"[..], &b"z"[..]);
    let question = Question { range: range.clone(), flags: 0 };
    let cursor = encode(ClusterId(7), &question, &Place::new(range.clone()));
    let others = [
        Question { range: range.clone(), flags: flags::REVERSE },
        Question { range: range.clone(), flags: flags::REGIONS },
        Question { range: KeyRange::new(&b"a"[..], &b"y"[..]), flags: 0 },
    ];
    for other in others {
        assert_eq!(decode(ClusterId(7), &other, &cursor).unwrap_err().code, Code::BadCursor);
    }
}
