//! Dead letters: listed, run again, put away.

use axum::extract::State;
use serde::Deserialize;
use taskloom_engine::{Fate, PageSpec};
use taskloom_model::{Reason, Timestamp};
use taskloom_protocol::{DeadFilter, FieldError, MoveDead, MovedDead, Page};
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::auth::permission::{Reader, Writer};
use crate::extract::{Json, Query};
use crate::problem::{ApiError, ApiResult};
use crate::state::App;

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(retry)).routes(routes!(discard))
}

/// Which dead letters to list.
#[derive(Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
struct DeadQuery {
    /// Only of this handler.
    #[param(max_length = 200)]
    task: Option<String>,
    /// Only of this queue.
    #[param(max_length = 100)]
    queue: Option<String>,
    /// `error`, `fatal`, `timeout`, `lost` or `poisoned`.
    #[param(value_type = Option<DeadReason>, inline)]
    #[serde(deserialize_with = "taskloom_protocol::dead_reason")]
    reason: Option<Reason>,
    /// Only with an error of this type; `timeout` and `lost` are types too.
    #[param(max_length = 200)]
    error_type: Option<String>,
    /// Only with this tag.
    #[param(max_length = 50)]
    tag: Option<String>,
    /// Only of this user.
    user_id: Option<Uuid>,
    /// Only what failed at or after this time.
    #[param(value_type = Option<String>, format = DateTime)]
    finished_after: Option<Timestamp>,
    /// Only what failed before this time.
    #[param(value_type = Option<String>, format = DateTime)]
    finished_before: Option<Timestamp>,
    /// Tasks on the page.
    #[param(minimum = 1, maximum = 500, default = 50)]
    limit: Option<u32>,
    /// The `next_cursor` of the page before.
    #[param(max_length = 500)]
    cursor: Option<String>,
}

/// The reasons of dead letters, for the document.
#[derive(utoipa::ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(dead_code, reason = "describes Reason, never built")]
enum DeadReason {
    Error,
    Fatal,
    Timeout,
    Lost,
    Poisoned,
}

impl DeadQuery {
    fn split(self) -> ApiResult<(DeadFilter, PageSpec)> {
        let Self { task, queue, reason, error_type, tag, user_id, finished_after, finished_before, .. } =
            self;
        let filter =
            DeadFilter { task, queue, reason, error_type, tag, user_id, finished_after, finished_before };
        let mut errors = filter.check(FieldError::query);
        let limit = self.limit.unwrap_or(50);
        if !(1..=500).contains(&limit) {
            errors.push(FieldError::query("limit", "out_of_range", "1 to 500"));
        }
        if !errors.is_empty() {
            return Err(ApiError::fields(errors));
        }
        Ok((filter, PageSpec { limit, cursor: self.cursor, ..PageSpec::default() }))
    }
}

/// Tasks that failed on their own, the newest first: `reason` is `error`, `fatal`, `timeout`, `lost` or `poisoned`.
#[utoipa::path(get, path = "/dead-letters", tag = "dead letters", operation_id = "dead_letters_list", params(DeadQuery),
    responses((status = 200, description = "A page of tasks", body = Page)))]
async fn list(
    State(app): State<App>,
    Reader(caller): Reader,
    Query(query): Query<DeadQuery>,
) -> ApiResult<Json<Page>> {
    let (filter, page) = query.split()?;
    Ok(Json(app.engine.dead_letters(&caller, filter, page).await?))
}

/// Run dead letters again, with all their attempts. A dry run unless `dry_run` is false.
#[utoipa::path(post, path = "/dead-letters/retry", tag = "dead letters", operation_id = "dead_letters_retry",
    request_body(content = MoveDead, example = json!({"filter": {"task": "demo.fail", "reason": "error"}, "dry_run": true})),
    responses((status = 200, description = "What it did, or would do", body = MovedDead)))]
async fn retry(
    State(app): State<App>,
    writer: Writer,
    Json(request): Json<MoveDead>,
) -> ApiResult<Json<MovedDead>> {
    Ok(Json(app.engine.move_dead(&writer.caller, request, Fate::Retry).await?))
}

/// Put dead letters away, as a delete does. A dry run unless `dry_run` is false.
#[utoipa::path(post, path = "/dead-letters/discard", tag = "dead letters", operation_id = "dead_letters_discard",
    request_body(content = MoveDead, example = json!({"filter": {"error_type": "Boom"}, "dry_run": true})),
    responses((status = 200, description = "What it did, or would do", body = MovedDead)))]
async fn discard(
    State(app): State<App>,
    writer: Writer,
    Json(request): Json<MoveDead>,
) -> ApiResult<Json<MovedDead>> {
    Ok(Json(app.engine.move_dead(&writer.caller, request, Fate::Discard).await?))
}
