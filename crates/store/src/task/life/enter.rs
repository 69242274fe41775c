//! Puts tasks into the tables of their phases: many with one statement for each table.

use std::collections::BTreeMap;

use taskloom_model::{Life, Limit, Phase, Reason, SessionId, State, TaskId, Timestamp, Wait};
use taskloom_protocol::Json;

use super::leave::{Seat, all};
use super::{Place, gate_place};
use crate::error::Result;
use crate::sql::{Param, params};
use crate::task::note::Note;
use crate::tx::{Insert, Tx};

/// A statement up to its values: queue, band, id and the four counters.
pub(crate) const INSERT_READY: &str = "INSERT INTO ready (queue, band, id, epoch, attempt, crashes, refunds)";
static READY: Insert = Insert::new(INSERT_READY, 7);
static BLOCKED: Insert =
    Insert::new("INSERT INTO blocked (id, deps_left, run_at, epoch, attempt, crashes, refunds)", 7);
static SCHEDULED: Insert =
    Insert::new("INSERT INTO scheduled (id, run_at, reason, epoch, attempt, crashes, refunds)", 7);
static RUNNING: Insert = Insert::new(
    "INSERT INTO running (id, epoch, attempt, crashes, refunds, session, lease_until,
     deadline, started_at, cancel, progress, logged, ties)",
    13,
);
static OUTCOMES: Insert = Insert::new(
    "INSERT INTO outcomes (id, state, reason, epoch, attempt, refunds, session, started_at, finished_at,
     progress, detail, result, error)",
    13,
);

/// What an attempt leaves behind, for a task that ends.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Left<'a> {
    /// The worker's boot and when it began.
    pub(crate) run: Option<(SessionId, Timestamp)>,
    /// The last progress, 0 to 100.
    pub(crate) progress: Option<f64>,
    /// The handler's last word about it.
    pub(crate) detail: Option<&'a Json>,
    /// The handler's answer, or its error.
    pub(crate) note: Option<&'a Note>,
}

impl Left<'_> {
    fn error_text(&self) -> Option<String> {
        self.note.and_then(Note::error_text)
    }
}

/// Tasks on their way into the tables of their phases.
#[derive(Default)]
pub(crate) struct Entering<'a> {
    blocked: Vec<Param<'a>>,
    scheduled: Vec<Param<'a>>,
    ready: Vec<Param<'a>>,
    running: Vec<Param<'a>>,
    /// Each with the text of its error.
    ended: Vec<(Seat<'a>, Left<'a>, Option<String>)>,
    limited: BTreeMap<AtGate, Vec<TaskId>>,
}

impl<'a> Entering<'a> {
    /// Takes one more along.
    pub(crate) fn add(&mut self, seat: Seat<'a>, left: Left<'a>) {
        match seat.life.phase {
            Phase::Blocked { deps_left, run_at } => {
                self.blocked.extend(blocked_row(&seat, deps_left, run_at));
            }
            Phase::Scheduled { run_at, wait } => self.scheduled.extend(scheduled_row(&seat, run_at, wait)),
            Phase::Limited(limit) => self.limited.entry(at_gate(seat.life, limit)).or_default().push(seat.id),
            Phase::Ready => self.ready.extend(ready_row(&seat)),
            Phase::Running { .. } => self.running.extend(running_row(&seat)),
            Phase::Ended { .. } => self.ended.push((seat, left, left.error_text())),
        }
    }

    /// Writes them.
    pub(crate) async fn write(self, tx: &mut Tx) -> Result<()> {
        tx.insert(&BLOCKED, &self.blocked).await?;
        tx.insert(&SCHEDULED, &self.scheduled).await?;
        tx.insert(&READY, &self.ready).await?;
        tx.insert(&RUNNING, &self.running).await?;
        let outcomes = self.ended.iter().map(|(seat, left, error)| outcome_row(seat, left, error.as_deref()));
        let outcomes: Vec<Param<'_>> = outcomes.flatten().collect();
        tx.insert(&OUTCOMES, &outcomes).await?;
        for (at, ids) in self.limited {
            enter_limited(tx, at, &ids).await?;
        }
        Ok(())
    }
}

