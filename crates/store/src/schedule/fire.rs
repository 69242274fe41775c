//! T12: ticks fire. What became of each is written with its task, in one transaction, under the schedule's version: of
//! any number of schedulers that decide about the same ticks, one writes.

use std::sync::Arc;

use taskloom_model::{
    Action, CacheOutcome, Overlap, ParentPolicy, ScheduleId, SkipReason, TaskId, TickOutcome, Timestamp,
    Verdict,
};
use uuid::Uuid;

use crate::Store;
use crate::error::{Result, StoreError};
use crate::row::Row;
use crate::sql::{Param, params};
use crate::task::{
    Made, NewTask, Rejected, Request, Stepped, Submission, SubmitOutcome, repeats, step, submit,
};
use crate::tx::Tx;

/// What a scheduler has decided about a tick.
#[derive(Debug, Clone)]
pub enum Decision {
    /// Its task is made, if the overlap policy lets it and no other task answers instead.
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
#[derive(Debug, Default)]
pub struct Decided {
    /// Ticks that were decided about here, and by nobody else.
    pub ticks: usize,
    /// Tasks that were made or cancelled for them.
    pub steps: Vec<Stepped>,
    /// How the result cache answered, a word for each task that asked it.
    pub cache: Vec<CacheOutcome>,
    /// Why some schedules were left as they were, although nobody else saw to them.
    pub failed: Option<StoreError>,
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
            let to = firings.len().min(from + TOGETHER);
            match self.fire_some(&firings, from, to, now).await {
                Ok(decided) => all.add(decided),
                Err(error @ StoreError::Unavailable(_)) => {
                    all.failed = Some(error);
                    break;
                }
                // One that cannot be written must not hold up the others.
                Err(_) => {
                    for one in from..to {
                        match self.fire_some(&firings, one, one + 1, now).await {
                            Ok(decided) => all.add(decided),
                            Err(error) => all.failed = Some(error),
                        }
                    }
                }
            }
        }
        Ok(all)
    }

    async fn fire_some(
        &self,
        firings: &Arc<[Firing]>,
        from: usize,
        to: usize,
        now: Timestamp,
    ) -> Result<Decided> {
        let firings = Arc::clone(firings);
        self.write(move |tx| Box::pin(async move { fire_all(tx, &firings[from..to], now).await })).await
    }
}

impl Decided {
    fn add(&mut self, other: Self) {
        self.ticks += other.ticks;
        self.steps.extend(other.steps);
        self.cache.extend(other.cache);
    }
}

impl Firing {
    /// The tasks that may be made.
    fn tasks(&self) -> impl DoubleEndedIterator<Item = &NewTask> + Clone {
        self.ticks.iter().filter_map(|(_, decision)| match decision {
            Decision::Fire(task) => Some(task.as_ref()),
            Decision::Skip(_) => None,
        })
    }

    /// Whether it is known before anybody looks which ticks fire.
    fn is_foreseen(&self) -> bool {
        self.overlap == Overlap::Allow && !self.tasks().any(NewTask::may_repeat)
    }
}

/// A row of `ticks`.
struct Entry {
    schedule: ScheduleId,
    tick: Timestamp,
    verdict: Verdict,
    /// The task that was made, or the one that was there instead.
    task: Option<TaskId>,
}

/// What a transaction has gathered to write.
#[derive(Default)]
struct Batch {
    entries: Vec<Entry>,
    tasks: Vec<NewTask>,
    notes: Vec<(ScheduleId, TaskId)>,
    steps: Vec<Stepped>,
    cache: Vec<CacheOutcome>,
}

async fn fire_all(tx: &mut Tx, firings: &[Firing], now: Timestamp) -> Result<Decided> {
    let mut taken = Vec::with_capacity(firings.len());
    for firing in firings {
        if advance(tx, firing, now).await? {
            taken.push(firing);
        }
    }
    repeats::lock(tx, taken.iter().flat_map(|firing| firing.tasks())).await?;
    let mut batch = Batch::default();
    for firing in taken {
        let before = batch.entries.len();
        let mut live = match firing.overlap {
            Overlap::Allow => Vec::new(),
            _ => live(tx, firing.id).await?,
        };
        for (tick, decision) in &firing.ticks {
            decide(tx, firing, *tick, decision, &mut live, &mut batch, now).await?;
        }
        if !firing.is_foreseen() {
            count(tx, firing.id, &batch.entries[before..], now).await?;
        }
    }
    let Batch { entries, tasks, notes, mut steps, cache } = batch;
    match make(tx, tasks, now).await? {
        SubmitOutcome::Done { steps: made, .. } => steps.extend(made),
        _ => return Err(moved()),
    }
    note(tx, &notes).await?;
    write_ticks(tx, &entries, now).await?;
    Ok(Decided { ticks: entries.len(), steps, cache, failed: None })
}

