//! Accounts between which money is moved: every snapshot of all of them holds the same sum.

/// A snapshot of all accounts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Balances {
    /// How it was read, for people.
    pub how: String,
    /// What was in each account; `None` = it is not there.
    pub accounts: Vec<Option<i64>>,
}

/// What is wrong with snapshots of accounts that hold `total` together and none less than nothing.
#[must_use]
pub fn check(snapshots: &[Balances], total: i64) -> Vec<String> {
    let wrong = |snapshot: &Balances| {
        let Balances { how, accounts } = snapshot;
        if accounts.iter().any(Option::is_none) {
            return Some(format!("bank: {how} misses accounts: {accounts:?}"));
        }
        let sum: i64 = accounts.iter().flatten().sum();
        if sum != total {
            return Some(format!("bank: {how} holds {sum} and not {total}: {accounts:?}"));
        }
        let is_below = accounts.iter().flatten().any(|balance| *balance < 0);
        is_below.then(|| format!("bank: {how} has debts: {accounts:?}"))
    };
    snapshots.iter().filter_map(wrong).collect()
}

#[cfg(test)]
mod tests;
