//! The states of a task and why it is there.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Where a task stands. The store has a table for each; the terminal three share `outcomes`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Waits for parents.
    Blocked,
    /// Waits for a time.
    Scheduled,
    /// Waits for a limit to leave room.
    Limited,
    /// Waits for a worker.
    Ready,
    /// A worker holds it under a lease.
    Running,
    /// Ended with a result.
    Succeeded,
    /// Ended with an error.
    Failed,
    /// Ended without running to its end, because somebody or a rule said so.
    Revoked,
}

/// The five states that users of the field know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Blocked, scheduled, limited or ready.
    Pending,
    /// Running.
    Running,
    /// Succeeded.
    Succeeded,
    /// Failed.
    Failed,
    /// Revoked.
    Revoked,
}

/// Why a task is in its state, where the state alone does not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// Waits for its parents.
    Dependencies,
    /// Waits for its `run_at`.
    Delayed,
    /// Waits for its next attempt after a failure.
    Retry,
    /// The handler asked to run again later.
    Snoozed,
    /// As many tasks with its key run as may.
    Concurrency,
    /// As many tasks with its key have started lately as may.
    Rate,
    /// A cancel was requested; the worker has not answered yet.
    Cancelling,
    /// Cancelled by a user.
    Cancelled,
    /// Not started before `expires_at`.
    Expired,
    /// A parent failed or was revoked.
    DependencyFailed,
    /// The handler failed and no attempt is left.
    Error,
    /// The handler failed with an error that no retry can mend.
    Fatal,
    /// The attempt ran out of time and no attempt is left.
    Timeout,
    /// The worker was lost and no attempt is left.
    Lost,
    /// Its workers were lost too often; it may be what kills them.
    Poisoned,
}

macro_rules! names {
    ($type:ident { $($variant:ident = $name:literal),+ $(,)? }) => {
        impl $type {
            /// Every value, in declaration order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The name on the wire and in the store.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.name())
            }
        }

        impl FromStr for $type {
            type Err = &'static str;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                match text {
                    $($name => Ok(Self::$variant),)+
                    _ => Err(concat!("one of", $(" ", $name),+)),
                }
            }
        }
    };
}

names!(State {
    Blocked = "blocked",
    Scheduled = "scheduled",
    Limited = "limited",
    Ready = "ready",
    Running = "running",
    Succeeded = "succeeded",
    Failed = "failed",
    Revoked = "revoked",
});
names!(Status {
    Pending = "pending",
    Running = "running",
    Succeeded = "succeeded",
    Failed = "failed",
    Revoked = "revoked",
});
names!(Reason {
    Dependencies = "dependencies",
    Delayed = "delayed",
    Retry = "retry",
    Snoozed = "snoozed",
    Concurrency = "concurrency",
    Rate = "rate",
    Cancelling = "cancelling",
    Cancelled = "cancelled",
    Expired = "expired",
    DependencyFailed = "dependency_failed",
    Error = "error",
    Fatal = "fatal",
    Timeout = "timeout",
    Lost = "lost",
    Poisoned = "poisoned",
});

impl State {
    /// Whether a task here has ended.
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Revoked)
    }

    /// The status that the API shows.
    pub fn status(self) -> Status {
        match self {
            Self::Blocked | Self::Scheduled | Self::Limited | Self::Ready => Status::Pending,
            Self::Running => Status::Running,
            Self::Succeeded => Status::Succeeded,
            Self::Failed => Status::Failed,
            Self::Revoked => Status::Revoked,
        }
    }
}

impl Status {
    /// The states that show as this status.
    pub fn states(self) -> &'static [State] {
        match self {
            Self::Pending => &[State::Blocked, State::Scheduled, State::Limited, State::Ready],
            Self::Running => &[State::Running],
            Self::Succeeded => &[State::Succeeded],
            Self::Failed => &[State::Failed],
            Self::Revoked => &[State::Revoked],
        }
    }
}
