//! The result cache: looked at and purged.

use axum::extract::State;
use taskloom_engine::{CacheQuery, Caller};
use taskloom_protocol::{CachePage, CachePurged, FieldError, ListCache, PurgeCache};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::auth::permission::{Reader, Writer};
use crate::extract::{Json, Query, in_range};
use crate::problem::{ApiError, ApiResult};
use crate::state::App;

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list, purge))
}

/// The calls that the cache knows, and how this server has answered calls so far.
#[utoipa::path(get, path = "/cache", tag = "cache", operation_id = "cache_list", params(ListCache),
    responses((status = 200, description = "A page of calls", body = CachePage)))]
async fn list(
    State(app): State<App>,
    Reader(caller): Reader,
    Query(query): Query<ListCache>,
) -> ApiResult<Json<CachePage>> {
    let ListCache { handler, signature, all, limit, cursor } = query;
    let limit = in_range("limit", limit.unwrap_or(50), 1, 500)?;
    let query = checked(&caller, handler, signature, all)?;
    Ok(Json(app.engine.cache_list(&caller, query, cursor.as_deref(), limit).await?))
}

/// Forget calls: the next of each makes a task. Without a handler or a signature, all of them. The tasks stay.
#[utoipa::path(delete, path = "/cache", tag = "cache", operation_id = "cache_purge", params(PurgeCache),
    responses((status = 200, description = "How many were forgotten", body = CachePurged)))]
async fn purge(
    State(app): State<App>,
    writer: Writer,
    Query(query): Query<PurgeCache>,
) -> ApiResult<Json<CachePurged>> {
    let PurgeCache { handler, signature, all } = query;
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
