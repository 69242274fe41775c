//! Bounded pools, apart by purpose: heartbeats never wait for a pool that other work has filled.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use deadpool::Runtime;
use deadpool::managed::{self, Pool, PoolError, Timeouts};
use tokio::runtime::Handle;
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::url::{DatabaseUrl, Server};
use super::{Lane, silent, tls};
use crate::error::{Result, StoreError};
use crate::tx::Tx;
use crate::{mysql, postgres};

/// Connections for heartbeats.
const BEATS: usize = 2;
/// Connections for reads. On PostgreSQL many reads travel on one at the same time.
const READS: usize = 4;
/// Connections for reads that may look at many rows.
const SCANS: usize = 2;
/// How long a caller waits for a connection.
const PATIENCE: Duration = Duration::from_secs(10);

/// The pools of one database.
pub(crate) enum Pools {
    Postgres {
        writes: Pool<postgres::Manager>,
        beats: Pool<postgres::Manager>,
        scans: Pool<postgres::Manager>,
        reads: Box<SharedReads>,
    },
    Mysql {
        writes: Pool<mysql::Manager>,
        beats: Pool<mysql::Manager>,
        scans: Pool<mysql::Manager>,
        reads: Pool<mysql::Manager>,
    },
}

impl Pools {
    /// Pools that connect when they are used; `size` connections for transactions.
    pub(crate) fn new(url: &DatabaseUrl, size: usize) -> Result<Self> {
        match &url.server {
            Server::Postgres(config) => {
                let manager = |by_key| -> Result<postgres::Manager> {
                    Ok(postgres::Manager {
                        config: (**config).clone(),
                        tls: tls::connector(&url.tls)?,
                        by_key,
                        runtime: Handle::current(),
                    })
                };
                Ok(Self::Postgres {
                    writes: pool(manager(true)?, size)?,
                    beats: pool(manager(true)?, BEATS)?,
                    scans: pool(manager(false)?, SCANS)?,
                    reads: Box::new(SharedReads::new(manager(false)?)),
                })
            }
            Server::Mysql(options) => {
                tls::check_roots(&url.tls)?;
                let options = (**options).clone();
                let writing = mysql::Manager::new(options.clone(), true);
                Ok(Self::Mysql {
                    writes: pool(writing.clone(), size)?,
                    beats: pool(writing, BEATS)?,
                    scans: pool(mysql::Manager::new(options.clone(), false), SCANS)?,
                    reads: pool(mysql::Manager::new(options, false), size.max(READS))?,
                })
            }
        }
    }

    /// A connection for this purpose.
    pub(crate) async fn take(&self, lane: Lane) -> Result<Tx> {
        match self {
            Self::Postgres { writes, beats, scans, reads } => {
                let pool = match lane {
                    Lane::Read => {
                        let shared = timeout(PATIENCE, reads.next()).await.map_err(|_| silent())??;
                        return Ok(Tx::Postgres(postgres::Session::shared(shared)));
                    }
                    Lane::Scan => scans,
                    Lane::Write | Lane::Single => writes,
                    Lane::Beat | Lane::Word => beats,
                };
                let connection = pool.get().await.map_err(full)?;
                let is_transaction = matches!(lane, Lane::Write | Lane::Beat);
                Ok(Tx::Postgres(postgres::Session::new(connection, is_transaction)))
            }
            Self::Mysql { writes, beats, scans, reads } => {
                let pool = match lane {
                    Lane::Read => reads,
                    Lane::Scan => scans,
                    Lane::Write | Lane::Single => writes,
                    Lane::Beat | Lane::Word => beats,
                };
                let connection = pool.get().await.map_err(full)?;
                Ok(Tx::Mysql(mysql::Session::new(connection, !matches!(lane, Lane::Read | Lane::Scan))))
            }
        }
    }

    /// The kind of database, as people call it.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Postgres { .. } => "PostgreSQL",
            Self::Mysql { .. } => "MySQL",
        }
    }

    /// What connects to PostgreSQL, if that is what this is.
    pub(crate) fn postgres_manager(&self) -> Option<postgres::Manager> {
        match self {
            Self::Postgres { writes, .. } => Some(writes.manager().clone()),
            Self::Mysql { .. } => None,
        }
    }
}

fn pool<M: managed::Manager>(manager: M, size: usize) -> Result<Pool<M>> {
    let timeouts = Timeouts { wait: Some(PATIENCE), create: Some(PATIENCE), recycle: Some(PATIENCE) };
    let pool = Pool::builder(manager).max_size(size).timeouts(timeouts).runtime(Runtime::Tokio1).build();
    pool.map_err(|e| StoreError::Unavailable(e.to_string()))
}

fn full(error: PoolError<StoreError>) -> StoreError {
    match error {
        PoolError::Backend(error) => error,
        PoolError::Timeout(managed::TimeoutType::Wait) => {
            StoreError::Unavailable("all connections to the database are busy".into())
        }
        PoolError::Timeout(_) => silent(),
        other => StoreError::Unavailable(other.to_string()),
    }
}

/// A few connections on which many reads travel at the same time.
pub(crate) struct SharedReads {
    manager: postgres::Manager,
    turn: AtomicUsize,
    connections: Vec<Mutex<Option<Arc<postgres::Connection>>>>,
}

impl SharedReads {
    fn new(manager: postgres::Manager) -> Self {
        let connections = (0..READS).map(|_| Mutex::new(None)).collect();
        Self { manager, turn: AtomicUsize::new(0), connections }
    }

    async fn next(&self) -> Result<Arc<postgres::Connection>> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed) % self.connections.len();
        let slot = self.connections.get(turn).ok_or_else(silent)?;
        let mut slot = slot.lock().await;
        if let Some(connection) = slot.as_ref().filter(|connection| !connection.client.is_closed()) {
            return Ok(Arc::clone(connection));
        }
        let connection = Arc::new(self.manager.connect().await?);
        *slot = Some(Arc::clone(&connection));
        Ok(connection)
    }
}
