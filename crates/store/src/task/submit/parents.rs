//! Parents of new tasks: what their ends so far mean, and the edges to them.

use std::collections::{HashMap, HashSet};

use taskloom_model::{Action, Effect, Life, Start, State, TaskId, Timestamp, UserId, next, start};
use uuid::Uuid;

use super::{Fresh, NewTask, Rejected};
use crate::error::{Result, StoreError};
use crate::row::Row;
use crate::sql::{Param, params};
use crate::task::step::parent_end;
use crate::tx::Tx;

/// How the parents of a submission have ended; nothing for those that live.
pub(super) type Ends = HashMap<TaskId, Option<State>>;

/// Looks at every parent. Those that live stay as they are until the submission is committed: a parent that ends
/// meanwhile would not see the edge, and its child would wait for ever.
pub(super) async fn ends(tx: &mut Tx, tasks: &[NewTask]) -> Result<std::result::Result<Ends, Rejected>> {
    let mut parents: Vec<TaskId> = tasks.iter().flat_map(|task| task.depends_on.iter().copied()).collect();
    parents.sort_unstable();
    parents.dedup();
    let mut held = HashSet::new();
    if tx.is_shared() {
        for parent in &parents {
            if hold(tx, *parent).await? {
                held.insert(*parent);
            }
        }
    }
    let sql = "SELECT t.id, t.user_id, o.state FROM tasks t LEFT JOIN outcomes o ON o.id = t.id
         WHERE t.deleted_at IS NULL AND t.id";
    let read = |row: &mut Row<'_>| Ok((row.next()?, (row.next()?, row.opt_word()?)));
    let found: HashMap<TaskId, (UserId, Option<State>)> =
        tx.rows_in(sql, &[], &parents, "", read).await?.into_iter().collect();
    for (index, task) in tasks.iter().enumerate() {
        let is_theirs = |parent: &TaskId| found.get(parent).is_some_and(|(user, _)| *user == task.user_id);
        if let Some(parent) = task.depends_on.iter().find(|parent| !is_theirs(parent)) {
            return Ok(Err(Rejected::UnknownParent { index, parent: *parent }));
        }
    }
    let mut live = found.iter().filter(|(_, (_, state))| state.is_none());
    if tx.is_shared() && live.any(|(parent, _)| !held.contains(parent)) {
        // It had ended when its row was looked for, and was retried by hand since: nothing holds it where it stands.
        return Err(StoreError::Conflict("a parent had just come to live again".into()));
    }
    Ok(Ok(found.into_iter().map(|(id, (_, state))| (id, state)).collect()))
}

/// Locks the row in which a live parent stands; false if it has ended, or does not exist.
async fn hold(tx: &mut Tx, parent: TaskId) -> Result<bool> {
    for sql in [
        "SELECT 1 FROM running WHERE id = ?",
        "SELECT 1 FROM ready WHERE queue = (SELECT queue FROM tasks WHERE id = ?)
         AND band = (SELECT band FROM tasks WHERE id = ?) AND id = ?",
        "SELECT 1 FROM scheduled WHERE id = ?",
        "SELECT 1 FROM limited WHERE id = ?",
        "SELECT 1 FROM blocked WHERE id = ?",
    ] {
        let params = vec![Param::Uuid(parent); sql.matches('?').count()];
        if tx.lock(sql, &params).await? > 0 {
            return Ok(true);
        }
    }
    let sql = "SELECT count(*) FROM tasks t WHERE t.id = ? AND NOT EXISTS (SELECT 1 FROM outcomes o WHERE o.id = t.id)";
    match tx.number(sql, params![parent]).await? {
        0 => Ok(false),
        // It stood in none of the tables when each was looked at: it moves right now.
        _ => Err(StoreError::Conflict("a parent had moved on".into())),
    }
}

/// The parents of a task, each once.
fn parents(task: &NewTask) -> Vec<TaskId> {
    let mut parents = task.depends_on.clone();
    parents.sort_unstable();
    parents.dedup();
    parents
}

/// The life that the ends so far leave to the child.
pub(super) fn life(task: &NewTask, ends: &Ends, now: Timestamp) -> Life {
    let parents = parents(task);
    let deps_left = parents.len() as u32;
    let mut life = start(Start { run_at: task.run_at, deps_left, limits: task.rules().limits }, now);
    for state in parents.iter().filter_map(|parent| ends.get(parent).copied().flatten()) {
        let action = Action::ParentEnded(parent_end(state, task.on_parent_failure));
        if let Ok(step) = next(&life, &task.rules(), action, now, 0.0)
            && let Effect::Become(after) = step.effect
        {
            life = after;
        }
    }
    life
}

/// Writes the edges to the parents.
pub(super) async fn link(tx: &mut Tx, tasks: &[Fresh<'_>], ends: &Ends) -> Result<()> {
    let mut rows: Vec<Param<'_>> = Vec::new();
    for Fresh { task, .. } in tasks {
        for parent in parents(task) {
            let is_open = ends.get(&parent).is_some_and(Option::is_none);
            let policy = task.on_parent_failure.name();
            rows.extend::<[Param<'_>; 4]>([
                Uuid::into(parent),
                task.id.into(),
                policy.into(),
                is_open.into(),
            ]);
        }
    }
    tx.insert_many("INSERT INTO edges (parent_id, child_id, policy, is_open)", 4, &rows).await
}
