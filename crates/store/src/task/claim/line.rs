//! Who stands where in line: for turns between users, and for those that have waited too long.

use std::sync::Arc;

use taskloom_model::{Priority, TaskId, Timestamp, UserId};

use super::{Floors, Hint};
use crate::Store;
use crate::error::Result;
use crate::row::{Row, first};
use crate::sql::params;
use crate::task::life::{band, id_at, turn};
use crate::tx::Tx;

/// A user's newest tasks that are looked at for the last turn they were given.
const NEWEST: u32 = 100;

impl Store {
    /// The turn that is next in this queue at this priority; nothing if nobody waits there.
    pub async fn turn_next(&self, queue: String, priority: Priority) -> Result<Option<u64>> {
        let floors = Arc::clone(&self.floors);
        self.point(move |tx| {
            Box::pin(async move {
                let (low, high) = (band(priority, 0), band(priority, u64::MAX));
                // Not again over what claims have left behind.
                let low = low.max(floors.least(&queue));
                let sql = "SELECT band FROM ready WHERE queue = ? AND band >= ? AND band <= ? ORDER BY band, id LIMIT 1";
                Ok(tx.row(sql, params![&queue, low, high], first::<i64>).await?.map(turn))
            })
        })
        .await
    }

    /// The last turn that this user was given in this queue at this priority, as far as their newest tasks tell.
    pub async fn turn_last(&self, user: UserId, queue: String, priority: Priority) -> Result<Option<u64>> {
        self.point(move |tx| {
            Box::pin(async move {
                let sql = "SELECT max(band) FROM (SELECT band, queue, priority FROM tasks WHERE user_id = ? ORDER BY id DESC LIMIT ?) newest
                     WHERE queue = ? AND priority = ?";
                let number = i64::from(priority.number());
                let last = tx.row(sql, params![user, NEWEST, &queue, number], first::<Option<i64>>).await?;
                Ok(last.flatten().map(turn))
            })
        })
        .await
    }

    /// Up to `most` tasks at this priority and below that were submitted before this instant, the last queue first: they
    /// have been passed by for long.
    pub async fn task_overdue(
        &self,
        queues: Arc<[String]>,
        from: Priority,
        before: Timestamp,
        most: u32,
    ) -> Result<Vec<Hint>> {
        self.point(move |tx| {
            Box::pin(async move {
                let mut found = Vec::new();
                for queue in queues.iter().rev() {
                    let room = most.saturating_sub(found.len() as u32);
                    if room == 0 {
                        break;
                    }
                    overdue(tx, queue, band(from, 0), before, room, &mut found).await?;
                }
                Ok(found)
            })
        })
        .await
    }
}

async fn overdue(
    tx: &mut Tx,
    queue: &str,
    from: i64,
    before: Timestamp,
    room: u32,
    found: &mut Vec<Hint>,
) -> Result<()> {
    let sql = "SELECT id FROM ready WHERE queue = ? AND band >= ? ORDER BY band, id LIMIT ?";
    let ids = tx.rows(sql, params![queue, from, room], |row: &mut Row<'_>| row.next::<TaskId>()).await?;
    let name: Arc<str> = Arc::from(queue);
    // Ids rise with time.
    let old = ids.into_iter().filter(|id| *id < id_at(before));
    found.extend(old.map(|id| Hint { queue: Arc::clone(&name), id }));
    Ok(())
}

impl Floors {
    /// The band below which claims have found nothing.
    fn least(&self, queue: &str) -> i64 {
        self.begin(queue).0
    }
}
