//! T12: ticks fire.

use std::time::Duration;

use taskloom_model::{SkipReason, Timestamp, Verdict, jitter, judge};
use taskloom_protocol::{CreateSchedule, SubmitTask};
use taskloom_store::{Decision, Firing, NewTask, ScheduleRow};

use super::view;
use crate::{Caller, Engine, EngineError};

/// Schedules that one pass sees to at most.
const SCHEDULES: u32 = 500;
/// Ticks that one pass decides about at most, shared by its schedules.
const TICKS: usize = 1_000;

impl Engine {
    /// T12 once: decides about ticks that have come, and makes their tasks. Gives how many ticks; there may be more.
    pub async fn fire(&self) -> Result<usize, EngineError> {
        let now = self.now();
        let due = self.inner.store.schedule_due(now, SCHEDULES).await?;
        if !due.is_empty() {
            self.handler_defaults().await?;
        }
        let share = (TICKS / due.len().max(1)).max(1);
        let firings: Vec<Firing> =
            due.into_iter().map(|(row, active)| self.firing(&row, active, share, now)).collect();
        if firings.is_empty() {
            return Ok(0);
        }
        let decided = self.inner.store.schedule_fire(firings, now).await?;
        self.announce(&decided.steps);
        Ok(decided.ticks)
    }

    /// What becomes of the first `most` ticks of a schedule that is due.
    fn firing(&self, row: &ScheduleRow, is_owner_active: bool, most: usize, now: Timestamp) -> Firing {
        let asked = view::read(row).and_then(|asked| {
            let plan = asked.plan(row.anchor_at).map_err(EngineError::Fields)?;
            Ok((asked, plan))
        });
        let (asked, plan) = match asked {
            Ok(read) => read,
            Err(error) => {
                tracing::error!(schedule = %row.id, %error, "a schedule cannot be read; it fires no more");
                return Firing {
                    id: row.id,
                    version: row.version,
                    overlap: CreateSchedule::DEFAULT_OVERLAP,
                    ticks: Vec::new(),
                    next_at: None,
                };
            }
        };
        let misfire = asked.misfire.unwrap_or(CreateSchedule::DEFAULT_MISFIRE);
        let catch_up = Duration::from_secs(asked.catch_up.unwrap_or(CreateSchedule::DEFAULT_CATCH_UP));
        let forgotten = now.minus(self.inner.config.retention);
        let mut tick = row.next_at.filter(|tick| *tick <= now);
        // What was missed so long ago that its record would be forgotten is passed over, but for the last.
        if tick.is_some_and(|tick| tick < forgotten) {
            tick = plan.next_after(forgotten).filter(|later| *later <= now).or(tick);
        }
        let (mut ticks, mut next_at) = (Vec::new(), row.next_at);
        while let Some(at) = tick {
            let next = plan.next_after(at);
            let decision = match judge(misfire, catch_up, at, next, now) {
                _ if !is_owner_active => Decision::Skip(SkipReason::OwnerInactive),
                Verdict::Skip(reason) => Decision::Skip(reason),
                Verdict::Fire => Decision::Fire(Box::new(self.task_at(row, &asked, at, now))),
            };
            ticks.push((at, decision));
            next_at = next;
            tick = next.filter(|next| *next <= now && ticks.len() < most);
        }
        let overlap = asked.overlap.unwrap_or(CreateSchedule::DEFAULT_OVERLAP);
        Firing { id: row.id, version: row.version, overlap, ticks, next_at }
    }

    fn task_at(&self, row: &ScheduleRow, asked: &CreateSchedule, tick: Timestamp, now: Timestamp) -> NewTask {
        let mut task = asked.task();
        let most = Duration::try_from_secs_f64(asked.jitter.unwrap_or_default()).unwrap_or_default();
        if !most.is_zero() {
            task.run_at = Some(tick.plus(jitter(row.id, tick, most))).filter(|at| *at > now);
        }
        self.task_of(row, task, now)
    }

    /// A task of a schedule: its owner's.
    pub(super) fn task_of(&self, row: &ScheduleRow, task: SubmitTask, now: Timestamp) -> NewTask {
        let owner = Caller { user_id: row.user_id, all: false };
        // A tick makes a task of its own: no other one answers it, whatever the handler's default.
        let task = SubmitTask { cache_ttl: None, ..self.filled(task, &self.known_defaults()) };
        NewTask { schedule_id: Some(row.id), ..self.complete(&owner, task, None, now) }
    }
}
