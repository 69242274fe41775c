//! The state machine: transitions T1 to T16 of ARCHITECTURE.md as one pure function.

use std::borrow::Cow;
use std::time::Duration;

use serde::de::{Error as _, Unexpected};
use serde::{Deserialize, Deserializer, Serialize};

use crate::held::Held;
use crate::retry_on::is_over_time;
use crate::{
    AttemptEnd, AttemptOutcome, Life, Limits, Phase, Reason, Rules, SessionId, State, Timestamp, Wait,
};

/// After so many lost workers a task is taken to be what kills them.
pub const CRASH_CAP: u32 = 3;
/// So many claims may be refunded; later drains and snoozes count as attempts.
pub const REFUND_CAP: u32 = 1_000;

/// What a worker says of its attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finish {
    /// The handler returned a result.
    Success,
    /// The handler failed; another attempt may mend it.
    Error {
        /// The handler's own idea of when to try again, instead of the backoff.
        retry_in: Option<Duration>,
    },
    /// The handler failed; no attempt can mend it.
    Fatal,
    /// The attempt ran into its time limit.
    Timeout,
    /// Nothing to do yet: run again after this delay, without counting the attempt.
    Snooze(Duration),
    /// The handler stopped because it was told to.
    Cancelled,
}

/// How a parent's end reaches a child.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParentEnd {
    /// The edge is satisfied.
    Satisfied,
    /// The parent failed or was revoked, and the edge's policy decides.
    Broken(ParentPolicy),
}

/// What a child does when a parent fails or is revoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ParentPolicy {
    /// The child is revoked.
    #[default]
    Skip,
    /// The child fails.
    Fail,
    /// The child runs all the same.
    #[serde(rename = "continue")]
    Run,
}

impl std::str::FromStr for ParentPolicy {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // It was called so before workflows came.
        let text = if text == "run" { "continue" } else { text };
        Self::ALL.into_iter().find(|p| p.name() == text).ok_or("one of skip, fail, continue")
    }
}

impl<'de> Deserialize<'de> for ParentPolicy {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(|rule: &'static str| D::Error::invalid_value(Unexpected::Str(&text), &rule))
    }
}

impl ParentPolicy {
    /// All policies.
    pub const ALL: [Self; 3] = [Self::Skip, Self::Fail, Self::Run];

    /// The name on the wire and in the store.
    pub fn name(self) -> &'static str {
        match self {
            Self::Skip => "skip",
            Self::Fail => "fail",
            Self::Run => "continue",
        }
    }
}

/// What happens to a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// T2: its time has come.
    Promote,
    /// T3: a worker takes it.
    Claim {
        /// The worker's boot.
        session: SessionId,
        /// How long the claim holds without a heartbeat.
        lease: Duration,
    },
    /// T4: its worker is alive.
    Beat {
        /// The epoch of the claim.
        epoch: u32,
        /// How long the claim holds from now.
        lease: Duration,
    },
    /// T5, T7: its worker is done with it.
    Finish {
        /// The epoch of the claim.
        epoch: u32,
        /// What the worker says.
        finish: Finish,
    },
    /// T6: a user no longer wants it.
    Cancel {
        /// Do not wait for the worker.
        force: bool,
    },
    /// T6: it waited past `expires_at`.
    Expire,
    /// T8: its lease or its deadline plus `grace` has passed.
    Reap {
        /// How long a worker may take to report a timeout itself.
        grace: Duration,
    },
    /// T9: its worker shuts down and gives it back.
    Drain {
        /// The epoch of the claim.
        epoch: u32,
    },
    /// T10: a parent ended.
    ParentEnded(ParentEnd),
    /// T11: an operator wants it to run again.
    Retry,
    /// T11 within a workflow: it runs again behind parents that run again, or have not ended.
    RetryBehind {
        /// How many those are.
        parents: u32,
    },
    /// T16: a parent has fanned out, or runs again, and is waited for so many times more.
    MoreParents {
        /// How many edges came to be open.
        edges: u32,
    },
    /// T14: a user wants a waiting task to run at another time, or in another place in line.
    Move {
        /// The new time; `None` leaves it.
        run_at: Option<Timestamp>,
    },
    /// T15: the limit it waited for leaves room; another may lie behind it.
    Admit,
    /// T13: nobody needs it any more.
    Purge {
        /// How long a terminal task is kept.
        retention: Duration,
    },
}

/// Why an action does not apply; nothing changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The write carries another epoch, or the task is not running.
    #[error("the lease is lost: the task is no longer held under this epoch")]
    LeaseLost,
    /// The task has ended.
    #[error("the task has ended")]
    Terminal,
    /// The task has not ended.
    #[error("the task has not ended")]
    NotTerminal,
    /// The time for it has not come.
    #[error("the time for it has not come")]
    NotDue,
    /// The action does not apply to the task's state.
    #[error("the task is in another state")]
    WrongState,
}

/// What becomes of the row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// The task lives on like this.
    Become(Life),
    /// The task is forgotten.
    Forget,
}

