//! Why a benchmark did not come to its end.

use std::io;

use taskloom_engine::EngineError;
use taskloom_protocol::WorkerError;
use taskloom_store::StoreError;

/// Why a benchmark did not come to its end; it gives no figures then.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// The file system or the network failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The store failed.
    #[error("the store: {0}")]
    Store(#[from] StoreError),
    /// The engine refused.
    #[error("the engine: {0}")]
    Engine(#[from] EngineError),
    /// The worker ended early.
    #[error("the worker: {0}")]
    Worker(#[from] WorkerError),
    /// The server did not start or ended early.
    #[error("the server: {0}")]
    Server(String),
    /// An answer is not what it should be.
    #[error("unexpected answer: {0}")]
    Answer(String),
    /// What was measured did not happen as it should.
    #[error("{what}: expected {expected}, found {found}")]
    Count {
        /// What was counted.
        what: &'static str,
        /// As it should be.
        expected: u64,
        /// As it is.
        found: u64,
    },
    /// Something took far too long.
    #[error("{0} did not end in time")]
    Stuck(&'static str),
    /// Ctrl-C or SIGTERM.
    #[error("interrupted")]
    Interrupted,
}

/// Checks a count.
pub(crate) fn expect(what: &'static str, expected: u64, found: u64) -> Result<(), BenchError> {
    if expected == found { Ok(()) } else { Err(BenchError::Count { what, expected, found }) }
}
