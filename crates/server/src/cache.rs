//! The result cache: looked at and purged.

use axum::extract::State;
use serde::Deserialize;
use taskloom_engine::{CacheQuery, Caller};
use taskloom_protocol::{CachePage, CachePurged, FieldError};
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::auth::permission::{Reader, Writer};
use crate::extract::{Json, Query, in_range};
use crate::problem::{ApiError, ApiResult};
use crate::state::App;

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list, purge))
}

/// Which calls to list.
#[derive(Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
struct ListQuery {
    /// Only of this handler.
    #[param(max_length = 200)]
    handler: Option<String>,
    /// Only the call with this signature.
    #[param(max_length = 200)]
    signature: Option<String>,
    /// Everybody's, for operators and admins.
    #[param(default = false)]
    all: bool,
    /// Calls on the page.
    #[param(minimum = 1, maximum = 500, default = 50)]
    limit: Option<u32>,
    /// The `next_cursor` of the page before.
    #[param(max_length = 500)]
    cursor: Option<String>,
}

/// Which calls to forget.
#[derive(Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
struct PurgeQuery {
    /// Only of this handler.
    #[param(max_length = 200)]
    handler: Option<String>,
    /// Only the call with this signature.
    #[param(max_length = 200)]
    signature: Option<String>,
    /// Everybody's, for operators and admins.
    #[param(default = false)]
    all: bool,
}

/// The calls that the cache knows, and how this server has answered calls so far.
#[utoipa::path(get, path = "/cache", tag = "cache", operation_id = "cache_list", params(ListQuery),
    responses((status = 200, description = "A page of calls", body = CachePage)))]
async fn list(
    State(app): State<App>,
    Reader(caller): Reader,
    Query(query): Query<ListQuery>,
) -> ApiResult<Json<CachePage>> {
    let ListQuery { handler, signature, all, limit, cursor } = query;
    let limit = in_range("limit", limit.unwrap_or(50), 1, 500)?;
    let query = checked(&caller, handler, signature, all)?;
    Ok(Json(app.engine.cache_list(&caller, query, cursor.as_deref(), limit).await?))
}

/// Forget calls: the next of each makes a task. Without a handler or a signature, all of them. The tasks stay.
#[utoipa::path(delete, path = "/cache", tag = "cache", operation_id = "cache_purge", params(PurgeQuery),
    responses((status = 200, description = "How many were forgotten", body = CachePurged)))]
async fn purge(
    State(app): State<App>,
    writer: Writer,
    Query(query): Query<PurgeQuery>,
) -> ApiResult<Json<CachePurged>> {
    let PurgeQuery { handler, signature, all } = query;
    let query = checked(&writer.caller, handler, signature, all)?;
    Ok(Json(app.engine.cache_purge(&writer.caller, query).await?))
}

fn checked(
    caller: &Caller,
    handler: Option<String>,
    signature: Option<String>,
    everybody: bool,
) -> ApiResult<CacheQuery> {
    if everybody && !caller.all {
        return Err(ApiError::forbidden("only operators and admins see everybody's calls"));
    }
    let fields = [("handler", &handler), ("signature", &signature)];
    let too_long = |text: &Option<String>| text.as_ref().is_some_and(|text| text.chars().count() > 200);
    let errors: Vec<FieldError> = fields
        .into_iter()
        .filter(|(_, text)| too_long(text))
        .map(|(field, _)| FieldError::query(field, "too_long", "at most 200 characters"))
        .collect();
    if !errors.is_empty() {
        return Err(ApiError::fields(errors));
    }
    Ok(CacheQuery { handler, signature, everybody })
}
