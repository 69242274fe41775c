//! What the parts of one running worker share.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::mem;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use taskloom_protocol::{FinishTask, Outcome, Register, TaskRef, WorkerApi, WorkerError};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::Registry;
use crate::attempt::{Attempt, Flag};
use crate::clock::{Stopwatch, Timing};
use crate::limits::{MAX_BATCH, MAX_REQUEST_BYTES};
use crate::news::Packet;
use crate::slots::Slots;

/// How an attempt left the worker's hands.
#[derive(Debug)]
pub(crate) enum End {
    /// It ended like this; to be reported.
    Outcome(Outcome),
    /// The lease is lost; nothing is reported.
    Lost,
    /// It did not end in time; to be given back.
    GivenBack,
}

/// An outcome that waits to be reported.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) attempt: Arc<Attempt>,
    pub(crate) report: FinishTask,
}

impl Finished {
    fn new(attempt: Arc<Attempt>, outcome: Outcome, news: Packet) -> Self {
        let TaskRef { id, epoch } = attempt.task_ref();
        let report =
            FinishTask { id, epoch, outcome, progress: news.progress, detail: news.detail, logs: news.lines };
        Self { attempt, report }
    }

    /// Its size on the wire, roughly.
    fn bytes(&self) -> usize {
        let logs: usize = self.report.logs.iter().map(|line| line.message.len() + 80).sum();
        let outcome = match &self.report.outcome {
            Outcome::Success { result } => result.get().len(),
            Outcome::Error { error, .. } | Outcome::Fatal { error } => {
                error.message.len() + error.traceback.as_ref().map_or(0, String::len)
            }
            Outcome::Timeout | Outcome::Snooze { .. } | Outcome::Cancelled => 0,
        };
        logs + outcome + 100
    }
}

/// One running worker.
pub(crate) struct Shared {
    pub(crate) api: Arc<dyn WorkerApi>,
    pub(crate) registry: Registry,
    pub(crate) hello: Register,
    pub(crate) timing: Timing,
    pub(crate) stopwatch: Stopwatch,
    /// Whether the worker has said good-bye.
    left: AtomicBool,
    pub(crate) slots: Slots,
    /// Fires when no more tasks are to be claimed.
    pub(crate) drain: CancellationToken,
    /// Fires when the drain shall not wait.
    pub(crate) kill: CancellationToken,
    /// Wakes the heartbeat: an attempt has news.
    pub(crate) news: Notify,
    /// Wakes the finisher: an attempt has ended.
    pub(crate) finish: Notify,
    work_dir: PathBuf,
    /// Every attempt whose lease must be renewed: claimed, running, ended but not acknowledged.
    held: Mutex<HashMap<TaskRef, Arc<Attempt>>>,
    talking: Mutex<Vec<Arc<Attempt>>>,
    finished: Mutex<Vec<Finished>>,
    given_back: Mutex<Vec<TaskRef>>,
}

impl Shared {
    pub(crate) fn new(
        api: Arc<dyn WorkerApi>,
        registry: Registry,
        hello: Register,
        work_dir: PathBuf,
        stops: (CancellationToken, CancellationToken),
    ) -> Self {
        let (drain, kill) = stops;
        Self {
            api,
            registry,
            timing: Timing::default(),
            stopwatch: Stopwatch::start(),
            left: AtomicBool::new(false),
            slots: Slots::new(hello.concurrency as usize),
            hello,
            drain,
            kill,
            news: Notify::new(),
            finish: Notify::new(),
            work_dir,
            held: Mutex::default(),
            talking: Mutex::default(),
            finished: Mutex::default(),
            given_back: Mutex::default(),
        }
    }

    /// Notes that the server is about to hear that the worker leaves.
    pub(crate) fn say_good_bye(&self) {
        self.left.store(true, Ordering::Release);
    }

    /// Whether the worker has said good-bye, or is about to.
    pub(crate) fn has_left(&self) -> bool {
        self.left.load(Ordering::Acquire)
    }

    pub(crate) fn session(&self) -> Uuid {
        self.hello.session
    }

    /// The directory of this boot; attempts have theirs below.
    pub(crate) fn session_dir(&self) -> PathBuf {
        self.work_dir.join(self.hello.session.to_string())
    }

