//! Workers as operators see them.

use axum::extract::State;
use http::StatusCode;
use taskloom_protocol::WorkerList;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::auth::permission::Operator;
use crate::extract::{Json, Path};
use crate::problem::ApiResult;
use crate::state::App;

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(drain))
}

/// The workers that registered lately, alive or not.
#[utoipa::path(get, path = "/workers", tag = "workers", operation_id = "workers_list",
    responses((status = 200, description = "The workers", body = WorkerList)))]
async fn list(State(app): State<App>, _: Operator) -> ApiResult<Json<WorkerList>> {
    Ok(Json(WorkerList { items: app.engine.workers().await? }))
}

/// Tell a worker to take no more tasks and to leave when it is done; it hears so with its next heartbeat.
#[utoipa::path(post, path = "/workers/{session}/drain", tag = "workers", operation_id = "workers_drain",
    params(("session" = Uuid, Path, description = "The worker's boot")),
    responses((status = 204, description = "It will be told")))]
async fn drain(State(app): State<App>, _: Operator, Path(session): Path<Uuid>) -> ApiResult<StatusCode> {
    app.engine.drain_worker(session).await?;
    Ok(StatusCode::NO_CONTENT)
}
