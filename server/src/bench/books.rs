//! What clients wrote, for all spaces. Pure.
use super::accounts::{Balances, Transfer};
use super::ledger::Ledger;
use super::options::Space;

/// Ledgers of values, and balances of accounts.
#[derive(Debug, Default)]
pub struct Books {
    raw: Ledger,
    kv: Ledger,
    balances: Balances,
}

impl Books {
    /// Nothing was written to any of `keys` keys of each space, nor moved between as many accounts.
    #[must_use]
    pub fn new(keys: u32) -> Self {
        Self { raw: Ledger::new(keys), kv: Ledger::new(keys), balances: Balances::new(keys) }
    }

    /// Writes to values of `space`, which is not that of accounts.
    pub fn values(&mut self, space: Space) -> &mut Ledger {
        match space {
            Space::Raw => &mut self.raw,
            Space::Kv => &mut self.kv,
            Space::Accounts => unreachable!("accounts have balances"),
        }
    }

    /// A transfer is sent.
    pub fn begin(&mut self, transfer: Transfer) {
        self.balances.begin(transfer);
    }

    /// It was acknowledged.
    pub fn acknowledged(&mut self, transfer: Transfer) {
        self.balances.acknowledged(transfer);
    }

    /// See [`Balances::wrong`].
    #[must_use]
    pub fn wrong_balances(&self, found: &[Option<i64>]) -> u32 {
        self.balances.wrong(found)
    }

    /// Takes over what another client wrote.
    pub fn merge(&mut self, other: Self) {
        self.raw.merge(other.raw);
        self.kv.merge(other.kv);
        self.balances.merge(&other.balances);
    }
}
