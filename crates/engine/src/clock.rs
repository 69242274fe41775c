//! The one clock. Tests inject their own; nothing sleeps to pass.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use taskloom_model::Timestamp;
use taskloom_store::{Store, StoreError};

/// Tells the time.
pub trait Clock: Send + Sync + 'static {
    /// This instant.
    fn now(&self) -> Timestamp;
}

/// The system's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
    }
}

/// The database's clock: this machine's, moved by the difference that is measured now and then. Processes on machines whose
/// clocks differ then agree about leases and times.
#[derive(Debug)]
pub struct StoreClock {
    /// What the database's clock is ahead, in microseconds.
    ahead: AtomicI64,
}

/// Differences below this are the measurement's own.
const NOISE: Duration = Duration::from_millis(5);
/// How often the difference is measured.
const MEASURE: Duration = Duration::from_secs(30);

impl StoreClock {
    /// The clock of this store, measured now and again as long as somebody holds it; the system's own for SQLite.
    ///
    /// # Errors
    /// The first measurement failed.
    pub async fn start(store: &Store) -> Result<Arc<dyn Clock>, StoreError> {
        let Some(ahead) = measure(store).await? else { return Ok(Arc::new(SystemClock)) };
        let clock = Arc::new(Self { ahead: AtomicI64::new(ahead) });
        tokio::spawn(keep(Arc::downgrade(&clock), store.clone()));
        Ok(clock)
    }
}

impl Clock for StoreClock {
    fn now(&self) -> Timestamp {
        let here = SystemClock.now().as_micros();
        Timestamp::from_micros(here.saturating_add(self.ahead.load(Ordering::Relaxed)))
    }
}

async fn keep(clock: Weak<StoreClock>, store: Store) {
    loop {
        tokio::time::sleep(MEASURE).await;
        let Some(clock) = clock.upgrade() else { return };
        match measure(&store).await {
            Ok(Some(ahead)) => {
                let moved = clock.ahead.swap(ahead, Ordering::Relaxed).abs_diff(ahead);
                if u128::from(moved) > 1_000_000 {
                    tracing::warn!(micros = moved, "this machine's clock and the database's moved apart");
                }
            }
            Ok(None) => return,
            Err(error) => tracing::debug!(%error, "the database's clock could not be read"),
        }
    }
}

/// What the database's clock is ahead, by the best of a few questions: the quicker the answer, the surer it is.
async fn measure(store: &Store) -> Result<Option<i64>, StoreError> {
    let mut best: Option<(Duration, i64)> = None;
    for _ in 0..3 {
        let (asked, began) = (SystemClock.now(), Instant::now());
        let Some(there) = store.time().await? else { return Ok(None) };
        let took = began.elapsed();
        let ahead = there.as_micros() - asked.plus(took / 2).as_micros();
        if best.is_none_or(|(quickest, _)| took < quickest) {
            best = Some((took, ahead));
        }
    }
    Ok(best.map(|(_, ahead)| if u128::from(ahead.unsigned_abs()) < NOISE.as_micros() { 0 } else { ahead }))
}

/// A clock that moves only when told to.
#[derive(Debug)]
pub struct ManualClock(AtomicI64);

impl ManualClock {
    /// A clock that stands at this instant.
    pub fn new(at: Timestamp) -> Self {
        Self(AtomicI64::new(at.as_micros()))
    }

    /// Jumps to an instant, also back.
    pub fn set(&self, at: Timestamp) {
        self.0.store(at.as_micros(), Ordering::SeqCst);
    }

    /// Moves on.
    pub fn advance(&self, span: Duration) {
        self.0.fetch_add(i64::try_from(span.as_micros()).unwrap_or(i64::MAX), Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.load(Ordering::SeqCst))
    }
}
