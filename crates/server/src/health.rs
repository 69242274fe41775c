//! Health, for people and for whatever restarts or balances us.

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use http::StatusCode;
use serde::Serialize;
use taskloom_engine::{Check, QueueDepth};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::extract::{Json, json_response};
use crate::problem::{ApiError, ApiResult};
use crate::state::App;

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(health)).routes(routes!(live)).routes(routes!(ready))
}

/// The same at the root, where load balancers look for it; not in the document twice.
pub(crate) fn root_routes() -> Router<App> {
    Router::new()
        .route("/health", get(health))
        .route("/health/live", get(live))
        .route("/health/ready", get(ready))
}

/// The parts and how they are.
#[derive(Serialize, ToSchema)]
struct HealthAnswer {
    /// `ok`; `degraded` if Redis is away and everything goes on slower; `down` if tasks cannot be kept right now.
    #[schema(example = "ok")]
    status: &'static str,
    /// The version of this server.
    version: &'static str,
    /// The database.
    database: Part,
    /// Redis; null where it is not used.
    redis: Option<Part>,
    /// The queue.
    queue: QueuePart,
    /// The workers.
    workers: WorkersPart,
}

/// One part's health.
#[derive(Serialize, ToSchema)]
struct Part {
    /// Whether it works.
    ok: bool,
    /// How long a small call took, in milliseconds.
    latency_ms: f64,
    /// What is wrong, in words.
    detail: Option<String>,
}

/// The queue's health.
#[derive(Serialize, ToSchema)]
struct QueuePart {
    /// The counting of it.
    #[serde(flatten)]
    part: Part,
    /// Tasks that wait for a worker.
    ready: u64,
    /// Tasks that wait for a time.
    scheduled: u64,
    /// Tasks that run.
    running: u64,
}

/// The workers' health.
#[derive(Serialize, ToSchema)]
struct WorkersPart {
    /// The listing of them.
    #[serde(flatten)]
    part: Part,
    /// Workers whose last heartbeat is younger than a lease.
    alive: u32,
}

impl From<Check> for Part {
    fn from(check: Check) -> Self {
        Self { ok: check.ok, latency_ms: check.latency.as_secs_f64() * 1_000.0, detail: check.detail }
    }
}

/// That the process answers.
#[derive(Serialize, ToSchema)]
struct Alive {
    /// Always `ok`.
    #[schema(example = "ok")]
    status: &'static str,
}

/// How every part is.
#[utoipa::path(get, path = "/health", tag = "health", operation_id = "health", security(()),
    responses((status = 200, description = "All is well", body = HealthAnswer),
        (status = 503, description = "The database does not answer", body = HealthAnswer)))]
async fn health(State(app): State<App>) -> Response {
    let health = app.engine.health().await;
    let is_ok = health.database.ok;
    let QueueDepth { ready, scheduled, running, .. } = health.depth;
    let answer = HealthAnswer {
        status: match &health.dispatch {
            _ if !is_ok => "down",
            Some(dispatch) if !dispatch.ok => "degraded",
            _ => "ok",
        },
        version: env!("CARGO_PKG_VERSION"),
        database: health.database.into(),
        redis: health.dispatch.map(Part::from),
        queue: QueuePart { part: health.queue.into(), ready, scheduled, running },
        workers: WorkersPart { part: health.workers.into(), alive: health.alive_workers },
    };
    json_response(if is_ok { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, &answer)
}

/// Whether the process answers at all; if not, restart it.
#[utoipa::path(get, path = "/health/live", tag = "health", operation_id = "health_live", security(()),
    responses((status = 200, description = "It does", body = Alive)))]
async fn live() -> Json<Alive> {
    Json(Alive { status: "ok" })
}

/// Whether to send requests here.
#[utoipa::path(get, path = "/health/ready", tag = "health", operation_id = "health_ready", security(()),
    responses((status = 200, description = "Yes", body = Alive)))]
async fn ready(State(app): State<App>) -> ApiResult<Json<Alive>> {
    if app.engine.is_ready().await {
        Ok(Json(Alive { status: "ok" }))
    } else {
        Err(ApiError::unavailable("the database cannot be written or read right now"))
    }
}
