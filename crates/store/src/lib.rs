//! Taskloom's durable truth, and the only SQL.
//!
//! A live task's state is the table its row stands in; every step is decided by [`taskloom_model::next`] and carried
//! out here in one transaction. Methods are named resource first.

mod account;
mod check;
mod error;
mod migrate;
mod sql;
mod sqlite;
mod task;
mod tx;
mod worker;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::Semaphore;

pub use account::{ApiKeyRow, LoginRow, NewUser, UserChange, UserRow};
pub use check::Violation;
pub use error::{Result, StoreError};
pub use migrate::MigrationStatus;
pub use task::{
    BeatItem, BeatResult, ChangeWaiting, ClaimSpec, Claims, Filter, FinishItem, Idempotency, Made, NewTask,
    Note, OrderBy, PageQuery, Position, QueueDepth, Rejected, Request, Scope, StepError, Stepped, Submission,
    SubmitOutcome, TOTAL_CAP,
};
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
pub struct StoreOptions {
    /// The SQLite file.
    pub path: PathBuf,
    /// How durable a commit is.
    pub synchronous: Synchronous,
}

impl StoreOptions {
    /// A durable store in this file.
    pub fn sqlite(path: impl AsRef<Path>) -> Self {
        Self { path: path.as_ref().to_owned(), synchronous: Synchronous::default() }
    }
}

/// The store. Cloning is cheap; the last clone closes it.
#[derive(Clone)]
pub struct Store {
    writer: Arc<sqlite::Writer>,
    readers: Arc<sqlite::Readers>,
    /// KiB of submissions that may wait for the writer.
    waiting_bytes: Arc<Semaphore>,
}

/// So many KiB of submissions may wait for the writer; callers beyond that wait to enter.
const WAITING_KIB: usize = 64 << 10;

impl Store {
    /// Opens the store and brings its schema up to date.
    ///
    /// # Errors
    /// [`StoreError::NewerSchema`] if a newer program has written to it.
    pub fn open(options: &StoreOptions) -> Result<Self> {
        let mut connection = sqlite::open_writer(&options.path, options.synchronous)?;
        migrate::up(&mut connection)?;
        Self::start(connection, options)
    }

    /// Opens the store as it is.
    ///
    /// # Errors
    /// [`StoreError::NewerSchema`] or [`StoreError::OlderSchema`] if its schema is another than this program's.
    pub fn open_as_is(options: &StoreOptions) -> Result<Self> {
        let connection = sqlite::open_writer(&options.path, options.synchronous)?;
        migrate::status(&connection)?.check()?;
        Self::start(connection, options)
    }

    /// What is applied and what is pending; creates nothing.
    pub fn migration_status(options: &StoreOptions) -> Result<MigrationStatus> {
        if !options.path.exists() {
            return Ok(MigrationStatus::empty());
        }
        migrate::status(&sqlite::open_writer(&options.path, options.synchronous)?)
    }

    fn start(connection: rusqlite::Connection, options: &StoreOptions) -> Result<Self> {
        let writer = Arc::new(sqlite::Writer::start(connection, options.path.clone())?);
        let waiting_bytes = Arc::new(Semaphore::new(WAITING_KIB));
        Ok(Self { writer, readers: sqlite::Readers::new(&options.path), waiting_bytes })
    }

    /// A transaction that writes; committed when this returns `Ok`.
    async fn write<T: Send + 'static>(&self, body: impl tx::Body<T>) -> Result<T> {
        self.writer.run(body).await
    }

    /// A read of a few rows by key.
    // Async for the databases across a network.
    #[allow(clippy::unused_async)]
    async fn point<T: Send + 'static>(&self, body: impl tx::Body<T>) -> Result<T> {
        self.readers.point(body)
    }

    /// A read that may look at many rows.
    async fn scan<T: Send + 'static>(&self, body: impl tx::Body<T>) -> Result<T> {
        self.readers.scan(body).await
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
