//! Which value may be found after which writes.
use super::Ledger;

#[test]
fn a_write_that_another_followed_is_not_the_last() {
    let mut ledger = Ledger::new(1);
    ledger.begin(0, 1, 10);
    ledger.acknowledged(0, 1, 20);
    ledger.begin(0, 2, 30);
    ledger.acknowledged(0, 2, 40);
    assert!(ledger.allows(0, Some(2)));
    assert!(!ledger.allows(0, Some(1)), "write 2 was lost");
    assert!(!ledger.allows(0, None), "both were lost");
    assert!(!ledger.allows(0, Some(3)), "nobody wrote that");
}

#[test]
fn of_writes_that_overlap_either_may_be_the_last() {
    let mut ledger = Ledger::new(1);
    ledger.begin(0, 1, 10);
    ledger.begin(0, 2, 15);
    ledger.acknowledged(0, 2, 20);
    ledger.acknowledged(0, 1, 25);
    assert!(ledger.allows(0, Some(1)) && ledger.allows(0, Some(2)));
}

#[test]
fn a_write_without_an_answer_may_take_effect_at_any_time() {
    let mut ledger = Ledger::new(1);
    ledger.begin(0, 1, 10);
    assert!(ledger.allows(0, None) && ledger.allows(0, Some(1)));
    ledger.begin(0, 2, 20);
    ledger.acknowledged(0, 2, 30);
    assert!(ledger.allows(0, Some(1)) && ledger.allows(0, Some(2)) && !ledger.allows(0, None));
}

#[test]
fn ledgers_of_several_clients_are_taken_together() {
    let (mut one, mut other) = (Ledger::new(2), Ledger::new(2));
    one.begin(0, 1, 10);
    one.acknowledged(0, 1, 20);
    other.begin(0, 2, 30);
    other.acknowledged(0, 2, 40);
    one.merge(other);
    assert!(one.allows(0, Some(2)) && !one.allows(0, Some(1)));
    assert!(!one.is_written(1) && one.allows(1, None));
}
