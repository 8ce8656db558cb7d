//! Keys go to the server of the Region that holds them.
use super::{Routes, Start, raw_key, start_bytes};
use crate::bench::data::Keys;

#[test]
fn a_key_goes_to_the_region_whose_start_is_the_last_at_or_below_it() {
    let keys = Keys::new("", 1000);
    let middle = raw_key(0, b"a");
    let routes = Routes::new(&keys, &[(Vec::new(), 2), (middle.to_vec(), 0)]);
    for number in 0..keys.count() {
        let expected = if keys.get(number)[0] >= b'a' { 0 } else { 2 };
        assert_eq!(routes.server(number), expected, "{:?}", keys.get(number));
    }
}

#[test]
fn starts_are_hexadecimal() {
    let bytes = |hex: &str| start_bytes(&Start { hex: hex.to_owned() }).ok();
    assert_eq!(bytes("00fF"), Some(vec![0, 255]));
    assert_eq!(bytes(""), Some(Vec::new()));
    assert_eq!((bytes("0"), bytes("zz")), (None, None));
}
