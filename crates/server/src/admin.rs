//! What only admins do to the installation as a whole.

use axum::extract::State;
use taskloom_protocol::{FieldError, PruneAnswer, PruneRequest};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::auth::permission::Admin;
use crate::extract::Json;
use crate::problem::{ApiError, ApiResult};
use crate::state::App;

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(prune))
}

/// Forget ended tasks that are past their retention, or count them. The servers do it by themselves every ten minutes.
#[utoipa::path(post, path = "/admin/prune", tag = "admin", operation_id = "admin_prune",
    request_body = PruneRequest,
    responses((status = 200, description = "How many were forgotten, or would be", body = PruneAnswer)))]
async fn prune(
    State(app): State<App>,
    _: Admin,
    Json(request): Json<PruneRequest>,
) -> ApiResult<Json<PruneAnswer>> {
    let limit = request.limit.unwrap_or(1_000);
    if !(1..=10_000).contains(&limit) {
        return Err(ApiError::field(FieldError::body("limit", "out_of_range", "1 to 10000")));
    }
    if request.dry_run.unwrap_or(true) {
        return Ok(Json(app.engine.prune_dry().await?));
    }
    Ok(Json(app.engine.prune_some(limit).await?))
}
