//! The tasks of a workflow as they stand.

use std::collections::HashMap;

use taskloom_model::{Reason, State, TaskId, Timestamp, UserId, WorkflowId};
use taskloom_protocol::{Counts, Keyed, Workflow, WorkflowTask, status_of};
use uuid::Uuid;

use super::Head;
use crate::Store;
use crate::error::Result;
use crate::row::Row;
use crate::sql::params;
use crate::tx::Tx;

/// A task of a workflow.
pub(super) struct Member {
    pub(super) id: TaskId,
    pub(super) node: Option<String>,
    pub(super) item: Option<u32>,
    /// The task whose handler, or which as a map, made it.
    pub(super) parent: Option<TaskId>,
    pub(super) handler: String,
    pub(super) state: State,
    pub(super) reason: Option<Reason>,
    pub(super) progress: f64,
    /// Its user put it away.
    pub(super) is_deleted: bool,
}

const MEMBERS: &str = "
SELECT w.task_id, w.node, w.item, t.parent_id, t.handler, o.state, o.reason, o.progress, n.progress, n.cancel,
       s.reason, b.id, l.id, t.deleted_at
FROM workflow_tasks w
JOIN tasks t ON t.id = w.task_id
LEFT JOIN outcomes o ON o.id = t.id
LEFT JOIN running n ON n.id = t.id
LEFT JOIN scheduled s ON s.id = t.id
LEFT JOIN blocked b ON b.id = t.id
LEFT JOIN limited l ON l.id = t.id
WHERE w.workflow_id = ? ORDER BY w.task_id";

impl Member {
    /// All tasks of a workflow, by id: parents come before those that depend on them.
    pub(super) async fn all(tx: &mut Tx, workflow: WorkflowId) -> Result<Vec<Self>> {
        tx.rows(MEMBERS, params![workflow], Self::read).await
    }

    fn read(row: &mut Row<'_>) -> Result<Self> {
        let (id, node, item, parent) = (row.next()?, row.next()?, row.next()?, row.next()?);
        let handler = row.next()?;
        let mut member = Self {
            id,
            node,
            item,
            parent,
            handler,
            state: State::Ready,
            reason: None,
            progress: 0.0,
            is_deleted: false,
        };
        let (ended, reason, last) = (row.opt_word()?, row.opt_word()?, row.next::<Option<f64>>()?);
        let (progress, cancel) = (row.next::<Option<f64>>()?, row.next::<Option<bool>>()?);
        let waits = row.opt_word::<Reason>()?;
        let is_blocked = row.next::<Option<Uuid>>()?.is_some();
        let is_limited = row.next::<Option<Uuid>>()?.is_some();
        if let Some(state) = ended {
            (member.state, member.reason) = (state, reason);
            member.progress = if member.is_through() { 100.0 } else { last.unwrap_or_default() };
        } else if let Some(progress) = progress {
            member.state = State::Running;
            member.reason = cancel.unwrap_or_default().then_some(Reason::Cancelling);
            member.progress = progress;
        } else if waits.is_some() {
            (member.state, member.reason) = (State::Scheduled, waits);
        } else if is_blocked {
            (member.state, member.reason) = (State::Blocked, Some(Reason::Dependencies));
        } else if is_limited {
            member.state = State::Limited;
        }
        member.is_deleted = row.next::<Option<Timestamp>>()?.is_some();
        Ok(member)
    }

    /// Whether nothing is left to do: it succeeded, or was skipped.
    fn is_through(&self) -> bool {
        self.state == State::Succeeded
            || (self.state == State::Revoked && self.reason == Some(Reason::DependencyFailed))
    }
}

/// How many stand where, and how far they are together.
#[derive(Default)]
pub(super) struct Sum {
    pub(super) counts: Counts,
    pub(super) progress: f64,
}

