//! What became of ticks.

use taskloom_model::{ScheduleId, SkipReason, TaskId, TickOutcome, Timestamp};

use crate::Store;
use crate::error::Result;
use crate::sql::Sql;

/// A tick that was decided about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TickRow {
    /// The tick.
    pub tick: Timestamp,
    /// What became of it.
    pub outcome: TickOutcome,
    /// Why it was skipped.
    pub reason: Option<SkipReason>,
    /// The task it made.
    pub task_id: Option<TaskId>,
    /// When that was decided.
    pub decided_at: Timestamp,
}

impl Store {
    /// Up to `limit` ticks of a schedule before `before`, latest first, and whether there are more.
    pub async fn tick_list(
        &self,
        id: ScheduleId,
        outcome: Option<TickOutcome>,
        before: Option<Timestamp>,
        limit: u32,
    ) -> Result<(Vec<TickRow>, bool)> {
        self.scan(move |tx| {
            Box::pin(async move {
                let mut sql = Sql::new("SELECT tick, outcome, reason, task_id, decided_at FROM ticks");
                sql.push(" WHERE schedule_id = ?", &[id.into()])
                    .push_some(" AND outcome = ?", outcome.map(TickOutcome::name))
                    .push_some(" AND tick < ?", before)
                    .push(" ORDER BY tick DESC LIMIT ?", &[(limit + 1).into()]);
                let mut rows = tx
                    .rows_of(&sql, |row| {
                        Ok(TickRow {
                            tick: row.next()?,
                            outcome: row.word()?,
                            reason: row.opt_word()?,
                            task_id: row.next()?,
                            decided_at: row.next()?,
                        })
                    })
                    .await?;
                let more = rows.len() > limit as usize;
                rows.truncate(limit as usize);
                Ok((rows, more))
            })
        })
        .await
    }
}
