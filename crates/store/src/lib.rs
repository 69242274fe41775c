//! Taskloom's durable truth, and the only SQL.
//!
//! A live task's state is the table its row stands in; every step is decided by [`taskloom_model::next`] and carried
//! out here in one transaction. Methods are named resource first.

mod account;
mod cache;
mod check;
mod error;
mod handler;
mod idempotency;
mod migrate;
mod mysql;
mod network;
mod postgres;
mod queue;
mod row;
mod schedule;
mod shift;
mod sql;
mod sqlite;
mod task;
mod transfer;
mod tx;
mod worker;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use taskloom_model::Timestamp;
use tokio::sync::{Semaphore, mpsc};

use migrate::Busy;
use network::{Lane, Network};
use tx::Tx;

pub use account::{ApiKeyRow, LoginRow, NewUser, UserChange, UserRow};
pub use cache::CacheFilter;
pub use check::Violation;
pub use error::{Result, StoreError};
pub use idempotency::{Idempotency, Known};
pub use migrate::MigrationStatus;
pub use network::{DatabaseUrl, Heard, Server, TlsMode};
pub use queue::{Full, QueueInfo, QueueLimits, QueueTerms};
pub use schedule::{Decided, Decision, Firing, ScheduleFilter, ScheduleRow, TickRow};
pub use task::{
    BeatItem, BeatResult, CacheKey, ChangeWaiting, ClaimSpec, Claims, Concurrency, EndPlace, Expanded,
    Expansion, Filter, FinishItem, Further, GateInfo, Hint, Holder, Made, NewTask, NewWorkflow, Note,
    OrderBy, PageQuery, Position, QueueDepth, Rate, ReadyPlace, Rejected, Request, ResultSize, RetryRefused,
    Revived, Scope, Spawning, StepError, Stepped, Submission, SubmitOutcome, TOTAL_CAP, Waiting,
    WorkflowOutcome, WorkflowSubmission,
};
pub use transfer::{Progress, TableRows, TransferPlan};
pub use worker::NewWorker;

/// How durable a commit is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Synchronous {
    /// A commit survives power loss: the log is flushed at every commit.
    #[default]
    Full,
    /// A commit survives a killed process; the last ones may be lost when the power fails.
    Normal,
}

impl Synchronous {
    /// The name in the configuration and in SQLite.
    pub fn name(self) -> &'static str {
        match self {
            Self::Full => "FULL",
            Self::Normal => "NORMAL",
        }
    }
}

/// Where the store is and how it writes.
#[derive(Debug, Clone)]
pub enum StoreOptions {
    /// A SQLite file.
    Sqlite {
        /// The file.
        path: PathBuf,
        /// How durable a commit is.
        synchronous: Synchronous,
    },
    /// A database across a network.
    Network {
        /// Which.
        url: DatabaseUrl,
        /// Connections for transactions, at least 1. Reads and heartbeats have a few of their own.
        connections: usize,
    },
}

/// Connections for transactions where nobody says how many.
pub const DEFAULT_CONNECTIONS: usize = 8;

impl StoreOptions {
    /// A durable store in this file.
    pub fn sqlite(path: impl AsRef<Path>) -> Self {
        Self::Sqlite { path: path.as_ref().to_owned(), synchronous: Synchronous::default() }
    }

    /// A database across a network.
    pub fn network(url: DatabaseUrl) -> Self {
        Self::Network { url, connections: DEFAULT_CONNECTIONS }
    }
}

/// The file, or the server and its database; never a password.
impl fmt::Display for StoreOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite { path, .. } => path.display().fmt(f),
            Self::Network { url, .. } => url.fmt(f),
        }
    }
}

/// The store. Cloning is cheap; the last clone closes it.
#[derive(Clone)]
pub struct Store {
    backend: Backend,
    /// Where claims begin.
    floors: Arc<task::Floors>,
    /// How far queues were walked past tasks of handlers that workers do not know.
    walks: Arc<task::Walks>,
    /// Which queues the common claim leaves out.
    queues: Arc<queue::Book>,
    /// KiB of submissions that may wait for the writer.
    waiting_bytes: Arc<Semaphore>,
    /// Log lines kept of one attempt.
    log_lines: Arc<AtomicU64>,
}

#[derive(Clone)]
enum Backend {
    Sqlite { writer: Arc<sqlite::Writer>, readers: Arc<sqlite::Readers> },
    Network { network: Arc<Network>, gatherer: Arc<task::Gatherer> },
}

