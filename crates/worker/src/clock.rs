//! The worker's clocks: the wall clock for log lines, the monotonic clock for leases.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use taskloom_model::Timestamp;

/// The wall clock.
pub(crate) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}

/// Counts microseconds from a fixed point, so that an instant fits an atomic. It goes on while the process is stopped.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stopwatch(Instant);

impl Stopwatch {
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    pub(crate) fn micros(self) -> u64 {
        u64::try_from(self.0.elapsed().as_micros()).unwrap_or(u64::MAX)
    }
}

/// What the server said about time at registration, in milliseconds.
#[derive(Debug, Default)]
pub(crate) struct Timing {
    lease: AtomicU64,
    beat: AtomicU64,
    cancel_grace: AtomicU64,
}

impl Timing {
    /// Notes the server's values; a heartbeat comes at least twice in a lease whatever it says.
    pub(crate) fn set(&self, said: &taskloom_protocol::Registered) {
        let lease = said.lease_ms.clamp(100, 86_400_000);
        self.lease.store(lease, Ordering::Relaxed);
        self.beat.store(said.beat_ms.clamp(10, lease / 2), Ordering::Relaxed);
        self.cancel_grace.store(said.cancel_grace_ms.min(86_400_000), Ordering::Relaxed);
    }

    pub(crate) fn lease(&self) -> Duration {
        Duration::from_millis(self.lease.load(Ordering::Relaxed))
    }

    pub(crate) fn beat(&self) -> Duration {
        Duration::from_millis(self.beat.load(Ordering::Relaxed))
    }

    pub(crate) fn cancel_grace(&self) -> Duration {
        Duration::from_millis(self.cancel_grace.load(Ordering::Relaxed))
    }
}
