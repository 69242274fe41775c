//! Listing and counting tasks.

use axum::extract::State;
use serde::Deserialize;
use taskloom_engine::{OrderBy, PageSpec, TaskFilter};
use taskloom_model::{State as TaskState, Status, Timestamp};
use taskloom_protocol::{Counts, FieldError, Page};
use utoipa::IntoParams;
use uuid::Uuid;

use crate::auth::permission::Reader;
use crate::extract::{Json, Query, in_range};
use crate::problem::{ApiError, ApiResult};
use crate::state::App;

/// Rows that `skip` may jump over; a cursor goes as far as one likes.
const MOST_SKIPPED: u32 = 1_000_000;
/// Tasks on a page unless the client says otherwise, and at most.
const LIMIT: u32 = 50;
const MOST: u32 = 500;

// serde's `flatten` would read every value as text and lose both types and unknown fields; hence one macro for the
// fields that listing and counting share.
macro_rules! query_with_filters {
    ($(#[$doc:meta])* $name:ident { $($(#[$meta:meta])* $field:ident: $type:ty,)* }) => {
        $(#[$doc])*
        #[derive(Default, Deserialize, IntoParams)]
        #[serde(deny_unknown_fields, default)]
        #[into_params(parameter_in = Query)]
        pub(super) struct $name {
            /// Only tasks that are `pending`, `running`, `succeeded`, `failed` or `revoked`.
            #[param(value_type = Option<StatusName>, inline)]
            status: Option<Status>,
            /// Only tasks in this exact state.
            #[param(value_type = Option<StateName>, inline)]
            state: Option<TaskState>,
            /// Only tasks of this handler.
            #[serde(alias = "celery_task_name")]
            #[param(max_length = 200)]
            task: Option<String>,
            /// Only tasks with this label.
            #[param(max_length = 100)]
            task_type: Option<String>,
            /// Only tasks of this queue.
            #[param(max_length = 100)]
            queue: Option<String>,
            /// Only tasks with this tag.
            #[param(max_length = 50)]
            tag: Option<String>,
            /// Only tasks of this user.
            user_id: Option<Uuid>,
            /// Only tasks that this schedule made.
            schedule_id: Option<Uuid>,
            /// Only tasks of this workflow.
            workflow_id: Option<Uuid>,
            /// Only tasks that run this model.
            #[param(max_length = 200)]
            model_id: Option<String>,
            /// Only tasks submitted at or after this time.
            #[param(value_type = Option<String>, format = DateTime)]
            created_after: Option<Timestamp>,
            /// Only tasks submitted before this time.
            #[param(value_type = Option<String>, format = DateTime)]
            created_before: Option<Timestamp>,
            /// Only tasks that ended at or after this time.
            #[param(value_type = Option<String>, format = DateTime)]
            finished_after: Option<Timestamp>,
            /// Only tasks that ended before this time.
            #[param(value_type = Option<String>, format = DateTime)]
            finished_before: Option<Timestamp>,
            /// Only tasks with these words in their name or handler.
            #[param(max_length = 200)]
            q: Option<String>,
            $($(#[$meta])* $field: $type,)*
        }

        impl $name {
            fn filter(&mut self) -> ApiResult<TaskFilter> {
                let filter = TaskFilter {
                    status: self.status,
                    state: self.state,
                    task: self.task.take(),
                    task_type: self.task_type.take(),
                    queue: self.queue.take(),
                    tag: self.tag.take(),
                    user_id: self.user_id,
                    schedule_id: self.schedule_id,
                    workflow_id: self.workflow_id,
                    model_id: self.model_id.take(),
                    created_after: self.created_after,
                    created_before: self.created_before,
                    finished_after: self.finished_after,
                    finished_before: self.finished_before,
                    q: self.q.take(),
                    ..TaskFilter::default()
                };
                check(&filter)?;
                Ok(filter)
            }
        }
    };
}

query_with_filters! {
    /// Which tasks to count.
    CountQuery {}
}

query_with_filters! {
    /// Which tasks to list, and how.
    ListQuery {
        /// Tasks on the page.
        #[param(minimum = 1, maximum = 500, default = 50)]
        limit: Option<u32>,
        /// The `next_cursor` of the page before; belongs to the same filters and order.
        #[param(max_length = 500)]
        cursor: Option<String>,
        /// Jumps over so many tasks; a cursor is faster.
        #[param(minimum = 0, maximum = 1_000_000, default = 0)]
        skip: Option<u32>,
        /// `created_at`, `priority` or `completed_at`.
        #[param(value_type = Option<OrderName>, inline)]
        order_by: Option<String>,
        /// Latest, most urgent first; the default.
        #[param(default = true)]
        order_desc: Option<bool>,
    }
}

/// Tasks, latest first unless asked otherwise. Users see their own; operators and admins see everybody's.
#[utoipa::path(get, path = "/tasks", tag = "tasks", operation_id = "tasks_list", params(ListQuery),
    responses((status = 200, description = "A page of tasks", body = Page)))]
pub(super) async fn list(
    State(app): State<App>,
    Reader(caller): Reader,
    Query(mut query): Query<ListQuery>,
) -> ApiResult<Json<Page>> {
    let filter = query.filter()?;
    let page = query.page()?;
    Ok(Json(app.engine.list(&caller, filter, page).await?))
}

/// How many tasks stand in each status, with the same filters as the list.
#[utoipa::path(get, path = "/tasks/count", tag = "tasks", operation_id = "tasks_count", params(CountQuery),
    responses((status = 200, description = "The counts", body = Counts)))]
