//! Cycles and their classes, on graphs of a few nodes.
use super::*;

const ALL: Follow = Follow { wr: true, rw: true, realtime: true, rw_in_a_row: true };

fn graph(nodes: &[bool], edges: &[(Node, Node, Kind)]) -> Graph {
    let mut graph = Graph::default();
    for is_serializable in nodes {
        let _ = graph.add(*is_serializable);
    }
    for (from, to, kind) in edges {
        graph.link(*from, Edge { to: *to, kind: *kind, key: 0 });
    }
    graph
}

fn nodes(cycle: &Cycle) -> Vec<Node> {
    cycle.path.iter().map(|(node, _)| *node).collect()
}

#[test]
fn the_shortest_cycle_of_each_group_is_told() {
    use Kind::{Rw, Wr, Ww};
    let edges =
        [(0, 1, Ww), (1, 2, Ww), (2, 0, Wr), (1, 0, Rw), (3, 4, Wr), (4, 3, Ww), (2, 3, Ww)];
    let cycles = graph(&[false; 5], &edges).cycles(ALL);
    let found: Vec<_> = cycles.iter().map(|cycle| (cycle.class, nodes(cycle))).collect();
    assert_eq!(found.len(), 2);
    assert!(found.contains(&(Class::GSingle, vec![0, 1])), "{found:?}");
    assert!(found.contains(&(Class::G1c, vec![3, 4])), "{found:?}");
}

#[test]
fn two_reads_of_older_versions_in_a_row_are_followed_only_where_forbidden() {
    use Kind::{Rw, Ww};
    let edges = [(0, 1, Rw), (1, 0, Rw)];
    let strict = Follow { rw_in_a_row: false, ..ALL };
    assert_eq!(graph(&[false, false], &edges).cycles(strict), vec![]);
    assert_eq!(graph(&[false, true], &edges).cycles(strict), vec![]);
    assert_eq!(graph(&[true, true], &edges).cycles(strict)[0].class, Class::G2Item);
    assert_eq!(graph(&[false, false], &edges).cycles(ALL)[0].class, Class::G2Item);
    let apart = [(0, 1, Rw), (1, 2, Ww), (2, 3, Rw), (3, 0, Ww)];
    assert_eq!(graph(&[false; 4], &apart).cycles(strict)[0].class, Class::GNonadjacent);
}

#[test]
fn real_time_is_told_apart() {
    let edges = [(0, 1, Kind::Ww), (1, 0, Kind::Realtime)];
    let cycles = graph(&[false; 2], &edges).cycles(ALL);
    assert_eq!(cycles[0].to_string(), "G0-realtime");
    let follow = Follow { realtime: false, ..ALL };
    assert_eq!(graph(&[false; 2], &edges).cycles(follow), vec![]);
}

#[test]
fn a_chain_of_any_length_needs_no_deep_stack() {
    const LONG: usize = 200_000;
    let edges: Vec<_> = (0..LONG).map(|node| (node, (node + 1) % LONG, Kind::Ww)).collect();
    let chain = graph(&vec![false; LONG], &edges[..LONG - 1]);
    assert_eq!(chain.cycles(ALL), vec![]);
}
