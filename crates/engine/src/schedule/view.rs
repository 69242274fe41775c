//! A schedule as it is stored, and as others see it.

use serde_json::value::to_raw_value;
use taskloom_model::DEFAULT_QUEUE;
use taskloom_protocol::{CreateSchedule, Json, Schedule, SubmitTask, Task, TickCounts};
use taskloom_store::{ScheduleRow, StoreError};

use crate::EngineError;

/// What was asked for.
pub(super) fn read(row: &ScheduleRow) -> Result<CreateSchedule, EngineError> {
    let corrupt = |_| StoreError::Corrupt("definition".into());
    Ok(serde_json::from_str(row.definition.get()).map_err(corrupt)?)
}

/// The same for the store.
pub(super) fn write(schedule: &CreateSchedule) -> Result<Json, EngineError> {
    Ok(to_raw_value(schedule).map_err(|_| StoreError::Corrupt("definition".into()))?)
}

/// A schedule as others see it.
pub(super) fn schedule(row: ScheduleRow) -> Result<Schedule, EngineError> {
    let asked = read(&row)?;
    let SubmitTask {
        args,
        kwargs,
        task_type,
        queue,
        priority,
        timeout,
        soft_timeout,
        max_attempts,
        backoff,
        retry_on,
        concurrency_key,
        concurrency_limit,
        rate_key,
        rate_limit,
        unique_key,
        unique_ttl,
        unique_conflict,
        cache_ttl,
        tags,
        metadata,
        model_id,
        ..
    } = asked.task();
    Ok(Schedule {
        id: row.id,
        name: row.name,
        task: row.handler,
        args: args.unwrap_or_else(Task::no_args),
        kwargs: kwargs.unwrap_or_else(Task::no_kwargs),
        task_type,
        queue: queue.unwrap_or_else(|| DEFAULT_QUEUE.to_owned()),
        priority: priority.unwrap_or_default(),
        timeout,
        soft_timeout,
        max_attempts,
        backoff,
        retry_on,
        concurrency_key,
        concurrency_limit,
        rate_key,
        rate_limit,
        unique_key,
        unique_ttl,
        unique_conflict,
        cache_ttl,
        expires_in: asked.expires_in,
        tags,
        metadata,
        model_id,
        schedule_type: row.kind,
        schedule_config: asked.schedule_config.unwrap_or_else(Task::no_kwargs),
        timezone: asked.timezone.unwrap_or_else(|| CreateSchedule::DEFAULT_ZONE.to_owned()),
        overlap: asked.overlap.unwrap_or(CreateSchedule::DEFAULT_OVERLAP),
        misfire: asked.misfire.unwrap_or(CreateSchedule::DEFAULT_MISFIRE),
        catch_up: asked.catch_up.unwrap_or(CreateSchedule::DEFAULT_CATCH_UP),
        jitter: asked.jitter.unwrap_or_default(),
        enabled: row.enabled,
        start_at: asked.start_at,
        end_at: asked.end_at,
        next_run_at: row.next_at,
        last_run_at: row.last_run_at,
        last_task_id: row.last_task_id,
        counts: TickCounts { fired: row.fired, skipped: row.skipped },
        user_id: row.user_id,
        created_at: row.created_at,
        updated_at: row.updated_at,
        deduplicated_by: None,
    })
}
