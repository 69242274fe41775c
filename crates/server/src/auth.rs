//! Logins: tokens for a password, the next pair for a refresh token, and the end of it.

pub(crate) mod identity;
pub(crate) mod jwt;
pub(crate) mod password;
pub(crate) mod permission;
pub(crate) mod secret;
mod session;
pub(crate) mod throttle;

use std::net::IpAddr;

use axum::extract::{FromRequestParts, State};
use axum::response::Response;
use http::StatusCode;
use http::request::Parts;
use serde::Deserialize;
use taskloom_model::Role;
use taskloom_protocol::{Code, CreateUser, FieldError, Login, PasswordChange, Refresh, TokenPair, User};
use taskloom_store::UserChange;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::auth::permission::SignedIn;
use crate::extract::{Form, Json, created};
use crate::problem::{ApiError, ApiResult};
use crate::state::App;
use crate::users;

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(token))
        .routes(routes!(login))
        .routes(routes!(login_json))
        .routes(routes!(refresh))
        .routes(routes!(logout))
        .routes(routes!(register))
        .routes(routes!(password_change))
}

/// The form of the OAuth 2 password flow. Fields that OAuth 2 clients add are read and ignored.
#[derive(Deserialize, ToSchema)]
pub(crate) struct PasswordForm {
    /// The user's name.
    #[schema(max_length = 64, example = "admin")]
    username: String,
    /// The password.
    #[schema(max_length = 256)]
    password: String,
}

/// The client's address, which the throttle counts by.
pub(crate) struct ClientIp(IpAddr);

impl FromRequestParts<App> for ClientIp {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> ApiResult<Self> {
        Ok(Self(app.client_ip(parts)))
    }
}

/// Trade a user name and a password for tokens.
#[utoipa::path(post, path = "/auth/token", tag = "auth", operation_id = "auth_token", security(()),
    request_body(content = PasswordForm, content_type = "application/x-www-form-urlencoded"),
    responses((status = 200, description = "A pair of tokens", body = TokenPair)))]
async fn token(
    State(app): State<App>,
    ip: ClientIp,
    Form(form): Form<PasswordForm>,
) -> ApiResult<Json<TokenPair>> {
    session::log_in(&app, ip.0, form.username, form.password).await.map(Json)
}

/// Log in with a form, like `/auth/token`.
#[utoipa::path(post, path = "/auth/login", tag = "auth", operation_id = "auth_login", security(()),
    request_body(content = PasswordForm, content_type = "application/x-www-form-urlencoded"),
    responses((status = 200, description = "A pair of tokens", body = TokenPair)))]
async fn login(
    State(app): State<App>,
    ip: ClientIp,
    Form(form): Form<PasswordForm>,
) -> ApiResult<Json<TokenPair>> {
    session::log_in(&app, ip.0, form.username, form.password).await.map(Json)
}

/// Log in with JSON, like `/auth/token`.
#[utoipa::path(post, path = "/auth/login/json", tag = "auth", operation_id = "auth_login_json", security(()),
    request_body = Login, responses((status = 200, description = "A pair of tokens", body = TokenPair)))]
async fn login_json(
    State(app): State<App>,
    ip: ClientIp,
    Json(login): Json<Login>,
) -> ApiResult<Json<TokenPair>> {
    session::log_in(&app, ip.0, login.username, login.password).await.map(Json)
}

/// Trade a refresh token for the next pair. It works once: a second use ends the login, since one of the two was a thief.
#[utoipa::path(post, path = "/auth/refresh", tag = "auth", operation_id = "auth_refresh", security(()),
    request_body = Refresh, responses((status = 200, description = "The next pair of tokens", body = TokenPair)))]
async fn refresh(State(app): State<App>, Json(refresh): Json<Refresh>) -> ApiResult<Json<TokenPair>> {
    session::refresh(&app, &refresh.refresh_token).await.map(Json)
}

/// End this login: its access and refresh tokens are void at once.
#[utoipa::path(post, path = "/auth/logout", tag = "auth", operation_id = "auth_logout",
    responses((status = 204, description = "Logged out")))]
async fn logout(State(app): State<App>, user: SignedIn) -> ApiResult<StatusCode> {
    session::revoke(&app, user.login).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Create an account for oneself, where the operator allows it.
#[utoipa::path(post, path = "/auth/register", tag = "auth", operation_id = "auth_register", security(()),
    request_body = CreateUser, responses((status = 201, description = "The new user", body = User)))]
async fn register(State(app): State<App>, ip: ClientIp, Json(new): Json<CreateUser>) -> ApiResult<Response> {
    if !app.config.allow_registration {
        return Err(ApiError::forbidden("registration is switched off; ask an admin for an account"));
    }
    if new.role.is_some_and(|role| role != Role::User) {
        return Err(ApiError::forbidden("only an admin gives a role"));
    }
    users::check_new(&new)?;
    // Counted like a wrong password and never forgiven: accounts are not made by the hundred.
    session::attempt(&app, &new.username, ip.0).await?.wrong().await;
    users::create_user(&app, new).await.map(|user| created(&user))
}

/// Change one's own password. All logins end, this one too.
#[utoipa::path(post, path = "/auth/password-change", tag = "auth", operation_id = "auth_password_change",
    request_body = PasswordChange, responses((status = 204, description = "Changed; log in again")))]
async fn password_change(
    State(app): State<App>,
    user: SignedIn,
    ip: ClientIp,
    Json(change): Json<PasswordChange>,
) -> ApiResult<StatusCode> {
    users::check_password("new_password", &change.new_password)?;
    let row = app.store().user_by_id(user.user_id).await?.ok_or_else(ApiError::not_found)?;
    let tried = session::attempt(&app, &row.user.username, ip.0).await?;
    match app.hasher.verify(change.old_password, Some(row.password_hash)).await {
        Ok(true) => tried.right().await,
        Ok(false) => {
            tried.wrong().await;
            return Err(ApiError::new(Code::BadCredentials, "the old password is wrong"));
        }
        Err(error) => {
            tried.unknown();
            return Err(error);
        }
    }
    let password_hash = Some(app.hasher.hash(change.new_password).await?);
    app.store()
        .user_update(user.user_id, UserChange { password_hash, ..UserChange::default() }, app.now())
        .await?;
    app.identities.forget_user(user.user_id);
    Ok(StatusCode::NO_CONTENT)
}

/// A length rule of an account's field, in characters.
pub(crate) fn length(field: &str, text: &str, least: usize, most: usize) -> Option<FieldError> {
    let count = text.chars().count();
    let (kind, msg) = if count < least {
        ("too_short", format!("at least {least} characters"))
    } else if count > most {
        ("too_long", format!("at most {most} characters"))
    } else if text.contains('\0') {
        ("bad_character", "a NUL character is not allowed".into())
    } else {
        return None;
    };
    Some(FieldError::body(field, kind, msg))
}