/// One step of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transition {
    /// The number in ARCHITECTURE.md's table, 2 to 16.
    pub rule: u8,
    /// What becomes of the task.
    pub effect: Effect,
    /// The attempt that this step ended, for the history.
    pub attempt_end: Option<AttemptEnd>,
}

/// What a new task starts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Start {
    /// Not before this instant.
    pub run_at: Option<Timestamp>,
    /// Parents that have not ended.
    pub deps_left: u32,
    /// Limits that its start has to pass.
    pub limits: Limits,
}

/// T1: the life of a task at its submission.
pub fn start(start: Start, now: Timestamp) -> Life {
    let phase = match start {
        Start { deps_left: 1.., run_at, .. } => Phase::Blocked { deps_left: start.deps_left, run_at },
        Start { run_at, limits, .. } => ready_or_delayed(run_at, limits, now),
    };
    Life { epoch: 0, attempt: 0, crashes: 0, refunds: 0, phase }
}

/// The step that `action` takes from `life` at `now`, or why it takes none.
///
/// `random` is uniform in 0..1 and spreads retries; only a failed or lost attempt looks at it.
pub fn next(
    life: &Life,
    rules: &Rules,
    action: Action,
    now: Timestamp,
    random: f64,
) -> Result<Transition, Refusal> {
    match action {
        Action::Promote => promote(life, rules, now),
        Action::Claim { session, lease } => claim(life, rules, session, lease, now),
        Action::Beat { epoch, lease } => beat(life, epoch, lease, now),
        Action::Finish { epoch, finish } => {
            Held::by_epoch(life, epoch).map(|held| held.finish(rules, finish, now, random))
        }
        Action::Cancel { force } => cancel(life, force, now),
        Action::Expire => expire(life, rules, now),
        Action::Reap { grace } => reap(life, rules, grace, now, random),
        Action::Drain { epoch } => Held::by_epoch(life, epoch).map(|held| held.drain(rules, now)),
        Action::ParentEnded(end) => parent_ended(life, rules, end, now),
        Action::Retry => retry(life, rules, 0),
        Action::RetryBehind { parents } => retry(life, rules, parents),
        Action::MoreParents { edges } => more_parents(life, edges),
        Action::Move { run_at } => moved(life, rules, run_at, now),
        Action::Admit => admit(life, rules),
        Action::Purge { retention } => purge(life, retention, now),
    }
}

fn ready_or_delayed(run_at: Option<Timestamp>, limits: Limits, now: Timestamp) -> Phase {
    match run_at {
        Some(run_at) if run_at > now => Phase::Scheduled { run_at, wait: Wait::Delay },
        _ => ready(limits),
    }
}

/// Nothing is in the way but, perhaps, limits.
pub(crate) fn ready(limits: Limits) -> Phase {
    limits.first().map_or(Phase::Ready, Phase::Limited)
}

pub(crate) fn ended(state: State, reason: Reason, at: Timestamp) -> Phase {
    Phase::Ended { state, reason: Some(reason), at }
}

/// A step that ends no attempt.
fn step(rule: u8, life: Life) -> Transition {
    Transition { rule, effect: Effect::Become(life), attempt_end: None }
}

fn promote(life: &Life, rules: &Rules, now: Timestamp) -> Result<Transition, Refusal> {
    match life.phase {
        Phase::Scheduled { run_at, .. } if run_at <= now => {
            Ok(step(2, Life { phase: ready(rules.limits), ..*life }))
        }
        Phase::Scheduled { .. } => Err(Refusal::NotDue),
        _ => Err(Refusal::WrongState),
    }
}

fn claim(
    life: &Life,
    rules: &Rules,
    session: SessionId,
    lease: Duration,
    now: Timestamp,
) -> Result<Transition, Refusal> {
    if life.phase != Phase::Ready {
        return Err(Refusal::WrongState);
    }
    if rules.expires_at.is_some_and(|at| at <= now) {
        return expire(life, rules, now);
    }
    let phase = Phase::Running {
        session,
        lease_until: now.plus(lease),
        deadline: rules.timeout.map(|limit| now.plus(limit)),
        started_at: now,
        cancel: false,
    };
    Ok(step(3, Life { epoch: life.epoch + 1, attempt: life.attempt + 1, phase, ..*life }))
}

fn beat(life: &Life, epoch: u32, lease: Duration, now: Timestamp) -> Result<Transition, Refusal> {
    Held::by_epoch(life, epoch)?;
    let Phase::Running { session, deadline, started_at, cancel, lease_until } = life.phase else {
        return Err(Refusal::LeaseLost);
    };
    let lease_until = lease_until.max(now.plus(lease));
    let phase = Phase::Running { session, lease_until, deadline, started_at, cancel };
    Ok(step(4, Life { phase, ..*life }))
}

