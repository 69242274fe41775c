//! T5, T7, T9: workers report ends of attempts and give tasks back.

mod mysql;
mod postgres;

use std::collections::HashSet;
use std::sync::Arc;

use taskloom_model::{Action, Finish, Life, Phase, Priority, SessionId, State, TaskId, Ties, Timestamp};
use taskloom_protocol::{Json, LogLine, TaskRef};

use super::beat::append_logs;
use super::life::{Left, NOWHERE, Seat, enter};
use super::note::Note;
use super::step::{Request, Stepped, follow, step_all};
use crate::Store;
use crate::error::{Result, StoreError};
use crate::row::Row;
use crate::sql::params;
use crate::tx::Tx;

/// The end of one attempt.
#[derive(Debug, Clone)]
pub struct FinishItem {
    /// The task and the epoch of the claim.
    pub task: TaskRef,
    /// What the worker says.
    pub finish: Finish,
    /// What it leaves behind.
    pub note: Note,
    /// Lines not sent yet.
    pub logs: Vec<LogLine>,
    /// Uniform in 0..1, spreads retries.
    pub random: f64,
}

impl FinishItem {
    /// Whether it is the common end: a success with nothing else to write.
    fn is_plain(&self) -> bool {
        self.finish == Finish::Success && self.logs.is_empty()
    }
}

impl Store {
    /// Ends attempts. Gives the steps taken, and those that were stale, for which nothing changed.
    pub async fn task_finish(
        &self,
        session: SessionId,
        mut items: Vec<FinishItem>,
        now: Timestamp,
    ) -> Result<(Vec<Stepped>, Vec<TaskRef>)> {
        // Everybody locks in the order of ids: two transactions never wait for each other.
        items.sort_by_key(|item| (item.task.id, item.task.epoch));
        let items = Arc::new(items);
        let most_lines = self.most_log_lines();
        self.write(move |tx| {
            Box::pin(async move {
                let mut steps = Vec::with_capacity(items.len());
                let is_shared = tx.is_shared();
                let (plain, others): (Vec<_>, Vec<_>) =
                    items.iter().partition(|item| is_shared && item.is_plain());
                succeed_all(tx, session, &plain, now, &mut steps).await?;
                let (others, failures): (Vec<_>, Vec<_>) =
                    others.into_iter().partition(|item| item.finish == Finish::Success);
                for item in others {
                    succeed(tx, session, item, most_lines, now, &mut steps).await?;
                }
                fail_all(tx, session, &failures, most_lines, now, &mut steps).await?;
                let mut ended: HashSet<TaskId> = steps.iter().map(|step| step.id).collect();
                // What is said twice of one attempt counts once.
                let lost =
                    items.iter().map(|item| item.task).filter(|task| !ended.remove(&task.id)).collect();
                follow(tx, 0, now, &mut steps).await?;
                Ok((steps, lost))
            })
        })
        .await
    }

    /// Gives running tasks back. Gives the steps taken, and those that were stale.
    pub async fn task_drain(
        &self,
        session: SessionId,
        tasks: Vec<TaskRef>,
        now: Timestamp,
    ) -> Result<(Vec<Stepped>, Vec<TaskRef>)> {
        let (mut steps, mut lost) = (Vec::new(), Vec::new());
        for some in tasks.chunks(DRAINED) {
            let some = some.to_vec();
            let (taken, stale) =
                self.write(move |tx| Box::pin(async move { drain(tx, session, some, now).await })).await?;
            steps.extend(taken);
            lost.extend(stale);
        }
        Ok((steps, lost))
    }

    /// Whether the session holds the task under this epoch.
    pub async fn task_held(&self, session: SessionId, task: TaskRef) -> Result<bool> {
        self.point(move |tx| Box::pin(async move { holds(tx, session, task).await })).await
    }
}

/// Tasks given back in one transaction.
const DRAINED: usize = 100;

async fn drain(
    tx: &mut Tx,
    session: SessionId,
    tasks: Vec<TaskRef>,
    now: Timestamp,
) -> Result<(Vec<Stepped>, Vec<TaskRef>)> {
    let mut held = held(tx, session, tasks.iter().copied()).await?;
    let (held, mut lost): (Vec<TaskRef>, Vec<TaskRef>) =
        tasks.into_iter().partition(|task| held.remove(task));
    let requests: Vec<Request> =
        held.iter().map(|task| Request::new(task.id, Action::Drain { epoch: task.epoch })).collect();
    let mut steps = Vec::new();
    let verdicts = step_all(tx, &requests, now, &mut steps).await?;
    lost.extend(held.into_iter().zip(verdicts).filter(|(_, verdict)| verdict.is_err()).map(|(task, _)| task));
    follow(tx, 0, now, &mut steps).await?;
    Ok((steps, lost))
}