/// So many KiB of submissions may wait for the writer; callers beyond that wait to enter.
const WAITING_KIB: usize = 64 << 10;

impl Store {
    /// Opens the store and brings its schema up to date; waits for another program that does the same.
    ///
    /// # Errors
    /// [`StoreError::NewerSchema`] if a newer program has written to it.
    pub async fn open(options: &StoreOptions) -> Result<Self> {
        Self::open_with(options, Busy::Wait).await
    }

    /// The same, but gives up if another program migrates right now.
    ///
    /// # Errors
    /// [`StoreError::Migrating`], and those of [`Self::open`].
    pub async fn migrate(options: &StoreOptions) -> Result<()> {
        Self::open_with(options, Busy::Refuse).await.map(drop)
    }

    /// Opens a SQLite file as [`Self::open`] does; needs no runtime.
    pub fn open_file(path: &Path, synchronous: Synchronous) -> Result<Self> {
        let mut connection = sqlite::open_writer(path, synchronous)?;
        migrate::up(&mut connection)?;
        Self::on_sqlite(connection, path)
    }

    async fn open_with(options: &StoreOptions, busy: Busy) -> Result<Self> {
        match options {
            StoreOptions::Sqlite { path, synchronous } => Self::open_file(path, *synchronous),
            StoreOptions::Network { url, connections } => {
                let network = Network::new(url, *connections)?;
                Box::pin(migrate::up_across(&network, busy)).await?;
                Ok(Self::across(network))
            }
        }
    }

    /// Opens the target of a transfer: brings its schema up to date unless a transfer into it has begun.
    pub async fn open_target(options: &StoreOptions) -> Result<Self> {
        match Self::open(options).await {
            Err(StoreError::Moving) => match options {
                StoreOptions::Sqlite { path, synchronous } => {
                    Self::on_sqlite(sqlite::open_writer(path, *synchronous)?, path)
                }
                StoreOptions::Network { url, connections } => {
                    Ok(Self::across(Network::new(url, *connections)?))
                }
            },
            other => other,
        }
    }

    /// Opens the store as it is.
    ///
    /// # Errors
    /// [`StoreError::NewerSchema`] or [`StoreError::OlderSchema`] if its schema is another than this program's.
    pub async fn open_as_is(options: &StoreOptions) -> Result<Self> {
        match options {
            StoreOptions::Sqlite { path, synchronous } => {
                let connection = sqlite::open_writer(path, *synchronous)?;
                migrate::status(&connection)?.check()?;
                Self::on_sqlite(connection, path)
            }
            StoreOptions::Network { url, connections } => {
                let network = Network::new(url, *connections)?;
                Box::pin(migrate::status_across(&network)).await?.check()?;
                Ok(Self::across(network))
            }
        }
    }

    /// What is applied and what is pending; creates nothing.
    pub async fn migration_status(options: &StoreOptions) -> Result<MigrationStatus> {
        match options {
            StoreOptions::Sqlite { path, .. } if !path.exists() => Ok(MigrationStatus::empty()),
            StoreOptions::Sqlite { path, synchronous } => {
                migrate::status(&sqlite::open_writer(path, *synchronous)?)
            }
            StoreOptions::Network { url, .. } => {
                Box::pin(migrate::status_across(&Network::new(url, 1)?)).await
            }
        }
    }

    fn on_sqlite(connection: rusqlite::Connection, path: &Path) -> Result<Self> {
        let writer = Arc::new(sqlite::Writer::start(connection, path.to_owned())?);
        Ok(Self::of(Backend::Sqlite { writer, readers: sqlite::Readers::new(path) }))
    }

    fn across(network: Network) -> Self {
        let network = Arc::new(network);
        let gatherer = Arc::new(task::Gatherer::start(&network));
        Self::of(Backend::Network { network, gatherer })
    }

    fn of(backend: Backend) -> Self {
        Self {
            backend,
            floors: Arc::default(),
            walks: Arc::default(),
            queues: Arc::default(),
            waiting_bytes: Arc::new(Semaphore::new(WAITING_KIB)),
            log_lines: Arc::new(task::LOG_LINES.into()),
        }
    }

    /// From now on keeps so many log lines of one attempt; one more says how many were left out.
    pub fn keep_log_lines(&self, most: u64) {
        self.log_lines.store(most, Ordering::Relaxed);
    }

    fn most_log_lines(&self) -> u64 {
        self.log_lines.load(Ordering::Relaxed)
    }

