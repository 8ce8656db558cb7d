//! Transactions that append to lists and read them (the idea of Kingsbury and Alvaro: "Elle: inferring
//! isolation anomalies from experimental observations", 2020). A list tells in which order its
//! versions were made, so what came before what is known, not guessed.
//!
//! A transaction *counts* if it committed, or if its outcome is unknown and a transaction that counts
//! has seen it.
use super::graph::{Class, Cycle, Edge, Follow, Graph, Kind, Node};
use crate::workload::txn::{Fate, Level, ListStep, ListTxn};
use std::collections::{BTreeMap, BTreeSet};

/// What a history came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// What is wrong, for people.
    pub wrong: Vec<String>,
    /// Groups of transactions with write skew, which snapshot isolation allows.
    pub write_skews: usize,
    /// Transactions that count.
    pub counted: usize,
    /// Reads that were compared.
    pub reads: usize,
}

/// Checks a history.
///
/// # Panics
/// Two appends to a key have the same number.
#[must_use]
pub fn check(history: &[ListTxn]) -> Found {
    let mut checker = Checker::new(history);
    checker.count();
    let counted = checker.counted.clone();
    checker.check_steps(&counted);
    checker.order_versions(&counted);
    checker.check_reads(&counted);
    checker.check_lost(&counted);
    checker.found.counted = counted.len();
    // Edges mean nothing where versions have no order.
    if checker.found.wrong.is_empty() {
        checker.check_cycles(&counted);
    }
    checker.found
}

struct Checker<'a> {
    history: &'a [ListTxn],
    /// Who appended a number.
    writers: BTreeMap<(u32, u64), usize>,
    counted: BTreeSet<usize>,
    /// Longest list seen of each key.
    versions: BTreeMap<u32, &'a [u64]>,
    found: Found,
}

/// Reads of a transaction without what it had itself appended by then.
fn external_reads(txn: &ListTxn) -> Vec<(u32, &[u64])> {
    let mut own: BTreeMap<u32, usize> = BTreeMap::new();
    let mut reads = Vec::new();
    for step in &txn.steps {
        match step {
            ListStep::Append(key, _) => *own.entry(*key).or_default() += 1,
            ListStep::Read(key, list) => {
                let appended = own.get(key).copied().unwrap_or_default();
                reads.push((*key, &list[..list.len().saturating_sub(appended)]));
            }
        }
    }
    reads
}

impl<'a> Checker<'a> {
    fn new(history: &'a [ListTxn]) -> Self {
        let mut writers = BTreeMap::new();
        for (number, txn) in history.iter().enumerate() {
            for (key, value) in txn.appends() {
                let known = writers.insert((key, value), number);
                assert!(known.is_none(), "{value} is appended twice to key {key}");
            }
        }
        let (counted, versions) = (BTreeSet::new(), BTreeMap::new());
        Self { history, writers, counted, versions, found: Found::default() }
    }

    fn wrong(&mut self, what: &str, txns: &[usize]) {
        let lines = txns.iter().map(|number| format!("\n    {}", self.history[*number]));
        self.found.wrong.push(format!("{what}:{}", lines.collect::<String>()));
    }

    /// Finds who counts.
    fn count(&mut self) {
        let is_committed = |(_, txn): &(usize, &ListTxn)| txn.fate == Fate::Committed;
        let mut new: Vec<usize> =
            self.history.iter().enumerate().filter(is_committed).map(|(n, _)| n).collect();
        self.counted.extend(&new);
        while let Some(number) = new.pop() {
            for (key, list) in self.history[number].reads() {
                for value in list {
                    let Some(writer) = self.writers.get(&(key, *value)) else { continue };
                    let is_open = self.history[*writer].fate == Fate::Unknown;
                    if is_open && self.counted.insert(*writer) {
                        new.push(*writer);
                    }
                }
            }
        }
    }

