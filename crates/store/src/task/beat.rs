//! T4: heartbeats, progress and log lines.

mod postgres;

use std::time::Duration;

use taskloom_model::{SessionId, TaskId, Timestamp};
use taskloom_protocol::{Json, LogLevel, LogLine, TaskRef};

use crate::Store;
use crate::error::Result;
use crate::sql::{Param, params};
use crate::tx::Tx;

/// News of one running task.
#[derive(Debug, Clone)]
pub struct BeatItem {
    /// The task and the epoch of the claim.
    pub task: TaskRef,
    /// Progress 0 to 100, if it changed.
    pub progress: Option<f64>,
    /// About the progress, if it changed.
    pub detail: Option<Json>,
    /// New lines.
    pub logs: Vec<LogLine>,
}

impl BeatItem {
    /// Whether it says more than that the task is held.
    pub fn has_news(&self) -> bool {
        self.progress.is_some() || self.detail.is_some() || !self.logs.is_empty()
    }
}

/// Lines kept of one attempt unless [`Store::keep_log_lines`] says otherwise.
pub(crate) const LOG_LINES: u64 = 10_000;

/// What the worker has to know.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BeatResult {
    /// An operator wants it to leave.
    pub drain: bool,
    /// No longer held.
    pub lost: Vec<TaskRef>,
    /// A user wants these to stop.
    pub cancel: Vec<TaskRef>,
}

impl Store {
    /// Notes that a worker was heard and renews the leases of the tasks it still holds; nothing if it is not known.
    pub async fn task_beat(
        &self,
        session: SessionId,
        mut items: Vec<BeatItem>,
        lease: Duration,
        now: Timestamp,
    ) -> Result<Option<BeatResult>> {
        // Everybody locks in the order of ids: two transactions never wait for each other.
        items.sort_unstable_by_key(|item| item.task.id);
        let items = std::sync::Arc::new(items);
        let most_lines = self.most_log_lines();
        self.pulse(move |tx| {
            Box::pin(async move {
                let sql = "UPDATE workers SET last_seen = ? WHERE session = ? AND left_at IS NULL";
                if tx.exec(sql, params![now, session]).await? == 0 {
                    return Ok(None);
                }
                let sql = "SELECT draining FROM workers WHERE session = ?";
                let drain = tx.row(sql, params![session], crate::row::first).await?.unwrap_or_default();
                let mut result = BeatResult { drain, ..BeatResult::default() };
                let until = now.plus(lease);
                let told = match tx {
                    Tx::Postgres(pg) => postgres::renew(pg, session, &items, until).await?,
                    _ => Vec::new(),
                };
                let in_sets = matches!(tx, Tx::Postgres(_));
                for item in items.iter() {
                    let held =
                        if in_sets { told_of(&told, item) } else { renew(tx, session, item, until).await? };
                    match held {
                        None => result.lost.push(item.task),
                        Some(cancel) => {
                            append_logs(tx, item.task.id, &item.logs, most_lines).await?;
                            if cancel {
                                result.cancel.push(item.task);
                            }
                        }
                    }
                }
                Ok(Some(result))
            })
        })
        .await
    }
}

/// Renews one lease; gives the cancel flag, or nothing if it is not held.
async fn renew(tx: &mut Tx, session: SessionId, item: &BeatItem, until: Timestamp) -> Result<Option<bool>> {
    let TaskRef { id, epoch } = item.task;
    let sql = "UPDATE running SET lease_until = CASE WHEN lease_until < ? THEN ? ELSE lease_until END,
         progress = coalesce(?, progress), detail = coalesce(?, detail)
         WHERE id = ? AND epoch = ? AND session = ?";
    let row = params![until, until, item.progress, item.detail.as_ref(), id, epoch, session];
    if tx.exec(sql, row).await? == 0 {
        return Ok(None);
    }
    tx.row("SELECT cancel FROM running WHERE id = ?", params![id], crate::row::first).await
}

/// What a set-based renewal, sorted by task, says of this one.
fn told_of(told: &[(TaskRef, bool)], item: &BeatItem) -> Option<bool> {
    let key = |task: TaskRef| (task.id, task.epoch);
    let at = told.binary_search_by_key(&key(item.task), |(task, _)| key(*task)).ok()?;
    told.get(at).map(|(_, cancel)| *cancel)
}

/// Appends log lines of a running task, up to `most` in an attempt; then one line that says how many are left out.
pub(crate) async fn append_logs(tx: &mut Tx, id: TaskId, logs: &[LogLine], most: u64) -> Result<()> {
    let Some(last) = logs.last() else { return Ok(()) };
    let sql = "SELECT logged FROM running WHERE id = ?";
    let logged: u64 = tx.row(sql, params![id], crate::row::first).await?.unwrap_or_default();
    let room = usize::try_from(most.saturating_sub(logged)).unwrap_or(usize::MAX);
    let mut rows: Vec<Param<'_>> = Vec::with_capacity(logs.len() * 4);
    for LogLine { at, level, message } in logs.iter().take(room) {
        rows.extend::<[Param<'_>; 4]>([id.into(), (*at).into(), level.name().into(), message.into()]);
    }
    let all = logged + logs.len() as u64;
    let note = format!("… {} more lines left out: of an attempt {most} are kept", all.saturating_sub(most));
    let is_first_note = all > most && logged <= most;
    if is_first_note {
        let level = LogLevel::Warning.name();
        rows.extend::<[Param<'_>; 4]>([id.into(), last.at.into(), level.into(), (&note).into()]);
    }
    tx.insert_many("INSERT INTO logs (task_id, at, level, message)", 4, &rows).await?;
    if all > most && !is_first_note {
        renew_note(tx, id, &note).await?;
    }
    let sql = "UPDATE running SET logged = logged + ? WHERE id = ?";
    tx.exec(sql, params![logs.len() as u64, id]).await.map(drop)
}

/// Corrects the note about lines left out, which is the last line there is.
async fn renew_note(tx: &mut Tx, id: TaskId, note: &str) -> Result<()> {
    // MySQL reads no table that it changes.
    let sql = "SELECT seq FROM logs WHERE task_id = ? ORDER BY seq DESC LIMIT 1";
    let seq: Option<u64> = tx.row(sql, params![id], crate::row::first).await?;
    tx.exec("UPDATE logs SET message = ? WHERE seq = ?", params![note, seq]).await.map(drop)
}
