//! T12: ticks fire. What became of each is written with its task, in one transaction, under the schedule's version: of
//! any number of schedulers that decide about the same ticks, one writes.

use std::sync::Arc;

use taskloom_model::{
    Action, Overlap, ParentPolicy, ScheduleId, SkipReason, TaskId, TickOutcome, Timestamp, Verdict,
};
use uuid::Uuid;

use crate::Store;
use crate::error::{Result, StoreError};
use crate::row::Row;
use crate::sql::{Param, params};
use crate::task::{Made, NewTask, Request, Stepped, Submission, SubmitOutcome, step, submit};
use crate::tx::Tx;

/// What a scheduler has decided about a tick.
#[derive(Debug, Clone)]
pub enum Decision {
    /// Its task is made, if the overlap policy lets it.
    Fire(Box<NewTask>),
    /// It is skipped.
    Skip(SkipReason),
}

/// The ticks of a schedule that are decided about together.
#[derive(Debug, Clone)]
pub struct Firing {
    /// The schedule.
    pub id: ScheduleId,
    /// The version that was read.
    pub version: u64,
    /// What a tick does while a task of the schedule has not ended.
    pub overlap: Overlap,
    /// The ticks, in order.
    pub ticks: Vec<(Timestamp, Decision)>,
    /// The first tick that is not among them.
    pub next_at: Option<Timestamp>,
}

/// What was written.
#[derive(Debug, Clone, Default)]
pub struct Decided {
    /// Ticks that were decided about here, and by nobody else.
    pub ticks: usize,
    /// Tasks that were made or cancelled for them.
    pub steps: Vec<Stepped>,
}

/// Schedules in one transaction.
const TOGETHER: usize = 50;
/// Live tasks of one schedule that a tick looks at.
const LIVE: u32 = 1_000;

impl Store {
    /// Writes what was decided about ticks, each with its task; leaves out schedules that somebody else saw to meanwhile.
    pub async fn schedule_fire(&self, mut firings: Vec<Firing>, now: Timestamp) -> Result<Decided> {
        // Locked in one order by every scheduler.
        firings.sort_unstable_by_key(|firing| firing.id);
        let firings: Arc<[Firing]> = firings.into();
        let mut all = Decided::default();
        for from in (0..firings.len()).step_by(TOGETHER) {
            let firings = Arc::clone(&firings);
            let decided = self
                .write(move |tx| {
                    Box::pin(async move {
                        let some = &firings[from..firings.len().min(from + TOGETHER)];
                        fire_all(tx, some, now).await
                    })
                })
                .await?;
            all.ticks += decided.ticks;
            all.steps.extend(decided.steps);
        }
        Ok(all)
    }

    /// Makes a task of a schedule by hand, beside its ticks; nothing if the schedule is gone.
    pub async fn schedule_run(
        &self,
        id: ScheduleId,
        task: NewTask,
        now: Timestamp,
    ) -> Result<Option<Vec<Stepped>>> {
        self.write(move |tx| {
            Box::pin(async move {
                let sql =
                    "UPDATE schedules SET last_run_at = ?, last_task_id = ? WHERE id = ? AND deleted_at IS NULL";
                if tx.exec(sql, params![now, task.id, id]).await? == 0 {
                    return Ok(None);
                }
                note(tx, &[(id, task.id)]).await?;
                make(tx, vec![task], now).await.map(Some)
            })
        })
        .await
    }
}

/// A row of `ticks`.
struct Entry {
    schedule: ScheduleId,
    tick: Timestamp,
    verdict: Verdict,
    task: Option<TaskId>,
}

/// What a transaction has gathered to write.
#[derive(Default)]
struct Batch {
    entries: Vec<Entry>,
    tasks: Vec<NewTask>,
    notes: Vec<(ScheduleId, TaskId)>,
    steps: Vec<Stepped>,
}

