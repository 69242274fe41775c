//! One attempt in this worker's hands.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering, fence};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use taskloom_model::Timestamp;
use taskloom_protocol::{Claimed, TaskRef};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::news::News;
use crate::shared::Shared;

/// Which task and attempt a handler runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskInfo {
    /// The task.
    pub id: Uuid,
    /// Which attempt this is, from 1.
    pub attempt: u32,
    /// Attempts before the task fails.
    pub max_attempts: u32,
    /// The fence: it rises with every claim, and only the newest counts.
    pub epoch: u32,
    /// The handler's name, aliases resolved.
    pub task: String,
    /// The queue it came from.
    pub queue: String,
    /// Whose it is.
    pub user_id: Uuid,
    /// When the task was submitted.
    pub created_at: Timestamp,
}

/// Why a handler should stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StopReason {
    /// A user cancelled the task; after a grace the attempt is aborted.
    Cancelled,
    /// The soft time limit has passed; the handler may still finish.
    SoftTimeout,
    /// The time limit has passed; the attempt is over.
    Timeout,
    /// The worker leaves; what does not end soon is given back and runs elsewhere.
    Draining,
    /// The worker no longer holds the task; whatever the handler does now is done twice.
    LeaseLost,
}

/// Set bits tell what has happened to the attempt; they are never unset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Flag(u8);

impl Flag {
    pub(crate) const SOFT_TIMEOUT: Self = Self(1);
    pub(crate) const CANCEL: Self = Self(2);
    pub(crate) const DRAIN: Self = Self(4);
    pub(crate) const TIMEOUT: Self = Self(8);
    pub(crate) const LOST: Self = Self(16);
    /// The drain's patience is over: abort and give back.
    pub(crate) const GIVE_BACK: Self = Self(32);
    /// Its end is decided; a later one does not count.
    const ENDED: Self = Self(64);
    const STOPS: u8 = 31;
}

/// One attempt: what is known of it, what it says, and how it is told to stop.
#[derive(Debug)]
pub(crate) struct Attempt {
    pub(crate) info: TaskInfo,
    pub(crate) shared: Arc<Shared>,
    pub(crate) deadline: Option<Instant>,
    pub(crate) soft_deadline: Option<Instant>,
    /// Wakes the attempt's driver after a flag was set.
    pub(crate) signal: Notify,
    flags: AtomicU8,
    /// When the message that renewed the lease last was sent, on the worker's stopwatch.
    renewed: AtomicU64,
    token: OnceLock<CancellationToken>,
    news: Mutex<News>,
    dir: OnceLock<PathBuf>,
}

impl Attempt {
    /// An attempt whose lease began no earlier than `granted` on the worker's stopwatch.
    pub(crate) fn new(shared: &Arc<Shared>, claimed: Claimed, granted: u64) -> Self {
        let start = tokio::time::Instant::now().into_std();
        let after = |ms: Option<u64>| ms.and_then(|ms| start.checked_add(Duration::from_millis(ms)));
        Self {
            deadline: after(claimed.timeout_ms),
            soft_deadline: after(claimed.soft_timeout_ms),
            info: TaskInfo {
                id: claimed.id,
                attempt: claimed.attempt,
                max_attempts: claimed.max_attempts,
                epoch: claimed.epoch,
                task: claimed.task,
                queue: claimed.queue,
                user_id: claimed.user_id,
                created_at: claimed.created_at,
            },
            shared: Arc::clone(shared),
            signal: Notify::new(),
            flags: AtomicU8::new(0),
            renewed: AtomicU64::new(granted),
            token: OnceLock::new(),
            news: Mutex::default(),
            dir: OnceLock::new(),
        }
    }

    pub(crate) fn task_ref(&self) -> TaskRef {
        TaskRef { id: self.info.id, epoch: self.info.epoch }
    }

    /// Whether any of these has happened.
    pub(crate) fn has(&self, flag: Flag) -> bool {
        self.flags.load(Ordering::Acquire) & flag.0 != 0
    }

    /// Notes that it happened, fires the handler's token and wakes the driver.
    pub(crate) fn set(&self, flag: Flag) {
        if self.flags.fetch_or(flag.0, Ordering::AcqRel) & flag.0 != 0 {
            return;
        }
        // Pairs with the fence in `token`: one of the two sees what the other did.
        fence(Ordering::SeqCst);
        if flag.0 & Flag::STOPS != 0
            && let Some(token) = self.token.get()
        {
            token.cancel();
        }
        self.signal.notify_one();
    }

    /// Decides the attempt's end; true for the first who asks.
    pub(crate) fn claim_end(&self) -> bool {
        self.flags.fetch_or(Flag::ENDED.0, Ordering::AcqRel) & Flag::ENDED.0 == 0
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.has(Flag::ENDED)
    }

    /// The gravest reason to stop.
    pub(crate) fn stop_reason(&self) -> Option<StopReason> {
        [
            (Flag::LOST, StopReason::LeaseLost),
            (Flag::TIMEOUT, StopReason::Timeout),
            (Flag::CANCEL, StopReason::Cancelled),
            (Flag::DRAIN, StopReason::Draining),
            (Flag::SOFT_TIMEOUT, StopReason::SoftTimeout),
        ]
        .into_iter()
        .find_map(|(flag, reason)| self.has(flag).then_some(reason))
    }

    /// The token, made when somebody first asks: most handlers never do.
    pub(crate) fn token(&self) -> &CancellationToken {
        let token = self.token.get_or_init(CancellationToken::new);
        fence(Ordering::SeqCst);
        if self.flags.load(Ordering::Acquire) & Flag::STOPS != 0 {
            token.cancel();
        }
        token
    }

    /// A heartbeat sent at `sent` has renewed the lease.
    pub(crate) fn renew(&self, sent: u64) {
        self.renewed.fetch_max(sent, Ordering::Relaxed);
    }

    /// Whether no renewal is known that is younger than a lease: somebody else may run the task.
    pub(crate) fn lease_ended(&self, now: u64) -> bool {
        let lease = u64::try_from(self.shared.timing.lease().as_micros()).unwrap_or(u64::MAX);
        now.saturating_sub(self.renewed.load(Ordering::Relaxed)) >= lease
    }

    pub(crate) fn news(&self) -> MutexGuard<'_, News> {
        self.news.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The attempt's own directory, made at the first call.
    pub(crate) fn artifacts_dir(&self) -> io::Result<&Path> {
        if let Some(dir) = self.dir.get() {
            return Ok(dir);
        }
        let dir = self.shared.session_dir().join(format!("{}-{}", self.info.id, self.info.epoch));
        private_dir(&dir)?;
        Ok(self.dir.get_or_init(|| dir))
    }

    /// The attempt's directory, if one was made.
    pub(crate) fn used_dir(&self) -> Option<&Path> {
        self.dir.get().map(PathBuf::as_path)
    }
}

fn private_dir(dir: &Path) -> io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(dir)
}
