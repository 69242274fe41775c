//! The one writer: a thread that owns the writing connection and commits whatever waits in its queue together.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use crate::error::{Result, StoreError};
use crate::tx::{Body, Tx, run_now};

/// Transactions that may wait; callers beyond that wait to enter.
const QUEUE: usize = 8_192;
/// Transactions committed together at most.
const GROUP: usize = 1_024;
/// How long a group may grow, so that the first need not wait long for the last.
const GROUP_TIME: Duration = Duration::from_millis(20);
/// A log longer than this is started anew, even if readers have to be waited for.
const LOG_BYTES: u64 = 64 << 20;
/// How long the writer waits for readers to leave the old log.
const LOG_PATIENCE: Duration = Duration::from_millis(200);
/// How long the writer looks for the next transaction before it sleeps.
const LINGER: Duration = Duration::from_micros(150);
/// Groups between two looks at the log's length.
const LOOK_EVERY: u32 = 64;

/// Whether the database's file is still the one that was opened; looked at now and then.
struct Presence {
    path: PathBuf,
    file: Option<u64>,
    looked: Instant,
    gone: bool,
}

impl Presence {
    fn of(path: &Path) -> Self {
        Self { path: path.to_owned(), file: file_id(path), looked: Instant::now(), gone: false }
    }

    fn is_gone(&mut self) -> bool {
        if self.looked.elapsed() > Duration::from_millis(500) {
            self.looked = Instant::now();
            let gone = file_id(&self.path) != self.file;
            if gone && !self.gone {
                tracing::error!(path = %self.path.display(), "the database's file was removed or replaced: nothing is written any more");
            }
            self.gone = gone;
        }
        self.gone
    }
}

#[cfg(unix)]
fn file_id(path: &Path) -> Option<u64> {
    std::os::unix::fs::MetadataExt::ino(&std::fs::metadata(path).ok()?).into()
}

#[cfg(not(unix))]
fn file_id(path: &Path) -> Option<u64> {
    path.exists().then_some(0)
}

/// A handle on the writer thread.
pub(crate) struct Writer {
    jobs: Option<mpsc::Sender<Box<dyn Job>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Writer {
    pub(crate) fn start(connection: Connection, database: PathBuf) -> Result<Self> {
        let (jobs, queue) = mpsc::channel(QUEUE);
        let thread = std::thread::Builder::new()
            .name("store-writer".into())
            .spawn(move || work(Tx::Sqlite(connection), queue, &database))
            .map_err(|e| StoreError::Unavailable(e.to_string()))?;
        Ok(Self { jobs: Some(jobs), thread: Mutex::new(Some(thread)) })
    }

    /// Runs the body in a transaction of its own; returns after the commit.
    ///
    /// A caller that goes away does not stop it.
    pub(crate) async fn run<T: Send + 'static>(&self, body: impl Body<T>) -> Result<T> {
        let (answer, result) = oneshot::channel();
        let job = Box::new(Call { body: Some(body), result: None, answer });
        let Some(jobs) = &self.jobs else { return Err(gone()) };
        jobs.send(job).await.map_err(|_| gone())?;
        result.await.map_err(|_| gone())?
    }
}

impl Drop for Writer {
    /// Waits until all that was handed over is committed.
    fn drop(&mut self) {
        self.jobs = None;
        let thread = self.thread.get_mut().ok().and_then(Option::take);
        if let Some(thread) = thread {
            let _ = thread.join();
        }
    }
}

fn gone() -> StoreError {
    StoreError::Unavailable("the store is closing".into())
}

/// A transaction in the queue.
trait Job: Send {
    /// Runs the body and keeps its result; false asks for its changes to be undone.
    fn run(&mut self, tx: &mut Tx) -> bool;
    /// Answers the caller: with the result if the commit went well.
    fn answer(self: Box<Self>, commit: Result<(), &String>);
}

struct Call<T, F> {
    body: Option<F>,
    result: Option<Result<T>>,
    answer: oneshot::Sender<Result<T>>,
}

impl<T: Send, F: Body<T>> Job for Call<T, F> {
    fn run(&mut self, tx: &mut Tx) -> bool {
        // A defect in one body must not take the writer and everybody's transactions with it.
        let mut ran = |body: F| catch_unwind(AssertUnwindSafe(|| run_now(body(tx))));
        let defect = |_| Err(StoreError::Sql("a transaction panicked".into()));
        self.result = self.body.take().map(|body| ran(body).unwrap_or_else(defect));
        matches!(self.result, Some(Ok(_)))
    }