async fn fire_all(tx: &mut Tx, firings: &[Firing], now: Timestamp) -> Result<Decided> {
    let mut batch = Batch::default();
    for firing in firings {
        if !advance(tx, firing).await? {
            continue;
        }
        let before = batch.entries.len();
        let mut live = match firing.overlap {
            Overlap::Allow => Vec::new(),
            _ => live(tx, firing.id).await?,
        };
        for (tick, decision) in &firing.ticks {
            decide(tx, firing, *tick, decision, &mut live, &mut batch, now).await?;
        }
        count(tx, firing.id, &batch.entries[before..], now).await?;
    }
    let Batch { entries, tasks, notes, mut steps } = batch;
    steps.extend(make(tx, tasks, now).await?);
    note(tx, &notes).await?;
    write_ticks(tx, &entries, now).await?;
    Ok(Decided { ticks: entries.len(), steps })
}

/// Takes the ticks for this transaction; false if somebody was first.
async fn advance(tx: &mut Tx, firing: &Firing) -> Result<bool> {
    let last = firing.ticks.last().map(|(tick, _)| *tick);
    let sql = "UPDATE schedules SET next_at = ?, last_tick = coalesce(?, last_tick), version = version + 1
         WHERE id = ? AND version = ? AND next_at IS NOT NULL";
    Ok(tx.exec(sql, params![firing.next_at, last, firing.id, firing.version]).await? == 1)
}

async fn decide(
    tx: &mut Tx,
    firing: &Firing,
    tick: Timestamp,
    decision: &Decision,
    live: &mut Vec<(TaskId, bool)>,
    batch: &mut Batch,
    now: Timestamp,
) -> Result<()> {
    let mut entry = Entry { schedule: firing.id, tick, verdict: Verdict::Fire, task: None };
    match decision {
        Decision::Skip(reason) => entry.verdict = Verdict::Skip(*reason),
        Decision::Fire(task) => {
            let is_waiting = live.iter().any(|(_, waits)| *waits);
            match firing.overlap {
                Overlap::Skip if !live.is_empty() => entry.verdict = Verdict::Skip(SkipReason::Overlap),
                Overlap::Queue if is_waiting => entry.verdict = Verdict::Skip(SkipReason::Overlap),
                overlap => {
                    entry.task = Some(task.id);
                    batch.notes.push((firing.id, task.id));
                    place(tx, overlap, task.as_ref().clone(), live, batch, now).await?;
                }
            }
        }
    }
    batch.entries.push(entry);
    Ok(())
}

/// Makes the task, after what the policy wants of those that live.
async fn place(
    tx: &mut Tx,
    overlap: Overlap,
    mut task: NewTask,
    live: &mut Vec<(TaskId, bool)>,
    batch: &mut Batch,
    now: Timestamp,
) -> Result<()> {
    match overlap {
        Overlap::Allow => {
            batch.tasks.push(task);
            return Ok(());
        }
        Overlap::Skip => {}
        // It depends on those that live, whatever their end: the state machine does the waiting.
        Overlap::Queue => {
            task.depends_on = live.iter().map(|(id, _)| *id).collect();
            task.on_parent_failure = ParentPolicy::Run;
        }
        Overlap::Replace => {
            for (id, _) in live.drain(..) {
                let request = Request::new(id, Action::Cancel { force: false });
                // One that has just ended needs no cancel.
                let _ = step(tx, &request, now, &mut batch.steps).await?;
            }
        }
    }
    live.push((task.id, !task.depends_on.is_empty()));
    batch.steps.extend(make(tx, vec![task], now).await?);
    Ok(())
}

