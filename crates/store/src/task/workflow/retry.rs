//! T11 for a whole workflow, or from a node on.

use std::collections::{HashMap, HashSet};

use taskloom_model::{Action, ParentPolicy, Reason, State, TaskId, Timestamp, UserId, WorkflowId};

use super::Head;
use super::expand::more_parents;
use super::members::Member;
use crate::Store;
use crate::error::{Result, StoreError};
use crate::row::Row;
use crate::sql::params;
use crate::task::step::{Request, Stepped, follow, step_all};
use crate::task::submit::{hold, unique_key};
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
    let gone: Vec<TaskId> = plan.gone.iter().copied().collect();
    tx.exec_in("DELETE FROM workflow_tasks WHERE workflow_id = ? AND task_id", params![id], &gone).await?;
    tx.exec_in("DELETE FROM edges WHERE parent_id", &[], &gone).await?;
    tx.exec_in("UPDATE tasks SET workflow_id = NULL WHERE id", &[], &gone).await?;
    plan.leave_out_replaced(tx, now).await?;
    let mut steps = Vec::new();
    plan.run_again(tx, now, &mut steps).await?;
    plan.wait_again(tx, now, &mut steps).await?;
    follow(tx, 0, now, &mut steps).await?;
    tx.exec("UPDATE workflows SET cancelled_at = NULL WHERE id = ?", params![id]).await?;
    super::cancel::reopen(tx, id).await?;
    Ok(Ok((plan.again.len() as u64, steps)))
}

/// An edge: who waits, for whom, and whether still.
struct Edge {
    child: TaskId,
    parent: TaskId,
    is_open: bool,
    policy: ParentPolicy,
}

