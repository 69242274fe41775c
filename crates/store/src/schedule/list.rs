//! Lists of schedules.

use taskloom_model::{ScheduleId, ScheduleType, UserId};

use super::ScheduleRow;
use super::row::{COLUMNS, read};
use crate::Store;
use crate::error::Result;
use crate::sql::Sql;

/// Which schedules.
#[derive(Debug, Clone, Default)]
pub struct ScheduleFilter {
    /// Of this user.
    pub user_id: Option<UserId>,
    /// Of this type.
    pub kind: Option<ScheduleType>,
    /// That fire, or that do not.
    pub enabled: Option<bool>,
    /// That run this handler.
    pub task: Option<String>,
    /// Of this name.
    pub name: Option<String>,
}

impl Store {
    /// Up to `limit` schedules behind `after`, latest first; whether there are more; and how many match.
    pub async fn schedule_list(
        &self,
        filter: ScheduleFilter,
        after: Option<ScheduleId>,
        limit: u32,
    ) -> Result<(Vec<ScheduleRow>, bool, u64)> {
        self.scan(move |tx| {
            Box::pin(async move {
                let mut sql = Sql::new("SELECT ");
                sql.push(COLUMNS, &[]).push(" FROM schedules s", &[]);
                restrict(&mut sql, &filter);
                sql.push_some(" AND s.id < ?", after)
                    .push(" ORDER BY s.id DESC LIMIT ?", &[(limit + 1).into()]);
                let mut rows = tx.rows_of(&sql, read).await?;
                let more = rows.len() > limit as usize;
                rows.truncate(limit as usize);
                let mut sql = Sql::new("SELECT count(*) FROM schedules s");
                restrict(&mut sql, &filter);
                Ok((rows, more, tx.number(&sql.text, &sql.params).await?))
            })
        })
        .await
    }
}

fn restrict<'a>(sql: &mut Sql<'a>, filter: &'a ScheduleFilter) {
    sql.push(" WHERE s.deleted_at IS NULL", &[])
        .push_some(" AND s.user_id = ?", filter.user_id)
        .push_some(" AND s.kind = ?", filter.kind.map(ScheduleType::name))
        .push_some(" AND s.enabled = ?", filter.enabled)
        .push_some(" AND s.handler = ?", filter.task.as_ref())
        .push_some(" AND s.name = ?", filter.name.as_ref());
}