/// The tasks of a schedule that have not ended, each with whether it waits for another. Forgets those that have.
async fn live(tx: &mut Tx, schedule: ScheduleId) -> Result<Vec<(TaskId, bool)>> {
    let sql = "SELECT n.task_id, t.id, t.deleted_at, o.id, b.id FROM schedule_tasks n
         LEFT JOIN tasks t ON t.id = n.task_id LEFT JOIN outcomes o ON o.id = n.task_id
         LEFT JOIN blocked b ON b.id = n.task_id WHERE n.schedule_id = ? ORDER BY n.task_id LIMIT ?";
    let read = |row: &mut Row<'_>| {
        let id: TaskId = row.next()?;
        let exists = row.next::<Option<Uuid>>()?.is_some();
        let is_deleted = row.next::<Option<Timestamp>>()?.is_some();
        let has_ended = row.next::<Option<Uuid>>()?.is_some();
        Ok((id, exists && !is_deleted && !has_ended, row.next::<Option<Uuid>>()?.is_some()))
    };
    loop {
        let found = tx.rows(sql, params![schedule, LIVE], read).await?;
        let ended: Vec<TaskId> = found.iter().filter(|(_, lives, _)| !lives).map(|(id, ..)| *id).collect();
        let delete = "DELETE FROM schedule_tasks WHERE schedule_id = ? AND task_id";
        tx.exec_in(delete, &[schedule.into()], &ended).await?;
        let live: Vec<_> =
            found.iter().filter(|(_, lives, _)| *lives).map(|(id, _, waits)| (*id, *waits)).collect();
        // Many may have gathered while overlaps were allowed.
        if !live.is_empty() || found.len() < LIVE as usize {
            return Ok(live);
        }
    }
}

/// Makes tasks; gives what moved.
async fn make(tx: &mut Tx, tasks: Vec<NewTask>, now: Timestamp) -> Result<Vec<Stepped>> {
    if tasks.is_empty() {
        return Ok(Vec::new());
    }
    let submission = Submission { tasks: tasks.into(), idempotency: None, now };
    let SubmitOutcome::Done { made, mut steps } = submit(tx, &submission).await? else {
        // The one it was to wait for has just been deleted: look again.
        return Err(StoreError::Conflict("a task of the schedule was just removed".into()));
    };
    for (task, made) in submission.tasks.iter().zip(made) {
        let Made::New(life) = made else {
            return Err(StoreError::Sql("a schedule's task had a unique key".into()));
        };
        steps.push(task.arrival(&life));
    }
    Ok(steps)
}

async fn note(tx: &mut Tx, notes: &[(ScheduleId, TaskId)]) -> Result<()> {
    let rows: Vec<Param<'_>> =
        notes.iter().flat_map(|(schedule, task)| [Param::Uuid(*schedule), Param::Uuid(*task)]).collect();
    tx.insert_many("INSERT INTO schedule_tasks (schedule_id, task_id)", 2, &rows).await
}

async fn count(tx: &mut Tx, schedule: ScheduleId, entries: &[Entry], now: Timestamp) -> Result<()> {
    let last = entries.iter().rev().find_map(|entry| entry.task);
    let fired = entries.iter().filter(|entry| entry.task.is_some()).count() as u64;
    let skipped = entries.len() as u64 - fired;
    let sql = "UPDATE schedules SET fired = fired + ?, skipped = skipped + ?, last_run_at = coalesce(?, last_run_at),
         last_task_id = coalesce(?, last_task_id) WHERE id = ?";
    tx.exec(sql, params![fired, skipped, last.map(|_| now), last, schedule]).await.map(drop)
}

async fn write_ticks(tx: &mut Tx, entries: &[Entry], now: Timestamp) -> Result<()> {
    let mut rows: Vec<Param<'_>> = Vec::with_capacity(entries.len() * 6);
    for Entry { schedule, tick, verdict, task } in entries {
        let (outcome, reason) = match verdict {
            Verdict::Fire => (TickOutcome::Fired, None),
            Verdict::Skip(reason) => (TickOutcome::Skipped, Some(reason.name())),
        };
        rows.extend::<[Param<'_>; 6]>([
            (*schedule).into(),
            (*tick).into(),
            outcome.name().into(),
            reason.into(),
            (*task).into(),
            now.into(),
        ]);
    }
    let head = "INSERT INTO ticks (schedule_id, tick, outcome, reason, task_id, decided_at)";
    tx.insert_many(head, 6, &rows).await
}
