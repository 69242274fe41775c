//! Reads and writes the moving part of a task: the one place that maps a phase to a table.

use taskloom_model::{
    Backoff, Life, Limit, Phase, Priority, Rules, SessionId, State, TaskId, Ties, Timestamp, UserId, Wait,
};

use taskloom_protocol::Json;

use super::note::Note;
use crate::error::{Result, StoreError};
use crate::row::Row;
use crate::sql::{Param, params};
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
    pub(crate) trace: Trace,
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

const SELECT_LIFE: &str = "
SELECT t.user_id, t.queue, t.priority, t.band, t.max_attempts, t.timeout_ms, t.backoff, t.expires_at, t.deleted_at, t.ties, n.ties, t.retry_on,
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
WHERE t.id = ?";

/// Reads where the task stands.
pub(crate) async fn load(tx: &mut Tx, id: TaskId) -> Result<Option<Standing>> {
    tx.row(SELECT_LIFE, params![id], read).await
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
    let rules = Rules { max_attempts, timeout, backoff, expires_at, limits: ties.limits() };
    let (life, trace) = read_life(row)?;
    Ok(Standing { life, rules, place, user_id, deleted, ties, retry_on, trace })
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

/// Takes the task out of the table of its phase, where it stands as this life says. Should it not (another transaction
/// was first), nothing is done, and the whole transaction has to look again.
pub(crate) async fn leave(tx: &mut Tx, id: TaskId, place: &Place, life: &Life, ties: Ties) -> Result<()> {
    let epoch = life.epoch;
    let gone = match &life.phase {
        Phase::Blocked { deps_left, .. } => {
            let sql = "DELETE FROM blocked WHERE id = ? AND deps_left = ? AND epoch = ?";
            tx.exec(sql, params![id, *deps_left, epoch]).await?
        }
        Phase::Scheduled { .. } => {
            tx.exec("DELETE FROM scheduled WHERE id = ? AND epoch = ?", params![id, epoch]).await?
        }
        Phase::Limited(limit) => {
            // One that has just passed to the next gate would have meant another decision.
            let sql = "DELETE FROM limited WHERE id = ? AND epoch = ? AND gate =
                 (SELECT gate FROM task_gates WHERE task_id = ? AND place = ?)";
            tx.exec(sql, params![id, epoch, id, gate_place(*limit)]).await?
        }
        Phase::Ready => {
            let key = params![&place.queue, place.band, id, epoch];
            tx.exec("DELETE FROM ready WHERE queue = ? AND band = ? AND id = ? AND epoch = ?", key).await?
        }
        Phase::Running { lease_until, cancel, .. } => {
            // A heartbeat or a cancel since would have meant another decision, a new tie more to follow from it.
            let sql = "DELETE FROM running WHERE id = ? AND epoch = ? AND lease_until = ? AND cancel = ? AND ties = ?";
            tx.exec(sql, params![id, epoch, *lease_until, *cancel, ties.bits()]).await?
        }
        Phase::Ended { .. } => {
            tx.exec("DELETE FROM outcomes WHERE id = ? AND epoch = ?", params![id, epoch]).await?
        }
    };
    once(gone, tx)
}

/// The guard's verdict: one row, or another transaction was first.
fn once(rows: u64, tx: &Tx) -> Result<()> {
    match rows {
        1 => Ok(()),
        0 if tx.is_shared() => Err(StoreError::Conflict("a task had moved on".into())),
        _ => Err(StoreError::Sql(format!("a task stood {rows} times in its table"))),
    }
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

/// Puts the task into the table of its phase.
pub(crate) async fn enter(
    tx: &mut Tx,
    id: TaskId,
    place: &Place,
    life: &Life,
    ties: Ties,
    last_run: Option<(SessionId, Timestamp)>,
    note: &Note,
) -> Result<()> {
    match &life.phase {
        Phase::Blocked { deps_left, run_at } => {
            let Life { epoch, attempt, crashes, refunds, .. } = *life;
            let row = params![id, *deps_left, *run_at, epoch, attempt, crashes, refunds];
            tx.insert_many(INSERT_BLOCKED, 7, row).await?;
        }
        Phase::Scheduled { run_at, wait } => {
            let reason = wait.reason().name();
            let row = params![id, *run_at, reason, life.epoch, life.attempt, life.crashes, life.refunds];
            tx.insert_many(INSERT_SCHEDULED, 7, row).await?;
        }
        Phase::Ready => enter_ready(tx, id, place, life).await?,
        Phase::Limited(limit) => enter_limited(tx, id, place, life, *limit).await?,
        Phase::Running { .. } => enter_running(tx, id, life, ties).await?,
        Phase::Ended { .. } => enter_outcome(tx, id, life, last_run, note).await?,
    }
    Ok(())
}

/// Which of the task's gates it waits at says its kind.
async fn enter_limited(tx: &mut Tx, id: TaskId, place: &Place, life: &Life, limit: Limit) -> Result<()> {
    let sql = "INSERT INTO limited (gate, band, id, epoch, attempt, crashes, refunds)
         SELECT gate, ?, task_id, ?, ?, ?, ? FROM task_gates WHERE task_id = ? AND place = ?";
    let Life { epoch, attempt, crashes, refunds, .. } = *life;
    let row = params![place.band, epoch, attempt, crashes, refunds, id, gate_place(limit)];
    let entered = tx.exec(sql, row).await?;
    once(entered, tx)
}

async fn enter_ready(tx: &mut Tx, id: TaskId, place: &Place, life: &Life) -> Result<()> {
    static INSERT: std::sync::LazyLock<String> =
        std::sync::LazyLock::new(|| format!("{INSERT_READY} VALUES (?, ?, ?, ?, ?, ?, ?)"));
    tx.exec(&INSERT, &ready_row(id, place, life)).await.map(drop)
}

/// A statement up to its values.
pub(crate) const INSERT_BLOCKED: &str =
    "INSERT INTO blocked (id, deps_left, run_at, epoch, attempt, crashes, refunds)";
/// A statement up to its values.
pub(crate) const INSERT_SCHEDULED: &str =
    "INSERT INTO scheduled (id, run_at, reason, epoch, attempt, crashes, refunds)";

/// A statement up to its values, which are those of [`ready_row`].
pub(crate) const INSERT_READY: &str = "INSERT INTO ready (queue, band, id, epoch, attempt, crashes, refunds)";

/// A life that waits for a worker, as a row of `ready`.
pub(crate) fn ready_row<'a>(id: TaskId, place: &'a Place, life: &Life) -> [Param<'a>; 7] {
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

async fn enter_running(tx: &mut Tx, id: TaskId, life: &Life, ties: Ties) -> Result<()> {
    static INSERT: std::sync::LazyLock<String> = std::sync::LazyLock::new(|| {
        format!("{INSERT_RUNNING} VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")
    });
    tx.exec(&INSERT, &running_row(id, life, ties)).await.map(drop)
}

/// The columns of [`running_row`].
pub(crate) const RUNNING_COLUMNS: usize = 13;
/// A statement up to its values, which are those of [`running_row`].
pub(crate) const INSERT_RUNNING: &str =
    "INSERT INTO running (id, epoch, attempt, crashes, refunds, session, lease_until,
     deadline, started_at, cancel, progress, logged, ties)";

/// A life that runs, as a row of `running`.
pub(crate) fn running_row(id: TaskId, life: &Life, ties: Ties) -> [Param<'static>; RUNNING_COLUMNS] {
    let (session, lease_until, deadline, started_at, cancel) = match life.phase {
        Phase::Running { session, lease_until, deadline, started_at, cancel } => {
            (Some(session), Some(lease_until), deadline, Some(started_at), cancel)
        }
        // The table refuses it.
        _ => (None, None, None, None, false),
    };
    [
        id.into(),
        life.epoch.into(),
        life.attempt.into(),
        life.crashes.into(),
        life.refunds.into(),
        session.into(),
        lease_until.into(),
        deadline.into(),
        started_at.into(),
        cancel.into(),
        0_i64.into(),
        0_i64.into(),
        ties.bits().into(),
    ]
}

async fn enter_outcome(
    tx: &mut Tx,
    id: TaskId,
    life: &Life,
    last_run: Option<(SessionId, Timestamp)>,
    note: &Note,
) -> Result<()> {
    let Phase::Ended { state, reason, at } = life.phase else { return Ok(()) };
    let progress = if state == State::Succeeded { 100.0 } else { note.progress.unwrap_or_default() };
    let error = note.error_text();
    let row = params![
        id,
        state.name(),
        reason.map(taskloom_model::Reason::name),
        life.epoch,
        life.attempt,
        life.refunds,
        last_run.map(|run| run.0),
        last_run.map(|run| run.1),
        at,
        progress,
        note.detail.as_ref(),
        note.result.as_ref(),
        error.as_ref(),
    ];
    let sql = "INSERT INTO outcomes (id, state, reason, epoch, attempt, refunds, session, started_at, finished_at, progress,
         detail, result, error) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
    tx.exec(sql, row).await.map(drop)
}

/// Writes what changed within the same phase.
pub(crate) async fn update(tx: &mut Tx, id: TaskId, before: &Life, after: &Life) -> Result<()> {
    let changed = match (before.phase, after.phase) {
        (Phase::Blocked { deps_left: was, .. }, Phase::Blocked { deps_left, run_at }) => {
            let sql =
                "UPDATE blocked SET deps_left = ?, run_at = ? WHERE id = ? AND deps_left = ? AND epoch = ?";
            tx.exec(sql, params![deps_left, run_at, id, was, before.epoch]).await?
        }
        (
            Phase::Running { lease_until: was_until, cancel: was_cancel, .. },
            Phase::Running { lease_until, cancel, .. },
        ) => {
            let sql = "UPDATE running SET lease_until = ?, cancel = ?
                 WHERE id = ? AND epoch = ? AND lease_until = ? AND cancel = ?";
            tx.exec(sql, params![lease_until, cancel, id, before.epoch, was_until, was_cancel]).await?
        }
        _ => return Err(StoreError::Sql("a step within a phase that has none".into())),
    };
    once(changed, tx)
}
