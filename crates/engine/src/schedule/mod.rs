//! Schedules: created, changed, run by hand, looked at; and fired.

mod fire;
mod list;
mod run;
mod view;

use taskloom_model::{Plan, ScheduleId, ScheduleType, Timestamp};
use taskloom_protocol::{ChangeSchedule, CreateSchedule, Duplicate, FieldError, Given, Schedule};
use taskloom_store::{Known, ScheduleRow};

use crate::submit::idempotency;
use crate::{Caller, Engine, EngineError};

pub use list::SchedulePageSpec;

/// How often a change is tried while others change the same schedule.
const TRIES: usize = 12;

impl Engine {
    /// Creates a schedule; or gives the one that the same request with the same key created before, as it is now.
    ///
    /// # Errors
    /// [`EngineError::Fields`] names each field that breaks a rule; [`EngineError::IdempotencyMismatch`] if the key was sent
    /// with another request.
    pub async fn schedule_create(
        &self,
        caller: &Caller,
        new: CreateSchedule,
        idempotency_key: Option<&str>,
    ) -> Result<Schedule, EngineError> {
        let now = self.now();
        let plan = self.check_schedule(&new, now)?;
        let idempotency = idempotency_key.map(|key| idempotency(caller, key, &new)).transpose()?;
        // Before a look at its times: what was created in time may have fired for the last time since.
        if let Some(idempotency) = &idempotency
            && let Some(known) = self.inner.store.idempotency_get(idempotency.clone()).await?
        {
            return self.schedule_before(caller, known).await;
        }
        let first = plan.first(now);
        must_fire(&new, &plan, first)?;
        let row = ScheduleRow {
            id: self.inner.ids.next(now),
            user_id: caller.user_id,
            name: new.name.clone(),
            handler: new.task.clone(),
            definition: view::write(&new)?,
            kind: new.schedule_type.unwrap_or(ScheduleType::Manual),
            enabled: new.enabled.unwrap_or(true),
            anchor_at: now,
            version: 0,
            next_at: first.filter(|_| new.enabled.unwrap_or(true)),
            last_tick: None,
            last_run_at: None,
            last_task_id: None,
            fired: 0,
            skipped: 0,
            created_at: now,
            updated_at: now,
        };
        if let Some(known) = self.inner.store.schedule_create(row.clone(), idempotency).await? {
            return self.schedule_before(caller, known).await;
        }
        self.inner.schedule_bell.notify_one();
        view::schedule(row)
    }

    /// The schedule that a request created when it came first.
    async fn schedule_before(&self, caller: &Caller, known: Known) -> Result<Schedule, EngineError> {
        let Known::Same(ids) = known else { return Err(EngineError::IdempotencyMismatch) };
        let id = ids.first().copied().ok_or(EngineError::NoSchedule)?;
        let schedule = self.schedule_get(caller, id).await?;
        Ok(Schedule { deduplicated_by: Some(Duplicate::IdempotencyKey), ..schedule })
    }

    /// The schedule.
    pub async fn schedule_get(&self, caller: &Caller, id: ScheduleId) -> Result<Schedule, EngineError> {
        view::schedule(self.schedule_row(caller, id).await?)
    }

    /// Changes a schedule; if that concerns its times, the next tick is computed anew, from now on.
    ///
    /// # Errors
    /// [`EngineError::Fields`] names each field that breaks a rule.
    pub async fn schedule_change(
        &self,
        caller: &Caller,
        id: ScheduleId,
        change: &ChangeSchedule,
    ) -> Result<Schedule, EngineError> {
        if change.is_empty() {
            return Err(EngineError::field("", "missing", "give at least one field to change"));
        }
        for _ in 0..TRIES {
            let row = self.changed(self.schedule_row(caller, id).await?, change)?;
            if self.inner.store.schedule_update(row.clone()).await? {
                self.inner.schedule_bell.notify_one();
                return view::schedule(row);
            }
        }
        Err(EngineError::ScheduleBusy)
    }

