//! Reads and writes the moving part of a task: the one place that maps a phase to a table.

use taskloom_model::{
    Backoff, Life, Phase, Priority, Rules, SessionId, State, TaskId, Timestamp, UserId, Wait,
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
}

const SELECT_LIFE: &str = "
SELECT t.user_id, t.queue, t.priority, t.max_attempts, t.timeout_ms, t.backoff, t.expires_at, t.deleted_at,
       b.deps_left, b.run_at,
       s.run_at, s.reason, s.epoch, s.attempt, s.crashes, s.refunds,
       r.epoch, r.attempt, r.crashes, r.refunds,
       n.epoch, n.attempt, n.crashes, n.refunds, n.session, n.lease_until, n.deadline, n.started_at, n.cancel, n.progress, n.detail,
       o.state, o.reason, o.epoch, o.attempt, o.refunds, o.session, o.started_at, o.finished_at, o.progress
FROM tasks t
LEFT JOIN blocked b ON b.id = t.id
LEFT JOIN scheduled s ON s.id = t.id
LEFT JOIN ready r ON r.queue = t.queue AND r.band = -t.priority AND r.id = t.id
LEFT JOIN running n ON n.id = t.id
LEFT JOIN outcomes o ON o.id = t.id
WHERE t.id = ?";

/// Reads where the task stands.
pub(crate) async fn load(tx: &mut Tx, id: TaskId) -> Result<Option<Standing>> {
    tx.row(SELECT_LIFE, params![id], read).await
}

fn read(row: &mut Row<'_>) -> Result<Standing> {
    let user_id = row.next()?;
    let place = Place { queue: row.next()?, priority: read_priority(row)? };
    let max_attempts = row.next()?;
    let timeout = row.next::<Option<u64>>()?.map(std::time::Duration::from_millis);
    let backoff = row.json::<Backoff>()?.unwrap_or_default();
    let rules = Rules { max_attempts, timeout, backoff, expires_at: row.next()? };
    let deleted = row.next::<Option<Timestamp>>()?.is_some();
    let (life, trace) = read_life(row)?;
    Ok(Standing { life, rules, place, user_id, deleted, trace })
}

fn read_life(row: &mut Row<'_>) -> Result<(Life, Trace)> {
    if let Some(deps_left) = row.next::<Option<u32>>()? {
        let phase = Phase::Blocked { deps_left, run_at: row.next()? };
        return Ok((Life { epoch: 0, attempt: 0, crashes: 0, refunds: 0, phase }, Trace::default()));
    }
    row.skip(1);
    if let Some(run_at) = row.next::<Option<Timestamp>>()? {
        let wait =
            Wait::from_reason(row.word()?).ok_or_else(|| StoreError::Corrupt("scheduled.reason".into()))?;
        return Ok((read_counters(row, Phase::Scheduled { run_at, wait })?, Trace::default()));
    }
    row.skip(5);
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
pub(crate) async fn leave(tx: &mut Tx, id: TaskId, place: &Place, life: &Life) -> Result<()> {
    let epoch = life.epoch;
    let gone = match &life.phase {
        Phase::Blocked { deps_left, .. } => {
            tx.exec("DELETE FROM blocked WHERE id = ? AND deps_left = ?", params![id, *deps_left]).await?
        }
        Phase::Scheduled { .. } => {
            tx.exec("DELETE FROM scheduled WHERE id = ? AND epoch = ?", params![id, epoch]).await?
        }
        Phase::Ready => {
            let key = params![&place.queue, band(place.priority), id, epoch];
            tx.exec("DELETE FROM ready WHERE queue = ? AND band = ? AND id = ? AND epoch = ?", key).await?
        }
        Phase::Running { lease_until, cancel, .. } => {
            // A heartbeat or a cancel since would have meant another decision.
            let sql = "DELETE FROM running WHERE id = ? AND epoch = ? AND lease_until = ? AND cancel = ?";
            tx.exec(sql, params![id, epoch, *lease_until, *cancel]).await?
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

/// Where a priority stands in `ready`, whose order ascends.
pub(crate) fn band(priority: Priority) -> i64 {
    -i64::from(priority.number())
}

/// Puts the task into the table of its phase.
pub(crate) async fn enter(
    tx: &mut Tx,
    id: TaskId,
    place: &Place,
    life: &Life,
    last_run: Option<(SessionId, Timestamp)>,
    note: &Note,
) -> Result<()> {
    match &life.phase {
        Phase::Blocked { deps_left, run_at } => {
            let row = params![id, *deps_left, *run_at];
            tx.exec("INSERT INTO blocked (id, deps_left, run_at) VALUES (?, ?, ?)", row).await?;
        }
        Phase::Scheduled { run_at, wait } => {
            let reason = wait.reason().name();
            let row = params![id, *run_at, reason, life.epoch, life.attempt, life.crashes, life.refunds];
            tx.exec(
                "INSERT INTO scheduled (id, run_at, reason, epoch, attempt, crashes, refunds) VALUES (?, ?, ?, ?, ?, ?, ?)",
                row,
            )
            .await?;
        }
        Phase::Ready => enter_ready(tx, id, place, life).await?,
        Phase::Running { .. } => enter_running(tx, id, life).await?,
        Phase::Ended { .. } => enter_outcome(tx, id, life, last_run, note).await?,
    }
    Ok(())
}

async fn enter_ready(tx: &mut Tx, id: TaskId, place: &Place, life: &Life) -> Result<()> {
    static INSERT: std::sync::LazyLock<String> =
        std::sync::LazyLock::new(|| format!("{INSERT_READY} VALUES (?, ?, ?, ?, ?, ?, ?)"));
    tx.exec(&INSERT, &ready_row(id, &place.queue, place.priority, life)).await.map(drop)
}

/// A statement up to its values, which are those of [`ready_row`].
pub(crate) const INSERT_READY: &str = "INSERT INTO ready (queue, band, id, epoch, attempt, crashes, refunds)";

/// A life that waits for a worker, as a row of `ready`.
pub(crate) fn ready_row<'a>(id: TaskId, queue: &'a str, priority: Priority, life: &Life) -> [Param<'a>; 7] {
    let Life { epoch, attempt, crashes, refunds, .. } = *life;
    [
        queue.into(),
        band(priority).into(),
        id.into(),
        epoch.into(),
        attempt.into(),
        crashes.into(),
        refunds.into(),
    ]
}

async fn enter_running(tx: &mut Tx, id: TaskId, life: &Life) -> Result<()> {
    static INSERT: std::sync::LazyLock<String> =
        std::sync::LazyLock::new(|| format!("{INSERT_RUNNING} VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"));
    tx.exec(&INSERT, &running_row(id, life)).await.map(drop)
}

/// The columns of [`running_row`].
pub(crate) const RUNNING_COLUMNS: usize = 12;
/// A statement up to its values, which are those of [`running_row`].
pub(crate) const INSERT_RUNNING: &str =
    "INSERT INTO running (id, epoch, attempt, crashes, refunds, session, lease_until,
     deadline, started_at, cancel, progress, logged)";

/// A life that runs, as a row of `running`.
pub(crate) fn running_row(id: TaskId, life: &Life) -> [Param<'static>; RUNNING_COLUMNS] {
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
            let sql = "UPDATE blocked SET deps_left = ?, run_at = ? WHERE id = ? AND deps_left = ?";
            tx.exec(sql, params![deps_left, run_at, id, was]).await?
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
