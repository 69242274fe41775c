//! A task's row in small numbers: what fits into millions of states.

use std::time::Duration;

use taskloom_model::{Life, Limit, Phase, Reason, State, Timestamp, Wait};
use uuid::Uuid;

/// An instant as steps of time from now: above zero it lies ahead, at zero it is here, at [`PAST`] it has passed.
pub(crate) type Rel = i8;
/// All of the past is one: a transaction stays open for one step of time at most, so nobody can tell.
pub(crate) const PAST: Rel = -1;
/// One step of time, which is also how long a lease holds.
pub(crate) const STEP: Duration = Duration::from_secs(1);
/// Now, to the state machine.
const NOW: i64 = 1_000;

/// The instant that the state machine sees.
pub(crate) fn instant(rel: Rel) -> Timestamp {
    Timestamp::from_micros((NOW + i64::from(rel)) * 1_000_000)
}

fn rel(instant: Timestamp) -> Rel {
    let steps = instant.as_micros() / 1_000_000 - NOW;
    i8::try_from(steps).unwrap_or(Rel::MAX).max(PAST)
}

/// An instant after one step of time.
pub(crate) fn aged(rel: Rel) -> Rel {
    rel.saturating_sub(1).max(PAST)
}

/// The tables, in the order in which the store looks for a task.
pub(crate) const BLOCKED: usize = 0;
const SCHEDULED: usize = 1;
const LIMITED: usize = 2;
pub(crate) const READY: usize = 3;
pub(crate) const RUNNING: usize = 4;
pub(crate) const ENDED: usize = 5;
/// How many there are.
pub(crate) const TABLES: usize = 6;

/// How a task ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum End {
    /// With a result.
    Succeeded,
    /// Without.
    Failed,
    /// Nobody wanted it any more.
    Revoked,
}

impl End {
    pub(crate) fn state(self) -> State {
        match self {
            Self::Succeeded => State::Succeeded,
            Self::Failed => State::Failed,
            Self::Revoked => State::Revoked,
        }
    }
}

/// The table in which a row stands, with what only that table knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Seat {
    /// `blocked`.
    Blocked {
        /// Open edges.
        deps_left: u8,
        /// Not before.
        run_at: Option<Rel>,
    },
    /// `scheduled`.
    Scheduled {
        /// Not before.
        run_at: Rel,
    },
    /// `limited`.
    Limited {
        /// At the gate of the rate, not of the concurrency.
        by_rate: bool,
    },
    /// `ready`.
    Ready,
    /// `running`. Which session holds it is not kept: an epoch belongs to one claim, and a claim to one session.
    Running {
        /// The claim holds until here.
        lease_until: Rel,
        /// The attempt's time limit.
        deadline: Option<Rel>,
        /// A user asked it to stop.
        cancel: bool,
    },
    /// `outcomes`.
    Ended(End),
}

/// A row of one of the tables of phases.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Row {
    /// The fence.
    pub epoch: u8,
    /// Claims so far.
    pub attempt: u8,
    /// Workers lost.
    pub crashes: u8,
    /// Claims that do not count.
    pub refunds: u8,
    /// Where it stands.
    pub seat: Seat,
}

impl Row {
    /// The number of its table.
    pub(crate) fn table(self) -> usize {
        match self.seat {
            Seat::Blocked { .. } => BLOCKED,
            Seat::Scheduled { .. } => SCHEDULED,
            Seat::Limited { .. } => LIMITED,
            Seat::Ready => READY,
            Seat::Running { .. } => RUNNING,
            Seat::Ended(_) => ENDED,
        }
    }

    /// How it ended, if it has.
    pub fn end(self) -> Option<End> {
        match self.seat {
            Seat::Ended(end) => Some(end),
            _ => None,
        }
    }

    /// What the state machine reads.
    pub(crate) fn life(self) -> Life {
        let phase = match self.seat {
            Seat::Blocked { deps_left, run_at } => {
                Phase::Blocked { deps_left: u32::from(deps_left), run_at: run_at.map(instant) }
            }
            Seat::Scheduled { run_at } => Phase::Scheduled { run_at: instant(run_at), wait: Wait::Retry },
            Seat::Limited { by_rate: true } => Phase::Limited(Limit::Rate),
            Seat::Limited { by_rate: false } => Phase::Limited(Limit::Concurrency),
            Seat::Ready => Phase::Ready,
            Seat::Running { lease_until, deadline, cancel } => Phase::Running {
                session: Uuid::nil(),
                lease_until: instant(lease_until),
                deadline: deadline.map(instant),
                started_at: Timestamp::MIN,
                cancel,
            },
            Seat::Ended(end) => {
                let reason = (end != End::Succeeded).then_some(Reason::Error);
                Phase::Ended { state: end.state(), reason, at: Timestamp::MIN }
            }
        };
        Life {
            epoch: u32::from(self.epoch),
            attempt: u32::from(self.attempt),
            crashes: u32::from(self.crashes),
            refunds: u32::from(self.refunds),
            phase,
        }
    }

    /// What the state machine has decided.
    pub(crate) fn of(life: &Life) -> Self {
        let seat = match life.phase {
            Phase::Blocked { deps_left, run_at } => {
                Seat::Blocked { deps_left: deps_left as u8, run_at: run_at.map(rel) }
            }
            Phase::Scheduled { run_at, .. } => Seat::Scheduled { run_at: rel(run_at) },
            Phase::Limited(limit) => Seat::Limited { by_rate: limit == Limit::Rate },
            Phase::Ready => Seat::Ready,
            Phase::Running { lease_until, deadline, cancel, .. } => {
                Seat::Running { lease_until: rel(lease_until), deadline: deadline.map(rel), cancel }
            }
            Phase::Ended { state: State::Succeeded, .. } => Seat::Ended(End::Succeeded),
            Phase::Ended { state: State::Failed, .. } => Seat::Ended(End::Failed),
            Phase::Ended { .. } => Seat::Ended(End::Revoked),
        };
        Self {
            epoch: life.epoch as u8,
            attempt: life.attempt as u8,
            crashes: life.crashes as u8,
            refunds: life.refunds as u8,
            seat,
        }
    }

    /// The same row after one step of time.
    pub(crate) fn aged(self) -> Self {
        let seat = match self.seat {
            Seat::Blocked { deps_left, run_at } => Seat::Blocked { deps_left, run_at: run_at.map(aged) },
            Seat::Scheduled { run_at } => Seat::Scheduled { run_at: aged(run_at) },
            Seat::Running { lease_until, deadline, cancel } => {
                Seat::Running { lease_until: aged(lease_until), deadline: deadline.map(aged), cancel }
            }
            other => other,
        };
        Self { seat, ..self }
    }
}
