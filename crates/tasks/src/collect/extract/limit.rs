//! Bounds on what a hostile page can make an extraction cost.

use std::time::{Duration, Instant};

use taskloom_worker::Context;

const TIME: Duration = Duration::from_secs(30);
const BYTES: usize = 64 << 20;
/// A row costs so much even if all its values are null.
const ROW_BYTES: usize = 64;

/// The limit that an extraction ran into.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Spent {
    #[error("the extraction took more than {} seconds", TIME.as_secs())]
    Time,
    #[error("the extraction gave more than {} MiB", BYTES >> 20)]
    Bytes,
    #[error("stopped")]
    Stopped,
}

/// What is left of the time and the bytes of one page's extraction.
#[derive(Debug)]
pub(crate) struct Limit {
    until: Instant,
    bytes: usize,
    ctx: Option<Context>,
}

impl Limit {
    /// Starts the clock; the extraction also ends soon after the task was told to stop.
    pub(crate) fn start(ctx: Option<Context>) -> Self {
        Self { until: Instant::now() + TIME, bytes: BYTES, ctx }
    }

    #[cfg(test)]
    pub(crate) fn of(time: Duration, bytes: usize) -> Self {
        Self { until: Instant::now() + time, bytes, ctx: None }
    }

    pub(crate) fn check(&self) -> Result<(), Spent> {
        if self.ctx.as_ref().is_some_and(Context::is_cancelled) {
            return Err(Spent::Stopped);
        }
        if Instant::now() >= self.until { Err(Spent::Time) } else { Ok(()) }
    }

    pub(crate) fn spend(&mut self, bytes: usize) -> Result<(), Spent> {
        self.bytes = self.bytes.checked_sub(bytes).ok_or(Spent::Bytes)?;
        self.check()
    }

    pub(crate) fn spend_row(&mut self) -> Result<(), Spent> {
        self.spend(ROW_BYTES)
    }
}
