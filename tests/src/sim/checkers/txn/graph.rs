//! Directed graphs of transactions and the search for their shortest cycles.
//!
//! A promise about isolation forbids cycles of certain kinds of edges (Adya: "Weak consistency: a
//! generalized theory and optimistic implementations for distributed transactions", 1999). With
//! begin ≤ commit of each transaction:
//!
//! ```text
//!   ww, wr, realtime   u → v    u's commit is before v's begin
//!   rw                 u → v    u's begin is before v's commit
//! ```
//! So a cycle without two rw edges in a row contradicts itself under snapshot isolation, and one with
//! two in a row does not. The search therefore walks over places `(transaction, begin or commit)`. Where
//! a transaction is serializable, its begin and commit are one place, and no cycle is left.
use std::collections::{BTreeMap, VecDeque};
use std::fmt;

/// Number of a transaction, or of a point in time, in its graph.
pub type Node = usize;

/// Why one comes before the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// It wrote the version before the other's.
    Ww,
    /// It wrote what the other read.
    Wr,
    /// It read the version before the other's.
    Rw,
    /// It had ended when the other was asked for.
    Realtime,
}

/// An edge. `key` is meaningless for [`Kind::Realtime`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edge {
    /// Where to.
    pub to: Node,
    /// Why.
    pub kind: Kind,
    /// Of which key.
    pub key: u32,
}

/// A class of cycles.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// Of writes alone.
    G0,
    /// Of writes, and of reads of what was written.
    G1c,
    /// With one read of an older version.
    GSingle,
    /// With several such, no two in a row: snapshots that contradict each other.
    GNonadjacent,
    /// With two such in a row: write skew.
    G2Item,
}

/// A cycle, its class, and whether real time is a part of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cycle {
    /// Which class.
    pub class: Class,
    /// Without real time there would be no contradiction.
    pub needs_realtime: bool,
    /// From each transaction to the next; the last edge leads to the first.
    pub path: Vec<(Node, Edge)>,
}

impl fmt::Display for Cycle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.class {
            Class::G0 => "G0",
            Class::G1c => "G1c",
            Class::GSingle => "G-single",
            Class::GNonadjacent => "G-nonadjacent",
            Class::G2Item => "G2-item",
        };
        write!(f, "{name}{}", if self.needs_realtime { "-realtime" } else { "" })
    }
}

/// Which edges a search follows.
#[derive(Clone, Copy, Debug)]
pub struct Follow {
    /// Reads of what was written.
    pub wr: bool,
    /// Reads of older versions.
    pub rw: bool,
    /// Real time.
    pub realtime: bool,
    /// Two reads of older versions in a row, also of transactions that are not serializable.
    pub rw_in_a_row: bool,
}

/// Transactions and why one comes before another.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    edges: Vec<Vec<Edge>>,
    is_serializable: Vec<bool>,
}

/// A node at its begin or its commit.
type Place = usize;

impl Graph {
    /// One node more.
    pub fn add(&mut self, is_serializable: bool) -> Node {
        self.edges.push(Vec::new());
        self.is_serializable.push(is_serializable);
        self.edges.len() - 1
    }

    /// One edge more; none from a node to itself.
    pub fn link(&mut self, from: Node, edge: Edge) {
        if from != edge.to {
            self.edges[from].push(edge);
        }
    }

    /// The shortest cycle found in each group of nodes that lie on common cycles.
    #[must_use]
    pub fn cycles(&self, follow: Follow) -> Vec<Cycle> {
        let groups = self.groups(follow);
        groups.iter().filter_map(|group| self.shortest(group, follow)).collect()
    }

