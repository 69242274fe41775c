//! Where ready tasks stand in the queues that somebody waits for.

use std::collections::{BTreeMap, BTreeSet};

use taskloom_model::TaskId;

use crate::Store;
use crate::error::Result;
use crate::row::Row;
use crate::sql::{Sql, params};

/// Queues that one statement asks for.
const TOGETHER: usize = 32;

/// Where a ready task stands in its queue: its band, then its id.
pub type ReadyPlace = (i64, TaskId);

/// What stands in a queue: the first places, and the very last.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Waiting {
    /// The first places, as many as were asked for.
    pub first: BTreeSet<ReadyPlace>,
    /// The last place of the queue, if there are more than those.
    pub last: Option<ReadyPlace>,
}

impl Store {
    /// Which of these queues have ready tasks, and where those stand: the first `most` of each and the last. A walk from
    /// each end of a queue, whatever is between.
    pub async fn task_ready_in(&self, queues: Vec<String>, most: u32) -> Result<BTreeMap<String, Waiting>> {
        self.point(move |tx| {
            Box::pin(async move {
                let mut found: BTreeMap<String, Waiting> = BTreeMap::new();
                for some in queues.chunks(TOGETHER) {
                    let read = |row: &mut Row<'_>| {
                        let queue = row.next::<String>()?;
                        Ok((queue, (row.next::<i64>()?, row.next::<TaskId>()?)))
                    };
                    for (queue, place) in tx.rows_of(&ends(some, most), read).await? {
                        found.entry(queue).or_default().first.insert(place);
                    }
                }
                for waiting in found.values_mut() {
                    if waiting.first.len() > most as usize {
                        waiting.last = waiting.first.pop_last();
                    }
                }
                Ok(found)
            })
        })
        .await
    }
}

/// Both ends of each of these queues.
fn ends(queues: &[String], most: u32) -> Sql<'_> {
    let mut sql = Sql::default();
    for (index, queue) in queues.iter().enumerate() {
        if index > 0 {
            sql.push(" UNION ALL ", &[]);
        }
        // Only in brackets of its own may a part of a union have an order.
        let both = format!(
            "SELECT queue, band, id FROM (SELECT queue, band, id FROM ready WHERE queue = ?
               ORDER BY band, id LIMIT ?) first_{index}
             UNION ALL SELECT queue, band, id FROM (SELECT queue, band, id FROM ready WHERE queue = ?
               ORDER BY band DESC, id DESC LIMIT 1) last_{index}"
        );
        sql.push(&both, params![queue, most, queue]);
    }
    sql
}