    /// A transaction sees what it did itself, and no read changes under it.
    fn check_steps(&mut self, counted: &BTreeSet<usize>) {
        for number in counted {
            let mut known: BTreeMap<u32, Vec<u64>> = BTreeMap::new();
            let mut own: BTreeMap<u32, Vec<u64>> = BTreeMap::new();
            for step in &self.history[*number].steps {
                let fits = match step {
                    ListStep::Append(key, value) => {
                        own.entry(*key).or_default().push(*value);
                        known.entry(*key).and_modify(|list| list.push(*value));
                        true
                    }
                    ListStep::Read(key, list) => {
                        let fits = own.get(key).is_none_or(|own| list.ends_with(own));
                        let before = known.insert(*key, list.clone());
                        fits && before.is_none_or(|before| before == *list)
                    }
                };
                if !fits {
                    self.wrong(&format!("internal: {step} contradicts earlier steps"), &[*number]);
                }
            }
        }
    }

    /// The longest list of each key is its order; all others must be its beginnings.
    fn order_versions(&mut self, counted: &BTreeSet<usize>) {
        let history = self.history;
        let mut seen_by: BTreeMap<u32, usize> = BTreeMap::new();
        for number in counted {
            for (key, list) in external_reads(&history[*number]) {
                let longest = self.versions.entry(key).or_default();
                if list.len() > longest.len() {
                    *longest = list;
                    seen_by.insert(key, *number);
                }
            }
        }
        for number in counted {
            for (key, list) in external_reads(&history[*number]) {
                self.found.reads += 1;
                if !self.versions[&key].starts_with(list) {
                    let both = [seen_by[&key], *number];
                    self.wrong(&format!("incompatible orders of key {key}"), &both);
                }
            }
        }
    }

    /// Aborted, intermediate, doubled and invented values.
    fn check_reads(&mut self, counted: &BTreeSet<usize>) {
        let history = self.history;
        for (key, list) in self.versions.clone() {
            let mut seen = BTreeSet::new();
            for value in list {
                if !seen.insert(value) {
                    self.found.wrong.push(format!("key {key} holds {value} twice: {list:?}"));
                }
                match self.writers.get(&(key, *value)).copied() {
                    None => self.found.wrong.push(format!("nobody wrote {value} of key {key}")),
                    Some(writer) if history[writer].fate == Fate::Failed => {
                        let what =
                            format!("G1a: a read of key {key} shows {value}, whose writer failed");
                        self.wrong(&what, &[writer]);
                    }
                    Some(_) => {}
                }
            }
        }
        for number in counted {
            for (key, list) in external_reads(&history[*number]) {
                let Some(last) = list.last() else { continue };
                let Some(writer) = self.writers.get(&(key, *last)).copied() else { continue };
                let newest = history[writer].appends().filter(|(k, _)| *k == key).last();
                if writer != *number && newest != Some((key, *last)) {
                    self.wrong(
                        &format!("G1b: an intermediate {last} of key {key}"),
                        &[writer, *number],
                    );
                }
            }
        }
    }

    /// What committed, or was seen, is in every list that is asked for afterwards.
    fn check_lost(&mut self, counted: &BTreeSet<usize>) {
        let history = self.history;
        let (mut last_asked, mut first_seen) = (BTreeMap::new(), BTreeMap::new());
        for number in counted {
            let txn = &history[*number];
            for (key, list) in txn.reads() {
                if txn.level != Level::Past {
                    let last = last_asked.entry(key).or_insert((txn.invoked, *number));
                    *last = (*last).max((txn.invoked, *number));
                }
                let Some(returned) = txn.returned.filter(|_| txn.fate == Fate::Committed) else {
                    continue;
                };
                for writer in list.iter().filter_map(|value| self.writers.get(&(key, *value))) {
                    let first = first_seen.entry(*writer).or_insert(returned);
                    *first = (*first).min(returned);
                }
            }
        }
        let places: BTreeSet<(u32, u64)> = self
            .versions
            .iter()
            .flat_map(|(key, list)| list.iter().map(|value| (*key, *value)))
            .collect();
        for number in counted {
            let txn = &history[*number];
            let returned = txn.returned.filter(|_| txn.fate == Fate::Committed);
            let Some(sure) =
                [returned, first_seen.get(number).copied()].into_iter().flatten().min()
            else {
                continue;
            };
            for (key, value) in txn.appends() {
                let later = last_asked.get(&key).filter(|(asked, _)| *asked > sure);
                if let Some((_, reader)) = later.filter(|_| !places.contains(&(key, value))) {
                    self.wrong(
                        &format!("lost append of {value} to key {key}"),
                        &[*number, *reader],
                    );
                }
            }
        }
    }

