//! The moving part of a task: what the state machine reads and writes.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{Backoff, Reason, SessionId, State, Timestamp};

/// The rules a task was submitted with; they never change.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rules {
    /// Attempts that may fail before the task does, 1 to 1,000.
    pub max_attempts: u32,
    /// Time limit of one attempt.
    pub timeout: Option<Duration>,
    /// The wait between attempts.
    pub backoff: Backoff,
    /// A task that waits still at this instant is revoked.
    pub expires_at: Option<Timestamp>,
    /// Limits that its start has to pass.
    pub limits: Limits,
}

/// Why a scheduled task waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Wait {
    /// Its submitter named a later time.
    Delay,
    /// An attempt failed.
    Retry,
    /// The handler asked for it.
    Snooze,
}

/// The kind of limit that a task waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Limit {
    /// So many at once.
    Concurrency,
    /// So many in a time.
    Rate,
}

impl Limit {
    /// The reason that the API shows.
    pub fn reason(self) -> Reason {
        match self {
            Self::Concurrency => Reason::Concurrency,
            Self::Rate => Reason::Rate,
        }
    }

    /// The limit behind a reason, if it is one.
    pub fn from_reason(reason: Reason) -> Option<Self> {
        [Self::Concurrency, Self::Rate].into_iter().find(|limit| limit.reason() == reason)
    }
}

/// The limits that a task's start has to pass, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Limits {
    /// One of concurrency.
    pub concurrency: bool,
    /// One of rate.
    pub rate: bool,
}

impl Limits {
    /// The first, if any.
    pub fn first(self) -> Option<Limit> {
        if self.concurrency { Some(Limit::Concurrency) } else { self.rate.then_some(Limit::Rate) }
    }

    /// The one behind this one, if any.
    pub fn after(self, limit: Limit) -> Option<Limit> {
        (self.rate && limit == Limit::Concurrency).then_some(Limit::Rate)
    }
}

/// Where a task stands, with exactly the facts that belong there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Waits for `deps_left` parents, then until `run_at` if that lies ahead.
    Blocked {
        /// Open edges to parents, at least 1.
        deps_left: u32,
        /// Not before this instant.
        run_at: Option<Timestamp>,
    },
    /// Waits until `run_at`.
    Scheduled {
        /// When it becomes ready.
        run_at: Timestamp,
        /// Why it waits.
        wait: Wait,
    },
    /// Waits for a limit to leave room.
    Limited(Limit),
    /// Waits for a worker.
    Ready,
    /// Held by a worker.
    Running {
        /// The worker's boot that holds it.
        session: SessionId,
        /// The claim's right to run ends here unless renewed.
        lease_until: Timestamp,
        /// The attempt's time limit ends here.
        deadline: Option<Timestamp>,
        /// When the attempt began.
        started_at: Timestamp,
        /// A user asked it to stop.
        cancel: bool,
    },
    /// Over.
    Ended {
        /// One of the terminal states.
        state: State,
        /// Why, unless it succeeded.
        reason: Option<Reason>,
        /// When.
        at: Timestamp,
    },
}

/// The counters and the phase of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Life {
    /// The fence: every write of a worker carries the epoch of its claim.
    pub epoch: u32,
    /// Claims so far.
    pub attempt: u32,
    /// Workers lost under it since it was last submitted or retried by hand.
    pub crashes: u32,
    /// Claims that do not count against `max_attempts`: drained, snoozed, or before a retry by hand.
    pub refunds: u32,
    /// Where it stands.
    pub phase: Phase,
}

impl Life {
    /// The state of the phase.
    pub fn state(&self) -> State {
        match self.phase {
            Phase::Blocked { .. } => State::Blocked,
            Phase::Scheduled { .. } => State::Scheduled,
            Phase::Limited(_) => State::Limited,
            Phase::Ready => State::Ready,
            Phase::Running { .. } => State::Running,
            Phase::Ended { state, .. } => state,
        }
    }

    /// Why it is in its state, where the state alone does not say.
    pub fn reason(&self) -> Option<Reason> {
        match self.phase {
            Phase::Blocked { .. } => Some(Reason::Dependencies),
            Phase::Scheduled { wait, .. } => Some(wait.reason()),
            Phase::Limited(limit) => Some(limit.reason()),
            Phase::Running { cancel: true, .. } => Some(Reason::Cancelling),
            Phase::Ended { reason, .. } => reason,
            Phase::Ready | Phase::Running { .. } => None,
        }
    }

    /// Whether `max_attempts` leaves room for another claim.
    pub fn has_attempts_left(&self, rules: &Rules) -> bool {
        self.attempt < rules.max_attempts.saturating_add(self.refunds)
    }
}

impl Wait {
    /// The reason that the API shows.
    pub fn reason(self) -> Reason {
        match self {
            Self::Delay => Reason::Delayed,
            Self::Retry => Reason::Retry,
            Self::Snooze => Reason::Snoozed,
        }
    }

    /// The wait behind a reason, if it is one.
    pub fn from_reason(reason: Reason) -> Option<Self> {
        [Self::Delay, Self::Retry, Self::Snooze].into_iter().find(|w| w.reason() == reason)
    }
}

/// How one attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AttemptOutcome {
    /// The handler returned a result.
    Succeeded,
    /// The handler returned an error or panicked.
    Failed,
    /// The attempt ran into its time limit.
    TimedOut,
    /// The handler asked to run again later.
    Snoozed,
    /// Stopped because a user asked for it.
    Cancelled,
    /// Its lease ended without a word from the worker.
    Lost,
    /// The worker shut down and gave it back.
    Drained,
}

impl AttemptOutcome {
    /// Every outcome.
    pub const ALL: [Self; 7] = [
        Self::Succeeded,
        Self::Failed,
        Self::TimedOut,
        Self::Snoozed,
        Self::Cancelled,
        Self::Lost,
        Self::Drained,
    ];

    /// The name on the wire and in the store.
    pub fn name(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::TimedOut => "timed_out",
            Self::Snoozed => "snoozed",
            Self::Cancelled => "cancelled",
            Self::Lost => "lost",
            Self::Drained => "drained",
        }
    }
}

impl std::str::FromStr for AttemptOutcome {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|o| o.name() == text).ok_or("no outcome of an attempt")
    }
}

/// The end of one attempt, for the history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttemptEnd {
    /// Its number, from 1.
    pub attempt: u32,
    /// The epoch of its claim.
    pub epoch: u32,
    /// The worker's boot that held it.
    pub session: SessionId,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended.
    pub ended_at: Timestamp,
    /// How it ended.
    pub outcome: AttemptOutcome,
}
