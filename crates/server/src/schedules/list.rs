//! Lists of schedules, of their ticks, and of ticks to come.

use axum::extract::State;
use serde::Deserialize;
use taskloom_engine::{ScheduleFilter, SchedulePageSpec};
use taskloom_protocol::{
    FieldError, ListSchedules, ListTicks, Preview, PreviewSchedule, SchedulePage, TickPage,
};
use utoipa::IntoParams;
use uuid::Uuid;

use crate::auth::permission::Reader;
use crate::extract::{Json, Path, Query, in_range};
use crate::problem::{ApiError, ApiResult};
use crate::state::App;

/// Rows on a page unless the client says otherwise, and at most.
const LIMIT: u32 = 50;
const MOST: u32 = 500;

/// Schedules, latest first. Users see their own; operators and admins see everybody's.
#[utoipa::path(get, path = "/schedules", tag = "schedules", operation_id = "schedules_list", params(ListSchedules),
    responses((status = 200, description = "A page of schedules", body = SchedulePage)))]
pub(super) async fn list(
    State(app): State<App>,
    Reader(caller): Reader,
    Query(query): Query<ListSchedules>,
) -> ApiResult<Json<SchedulePage>> {
    let ListSchedules { schedule_type, enabled, task, name, user_id, limit, cursor } = query;
    for (field, text) in [("task", &task), ("name", &name)] {
        if text.as_ref().is_some_and(|text| text.chars().count() > 200) {
            return Err(ApiError::field(FieldError::query(field, "too_long", "at most 200 characters")));
        }
    }
    let filter = ScheduleFilter { user_id, kind: schedule_type, enabled, task, name };
    Ok(Json(app.engine.schedule_list(&caller, filter, page(limit, cursor)?).await?))
}

/// What became of a schedule's ticks, latest first.
#[utoipa::path(get, path = "/schedules/{schedule_id}/ticks", tag = "schedules", operation_id = "schedules_ticks",
    params(("schedule_id" = Uuid, Path, description = "The schedule"), ListTicks),
    responses((status = 200, description = "A page of ticks", body = TickPage)))]
pub(super) async fn ticks(
    State(app): State<App>,
    Reader(caller): Reader,
    Path(id): Path<Uuid>,
    Query(ListTicks { outcome, limit, cursor }): Query<ListTicks>,
) -> ApiResult<Json<TickPage>> {
    Ok(Json(app.engine.schedule_ticks(&caller, id, outcome, page(limit, cursor)?).await?))
}

/// How many ticks to show.
#[derive(Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(super) struct PreviewQuery {
    /// How many.
    #[param(minimum = 1, maximum = 100, default = 10)]
    count: Option<u32>,
}

/// The next ticks of a schedule, in UTC and as its zone's clocks show them.
#[utoipa::path(get, path = "/schedules/{schedule_id}/preview", tag = "schedules", operation_id = "schedules_preview_one",
    params(("schedule_id" = Uuid, Path, description = "The schedule"), PreviewQuery),
    responses((status = 200, description = "The ticks", body = Preview)))]
pub(super) async fn preview_of(
    State(app): State<App>,
    Reader(caller): Reader,
    Path(id): Path<Uuid>,
    Query(query): Query<PreviewQuery>,
) -> ApiResult<Json<Preview>> {
    Ok(Json(app.engine.schedule_preview(&caller, id, query.count).await?))
}

/// The ticks that a plan would have, without making a schedule of it.
#[utoipa::path(post, path = "/schedules/preview", tag = "schedules", operation_id = "schedules_preview",
    request_body(content = PreviewSchedule, example = json!({"schedule_type": "cron",
        "schedule_config": {"cron_expression": "0 9 * * MON-FRI"}, "timezone": "Europe/Berlin", "count": 3})),
    responses((status = 200, description = "The ticks", body = Preview)))]
pub(super) async fn preview(
    State(app): State<App>,
    _: Reader,
    Json(preview): Json<PreviewSchedule>,
) -> ApiResult<Json<Preview>> {
    Ok(Json(app.engine.plan_preview(&preview)?))
}

fn page(limit: Option<u32>, cursor: Option<String>) -> ApiResult<SchedulePageSpec> {
    let limit = in_range("limit", limit.unwrap_or(LIMIT), 1, MOST)?;
    Ok(SchedulePageSpec { limit, cursor })
}
