//! Keys go to the server of the Region that holds them.
use super::{Regions, Routes, Start, raw_key, start_bytes, txn_key};
use crate::bench::data::Keys;
use crate::bench::options::Space;

#[test]
fn a_key_goes_to_the_region_whose_start_is_the_last_at_or_below_it() {
    let (keys, accounts) = (Keys::new("", 1000), Keys::others("", 1000));
    let starts = [raw_key(0, b"a"), txn_key(0, b""), txn_key(0, b"B")].map(|key| key.to_vec());
    let [raw, kv_start, kv] = starts;
    let regions = Regions(vec![(Vec::new(), 2), (raw, 0), (kv_start, 0), (kv, 1)]);
    let routes = Routes::new(&regions, &keys, &accounts);
    let regions = regions.of(Space::Accounts, &accounts);
    for number in 0..keys.count() {
        let (key, account) = (keys.get(number), accounts.get(number));
        let expected = [if key[0] >= b'a' { 0 } else { 2 }, usize::from(key[0] >= b'B')];
        let found = [Space::Raw, Space::Kv].map(|space| routes.server(space, number));
        assert_eq!(found, expected, "{key:?}");
        let right = usize::from(account[0] >= b'B');
        assert_eq!(routes.server(Space::Accounts, number), right, "{account:?}");
        assert_eq!(regions[number as usize] as usize, 2 + right, "{account:?}");
    }
}

#[test]
fn starts_are_hexadecimal() {
    let bytes = |hex: &str| start_bytes(&Start { hex: hex.to_owned() }).ok();
    assert_eq!(bytes("00fF"), Some(vec![0, 255]));
    assert_eq!(bytes(""), Some(Vec::new()));
    assert_eq!((bytes("0"), bytes("zz")), (None, None));
}
