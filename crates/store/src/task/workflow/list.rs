//! Lists of workflows, cancelling them, and forgetting them.

use std::collections::HashMap;

use taskloom_model::{Action, State, Status, TaskId, Timestamp, UserId, WorkflowId};
use taskloom_protocol::Workflow;

use super::members::Sum;
use super::{HEAD, Head};
use crate::Store;
use crate::error::Result;
use crate::row::{Row, first};
use crate::sql::{Sql, params};
use crate::task::step::{Request, Stepped, follow, step_all};
use crate::tx::Tx;

/// Tasks cancelled in one transaction across a network.
const TOGETHER: usize = 100;

/// Where each task of some workflows stands, added up. What was skipped counts as done.
const SUMS: &str = "
SELECT w.workflow_id, o.state, n.id IS NOT NULL, count(*),
       sum(CASE WHEN o.state = 'succeeded' OR (o.state = 'revoked' AND o.reason = 'dependency_failed') THEN 100
                ELSE coalesce(o.progress, n.progress, 0) END)
FROM workflow_tasks w
LEFT JOIN running n ON n.id = w.task_id
LEFT JOIN outcomes o ON o.id = w.task_id
WHERE w.workflow_id";

impl Store {
    /// A workflow without its nodes, if it exists for this user.
    pub async fn workflow_glance(&self, id: WorkflowId, owner: Option<UserId>) -> Result<Option<Workflow>> {
        self.scan(move |tx| {
            Box::pin(async move {
                let Some(head) = Head::get(tx, id, owner).await? else { return Ok(None) };
                Ok(sum_up(tx, vec![head]).await?.pop())
            })
        })
        .await
    }

    /// Up to `limit` workflows, youngest first, of this user or of all, submitted before that one.
    pub async fn workflow_list(
        &self,
        owner: Option<UserId>,
        before: Option<WorkflowId>,
        limit: u32,
    ) -> Result<Vec<Workflow>> {
        self.scan(move |tx| {
            Box::pin(async move {
                let mut sql = Sql::new(HEAD);
                sql.push(" WHERE id < ?", params![before.unwrap_or(uuid::Uuid::max())]);
                sql.push_some(" AND user_id = ?", owner);
                sql.push(" ORDER BY id DESC LIMIT ?", params![limit]);
                let heads = tx.rows_of(&sql, Head::read).await?;
                sum_up(tx, heads).await
            })
        })
        .await
    }

    /// Says that a workflow is cancelled: nothing joins it from now on. False if it does not exist for this user.
    pub async fn workflow_close(
        &self,
        id: WorkflowId,
        owner: Option<UserId>,
        now: Timestamp,
    ) -> Result<bool> {
        self.write(move |tx| {
            Box::pin(async move {
                if Head::lock(tx, id, owner).await?.is_none() {
                    return Ok(false);
                }
                tx.exec("UPDATE workflows SET cancelled_at = ? WHERE id = ?", params![now, id]).await?;
                Ok(true)
            })
        })
        .await
    }

    /// T6 for up to `limit` tasks of a workflow with ids below `before`, the last first: what depends on others is
    /// revoked before they are. Gives the steps and where to go on.
    pub async fn workflow_cancel_some(
        &self,
        id: WorkflowId,
        before: Option<TaskId>,
        force: bool,
        now: Timestamp,
        limit: u32,
    ) -> Result<(Vec<Stepped>, Option<TaskId>)> {
        let before = before.unwrap_or(uuid::Uuid::max());
        let live = self
            .point(move |tx| {
                Box::pin(async move {
                    let sql = "SELECT w.task_id FROM workflow_tasks w LEFT JOIN outcomes o ON o.id = w.task_id
                         WHERE w.workflow_id = ? AND w.task_id < ? AND o.id IS NULL ORDER BY w.task_id DESC LIMIT ?";
                    tx.rows(sql, params![id, before, limit], first::<TaskId>).await
                })
            })
            .await?;
        let next = live.last().copied().filter(|_| live.len() >= limit as usize);
        let mut steps = Vec::new();
        let together = if self.is_exclusive() { usize::MAX } else { TOGETHER };
        for some in live.chunks(together.min(live.len()).max(1)) {
            let some = some.to_vec();
            let taken = self.write(move |tx| Box::pin(async move { cancel(tx, &some, force, now).await }));
            steps.extend(taken.await?);
        }
        Ok((steps, next))
    }

    /// Forgets up to `limit` workflows submitted before then of which no task is left. Gives whether there may be more.
    pub async fn workflow_prune(&self, before: Timestamp, limit: u32) -> Result<bool> {
        let gone = self
            .scan(move |tx| {
                Box::pin(async move {
                    let sql = "SELECT f.id FROM workflows f WHERE f.created_at < ? AND NOT EXISTS
                         (SELECT 1 FROM workflow_tasks w WHERE w.workflow_id = f.id) LIMIT ?";
                    tx.rows(sql, params![before, limit], first::<WorkflowId>).await
                })
            })
            .await?;
        if gone.is_empty() {
            return Ok(false);
        }
        let more = gone.len() >= limit as usize;
        self.write(move |tx| {
            Box::pin(async move { tx.exec_in("DELETE FROM workflows WHERE id", &[], &gone).await })
        })
        .await?;
        Ok(more)
    }
}

/// Cancels tasks. Those among them that wait for parents are revoked in this very transaction and wait for nobody any more:
/// so their parents need not look for them one by one.
async fn cancel(tx: &mut Tx, ids: &[TaskId], force: bool, now: Timestamp) -> Result<Vec<Stepped>> {
    tx.exec_in("UPDATE edges SET is_open = 0 WHERE is_open = 1 AND child_id", &[], ids).await?;
    let mut steps = Vec::new();
    let requests: Vec<Request> = ids.iter().map(|id| Request::new(*id, Action::Cancel { force })).collect();
    // One that has just ended needs no cancelling.
    step_all(tx, &requests, now, &mut steps).await?;
    follow(tx, 0, now, &mut steps).await?;
    Ok(steps)
}

async fn sum_up(tx: &mut Tx, heads: Vec<Head>) -> Result<Vec<Workflow>> {
    let ids: Vec<WorkflowId> = heads.iter().map(|head| head.id).collect();
    let read = |row: &mut Row<'_>| {
        let (id, ended): (WorkflowId, Option<State>) = (row.next()?, row.opt_word()?);
        let waits = if row.next()? { Status::Running } else { Status::Pending };
        let status = ended.map_or(waits, State::status);
        Ok((id, status, row.next::<u64>()?, row.next::<f64>()?))
    };
    let tail = " GROUP BY w.workflow_id, o.state, n.id IS NOT NULL";
    let mut sums: HashMap<WorkflowId, Sum> = HashMap::new();
    for (id, status, tasks, progress) in tx.rows_in(SUMS, &[], &ids, tail, read).await? {
        sums.entry(id).or_default().add(status, tasks, progress);
    }
    let none = Sum::default();
    Ok(heads
        .into_iter()
        .map(|head| {
            let sum = sums.get(&head.id).unwrap_or(&none);
            head.workflow(sum, None)
        })
        .collect())
}
