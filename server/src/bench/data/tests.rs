//! Keys are different and spread; values have their length and their stamp.
#![allow(clippy::unwrap_used, reason = "a test ends where something fails")]
use super::{Keys, Random, Values};
use std::collections::BTreeSet;

#[test]
fn keys_differ_are_safe_in_a_url_and_are_spread() {
    let keys = Keys::new("bench-", 20_000);
    let all: BTreeSet<_> = (0..keys.count()).map(|i| keys.get(i).clone()).collect();
    assert_eq!(all.len(), 20_000);
    let first: BTreeSet<u8> = all.iter().map(|key| key[6]).collect();
    assert_eq!(first.len(), 64, "every character opens some key");
    for key in &all {
        let text = std::str::from_utf8(key).unwrap();
        assert!(text.starts_with("bench-") && text.len() == 22, "{text}");
        assert!(text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'));
    }
}

#[test]
fn a_value_has_its_length_and_tells_its_write() {
    let values = Values::new(1, 256);
    let mut random = Random::new(2);
    let (mut one, mut other) = (Vec::new(), Vec::new());
    values.append(77, &mut random, &mut one);
    values.append(78, &mut random, &mut other);
    assert_eq!((one.len(), Values::stamp(&one), Values::stamp(&other)), (256, Some(77), Some(78)));
    assert_ne!(one[8..], other[8..]);
    assert_eq!(Values::stamp(b"short"), None);
}

#[test]
fn equal_seeds_give_equal_numbers_below_their_bound() {
    let (mut one, mut same) = (Random::new(9), Random::new(9));
    let drawn: Vec<u32> = (0..1000).map(|_| one.below(10)).collect();
    assert!(drawn.iter().all(|&number| number < 10 && same.below(10) == number));
    assert_eq!(drawn.iter().collect::<BTreeSet<_>>().len(), 10);
}
