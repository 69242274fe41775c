//! Where a workload runs: a private directory, and a private database on whichever server is measured.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use taskloom_dispatch::{Bells, RedisHome, RedisOptions};
use taskloom_engine::{Clock, Engine, EngineConfig, Links, StoreClock};
use taskloom_store::{DatabaseUrl, Store, StoreOptions};

use crate::BenchError;
use crate::args::Durability;

/// The file that `taskloom dev` keeps in its data directory.
const DATABASE: &str = "taskloom.db";

/// What is measured.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) durability: Durability,
    pub(crate) database: Option<DatabaseUrl>,
    pub(crate) database_text: Option<String>,
    pub(crate) redis: Option<String>,
}

/// A fresh place. Its database is removed with [`Site::remove`].
pub(crate) struct Site {
    pub(crate) dir: PathBuf,
    pub(crate) target: Target,
    /// The private database's name and the server it is on.
    private: Option<(String, DatabaseUrl)>,
    /// What the keys in Redis begin with.
    pub(crate) prefix: String,
}

impl Site {
    /// A place below this directory, which is made empty.
    pub(crate) async fn fresh(dir: &Path, target: &Target) -> Result<Self, BenchError> {
        match std::fs::remove_dir_all(dir) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
        std::fs::create_dir_all(dir)?;
        let name = format!("taskloom_bench_{}", uuid::Uuid::now_v7().simple());
        let private = match &target.database {
            None => None,
            Some(server) => {
                server.create_database(&name).await?;
                Some((name.clone(), server.clone()))
            }
        };
        Ok(Self { dir: dir.to_owned(), target: target.clone(), private, prefix: name })
    }

    /// The store's options for data in this directory.
    fn options(&self, data: &Path) -> Result<StoreOptions, BenchError> {
        Ok(match &self.private {
            None => StoreOptions::Sqlite {
                path: data.join(DATABASE),
                synchronous: self.target.durability.synchronous(),
            },
            Some((name, server)) => StoreOptions::network(server.with_database(name)?),
        })
    }

    /// The private database's URL for another process.
    pub(crate) fn database_url(&self) -> Option<String> {
        let (name, _) = self.private.as_ref()?;
        let text = self.target.database_text.as_ref()?;
        let (before, query) = text.split_once('?').map_or((text.as_str(), None), |(b, q)| (b, Some(q)));
        let (server, _) = before.rsplit_once('/')?;
        Some(query.map_or_else(|| format!("{server}/{name}"), |query| format!("{server}/{name}?{query}")))
    }

    /// An engine on data in this directory.
    pub(crate) async fn engine(&self, data: &Path) -> Result<Engine, BenchError> {
        let store = self.store(data).await?;
        let clock = StoreClock::start(&store).await?;
        self.engine_on(data, store, clock)
    }

    /// The store of data in this directory.
    pub(crate) async fn store(&self, data: &Path) -> Result<Store, BenchError> {
        std::fs::create_dir_all(data)?;
        Ok(Store::open(&self.options(data)?).await?)
    }

    /// An engine on this store, which goes by this clock.
    pub(crate) fn engine_on(
        &self,
        data: &Path,
        store: Store,
        clock: Arc<dyn Clock>,
    ) -> Result<Engine, BenchError> {
        self.engine_with(store, clock, EngineConfig::new(data.join("artifacts")))
    }

    /// An engine on this store, which goes by this clock and is set so.
    pub(crate) fn engine_with(
        &self,
        store: Store,
        clock: Arc<dyn Clock>,
        config: EngineConfig,
    ) -> Result<Engine, BenchError> {
        let links = match &self.target.redis {
            None => Links::through_store(&store),
            Some(url) => {
                let bells = Bells::default();
                let mut options = RedisOptions::new(url);
                options.prefix.clone_from(&self.prefix);
                let home = RedisHome::connect(&options, bells.clone())
                    .map_err(|error| BenchError::Server(error.to_string()))?;
                Links::through_redis(&home, bells)
            }
        };
        Ok(Engine::with_links(store, config, clock, links))
    }

    /// Lets a server do now what it would do after much was written.
    pub(crate) async fn settle(&self) -> Result<(), BenchError> {
        if let Some((name, server)) = &self.private {
            server.with_database(name)?.settle().await?;
        }
        Ok(())
    }

    /// Removes the private database; whatever used it must have stopped.
    pub(crate) async fn remove(self) -> Result<(), BenchError> {
        if let Some((name, server)) = self.private {
            server.drop_database(&name).await?;
        }
        Ok(())
    }
}