pub(super) async fn count(
    State(app): State<App>,
    Reader(caller): Reader,
    Query(mut query): Query<CountQuery>,
) -> ApiResult<Json<Counts>> {
    let filter = query.filter()?;
    Ok(Json(app.engine.count(&caller, filter).await?))
}

impl ListQuery {
    fn page(self) -> ApiResult<PageSpec> {
        let limit = in_range("limit", self.limit.unwrap_or(LIMIT), 1, MOST)?;
        let skip = in_range("skip", self.skip.unwrap_or(0), 0, MOST_SKIPPED)?;
        if self.cursor.is_some() && skip > 0 {
            return Err(ApiError::field(FieldError::query(
                "skip",
                "exclusive",
                "give cursor or skip, not both",
            )));
        }
        let Ok(order_by) = self.order_by.as_deref().unwrap_or("created_at").parse::<OrderBy>() else {
            let msg = "one of created_at, priority, completed_at";
            return Err(ApiError::field(FieldError::query("order_by", "bad_value", msg)));
        };
        Ok(PageSpec {
            limit,
            cursor: self.cursor,
            skip,
            order_by,
            descending: self.order_desc.unwrap_or(true),
        })
    }
}

/// No field of a task is longer, so no longer filter finds one.
fn check(filter: &TaskFilter) -> ApiResult<()> {
    let fields = [
        ("task", &filter.task, 200),
        ("task_type", &filter.task_type, 100),
        ("queue", &filter.queue, 100),
        ("tag", &filter.tag, 50),
        ("model_id", &filter.model_id, 200),
        ("q", &filter.q, 200),
    ];
    let too_long = |text: &Option<String>, most| text.as_ref().is_some_and(|t| t.chars().count() > most);
    let errors: Vec<_> = fields
        .into_iter()
        .filter(|(_, text, most)| too_long(text, *most))
        .map(|(field, _, most)| FieldError::query(field, "too_long", format!("at most {most} characters")))
        .collect();
    if errors.is_empty() { Ok(()) } else { Err(ApiError::fields(errors)) }
}

/// The names of a status, for the document.
#[derive(utoipa::ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(dead_code, reason = "describes Status, never built")]
pub(super) enum StatusName {
    Pending,
    Running,
    Succeeded,
    Failed,
    Revoked,
}

/// The names of a state, for the document.
#[derive(utoipa::ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(dead_code, reason = "describes State, never built")]
pub(super) enum StateName {
    Blocked,
    Scheduled,
    Limited,
    Ready,
    Running,
    Succeeded,
    Failed,
    Revoked,
}

/// The names of an order, for the document.
#[derive(utoipa::ToSchema)]
#[schema(rename_all = "snake_case")]
#[expect(dead_code, reason = "describes OrderBy, never built")]
pub(super) enum OrderName {
    CreatedAt,
    Priority,
    CompletedAt,
}