    fn next(&self, place: Place, follow: Follow) -> impl Iterator<Item = (Place, Edge)> + '_ {
        let (node, is_commit) = (place / 2, place % 2 == 1);
        let may_rw = !is_commit || follow.rw_in_a_row;
        self.edges[node].iter().filter_map(move |edge| {
            let to_commit = match edge.kind {
                Kind::Ww => false,
                Kind::Wr if follow.wr => false,
                Kind::Realtime if follow.realtime => false,
                Kind::Rw if follow.rw && may_rw => {
                    !follow.rw_in_a_row && !self.is_serializable[edge.to]
                }
                Kind::Wr | Kind::Realtime | Kind::Rw => return None,
            };
            Some((2 * edge.to + usize::from(to_commit), *edge))
        })
    }

    /// Strongly connected components of more than one place (Tarjan 1972, without recursion).
    fn groups(&self, follow: Follow) -> Vec<Vec<Place>> {
        const NEW: usize = usize::MAX;
        let count = 2 * self.edges.len();
        let (mut index, mut low) = (vec![NEW; count], vec![0; count]);
        let (mut open, mut is_open) = (Vec::new(), vec![false; count]);
        let (mut found, mut counter) = (Vec::new(), 0);
        for root in 0..count {
            if index[root] != NEW {
                continue;
            }
            let mut work: Vec<(Place, Vec<Place>)> = Vec::new();
            let mut entered = Some(root);
            loop {
                if let Some(place) = entered.take() {
                    (index[place], low[place]) = (counter, counter);
                    counter += 1;
                    open.push(place);
                    is_open[place] = true;
                    work.push((place, self.next(place, follow).map(|(to, _)| to).collect()));
                }
                let Some((place, left)) = work.last_mut() else { break };
                let place = *place;
                if let Some(to) = left.pop() {
                    if index[to] == NEW {
                        entered = Some(to);
                    } else if is_open[to] {
                        low[place] = low[place].min(index[to]);
                    }
                    continue;
                }
                work.pop();
                if let Some((parent, _)) = work.last() {
                    low[*parent] = low[*parent].min(low[place]);
                }
                if low[place] == index[place] {
                    let first = open.iter().rposition(|p| *p == place).expect("it is open");
                    let group = open.split_off(first);
                    group.iter().for_each(|p| is_open[*p] = false);
                    if group.len() > 1 {
                        found.push(group);
                    }
                }
            }
        }
        found
    }

    /// The shortest cycle through some of the places of a group.
    fn shortest(&self, group: &[Place], follow: Follow) -> Option<Cycle> {
        /// Starts that are tried: any of them gives a cycle, more give a shorter one.
        const STARTS: usize = 32;
        let inside: std::collections::BTreeSet<Place> = group.iter().copied().collect();
        let around = |start: Place| {
            let mut came: BTreeMap<Place, (Place, Edge)> = BTreeMap::new();
            let mut queue = VecDeque::from([start]);
            while let Some(place) = queue.pop_front() {
                for (to, edge) in self.next(place, follow) {
                    if !inside.contains(&to) || came.contains_key(&to) {
                        continue;
                    }
                    came.insert(to, (place, edge));
                    if to == start {
                        return Some(walk_back(start, &came));
                    }
                    queue.push_back(to);
                }
            }
            None
        };
        let paths = inside.iter().take(STARTS).filter_map(|start| around(*start));
        paths.min_by_key(Vec::len).map(of_path)
    }
}

fn walk_back(start: Place, came: &BTreeMap<Place, (Place, Edge)>) -> Vec<(Node, Edge)> {
    let (mut path, mut place) = (Vec::new(), start);
    loop {
        let (from, edge) = came[&place];
        path.push((from / 2, edge));
        place = from;
        if place == start {
            path.reverse();
            return path;
        }
    }
}

fn of_path(path: Vec<(Node, Edge)>) -> Cycle {
    let is = |kind: Kind| move |(_, edge): &&(Node, Edge)| edge.kind == kind;
    let rw = path.iter().filter(is(Kind::Rw)).count();
    let follows_rw =
        |i: usize| path[i].1.kind == Kind::Rw && path[(i + 1) % path.len()].1.kind == Kind::Rw;
    let class = match rw {
        0 if path.iter().any(|(_, edge)| edge.kind == Kind::Wr) => Class::G1c,
        0 => Class::G0,
        1 => Class::GSingle,
        _ if (0..path.len()).any(follows_rw) => Class::G2Item,
        _ => Class::GNonadjacent,
    };
    let needs_realtime = path.iter().any(|(_, edge)| edge.kind == Kind::Realtime);
    Cycle { class, needs_realtime, path }
}

#[cfg(test)]
mod tests;
