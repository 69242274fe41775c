//! Graphs of workflows: accepted in order, refused with the path named, at any size.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may")]

use proptest::prelude::*;
use taskloom_model::{Dag, DagError, Node};

fn node<'a>(key: &'a str, depends_on: &[&'a str]) -> Node<'a> {
    Node { key, depends_on: depends_on.to_vec() }
}

fn refused(nodes: &[Node<'_>]) -> Vec<DagError> {
    Dag::new(nodes).unwrap_err()
}

#[test]
fn a_graph_is_sorted_and_says_whom_each_waits_for() {
    let nodes =
        [node("load", &["clean", "extract", "clean"]), node("clean", &["extract"]), node("extract", &[])];
    let dag = Dag::new(&nodes).unwrap();
    assert_eq!(dag.order(), [2, 1, 0]);
    assert_eq!((dag.parents(0), dag.edges()), ([1, 2].as_slice(), 3));
    assert_eq!(Dag::new(&[]).unwrap().order(), [0usize; 0]);
}

#[test]
fn errors_name_what_is_wrong_and_where() {
    let nodes = [node("a", &["a"]), node("b", &["nowhere"]), node("a", &[])];
    let errors = refused(&nodes);
    let said: Vec<_> = errors.iter().map(|error| (error.node(), error.to_string())).collect();
    assert_eq!(
        said,
        [
            (2, "another node has the key a already".to_owned()),
            (0, "a depends on itself: a → a".to_owned()),
            (1, "b depends on nowhere, which is not in this workflow".to_owned()),
        ]
    );
}

#[test]
fn a_cycle_is_named_in_the_direction_of_the_work() {
    // Something before and something behind the cycle, neither of which is on it.
    let nodes = [
        node("start", &[]),
        node("a", &["start", "c"]),
        node("b", &["a"]),
        node("c", &["b"]),
        node("end", &["c"]),
    ];
    let errors = refused(&nodes);
    assert_eq!(errors[0].to_string(), "the nodes wait for each other: a → b → c → a");
    assert_eq!(errors[0].node(), 1);
}

#[test]
fn size_is_no_matter() {
    let keys: Vec<String> = (0..10_000).map(|i| format!("n{i}")).collect();
    // A chain, the worst for a stack, and nine more edges back from each.
    let parents = |i: usize| (1..=10).filter(move |back| *back <= i).map(move |back| i - back);
    let mut nodes: Vec<Node<'_>> = keys
        .iter()
        .enumerate()
        .map(|(i, key)| Node { key, depends_on: parents(i).map(|p| keys[p].as_str()).collect() })
        .collect();
    let dag = Dag::new(&nodes).unwrap();
    assert_eq!((dag.order().len(), dag.edges()), (10_000, 99_945));
    assert!(dag.order().is_sorted());
    nodes[0].depends_on.push(&keys[9_999]);
    let DagError::Cycle { path, .. } = &refused(&nodes)[0] else { panic!("no cycle") };
    assert!(path.len() > 1_000 && path.first() == path.last());
    let told = refused(&nodes)[0].to_string();
    assert!(told.len() < 1_000 && told.contains(&format!(" → … {} more … → ", path.len() - 20)), "{told}");
}

proptest! {
    /// Edges only from later to earlier places, then shuffled: always accepted, and the order respects every edge.
    #[test]
    fn whatever_has_an_order_is_accepted(
        edges in prop::collection::vec((0usize..30, 0usize..30), 0..120),
        turn in 0usize..30,
    ) {
        let keys: Vec<String> = (0..30).map(|i| format!("k{i}")).collect();
        let nodes: Vec<Node<'_>> = (0..30)
            .map(|i| (i + turn) % 30)
            .map(|i| {
                let below = edges.iter().filter(|(child, parent)| *child == i && parent < child);
                Node { key: &keys[i], depends_on: below.map(|(_, parent)| keys[*parent].as_str()).collect() }
            })
            .collect();
        let dag = Dag::new(&nodes).unwrap();
        let mut place = vec![0; 30];
        dag.order().iter().enumerate().for_each(|(at, node)| place[*node] = at);
        for child in 0..30 {
            for parent in dag.parents(child) {
                prop_assert!(place[*parent] < place[child]);
                prop_assert!(nodes[child].depends_on.contains(&nodes[*parent].key));
            }
        }
    }

    /// Whatever is refused has a cycle that is one: each of its nodes waits for the one before.
    #[test]
    fn a_refusal_shows_a_true_cycle(edges in prop::collection::vec((0usize..8, 0usize..8), 0..40)) {
        let keys: Vec<String> = (0..8).map(|i| format!("k{i}")).collect();
        let waits = |child: usize| edges.iter().filter(move |(c, p)| *c == child && p != c).map(|(_, p)| *p);
        let nodes: Vec<Node<'_>> = (0..8)
            .map(|i| Node { key: &keys[i], depends_on: waits(i).map(|p| keys[p].as_str()).collect() })
            .collect();
        if let Err(errors) = Dag::new(&nodes) {
            let [DagError::Cycle { path, .. }] = &errors[..] else { panic!("{errors:?}") };
            prop_assert_eq!(path.first(), path.last());
            for step in path.windows(2) {
                let child = nodes.iter().find(|node| node.key == step[1]).unwrap();
                prop_assert!(child.depends_on.contains(&step[0].as_str()), "{:?}", path);
            }
        }
    }
}
