//! The moving part of a task, and the one place that maps a phase to a table.

mod enter;
mod leave;
mod ready;

use std::collections::HashMap;

use taskloom_model::{
    Backoff, Life, Limit, Phase, Priority, Rules, SessionId, State, TaskId, Ties, Timestamp, UserId, Wait,
};

use taskloom_protocol::Json;

pub(crate) use enter::{Entering, INSERT_READY, Left, enter};
pub(crate) use leave::{Seat, leave, update};
pub(crate) use ready::{PLACES, at_places};

use crate::error::{Result, StoreError};
use crate::row::{Row, first};
use crate::tx::Tx;

/// A task's moving part with what the rules need to know of the rest.
#[derive(Debug, Clone)]
pub(crate) struct Standing {
    pub(crate) life: Life,
    pub(crate) rules: Rules,
    pub(crate) place: Place,
    pub(crate) user_id: UserId,
    pub(crate) deleted: bool,
    pub(crate) ties: Ties,
    /// Errors of other types end it at once; empty: none does.
    pub(crate) retry_on: Vec<String>,
    /// Taken by it when it came into being.
    pub(crate) unique_key: Option<String>,
    pub(crate) trace: Trace,
}

impl Standing {
    /// Where the task of this id stands.
    pub(crate) fn seat(&self, id: TaskId) -> Seat<'_> {
        Seat { id, place: &self.place, life: &self.life, ties: self.ties }
    }
}

/// What the latest attempt has left so far.
#[derive(Debug, Clone, Default)]
pub(crate) struct Trace {
    /// The worker's boot and when it began.
    pub(crate) run: Option<(SessionId, Timestamp)>,
    /// Progress, 0 to 100.
    pub(crate) progress: f64,
    /// What the handler said about it.
    pub(crate) detail: Option<Json>,
}

/// Where a task stands in line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) queue: String,
    pub(crate) priority: Priority,
    /// By priority, then by its user's turn: see [`band`].
    pub(crate) band: i64,
}

/// The place of a task that stands in no line, because it runs or has ended.
pub(crate) static NOWHERE: Place = Place { queue: String::new(), priority: Priority::Normal, band: 0 };

const SELECT_LIFE: &str = "
SELECT t.id, t.user_id, t.queue, t.priority, t.band, t.max_attempts, t.timeout_ms, t.backoff, t.expires_at, t.deleted_at, t.ties, n.ties, t.retry_on, t.unique_key,
       b.deps_left, b.run_at, b.epoch, b.attempt, b.crashes, b.refunds,
       s.run_at, s.reason, s.epoch, s.attempt, s.crashes, s.refunds,
       l.gate, l.epoch, l.attempt, l.crashes, l.refunds,
       r.epoch, r.attempt, r.crashes, r.refunds,
       n.epoch, n.attempt, n.crashes, n.refunds, n.session, n.lease_until, n.deadline, n.started_at, n.cancel, n.progress, n.detail,
       o.state, o.reason, o.epoch, o.attempt, o.refunds, o.session, o.started_at, o.finished_at, o.progress
FROM tasks t
LEFT JOIN blocked b ON b.id = t.id
LEFT JOIN scheduled s ON s.id = t.id
LEFT JOIN limited l ON l.id = t.id
LEFT JOIN ready r ON r.queue = t.queue AND r.band = t.band AND r.id = t.id
LEFT JOIN running n ON n.id = t.id
LEFT JOIN outcomes o ON o.id = t.id
WHERE t.id";

/// Reads where the task stands.
pub(crate) async fn load(tx: &mut Tx, id: TaskId) -> Result<Option<Standing>> {
    Ok(load_all(tx, &[id]).await?.remove(&id))
}

/// Reads where these tasks stand, as far as they exist.
pub(crate) async fn load_all(tx: &mut Tx, ids: &[TaskId]) -> Result<HashMap<TaskId, Standing>> {
    let found = tx.rows_in(SELECT_LIFE, &[], ids, "", |row| Ok((row.next()?, read(row)?))).await?;
    Ok(found.into_iter().collect())
}

/// Locks those of these tasks that wait for parents; gives them.
pub(crate) async fn lock_blocked(tx: &mut Tx, ids: &[TaskId]) -> Result<Vec<TaskId>> {
    if !tx.is_shared() {
        return Ok(Vec::new());
    }
    tx.rows_in("SELECT id FROM blocked WHERE id", &[], ids, " FOR UPDATE", first).await
}

fn read(row: &mut Row<'_>) -> Result<Standing> {
    let user_id = row.next()?;
    let place = Place { queue: row.next()?, priority: read_priority(row)?, band: row.next()? };
    let max_attempts = row.next()?;
    let timeout = row.next::<Option<u64>>()?.map(std::time::Duration::from_millis);
    let backoff = row.json::<Backoff>()?.unwrap_or_default();
    let expires_at = row.next()?;
    let deleted = row.next::<Option<Timestamp>>()?.is_some();
    let ties = Ties::from_bits(row.next()?).with(Ties::from_bits(row.next::<Option<u32>>()?.unwrap_or(0)));
    let retry_on = row.json()?.unwrap_or_default();
    let unique_key = row.next()?;
    let rules = Rules { max_attempts, timeout, backoff, expires_at, limits: ties.limits() };
    let (life, trace) = read_life(row)?;
    Ok(Standing { life, rules, place, user_id, deleted, ties, retry_on, unique_key, trace })
}