    // Boxed: what talks to a server is large, and most callers wait on a SQLite file.
    /// A transaction that writes; committed when this returns `Ok`.
    async fn write<T: Send + 'static>(&self, body: impl tx::Body<T>) -> Result<T> {
        match &self.backend {
            Backend::Sqlite { writer, .. } => writer.run(body).await,
            Backend::Network { network, .. } => Box::pin(network.run(Lane::Write, body)).await,
        }
    }

    /// A body whose every statement stands for itself: on PostgreSQL each is committed with its own round trip.
    async fn single<T: Send + 'static>(&self, body: impl tx::Body<T>) -> Result<T> {
        match &self.backend {
            Backend::Sqlite { writer, .. } => writer.run(body).await,
            Backend::Network { network, .. } => Box::pin(network.run(Lane::Single, body)).await,
        }
    }

    /// A heartbeat's transaction, which nothing else delays.
    async fn pulse<T: Send + 'static>(&self, body: impl tx::Body<T>) -> Result<T> {
        match &self.backend {
            Backend::Sqlite { writer, .. } => writer.run(body).await,
            Backend::Network { network, .. } => Box::pin(network.run(Lane::Beat, body)).await,
        }
    }

    /// A read of a few rows by key.
    async fn point<T: Send + 'static>(&self, body: impl tx::Body<T>) -> Result<T> {
        match &self.backend {
            Backend::Sqlite { readers, .. } => readers.point(body),
            Backend::Network { network, .. } => Box::pin(network.run(Lane::Read, body)).await,
        }
    }

    /// A read that may look at many rows.
    async fn scan<T: Send + 'static>(&self, body: impl tx::Body<T>) -> Result<T> {
        match &self.backend {
            Backend::Sqlite { readers, .. } => readers.scan(body).await,
            Backend::Network { network, .. } => Box::pin(network.run(Lane::Scan, body)).await,
        }
    }

    /// Group commit, where the writer does not do it.
    fn gatherer(&self) -> Option<&task::Gatherer> {
        match &self.backend {
            Backend::Sqlite { .. } => None,
            Backend::Network { gatherer, .. } => Some(gatherer),
        }
    }

    /// Whether this process has the database to itself, as with SQLite.
    pub fn is_exclusive(&self) -> bool {
        matches!(self.backend, Backend::Sqlite { .. })
    }

    /// The kind of database, as people call it.
    pub fn kind(&self) -> &'static str {
        match &self.backend {
            Backend::Sqlite { .. } => "SQLite",
            Backend::Network { network, .. } => network.pools.kind(),
        }
    }

    /// Whether it can name queues to other processes: [`Self::say_ready`] and [`Self::listen`].
    pub fn carries_words(&self) -> bool {
        matches!(&self.backend, Backend::Network { network, .. } if network.pools.postgres_manager().is_some())
    }

    /// Starts to hear which queues other processes say are ready; nothing where the database cannot carry it.
    pub fn listen(&self) -> Option<mpsc::Receiver<Heard>> {
        match &self.backend {
            Backend::Sqlite { .. } => None,
            Backend::Network { network, .. } => network.listen(),
        }
    }

    /// Says to all processes that listen which queues are ready. Does nothing where the database cannot carry it.
    pub async fn say_ready(&self, queues: &[String]) -> Result<()> {
        let Backend::Network { network, .. } = &self.backend else { return Ok(()) };
        let payload = network.word(queues);
        let said = network.run(Lane::Word, move |tx| {
            Box::pin(async move {
                match tx {
                    Tx::Postgres(session) => postgres::notify(session, &payload).await,
                    Tx::Sqlite(_) | Tx::Mysql(_) => Ok(()),
                }
            })
        });
        said.await
    }

    /// The database's clock; nothing where it is this machine's own.
    pub async fn time(&self) -> Result<Option<Timestamp>> {
        if self.is_exclusive() {
            return Ok(None);
        }
        self.point(|tx| {
            Box::pin(async move {
                let sql = match tx {
                    Tx::Mysql(_) => "SELECT CAST(unix_timestamp(sysdate(6)) * 1000000 AS SIGNED)",
                    _ => "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint",
                };
                tx.row(sql, &[], row::first).await
            })
        })
        .await
    }

    /// Whether a trivial write and read succeed; for health checks.
    pub async fn ping(&self) -> Result<()> {
        self.write(|tx| {
            Box::pin(async move { tx.exec("UPDATE pulse SET beats = beats + 1 WHERE id = 1", &[]).await })
        })
        .await?;
        self.point(|tx| Box::pin(async move { tx.number("SELECT 1", &[]).await })).await?;
        Ok(())
    }
}
