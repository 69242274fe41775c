//! T13: every trace of tasks that are forgotten.

use std::collections::BTreeMap;

use taskloom_model::{TaskId, Timestamp, WorkflowId};

use crate::error::Result;
use crate::row::Row;
use crate::sql::params;
use crate::tx::Tx;

/// Removes all that belongs to tasks that have left the tables of their phases.
pub(super) async fn forget(tx: &mut Tx, ids: &[TaskId]) -> Result<()> {
    if ids.is_empty() {
        return Ok(());
    }
    for sql in [
        "DELETE FROM attempts WHERE task_id",
        "DELETE FROM logs WHERE task_id",
        "DELETE FROM artifacts WHERE task_id",
        "DELETE FROM edges WHERE parent_id",
        "DELETE FROM edges WHERE child_id",
        "DELETE FROM unique_keys WHERE task_id",
        "DELETE FROM cache WHERE task_id",
        "DELETE FROM task_gates WHERE task_id",
    ] {
        tx.exec_in(sql, &[], ids).await?;
    }
    let found = Listed::find(tx, ids).await?;
    for (workflow, ids) in &found.workflows {
        let sql = "DELETE FROM workflow_tasks WHERE workflow_id = ? AND task_id";
        tx.exec_in(sql, params![*workflow], ids).await?;
    }
    for (at, ids) in &found.deletions {
        tx.exec_in("DELETE FROM deletions WHERE deleted_at = ? AND id", params![*at], ids).await?;
    }
    for (tag, ids) in &found.tags {
        tx.exec_in("DELETE FROM task_tags WHERE tag = ? AND task_id", params![tag], ids).await?;
    }
    tx.exec_in("DELETE FROM tasks WHERE id", &[], ids).await.map(drop)
}

/// Where tasks are listed whose keys do not begin with their ids.
#[derive(Default)]
struct Listed {
    workflows: BTreeMap<WorkflowId, Vec<TaskId>>,
    deletions: BTreeMap<Timestamp, Vec<TaskId>>,
    tags: BTreeMap<String, Vec<TaskId>>,
}

impl Listed {
    async fn find(tx: &mut Tx, ids: &[TaskId]) -> Result<Self> {
        let mut found = Self::default();
        let read = |row: &mut Row<'_>| {
            let id: TaskId = row.next()?;
            if let Some(workflow) = row.next::<Option<WorkflowId>>()? {
                found.workflows.entry(workflow).or_default().push(id);
            }
            if let Some(at) = row.next::<Option<Timestamp>>()? {
                found.deletions.entry(at).or_default().push(id);
            }
            for tag in row.json::<Vec<String>>()?.unwrap_or_default() {
                found.tags.entry(tag).or_default().push(id);
            }
            Ok(())
        };
        let sql = "SELECT id, workflow_id, deleted_at, tags FROM tasks WHERE id";
        tx.rows_in(sql, &[], ids, "", read).await?;
        Ok(found)
    }
}
