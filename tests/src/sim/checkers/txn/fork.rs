//! Long fork: two writers who know nothing of each other, and two readers of whom each sees another
//! one of them alone. Of keys that are written once, any two readers must have seen sets of which one
//! contains the other.
use std::collections::BTreeSet;

/// What a reader of a whole group of keys saw: those that were written by then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sight {
    /// Group of keys.
    pub group: u32,
    /// Keys of it that had a value.
    pub written: BTreeSet<u32>,
    /// Who read, for people.
    pub who: String,
}

/// Readers who disagree.
#[must_use]
pub fn check(sights: &[Sight]) -> Vec<String> {
    let mut by_size: Vec<&Sight> = sights.iter().collect();
    by_size.sort_by_key(|sight| (sight.group, sight.written.len()));
    let disagree = |pair: &&[&Sight]| {
        pair[0].group == pair[1].group && !pair[0].written.is_subset(&pair[1].written)
    };
    let words = |pair: &[&Sight]| {
        format!(
            "long fork in group {}: {} saw {:?}, {} saw {:?}",
            pair[0].group, pair[0].who, pair[0].written, pair[1].who, pair[1].written
        )
    };
    by_size.windows(2).filter(disagree).map(words).collect()
}

#[cfg(test)]
mod tests;
