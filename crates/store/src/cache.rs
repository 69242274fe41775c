//! The result cache from outside: looked at, purged, and forgotten when it answers no longer.

use std::time::Duration;

use taskloom_model::{State, TaskId, Timestamp, UserId};
use taskloom_protocol::CacheEntry;
use uuid::Uuid;

use crate::Store;
use crate::error::Result;
use crate::row::Row;
use crate::sql::{Sql, params};
use crate::tx::Tx;

/// Which calls; every field that is set narrows it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CacheFilter {
    /// Of this user.
    pub user_id: Option<UserId>,
    /// Of this handler.
    pub handler: Option<String>,
    /// With this signature.
    pub signature: Option<String>,
}

impl CacheFilter {
    fn restrict<'a>(&'a self, sql: &mut Sql<'a>) {
        sql.push(" WHERE 1 = 1", &[])
            .push_some(" AND c.user_id = ?", self.user_id)
            .push_some(" AND c.handler = ?", self.handler.as_ref())
            .push_some(" AND c.signature = ?", self.signature.as_ref());
    }
}

impl Store {
    /// Up to `limit` calls behind the place `after`, by user and signature, and how many match in all.
    pub async fn cache_list(
        &self,
        filter: CacheFilter,
        after: Option<(UserId, String)>,
        limit: u32,
    ) -> Result<(Vec<CacheEntry>, u64)> {
        self.scan(move |tx| {
            Box::pin(async move {
                let mut sql = Sql::new(
                    "SELECT c.user_id, c.signature, c.task_id, c.handler, c.ttl_us, c.refreshed_at, o.state, o.finished_at
                     FROM cache c LEFT JOIN outcomes o ON o.id = c.task_id",
                );
                filter.restrict(&mut sql);
                if let Some((user_id, signature)) = &after {
                    sql.push(" AND (c.user_id, c.signature) > (?, ?)", &[(*user_id).into(), signature.into()]);
                }
                sql.push(" ORDER BY c.user_id, c.signature LIMIT ?", &[limit.into()]);
                let entries = tx.rows_of(&sql, read).await?;
                let mut sql = Sql::new("SELECT count(*) FROM cache c");
                filter.restrict(&mut sql);
                let total = tx.number(&sql.text, &sql.params).await?;
                Ok((entries, total))
            })
        })
        .await
    }

    /// Forgets up to `limit` calls; gives how many. The next call of each makes a task.
    pub async fn cache_purge(&self, filter: CacheFilter, limit: u32) -> Result<u64> {
        let entries = self
            .scan(move |tx| {
                Box::pin(async move {
                    let mut sql = Sql::new("SELECT c.user_id, c.signature, c.task_id FROM cache c");
                    filter.restrict(&mut sql);
                    sql.push(" ORDER BY c.user_id, c.signature LIMIT ?", &[limit.into()]);
                    tx.rows_of(&sql, |row| Ok((row.next()?, row.next()?, row.next()?))).await
                })
            })
            .await?;
        self.forget(entries, None).await
    }

    /// Forgets up to `limit` each of calls that answer no longer, and unique keys whose time is over; gives whether there
    /// may be more.
    pub async fn repeats_prune(&self, now: Timestamp, limit: u32) -> Result<bool> {
        let calls = self
            .scan(move |tx| {
                Box::pin(async move {
                    let sql = "SELECT c.user_id, c.signature, c.task_id FROM cache c JOIN outcomes o ON o.id = c.task_id
                         WHERE c.until_at <= ? AND (o.state <> 'succeeded' OR o.finished_at + c.ttl_us <= ?)
                         ORDER BY c.until_at LIMIT ?";
                    tx.rows(sql, params![now, now, limit], |row| Ok((row.next()?, row.next()?, row.next()?))).await
                })
            })
            .await?;
        let keys = self
            .scan(move |tx| {
                Box::pin(async move {
                    let sql = "SELECT u.user_id, u.unique_key, u.task_id FROM unique_keys u JOIN outcomes o ON o.id = u.task_id
                         WHERE u.until_at <= ? ORDER BY u.until_at LIMIT ?";
                    tx.rows(sql, params![now, limit], |row| Ok((row.next()?, row.next()?, row.next()?))).await
                })
            })
            .await?;
        let most = limit as usize;
        let more = calls.len() == most || keys.len() == most;
        self.forget(calls, Some(now)).await?;
        self.forget_keys(keys, now).await?;
        Ok(more)
    }

    /// Forgets calls; with `before`, only those that nobody has asked for since.
    async fn forget(&self, calls: Vec<(UserId, String, TaskId)>, before: Option<Timestamp>) -> Result<u64> {
        if calls.is_empty() {
            return Ok(0);
        }
        self.write(move |tx| {
            Box::pin(async move {
                let mut gone = 0;
                for (user_id, signature, task) in &calls {
                    let mut sql = Sql::new("DELETE FROM cache WHERE user_id = ? AND signature = ?");
                    sql.params.extend_from_slice(params![*user_id, signature]);
                    if let Some(before) = before {
                        sql.push(" AND task_id = ? AND until_at <= ?", params![*task, before]);
                    }
                    gone += tx.exec(&sql.text, &sql.params).await?;
                }
                Ok(gone)
            })
        })
        .await
    }

    async fn forget_keys(&self, keys: Vec<(UserId, String, TaskId)>, now: Timestamp) -> Result<()> {
        if keys.is_empty() {
            return Ok(());
        }
        self.write(move |tx| {
            Box::pin(async move {
                for (user_id, key, task) in &keys {
                    forget_key(tx, *user_id, key, *task, now).await?;
                }
                Ok(())
            })
        })
        .await
    }
}

/// Unless its task lives again, or another one has it.
async fn forget_key(tx: &mut Tx, user_id: UserId, key: &str, task: TaskId, now: Timestamp) -> Result<()> {
    let sql = "DELETE FROM unique_keys WHERE user_id = ? AND unique_key = ? AND task_id = ? AND until_at <= ?
         AND EXISTS (SELECT 1 FROM outcomes o WHERE o.id = ?)";
    tx.exec(sql, params![user_id, key, task, now, task]).await.map(drop)
}

fn read(row: &mut Row<'_>) -> Result<CacheEntry> {
    let (user_id, signature, task_id) = (row.next::<Uuid>()?, row.next()?, row.next()?);
    let (handler, ttl, refreshed_at) =
        (row.next()?, Duration::from_micros(row.next()?), row.next::<Timestamp>()?);
    let state = row.opt_word::<State>()?;
    let finished_at = row.next::<Option<Timestamp>>()?;
    let expires_at = finished_at.map(|at| at.max(refreshed_at).plus(ttl));
    Ok(CacheEntry {
        signature,
        handler,
        task_id,
        user_id,
        state,
        ttl: ttl.as_secs_f64(),
        refreshed_at,
        expires_at,
    })
}
