//! Puts tasks into the tables of their phases: many with one statement for each table.

use std::collections::BTreeMap;

use taskloom_model::{Life, Phase, Reason, SessionId, State, TaskId, Timestamp};
use taskloom_protocol::Json;

use super::leave::{Seat, all};
use super::{Place, gate_place};
use crate::error::Result;
use crate::sql::{Param, params};
use crate::task::note::Note;
use crate::tx::{Insert, Tx};

/// A statement up to its values, which are those of [`ready_row`].
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

/// Tasks on their way into the tables of their phases.
#[derive(Default)]
pub(crate) struct Entering<'a> {
    blocked: Vec<Param<'a>>,
    scheduled: Vec<Param<'a>>,
    ready: Vec<Param<'a>>,
    running: Vec<Param<'a>>,
    /// Each with what it leaves and the text of its error.
    ended: Vec<(TaskId, Life, Left<'a>, Option<String>)>,
    /// By the gate's place among those of the task, where they stand in line, and their counters.
    limited: BTreeMap<(u32, i64, [u32; 4]), Vec<TaskId>>,
}

impl<'a> Entering<'a> {
    /// Takes one more along.
    pub(crate) fn add(&mut self, seat: Seat<'a>, left: Left<'a>) {
        let Seat { id, place, life, ties } = seat;
        let Life { epoch, attempt, crashes, refunds, phase } = *life;
        let counters = [epoch, attempt, crashes, refunds].map(Param::from);
        match phase {
            Phase::Blocked { deps_left, run_at } => {
                self.blocked.extend_from_slice(params![id, deps_left, run_at]);
                self.blocked.extend(counters);
            }
            Phase::Scheduled { run_at, wait } => {
                self.scheduled.extend_from_slice(params![id, run_at, wait.reason().name()]);
                self.scheduled.extend(counters);
            }
            Phase::Limited(limit) => {
                // Which of the task's gates it waits at says its kind.
                let key = (gate_place(limit), place.band, [epoch, attempt, crashes, refunds]);
                self.limited.entry(key).or_default().push(id);
            }
            Phase::Ready => self.ready.extend(ready_row(id, place, life)),
            Phase::Running { session, lease_until, deadline, started_at, cancel } => {
                let (nothing, ties) = (Param::Int(0), ties.bits());
                self.running.push(id.into());
                self.running.extend(counters);
                self.running.extend_from_slice(params![session, lease_until, deadline, started_at]);
                self.running.extend_from_slice(params![cancel, nothing, nothing, ties]);
            }
            Phase::Ended { .. } => {
                self.ended.push((id, *life, left, left.note.and_then(Note::error_text)));
            }
        }
    }

    /// Writes them.
    pub(crate) async fn write(self, tx: &mut Tx) -> Result<()> {
        tx.insert(&BLOCKED, &self.blocked).await?;
        tx.insert(&SCHEDULED, &self.scheduled).await?;
        tx.insert(&READY, &self.ready).await?;
        tx.insert(&RUNNING, &self.running).await?;
        let mut outcomes = Vec::with_capacity(self.ended.len() * 13);
        for (id, life, left, error) in &self.ended {
            outcomes.extend(outcome_row(*id, life, left, error.as_deref()).into_iter().flatten());
        }
        tx.insert(&OUTCOMES, &outcomes).await?;
        for ((place, band, counters), ids) in self.limited {
            let sql = "INSERT INTO limited (gate, band, id, epoch, attempt, crashes, refunds)
                 SELECT gate, ?, task_id, ?, ?, ?, ? FROM task_gates WHERE place = ? AND task_id";
            let [epoch, attempt, crashes, refunds] = counters.map(Param::from);
            let given = [band.into(), epoch, attempt, crashes, refunds, place.into()];
            let entered = tx.exec_in(sql, &given, &ids).await?;
            all(entered, ids.len(), tx)?;
        }
        Ok(())
    }
}

/// Puts one task into the table of its phase.
pub(crate) async fn enter(tx: &mut Tx, seat: Seat<'_>, left: Left<'_>) -> Result<()> {
    let mut entering = Entering::default();
    entering.add(seat, left);
    entering.write(tx).await
}

/// A life that waits for a worker, as a row of `ready`.
fn ready_row<'a>(id: TaskId, place: &'a Place, life: &Life) -> [Param<'a>; 7] {
    let Life { epoch, attempt, crashes, refunds, .. } = *life;
    [
        place.queue.as_str().into(),
        place.band.into(),
        id.into(),
        epoch.into(),
        attempt.into(),
        crashes.into(),
        refunds.into(),
    ]
}

fn outcome_row<'a>(
    id: TaskId,
    life: &Life,
    left: &Left<'a>,
    error: Option<&'a str>,
) -> Option<[Param<'a>; 13]> {
    let Phase::Ended { state, reason, at } = life.phase else { return None };
    let progress = if state == State::Succeeded { 100.0 } else { left.progress.unwrap_or_default() };
    Some([
        id.into(),
        state.name().into(),
        reason.map(Reason::name).into(),
        life.epoch.into(),
        life.attempt.into(),
        life.refunds.into(),
        left.run.map(|run| run.0).into(),
        left.run.map(|run| run.1).into(),
        at.into(),
        progress.into(),
        left.detail.into(),
        left.note.and_then(|note| note.result.as_ref()).into(),
        error.into(),
    ])
}
