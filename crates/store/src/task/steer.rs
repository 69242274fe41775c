//! Changes by users to tasks that wait or run.

use taskloom_model::{
    Action, Effect, Life, Priority, Refusal, State, TaskId, Ties, Timestamp, Transition, next,
};
use taskloom_protocol::Json;

use super::gate::settle;
use super::life::{Left, Place, Seat, Standing, band, enter, leave, load, turn};
use super::step::{Scope, StepError, Stepped};
use crate::Store;
use crate::error::{Result, StoreError};
use crate::row::first;
use crate::sql::{Param, params};
use crate::tx::Tx;

/// What to change of a task that waits.
#[derive(Debug, Clone, Default)]
pub struct ChangeWaiting {
    /// The new queue.
    pub queue: Option<String>,
    /// The new priority.
    pub priority: Option<Priority>,
    /// The new time.
    pub run_at: Option<Timestamp>,
}

impl Store {
    /// Changes a task that waits. `WrongState` if it runs, `Terminal` if it has ended.
    pub async fn task_change_waiting(
        &self,
        id: TaskId,
        scope: Scope,
        change: ChangeWaiting,
        now: Timestamp,
    ) -> Result<std::result::Result<Vec<Stepped>, StepError>> {
        self.write(move |tx| {
            Box::pin(async move {
                // Moves leave no trace in the epoch: two at the same time go one after the other.
                tx.lock("SELECT 1 FROM tasks WHERE id = ?", params![id]).await?;
                let Some(standing) = load(tx, id).await? else { return Ok(Err(StepError::NotFound)) };
                if !scope.sees(&standing) {
                    return Ok(Err(StepError::NotFound));
                }
                if standing.ties.has(Ties::MAP) && change.queue.is_some() {
                    // Only the engine knows what to do with it.
                    return Ok(Err(StepError::Refused(Refusal::WrongState)));
                }
                let before = standing.life;
                let action = Action::Move { run_at: change.run_at };
                let life = match next(&before, &standing.rules, action, now, 0.0) {
                    Ok(Transition { effect: Effect::Become(life), .. }) => life,
                    Ok(_) => return Ok(Err(StepError::NotFound)),
                    Err(refusal) => return Ok(Err(StepError::Refused(refusal))),
                };
                let priority = change.priority.unwrap_or(standing.place.priority);
                let place = Place {
                    queue: change.queue.unwrap_or_else(|| standing.place.queue.clone()),
                    priority,
                    band: band(priority, turn(standing.place.band)),
                };
                leave(tx, &[standing.seat(id)]).await?;
                let sql = "UPDATE tasks SET queue = ?, priority = ?, band = ? WHERE id = ?";
                let row = params![&place.queue, i64::from(place.priority.number()), place.band, id];
                tx.exec(sql, row).await?;
                let seat = Seat { id, place: &place, life: &life, ties: standing.ties };
                enter(tx, seat, Left::default()).await?;
                let mut steps = vec![Stepped::of(id, &Standing { place, ..standing }, life)];
                settle(tx, 0, now, &mut steps).await?;
                Ok(Ok(steps))
            })
        })
        .await
    }

    /// Notes progress of a running task from outside. `WrongState` if it does not run.
    pub async fn task_note_progress(
        &self,
        id: TaskId,
        scope: Scope,
        progress: Option<f64>,
        detail: Option<Json>,
    ) -> Result<std::result::Result<Life, StepError>> {
        self.write(move |tx| {
            Box::pin(async move {
                let Some(standing) = load(tx, id).await? else { return Ok(Err(StepError::NotFound)) };
                if !scope.sees(&standing) {
                    return Ok(Err(StepError::NotFound));
                }
                if standing.life.state() != State::Running {
                    return Ok(Err(StepError::Refused(not_running(&standing.life))));
                }
                let sql = "UPDATE running SET progress = coalesce(?, progress), detail = coalesce(?, detail) WHERE id = ? AND epoch = ?";
                let row = params![progress, detail.as_ref(), id, standing.life.epoch];
                match tx.exec(sql, row).await? {
                    0 => Err(StoreError::Conflict("the attempt had just ended".into())),
                    _ => Ok(Ok(standing.life)),
                }
            })
        })
        .await
    }

    /// Hides a task from lists and from its user. False if there is none.
    pub async fn task_delete(&self, id: TaskId, now: Timestamp) -> Result<bool> {
        self.write(move |tx| Box::pin(async move { Ok(hide(tx, &[id], now).await? == 1) })).await
    }
}

/// Hides those of the tasks that exist, and notes that they are to be forgotten; gives how many.
pub(super) async fn hide(tx: &mut Tx, ids: &[TaskId], now: Timestamp) -> Result<u64> {
    let shown = "SELECT id FROM tasks WHERE deleted_at IS NULL AND id";
    let locking = tx.locking();
    let ids: Vec<TaskId> = tx.rows_in(shown, &[], ids, locking, first).await?;
    tx.exec_in("UPDATE tasks SET deleted_at = ? WHERE id", params![now], &ids).await?;
    let rows: Vec<Param<'_>> = ids.iter().flat_map(|id| [now.into(), (*id).into()]).collect();
    tx.insert_many("INSERT INTO deletions (deleted_at, id)", 2, &rows).await?;
    Ok(ids.len() as u64)
}

fn not_running(life: &Life) -> Refusal {
    if life.state().is_terminal() { Refusal::Terminal } else { Refusal::WrongState }
}
