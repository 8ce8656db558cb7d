//! Transfers are between the right accounts; balances that cannot be are seen.
use super::{Accounts, Balances, OPENING, Pairing, Transfer};
use crate::bench::data::{Keys, Random};

/// Ten accounts: those with even numbers in one Region, the others in another.
fn accounts() -> Accounts {
    Accounts::new(Keys::others("", 10), (0..10).map(|account| account % 2).collect())
}

#[test]
fn transfers_are_between_two_accounts_that_lie_as_wanted() {
    let (accounts, mut random) = (accounts(), Random::new(3));
    for _ in 0..1000 {
        let any = accounts.transfer(Pairing::Any, &mut random);
        let near = accounts.transfer(Pairing::OneRegion, &mut random);
        let far = accounts.transfer(Pairing::TwoRegions, &mut random);
        assert!([any, near, far].iter().all(|t| t.from != t.to && t.amount > 0));
        assert_eq!(near.from % 2, near.to % 2);
        assert_ne!(far.from % 2, far.to % 2);
    }
}

#[test]
fn without_regions_there_are_only_any_two_accounts() {
    let unknown = Accounts::new(Keys::others("", 10), Vec::new());
    let pairings = [Pairing::Any, Pairing::OneRegion, Pairing::TwoRegions];
    assert_eq!(pairings.map(|pairing| unknown.have(pairing)), [true, false, false]);
    assert_eq!(pairings.map(|pairing| accounts().have(pairing)), [true; 3]);
    let alone = Accounts::new(Keys::others("", 2), vec![0, 0]);
    assert_eq!(pairings.map(|pairing| alone.have(pairing)), [true, true, false]);
}

#[test]
fn accounts_have_keys_of_their_own() {
    let (others, keys) = (Keys::others("", 100), Keys::new("", 100));
    let is_key = |account| (0..100).any(|key| keys.get(key) == others.get(account));
    assert!((0..100).all(|account| !is_key(account)));
}

#[test]
fn acknowledged_transfers_must_be_there_and_those_in_doubt_may() {
    let sure = Transfer { from: 0, to: 1, amount: 30 };
    let doubtful = Transfer { from: 1, to: 2, amount: 7 };
    let (mut balances, mut other) = (Balances::new(3), Balances::new(3));
    balances.begin(sure);
    balances.acknowledged(sure);
    other.begin(doubtful);
    balances.merge(&other);
    let wrong = |moved: [i64; 3]| balances.wrong(&moved.map(|moved| Some(OPENING + moved)));
    assert_eq!(wrong([-30, 30, 0]), 0);
    assert_eq!(wrong([-30, 23, 7]), 0);
    // Half of a transfer: the sum is wrong, though each balance alone could be.
    assert_eq!(wrong([-30, 23, 0]), 1);
    // A lost one: two balances.
    assert_eq!(wrong([0, 0, 0]), 2);
    assert_eq!(balances.wrong(&[None, None, None]), 4);
}
