//! Claiming tasks, with a long-poll that loses none of them.

use std::time::{Duration, Instant};

use axum::extract::State;
use taskloom_engine::Engine;
use taskloom_protocol::{ClaimAnswer, ClaimRequest, Claimed, DrainRequest, TaskRef, WorkerApi, WorkerError};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::auth::permission::WorkerToken;
use crate::extract::{Closing, Json};
use crate::problem::{ApiError, ApiResult};
use crate::state::App;
use crate::worker::check;

/// Between two slices of a long wait the server looks whether it shuts down or the worker has gone.
const SLICE: Duration = Duration::from_secs(1);

/// Take up to `limit` tasks, waiting up to `wait_ms` for the first.
///
/// Tasks that reach a worker which has gone meanwhile are given back at once; should the answer itself be lost on its way,
/// they come back when their lease ends.
#[utoipa::path(post, path = "/worker/claim", tag = "worker", operation_id = "worker_claim", request_body = ClaimRequest,
    responses((status = 200, description = "The tasks; none if none came in time", body = ClaimAnswer)))]
pub(super) async fn claim(
    State(app): State<App>,
    _: WorkerToken,
    Closing(closing): Closing,
    Json(request): Json<ClaimRequest>,
) -> ApiResult<Json<ClaimAnswer>> {
    check::claim(&request)?;
    let (answer, receiver) = oneshot::channel();
    // In a task of its own: a client's disconnect drops the handler, and must not drop a claim half-way.
    tokio::spawn(claim_for(app.engine.clone(), request, closing, answer));
    match receiver.await {
        Ok(tasks) => Ok(Json(ClaimAnswer { tasks: tasks? })),
        Err(_) => Err(ApiError::internal("a claim ended without an answer")),
    }
}

type Answer = oneshot::Sender<Result<Vec<Claimed>, WorkerError>>;

async fn claim_for(engine: Engine, request: ClaimRequest, closing: CancellationToken, answer: Answer) {
    let session = request.session;
    let claimed = wait_for_tasks(&engine, request, &closing, &answer).await;
    if let Err(Ok(tasks)) = answer.send(claimed)
        && !tasks.is_empty()
    {
        let tasks = tasks.iter().map(|task| TaskRef { id: task.id, epoch: task.epoch }).collect();
        let back = engine.drain(DrainRequest { session, tasks, leave: false }).await;
        tracing::debug!(%session, ?back, "a worker went away while tasks came for it");
    }
}

async fn wait_for_tasks(
    engine: &Engine,
    request: ClaimRequest,
    closing: &CancellationToken,
    answer: &Answer,
) -> Result<Vec<Claimed>, WorkerError> {
    let start = Instant::now();
    let patience = Duration::from_millis(request.wait_ms.into());
    loop {
        let left = patience.saturating_sub(start.elapsed());
        let wait_ms = u32::try_from(left.min(SLICE).as_millis()).unwrap_or(0);
        let tasks = engine.claim(ClaimRequest { wait_ms, ..request.clone() }).await?;
        if !tasks.is_empty() || wait_ms == 0 || closing.is_cancelled() || answer.is_closed() {
            return Ok(tasks);
        }
    }
}
