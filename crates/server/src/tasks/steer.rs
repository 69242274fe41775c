//! Changing, cancelling, retrying and removing tasks.

use axum::extract::State;
use http::StatusCode;
use serde::Deserialize;
use taskloom_model::{Permission, State as TaskState};
use taskloom_protocol::{Change, Task, Verdict};
use utoipa::IntoParams;
use uuid::Uuid;

use crate::auth::permission::Writer;
use crate::extract::{Json, Path, Query};
use crate::problem::{ApiError, ApiResult};
use crate::state::App;

/// Change a task: priority, queue and time while it waits; progress and result, reported from outside, while it runs.
#[utoipa::path(patch, path = "/tasks/{task_id}", tag = "tasks", operation_id = "tasks_change",
    params(("task_id" = Uuid, Path, description = "The task")), request_body = Change,
    responses((status = 200, description = "The task now", body = Task)))]
pub(super) async fn change(
    State(app): State<App>,
    writer: Writer,
    Path(id): Path<Uuid>,
    Json(change): Json<Change>,
) -> ApiResult<Json<Task>> {
    Ok(Json(app.engine.change(&writer.caller, id, change).await?))
}

/// How to cancel.
#[derive(Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(super) struct CancelQuery {
    /// Do not wait for the worker: the task is revoked at once, and what its handler still does counts no more.
    #[param(default = false)]
    force: bool,
}

/// Cancel a task. One that waits is revoked at once; of one that runs, the worker is told to stop it.
#[utoipa::path(post, path = "/tasks/{task_id}/cancel", tag = "tasks", operation_id = "tasks_cancel",
    params(("task_id" = Uuid, Path, description = "The task"), CancelQuery),
    responses((status = 200, description = "Cancelled, or told to stop", body = Verdict)))]
pub(super) async fn cancel(
    State(app): State<App>,
    writer: Writer,
    Path(id): Path<Uuid>,
    Query(query): Query<CancelQuery>,
) -> ApiResult<Json<Verdict>> {
    let task = app.engine.cancel(&writer.caller, id, query.force).await?;
    let message = if task.state == TaskState::Revoked {
        "task cancelled"
    } else {
        "cancel requested; its worker stops it"
    };
    Ok(Json(Verdict { success: true, message: message.into(), task }))
}

/// Run a task again that has ended.
#[utoipa::path(post, path = "/tasks/{task_id}/retry", tag = "tasks", operation_id = "tasks_retry",
    params(("task_id" = Uuid, Path, description = "The task")),
    responses((status = 200, description = "It waits for a worker again", body = Verdict)))]
pub(super) async fn retry(
    State(app): State<App>,
    writer: Writer,
    Path(id): Path<Uuid>,
) -> ApiResult<Json<Verdict>> {
    let task = app.engine.retry(&writer.caller, id).await?;
    Ok(Json(Verdict { success: true, message: "task will run again".into(), task }))
}

/// How to remove.
#[derive(Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(super) struct DeleteQuery {
    /// For good, with its history and files; admins only.
    #[param(default = false)]
    purge: bool,
}

/// Remove a task; one that has not ended is cancelled first.
#[utoipa::path(delete, path = "/tasks/{task_id}", tag = "tasks", operation_id = "tasks_delete",
    params(("task_id" = Uuid, Path, description = "The task"), DeleteQuery),
    responses((status = 204, description = "Removed")))]
pub(super) async fn delete(
    State(app): State<App>,
    writer: Writer,
    Path(id): Path<Uuid>,
    Query(query): Query<DeleteQuery>,
) -> ApiResult<StatusCode> {
    if !query.purge {
        app.engine.delete(&writer.caller, id).await?;
    } else if writer.role.allows(Permission::TaskPurge) {
        app.engine.purge(id).await?;
    } else {
        return Err(ApiError::forbidden("only admins remove tasks for good"));
    }
    Ok(StatusCode::NO_CONTENT)
}
