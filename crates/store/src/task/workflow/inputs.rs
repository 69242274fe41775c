//! Results of tasks, for those whose arguments refer to them.

use taskloom_model::{State, TaskId, Ties};
use taskloom_protocol::Json;

use crate::Store;
use crate::error::Result;
use crate::row::{Row, first};
use crate::sql::params;

/// How a task has ended, without what it left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResultSize {
    /// The task.
    pub id: TaskId,
    /// How it ended; nothing while it lives.
    pub state: Option<State>,
    /// Whether its result names the tasks over whose results it stands.
    pub is_map: bool,
    /// Bytes of its result.
    pub bytes: u64,
}

impl Store {
    /// How these tasks have ended; what does not exist is left out.
    pub async fn task_result_sizes(&self, ids: Vec<TaskId>) -> Result<Vec<ResultSize>> {
        self.scan(move |tx| {
            Box::pin(async move {
                let sql = "SELECT t.id, t.ties, o.state, coalesce(octet_length(o.result), 0)
                     FROM tasks t LEFT JOIN outcomes o ON o.id = t.id WHERE t.id";
                let read = |row: &mut Row<'_>| {
                    let (id, ties) = (row.next()?, Ties::from_bits(row.next()?));
                    let (state, bytes) = (row.opt_word()?, row.next()?);
                    Ok(ResultSize { id, state, is_map: ties.has(Ties::MAP), bytes })
                };
                tx.rows_in(sql, &[], &ids, "", read).await
            })
        })
        .await
    }

    /// The key of a node of this task's workflow; none if the other is no node of it.
    pub async fn workflow_node_key(&self, task: TaskId, node: TaskId) -> Result<Option<String>> {
        self.point(move |tx| {
            Box::pin(async move {
                let sql = "SELECT w.node FROM tasks t JOIN workflow_tasks w ON w.workflow_id = t.workflow_id
                     WHERE t.id = ? AND w.task_id = ? AND w.item IS NULL";
                Ok(tx.row(sql, params![task, node], first::<Option<String>>).await?.flatten())
            })
        })
        .await
    }

    /// The results of these tasks, in no order; those without one are left out.
    pub async fn task_results(&self, ids: Vec<TaskId>) -> Result<Vec<(TaskId, Json)>> {
        self.scan(move |tx| {
            Box::pin(async move {
                let sql = "SELECT id, result FROM outcomes WHERE result IS NOT NULL AND id";
                tx.rows_in(sql, &[], &ids, "", |row| Ok((row.next()?, row.next()?))).await
            })
        })
        .await
    }
}
