//! Sums that hold and sums that do not.
use super::*;

fn snapshot(accounts: &[i64]) -> Balances {
    Balances { how: "a scan".to_owned(), accounts: accounts.iter().copied().map(Some).collect() }
}

#[test]
fn a_fixed_sum_without_debts_passes() {
    assert_eq!(check(&[snapshot(&[10, 20, 0]), snapshot(&[0, 30, 0])], 30), Vec::<String>::new());
}

#[test]
fn money_made_lost_or_owed_is_told() {
    let missing = Balances { accounts: vec![Some(30), None], ..snapshot(&[]) };
    let cases = [
        (snapshot(&[10, 21]), "holds 31 and not 30"),
        (snapshot(&[9, 20]), "holds 29 and not 30"),
        (snapshot(&[40, -10]), "has debts"),
        (missing, "misses accounts"),
    ];
    for (snapshot, words) in cases {
        let wrong = check(&[snapshot], 30);
        assert!(wrong.len() == 1 && wrong[0].contains(words), "{wrong:?}");
    }
}
