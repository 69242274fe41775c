//! Puts hints into the streams, in batches, and says that they can be taken.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::{StreamExt as _, stream};
use redis::RedisResult;
use taskloom_model::{Priority, TaskId};

use super::connection::Connection;
use super::keys::{Channel, ID_FIELD};
use super::shared::Shared;
use crate::home::Ready;

/// Hints in one batch.
const BATCH: usize = 1_000;
/// Queues of a batch that are sent at once.
const QUEUES_AT_ONCE: usize = 32;
/// After this long without an announcement a stream goes, in ms: names of queues come and go. What it held is found
/// through the store.
const EXPIRES_AFTER_MS: u32 = 24 * 3_600 * 1_000;

/// Runs until it is dropped.
pub(super) async fn carry(shared: Arc<Shared>) {
    loop {
        let batch = shared.hints.next(BATCH).await;
        let each = |(queue, bands)| announce(&shared, queue, bands);
        stream::iter(by_queue(&batch)).for_each_concurrent(QUEUES_AT_ONCE, each).await;
    }
}

/// A queue's ids by priority.
type Bands = BTreeMap<Priority, Vec<TaskId>>;

fn by_queue(batch: &[Ready]) -> BTreeMap<&str, Bands> {
    let mut queues: BTreeMap<&str, Bands> = BTreeMap::new();
    for Ready { queue, priority, id } in batch {
        queues.entry(queue).or_default().entry(*priority).or_default().push(*id);
    }
    queues
}

async fn announce(shared: &Shared, queue: &str, bands: Bands) {
    let count = bands.values().map(Vec::len).sum();
    let sent = shared.run(|connection| send(shared, connection, queue, &bands, count)).await;
    if sent.is_none() {
        // The claimers here go to the store at once; those elsewhere do with their next look.
        shared.presence.dropped(count);
        shared.ears.bells.ring(queue, count, true);
    }
}

/// A script rather than a pipeline: where the hints cannot be added, nobody is to be woken for them. It also spares Redis
/// the parsing of a command for each.
async fn send(
    shared: &Shared,
    mut connection: Connection,
    queue: &str,
    bands: &Bands,
    count: usize,
) -> RedisResult<()> {
    let mut call = shared.scripts.announce.prepare_invoke();
    call.arg(shared.max_len).arg(EXPIRES_AFTER_MS).arg(shared.keys.channel(Channel::Ready));
    call.arg(format!("{queue} {count}")).arg(ID_FIELD);
    for (priority, ids) in bands {
        call.key(shared.keys.stream(queue, *priority)).arg(ids.len());
        for id in ids {
            call.arg(id.as_bytes().as_slice());
        }
    }
    call.invoke_async(&mut connection).await
}
