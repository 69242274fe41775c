//! What a small world holds and how much may go wrong in it.

use std::time::Duration;

use taskloom_model::{
    Action, Backoff, BackoffKind, Finish, Life, Limits, ParentPolicy, Refusal, Rules, Transition, next,
};

use crate::guards::Guards;
use crate::row::{Rel, Row, STEP, Seat, instant};
use crate::transaction::{Kind, Op};

/// Tasks in a world at most.
pub(crate) const TASKS: usize = 3;
/// Edges in a world at most. A parent has one child.
pub(crate) const EDGES: usize = 2;
/// Workers in a world at most.
pub(crate) const WORKERS: usize = 2;

/// How often each mishap or intervention may happen, and how many of all together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, PartialOrd, Ord)]
pub struct Budget {
    /// All of the following together.
    pub total: u8,
    /// A worker's process dies; it starts again with a fresh session.
    pub crash: u8,
    /// A worker's message arrives late or its answer never does; the worker says it again.
    pub lose: u8,
    /// A server's process dies between two statements.
    pub kill: u8,
    /// A user cancels.
    pub cancel: u8,
    /// A user cancels by force.
    pub force: u8,
    /// A user retries by hand.
    pub retry: u8,
    /// A worker gives its task back.
    pub drain: u8,
    /// A handler wants to run again later.
    pub snooze: u8,
    /// A user changes the time of a waiting task, or something else of it.
    pub change: u8,
    /// A task that has ended is forgotten.
    pub purge: u8,
}

/// How a task begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// The row it has at first; none: it is submitted later.
    pub seat: Option<Seat>,
    /// Revoked if it waits still then.
    pub expires_at: Option<Rel>,
}

/// A small world.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// For people.
    pub name: &'static str,
    /// The guards that are there.
    pub guards: Guards,
    /// Its tasks, up to `TASKS`.
    pub tasks: Vec<Plan>,
    /// Parent and child, up to `EDGES`.
    pub edges: Vec<(usize, usize)>,
    /// Each is tried.
    pub policies: Vec<ParentPolicy>,
    /// Workers with a slot each, up to `WORKERS`.
    pub workers: usize,
    /// Transactions open at once.
    pub open: usize,
    /// Attempts that may fail.
    pub max_attempts: u8,
    /// Time limit of an attempt.
    pub timeout: Option<Rel>,
    /// What handlers may say, besides what the budget allows.
    pub ends: Vec<Kind>,
    /// What may go wrong.
    pub budget: Budget,
}

impl Default for Scenario {
    /// Two workers and one ready task; nothing goes wrong.
    fn default() -> Self {
        Self {
            name: "",
            guards: Guards::ALL,
            tasks: vec![Plan::ready()],
            edges: vec![],
            policies: vec![ParentPolicy::Skip],
            workers: 2,
            open: 2,
            max_attempts: 2,
            timeout: None,
            ends: vec![Kind::Success, Kind::Error],
            budget: Budget::default(),
        }
    }
}

impl Plan {
    /// A task that is ready at first.
    pub fn ready() -> Self {
        Self { seat: Some(Seat::Ready), expires_at: None }
    }

    /// A task that waits for the next step of time.
    pub fn scheduled() -> Self {
        Self { seat: Some(Seat::Scheduled { run_at: 1 }), expires_at: None }
    }

    /// A task that waits for so many parents.
    pub fn blocked(deps_left: u8) -> Self {
        Self { seat: Some(Seat::Blocked { deps_left, run_at: None }), expires_at: None }
    }

    /// A task that is submitted at some time.
    pub fn later() -> Self {
        Self { seat: None, expires_at: None }
    }
}

impl Scenario {
    /// The same world without these guards.
    #[must_use]
    pub fn without(&self, guards: &[&str]) -> Self {
        Self { guards: Guards::without(guards), ..self.clone() }
    }

    pub(crate) fn rules(&self, expires_at: Option<Rel>) -> Rules {
        Rules {
            max_attempts: u32::from(self.max_attempts),
            timeout: self.timeout.map(|steps| STEP * u32::from(steps.unsigned_abs())),
            backoff: Backoff { kind: BackoffKind::Fixed, seconds: 0.0, max_seconds: 0.0 },
            expires_at: expires_at.map(instant),
            limits: Limits::default(),
        }
    }

    /// What the state machine decides.
    pub(crate) fn decide(
        &self,
        row: Row,
        expires_at: Option<Rel>,
        action: Action,
        now: Rel,
    ) -> Result<Transition, Refusal> {
        let life: Life = row.life();
        next(&life, &self.rules(expires_at), action, instant(now), 0.0)
    }

    /// The action behind an operation on this row, as far as the guards let it through.
    pub(crate) fn action(&self, op: Op, row: Row) -> Action {
        let own = u32::from(row.epoch);
        let epoch = |is_compared: bool, epoch: u8| if is_compared { u32::from(epoch) } else { own };
        match op {
            Op::Claim { .. } | Op::Submit { .. } => Action::Claim { session: uuid::Uuid::nil(), lease: STEP },
            Op::Beat { epoch: held, .. } => {
                Action::Beat { epoch: epoch(self.guards.beat_compares_epoch, held), lease: STEP }
            }
            Op::Finish { epoch: held, kind: Kind::Drain, .. } => {
                Action::Drain { epoch: epoch(self.guards.drain_compares_epoch, held) }
            }
            Op::Finish { epoch: held, kind, .. } => {
                let epoch = epoch(self.guards.finish_compares_epoch, held);
                Action::Finish { epoch, finish: finish(kind) }
            }
            Op::Promote { .. } => Action::Promote,
            Op::Reap { .. } => Action::Reap { grace: Duration::ZERO },
            Op::Expire { .. } => Action::Expire,
            Op::Cancel { force, .. } => Action::Cancel { force },
            Op::Retry { .. } => Action::Retry,
            Op::Change { later, .. } => Action::Move { run_at: later.then(|| instant(1)) },
            Op::Purge { .. } => Action::Purge { retention: Duration::ZERO },
        }
    }
}

fn finish(kind: Kind) -> Finish {
    match kind {
        Kind::Success | Kind::Drain => Finish::Success,
        Kind::Error => Finish::Error { retry_in: Some(Duration::ZERO) },
        Kind::Fatal => Finish::Fatal,
        Kind::Snooze => Finish::Snooze(STEP),
        Kind::Cancelled => Finish::Cancelled,
    }
}
