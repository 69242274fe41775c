//! Lists of workflows, cancelling them, and forgetting them.

use std::collections::HashMap;

use taskloom_model::{State, Status, Timestamp, UserId, WorkflowId};
use taskloom_protocol::Workflow;

use super::members::Sum;
use super::{HEAD, Head};
use crate::Store;
use crate::error::Result;
use crate::row::{Row, first};
use crate::sql::{Sql, params};
use crate::tx::Tx;

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
