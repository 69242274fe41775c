//! The home that keeps the ids of ready tasks in Redis Streams, for claimers in several processes.
//!
//! A queue has one stream for each priority, with one consumer group. Announcing adds entries, which hold the task's id
//! and nothing else, and says on a channel that there are some. Taking reads new entries for this process, those of the
//! highest priority first. An entry is deleted when its claim was tried; if its taker dies before, another process takes
//! it over.
//!
//! Redis is disposable. While it is away everything goes on through the store; whatever it forgets costs time only. It
//! needs version 6.2, and a user with the rights `~{PREFIX:* &PREFIX:* +@read +@write +@pubsub +@scripting +@connection`.

mod announce;
mod connection;
mod counting;
mod done;
mod ears;
mod endpoint;
mod housekeeping;
mod keys;
mod options;
mod presence;
mod rounds;
mod secret;
mod shared;
mod shelving;
mod supervisor;
mod take;
mod trouble;
mod url;
#[cfg(test)]
mod url_tests;
mod watched;
mod words;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use options::{RedisConfigError, RedisOptions};
pub use url::UrlError;

use self::shared::Shared;
use super::{Home, Ready, Status, Ticket};
use crate::bells::Bells;

/// How long a farewell may take.
const FAREWELL_AT_MOST: Duration = Duration::from_secs(1);

/// The home in Redis; see also what it does as [`Fanout`](crate::Fanout) and [`Counters`](crate::Counters).
pub struct RedisHome {
    shared: Arc<Shared>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl RedisHome {
    /// Begins to connect, and goes on until it is closed or dropped. `bells` are those of the dispatcher: they ring when
    /// hints can be taken, and all of them when Redis is back. To be called within a Tokio runtime.
    ///
    /// Whether Redis is there does not matter: only settings that cannot be used are an error.
    pub fn connect(options: &RedisOptions, bells: Bells) -> Result<Arc<Self>, RedisConfigError> {
        let shared = Arc::new(Shared::new(options, bells)?);
        let home = Self { shared, stop: CancellationToken::new(), tasks: TaskTracker::new() };
        home.spawn(announce::carry(Arc::clone(&home.shared)));
        home.spawn(words::carry(Arc::clone(&home.shared)));
        home.spawn(housekeeping::keep(Arc::clone(&home.shared)));
        home.supervise(home.tasks.spawn(done::carry(Arc::clone(&home.shared), home.stop.clone())));
        Ok(Arc::new(home))
    }

    /// Says farewell and ends; takes at most about a second. What is announced afterwards is dropped.
    pub async fn close(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(self.stop.clone().run_until_cancelled_owned(task));
    }

    fn supervise(&self, done: JoinHandle<()>) {
        let (shared, stop) = (Arc::clone(&self.shared), self.stop.clone());
        self.tasks.spawn(async move {
            stop.run_until_cancelled(supervisor::supervise(Arc::clone(&shared))).await;
            let farewell = async {
                // What is under way is acknowledged first: a consumer that holds something cannot leave.
                let _ = done.await;
                housekeeping::leave(&shared).await;
            };
            let _ = timeout(FAREWELL_AT_MOST, farewell).await;
            shared.presence.leave("closed");
        });
    }
}

impl Drop for RedisHome {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

#[async_trait]
impl Home for RedisHome {
    fn announce(&self, ready: &[Ready]) -> bool {
        let left_out = if self.shared.presence.is_here() && !self.stop.is_cancelled() {
            self.shared.hints.put(ready.iter().cloned())
        } else {
            ready.len()
        };
        self.shared.presence.dropped(left_out);
        left_out == 0
    }

    async fn take(&self, queues: &[String], limit: usize) -> Vec<Ticket> {
        take::take(&self.shared, queues, limit).await
    }

    fn done(&self, tickets: Vec<Ticket>) {
        // What does not fit, or comes while Redis is away, is handed out again later.
        if self.shared.presence.is_here() {
            self.shared.done.put(tickets.into_iter());
        }
    }

    fn status(&self) -> Status {
        self.shared.presence.status()
    }
}
