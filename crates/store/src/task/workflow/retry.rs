//! T11 for a whole workflow, or from a node on.

use std::collections::{HashMap, HashSet};

use taskloom_model::{Action, Reason, State, TaskId, Timestamp, UserId, WorkflowId};

use super::Head;
use super::expand::more_parents;
use super::members::Member;
use crate::Store;
use crate::error::{Result, StoreError};
use crate::sql::params;
use crate::task::step::{Request, StepError, Stepped, step};
use crate::task::submit::hold;
use crate::tx::Tx;

/// Why nothing was retried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RetryRefused {
    /// There is no such workflow.
    NotFound,
    /// It has no node with that key.
    UnknownNode,
    /// Nothing of it failed or was revoked.
    Nothing,
    /// This one has not ended.
    StillLives {
        /// The task.
        id: TaskId,
        /// Its node's key.
        node: Option<String>,
        /// Where it stands.
        state: State,
    },
}

type Retried = std::result::Result<(u64, Vec<Stepped>), RetryRefused>;

impl Store {
    /// Runs what failed or was revoked again, or, from a node, that and all that depends on it. Whoever depends on what
    /// runs again waits for it again. Gives how many tasks, and their steps.
    pub async fn workflow_retry(
        &self,
        id: WorkflowId,
        owner: Option<UserId>,
        from: Option<String>,
        now: Timestamp,
    ) -> Result<Retried> {
        self.write(move |tx| Box::pin(async move { retry(tx, id, owner, from.as_deref(), now).await })).await
    }
}

async fn retry(
    tx: &mut Tx,
    id: WorkflowId,
    owner: Option<UserId>,
    from: Option<&str>,
    now: Timestamp,
) -> Result<Retried> {
    if Head::lock(tx, id, owner).await?.is_none() {
        return Ok(Err(RetryRefused::NotFound));
    }
    let mut plan = match Plan::new(Member::all(tx, id).await?, edges(tx, id).await?, from) {
        Ok(plan) => plan,
        Err(refused) => return Ok(Err(refused)),
    };
    plan.hold(tx, id).await?;
    for task in &plan.gone {
        tx.exec("DELETE FROM workflow_tasks WHERE workflow_id = ? AND task_id = ?", params![id, *task])
            .await?;
        tx.exec("DELETE FROM edges WHERE parent_id = ?", params![*task]).await?;
    }
    let mut steps = Vec::new();
    for member in std::mem::take(&mut plan.members) {
        if plan.run_again(tx, &member, now, &mut steps).await?.is_err() {
            // Another task has its unique key, and does what it was to do. Those that depend on it come later.
            plan.again.remove(&member.id);
        }
    }
    tx.exec("UPDATE workflows SET cancelled_at = NULL WHERE id = ?", params![id]).await?;
    Ok(Ok((plan.again.len() as u64, steps)))
}

/// An edge: who waits, for whom, and whether still.
struct Edge {
    child: TaskId,
    parent: TaskId,
    is_open: bool,
}

async fn edges(tx: &mut Tx, id: WorkflowId) -> Result<Vec<Edge>> {
    let sql = "SELECT e.child_id, e.parent_id, e.is_open FROM workflow_tasks w JOIN edges e ON e.child_id = w.task_id
         WHERE w.workflow_id = ?";
    tx.rows(sql, params![id], |row| {
        Ok(Edge { child: row.next()?, parent: row.next()?, is_open: row.next()? })
    })
    .await
}

/// Who runs again, behind whom.
struct Plan {
    members: Vec<Member>,
    states: HashMap<TaskId, State>,
    again: HashSet<TaskId>,
    /// Made by tasks that run again, which will make others.
    gone: HashSet<TaskId>,
    /// Edges by child.
    waits: HashMap<TaskId, Vec<(TaskId, bool)>>,
}

impl Plan {
    fn new(
        members: Vec<Member>,
        edges: Vec<Edge>,
        from: Option<&str>,
    ) -> std::result::Result<Self, RetryRefused> {
        let mut again: HashSet<TaskId> = match from {
            None => members.iter().filter(|m| failed(m)).map(|m| m.id).collect(),
            Some(key) => {
                let is_it = |m: &&Member| m.item.is_none() && m.node.as_deref() == Some(key);
                let node = members.iter().find(is_it).ok_or(RetryRefused::UnknownNode)?;
                downstream(node.id, &edges)
            }
        };
        let gone = made_by(&members, &again);
        again.retain(|id| !gone.contains(id));
        if again.is_empty() {
            return Err(RetryRefused::Nothing);
        }
        for member in &members {
            let is_stopping = member.reason == Some(Reason::Cancelling);
            let must_have_ended = gone.contains(&member.id)
                || (again.contains(&member.id) && member.state != State::Blocked)
                || is_stopping;
            if must_have_ended && !member.state.is_terminal() {
                let (id, node, state) = (member.id, member.node.clone(), member.state);
                return Err(RetryRefused::StillLives { id, node, state });
            }
        }
        let states = members.iter().map(|m| (m.id, m.state)).collect();
        let mut waits: HashMap<TaskId, Vec<(TaskId, bool)>> = HashMap::new();
        for Edge { child, parent, is_open } in edges {
            if !gone.contains(&parent) {
                waits.entry(child).or_default().push((parent, is_open));
            }
        }
        Ok(Self { members, states, again, gone, waits })
    }

