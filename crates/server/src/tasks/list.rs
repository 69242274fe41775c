//! Listing and counting tasks.

use axum::extract::State;
use taskloom_engine::{OrderBy, PageSpec, TaskFilter};
use taskloom_protocol::{CountTasks, Counts, FieldError, ListTasks, Page};

use crate::auth::permission::Reader;
use crate::extract::{Json, Query, in_range};
use crate::problem::{ApiError, ApiResult};
use crate::state::App;

/// Rows that `skip` may jump over; a cursor goes as far as one likes.
const MOST_SKIPPED: u32 = 1_000_000;
/// Tasks on a page unless the client says otherwise, and at most.
const LIMIT: u32 = 50;
const MOST: u32 = 500;

/// The filter of a list or of a count, which name the same fields.
macro_rules! filter {
    ($query:expr) => {{
        let query = $query;
        let filter = TaskFilter {
            status: query.status,
            state: query.state,
            task: query.task.take(),
            task_type: query.task_type.take(),
            queue: query.queue.take(),
            tag: query.tag.take(),
            user_id: query.user_id,
            schedule_id: query.schedule_id,
            workflow_id: query.workflow_id,
            model_id: query.model_id.take(),
            created_after: query.created_after,
            created_before: query.created_before,
            finished_after: query.finished_after,
            finished_before: query.finished_before,
            q: query.q.take(),
            ..TaskFilter::default()
        };
        check(&filter).map(|()| filter)
    }};
}

/// Tasks, latest first unless asked otherwise. Users see their own; operators and admins see everybody's.
#[utoipa::path(get, path = "/tasks", tag = "tasks", operation_id = "tasks_list", params(ListTasks),
    responses((status = 200, description = "A page of tasks", body = Page)))]
pub(super) async fn list(
    State(app): State<App>,
    Reader(caller): Reader,
    Query(mut query): Query<ListTasks>,
) -> ApiResult<Json<Page>> {
    let filter = filter!(&mut query)?;
    let page = page(query)?;
    Ok(Json(app.engine.list(&caller, filter, page).await?))
}

/// How many tasks stand in each status, with the same filters as the list.
#[utoipa::path(get, path = "/tasks/count", tag = "tasks", operation_id = "tasks_count", params(CountTasks),
    responses((status = 200, description = "The counts", body = Counts)))]
pub(super) async fn count(
    State(app): State<App>,
    Reader(caller): Reader,
    Query(mut query): Query<CountTasks>,
) -> ApiResult<Json<Counts>> {
    let filter = filter!(&mut query)?;
    Ok(Json(app.engine.count(&caller, filter).await?))
}

fn page(query: ListTasks) -> ApiResult<PageSpec> {
    let limit = in_range("limit", query.limit.unwrap_or(LIMIT), 1, MOST)?;
    let skip = in_range("skip", query.skip.unwrap_or(0), 0, MOST_SKIPPED)?;
    if query.cursor.is_some() && skip > 0 {
        return Err(ApiError::field(FieldError::query("skip", "exclusive", "give cursor or skip, not both")));
    }
    let Ok(order_by) = query.order_by.as_deref().unwrap_or("created_at").parse::<OrderBy>() else {
        let msg = "one of created_at, priority, completed_at";
        return Err(ApiError::field(FieldError::query("order_by", "bad_value", msg)));
    };
    Ok(PageSpec { limit, cursor: query.cursor, skip, order_by, descending: query.order_desc.unwrap_or(true) })
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
