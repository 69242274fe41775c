//! Users: oneself, and all of them for admins.

use axum::extract::State;
use axum::response::Response;
use taskloom_protocol::{Code, CreateUser, FieldError, ListUsers, UpdateUser, User, UserPage};
use taskloom_store::{NewUser, StoreError, UserChange};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::auth::length;
use crate::auth::permission::{Admin, Known};
use crate::extract::{Json, Path, Query, created};
use crate::problem::{ApiError, ApiResult};
use crate::state::App;

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(me)).routes(routes!(list, create)).routes(routes!(get, update))
}

/// Oneself.
#[utoipa::path(get, path = "/users/me", tag = "users", operation_id = "users_me",
    responses((status = 200, description = "The user behind the credentials", body = User)))]
async fn me(State(app): State<App>, known: Known) -> ApiResult<Json<User>> {
    by_id(&app, known.user_id).await.map(Json)
}

/// All users, by name.
#[utoipa::path(get, path = "/users", tag = "users", operation_id = "users_list", params(ListUsers),
    responses((status = 200, description = "A page of users", body = UserPage)))]
async fn list(State(app): State<App>, _: Admin, Query(query): Query<ListUsers>) -> ApiResult<Json<UserPage>> {
    let limit = query.limit.unwrap_or(100);
    if !(1..=500).contains(&limit) {
        return Err(ApiError::field(FieldError::query("limit", "out_of_range", "1 to 500")));
    }
    if query.after.as_ref().is_some_and(|name| name.chars().count() > 64) {
        return Err(ApiError::field(FieldError::query("after", "too_long", "at most 64 characters")));
    }
    let items = app.store().user_list(query.after.as_deref(), limit).await?;
    let is_full = items.len() >= limit as usize;
    let next_after = items.last().filter(|_| is_full).map(|user| user.username.clone());
    Ok(Json(UserPage { items, next_after }))
}

/// Create a user.
#[utoipa::path(post, path = "/users", tag = "users", operation_id = "users_create", request_body = CreateUser,
    responses((status = 201, description = "The new user", body = User)))]
async fn create(State(app): State<App>, _: Admin, Json(new): Json<CreateUser>) -> ApiResult<Response> {
    check_new(&new)?;
    create_user(&app, new).await.map(|user| created(&user))
}

/// One user.
#[utoipa::path(get, path = "/users/{user_id}", tag = "users", operation_id = "users_get",
    params(("user_id" = Uuid, Path, description = "The user")),
    responses((status = 200, description = "The user", body = User)))]
async fn get(State(app): State<App>, _: Admin, Path(id): Path<Uuid>) -> ApiResult<Json<User>> {
    by_id(&app, id).await.map(Json)
}

/// Change a user. Another role counts at once; a new password or a deactivation ends all logins.
#[utoipa::path(patch, path = "/users/{user_id}", tag = "users", operation_id = "users_update",
    params(("user_id" = Uuid, Path, description = "The user")), request_body = UpdateUser,
    responses((status = 200, description = "The user now", body = User)))]
async fn update(
    State(app): State<App>,
    admin: Admin,
    Path(id): Path<Uuid>,
    Json(change): Json<UpdateUser>,
) -> ApiResult<Json<User>> {
    check_update(&change)?;
    if id == admin.user_id && (change.role.is_some() || change.is_active == Some(false)) {
        return Err(ApiError::new(
            Code::Conflict,
            "nobody takes the own admin rights away; ask another admin",
        ));
    }
    by_id(&app, id).await?;
    let password_hash = match change.password {
        Some(password) => Some(app.hasher.hash(password).await?),
        None => None,
    };
    let UpdateUser { email, role, is_active, .. } = change;
    app.store().user_update(id, UserChange { email, role, is_active, password_hash }, app.now()).await?;
    app.identities.forget_user(id);
    by_id(&app, id).await.map(Json)
}

async fn by_id(app: &App, id: Uuid) -> ApiResult<User> {
    let row = app.store().user_by_id(id).await?.ok_or_else(ApiError::not_found)?;
    Ok(row.user)
}

/// Hashes the password and keeps the user.
pub(crate) async fn create_user(app: &App, new: CreateUser) -> ApiResult<User> {
    let CreateUser { username, email, password, role } = new;
    let (id, role, created_at) = (Uuid::now_v7(), role.unwrap_or_default(), app.now());
    let password_hash = app.hasher.hash(password).await?;
    let row =
        NewUser { id, username: username.clone(), email: email.clone(), password_hash, role, created_at };
    match app.store().user_create(row).await {
        Ok(()) => Ok(User { id, username, email, role, is_active: true, created_at }),
        Err(StoreError::Duplicate) => Err(ApiError::new(Code::Conflict, "the user name is taken")),
        Err(error) => Err(error.into()),
    }
}

/// The rules of a new user's fields.
pub(crate) fn check_new(new: &CreateUser) -> ApiResult<()> {
    let mut errors = Vec::new();
    errors.extend(length("username", &new.username, 3, 64));
    if !new.username.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c)) {
        errors.push(FieldError::body("username", "bad_character", "letters, digits, '.', '_' and '-' only"));
    }
    errors.extend(length("password", &new.password, 8, 256));
    errors.extend(new.email.as_deref().and_then(check_email));
    if errors.is_empty() { Ok(()) } else { Err(ApiError::fields(errors)) }
}

/// The rule of a new password.
pub(crate) fn check_password(field: &str, password: &str) -> ApiResult<()> {
    length(field, password, 8, 256).map_or(Ok(()), |error| Err(ApiError::field(error)))
}

fn check_update(change: &UpdateUser) -> ApiResult<()> {
    let mut errors = Vec::new();
    errors.extend(change.email.as_deref().and_then(check_email));
    errors.extend(change.password.as_deref().and_then(|p| length("password", p, 8, 256)));
    let UpdateUser { email, role, is_active, password } = change;
    if email.is_none() && role.is_none() && is_active.is_none() && password.is_none() {
        errors.push(FieldError {
            loc: vec!["body".into()],
            msg: "give at least one field to change".into(),
            kind: "missing".into(),
        });
    }
    if errors.is_empty() { Ok(()) } else { Err(ApiError::fields(errors)) }
}

fn check_email(email: &str) -> Option<FieldError> {
    // Whether it is an address only its mail server knows.
    let has_shape = email.split_once('@').is_some_and(|(user, host)| !user.is_empty() && !host.is_empty());
    if !has_shape || email.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Some(FieldError::body("email", "bad_value", "not an e-mail address"));
    }
    length("email", email, 3, 254)
}
