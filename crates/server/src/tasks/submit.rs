//! Submitting tasks.

use axum::extract::State;
use axum::response::Response;
use taskloom_model::CacheOutcome;
use taskloom_protocol::{Batch, BatchAnswer, SubmitTask, Task};

use crate::auth::permission::Writer;
use crate::extract::{IdempotencyKey, Json, LargeJson, created_or_known};
use crate::problem::ApiResult;
use crate::state::App;

/// Submit a task.
///
/// 201 once it is safely stored. 200 with the task that exists already if the `Idempotency-Key` was sent before or a
/// task with the same `unique_key` has not ended (`deduplicated_by` says which), or if the call is answered from the
/// cache (`cache` says how). 409 `unique_key_taken` if the key is taken and the task asked to be refused then.
#[utoipa::path(post, path = "/tasks", tag = "tasks", operation_id = "tasks_submit",
    params(("Idempotency-Key" = Option<String>, Header, max_length = 200,
        description = "Sending the same request again with the same key answers with the same task")),
    request_body(content = SubmitTask, example = json!({
        "task": "demo.sleep", "args": [60], "kwargs": {"steps": 10}, "name": "a nap", "priority": "normal"})),
    responses(
        (status = 201, description = "Submitted", body = Task),
        (status = 200, description = "It exists already", body = Task)))]
pub(super) async fn submit(
    State(app): State<App>,
    writer: Writer,
    IdempotencyKey(key): IdempotencyKey,
    Json(task): Json<SubmitTask>,
) -> ApiResult<Response> {
    let submitted = app.engine.submit(&writer.caller, task, key.as_deref()).await?;
    Ok(created_or_known(submitted.created, &submitted.task))
}

/// Submit up to 10,000 tasks, all or none.
#[utoipa::path(post, path = "/tasks/batch", tag = "tasks", operation_id = "tasks_submit_batch",
    params(("Idempotency-Key" = Option<String>, Header, max_length = 200,
        description = "Sending the same request again with the same key answers with the same tasks")),
    request_body(content = Batch, example = json!({"tasks": [{"task": "demo.echo", "args": [1]}, {"task": "demo.echo"}]})),
    responses(
        (status = 201, description = "Submitted, in the order they were sent", body = BatchAnswer),
        (status = 200, description = "All of them were there already", body = BatchAnswer)))]
pub(super) async fn batch(
    State(app): State<App>,
    writer: Writer,
    IdempotencyKey(key): IdempotencyKey,
    LargeJson(batch): LargeJson<Batch>,
) -> ApiResult<Response> {
    let items = app.engine.submit_batch(&writer.caller, batch.tasks, key.as_deref()).await?;
    let was_there = |task: &Task| {
        let is_answered = matches!(task.cache, Some(CacheOutcome::Hit | CacheOutcome::Joined));
        task.deduplicated_by.is_some() || is_answered
    };
    Ok(created_or_known(!items.iter().all(was_there), &BatchAnswer { items }))
}
