//! What a process that works on the database itself opens first and closes last.

use std::path::Path;
use std::sync::Arc;

use taskloom_dispatch::{Bells, RedisHome};
use taskloom_engine::{Engine, Links, StoreClock};
use taskloom_store::{Store, StoreError, StoreOptions};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::settings;
use crate::config::Config;
use crate::error::CliError;

/// Which loops of the engine a process runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Loops {
    /// All, those that move tasks by time as well.
    All,
    /// Those that wake this process's own claimers and watchers.
    Own,
}

/// The engine over its store, its links to other processes and its loops.
pub(super) struct Backend {
    pub(super) engine: Engine,
    /// Ends the loops, and whatever else belongs to them.
    pub(super) ending: CancellationToken,
    redis: Option<Arc<RedisHome>>,
    loops: Option<TaskTracker>,
}

impl Backend {
    /// Opens everything; the work of the store runs on the runtime at hand.
    ///
    /// # Errors
    /// The database cannot be opened, or a setting cannot be used. Redis may be away.
    pub(super) async fn open(config: &Config, database: &StoreOptions, dir: &Path) -> Result<Self, CliError> {
        let bells = Bells::default();
        // First, for its settings can be wrong; it does not wait for Redis.
        let redis = match settings::redis(config) {
            Some(options) => {
                Some(RedisHome::connect(&options, bells.clone()).map_err(|e| settings::bad_redis(&e))?)
            }
            None => None,
        };
        let failed = |e: StoreError| CliError::of_database(database, &e);
        let store = Box::pin(Store::open(database)).await.map_err(failed)?;
        let clock = StoreClock::start(&store).await.map_err(failed)?;
        let links = match &redis {
            Some(home) => Links::through_redis(home, bells),
            None => Links::through_store(&store),
        };
        let engine = Engine::with_links(store, settings::engine(config, dir)?, clock, links);
        Ok(Self { engine, ending: CancellationToken::new(), redis, loops: None })
    }

    /// Starts the loops.
    pub(super) fn start(&mut self, loops: Loops) {
        self.loops = Some(match loops {
            Loops::All => self.engine.start(&self.ending),
            Loops::Own => self.engine.attend(&self.ending),
        });
    }

    /// Ends the loops and says farewell to Redis.
    pub(super) async fn close(self) {
        self.ending.cancel();
        if let Some(loops) = self.loops {
            loops.wait().await;
        }
        if let Some(redis) = self.redis {
            redis.close().await;
        }
    }
}
