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
    let mut errors = Vec::new();
    if handler.as_ref().is_some_and(|name| name.chars().count() > 200) {
        errors.push(FieldError::query("handler", "too_long", "at most 200 characters"));
    }
    if signature.as_deref().is_some_and(|text| !is_signature(text)) {
        let rule = "64 hexadecimal digits, as GET /cache lists it";
        errors.push(FieldError::query("signature", "bad_value", rule));
    }
    if !errors.is_empty() {
        return Err(ApiError::fields(errors));
    }
    let signature = signature.map(|text| text.to_ascii_lowercase());
    Ok(CacheQuery { handler, signature, everybody })
}

/// Whether it can be a call's signature; one that was cut off would pass for a call that the cache does not know.
fn is_signature(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}