async fn edges(tx: &mut Tx, id: WorkflowId) -> Result<Vec<Edge>> {
    let sql = "SELECT e.child_id, e.parent_id, e.is_open, e.policy FROM workflow_tasks w JOIN edges e ON e.child_id = w.task_id
         WHERE w.workflow_id = ?";
    tx.rows(sql, params![id], |row| {
        Ok(Edge { child: row.next()?, parent: row.next()?, is_open: row.next()?, policy: row.word()? })
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
        let states: HashMap<TaskId, State> = members.iter().map(|m| (m.id, m.state)).collect();
        let mut again: HashSet<TaskId> = match from {
            None => {
                let mut again = members.iter().filter(|m| failed(m)).map(|m| m.id).collect();
                leave_out_hopeless(&mut again, &states, &edges);
                again
            }
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
        let mut waits: HashMap<TaskId, Vec<(TaskId, bool)>> = HashMap::new();
        for Edge { child, parent, is_open, .. } in edges {
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

    /// Whom another task does the work of, because it has the unique key, does not run again. Those that depend on it do
    /// without waiting for it.
    async fn leave_out_replaced(&mut self, tx: &mut Tx, now: Timestamp) -> Result<()> {
        let ids: Vec<TaskId> = self.ended().map(|member| member.id).collect();
        let sql = "SELECT id, user_id, unique_key FROM tasks WHERE unique_key IS NOT NULL AND id";
        let read = |row: &mut Row<'_>| Ok((row.next()?, row.next()?, row.next::<String>()?));
        let mut keys: Vec<(TaskId, UserId, String)> = tx.rows_in(sql, &[], &ids, "", read).await?;
        keys.sort_unstable_by_key(|(id, ..)| *id);
        for (id, user_id, key) in keys {
            if unique_key::regain(tx, user_id, &key, id, now).await?.is_some() {
                self.again.remove(&id);
            }
        }
        Ok(())
    }

    /// Those that run again and had ended.
    fn ended(&self) -> impl Iterator<Item = &Member> {
        let is_blocked = |member: &&Member| member.state == State::Blocked;
        self.members.iter().filter(|member| self.again.contains(&member.id)).filter(move |m| !is_blocked(m))
    }

    /// The parents of a child that it has to wait for.
    fn awaited(&self, child: TaskId) -> impl Iterator<Item = TaskId> {
        let parents = self.waits.get(&child).into_iter().flatten().map(|(parent, _)| *parent);
        parents.filter(|parent| self.is_awaited(*parent))
    }

    /// T11, behind parents.
    async fn run_again(&mut self, tx: &mut Tx, now: Timestamp, steps: &mut Vec<Stepped>) -> Result<()> {
        let (mut requests, mut children, mut done) = (Vec::new(), Vec::new(), HashSet::new());
        for Member { id, .. } in self.ended() {
            let parents = self.awaited(*id).count() as u32;
            requests.push(Request::new(*id, Action::RetryBehind { parents }));
            if parents > 0 {
                children.push(*id);
                let known = self.waits.get(id).into_iter().flatten().map(|(parent, _)| *parent);
                done.extend(known.filter(|parent| !self.is_awaited(*parent)));
            }
        }
        let verdicts = step_all(tx, &requests, now, steps).await?;
        if let Some(refused) = verdicts.into_iter().find_map(std::result::Result::err) {
            return Err(StoreError::Conflict(format!("a task had just moved on: {refused:?}")));
        }
        // All their edges, then not those from parents that have ended for good, which nobody else waits for either.
        tx.exec_in("UPDATE edges SET is_open = 1 WHERE child_id", &[], &children).await?;
        let done: Vec<TaskId> = done.into_iter().collect();
        tx.exec_in("UPDATE edges SET is_open = 0 WHERE is_open = 1 AND parent_id", &[], &done).await?;
        Ok(())
    }

    /// T16: what waits already, but perhaps no longer for one that runs again.
    async fn wait_again(&self, tx: &mut Tx, now: Timestamp, steps: &mut Vec<Stepped>) -> Result<()> {
        for Member { id, .. } in self.members.iter().filter(|member| member.state == State::Blocked) {
            let edges = self.waits.get(id).into_iter().flatten();
            let closed = edges.filter(|(parent, is_open)| !is_open && self.again.contains(parent));
            let parents: Vec<TaskId> = closed.map(|(parent, _)| *parent).collect();
            if !parents.is_empty() && more_parents(tx, *id, parents.len() as u32, now, steps).await? {
                let sql = "UPDATE edges SET is_open = 1 WHERE child_id = ? AND parent_id";
                tx.exec_in(sql, params![*id], &parents).await?;
            }
        }
        Ok(())
    }
}

/// Takes out who would only follow a parent again that has failed and does not run again, because its user has put it away.
fn leave_out_hopeless(again: &mut HashSet<TaskId>, states: &HashMap<TaskId, State>, edges: &[Edge]) {
    let has_failed = |id: &TaskId| matches!(states.get(id), Some(State::Failed | State::Revoked));
    let stays = states.keys().filter(|id| has_failed(id) && !again.contains(id)).copied().collect();
    let follows = |edge: &&Edge| edge.policy != ParentPolicy::Run && again.contains(&edge.child);
    let hopeless = reached(stays, edges.iter().filter(follows).map(|edge| (edge.parent, edge.child)));
    again.retain(|id| !hopeless.contains(id));
}

fn failed(member: &Member) -> bool {
    matches!(member.state, State::Failed | State::Revoked) && !member.is_deleted
}

/// A task and all that depends on it, directly or not.
fn downstream(from: TaskId, edges: &[Edge]) -> HashSet<TaskId> {
    let mut found = reached(vec![from], edges.iter().map(|edge| (edge.parent, edge.child)));
    found.insert(from);
    found
}

/// What these tasks have made, and what that has.
fn made_by(members: &[Member], makers: &HashSet<TaskId>) -> HashSet<TaskId> {
    let made = members.iter().filter_map(|member| Some((member.parent?, member.id)));
    reached(makers.iter().copied().collect(), made)
}

/// All that arrows lead to from these, directly or not.
fn reached(mut open: Vec<TaskId>, arrows: impl Iterator<Item = (TaskId, TaskId)>) -> HashSet<TaskId> {
    let mut targets: HashMap<TaskId, Vec<TaskId>> = HashMap::new();
    for (from, to) in arrows {
        targets.entry(from).or_default().push(to);
    }
    let mut found = HashSet::new();
    while let Some(id) = open.pop() {
        for target in targets.get(&id).into_iter().flatten() {
            if found.insert(*target) {
                open.push(*target);
            }
        }
    }
    found
}
