//! A pool of reading connections: WAL lets them read while the writer writes.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use rusqlite::Connection;
use tokio::sync::Semaphore;

use super::open_reader;
use super::writer::statement;
use crate::error::{Result, StoreError};
use crate::tx::{Body, Tx, run_now};

/// Long reads at once; more wait, so that point reads always find processor time.
const SCANS: usize = 2;
/// Idle connections kept.
const IDLE: usize = 8;

/// The readers.
pub(crate) struct Readers {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
    scans: Arc<Semaphore>,
}

impl Readers {
    pub(crate) fn new(path: &Path) -> Arc<Self> {
        Arc::new(Self {
            path: path.to_owned(),
            idle: Mutex::default(),
            scans: Arc::new(Semaphore::new(SCANS)),
        })
    }

    /// Runs a read of a few rows by key, on the caller's thread: it takes microseconds, less than a hop.
    pub(crate) fn point<T>(&self, body: impl Body<T>) -> Result<T> {
        let connection = match self.idle() {
            Some(connection) => connection,
            None => open_reader(&self.path)?,
        };
        let mut tx = Tx::Sqlite(connection);
        let result = in_one_snapshot(&mut tx, body);
        if let Tx::Sqlite(connection) = tx
            && let Ok(mut idle) = self.idle.lock()
            && idle.len() < IDLE
        {
            idle.push(connection);
        }
        result
    }

    /// Runs a read that may look at many rows, on a thread that may block.
    pub(crate) async fn scan<T: Send + 'static>(self: &Arc<Self>, body: impl Body<T>) -> Result<T> {
        let permit = Arc::clone(&self.scans).acquire_owned().await;
        let permit = permit.map_err(|e| StoreError::Unavailable(e.to_string()))?;
        let readers = Arc::clone(self);
        let scan = move || {
            // Held by the work, not by the caller, who may go away.
            let _permit = permit;
            readers.point(body)
        };
        tokio::task::spawn_blocking(scan).await.map_err(|e| StoreError::Unavailable(e.to_string()))?
    }

    fn idle(&self) -> Option<Connection> {
        self.idle.lock().ok()?.pop()
    }
}

/// What one body reads with several statements fits together.
fn in_one_snapshot<T>(tx: &mut Tx, body: impl Body<T>) -> Result<T> {
    statement(tx, "BEGIN")?;
    let result = run_now(body(tx));
    statement(tx, "COMMIT").or_else(|_| statement(tx, "ROLLBACK"))?;
    result
}
