//! Acknowledges and deletes hints that were tried.

use std::collections::BTreeMap;
use std::sync::Arc;

use redis::RedisResult;
use tokio_util::sync::CancellationToken;

use super::connection::Connection;
use super::keys::GROUP;
use super::shared::Shared;
use crate::home::Ticket;

/// Hints in one exchange.
const BATCH: usize = 1_000;

/// Runs until it is stopped, and ends with what is under way. What fails is dropped: such a hint is taken over later,
/// tried in vain and done again.
pub(super) async fn carry(shared: Arc<Shared>, stop: CancellationToken) {
    while let Some(batch) = stop.run_until_cancelled(shared.done.next(BATCH)).await {
        shared.run(|connection| send(&shared, connection, &batch)).await;
    }
}

pub(super) async fn send(shared: &Shared, connection: Connection, batch: &[Ticket]) -> RedisResult<()> {
    let mut streams: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for Ticket { ready, receipt } in batch {
        streams.entry(shared.keys.stream(&ready.queue, ready.priority)).or_default().push(receipt);
    }
    let mut commands = connection.batch();
    for (stream, entries) in &streams {
        let pipeline = commands.next_slot();
        pipeline.cmd("XACK").arg(stream).arg(GROUP).arg(entries);
        pipeline.cmd("XDEL").arg(stream).arg(entries);
    }
    connection.send(commands).await
}
