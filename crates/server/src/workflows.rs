//! Workflows: submitted, read, listed, cancelled, run again.

use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use taskloom_protocol::{
    ListWorkflows, RetryWorkflow, SubmitWorkflow, Workflow, WorkflowPage, WorkflowSubmitted, WorkflowVerdict,
};
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::auth::permission::{Reader, Writer};
use crate::extract::{
    IdempotencyKey, Json, LargeJson, OptionalJson, Path, Query, created_or_known, in_range,
};
use crate::problem::ApiResult;
use crate::state::App;

/// Workflows on a page unless the client says otherwise, and at most.
const LIMIT: u32 = 20;
const MOST: u32 = 100;

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(submit, list))
        .routes(routes!(get))
        .routes(routes!(cancel))
        .routes(routes!(retry))
}

/// Submit tasks tied by dependencies, all or none.
///
/// A node waits for those in its `depends_on` and those its arguments refer to: `{"$result": "extract.rows/0"}` anywhere in
/// `args` or `kwargs` stands for what `/rows/0` of the result of `extract` is. With `map`, one child runs for each
/// element of a list; in its arguments `{"$item": "path"}` is the element and `{"$index": true}` its place. Whoever depends
/// on a map waits for all its children, and its result is the list of theirs. `{"$literal": …}` is what it holds, untouched.
#[utoipa::path(post, path = "/workflows", tag = "workflows", operation_id = "workflows_submit",
    params(("Idempotency-Key" = Option<String>, Header, max_length = 200,
        description = "Sending the same request again with the same key answers with the same workflow")),
    request_body(content = SubmitWorkflow, example = json!({"name": "nightly", "tasks": [
        {"key": "extract", "task": "demo.echo", "kwargs": {"rows": [1, 2, 3]}},
        {"key": "each", "task": "demo.echo", "map": {"over": {"$result": "extract.kwargs/rows"}}, "args": [{"$item": ""}]},
        {"key": "report", "task": "demo.echo", "args": [{"$result": "each"}], "on_parent_failure": "continue"}]})),
    responses(
        (status = 201, description = "Submitted", body = WorkflowSubmitted),
        (status = 200, description = "The same key submitted it before", body = WorkflowSubmitted)))]
async fn submit(
    State(app): State<App>,
    writer: Writer,
    IdempotencyKey(key): IdempotencyKey,
    LargeJson(workflow): LargeJson<SubmitWorkflow>,
) -> ApiResult<Response> {
    let submitted = app.engine.submit_workflow(&writer.caller, workflow, key.as_deref()).await?;
    Ok(created_or_known(!submitted.deduplicated, &submitted))
}

/// List workflows, the youngest first, without their nodes.
#[utoipa::path(get, path = "/workflows", tag = "workflows", operation_id = "workflows_list", params(ListWorkflows),
    responses((status = 200, description = "A page", body = WorkflowPage)))]
async fn list(
    State(app): State<App>,
    Reader(caller): Reader,
    Query(query): Query<ListWorkflows>,
) -> ApiResult<Json<WorkflowPage>> {
    let limit = in_range("limit", query.limit.unwrap_or(LIMIT), 1, MOST)?;
    Ok(Json(app.engine.workflows(&caller, query.cursor.as_deref(), limit).await?))
}

/// How to read a workflow.
#[derive(Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
struct GetQuery {
    /// False leaves the nodes out, which may be thousands.
    #[param(default = true)]
    tasks: Option<bool>,
}

/// A workflow: its status and progress, and each node with its task.
#[utoipa::path(get, path = "/workflows/{workflow_id}", tag = "workflows", operation_id = "workflows_get",
    params(("workflow_id" = Uuid, Path, description = "The workflow"), GetQuery),
    responses((status = 200, description = "The workflow", body = Workflow)))]
async fn get(
    State(app): State<App>,
    Reader(caller): Reader,
    Path(id): Path<Uuid>,
    Query(query): Query<GetQuery>,
) -> ApiResult<Json<Workflow>> {
    Ok(Json(app.engine.workflow(&caller, id, query.tasks.unwrap_or(true)).await?))
}

/// How to cancel.
#[derive(Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
struct CancelQuery {
    /// Do not wait for workers: what runs is revoked at once.
    #[param(default = false)]
    force: bool,
}

/// Cancel all tasks of a workflow that have not ended. What its handlers submit from now on is refused.
#[utoipa::path(post, path = "/workflows/{workflow_id}/cancel", tag = "workflows", operation_id = "workflows_cancel",
    params(("workflow_id" = Uuid, Path, description = "The workflow"), CancelQuery),
    responses((status = 200, description = "Cancelled; what runs is told to stop", body = WorkflowVerdict)))]
async fn cancel(
    State(app): State<App>,
    writer: Writer,
    Path(id): Path<Uuid>,
    Query(query): Query<CancelQuery>,
) -> ApiResult<Json<WorkflowVerdict>> {
    Ok(Json(app.engine.cancel_workflow(&writer.caller, id, query.force).await?))
}

/// Run a workflow again: what failed or was revoked, or, from a node, that and all that depends on it. What succeeded
/// stays. The body may be left out.
#[utoipa::path(post, path = "/workflows/{workflow_id}/retry", tag = "workflows", operation_id = "workflows_retry",
    params(("workflow_id" = Uuid, Path, description = "The workflow")), request_body(content = Option<RetryWorkflow>),
    responses((status = 200, description = "It runs again", body = WorkflowVerdict)))]
async fn retry(
    State(app): State<App>,
    writer: Writer,
    Path(id): Path<Uuid>,
    OptionalJson(retry): OptionalJson<RetryWorkflow>,
) -> ApiResult<Json<WorkflowVerdict>> {
    Ok(Json(app.engine.retry_workflow(&writer.caller, id, retry.from).await?))
}