    /// Introduces the worker, or does it again after the server forgot the session.
    pub(crate) async fn register(&self, api: &dyn WorkerApi) -> Result<(), WorkerError> {
        let said = api.register(self.hello.clone()).await?;
        self.timing.set(&said);
        Ok(())
    }

    /// Takes attempts into the worker's hands; returns those it did not hold already.
    pub(crate) fn hold<T>(&self, claimed: Vec<(Arc<Attempt>, T)>) -> Vec<(Arc<Attempt>, T)> {
        let mut held = lock(&self.held);
        let mut new = Vec::with_capacity(claimed.len());
        for (attempt, rest) in claimed {
            match held.entry(attempt.task_ref()) {
                Entry::Vacant(place) => {
                    place.insert(Arc::clone(&attempt));
                    new.push((attempt, rest));
                }
                Entry::Occupied(_) => {
                    tracing::error!(task = %attempt.info.id, "claimed twice under one epoch");
                }
            }
        }
        self.slots.take(new.len());
        new
    }

    /// All attempts in the worker's hands.
    pub(crate) fn held(&self) -> Vec<Arc<Attempt>> {
        lock(&self.held).values().cloned().collect()
    }

    /// The attempt under this epoch, if the worker holds it.
    pub(crate) fn find(&self, task: &TaskRef) -> Option<Arc<Attempt>> {
        lock(&self.held).get(task).cloned()
    }

    /// Lets go of attempts; their leases are no longer renewed.
    pub(crate) fn release(&self, tasks: impl IntoIterator<Item = TaskRef>) {
        let mut held = lock(&self.held);
        for task in tasks {
            held.remove(&task);
        }
    }

    /// Aborts every attempt whose lease has run out: somebody else may run the task already.
    pub(crate) fn lose_expired(&self) {
        let now = self.stopwatch.micros();
        let expired: Vec<_> = lock(&self.held).values().filter(|a| a.lease_ended(now)).cloned().collect();
        for attempt in expired {
            attempt.set(Flag::LOST);
        }
    }

    /// Tells the heartbeat that the attempt has news.
    pub(crate) fn announce(&self, attempt: &Arc<Attempt>) {
        lock(&self.talking).push(Arc::clone(attempt));
        self.news.notify_one();
    }

    /// Whether an attempt has news.
    pub(crate) fn is_talking(&self) -> bool {
        !lock(&self.talking).is_empty()
    }

    /// The attempts that have news.
    pub(crate) fn take_talking(&self) -> Vec<Arc<Attempt>> {
        mem::take(&mut lock(&self.talking))
    }

    /// Notes how an attempt ended; only its first end counts.
    pub(crate) fn end(&self, attempt: &Arc<Attempt>, end: End) {
        if !attempt.claim_end() {
            return;
        }
        match end {
            End::Outcome(outcome) => {
                // Counted first: the finisher may be done with it before this call is.
                self.slots.ended();
                self.finish(attempt, outcome);
            }
            End::Lost => {
                self.release([attempt.task_ref()]);
                self.slots.left();
            }
            End::GivenBack => {
                lock(&self.given_back).push(attempt.task_ref());
                self.slots.left();
            }
        }
    }

    /// Queues the outcome, unless a heartbeat must return first; that one calls again.
    pub(crate) fn finish(&self, attempt: &Arc<Attempt>, outcome: Outcome) {
        let Some((outcome, news)) = attempt.news().end(outcome) else { return };
        lock(&self.finished).push(Finished::new(Arc::clone(attempt), outcome, news));
        self.finish.notify_one();
    }

    /// The outcomes for the next report: as many as one request may carry.
    pub(crate) fn take_finished(&self) -> Vec<Finished> {
        let mut queue = lock(&self.finished);
        let mut bytes = 0;
        let fit = queue.iter().take(MAX_BATCH).take_while(|finished| {
            bytes += finished.bytes();
            bytes <= MAX_REQUEST_BYTES
        });
        let count = fit.count().max(1).min(queue.len());
        if count == queue.len() {
            return mem::take(&mut queue);
        }
        let rest = queue.split_off(count);
        mem::replace(&mut queue, rest)
    }

    /// The tasks to give back.
    pub(crate) fn take_given_back(&self) -> Vec<TaskRef> {
        mem::take(&mut lock(&self.given_back))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("session", &self.hello.session).finish_non_exhaustive()
    }
}
