//! Dead letters, many at a time: run again, or put away.

use taskloom_model::{Action, State, TaskId, Timestamp};

use super::list::{Filter, restrict_to};
use super::steer::hide;
use super::step::{Request, Scope, StepError, Stepped, follow, step_all};
use crate::Store;
use crate::error::Result;
use crate::row::first;
use crate::sql::{Sql, params};
use crate::tx::Tx;

/// What became of dead letters that were to run again.
#[derive(Debug, Clone, Default)]
pub struct Revived {
    /// The steps taken, and those that followed.
    pub steps: Vec<Stepped>,
    /// Those that run again.
    pub revived: u64,
    /// Those that do not, and why. One that is no dead letter any more is not among them.
    pub refused: Vec<(TaskId, StepError)>,
}

impl Store {
    /// Up to `limit` dead letters that match, oldest first, behind `after`. Whatever the filter says of states, only
    /// failed tasks are found.
    pub async fn task_dead(&self, filter: Filter, after: Option<TaskId>, limit: u32) -> Result<Vec<TaskId>> {
        let filter = Filter { status: None, state: None, dead: true, ..filter };
        self.scan(move |tx| {
            Box::pin(async move {
                let mut sql = Sql::new("SELECT o.id FROM outcomes o CROSS JOIN tasks t");
                let texts = filter.texts();
                restrict_to(&mut sql, &filter, &texts, tx);
                // The second condition is what the index of failures is limited to.
                sql.push(" AND t.id = o.id AND o.state = 'failed' AND o.state <> 'succeeded'", &[]);
                sql.push(
                    " AND o.id > ? ORDER BY o.id LIMIT ?",
                    &[after.unwrap_or_default().into(), limit.into()],
                );
                tx.rows_of(&sql, first::<TaskId>).await
            })
        })
        .await
    }

    /// T11 for those of the tasks that are dead letters still.
    pub async fn task_revive(&self, ids: Vec<TaskId>, now: Timestamp) -> Result<Revived> {
        self.write(move |tx| {
            Box::pin(async move {
                let mut done = Revived::default();
                let requests: Vec<Request> = failed(tx, &ids)
                    .await?
                    .into_iter()
                    .map(|id| Request { scope: Scope::Everybody, ..Request::new(id, Action::Retry) })
                    .collect();
                let verdicts = step_all(tx, &requests, now, &mut done.steps).await?;
                follow(tx, 0, now, &mut done.steps).await?;
                for (request, verdict) in requests.iter().zip(verdicts) {
                    match verdict {
                        Ok(()) => done.revived += 1,
                        Err(StepError::NotFound) => {}
                        Err(error) => done.refused.push((request.id, error)),
                    }
                }
                Ok(done)
            })
        })
        .await
    }

    /// Hides those of the tasks that are dead letters still; gives how many.
    pub async fn task_discard(&self, ids: Vec<TaskId>, now: Timestamp) -> Result<u64> {
        self.write(move |tx| {
            Box::pin(async move {
                let failed = failed(tx, &ids).await?;
                hide(tx, &failed, now).await
            })
        })
        .await
    }
}

/// Those of the tasks that have failed, and stay so until the transaction ends.
async fn failed(tx: &mut Tx, ids: &[TaskId]) -> Result<Vec<TaskId>> {
    let sql = "SELECT id FROM outcomes WHERE state = ? AND id";
    let locking = tx.locking();
    tx.rows_in(sql, params![State::Failed.name()], ids, locking, first).await
}