fn cancel(life: &Life, force: bool, now: Timestamp) -> Result<Transition, Refusal> {
    let revoked = ended(State::Revoked, Reason::Cancelled, now);
    match life.phase {
        Phase::Ended { .. } => Err(Refusal::Terminal),
        Phase::Running { session, lease_until, deadline, started_at, .. } if !force => {
            let phase = Phase::Running { session, lease_until, deadline, started_at, cancel: true };
            Ok(step(6, Life { phase, ..*life }))
        }
        Phase::Running { session, started_at, .. } => {
            let held = Held { life: *life, session, started_at, cancel: true };
            let life = Life { epoch: life.epoch + 1, phase: revoked, ..*life };
            Ok(held.ends(6, life, AttemptOutcome::Cancelled, now))
        }
        _ => Ok(step(6, Life { phase: revoked, ..*life })),
    }
}

fn expire(life: &Life, rules: &Rules, now: Timestamp) -> Result<Transition, Refusal> {
    match life.phase {
        Phase::Ended { .. } => Err(Refusal::Terminal),
        Phase::Running { .. } => Err(Refusal::WrongState),
        _ if rules.expires_at.is_none_or(|at| at > now) => Err(Refusal::NotDue),
        _ => Ok(step(6, Life { phase: ended(State::Revoked, Reason::Expired, now), ..*life })),
    }
}

fn reap(
    life: &Life,
    rules: &Rules,
    grace: Duration,
    now: Timestamp,
    random: f64,
) -> Result<Transition, Refusal> {
    let Phase::Running { session, lease_until, started_at, cancel, .. } = life.phase else {
        return Err(Refusal::WrongState);
    };
    let held = Held { life: *life, session, started_at, cancel };
    let over_time = is_over_time(life, grace, now);
    if lease_until > now && !over_time {
        return Err(Refusal::NotDue);
    }
    Ok(held.reap(rules, over_time, now, random))
}

fn parent_ended(life: &Life, rules: &Rules, end: ParentEnd, now: Timestamp) -> Result<Transition, Refusal> {
    let Phase::Blocked { deps_left, run_at } = life.phase else {
        return Err(Refusal::WrongState);
    };
    let phase = match end {
        ParentEnd::Broken(ParentPolicy::Skip) => ended(State::Revoked, Reason::DependencyFailed, now),
        ParentEnd::Broken(ParentPolicy::Fail) => ended(State::Failed, Reason::DependencyFailed, now),
        ParentEnd::Satisfied | ParentEnd::Broken(ParentPolicy::Run) => match deps_left.saturating_sub(1) {
            0 => ready_or_delayed(run_at, rules.limits, now),
            deps_left => Phase::Blocked { deps_left, run_at },
        },
    };
    Ok(step(10, Life { phase, ..*life }))
}

fn retry(life: &Life, rules: &Rules, parents: u32) -> Result<Transition, Refusal> {
    if !life.state().is_terminal() {
        return Err(Refusal::NotTerminal);
    }
    // Whatever was spent is forgiven: the task gets all its attempts again.
    let refunds = life.attempt;
    let phase = match parents {
        0 => ready(rules.limits),
        deps_left => Phase::Blocked { deps_left, run_at: None },
    };
    Ok(step(11, Life { epoch: life.epoch + 1, crashes: 0, refunds, phase, ..*life }))
}

fn more_parents(life: &Life, edges: u32) -> Result<Transition, Refusal> {
    match life.phase {
        Phase::Blocked { deps_left, run_at } => {
            let deps_left = deps_left.saturating_add(edges);
            Ok(step(16, Life { phase: Phase::Blocked { deps_left, run_at }, ..*life }))
        }
        Phase::Ended { .. } => Err(Refusal::Terminal),
        _ => Err(Refusal::WrongState),
    }
}

fn moved(
    life: &Life,
    rules: &Rules,
    run_at: Option<Timestamp>,
    now: Timestamp,
) -> Result<Transition, Refusal> {
    let phase = match (life.phase, run_at) {
        (Phase::Ended { .. }, _) => return Err(Refusal::Terminal),
        (Phase::Running { .. }, _) => return Err(Refusal::WrongState),
        (phase, None) => phase,
        (Phase::Blocked { deps_left, .. }, run_at) => Phase::Blocked { deps_left, run_at },
        (_, run_at) => ready_or_delayed(run_at, rules.limits, now),
    };
    Ok(step(14, Life { phase, ..*life }))
}

fn admit(life: &Life, rules: &Rules) -> Result<Transition, Refusal> {
    let Phase::Limited(limit) = life.phase else { return Err(Refusal::WrongState) };
    let phase = rules.limits.after(limit).map_or(Phase::Ready, Phase::Limited);
    Ok(step(15, Life { phase, ..*life }))
}

fn purge(life: &Life, retention: Duration, now: Timestamp) -> Result<Transition, Refusal> {
    match life.phase {
        Phase::Ended { at, .. } if at.plus(retention) <= now => {
            Ok(Transition { rule: 13, effect: Effect::Forget, attempt_end: None })
        }
        Phase::Ended { .. } => Err(Refusal::NotDue),
        _ => Err(Refusal::NotTerminal),
    }
}
