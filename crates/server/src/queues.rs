//! Queues and limits.

use axum::extract::State;
use serde::Deserialize;
use taskloom_model::Limit;
use taskloom_protocol::{LimitList, QueueLimits, QueueList, QueueStats};
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::auth::permission::Operator;
use crate::extract::{Json, Path, Query};
use crate::problem::ApiResult;
use crate::state::App;

/// Limits on one page.
const PAGE: u32 = 100;

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(get))
        .routes(routes!(pause))
        .routes(routes!(resume))
        .routes(routes!(limit))
        .routes(routes!(limits))
}

/// Every queue that is built in, served, paused, limited, or holds something.
#[utoipa::path(get, path = "/queues", tag = "queues", operation_id = "queues_list",
    responses((status = 200, description = "The queues", body = QueueList)))]
async fn list(State(app): State<App>, _: Operator) -> ApiResult<Json<QueueList>> {
    Ok(Json(QueueList { items: app.engine.queues().await? }))
}

/// One queue; one that nobody has used is empty.
#[utoipa::path(get, path = "/queues/{name}", tag = "queues", operation_id = "queues_get",
    params(("name" = String, Path, description = "The queue")),
    responses((status = 200, description = "The queue", body = QueueStats)))]
async fn get(State(app): State<App>, _: Operator, Path(name): Path<String>) -> ApiResult<Json<QueueStats>> {
    Ok(Json(app.engine.queue(&name).await?))
}

/// Pause a queue: nothing of it starts, on any worker; what runs goes on.
#[utoipa::path(post, path = "/queues/{name}/pause", tag = "queues", operation_id = "queues_pause",
    params(("name" = String, Path, description = "The queue")),
    responses((status = 200, description = "The queue", body = QueueStats)))]
async fn pause(State(app): State<App>, _: Operator, Path(name): Path<String>) -> ApiResult<Json<QueueStats>> {
    Ok(Json(app.engine.pause_queue(&name).await?))
}

/// Let a paused queue go on.
#[utoipa::path(post, path = "/queues/{name}/resume", tag = "queues", operation_id = "queues_resume",
    params(("name" = String, Path, description = "The queue")),
    responses((status = 200, description = "The queue", body = QueueStats)))]
async fn resume(
    State(app): State<App>,
    _: Operator,
    Path(name): Path<String>,
) -> ApiResult<Json<QueueStats>> {
    Ok(Json(app.engine.resume_queue(&name).await?))
}

/// Set a queue's limits, across all workers; what is left out is not limited. `{}` removes them.
#[utoipa::path(put, path = "/queues/{name}/limits", tag = "queues", operation_id = "queues_limit",
    params(("name" = String, Path, description = "The queue")), request_body = QueueLimits,
    responses((status = 200, description = "The queue", body = QueueStats)))]
async fn limit(
    State(app): State<App>,
    _: Operator,
    Path(name): Path<String>,
    Json(limits): Json<QueueLimits>,
) -> ApiResult<Json<QueueStats>> {
    Ok(Json(app.engine.limit_queue(&name, limits).await?))
}

/// Which page.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct LimitQuery {
    /// `next_after` of the page before.
    after: Option<String>,
}

/// The limits that tasks named with `concurrency_key` and `rate_key`, how much of each is taken and how many wait.
#[utoipa::path(get, path = "/limits", tag = "queues", operation_id = "limits_list", params(LimitQuery),
    responses((status = 200, description = "The limits", body = LimitList)))]
async fn limits(
    State(app): State<App>,
    _: Operator,
    Query(query): Query<LimitQuery>,
) -> ApiResult<Json<LimitList>> {
    let items = app.engine.limits(query.after, PAGE).await?;
    let name = |kind: Limit, key: &str| format!("{}:{key}", kind.reason().name());
    let last = items.last().filter(|_| items.len() == PAGE as usize);
    let next_after = last.map(|limit| name(limit.kind, &limit.key));
    Ok(Json(LimitList { items, next_after }))
}