    fn answer(self: Box<Self>, commit: Result<(), &String>) {
        let result = match (commit, self.result) {
            (Ok(()), Some(result)) | (_, Some(result @ Err(_))) => result,
            (Err(why), _) => Err(StoreError::Unavailable(why.clone())),
            (_, None) => Err(gone()),
        };
        // The caller may have gone; the work is done all the same.
        let _ = self.answer.send(result);
    }
}

fn work(mut tx: Tx, mut queue: mpsc::Receiver<Box<dyn Job>>, database: &Path) {
    let mut log = database.as_os_str().to_owned();
    log.push("-wal");
    let (mut groups, mut here) = (0u32, Presence::of(database));
    while let Some(first) = next_job(&mut queue) {
        if here.is_gone() {
            // What is written now lands in files that nobody will ever open again.
            first.answer(Err(&"its file was removed or replaced".to_owned()));
            continue;
        }
        groups = groups.wrapping_add(1);
        if groups.is_multiple_of(LOOK_EVERY) {
            shorten(&tx, Path::new(&log));
        }
        let mut done = Vec::new();
        let commit = group(&mut tx, first, &mut queue, &mut done).map_err(|error| {
            tracing::error!(%error, transactions = done.len(), "a commit failed, its callers are told");
            undo(&tx);
            error.to_string()
        });
        for job in done {
            job.answer(commit.as_ref().copied());
        }
    }
}

/// Runs all that waits in one transaction, each behind a savepoint, and commits once.
fn group(
    tx: &mut Tx,
    first: Box<dyn Job>,
    queue: &mut mpsc::Receiver<Box<dyn Job>>,
    done: &mut Vec<Box<dyn Job>>,
) -> Result<()> {
    let start = Instant::now();
    let mut state = statement(tx, "BEGIN IMMEDIATE");
    let mut next = Some(first);
    while let Some(mut job) = next.take() {
        if state.is_ok() {
            state = one(tx, job.as_mut());
        }
        done.push(job);
        if state.is_ok() && done.len() < GROUP && start.elapsed() < GROUP_TIME {
            next = queue.try_recv().ok();
        }
    }
    state?;
    statement(tx, "COMMIT")
}

fn one(tx: &mut Tx, job: &mut dyn Job) -> Result<()> {
    statement(tx, "SAVEPOINT one")?;
    if !job.run(tx) {
        statement(tx, "ROLLBACK TO one")?;
    }
    statement(tx, "RELEASE one")
}

/// The next transaction. One often follows another at once (a submission, then the claim it woke): to look a little
/// longer costs less than to sleep and be woken, and giving way each time takes nothing from who has work.
fn next_job(queue: &mut mpsc::Receiver<Box<dyn Job>>) -> Option<Box<dyn Job>> {
    let start = Instant::now();
    while start.elapsed() < LINGER {
        match queue.try_recv() {
            Ok(job) => return Some(job),
            Err(mpsc::error::TryRecvError::Disconnected) => return None,
            Err(mpsc::error::TryRecvError::Empty) => std::thread::yield_now(),
        }
    }
    queue.blocking_recv()
}

/// Starts the log anew if it has grown long: SQLite does so by itself only when no reader is in its way.
fn shorten(tx: &Tx, log: &Path) {
    if let Tx::Sqlite(connection) = tx
        && std::fs::metadata(log).is_ok_and(|file| file.len() > LOG_BYTES)
    {
        let restart = || -> rusqlite::Result<()> {
            connection.busy_timeout(LOG_PATIENCE)?;
            connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
        };
        if let Err(error) = restart() {
            tracing::debug!(%error, "the log could not be started anew");
        }
        let _ = connection.busy_timeout(super::BUSY);
    }
}

/// Runs a statement that has neither parameters nor rows.
pub(super) fn statement(tx: &Tx, sql: &'static str) -> Result<()> {
    if let Tx::Sqlite(connection) = tx {
        connection.prepare_cached(sql)?.execute([])?;
    }
    Ok(())
}

fn undo(tx: &Tx) {
    if let Tx::Sqlite(connection) = tx
        && !connection.is_autocommit()
        && let Err(error) = connection.execute_batch("ROLLBACK")
    {
        tracing::error!(%error, "a rollback failed");
    }
}
