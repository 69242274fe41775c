//! Ticks past their retention, and all that deleted schedules have left.

use taskloom_model::{ScheduleId, Timestamp};

use crate::Store;
use crate::error::Result;
use crate::row::{Row, first};
use crate::sql::params;
use crate::tx::Tx;

impl Store {
    /// Forgets up to `limit` each of: ticks decided before `before`; ticks and notes of deleted schedules; those schedules;
    /// notes of tasks that have ended. Gives whether there may be more.
    pub async fn schedule_prune(&self, before: Timestamp, limit: u32) -> Result<bool> {
        // The last look was elsewhere: most passes find nothing and never get to the writer.
        let old = self.point(move |tx| Box::pin(async move { old_ticks(tx, before, limit).await })).await?;
        let ended = self.scan(move |tx| Box::pin(async move { ended(tx, limit).await })).await?;
        let deleted = self
            .point(move |tx| {
                Box::pin(async move {
                    let sql = "SELECT id FROM schedules WHERE deleted_at IS NOT NULL LIMIT ?";
                    tx.rows(sql, params![limit], first::<ScheduleId>).await
                })
            })
            .await?;
        let full = [old.len(), ended.len()].contains(&(limit as usize));
        if old.is_empty() && ended.is_empty() && deleted.is_empty() {
            return Ok(false);
        }
        self.write(move |tx| {
            Box::pin(async move {
                for (schedule, tick) in &old {
                    let sql = "DELETE FROM ticks WHERE schedule_id = ? AND tick = ?";
                    tx.exec(sql, params![*schedule, *tick]).await?;
                }
                for (schedule, task) in &ended {
                    let sql = "DELETE FROM schedule_tasks WHERE schedule_id = ? AND task_id = ?";
                    tx.exec(sql, params![*schedule, *task]).await?;
                }
                let mut more = full;
                let mut left = limit;
                for schedule in &deleted {
                    let gone = drop_ticks(tx, *schedule, left).await?;
                    left = left.saturating_sub(gone);
                    if left == 0 {
                        more = true;
                        break;
                    }
                    tx.exec("DELETE FROM schedule_tasks WHERE schedule_id = ?", params![*schedule]).await?;
                    tx.exec("DELETE FROM schedules WHERE id = ?", params![*schedule]).await?;
                }
                Ok(more || deleted.len() == limit as usize)
            })
        })
        .await
    }
}

async fn old_ticks(tx: &mut Tx, before: Timestamp, limit: u32) -> Result<Vec<(ScheduleId, Timestamp)>> {
    let sql = "SELECT schedule_id, tick FROM ticks WHERE decided_at < ? ORDER BY decided_at LIMIT ?";
    tx.rows(sql, params![before, limit], pair).await
}

/// Notes of tasks that have ended or are forgotten.
async fn ended(tx: &mut Tx, limit: u32) -> Result<Vec<(ScheduleId, ScheduleId)>> {
    let sql = "SELECT n.schedule_id, n.task_id FROM schedule_tasks n LEFT JOIN tasks t ON t.id = n.task_id
         LEFT JOIN outcomes o ON o.id = n.task_id WHERE t.id IS NULL OR o.id IS NOT NULL LIMIT ?";
    tx.rows(sql, params![limit], pair).await
}

/// Drops up to `limit` ticks of a schedule; gives how many.
async fn drop_ticks(tx: &mut Tx, schedule: ScheduleId, limit: u32) -> Result<u32> {
    let sql = "SELECT schedule_id, tick FROM ticks WHERE schedule_id = ? LIMIT ?";
    let ticks: Vec<(ScheduleId, Timestamp)> = tx.rows(sql, params![schedule, limit], pair).await?;
    for (schedule, tick) in &ticks {
        tx.exec("DELETE FROM ticks WHERE schedule_id = ? AND tick = ?", params![*schedule, *tick]).await?;
    }
    Ok(ticks.len() as u32)
}

fn pair<A: crate::row::Column, B: crate::row::Column>(row: &mut Row<'_>) -> Result<(A, B)> {
    Ok((row.next()?, row.next()?))
}
