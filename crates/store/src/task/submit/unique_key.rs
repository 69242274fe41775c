//! Unique keys: one live task for each.

use taskloom_model::{TaskId, Timestamp, UserId};
use uuid::Uuid;

use crate::error::{Result, StoreError};
use crate::row::first;
use crate::sql::params;
use crate::tx::Tx;

/// Takes the key for a task, unless a live task holds it: then gives that one.
pub(crate) async fn take_unique_key(
    tx: &mut Tx,
    user_id: UserId,
    key: &str,
    id: TaskId,
) -> Result<Option<TaskId>> {
    // Whoever has the row's lock decides; what its holder is doing is read after that.
    tx.lock("SELECT 1 FROM unique_keys WHERE user_id = ? AND unique_key = ?", params![user_id, key]).await?;
    let sql = "SELECT task_id FROM unique_keys WHERE user_id = ? AND unique_key = ?";
    let holder = tx.row(sql, params![user_id, key], first::<TaskId>).await?;
    let sql = match holder {
        Some(holder) if lives(tx, holder).await? => return Ok(Some(holder)),
        Some(_) => "UPDATE unique_keys SET task_id = ? WHERE user_id = ? AND unique_key = ?",
        None => "INSERT INTO unique_keys (task_id, user_id, unique_key) VALUES (?, ?, ?)",
    };
    tx.exec(sql, params![id, user_id, key]).await.map_err(StoreError::raced)?;
    Ok(None)
}

/// Whether the task is there, has not ended and is not deleted.
async fn lives(tx: &mut Tx, id: TaskId) -> Result<bool> {
    let sql = "SELECT o.id, t.deleted_at FROM tasks t LEFT JOIN outcomes o ON o.id = t.id WHERE t.id = ?";
    let standing = tx
        .row(sql, params![id], |row| {
            let has_ended = row.next::<Option<Uuid>>()?.is_some();
            Ok(!has_ended && row.next::<Option<Timestamp>>()?.is_none())
        })
        .await?;
    Ok(standing.unwrap_or(false))
}
