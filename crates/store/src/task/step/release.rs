//! T10: what the ends of tasks mean to those that wait for them.

use std::collections::{BTreeMap, HashMap, HashSet};

use taskloom_model::{Action, Effect, ParentEnd, ParentPolicy, State, TaskId, Timestamp, Transition, next};

use super::Stepped;
use super::write::{Move, write};
use crate::error::{Result, StoreError};
use crate::row::Row;
use crate::task::life::{Standing, load_all, lock_blocked};
use crate::task::note::Note;
use crate::tx::Tx;

/// Releases the children of every task that ended in the steps from `first` on, and theirs, and appends their steps.
pub(super) async fn release(
    tx: &mut Tx,
    first: usize,
    now: Timestamp,
    steps: &mut Vec<Stepped>,
) -> Result<()> {
    // Generation by generation: a chain of dependents may be long.
    let mut at = first;
    while at < steps.len() {
        let ended: Vec<(TaskId, State)> = steps[at..]
            .iter()
            .filter(|step| step.life.state().is_terminal() && !step.before.is_terminal())
            .map(|step| (step.id, step.life.state()))
            .collect();
        at = steps.len();
        let children = close_edges(tx, &ended).await?;
        release_children(tx, children, now, steps).await?;
    }
    Ok(())
}

/// Open edges of parents, up to their ids.
const OPEN: &str = "SELECT parent_id, child_id, policy FROM edges WHERE is_open = 1 AND parent_id";
/// The same.
const CLOSE: &str = "UPDATE edges SET is_open = 0 WHERE is_open = 1 AND parent_id";

/// The children of parents that ended, with what each end means to them, in the order of the ends.
type Children = BTreeMap<TaskId, Vec<ParentEnd>>;

/// Closes the open edges of parents that ended: each is satisfied or broken once.
async fn close_edges(tx: &mut Tx, ended: &[(TaskId, State)]) -> Result<Children> {
    let parents: Vec<TaskId> = ended.iter().map(|(id, _)| *id).collect();
    let read =
        |row: &mut Row<'_>| Ok((row.next::<TaskId>()?, row.next::<TaskId>()?, row.word::<ParentPolicy>()?));
    let mut edges = tx.rows_in(OPEN, &[], &parents, "", read).await?;
    let places: HashMap<TaskId, (usize, State)> =
        ended.iter().enumerate().map(|(place, (id, state))| (*id, (place, *state))).collect();
    edges.sort_by_key(|(parent, ..)| places.get(parent).map(|(place, _)| *place));
    let mut with_children: Vec<TaskId> = edges.iter().map(|(parent, ..)| *parent).collect();
    with_children.dedup();
    if tx.exec_in(CLOSE, &[], &with_children).await? != edges.len() as u64 {
        return Err(StoreError::Conflict("a child had just given up a parent".into()));
    }
    let mut children = Children::new();
    for (parent, child, policy) in edges {
        if let Some((_, state)) = places.get(&parent) {
            children.entry(child).or_default().push(parent_end(*state, policy));
        }
    }
    Ok(children)
}

async fn release_children(
    tx: &mut Tx,
    children: Children,
    now: Timestamp,
    steps: &mut Vec<Stepped>,
) -> Result<()> {
    let ids: Vec<TaskId> = children.keys().copied().collect();
    // Another parent may end at the same time: one after the other counts down.
    let locked: HashSet<TaskId> = lock_blocked(tx, &ids).await?.into_iter().collect();
    let mut standings = load_all(tx, &ids).await?;
    let note = Note::default();
    let mut moves = Vec::with_capacity(children.len());
    for (id, ends) in children {
        let Some(standing) = standings.remove(&id) else { continue };
        if tx.is_shared() && !locked.contains(&id) && standing.life.state() == State::Blocked {
            return Err(StoreError::Conflict("a child was just being moved".into()));
        }
        // A child that another parent has ended, or a user cancelled, no longer cares.
        if let Some(transition) = after_all(&standing, &ends, now) {
            moves.push(Move { id, standing, transition, note: &note });
        }
    }
    write(tx, &moves, steps).await
}

/// The steps that these ends make, one after the other, as one.
fn after_all(standing: &Standing, ends: &[ParentEnd], now: Timestamp) -> Option<Transition> {
    let (mut life, mut last) = (standing.life, None);
    for end in ends {
        if let Ok(transition) = next(&life, &standing.rules, Action::ParentEnded(*end), now, 0.0)
            && let Effect::Become(after) = transition.effect
        {
            (life, last) = (after, Some(transition));
        }
    }
    last
}

/// What a parent's end means to a child with this policy.
pub(crate) fn parent_end(state: State, policy: ParentPolicy) -> ParentEnd {
    if state == State::Succeeded { ParentEnd::Satisfied } else { ParentEnd::Broken(policy) }
}

#[cfg(test)]
mod tests {
    #[tokio::test(flavor = "multi_thread")]
    async fn edges_of_many_parents_are_found_by_their_keys() {
        let ids = ["'00000000-0000-0000-0000-000000000001'"; 4].join(", ");
        for sql in [super::OPEN, super::CLOSE] {
            // It refuses any way but an index.
            let _ = crate::postgres::plan(&format!("{sql} IN (?, ?, ?, ?)"), &ids).await;
        }
    }
}