    fn check_cycles(&mut self, counted: &BTreeSet<usize>) {
        let (graph, places) = self.graph(counted);
        let base = Follow { wr: false, rw: false, realtime: false, rw_in_a_row: false };
        let steps = [
            base,
            Follow { wr: true, ..base },
            Follow { wr: true, rw: true, ..base },
            Follow { wr: true, realtime: true, ..base },
            Follow { wr: true, rw: true, realtime: true, ..base },
        ];
        let cycles = steps.into_iter().map(|follow| graph.cycles(follow)).find(|c| !c.is_empty());
        for cycle in cycles.unwrap_or_default() {
            self.found.wrong.push(self.words(&cycle, &places));
        }
        let all = Follow { wr: true, rw: true, realtime: false, rw_in_a_row: true };
        let all = graph.cycles(all);
        self.found.write_skews = all.iter().filter(|c| c.class == Class::G2Item).count();
    }

    /// Transactions that count, then the points in time at which they returned.
    fn graph(&self, counted: &BTreeSet<usize>) -> (Graph, Vec<usize>) {
        let mut graph = Graph::default();
        let places: Vec<usize> = counted.iter().copied().collect();
        let node_of: BTreeMap<usize, Node> =
            places.iter().enumerate().map(|(node, number)| (*number, node)).collect();
        for number in &places {
            let _ = graph.add(self.history[*number].level == Level::Serializable);
        }
        let writer = |key: u32, value: u64| node_of[&self.writers[&(key, value)]];
        for (key, list) in &self.versions {
            for pair in list.windows(2) {
                let edge = Edge { to: writer(*key, pair[1]), kind: Kind::Ww, key: *key };
                graph.link(writer(*key, pair[0]), edge);
            }
        }
        for (node, number) in places.iter().enumerate() {
            for (key, list) in external_reads(&self.history[*number]) {
                if let Some(last) = list.last() {
                    graph.link(writer(key, *last), Edge { to: node, kind: Kind::Wr, key });
                }
                let next = self.versions[&key][list.len()..].iter();
                if let Some(next) = next.map(|v| writer(key, *v)).find(|next| *next != node) {
                    graph.link(node, Edge { to: next, kind: Kind::Rw, key });
                }
            }
        }
        self.link_times(&mut graph, &places);
        (graph, places)
    }

    /// A chain of points in time: who returned leads to the point, and that to whoever was asked for
    /// afterwards.
    fn link_times(&self, graph: &mut Graph, places: &[usize]) {
        let edge = |to| Edge { to, kind: Kind::Realtime, key: 0 };
        let txn = |node: &Node| &self.history[places[*node]];
        let mut returns: Vec<(u64, Node)> = (0..places.len())
            .filter(|node| txn(node).fate == Fate::Committed)
            .filter_map(|node| Some((txn(&node).returned?, node)))
            .collect();
        returns.sort_unstable();
        let points: Vec<(u64, Node)> =
            returns.iter().map(|(returned, _)| (*returned, graph.add(true))).collect();
        for ((_, node), (_, point)) in returns.iter().zip(&points) {
            graph.link(*node, edge(*point));
        }
        for pair in points.windows(2) {
            graph.link(pair[0].1, edge(pair[1].1));
        }
        for node in (0..places.len()).filter(|node| txn(node).level != Level::Past) {
            let before = points.partition_point(|(returned, _)| *returned < txn(&node).invoked);
            if let Some((_, point)) = before.checked_sub(1).map(|last| points[last]) {
                graph.link(point, edge(node));
            }
        }
    }

    fn words(&self, cycle: &Cycle, places: &[usize]) -> String {
        let mut words = format!("{cycle}:");
        for (node, edge) in &cycle.path {
            let Some(number) = places.get(*node) else { continue };
            words.push_str(&format!("\n    {}", self.history[*number]));
            words.push_str(&match edge.kind {
                Kind::Ww => format!("\n      whose write of key {} was overwritten by", edge.key),
                Kind::Wr => format!("\n      whose write of key {} was read by", edge.key),
                Kind::Rw => format!("\n      whose read of key {} was overwritten by", edge.key),
                Kind::Realtime => "\n      which ended before the begin of".to_owned(),
            });
        }
        words
    }
}

#[cfg(test)]
mod tests;
