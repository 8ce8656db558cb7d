//! Table tests of range and key maths.
use super::*;

#[test]
fn prefix_end_carries_over_ff() {
    assert_eq!(prefix_end(b"a"), &b"b"[..]);
    assert_eq!(prefix_end(b"a\xff"), &b"b"[..]);
    assert_eq!(prefix_end(b"\xff\xff"), &b""[..]);
}

#[test]
fn an_empty_end_is_unbounded() {
    let all = KeyRange::new(&b"m"[..], &b""[..]);
    assert!(all.contains(b"zzz") && !all.contains(b"a"));
    assert!(all.covers(&KeyRange::new(&b"n"[..], &b"o"[..])));
    assert!(!KeyRange::new(&b"a"[..], &b"z"[..]).covers(&all));
    assert_eq!(
        all.intersect(&KeyRange::new(&b"a"[..], &b"n"[..])),
        Some(KeyRange::new(&b"m"[..], &b"n"[..]))
    );
    assert_eq!(all.intersect(&KeyRange::new(&b"a"[..], &b"b"[..])), None);
}

#[test]
fn even_ranges_touch_and_cover_the_raw_space() {
    for count in [1, 2, 3, 32, 1000] {
        let ranges = even_raw_ranges(count);
        assert_eq!(ranges.len(), count as usize);
        assert_eq!(ranges[0].start, KeyRange::raw_space().start);
        assert_eq!(ranges[ranges.len() - 1].end, KeyRange::raw_space().end);
        for pair in ranges.windows(2) {
            assert_eq!(pair[0].end, pair[1].start);
            assert!(!pair[0].is_empty());
        }
    }
}

#[test]
fn the_user_key_comes_back() {
    assert_eq!(user_key(&raw_key(7, b"hello")).as_deref(), Some(&b"hello"[..]));
    assert_eq!(raw_range(0, b"", b"").end, raw_key(1, b""));
}
