//! The one clock. Tests inject their own; nothing sleeps to pass.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

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

/// The database's clock, or the system's own beside SQLite, looked at every second. Between two looks time passes as the
/// machine's steady clock says: when somebody sets the clock on the wall, no process takes that for time that has passed.
/// Processes on machines whose clocks differ agree about leases and times.
pub struct StoreClock {
    store: Store,
    /// Whose time it is beside SQLite.
    wall: Arc<dyn Clock>,
    /// What the database's clock is ahead of [`steady`], by the last look, in microseconds.
    ahead: AtomicI64,
}

/// What the clock is set by.
struct Look {
    /// What the database's clock is ahead of [`steady`], in microseconds.
    ahead: i64,
    /// How far that may be wrong.
    error: Duration,
}

/// Differences below this are the looks' own.
const NOISE: Duration = Duration::from_millis(5);
/// How often it is looked at.
const PAUSE: Duration = Duration::from_secs(1);
/// A difference that somebody made.
const STEP: Duration = Duration::from_secs(1);

impl StoreClock {
    /// The clock of this store, looked at now and again as long as somebody holds it.
    ///
    /// # Errors
    /// The first look failed.
    pub async fn start(store: &Store) -> Result<Arc<dyn Clock>, StoreError> {
        let clock = Arc::new(Self::beside(store, Arc::new(SystemClock)).await?);
        tokio::spawn(keep(Arc::downgrade(&clock)));
        Ok(clock)
    }

    /// The same beside another clock on the wall; only [`Self::adjust`] looks at it again.
    ///
    /// # Errors
    /// The first look failed.
    pub async fn beside(store: &Store, wall: Arc<dyn Clock>) -> Result<Self, StoreError> {
        // Of a few questions the quickest is the surest.
        let mut best = look(store, &*wall).await?;
        for _ in 0..2 {
            let next = look(store, &*wall).await?;
            if next.error < best.error {
                best = next;
            }
        }
        Ok(Self { store: store.clone(), wall, ahead: AtomicI64::new(best.ahead) })
    }

    /// Looks again and sets the clock if it differs by more than the look may be wrong; gives by how much, in
    /// microseconds. Beside SQLite the leases and time limits of running tasks move along when it was set.
    ///
    /// # Errors
    /// The look failed, or what runs could not be moved: then the clock is as before, and the next look tries again.
    pub async fn adjust(&self) -> Result<i64, StoreError> {
        let Look { ahead, error } = look(&self.store, &*self.wall).await?;
        let by = ahead.saturating_sub(self.ahead.load(Ordering::Relaxed));
        if by.unsigned_abs() <= micros(error + NOISE).unsigned_abs() {
            return Ok(0);
        }
        let is_step = by.unsigned_abs() > micros(STEP).unsigned_abs();
        if is_step && self.store.is_exclusive() {
            self.move_all(by).await?;
        } else {
            self.ahead.fetch_add(by, Ordering::Relaxed);
        }
        if is_step {
            tracing::warn!(seconds = by as f64 / 1e6, "the clock was set");
        }
        Ok(by)
    }

    /// What runs moves before the clock goes ahead, and after it went back: no lease is seen ended in between. One that
    /// is taken in the same moment has the reaper's patience.
    async fn move_all(&self, by: i64) -> Result<(), StoreError> {
        if by > 0 {
            self.store.shift(by).await?;
            self.ahead.fetch_add(by, Ordering::Relaxed);
            return Ok(());
        }
        self.ahead.fetch_add(by, Ordering::Relaxed);
        let moved = self.store.shift(by).await;
        if moved.is_err() {
            self.ahead.fetch_sub(by, Ordering::Relaxed);
        }
        moved
    }
}

impl Clock for StoreClock {
    fn now(&self) -> Timestamp {
        let ahead = self.ahead.load(Ordering::Relaxed);
        Timestamp::from_micros(ahead.saturating_add(micros(steady())))
    }
}

/// The time since some moment, by a clock that nobody sets and that goes on while the machine sleeps.
#[cfg(target_os = "linux")]
fn steady() -> Duration {
    let since_boot = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    since_boot.try_into().unwrap_or_default()
}

/// The time since some moment, by a clock that nobody sets.
#[cfg(not(target_os = "linux"))]
fn steady() -> Duration {
    static START: std::sync::LazyLock<std::time::Instant> = std::sync::LazyLock::new(std::time::Instant::now);
    START.elapsed()
}

fn micros(span: Duration) -> i64 {
    i64::try_from(span.as_micros()).unwrap_or(i64::MAX)
}

async fn keep(clock: Weak<StoreClock>) {
    loop {
        tokio::time::sleep(PAUSE).await;
        let Some(clock) = clock.upgrade() else { return };
        if let Err(error) = clock.adjust().await {
            tracing::debug!(%error, "the clock could not be looked at, or not be set");
        }
    }
}

async fn look(store: &Store, wall: &dyn Clock) -> Result<Look, StoreError> {
    let began = steady();
    let there = store.time().await?.unwrap_or_else(|| wall.now());
    let error = steady().saturating_sub(began) / 2;
    Ok(Look { ahead: there.as_micros().saturating_sub(micros(began + error)), error })
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