/// Takes the ticks for this transaction; false if somebody was first. If it is known by now how many fire, they are
/// counted.
async fn advance(tx: &mut Tx, firing: &Firing, now: Timestamp) -> Result<bool> {
    let (mut fired, mut skipped, mut last_task) = (0, 0, None);
    if firing.is_foreseen() {
        fired = firing.tasks().count() as u64;
        skipped = firing.ticks.len() as u64 - fired;
        last_task = firing.tasks().next_back().map(|task| task.id);
    }
    let last_tick = firing.ticks.last().map(|(tick, _)| *tick);
    let sql = "UPDATE schedules SET next_at = ?, last_tick = coalesce(?, last_tick), fired = fired + ?,
         skipped = skipped + ?, last_run_at = coalesce(?, last_run_at), last_task_id = coalesce(?, last_task_id),
         version = version + 1 WHERE id = ? AND version = ? AND next_at IS NOT NULL";
    let row = params![
        firing.next_at,
        last_tick,
        fired,
        skipped,
        last_task.map(|_| now),
        last_task,
        firing.id,
        firing.version,
    ];
    Ok(tx.exec(sql, row).await? == 1)
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
    let skip = |reason| (Verdict::Skip(reason), None);
    let (verdict, task) = match decision {
        Decision::Skip(reason) => skip(*reason),
        Decision::Fire(task) => {
            let is_waiting = live.iter().any(|(_, waits)| *waits);
            match firing.overlap {
                Overlap::Skip if !live.is_empty() => skip(SkipReason::Overlap),
                Overlap::Queue if is_waiting => skip(SkipReason::Overlap),
                Overlap::Allow if !task.may_repeat() => {
                    batch.tasks.push(task.as_ref().clone());
                    (Verdict::Fire, Some(task.id))
                }
                overlap => place(tx, overlap, task.as_ref().clone(), live, batch, now).await?,
            }
        }
    };
    if let (Verdict::Fire, Some(task)) = (verdict, task) {
        batch.notes.push((firing.id, task));
    }
    batch.entries.push(Entry { schedule: firing.id, tick, verdict, task });
    Ok(())
}

/// Makes the task, unless another answers instead, and does what the policy wants of those that live.
async fn place(
    tx: &mut Tx,
    overlap: Overlap,
    mut task: NewTask,
    live: &mut Vec<(TaskId, bool)>,
    batch: &mut Batch,
    now: Timestamp,
) -> Result<(Verdict, Option<TaskId>)> {
    if overlap == Overlap::Queue {
        // It depends on those that live, whatever their end: the state machine does the waiting.
        task.depends_on = live.iter().map(|(id, _)| *id).collect();
        task.on_parent_failure = ParentPolicy::Run;
    }
    let (id, waits, asks_cache) = (task.id, !task.depends_on.is_empty(), task.cache.is_some());
    let made = match make(tx, vec![task], now).await? {
        SubmitOutcome::Done { made, steps } => {
            batch.steps.extend(steps);
            made.first().copied().ok_or_else(moved)?
        }
        SubmitOutcome::Rejected(Rejected::UniqueKeyTaken { holder, .. }) => Made::Existing(holder),
        _ => return Err(moved()),
    };
    if asks_cache {
        batch.cache.push(if let Made::Answered(_, outcome, _) = made { outcome } else { CacheOutcome::Miss });
    }
    let reason = match made {
        Made::New(_) | Made::Replacing(..) => {
            if overlap == Overlap::Replace {
                cancel(tx, live.drain(..), &mut batch.steps, now).await?;
            }
            live.push((id, waits));
            return Ok((Verdict::Fire, Some(id)));
        }
        Made::Existing(_) => SkipReason::UniqueKey,
        Made::Answered(_, CacheOutcome::Hit, _) => SkipReason::CacheHit,
        Made::Answered(..) => SkipReason::CacheJoined,
    };
    Ok((Verdict::Skip(reason), made.instead()))
}

async fn cancel(
    tx: &mut Tx,
    tasks: impl Iterator<Item = (TaskId, bool)>,
    steps: &mut Vec<Stepped>,
    now: Timestamp,
) -> Result<()> {
    for (id, _) in tasks {
        // One that has just ended needs no cancel.
        let _ = step(tx, &Request::new(id, Action::Cancel { force: false }), now, steps).await?;
    }
    Ok(())
}

/// The latest tasks of a schedule that have not ended, each with whether it waits for another. Forgets those that have.
async fn live(tx: &mut Tx, schedule: ScheduleId) -> Result<Vec<(TaskId, bool)>> {
    let sql = "SELECT n.task_id, t.id, t.deleted_at, o.id, b.id FROM schedule_tasks n
         LEFT JOIN tasks t ON t.id = n.task_id LEFT JOIN outcomes o ON o.id = n.task_id
         LEFT JOIN blocked b ON b.id = n.task_id WHERE n.schedule_id = ? ORDER BY n.task_id DESC LIMIT ?";
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

/// Makes tasks; of those that are new the coming into being is among the steps.
async fn make(tx: &mut Tx, tasks: Vec<NewTask>, now: Timestamp) -> Result<SubmitOutcome> {
    if tasks.is_empty() {
        return Ok(SubmitOutcome::Done { made: Vec::new(), steps: Vec::new() });
    }
    let submission = Submission { tasks: tasks.into(), idempotency: None, now };
    let mut outcome = submit(tx, &submission).await?;
    if let SubmitOutcome::Done { made, steps } = &mut outcome {
        let both = submission.tasks.iter().zip(made.iter());
        let mut all: Vec<Stepped> =
            both.filter_map(|(task, made)| made.life().map(|life| task.arrival(&life))).collect();
        all.append(steps);
        *steps = all;
    }
    Ok(outcome)
}

/// The one that a task was to wait for has just been deleted: look again.
fn moved() -> StoreError {
    StoreError::Conflict("a task of the schedule was just removed".into())
}

pub(super) async fn note(tx: &mut Tx, notes: &[(ScheduleId, TaskId)]) -> Result<()> {
    let rows: Vec<Param<'_>> =
        notes.iter().flat_map(|(schedule, task)| [Param::Uuid(*schedule), Param::Uuid(*task)]).collect();
    tx.insert_many("INSERT INTO schedule_tasks (schedule_id, task_id)", 2, &rows).await
}

async fn count(tx: &mut Tx, schedule: ScheduleId, entries: &[Entry], now: Timestamp) -> Result<()> {
    let made = || entries.iter().filter(|entry| entry.verdict == Verdict::Fire);
    let (fired, last) = (made().count() as u64, made().next_back().and_then(|entry| entry.task));
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