    /// Whether a child has to wait for this parent: it runs again, or has not ended.
    fn is_awaited(&self, parent: TaskId) -> bool {
        self.again.contains(&parent) || self.states.get(&parent).is_some_and(|state| !state.is_terminal())
    }

    /// Parents that live and are waited for stay as they are until all is written: one that ends meanwhile would not see
    /// the edge.
    async fn hold(&self, tx: &mut Tx, workflow: WorkflowId) -> Result<()> {
        if !tx.is_shared() {
            return Ok(());
        }
        let mut live: Vec<TaskId> = Vec::new();
        for child in &self.again {
            let parents = self.waits.get(child).into_iter().flatten().map(|(parent, _)| *parent);
            live.extend(parents.filter(|parent| !self.again.contains(parent) && self.is_awaited(*parent)));
        }
        live.sort_unstable();
        live.dedup();
        if live.is_empty() {
            return Ok(());
        }
        for parent in &live {
            if !hold(tx, *parent).await? {
                return Err(StoreError::Conflict("a parent had just ended".into()));
            }
        }
        let now: HashMap<TaskId, State> =
            Member::all(tx, workflow).await?.into_iter().map(|member| (member.id, member.state)).collect();
        if live.iter().any(|id| now.get(id).is_none_or(|state| state.is_terminal())) {
            return Err(StoreError::Conflict("a parent had just ended".into()));
        }
        Ok(())
    }

    async fn run_again(
        &self,
        tx: &mut Tx,
        member: &Member,
        now: Timestamp,
        steps: &mut Vec<Stepped>,
    ) -> Result<std::result::Result<(), StepError>> {
        let none = Vec::new();
        let edges = self.waits.get(&member.id).unwrap_or(&none);
        let mut awaited: Vec<TaskId> =
            edges.iter().filter(|(parent, _)| self.is_awaited(*parent)).map(|(parent, _)| *parent).collect();
        if member.state == State::Blocked {
            // It waits already, but perhaps no longer for one that runs again.
            let is_open = |parent: &TaskId| edges.iter().any(|(known, open)| known == parent && *open);
            awaited.retain(|parent| self.again.contains(parent) && !is_open(parent));
            if !awaited.is_empty() && more_parents(tx, member.id, awaited.len() as u32, now, steps).await? {
                reopen(tx, member.id, &awaited).await?;
            }
            return Ok(Ok(()));
        }
        if !self.again.contains(&member.id) {
            return Ok(Ok(()));
        }
        let action = Action::RetryBehind { parents: awaited.len() as u32 };
        if let Err(refused) = step(tx, &Request::new(member.id, action), now, steps).await? {
            return Ok(Err(refused));
        }
        reopen(tx, member.id, &awaited).await?;
        Ok(Ok(()))
    }
}

fn failed(member: &Member) -> bool {
    matches!(member.state, State::Failed | State::Revoked) && !member.is_deleted
}

/// A task and all that depends on it, directly or not.
fn downstream(from: TaskId, edges: &[Edge]) -> HashSet<TaskId> {
    let mut children: HashMap<TaskId, Vec<TaskId>> = HashMap::new();
    for edge in edges {
        children.entry(edge.parent).or_default().push(edge.child);
    }
    let (mut found, mut open) = (HashSet::from([from]), vec![from]);
    while let Some(id) = open.pop() {
        for child in children.get(&id).into_iter().flatten() {
            if found.insert(*child) {
                open.push(*child);
            }
        }
    }
    found
}

/// What these tasks have made, and what that has.
fn made_by(members: &[Member], makers: &HashSet<TaskId>) -> HashSet<TaskId> {
    let mut children: HashMap<TaskId, Vec<TaskId>> = HashMap::new();
    for member in members {
        if let Some(parent) = member.parent {
            children.entry(parent).or_default().push(member.id);
        }
    }
    let (mut made, mut open) = (HashSet::new(), makers.iter().copied().collect::<Vec<_>>());
    while let Some(maker) = open.pop() {
        for child in children.get(&maker).into_iter().flatten() {
            if made.insert(*child) {
                open.push(*child);
            }
        }
    }
    made
}

async fn reopen(tx: &mut Tx, child: TaskId, parents: &[TaskId]) -> Result<()> {
    tx.exec_in("UPDATE edges SET is_open = 1 WHERE child_id = ? AND parent_id", params![child], parents)
        .await
        .map(drop)
}