/// Those of the tasks that the session holds under these epochs.
async fn held(
    tx: &mut Tx,
    session: SessionId,
    tasks: impl Iterator<Item = TaskRef>,
) -> Result<HashSet<TaskRef>> {
    let asked: HashSet<TaskRef> = tasks.collect();
    let ids: Vec<TaskId> = asked.iter().map(|task| task.id).collect();
    let sql = "SELECT id, epoch FROM running WHERE session = ? AND id";
    let read = |row: &mut Row<'_>| Ok(TaskRef { id: row.next()?, epoch: row.next()? });
    let found = tx.rows_in(sql, params![session], &ids, "", read).await?;
    Ok(found.into_iter().filter(|task| asked.contains(task)).collect())
}

async fn holds(tx: &mut Tx, session: SessionId, task: TaskRef) -> Result<bool> {
    let sql = "SELECT 1 FROM running WHERE id = ? AND epoch = ? AND session = ?";
    Ok(tx.number(sql, params![task.id, task.epoch, session]).await? == 1)
}

/// Ends that are no successes, those that are held.
async fn fail_all(
    tx: &mut Tx,
    session: SessionId,
    items: &[&FinishItem],
    most_lines: u64,
    now: Timestamp,
    steps: &mut Vec<Stepped>,
) -> Result<()> {
    let mut held = held(tx, session, items.iter().map(|item| item.task)).await?;
    let mut requests = Vec::with_capacity(held.len());
    for item in items {
        let TaskRef { id, epoch } = item.task;
        if held.remove(&item.task) {
            append_logs(tx, id, &item.logs, most_lines).await?;
            let action = Action::Finish { epoch, finish: item.finish };
            let note = item.note.clone();
            requests.push(Request { random: item.random, note, ..Request::new(id, action) });
        }
    }
    step_all(tx, &requests, now, steps).await.map(drop)
}

/// Many common ends at once, for databases across a network.
async fn succeed_all(
    tx: &mut Tx,
    session: SessionId,
    items: &[&FinishItem],
    now: Timestamp,
    steps: &mut Vec<Stepped>,
) -> Result<()> {
    if items.is_empty() {
        return Ok(());
    }
    let mut items = items.to_vec();
    items.dedup_by_key(|item| (item.task.id, item.task.epoch));
    let ended = match tx {
        Tx::Postgres(pg) => postgres::succeed(pg, session, &items, now).await?,
        _ => mysql::succeed(tx, session, &items, now).await?,
    };
    steps.extend(ended.into_iter().map(|(id, life, ties)| succeeded(id, life, ties)));
    Ok(())
}

/// The step of a success. An outcome does not know its queue.
fn succeeded(id: TaskId, life: Life, ties: Ties) -> Stepped {
    Stepped {
        id,
        queue: String::new(),
        priority: Priority::Normal,
        band: 0,
        ties,
        before: State::Running,
        life,
    }
}

/// The common end, without reading what it does not need: [`taskloom_model::next`] makes a success of every
/// held attempt, whatever its rules.
async fn succeed(
    tx: &mut Tx,
    session: SessionId,
    item: &FinishItem,
    most_lines: u64,
    now: Timestamp,
    steps: &mut Vec<Stepped>,
) -> Result<bool> {
    let TaskRef { id, epoch } = item.task;
    let sql = "SELECT attempt, crashes, refunds, started_at, detail, ties FROM running WHERE id = ? AND epoch = ? AND session = ?";
    let held = tx
        .row(sql, params![id, epoch, session], |row| {
            let counters = (row.next()?, row.next()?, row.next()?);
            Ok((
                counters,
                row.next::<Timestamp>()?,
                row.next::<Option<Json>>()?,
                Ties::from_bits(row.next()?),
            ))
        })
        .await?;
    let Some(((attempt, crashes, refunds), started_at, detail, ties)) = held else { return Ok(false) };
    append_logs(tx, id, &item.logs, most_lines).await?;
    let sql = "DELETE FROM running WHERE id = ? AND epoch = ? AND ties = ?";
    if tx.exec(sql, params![id, epoch, ties.bits()]).await? == 0 {
        return Err(StoreError::Conflict("a running task had just changed".into()));
    }
    let phase = Phase::Ended { state: State::Succeeded, reason: None, at: now };
    let life = Life { epoch, attempt, crashes, refunds, phase };
    let seat = Seat { id, place: &NOWHERE, life: &life, ties };
    let detail = item.note.detail.as_ref().or(detail.as_ref());
    let run = Some((session, started_at));
    enter(tx, seat, Left { run, progress: None, detail, note: Some(&item.note) }).await?;
    steps.push(succeeded(id, life, ties));
    Ok(true)
}
