//! What ties this process to others that work on the same database.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use taskloom_dispatch::{Alone, Bells, Counters, Dispatcher, Fanout, RedisHome, Shelf, StoreHome, Wire};
use taskloom_store::Store;

/// Words to other processes are at least so far apart: what is said meanwhile goes into the next. The first is never late.
const WORDS_APART: Duration = Duration::from_millis(5);

/// How hints, events and shared counts travel.
#[derive(Clone)]
pub struct Links {
    /// Tells claimers which tasks are ready.
    pub dispatcher: Dispatcher,
    /// Carries events to watchers in other processes.
    pub fanout: Arc<dyn Fanout>,
    /// Counts what all processes count together.
    pub counters: Arc<dyn Counters>,
    /// Keeps copies of answers for all processes.
    pub shelf: Arc<dyn Shelf>,
}

impl Links {
    /// Through the database alone: it names queues where it can, and watchers look into it now and then.
    pub fn through_store(store: &Store) -> Self {
        let dispatcher = if store.carries_words() {
            let wire = Arc::new(StoreWire(store.clone()));
            Dispatcher::new(Arc::new(StoreHome::with_wire(wire)), Bells::default())
        } else {
            Dispatcher::in_process()
        };
        Self { dispatcher, fanout: Arc::new(Alone), counters: Arc::new(Alone), shelf: Arc::new(Alone) }
    }

    /// Through Redis, which may be away at any time.
    pub fn through_redis(home: &Arc<RedisHome>, bells: Bells) -> Self {
        Self {
            dispatcher: Dispatcher::new(Arc::<RedisHome>::clone(home), bells),
            fanout: Arc::<RedisHome>::clone(home),
            counters: Arc::<RedisHome>::clone(home),
            shelf: Arc::<RedisHome>::clone(home),
        }
    }
}

/// The database as a wire.
struct StoreWire(Store);

#[async_trait]
impl Wire for StoreWire {
    async fn say(&self, queues: &[String]) -> Result<(), String> {
        let said = self.0.say_ready(queues).await.map_err(|error| error.to_string());
        tokio::time::sleep(WORDS_APART).await;
        said
    }
}
