//! Reading one task and its history.

use std::time::Duration;

use axum::extract::State;
use serde::Deserialize;
use taskloom_protocol::{Attempts, Explanation, FieldError, Logs, Task};
use utoipa::IntoParams;
use uuid::Uuid;

use crate::auth::permission::Reader;
use crate::extract::{Closing, Json, Path, Query, in_range};
use crate::problem::{ApiError, ApiResult};
use crate::state::App;

/// How to read one task.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct GetQuery {
    /// Answer when the task has ended, or after so many seconds.
    #[param(minimum = 0, maximum = 60, default = 0)]
    wait: Option<u32>,
}

/// One task, with all that is known of it.
#[utoipa::path(get, path = "/tasks/{task_id}", tag = "tasks", operation_id = "tasks_get",
    params(("task_id" = Uuid, Path, description = "The task"), GetQuery),
    responses((status = 200, description = "The task", body = Task)))]
pub(super) async fn get(
    State(app): State<App>,
    Reader(caller): Reader,
    Path(id): Path<Uuid>,
    Query(query): Query<GetQuery>,
    Closing(closing): Closing,
) -> ApiResult<Json<Task>> {
    let Some(wait) = query.wait.filter(|&seconds| seconds > 0) else {
        return Ok(Json(app.engine.get(&caller, id).await?));
    };
    if wait > 60 {
        return Err(ApiError::field(FieldError::query("wait", "out_of_range", "seconds from 0 to 60")));
    }
    tokio::select! {
        task = app.engine.wait(&caller, id, Duration::from_secs(wait.into())) => Ok(Json(task?)),
        () = closing.cancelled() => Ok(Json(app.engine.get(&caller, id).await?)),
    }
}

/// The attempts of a task.
#[utoipa::path(get, path = "/tasks/{task_id}/attempts", tag = "tasks", operation_id = "tasks_attempts",
    params(("task_id" = Uuid, Path, description = "The task")),
    responses((status = 200, description = "The attempts, first to last", body = Attempts)))]
pub(super) async fn attempts(
    State(app): State<App>,
    Reader(caller): Reader,
    Path(id): Path<Uuid>,
) -> ApiResult<Json<Attempts>> {
    Ok(Json(Attempts { items: app.engine.attempts(&caller, id).await? }))
}

/// Which log lines to read.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct LogsQuery {
    /// Only lines after this position: the `next_after` of the answer before.
    #[serde(default)]
    after: u64,
    /// Lines in the answer.
    #[param(minimum = 1, maximum = 1_000, default = 1_000)]
    limit: Option<u32>,
}

/// The log lines of a task, oldest first.
#[utoipa::path(get, path = "/tasks/{task_id}/logs", tag = "tasks", operation_id = "tasks_logs",
    params(("task_id" = Uuid, Path, description = "The task"), LogsQuery),
    responses((status = 200, description = "The lines", body = Logs)))]
pub(super) async fn logs(
    State(app): State<App>,
    Reader(caller): Reader,
    Path(id): Path<Uuid>,
    Query(query): Query<LogsQuery>,
) -> ApiResult<Json<Logs>> {
    let limit = in_range("limit", query.limit.unwrap_or(1_000), 1, 1_000)?;
    if i64::try_from(query.after).is_err() {
        return Err(ApiError::field(FieldError::query(
            "after",
            "out_of_range",
            "not a position of this log",
        )));
    }
    let (items, next_after) = app.engine.logs(&caller, id, query.after, limit).await?;
    Ok(Json(Logs { items, next_after }))
}

/// Why a task is where it is: in words for people, in codes for programs.
#[utoipa::path(get, path = "/tasks/{task_id}/explain", tag = "tasks", operation_id = "tasks_explain",
    params(("task_id" = Uuid, Path, description = "The task")),
    responses((status = 200, description = "The explanation", body = Explanation)))]
pub(super) async fn explain(
    State(app): State<App>,
    Reader(caller): Reader,
    Path(id): Path<Uuid>,
) -> ApiResult<Json<Explanation>> {
    Ok(Json(app.engine.explain(&caller, id).await?))
}
