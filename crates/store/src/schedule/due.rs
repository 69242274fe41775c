//! Schedules whose tick has come.

use taskloom_model::Timestamp;

use super::ScheduleRow;
use super::row::{COLUMNS, read};
use crate::Store;
use crate::error::Result;
use crate::row::first;
use crate::sql::params;

impl Store {
    /// Up to `limit` schedules that are due, longest due first, each with whether its owner may log in.
    pub async fn schedule_due(&self, now: Timestamp, limit: u32) -> Result<Vec<(ScheduleRow, bool)>> {
        self.point(move |tx| {
            Box::pin(async move {
                let sql = format!(
                    "SELECT {COLUMNS}, coalesce(u.is_active, 1) FROM schedules s LEFT JOIN users u ON u.id = s.user_id
                     WHERE s.next_at <= ? ORDER BY s.next_at, s.id LIMIT ?"
                );
                tx.rows(&sql, params![now, limit], |row| Ok((read(row)?, row.next()?))).await
            })
        })
        .await
    }

    /// When the next tick of any schedule comes.
    pub async fn schedule_next_due(&self) -> Result<Option<Timestamp>> {
        self.point(|tx| {
            Box::pin(async move {
                let sql = "SELECT next_at FROM schedules WHERE next_at IS NOT NULL ORDER BY next_at LIMIT 1";
                tx.row(sql, &[], first).await
            })
        })
        .await
    }
}
