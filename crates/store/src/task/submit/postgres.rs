//! Many tasks at once on PostgreSQL: a column each, in one statement.

use taskloom_model::Phase;
use tokio_postgres::types::ToSql;

use super::NewTask;
use super::write::{Fresh, Shape, Shaped, Texts, task_row};
use crate::error::Result;
use crate::postgres::{Session, Values};
use crate::task::life::INSERT_READY;

static INSERT_TASKS: Shaped = Shaped::new(|| insert_tasks(Shape::Full), || insert_tasks(Shape::Lean));

fn insert_tasks(shape: Shape) -> String {
    let arrays: Vec<String> = shape.types().map(|kind| format!("?::{kind}[]")).collect();
    format!(
        "WITH waiting AS ({INSERT_READY} SELECT *, 0, 0, 0, 0 FROM unnest(?::text[], ?::bigint[], ?::uuid[]))
         {} SELECT * FROM unnest({})",
        shape.insert(),
        arrays.join(", ")
    )
}

/// Writes tasks and those of their lives that are ready; others enter their tables one by one.
pub(super) async fn insert(pg: &mut Session, tasks: &[Fresh<'_>]) -> Result<()> {
    let texts: Vec<Texts> = tasks.iter().map(|fresh| Texts::of(fresh.task)).collect();
    let rows: Vec<_> = tasks.iter().zip(&texts).map(|(fresh, texts)| task_row(fresh, texts)).collect();
    let shape = Shape::of(&rows);
    let columns: Vec<Values<'_>> =
        shape.columns().map(|column| Values(rows.iter().map(|row| row[column]).collect())).collect();
    let ready = || tasks.iter().filter(|fresh| fresh.life.phase == Phase::Ready).map(|fresh| fresh.task);
    let queues: Values<'_> = ready().map(|task| &task.queue).collect();
    let bands: Values<'_> = ready().map(NewTask::band).collect();
    let ids: Values<'_> = ready().map(|task| task.id).collect();
    let mut params: Vec<&(dyn ToSql + Sync)> = vec![&queues, &bands, &ids];
    params.extend(columns.iter().map(|column| column as &(dyn ToSql + Sync)));
    pg.exec_any(INSERT_TASKS.of(shape), &params).await.map(drop)
}
