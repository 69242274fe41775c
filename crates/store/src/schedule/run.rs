//! A schedule's task by hand, beside its ticks.

use taskloom_model::ScheduleId;

use super::fire::note;
use crate::Store;
use crate::error::{Result, StoreError};
use crate::sql::params;
use crate::task::{Submission, SubmitOutcome, submit};

impl Store {
    /// Submits the one task of this submission as one of the schedule; nothing if the schedule is gone.
    pub async fn schedule_run(
        &self,
        id: ScheduleId,
        submission: Submission,
    ) -> Result<Option<SubmitOutcome>> {
        self.write(move |tx| {
            Box::pin(async move {
                // Whoever fires locks the schedule before the keys of its tasks, too.
                tx.lock("SELECT 1 FROM schedules WHERE id = ?", params![id]).await?;
                let sql = "SELECT count(*) FROM schedules WHERE id = ? AND deleted_at IS NULL";
                if tx.number(sql, params![id]).await? == 0 {
                    return Ok(None);
                }
                let outcome = submit(tx, &submission).await?;
                if let SubmitOutcome::Done { made, .. } = &outcome
                    && let (Some(task), Some(made)) = (submission.tasks.first(), made.first())
                    && made.life().is_some()
                {
                    let sql = "UPDATE schedules SET last_run_at = ?, last_task_id = ?
                         WHERE id = ? AND deleted_at IS NULL";
                    if tx.exec(sql, params![submission.now, task.id, id]).await? == 0 {
                        return Err(StoreError::Conflict("the schedule was just removed".into()));
                    }
                    note(tx, &[(id, task.id)]).await?;
                }
                Ok(Some(outcome))
            })
        })
        .await
    }
}