    /// Fires no more until it is resumed; what is missed meanwhile is no tick.
    pub async fn schedule_pause(&self, caller: &Caller, id: ScheduleId) -> Result<Schedule, EngineError> {
        let change = ChangeSchedule { enabled: Given::Value(false), ..ChangeSchedule::default() };
        self.schedule_change(caller, id, &change).await
    }

    /// Fires again, from now on.
    pub async fn schedule_resume(&self, caller: &Caller, id: ScheduleId) -> Result<Schedule, EngineError> {
        let change = ChangeSchedule { enabled: Given::Value(true), ..ChangeSchedule::default() };
        self.schedule_change(caller, id, &change).await
    }

    /// Forgets a schedule; tasks that it made stay.
    pub async fn schedule_delete(&self, caller: &Caller, id: ScheduleId) -> Result<(), EngineError> {
        self.schedule_row(caller, id).await?;
        let gone = self.inner.store.schedule_delete(id, self.now()).await?;
        if gone { Ok(()) } else { Err(EngineError::NoSchedule) }
    }

    async fn schedule_row(&self, caller: &Caller, id: ScheduleId) -> Result<ScheduleRow, EngineError> {
        self.inner.store.schedule_get(id, caller.held_to()).await?.ok_or(EngineError::NoSchedule)
    }

    fn check_schedule(&self, new: &CreateSchedule, created: Timestamp) -> Result<Plan, EngineError> {
        let mut errors = new.check(&self.inner.config.limits);
        match new.plan(created) {
            Ok(plan) if errors.is_empty() => Ok(plan),
            Ok(_) => Err(EngineError::Fields(errors)),
            Err(more) => {
                errors.extend(more);
                Err(EngineError::Fields(errors))
            }
        }
    }

    /// The row as the change leaves it.
    fn changed(&self, mut row: ScheduleRow, change: &ChangeSchedule) -> Result<ScheduleRow, EngineError> {
        let now = self.now();
        let mut wanted = view::read(&row)?;
        change.apply(&mut wanted);
        let enabled = wanted.enabled.unwrap_or(true);
        // What happens at once and never did happens when it is resumed.
        let is_new = change.moves_ticks()
            || (wanted.schedule_type == Some(ScheduleType::Immediate)
                && row.last_tick.is_none()
                && !row.enabled);
        if is_new {
            row.anchor_at = now;
        }
        let plan = self.check_schedule(&wanted, row.anchor_at)?;
        if is_new || enabled != row.enabled {
            let next = if is_new { plan.first(now) } else { plan.next_after(now) };
            // However the clock may have jumped: what was decided about does not come again.
            let next = match row.last_tick {
                Some(last) if next.is_some_and(|next| next <= last) => plan.next_after(last),
                _ => next,
            };
            if change.moves_ticks() {
                must_fire(&wanted, &plan, next)?;
            }
            row.next_at = next.filter(|_| enabled);
        }
        row.definition = view::write(&wanted)?;
        row.kind = wanted.schedule_type.unwrap_or(row.kind);
        (row.name, row.handler, row.enabled) = (wanted.name, wanted.task, enabled);
        row.updated_at = now;
        Ok(row)
    }
}

/// A plan that never fires is a mistake.
fn must_fire(schedule: &CreateSchedule, plan: &Plan, first: Option<Timestamp>) -> Result<(), EngineError> {
    if first.is_some() || schedule.schedule_type == Some(ScheduleType::Manual) {
        return Ok(());
    }
    must_come(plan)?;
    let rule = "has no tick ahead: its time has passed, or never comes, or lies outside start_at and end_at";
    Err(EngineError::Fields(vec![FieldError::body("schedule_config", "never_fires", rule)]))
}

/// A cron expression that no date fits is one even where nothing has to fire.
fn must_come(plan: &Plan) -> Result<(), EngineError> {
    if !plan.never_comes() {
        return Ok(());
    }
    let rule = "never comes to a time: no date fits it, just as there is no 31st of February";
    Err(EngineError::Fields(vec![FieldError::body("schedule_config.cron_expression", "never_fires", rule)]))
}