/// Puts one task into the table of its phase.
pub(crate) async fn enter(tx: &mut Tx, seat: Seat<'_>, left: Left<'_>) -> Result<()> {
    match seat.life.phase {
        Phase::Blocked { deps_left, run_at } => {
            tx.insert(&BLOCKED, &blocked_row(&seat, deps_left, run_at)).await
        }
        Phase::Scheduled { run_at, wait } => tx.insert(&SCHEDULED, &scheduled_row(&seat, run_at, wait)).await,
        Phase::Limited(limit) => enter_limited(tx, at_gate(seat.life, limit), &[seat.id]).await,
        Phase::Ready => tx.insert(&READY, &ready_row(&seat)).await,
        Phase::Running { .. } => tx.insert(&RUNNING, &running_row(&seat)).await,
        Phase::Ended { .. } => {
            let error = left.error_text();
            tx.insert(&OUTCOMES, &outcome_row(&seat, &left, error.as_deref())).await
        }
    }
}

/// Tasks that can be put at their gates together: the gate's place among those of a task, and their counters.
type AtGate = (u32, [u32; 4]);

fn at_gate(life: &Life, limit: Limit) -> AtGate {
    let Life { epoch, attempt, crashes, refunds, .. } = *life;
    (gate_place(limit), [epoch, attempt, crashes, refunds])
}

/// Which of the task's gates it waits at says its kind; where it stands in line there, its row of `tasks`.
async fn enter_limited(tx: &mut Tx, (place, counters): AtGate, ids: &[TaskId]) -> Result<()> {
    let sql = "INSERT INTO limited (gate, band, id, epoch, attempt, crashes, refunds)
         SELECT g.gate, t.band, t.id, ?, ?, ?, ? FROM task_gates g JOIN tasks t ON t.id = g.task_id
         WHERE g.place = ? AND g.task_id";
    let [epoch, attempt, crashes, refunds] = counters;
    let entered = tx.exec_in(sql, params![epoch, attempt, crashes, refunds, place], ids).await?;
    all(entered, ids.len(), tx)
}

fn blocked_row(seat: &Seat<'_>, deps_left: u32, run_at: Option<Timestamp>) -> [Param<'static>; 7] {
    let [epoch, attempt, crashes, refunds] = counters(seat.life);
    [seat.id.into(), deps_left.into(), run_at.into(), epoch, attempt, crashes, refunds]
}

fn scheduled_row(seat: &Seat<'_>, run_at: Timestamp, wait: Wait) -> [Param<'static>; 7] {
    let [epoch, attempt, crashes, refunds] = counters(seat.life);
    [seat.id.into(), run_at.into(), wait.reason().name().into(), epoch, attempt, crashes, refunds]
}

fn ready_row<'a>(seat: &Seat<'a>) -> [Param<'a>; 7] {
    let [epoch, attempt, crashes, refunds] = counters(seat.life);
    let Place { queue, band, .. } = seat.place;
    [queue.as_str().into(), (*band).into(), seat.id.into(), epoch, attempt, crashes, refunds]
}

fn running_row(seat: &Seat<'_>) -> [Param<'static>; 13] {
    let [epoch, attempt, crashes, refunds] = counters(seat.life);
    let (session, lease_until, deadline, started_at, cancel) = match seat.life.phase {
        Phase::Running { session, lease_until, deadline, started_at, cancel } => {
            (Some(session), Some(lease_until), deadline, Some(started_at), cancel)
        }
        // The table refuses it.
        _ => (None, None, None, None, false),
    };
    [
        seat.id.into(),
        epoch,
        attempt,
        crashes,
        refunds,
        session.into(),
        lease_until.into(),
        deadline.into(),
        started_at.into(),
        cancel.into(),
        0_i64.into(),
        0_i64.into(),
        seat.ties.bits().into(),
    ]
}

fn outcome_row<'a>(seat: &Seat<'_>, left: &Left<'a>, error: Option<&'a str>) -> [Param<'a>; 13] {
    let [epoch, attempt, _, refunds] = counters(seat.life);
    let (state, reason, at) = match seat.life.phase {
        Phase::Ended { state, reason, at } => (Some(state), reason, Some(at)),
        // The table refuses it.
        _ => (None, None, None),
    };
    let progress = if state == Some(State::Succeeded) { 100.0 } else { left.progress.unwrap_or_default() };
    [
        seat.id.into(),
        state.map(State::name).into(),
        reason.map(Reason::name).into(),
        epoch,
        attempt,
        refunds,
        left.run.map(|run| run.0).into(),
        left.run.map(|run| run.1).into(),
        at.into(),
        progress.into(),
        left.detail.into(),
        left.note.and_then(|note| note.result.as_ref()).into(),
        error.into(),
    ]
}

fn counters(life: &Life) -> [Param<'static>; 4] {
    [life.epoch, life.attempt, life.crashes, life.refunds].map(Param::from)
}
