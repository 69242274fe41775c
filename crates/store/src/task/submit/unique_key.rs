//! Unique keys: one task for each, while it lives and for as long as it asked.

use taskloom_model::{TaskId, Timestamp, UserId};
use uuid::Uuid;

use crate::error::{Result, StoreError};
use crate::row::Row;
use crate::sql::params;
use crate::tx::Tx;

/// How a key stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    /// Nobody has it. This task had it last, if any had.
    Free(Option<TaskId>),
    /// This task has it.
    Taken(TaskId),
}

impl Key {
    /// The task in the key's row, whatever it counts.
    pub(super) fn noted(self) -> Option<TaskId> {
        match self {
            Self::Free(task) => task,
            Self::Taken(task) => Some(task),
        }
    }
}

/// Looks at a key. Whoever has locked its row decides.
pub(super) async fn look(tx: &mut Tx, user_id: UserId, key: &str, now: Timestamp) -> Result<Key> {
    let sql = "SELECT u.task_id, u.until_at, t.id, t.deleted_at, o.id FROM unique_keys u
         LEFT JOIN tasks t ON t.id = u.task_id LEFT JOIN outcomes o ON o.id = u.task_id
         WHERE u.user_id = ? AND u.unique_key = ?";
    let read = |row: &mut Row<'_>| {
        let (task, until) = (row.next::<TaskId>()?, row.next::<Option<Timestamp>>()?);
        let exists = row.next::<Option<Uuid>>()?.is_some() && row.next::<Option<Timestamp>>()?.is_none();
        let lives = exists && row.next::<Option<Uuid>>()?.is_none();
        let counts = lives || exists && until.is_some_and(|until| until > now);
        Ok(if counts { Key::Taken(task) } else { Key::Free(Some(task)) })
    };
    Ok(tx.row(sql, params![user_id, key], read).await?.unwrap_or(Key::Free(None)))
}

/// Locks the key's row; whether there is one.
pub(super) async fn lock(tx: &mut Tx, user_id: UserId, key: &str) -> Result<bool> {
    let sql = "SELECT 1 FROM unique_keys WHERE user_id = ? AND unique_key = ?";
    Ok(tx.lock(sql, params![user_id, key]).await? > 0)
}

/// Gives the key to a task, if it still is noted for the one that was found.
pub(super) async fn take(
    tx: &mut Tx,
    (user_id, key): (UserId, &str),
    noted: Option<TaskId>,
    id: TaskId,
    until: Option<Timestamp>,
) -> Result<()> {
    let Some(noted) = noted else {
        let sql = "INSERT INTO unique_keys (task_id, until_at, user_id, unique_key) VALUES (?, ?, ?, ?)";
        return tx.exec(sql, params![id, until, user_id, key]).await.map(drop).map_err(StoreError::raced);
    };
    let sql = "UPDATE unique_keys SET task_id = ?, until_at = ? WHERE user_id = ? AND unique_key = ? AND task_id = ?";
    match tx.exec(sql, params![id, until, user_id, key, noted]).await? {
        1 => Ok(()),
        _ => Err(StoreError::Conflict("a unique key had another holder".into())),
    }
}

/// Gives the key back to a task that had it once and is to live again; gives another task that has it meanwhile.
pub(crate) async fn regain(
    tx: &mut Tx,
    user_id: UserId,
    key: &str,
    id: TaskId,
    now: Timestamp,
) -> Result<Option<TaskId>> {
    // Whoever has the row's lock decides; what its holder is doing is read after that.
    lock(tx, user_id, key).await?;
    match look(tx, user_id, key, now).await? {
        Key::Taken(holder) if holder != id => Ok(Some(holder)),
        // Its row says already how long.
        key if key.noted() == Some(id) => Ok(None),
        free => take(tx, (user_id, key), free.noted(), id, None).await.map(|()| None),
    }
}
