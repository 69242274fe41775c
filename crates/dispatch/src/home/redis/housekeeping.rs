//! What is done now and then: watches that ended, consumers whose processes are gone, this process's own farewell.

use std::sync::Arc;
use std::time::Duration;

use redis::RedisResult;
use taskloom_model::Priority;
use tokio::time::{Instant, sleep};

use super::connection::Connection;
use super::done;
use super::keys::GROUP;
use super::shared::Shared;

const TICK: Duration = Duration::from_secs(1);
/// Between two sweeps, in ticks.
const SWEEP_EVERY: std::ops::RangeInclusive<u32> = 480..=720;
/// Queues in one sweep.
const QUEUES_AT_MOST: usize = 1_000;

/// Runs until it is dropped.
pub(super) async fn keep(shared: Arc<Shared>) {
    loop {
        for _ in 0..rand::random_range(SWEEP_EVERY) {
            sleep(TICK).await;
            shared.ears.watched.forget(Instant::now());
        }
        sweep(&shared, "").await;
    }
}

/// Gives back what was tried and deletes this process's consumer, unless it still holds something: that is taken over.
pub(super) async fn leave(shared: &Shared) {
    let rest = shared.done.take(usize::MAX);
    if !rest.is_empty() {
        shared.run(|connection| done::send(shared, connection, &rest)).await;
    }
    sweep(shared, &shared.me).await;
}

/// Deletes consumers that hold nothing: those idle for long, and `leaver`.
async fn sweep(shared: &Shared, leaver: &str) {
    let mut queues = shared.rounds.queues();
    queues.truncate(QUEUES_AT_MOST);
    let Some(link) = shared.presence.link() else { return };
    for part in queues.chunks(link.connection.queues_per_call()) {
        if shared.run(|connection| sweep_some(shared, connection, part, leaver)).await.is_none() {
            return;
        }
    }
}

async fn sweep_some(
    shared: &Shared,
    mut connection: Connection,
    queues: &[String],
    leaver: &str,
) -> RedisResult<()> {
    let mut call = shared.scripts.sweep.prepare_invoke();
    for queue in queues {
        for priority in Priority::ALL {
            call.key(shared.keys.stream(queue, priority));
        }
    }
    call.arg(GROUP).arg(u64::try_from(shared.consumer_idle.as_millis()).unwrap_or(u64::MAX)).arg(leaver);
    call.invoke_async(&mut connection).await
}
