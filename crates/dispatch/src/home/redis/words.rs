//! Tells other processes what is watched and what happens.

use std::sync::Arc;

use redis::RedisResult;
use taskloom_model::TaskId;
use tokio::sync::broadcast;
use tokio::time::Instant;

use super::RedisHome;
use super::connection::Connection;
use super::keys::Channel;
use super::shared::Shared;
use crate::fanout::Fanout;

/// Words in one exchange.
const BATCH: usize = 200;

/// Runs until it is dropped. What fails is dropped: watchers also look by themselves.
pub(super) async fn carry(shared: Arc<Shared>) {
    loop {
        let batch = shared.words.next(BATCH).await;
        shared.run(|connection| send(&shared, connection, &batch)).await;
    }
}

async fn send(shared: &Shared, connection: Connection, batch: &[(Channel, String)]) -> RedisResult<()> {
    let mut commands = connection.batch();
    for channel in [Channel::Watch, Channel::Events] {
        let mut words = batch.iter().filter(|(to, _)| *to == channel).peekable();
        if words.peek().is_none() {
            continue;
        }
        let pipeline = commands.next_slot();
        for (_, text) in words {
            pipeline.cmd("PUBLISH").arg(shared.keys.channel(channel)).arg(text);
        }
    }
    connection.send(commands).await
}

impl RedisHome {
    fn say(&self, channel: Channel, text: String) {
        if self.shared.presence.is_here() {
            self.shared.words.put(std::iter::once((channel, text)));
        }
    }
}

impl Fanout for RedisHome {
    fn watch(&self, id: TaskId) {
        self.say(Channel::Watch, format!("{} {id}", self.shared.me));
    }

    fn is_watched(&self, id: TaskId) -> bool {
        self.shared.ears.watched.is_watched(id, Instant::now())
    }

    fn is_idle(&self) -> bool {
        self.shared.ears.watched.is_idle()
    }

    fn publish(&self, id: TaskId, event: String) {
        self.say(Channel::Events, format!("{} {id} {event}", self.shared.me));
    }

    fn events(&self) -> broadcast::Receiver<(TaskId, String)> {
        self.shared.ears.events.subscribe()
    }
}
