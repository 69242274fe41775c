//! T5, T7, T9: workers report ends of attempts and give tasks back.

mod mysql;
mod postgres;

use std::collections::HashSet;
use std::sync::Arc;

use taskloom_model::{Action, Finish, Life, Phase, Priority, SessionId, State, TaskId, Ties, Timestamp};
use taskloom_protocol::{LogLine, TaskRef};

use super::beat::append_logs;
use super::life::{Place, enter};
use super::note::Note;
use super::step::{Request, Stepped, follow, step_alone};
use crate::Store;
use crate::error::{Result, StoreError};
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
                let (mut steps, mut lost) = (Vec::with_capacity(items.len()), Vec::new());
                let in_sets = tx.is_shared();
                if in_sets {
                    let plain: Vec<&FinishItem> = items.iter().filter(|item| item.is_plain()).collect();
                    succeed_all(tx, session, &plain, now, &mut steps).await?;
                }
                let mut held: HashSet<TaskId> = steps.iter().map(|step| step.id).collect();
                for item in items.iter() {
                    let is_done = if in_sets && item.is_plain() {
                        held.remove(&item.task.id)
                    } else {
                        finish(tx, session, item, most_lines, now, &mut steps).await?
                    };
                    if !is_done {
                        lost.push(item.task);
                    }
                }
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
    let (mut steps, mut lost) = (Vec::new(), Vec::new());
    for task in tasks {
        let request = Request::new(task.id, Action::Drain { epoch: task.epoch });
        let held = holds(tx, session, task).await?;
        if !held || step_alone(tx, &request, now, &mut steps).await?.is_err() {
            lost.push(task);
        }
    }
    follow(tx, 0, now, &mut steps).await?;
    Ok((steps, lost))
}

async fn holds(tx: &mut Tx, session: SessionId, task: TaskRef) -> Result<bool> {
    let sql = "SELECT 1 FROM running WHERE id = ? AND epoch = ? AND session = ?";
    Ok(tx.number(sql, params![task.id, task.epoch, session]).await? == 1)
}

async fn finish(
    tx: &mut Tx,
    session: SessionId,
    item: &FinishItem,
    most_lines: u64,
    now: Timestamp,
    steps: &mut Vec<Stepped>,
) -> Result<bool> {
    let TaskRef { id, epoch } = item.task;
    if item.finish == Finish::Success {
        return succeed(tx, session, item, most_lines, now, steps).await;
    }
    if !holds(tx, session, item.task).await? {
        return Ok(false);
    }
    append_logs(tx, id, &item.logs, most_lines).await?;
    let action = Action::Finish { epoch, finish: item.finish };
    let request = Request { random: item.random, note: item.note.clone(), ..Request::new(id, action) };
    Ok(step_alone(tx, &request, now, steps).await?.is_ok())
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
            Ok((counters, row.next::<Timestamp>()?, row.next()?, Ties::from_bits(row.next()?)))
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
    let place = Place { queue: String::new(), priority: Priority::Normal, band: 0 };
    let note = Note { detail: item.note.detail.clone().or(detail), ..item.note.clone() };
    enter(tx, id, &place, &life, ties, Some((session, started_at)), &note).await?;
    steps.push(succeeded(id, life, ties));
    Ok(true)
}
