//! API keys: credentials for programs, with scopes within their owner's role.

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use taskloom_model::{Permission, Role};
use taskloom_protocol::{ApiKey, ApiKeyList, Code, CreateApiKey, FieldError, NewApiKey, Scope};
use taskloom_store::ApiKeyRow;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::auth::length;
use crate::auth::permission::SignedIn;
use crate::auth::secret::{API_KEY, Secret};
use crate::extract::{Json, Path, created};
use crate::problem::{ApiError, ApiResult};
use crate::state::App;

/// Keys that one user may hold at once, revoked ones aside.
const MOST: usize = 200;

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(revoke))
}

/// One's own keys, without their secrets.
#[utoipa::path(get, path = "/api-keys", tag = "api-keys", operation_id = "api_keys_list",
    responses((status = 200, description = "The keys", body = ApiKeyList)))]
async fn list(State(app): State<App>, user: SignedIn) -> ApiResult<Json<ApiKeyList>> {
    Ok(Json(ApiKeyList { items: app.store().api_key_list(user.user_id).await? }))
}

/// Create a key. The answer shows the secret, once and never again.
#[utoipa::path(post, path = "/api-keys", tag = "api-keys", operation_id = "api_keys_create", request_body = CreateApiKey,
    responses((status = 201, description = "The key with its secret", body = NewApiKey)))]
async fn create(
    State(app): State<App>,
    user: SignedIn,
    Json(new): Json<CreateApiKey>,
) -> ApiResult<Response> {
    let now = app.now();
    check(&new)?;
    allow(user.role, &new.scopes)?;
    if new.expires_at.is_some_and(|end| end <= now) {
        return Err(ApiError::field(FieldError::body("expires_at", "out_of_range", "must lie ahead")));
    }
    let held = app.store().api_key_list(user.user_id).await?;
    if held.iter().filter(|key| key.revoked_at.is_none()).count() >= MOST {
        return Err(ApiError::new(Code::Conflict, format!("at most {MOST} keys at once; revoke one first")));
    }
    let id = Uuid::now_v7();
    let (key, secret_hash) = Secret::mint(API_KEY, id);
    let CreateApiKey { name, scopes, expires_at } = new;
    let api_key =
        ApiKey { id, name, scopes, user_id: user.user_id, created_at: now, expires_at, revoked_at: None };
    app.store().api_key_create(ApiKeyRow { api_key: api_key.clone(), secret_hash }).await?;
    Ok(created(&NewApiKey { api_key, key }))
}

/// Revoke a key, at once and for good.
#[utoipa::path(delete, path = "/api-keys/{key_id}", tag = "api-keys", operation_id = "api_keys_revoke",
    params(("key_id" = Uuid, Path, description = "The key")),
    responses((status = 204, description = "Revoked")))]
async fn revoke(State(app): State<App>, user: SignedIn, Path(id): Path<Uuid>) -> ApiResult<StatusCode> {
    let row = app.store().api_key_by_id(id).await?.ok_or_else(ApiError::not_found)?;
    if row.api_key.user_id != user.user_id && !user.role.allows(Permission::UserManage) {
        return Err(ApiError::not_found());
    }
    app.store().api_key_revoke(id, app.now()).await?;
    app.identities.forget_api_key(id);
    Ok(StatusCode::NO_CONTENT)
}

fn check(new: &CreateApiKey) -> ApiResult<()> {
    let mut errors = Vec::new();
    errors.extend(length("name", &new.name, 1, 100));
    if new.name.chars().any(char::is_control) {
        errors.push(FieldError::body("name", "bad_character", "control characters are not allowed"));
    }
    let mut scopes = new.scopes.clone();
    scopes.sort_by_key(|scope| scope.name());
    scopes.dedup();
    if new.scopes.is_empty() {
        errors.push(FieldError::body("scopes", "too_short", "give at least one scope"));
    } else if scopes.len() < new.scopes.len() {
        errors.push(FieldError::body("scopes", "bad_value", "a scope is named twice"));
    } else if scopes.contains(&Scope::Worker) && scopes.len() > 1 {
        errors.push(FieldError::body("scopes", "exclusive", "worker stands alone"));
    }
    if errors.is_empty() { Ok(()) } else { Err(ApiError::fields(errors)) }
}

/// Nobody mints a key that may do more than its owner.
fn allow(role: Role, scopes: &[Scope]) -> ApiResult<()> {
    let needs = |scope: &Scope| match scope {
        Scope::TasksRead => Permission::TaskRead,
        Scope::TasksWrite => Permission::TaskWrite,
        Scope::Worker => Permission::WorkerManage,
    };
    if scopes.iter().all(|scope| role.allows(needs(scope))) {
        Ok(())
    } else {
        Err(ApiError::forbidden("your role does not allow one of these scopes"))
    }
}
