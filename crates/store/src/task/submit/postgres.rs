//! Many tasks at once on PostgreSQL: a column each, in one statement.

use std::sync::LazyLock;

use taskloom_model::Phase;
use tokio_postgres::types::ToSql;

use super::{COLUMNS, Fresh, INSERT, NewTask, Texts, task_row};
use crate::error::Result;
use crate::postgres::{Session, Values};
use crate::sql::Param;
use crate::task::life::INSERT_READY;

/// The types of the columns of [`task_row`].
const TYPES: [&str; COLUMNS] = [
    "uuid", "uuid", "text", "text", "int", "text", "text", "text", "text", "int", "bigint", "bigint", "text",
    "bigint", "text", "text", "text", "text", "uuid", "bigint", "int", "text", "uuid", "uuid", "bigint",
    "int",
];

static INSERT_TASKS: LazyLock<String> = LazyLock::new(|| {
    let arrays = TYPES.map(|kind| format!("?::{kind}[]")).join(", ");
    format!(
        "WITH waiting AS ({INSERT_READY} SELECT *, 0, 0, 0, 0 FROM unnest(?::text[], ?::bigint[], ?::uuid[]))
         {INSERT} SELECT * FROM unnest({arrays})"
    )
});

/// Writes tasks and those of their lives that are ready; others enter their tables one by one.
pub(super) async fn insert(pg: &mut Session, tasks: &[Fresh<'_>]) -> Result<()> {
    let texts: Vec<Texts> = tasks.iter().map(|fresh| Texts::of(fresh.task)).collect();
    let mut columns: [Vec<Param<'_>>; COLUMNS] = std::array::from_fn(|_| Vec::with_capacity(tasks.len()));
    for (fresh, texts) in tasks.iter().zip(&texts) {
        for (column, value) in columns.iter_mut().zip(task_row(fresh, texts)) {
            column.push(value);
        }
    }
    let columns = columns.map(Values);
    let ready = || tasks.iter().filter(|fresh| fresh.life.phase == Phase::Ready).map(|fresh| fresh.task);
    let queues: Values<'_> = ready().map(|task| &task.queue).collect();
    let bands: Values<'_> = ready().map(NewTask::band).collect();
    let ids: Values<'_> = ready().map(|task| task.id).collect();
    let mut params: Vec<&(dyn ToSql + Sync)> = vec![&queues, &bands, &ids];
    params.extend(columns.iter().map(|column| column as &(dyn ToSql + Sync)));
    pg.exec_any(&INSERT_TASKS, &params).await.map(drop)
}
