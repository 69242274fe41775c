//! Claiming tasks, with a long-poll that loses none of them.

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

async fn claim_for(engine: Engine, request: ClaimRequest, closing: CancellationToken, mut answer: Answer) {
    let session = request.session;
    let given_up = async {
        tokio::select! {
            () = closing.cancelled() => {}
            () = answer.closed() => {}
        }
    };
    let claimed = engine.claim_until(request, given_up).await;
    if let Err(Ok(tasks)) = answer.send(claimed)
        && !tasks.is_empty()
    {
        let tasks = tasks.iter().map(|task| TaskRef { id: task.id, epoch: task.epoch }).collect();
        let back = engine.drain(DrainRequest { session, tasks, leave: false }).await;
        tracing::debug!(%session, ?back, "a worker went away while tasks came for it");
    }
}
