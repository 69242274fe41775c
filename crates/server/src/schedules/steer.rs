//! One schedule: made, read, changed, paused, run by hand, removed.

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use taskloom_protocol::{ChangeSchedule, CreateSchedule, RunSchedule, Schedule, Task};
use uuid::Uuid;

use crate::auth::permission::{Reader, Writer};
use crate::extract::{IdempotencyKey, Json, OptionalJson, Path, created_or_known};
use crate::problem::ApiResult;
use crate::state::App;

/// Create a schedule: a task, and when it runs.
///
/// 200 with the schedule that exists already, and `deduplicated_by`, if the `Idempotency-Key` was sent before.
#[utoipa::path(post, path = "/schedules", tag = "schedules", operation_id = "schedules_create",
    params(("Idempotency-Key" = Option<String>, Header, max_length = 200,
        description = "Sending the same request again with the same key answers with the same schedule")),
    request_body(content = CreateSchedule, example = json!({
        "name": "weekly report", "task": "reports.build", "kwargs": {}, "schedule_type": "weekly",
        "schedule_config": {"days": [1, 3, 5], "time": "14:30:00"}, "timezone": "Asia/Shanghai",
        "overlap": "skip", "misfire": "run_once"})),
    responses(
        (status = 201, description = "Created", body = Schedule),
        (status = 200, description = "It exists already", body = Schedule)))]
pub(super) async fn create(
    State(app): State<App>,
    writer: Writer,
    IdempotencyKey(key): IdempotencyKey,
    Json(schedule): Json<CreateSchedule>,
) -> ApiResult<Response> {
    let schedule = app.engine.schedule_create(&writer.caller, schedule, key.as_deref()).await?;
    Ok(created_or_known(schedule.deduplicated_by.is_none(), &schedule))
}

/// A schedule with its next tick and what became of those so far.
#[utoipa::path(get, path = "/schedules/{schedule_id}", tag = "schedules", operation_id = "schedules_get",
    params(("schedule_id" = Uuid, Path, description = "The schedule")),
    responses((status = 200, description = "The schedule", body = Schedule)))]
pub(super) async fn get(
    State(app): State<App>,
    Reader(caller): Reader,
    Path(id): Path<Uuid>,
) -> ApiResult<Json<Schedule>> {
    Ok(Json(app.engine.schedule_get(&caller, id).await?))
}

/// Change a schedule: what is left out stays, null goes back to the default. A change of its times computes the next tick
/// anew.
#[utoipa::path(patch, path = "/schedules/{schedule_id}", tag = "schedules", operation_id = "schedules_change",
    params(("schedule_id" = Uuid, Path, description = "The schedule")),
    request_body(content = ChangeSchedule, example = json!({"schedule_config": {"days": [1], "time": "08:00"}})),
    responses((status = 200, description = "The schedule now", body = Schedule)))]
pub(super) async fn change(
    State(app): State<App>,
    writer: Writer,
    Path(id): Path<Uuid>,
    Json(change): Json<ChangeSchedule>,
) -> ApiResult<Json<Schedule>> {
    Ok(Json(app.engine.schedule_change(&writer.caller, id, &change).await?))
}

/// Remove a schedule. Tasks that it made stay.
#[utoipa::path(delete, path = "/schedules/{schedule_id}", tag = "schedules", operation_id = "schedules_delete",
    params(("schedule_id" = Uuid, Path, description = "The schedule")),
    responses((status = 204, description = "Removed")))]
pub(super) async fn delete(
    State(app): State<App>,
    writer: Writer,
    Path(id): Path<Uuid>,
) -> ApiResult<StatusCode> {
    app.engine.schedule_delete(&writer.caller, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Run a schedule's task now, beside its ticks and also while it is paused. A body says what is other this time.
///
/// Answered as a submission is: 200 with the task that is there already for the `Idempotency-Key`, the `unique_key` or the
/// cache, and 409 `unique_key_taken` if the task asked to be refused then.
#[utoipa::path(post, path = "/schedules/{schedule_id}/run", tag = "schedules", operation_id = "schedules_run",
    params(("schedule_id" = Uuid, Path, description = "The schedule"),
        ("Idempotency-Key" = Option<String>, Header, max_length = 200,
        description = "Sending the same request again with the same key answers with the same task")),
    request_body(content = Option<RunSchedule>, example = json!({"kwargs": {"day": "2026-12-24"}, "priority": "high"})),
    responses(
        (status = 201, description = "The task", body = Task),
        (status = 200, description = "It exists already", body = Task)))]
pub(super) async fn run(
    State(app): State<App>,
    writer: Writer,
    Path(id): Path<Uuid>,
    IdempotencyKey(key): IdempotencyKey,
    OptionalJson(over): OptionalJson<RunSchedule>,
) -> ApiResult<Response> {
    let submitted = app.engine.schedule_run(&writer.caller, id, &over, key.as_deref()).await?;
    Ok(created_or_known(submitted.created, &submitted.task))
}

/// Pause a schedule: it fires no more until it is resumed.
#[utoipa::path(post, path = "/schedules/{schedule_id}/pause", tag = "schedules", operation_id = "schedules_pause",
    params(("schedule_id" = Uuid, Path, description = "The schedule")),
    responses((status = 200, description = "The schedule now", body = Schedule)))]
pub(super) async fn pause(
    State(app): State<App>,
    writer: Writer,
    Path(id): Path<Uuid>,
) -> ApiResult<Json<Schedule>> {
    Ok(Json(app.engine.schedule_pause(&writer.caller, id).await?))
}

/// Resume a schedule: it fires again, from now on. What fell into the pause is not made up for.
#[utoipa::path(post, path = "/schedules/{schedule_id}/resume", tag = "schedules", operation_id = "schedules_resume",
    params(("schedule_id" = Uuid, Path, description = "The schedule")),
    responses((status = 200, description = "The schedule now", body = Schedule)))]
pub(super) async fn resume(
    State(app): State<App>,
    writer: Writer,
    Path(id): Path<Uuid>,
) -> ApiResult<Json<Schedule>> {
    Ok(Json(app.engine.schedule_resume(&writer.caller, id).await?))
}
