//! T12: ticks fire.

use std::collections::HashMap;
use std::time::Duration;

use taskloom_model::{Overlap, ScheduleId, SkipReason, Timestamp, Verdict, jitter, judge};
use taskloom_protocol::{CreateSchedule, HandlerDefaults};
use taskloom_store::{Decision, Firing, NewTask, ScheduleRow, StoreError};

use super::run::expiry;
use super::view;
use crate::{Engine, EngineError};

/// Schedules that one pass sees to at most.
const SCHEDULES: u32 = 200;
/// Ticks that one pass decides about at most, shared by its schedules.
const TICKS: usize = 1_000;
/// Bytes of arguments that one pass makes tasks of, about, shared likewise.
const BYTES: usize = 64 << 20;

/// How long to wait before a schedule that could not be fired is tried again.
const UNFIRED: Duration = Duration::from_secs(1);

/// What is decided about a schedule; the tasks of those ticks that fire stand in a list of their own.
struct Plan {
    id: ScheduleId,
    version: u64,
    overlap: Overlap,
    ticks: Vec<(Timestamp, Verdict)>,
    next_at: Option<Timestamp>,
}

impl Engine {
    /// T12 once: decides about ticks that have come, and makes their tasks. Gives how many ticks; there may be more.
    pub async fn fire(&self) -> Result<usize, EngineError> {
        let now = self.now();
        let due = self.inner.store.schedule_due(now, SCHEDULES).await?;
        if due.is_empty() {
            return Ok(0);
        }
        let defaults = self.handler_defaults().await?;
        let count = due.len();
        let mut tasks = Vec::new();
        let plans: Vec<Plan> = due
            .into_iter()
            .map(|(row, is_owner_active)| {
                let bytes = BYTES / count / row.definition.get().len().max(1);
                let most = (TICKS / count).min(bytes).max(1);
                self.decide(&row, is_owner_active, most, now, &defaults, &mut tasks)
            })
            .collect();
        self.take_turns(&mut tasks, now).await?;
        let mut tasks = tasks.into_iter();
        let firings = plans.into_iter().map(|plan| plan.with_tasks(&mut tasks)).collect();
        let decided = self.inner.store.schedule_fire(firings, now).await?;
        self.announce(&decided.steps);
        decided.cache.iter().for_each(|outcome| self.inner.cache_counts.count(*outcome));
        match decided.failed {
            None => Ok(decided.ticks),
            Some(error @ StoreError::Unavailable(_)) => Err(error.into()),
            // The others go on; this one is tried again with the next pass.
            Some(error) => {
                tracing::error!(%error, "a schedule cannot be fired");
                tokio::time::sleep(UNFIRED).await;
                Ok(decided.ticks)
            }
        }
    }

    /// What becomes of the first `most` ticks of a schedule that is due.
    fn decide(
        &self,
        row: &ScheduleRow,
        is_owner_active: bool,
        most: usize,
        now: Timestamp,
        defaults: &HashMap<String, HandlerDefaults>,
        tasks: &mut Vec<NewTask>,
    ) -> Plan {
        let mut decided = Plan {
            id: row.id,
            version: row.version,
            overlap: CreateSchedule::DEFAULT_OVERLAP,
            ticks: Vec::new(),
            next_at: None,
        };
        let read = view::read(row).and_then(|asked| {
            let plan = asked.plan(row.anchor_at).map_err(EngineError::Fields)?;
            Ok((asked, plan))
        });
        let (asked, plan) = match read {
            Ok(read) => read,
            Err(error) => {
                tracing::error!(schedule = %row.id, %error, "a schedule cannot be read; it fires no more");
                return decided;
            }
        };
        decided.overlap = asked.overlap.unwrap_or(decided.overlap);
        let misfire = asked.misfire.unwrap_or(CreateSchedule::DEFAULT_MISFIRE);
        let catch_up = Duration::from_secs(asked.catch_up.unwrap_or(CreateSchedule::DEFAULT_CATCH_UP));
        let forgotten = now.minus(self.inner.config.retention);
        let mut tick = row.next_at.filter(|tick| *tick <= now);
        // What was missed so long ago that its record would be forgotten is passed over, but for the last.
        if tick.is_some_and(|tick| tick < forgotten) {
            tick = plan.next_after(forgotten).filter(|later| *later <= now).or(tick);
        }
        decided.next_at = row.next_at;
        while let Some(at) = tick {
            let next = plan.next_after(at);
            let expires_at = expiry(at, asked.expires_in);
            let verdict = match judge(misfire, catch_up, at, next, now) {
                _ if !is_owner_active => Verdict::Skip(SkipReason::OwnerInactive),
                Verdict::Fire if expires_at.is_some_and(|expires_at| expires_at <= now) => {
                    Verdict::Skip(SkipReason::Expired)
                }
                verdict => verdict,
            };
            if verdict == Verdict::Fire {
                tasks.push(self.task_at(row, &asked, at, now, defaults));
            }
            decided.ticks.push((at, verdict));
            decided.next_at = next;
            tick = next.filter(|next| *next <= now && decided.ticks.len() < most);
        }
        decided
    }

    fn task_at(
        &self,
        row: &ScheduleRow,
        asked: &CreateSchedule,
        tick: Timestamp,
        now: Timestamp,
        defaults: &HashMap<String, HandlerDefaults>,
    ) -> NewTask {
        let mut task = asked.task();
        task.expires_at = expiry(tick, asked.expires_in);
        let most = Duration::try_from_secs_f64(asked.jitter.unwrap_or_default()).unwrap_or_default();
        if !most.is_zero() {
            task.run_at = Some(tick.plus(jitter(row.id, tick, most))).filter(|at| *at > now);
        }
        self.task_of(row, task, now, defaults)
    }
}

impl Plan {
    /// With the tasks of its ticks, which are the next of these.
    fn with_tasks(self, tasks: &mut impl Iterator<Item = NewTask>) -> Firing {
        let Self { id, version, overlap, ticks, next_at } = self;
        let decisions = ticks.into_iter().filter_map(|(tick, verdict)| match verdict {
            Verdict::Fire => tasks.next().map(|task| (tick, Decision::Fire(Box::new(task)))),
            Verdict::Skip(reason) => Some((tick, Decision::Skip(reason))),
        });
        Firing { id, version, overlap, ticks: decisions.collect(), next_at }
    }
}
