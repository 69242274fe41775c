//! Databases across a network: pools, and how a transaction's body is carried through.

mod pools;
mod scratch;
#[cfg(test)]
mod tests;
mod tls;
mod url;

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::time::timeout;

pub use url::{DatabaseUrl, Server, TlsMode};

pub(crate) use pools::Pools;

use crate::error::{Result, StoreError};
use crate::tx::{Body, Tx};

/// How often a body runs again because another transaction was first, or the connection had died before it began.
const TRIES: u32 = 12;
/// The first wait between two tries; each further one doubles it.
const FIRST_WAIT: Duration = Duration::from_millis(2);
/// The longest wait between two tries.
const LONGEST_WAIT: Duration = Duration::from_millis(250);
/// A transaction that takes longer is given up. Each of its statements has a limit of its own in the server.
const LIMIT: Duration = Duration::from_secs(300);

/// What a body is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lane {
    /// Statements that read a few rows by key, each complete in itself.
    Read,
    /// Statements that may look at many rows: on connections of their own, so that nobody waits behind them.
    Scan,
    /// A transaction.
    Write,
    /// Statements that write, each a transaction by itself where the database makes one of it.
    Single,
    /// A word to other processes: one statement, beside the heartbeats.
    Word,
    /// A heartbeat's transaction: on connections of its own, so that no other work can delay it.
    Beat,
}

/// What another process said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// These queues have ready tasks.
    Queues(Vec<String>),
    /// Something may have been said that was not heard: look at every queue.
    Again,
}

/// A database across a network.
pub(crate) struct Network {
    pub(crate) pools: Pools,
    /// Where everything runs: callers may live on threads that handlers block.
    runtime: Handle,
    /// Tells this process's own words from those of others.
    tag: String,
}

impl Network {
    /// A database whose work is done on the runtime at hand.
    pub(crate) fn new(url: &DatabaseUrl, connections: usize) -> Result<Self> {
        let tag = format!("{:016x}", rand::random::<u64>());
        Ok(Self { pools: Pools::new(url, connections.max(1))?, runtime: Handle::current(), tag })
    }

    /// Runs a body to its end, in a task of its own, which a caller that goes away cannot cancel: a transaction is
    /// never left half done on a connection that others get.
    pub(crate) async fn run<T: Send + 'static>(
        self: &Arc<Self>,
        lane: Lane,
        body: impl Body<T>,
    ) -> Result<T> {
        if lane == Lane::Read && self.pools.postgres_manager().is_some() {
            // A read that is broken off leaves nothing behind on a connection of PostgreSQL: no task is needed.
            return self.tries(lane, body).await;
        }
        let network = Arc::clone(self);
        let carried = self.runtime.spawn(async move { network.tries(lane, body).await });
        carried.await.unwrap_or_else(|_| Err(StoreError::Sql("a transaction panicked".into())))
    }

    async fn tries<T: Send + 'static>(&self, lane: Lane, body: impl Body<T>) -> Result<T> {
        let mut wait = FIRST_WAIT;
        let mut tries = 1;
        loop {
            let failure = match self.once(lane, body.clone()).await {
                Ok(value) => return Ok(value),
                Err(failure) => failure,
            };
            if !failure.again || tries == TRIES {
                // To callers both are the same: it may pass.
                return Err(match failure.error {
                    StoreError::Conflict(why) | StoreError::Gone(why) => StoreError::Unavailable(why),
                    error => error,
                });
            }
            tracing::debug!(error = %failure.error, "a transaction runs again");
            tokio::time::sleep(jittered(wait)).await;
            wait = (wait * 2).min(LONGEST_WAIT);
            tries += 1;
        }
    }

    async fn once<T: Send + 'static>(&self, lane: Lane, body: impl Body<T>) -> Result<T, Failure> {
        let mut tx = self.pools.take(lane).await.map_err(Failure::before)?;
        let Ok(result) = timeout(LIMIT, body(&mut tx)).await else {
            return Err(Failure { error: silent(), again: false });
        };
        match result {
            Ok(value) => {
                // Once the commit has left, nobody knows whether it arrived: the body must not run again.
                let committed = timeout(LIMIT, commit(tx)).await.unwrap_or_else(|_| Err(silent()));
                committed.map(|()| value).map_err(Failure::at_commit)
            }
            Err(error) => {
                let lost = matches!(error, StoreError::Gone(_));
                if !lost && let Err(error) = timeout(LIMIT, rollback(tx)).await.unwrap_or(Ok(())) {
                    tracing::debug!(%error, "a rollback failed; its connection is closed");
                }
                let failure = Failure::before(error);
                // A statement that is a transaction by itself may have been carried out.
                Err(Failure { again: failure.again && !(lost && lane == Lane::Single), ..failure })
            }
        }
    }
}

/// Why a try failed, and whether nothing can have happened, so that another is safe and may help.
struct Failure {
    error: StoreError,
    again: bool,
}

impl Failure {
    fn before(error: StoreError) -> Self {
        let again = matches!(error, StoreError::Conflict(_) | StoreError::Gone(_));
        Self { error, again }
    }

    fn at_commit(error: StoreError) -> Self {
        // A refused commit did not happen; a lost one may have.
        let again = matches!(error, StoreError::Conflict(_));
        Self { error, again }
    }
}

async fn commit(tx: Tx) -> Result<()> {
    match tx {
        Tx::Postgres(session) => session.commit().await,
        Tx::Mysql(session) => session.commit().await,
        Tx::Sqlite(_) => Ok(()),
    }
}

async fn rollback(tx: Tx) -> Result<()> {
    match tx {
        Tx::Postgres(session) => session.rollback().await,
        Tx::Mysql(session) => session.rollback().await,
        Tx::Sqlite(_) => Ok(()),
    }
}

/// The error for a server that does not answer in time.
pub(crate) fn silent() -> StoreError {
    StoreError::Unavailable("the database did not answer in time".into())
}

/// Half to all of a wait, so that those who wait together do not come back together.
pub(crate) fn jittered(wait: Duration) -> Duration {
    wait.mul_f64(0.5 + f64::from(rand::random::<u16>()) / 131_072.0)
}

impl Network {
    /// Starts to hear what other processes say; nothing where the database cannot carry it.
    pub(crate) fn listen(&self) -> Option<mpsc::Receiver<Heard>> {
        let manager = self.pools.postgres_manager()?;
        let (heard, hears) = mpsc::channel(1_024);
        self.runtime.spawn(crate::postgres::listen(manager, self.tag.clone(), heard));
        Some(hears)
    }

    /// Words for other processes: who says it, then the queues.
    pub(crate) fn word(&self, queues: &[String]) -> String {
        // PostgreSQL carries 8,000 bytes at most; the sweep finds the rest.
        let mut word = self.tag.clone();
        for queue in queues {
            if word.len() + queue.len() > 7_900 {
                break;
            }
            word.push(' ');
            word.push_str(queue);
        }
        word
    }
}
