//! The worker protocol over HTTP: `protocol::WorkerApi`, one call for each of its methods.

mod check;
mod claim;
mod upload;

use axum::extract::State;
use taskloom_protocol::{
    Beat, BeatAnswer, Code, DrainAnswer, DrainRequest, FinishAnswer, FinishRequest, Register, Registered,
    Spawn, SpawnAnswer, WorkerApi,
};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::auth::permission::WorkerToken;
use crate::extract::Json;
use crate::extract::LargeJson;
use crate::problem::{ApiError, ApiResult};
use crate::state::App;

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(register))
        .routes(routes!(claim::claim))
        .routes(routes!(beat))
        .routes(routes!(finish))
        .routes(routes!(drain))
        .routes(routes!(submit))
        .routes(routes!(upload::put_artifact))
}

/// Introduce a worker; the first call of each boot.
#[utoipa::path(post, path = "/worker/register", tag = "worker", operation_id = "worker_register", request_body = Register,
    responses((status = 200, description = "How to behave", body = Registered)))]
async fn register(
    State(app): State<App>,
    _: WorkerToken,
    LargeJson(hello): LargeJson<Register>,
) -> ApiResult<Json<Registered>> {
    check::register(&hello)?;
    Ok(Json(app.engine.register(hello).await?))
}

/// Renew the leases of the tasks it names, bring progress and log lines, and hear of cancels.
#[utoipa::path(post, path = "/worker/beat", tag = "worker", operation_id = "worker_beat", request_body = Beat,
    responses((status = 200, description = "What to stop", body = BeatAnswer)))]
async fn beat(
    State(app): State<App>,
    _: WorkerToken,
    LargeJson(beat): LargeJson<Beat>,
) -> ApiResult<Json<BeatAnswer>> {
    check::beat(&beat)?;
    Ok(Json(app.engine.beat(beat).await?))
}

/// Report the ends of attempts. Stale ones come back in `lost`; when all are stale the answer is 409 `lease_lost`.
#[utoipa::path(post, path = "/worker/finish", tag = "worker", operation_id = "worker_finish", request_body = FinishRequest,
    responses((status = 200, description = "Which did not count", body = FinishAnswer)))]
async fn finish(
    State(app): State<App>,
    _: WorkerToken,
    LargeJson(request): LargeJson<FinishRequest>,
) -> ApiResult<Json<FinishAnswer>> {
    check::finish(&request)?;
    let reported = request.tasks.len();
    let answer = app.engine.finish(request).await?;
    if answer.lost.len() >= reported {
        return Err(ApiError::new(Code::LeaseLost, "none of these tasks is held under its epoch any more"));
    }
    Ok(Json(answer))
}

/// Give tasks back, or say good-bye.
#[utoipa::path(post, path = "/worker/drain", tag = "worker", operation_id = "worker_drain", request_body = DrainRequest,
    responses((status = 200, description = "Which were no longer held", body = DrainAnswer)))]
async fn drain(
    State(app): State<App>,
    _: WorkerToken,
    LargeJson(request): LargeJson<DrainRequest>,
) -> ApiResult<Json<DrainAnswer>> {
    Ok(Json(app.engine.drain(request).await?))
}

/// Submit tasks on behalf of a running one, all or none.
#[utoipa::path(post, path = "/worker/submit", tag = "worker", operation_id = "worker_submit", request_body = Spawn,
    responses((status = 200, description = "The tasks, in order", body = SpawnAnswer)))]
async fn submit(
    State(app): State<App>,
    _: WorkerToken,
    LargeJson(spawn): LargeJson<Spawn>,
) -> ApiResult<Json<SpawnAnswer>> {
    let items = app.engine.spawn(spawn).await?;
    Ok(Json(SpawnAnswer { items }))
}
