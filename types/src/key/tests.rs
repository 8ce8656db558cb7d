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

#[test]
fn ordered_keys_keep_their_order_whatever_follows_them() {
    let mut keys: Vec<Vec<u8>> = vec![vec![]];
    for len in [1, 2, 7, 8, 9, 15, 16, 17, 24] {
        for byte in [0, 1, b'a', 0xfe, 0xff] {
            let mut key = vec![byte; len];
            keys.push(key.clone());
            key[len - 1] = 0;
            keys.push(key);
        }
    }
    keys.sort();
    keys.dedup();
    for pair in keys.windows(2) {
        for (low, high) in [([0xff; 8], [0; 8]), ([0; 8], [0xff; 8])] {
            let low = [&encode_ordered(&pair[0])[..], &low].concat();
            let high = [&encode_ordered(&pair[1])[..], &high].concat();
            assert!(low < high, "{pair:?}");
        }
    }
    for key in &keys {
        let encoded = encode_ordered(key);
        assert_eq!(encoded.len(), ordered_len(key.len()));
        let stored = [&encoded[..], &7u64.to_be_bytes()].concat();
        assert_eq!(decode_ordered(&stored), Some((Key::from(key.clone()), encoded.len())));
        for cut in 0..encoded.len() {
            assert_eq!(decode_ordered(&encoded[..cut]), None, "{key:?} cut at {cut}");
        }
    }
    assert_eq!(decode_ordered(b"a\x00\x00\x00\x00\x00\x00\x01\xf8"), None, "padding is zeros");
    assert_eq!(
        decode_ordered(b"a\x00\x00\x00\x00\x00\x00\x00\xf0"),
        None,
        "a group has eight bytes"
    );
}

#[test]
fn rows_of_each_space_lie_in_its_data_range() {
    let range = KeyRange::new(txn_key(0, b"b"), txn_key(0, b"d"));
    let data = range.data_range();
    for (user, inside) in [(&b"a"[..], false), (b"b", true), (b"c\xff\xff", true), (b"d", false)] {
        let row = [&encode_ordered(&txn_key(0, user))[..], &[0xff; 8]].concat();
        assert_eq!(data.contains(&row), inside, "{user:?}");
    }
    assert!(KeyRange::txn_space().data_range().contains(&encode_ordered(&txn_key(9, b"z"))));
    let raw = KeyRange::raw_space();
    assert_eq!(raw.data_range(), raw);
}
