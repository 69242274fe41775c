//! The graph of a workflow: who waits for whom, and why a graph is refused.

use std::collections::{HashMap, VecDeque};

/// A node as its submitter wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node<'a> {
    /// Its name within the workflow.
    pub key: &'a str,
    /// The keys of those it waits for; one that is named twice counts once.
    pub depends_on: Vec<&'a str>,
}

/// A graph without cycles.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dag {
    parents: Vec<Vec<usize>>,
    order: Vec<usize>,
}

/// Why a graph is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DagError {
    /// Two nodes have the same key.
    #[error("another node has the key {key} already")]
    DuplicateKey {
        /// The later of the two, by its place.
        node: usize,
        /// The key.
        key: String,
    },
    /// A node waits for one that is not there.
    #[error("{key} depends on {parent}, which is not in this workflow")]
    UnknownKey {
        /// The node that waits, by its place.
        node: usize,
        /// Its key.
        key: String,
        /// What it waits for.
        parent: String,
    },
    /// A node waits for itself.
    #[error("{key} depends on itself: {key} → {key}")]
    SelfDependency {
        /// The node, by its place.
        node: usize,
        /// Its key.
        key: String,
    },
    /// Nodes wait for each other.
    #[error("the nodes wait for each other: {}", along(path))]
    Cycle {
        /// A node of the cycle, by its place.
        node: usize,
        /// The keys along the cycle: each waits for the one before it, and the last is the first again.
        path: Vec<String>,
    },
}

/// The keys along a cycle; of a long one its ends.
fn along(path: &[String]) -> String {
    const ENDS: usize = 10;
    let Some(more) = path.len().checked_sub(2 * ENDS).filter(|more| *more > 1) else {
        return path.join(" → ");
    };
    let (first, last) = (&path[..ENDS], &path[path.len() - ENDS..]);
    format!("{} → … {more} more … → {}", first.join(" → "), last.join(" → "))
}

impl DagError {
    /// The node to blame, by its place.
    pub fn node(&self) -> usize {
        match self {
            Self::DuplicateKey { node, .. }
            | Self::UnknownKey { node, .. }
            | Self::SelfDependency { node, .. }
            | Self::Cycle { node, .. } => *node,
        }
    }
}

impl Dag {
    /// Ties the nodes together. Takes time linear in nodes and edges, and no stack.
    ///
    /// # Errors
    /// Whatever is wrong with keys and dependencies; if nothing is, the one cycle that was found first.
    pub fn new(nodes: &[Node<'_>]) -> Result<Self, Vec<DagError>> {
        let parents = resolve(nodes)?;
        let order = sort(&parents);
        if order.len() == nodes.len() {
            return Ok(Self { parents, order });
        }
        let cycle = cycle(&parents, &order);
        let key = |place: usize| nodes.get(place).map_or("", |node| node.key).to_owned();
        let node = cycle.first().copied().unwrap_or_default();
        Err(vec![DagError::Cycle { node, path: cycle.into_iter().map(key).collect() }])
    }

    /// The places of all nodes, each behind those it waits for; otherwise as they were given.
    pub fn order(&self) -> &[usize] {
        &self.order
    }

    /// Whom the node at this place waits for: places, ascending, each once.
    pub fn parents(&self, node: usize) -> &[usize] {
        self.parents.get(node).map_or(&[], Vec::as_slice)
    }

    /// How many dependencies there are.
    pub fn edges(&self) -> usize {
        self.parents.iter().map(Vec::len).sum()
    }
}

/// The places behind the keys.
fn resolve(nodes: &[Node<'_>]) -> Result<Vec<Vec<usize>>, Vec<DagError>> {
    let mut places = HashMap::with_capacity(nodes.len());
    let mut errors = Vec::new();
    for (node, Node { key, .. }) in nodes.iter().enumerate() {
        if places.contains_key(key) {
            errors.push(DagError::DuplicateKey { node, key: (*key).to_owned() });
        } else {
            places.insert(*key, node);
        }
    }
    let mut all = Vec::with_capacity(nodes.len());
    for (node, Node { key, depends_on }) in nodes.iter().enumerate() {
        let mut parents = Vec::with_capacity(depends_on.len());
        for parent in depends_on {
            match places.get(parent) {
                _ if parent == key => errors.push(DagError::SelfDependency { node, key: (*key).to_owned() }),
                Some(place) => parents.push(*place),
                None => {
                    let (key, parent) = ((*key).to_owned(), (*parent).to_owned());
                    errors.push(DagError::UnknownKey { node, key, parent });
                }
            }
        }
        parents.sort_unstable();
        parents.dedup();
        all.push(parents);
    }
    if errors.is_empty() { Ok(all) } else { Err(errors) }
}

/// Kahn's algorithm; nodes on a cycle, and those behind one, are left out.
fn sort(parents: &[Vec<usize>]) -> Vec<usize> {
    let mut children: Vec<Vec<usize>> = vec![Vec::new(); parents.len()];
    let mut open: Vec<usize> = parents.iter().map(Vec::len).collect();
    for (child, parents) in parents.iter().enumerate() {
        for parent in parents {
            children[*parent].push(child);
        }
    }
    let mut free: VecDeque<usize> = (0..parents.len()).filter(|node| open[*node] == 0).collect();
    let mut order = Vec::with_capacity(parents.len());
    while let Some(node) = free.pop_front() {
        order.push(node);
        for child in &children[node] {
            open[*child] -= 1;
            if open[*child] == 0 {
                free.push_back(*child);
            }
        }
    }
    order
}

/// A cycle among the nodes that `sorted` leaves out: each of them waits for another of them, so that going from parent to
/// parent comes round. Written in the direction of the work, the first node at both ends.
fn cycle(parents: &[Vec<usize>], sorted: &[usize]) -> Vec<usize> {
    let mut is_left = vec![true; parents.len()];
    for node in sorted {
        is_left[*node] = false;
    }
    let mut seen_at = vec![usize::MAX; parents.len()];
    let mut walk: Vec<usize> = Vec::new();
    let mut at = is_left.iter().position(|left| *left);
    while let Some(node) = at {
        if seen_at[node] != usize::MAX {
            let mut path = walk.split_off(seen_at[node]);
            path.reverse();
            // Begin with the node that was given first, as a reader would.
            let least = path.iter().enumerate().min_by_key(|(_, node)| **node).map_or(0, |(place, _)| place);
            path.rotate_left(least);
            path.extend(path.first().copied());
            return path;
        }
        seen_at[node] = walk.len();
        walk.push(node);
        at = parents[node].iter().copied().find(|parent| is_left[*parent]);
    }
    walk
}
