//! Accounts that transactions move amounts between, and what their balances must be. Pure.
//!
//! A transfer is atomic, so the sum of all balances never changes, whatever becomes of it.
use super::data::{Keys, Random};

/// Balance of each account at the beginning; more than a run moves.
pub const OPENING: i64 = 1_000_000_000;
/// Amounts are below it.
const AMOUNTS: u32 = 100;

/// Which accounts a transfer is between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pairing {
    /// Any two.
    Any,
    /// Two whose keys lie in the same Region.
    OneRegion,
    /// Two whose keys lie in different Regions.
    TwoRegions,
}

/// An amount on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transfer {
    /// Number of the account that gives.
    pub from: u32,
    /// Number of the account that takes; another one.
    pub to: u32,
    /// How much, at least 1.
    pub amount: i64,
}

/// All accounts, and which of them lie together.
#[derive(Clone, Debug)]
pub struct Accounts {
    keys: Keys,
    /// Region of each account, as a number from 0; empty if it is not known.
    regions: Vec<u32>,
    /// Accounts of each Region.
    members: Vec<Vec<u32>>,
}

impl Accounts {
    /// Accounts under these keys. `regions` has the number of each one's Region, or nothing.
    #[must_use]
    pub fn new(keys: Keys, regions: Vec<u32>) -> Self {
        assert!(regions.is_empty() || regions.len() == keys.count() as usize, "all or none");
        let count = regions.iter().max().map_or(0, |most| *most as usize + 1);
        let mut members = vec![Vec::new(); count];
        for (account, &region) in (0..).zip(&regions) {
            members[region as usize].push(account);
        }
        Self { keys, regions, members }
    }

    /// Their keys, by number.
    #[must_use]
    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    /// Are there two such accounts?
    #[must_use]
    pub fn have(&self, pairing: Pairing) -> bool {
        match pairing {
            Pairing::Any => self.keys.count() > 1,
            Pairing::OneRegion => self.members.iter().any(|members| members.len() > 1),
            Pairing::TwoRegions => self.members.iter().filter(|m| !m.is_empty()).count() > 1,
        }
    }

    /// A transfer between two random accounts of which there must be two such.
    pub fn transfer(&self, pairing: Pairing, random: &mut Random) -> Transfer {
        assert!(self.have(pairing), "no two accounts lie so");
        let (from, to) = loop {
            let from = random.below(self.keys.count());
            let to = match pairing {
                Pairing::Any | Pairing::TwoRegions => random.below(self.keys.count()),
                Pairing::OneRegion => {
                    let near = &self.members[self.regions[from as usize] as usize];
                    near[random.below(near.len() as u32) as usize]
                }
            };
            let apart = pairing == Pairing::TwoRegions;
            if to != from && !(apart && self.regions[from as usize] == self.regions[to as usize]) {
                break (from, to);
            }
        };
        Transfer { from, to, amount: 1 + i64::from(random.below(AMOUNTS - 1)) }
    }
}

/// What is known about an account's balance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Known {
    /// Sum of what surely came and went.
    moved: i64,
    /// What may have gone besides.
    may_have_gone: i64,
    /// What may have come besides.
    may_have_come: i64,
}

/// What balances must be, by the transfers that were acknowledged and those in doubt.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Balances(Vec<Known>);

impl Balances {
    /// Nothing has moved between `accounts` accounts.
    #[must_use]
    pub fn new(accounts: u32) -> Self {
        Self(vec![Known::default(); accounts as usize])
    }

    /// A transfer is sent.
    pub fn begin(&mut self, transfer: Transfer) {
        self.0[transfer.from as usize].may_have_gone += transfer.amount;
        self.0[transfer.to as usize].may_have_come += transfer.amount;
    }

    /// It was acknowledged.
    pub fn acknowledged(&mut self, transfer: Transfer) {
        let Transfer { from, to, amount } = transfer;
        let giver = &mut self.0[from as usize];
        (giver.moved, giver.may_have_gone) = (giver.moved - amount, giver.may_have_gone - amount);
        let taker = &mut self.0[to as usize];
        (taker.moved, taker.may_have_come) = (taker.moved + amount, taker.may_have_come - amount);
    }

    /// Takes over what another client knows.
    pub fn merge(&mut self, other: &Self) {
        for (known, more) in self.0.iter_mut().zip(&other.0) {
            known.moved += more.moved;
            known.may_have_gone += more.may_have_gone;
            known.may_have_come += more.may_have_come;
        }
    }

    /// How many of `found`, the balances of all accounts, cannot be; and one more if their sum is
    /// not what it was at the beginning.
    #[must_use]
    pub fn wrong(&self, found: &[Option<i64>]) -> u32 {
        assert_eq!(found.len(), self.0.len(), "balances of all accounts");
        let fits = |known: &Known, found: &Option<i64>| {
            let least = OPENING + known.moved - known.may_have_gone;
            let most = OPENING + known.moved + known.may_have_come;
            found.is_some_and(|found| (least..=most).contains(&found))
        };
        let strange = self.0.iter().zip(found).filter(|(known, found)| !fits(known, found)).count();
        let total: i64 = found.iter().flatten().sum();
        let kept = total == OPENING * self.0.len() as i64;
        u32::try_from(strange).unwrap_or(u32::MAX).saturating_add(u32::from(!kept))
    }
}

#[cfg(test)]
mod tests;