impl Sum {
    pub(super) fn add(&mut self, status: taskloom_model::Status, tasks: u64, progress: f64) {
        use taskloom_model::Status;
        let counts = &mut self.counts;
        let place = match status {
            Status::Pending => &mut counts.pending,
            Status::Running => &mut counts.running,
            Status::Succeeded => &mut counts.succeeded,
            Status::Failed => &mut counts.failed,
            Status::Revoked => &mut counts.revoked,
        };
        *place += tasks;
        counts.total += tasks;
        self.progress += progress;
    }

    /// Per cent; of nothing, all is done.
    pub(super) fn mean(&self) -> f64 {
        if self.counts.total == 0 { 100.0 } else { self.progress / self.counts.total as f64 }
    }
}

impl Head {
    pub(super) fn workflow(self, sum: &Sum, tasks: Option<Keyed<WorkflowTask>>) -> Workflow {
        Workflow {
            id: self.id,
            name: self.name,
            status: status_of(&sum.counts),
            progress: sum.mean(),
            counts: sum.counts,
            user_id: self.user_id,
            created_at: self.created_at,
            cancelled_at: self.cancelled_at,
            tasks,
        }
    }
}

impl Store {
    /// A workflow with its nodes, if it exists for this user.
    pub async fn workflow_get(&self, id: WorkflowId, owner: Option<UserId>) -> Result<Option<Workflow>> {
        self.scan(move |tx| {
            Box::pin(async move {
                let Some(head) = Head::get(tx, id, owner).await? else { return Ok(None) };
                let members = Member::all(tx, id).await?;
                let parents = parents(tx, id).await?;
                let mut all = Sum::default();
                for member in &members {
                    all.add(member.state.status(), 1, member.progress);
                }
                Ok(Some(head.workflow(&all, Some(nodes(&members, parents)))))
            })
        })
        .await
    }
}

/// Whom the nodes wait for: child and parent.
async fn parents(tx: &mut Tx, id: WorkflowId) -> Result<Vec<(TaskId, TaskId)>> {
    let sql = "SELECT e.child_id, e.parent_id FROM workflow_tasks w JOIN edges e ON e.child_id = w.task_id
         WHERE w.workflow_id = ? AND w.node IS NOT NULL AND w.item IS NULL";
    tx.rows(sql, params![id], |row| Ok((row.next()?, row.next()?))).await
}

fn nodes(members: &[Member], parents: Vec<(TaskId, TaskId)>) -> Keyed<WorkflowTask> {
    let mut items: HashMap<&str, (Sum, &str)> = HashMap::new();
    let mut keys: HashMap<TaskId, &str> = HashMap::new();
    for member in members {
        match (member.node.as_deref(), member.item) {
            (Some(node), None) => drop(keys.insert(member.id, node)),
            (Some(node), Some(_)) => {
                let (sum, _) = items.entry(node).or_insert_with(|| (Sum::default(), &member.handler));
                sum.add(member.state.status(), 1, member.progress);
            }
            _ => {}
        }
    }
    let mut depends_on: HashMap<TaskId, Vec<String>> = HashMap::new();
    for (child, parent) in parents {
        // The children of a map stand for it.
        if let Some(key) = keys.get(&parent) {
            depends_on.entry(child).or_default().push((*key).to_owned());
        }
    }
    let mut node = |member: &Member| {
        let key = keys.get(&member.id)?;
        let mut depends_on = depends_on.remove(&member.id).unwrap_or_default();
        depends_on.sort_unstable();
        let mut node = WorkflowTask {
            id: member.id,
            task: member.handler.clone(),
            state: member.state,
            status: member.state.status(),
            reason: member.reason,
            progress: member.progress,
            depends_on,
            items: None,
        };
        if let Some((sum, handler)) = items.get(key) {
            (*handler).clone_into(&mut node.task);
            (node.status, node.progress, node.items) = (status_of(&sum.counts), sum.mean(), Some(sum.counts));
        }
        Some(((*key).to_owned(), node))
    };
    Keyed(members.iter().filter_map(&mut node).collect())
}