fn read_life(row: &mut Row<'_>) -> Result<(Life, Trace)> {
    if let Some(deps_left) = row.next::<Option<u32>>()? {
        let phase = Phase::Blocked { deps_left, run_at: row.next()? };
        return Ok((read_counters(row, phase)?, Trace::default()));
    }
    row.skip(5);
    if let Some(run_at) = row.next::<Option<Timestamp>>()? {
        let wait =
            Wait::from_reason(row.word()?).ok_or_else(|| StoreError::Corrupt("scheduled.reason".into()))?;
        return Ok((read_counters(row, Phase::Scheduled { run_at, wait })?, Trace::default()));
    }
    row.skip(5);
    if let Some(gate) = row.next::<Option<String>>()? {
        return Ok((read_counters(row, Phase::Limited(limit_of(&gate)?))?, Trace::default()));
    }
    row.skip(4);
    if let Some(epoch) = row.next::<Option<u32>>()? {
        let (attempt, crashes, refunds) = (row.next()?, row.next()?, row.next()?);
        return Ok((Life { epoch, attempt, crashes, refunds, phase: Phase::Ready }, Trace::default()));
    }
    row.skip(3);
    if let Some(epoch) = row.next::<Option<u32>>()? {
        return read_running(row, epoch);
    }
    row.skip(10);
    let state: State = row.word()?;
    let reason = row.opt_word()?;
    let (epoch, attempt, refunds) = (row.next()?, row.next()?, row.next()?);
    let session: Option<SessionId> = row.next()?;
    let started_at: Option<Timestamp> = row.next()?;
    let phase = Phase::Ended { state, reason, at: row.next()? };
    let trace = Trace { run: session.zip(started_at), progress: row.next()?, detail: None };
    Ok((Life { epoch, attempt, crashes: 0, refunds, phase }, trace))
}

fn read_running(row: &mut Row<'_>, epoch: u32) -> Result<(Life, Trace)> {
    let (attempt, crashes, refunds) = (row.next()?, row.next()?, row.next()?);
    let session = row.next()?;
    let (lease_until, deadline, started_at) = (row.next()?, row.next()?, row.next()?);
    let phase = Phase::Running { session, lease_until, deadline, started_at, cancel: row.next()? };
    let trace = Trace { run: Some((session, started_at)), progress: row.next()?, detail: row.next()? };
    Ok((Life { epoch, attempt, crashes, refunds, phase }, trace))
}

fn read_counters(row: &mut Row<'_>, phase: Phase) -> Result<Life> {
    Ok(Life { epoch: row.next()?, attempt: row.next()?, crashes: row.next()?, refunds: row.next()?, phase })
}

/// Reads a priority's number.
pub(crate) fn read_priority(row: &mut Row<'_>) -> Result<Priority> {
    Priority::from_number(row.next()?).ok_or_else(|| StoreError::Corrupt("priority".into()))
}

/// The least id of an instant.
pub(crate) fn id_at(instant: Timestamp) -> TaskId {
    let millis = u128::from(instant.as_micros().unsigned_abs() / 1_000);
    TaskId::from_u128(millis << 80)
}

/// Bits of a band below the priority.
const TURN_BITS: u32 = 48;

/// Where a task stands in `ready`, whose order ascends: by priority, then by turn, 0 to 2^48 - 1; equals go by id.
pub(crate) fn band(priority: Priority, turn: u64) -> i64 {
    let turn = turn.min((1 << TURN_BITS) - 1) as i64;
    -(i64::from(priority.number()) << TURN_BITS) + turn
}

/// The turn within a band.
pub(crate) fn turn(band: i64) -> u64 {
    (band & ((1 << TURN_BITS) - 1)) as u64
}

/// The name of a gate in the store: its kind, then its key.
pub(crate) fn gate(limit: Limit, key: &str) -> String {
    format!("{}:{key}", limit.reason().name())
}

pub(crate) fn limit_of(gate: &str) -> Result<Limit> {
    let reason = gate.split_once(':').and_then(|(kind, _)| kind.parse().ok());
    reason.and_then(Limit::from_reason).ok_or_else(|| StoreError::Corrupt("limited.gate".into()))
}

/// The gate's place among those of a task.
pub(crate) fn gate_place(limit: Limit) -> u32 {
    match limit {
        Limit::Concurrency => 0,
        Limit::Rate => 1,
    }
}

#[cfg(test)]
mod tests {
    #[tokio::test(flavor = "multi_thread")]
    async fn many_tasks_are_read_by_their_keys() {
        let ids = ["'00000000-0000-0000-0000-000000000001'"; 4].join(", ");
        // It refuses any way but an index.
        let _ = crate::postgres::plan(&format!("{} IN (?, ?, ?, ?)", super::SELECT_LIFE), &ids).await;
    }
}
