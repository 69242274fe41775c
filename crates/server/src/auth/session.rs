//! What the login calls share: the check of a password, the pair of tokens, its rotation and its end.

use std::net::IpAddr;

use taskloom_model::Timestamp;
use taskloom_protocol::{Code, TokenPair};
use taskloom_store::{LoginRow, UserRow};
use uuid::Uuid;

use crate::auth::jwt::Claims;
use crate::auth::secret::{REFRESH, Secret};
use crate::auth::throttle::{Throttle, Ticket};
use crate::problem::{ApiError, ApiResult};
use crate::state::App;

/// Longer names and passwords belong to nobody; hashing them would only burn time.
const LONGEST: usize = 1_024;

/// Checks the password and opens a login.
pub(super) async fn log_in(app: &App, ip: IpAddr, name: String, password: String) -> ApiResult<TokenPair> {
    let ticket = attempt(app, &name, ip).await?;
    if name.len() > LONGEST || password.len() > LONGEST {
        return Err(bad_credentials());
    }
    let row = app.store().user_by_name(&name).await?;
    let hash = row.as_ref().map(|row| row.password_hash.clone());
    let is_right = app.hasher.verify(password, hash).await?;
    // An inactive user answers like a wrong password: who is not let in learns nothing.
    let row = row.filter(|row| is_right && row.user.is_active).ok_or_else(bad_credentials)?;
    forgive(app, ticket, &name, ip).await;
    open(app, &row).await
}

/// The password was right.
pub(super) async fn forgive(app: &App, ticket: Ticket, name: &str, ip: IpAddr) {
    app.throttle.right(ticket, app.now());
    app.engine.counters().count_reset(&Throttle::shared_key(name, ip)).await;
}

/// Counts an attempt, or says when to come back. Servers that can count together do.
pub(super) async fn attempt(app: &App, name: &str, ip: IpAddr) -> ApiResult<Ticket> {
    let (counters, key) = (app.engine.counters(), Throttle::shared_key(name, ip));
    if let Some((count, _)) = counters.count_get(&key).await {
        app.throttle.learn(name, ip, u32::try_from(count).unwrap_or(u32::MAX), app.now());
    }
    let ticket = attempt_here(app, name, ip)?;
    // Without an answer this server counts alone.
    let _ = counters.count(&key, app.throttle.forget_after()).await;
    Ok(ticket)
}

fn attempt_here(app: &App, name: &str, ip: IpAddr) -> ApiResult<Ticket> {
    app.throttle.attempt(name, ip, app.now()).map_err(|wait| {
        ApiError::new(Code::TooManyRequests, "too many attempts; wait before the next").after(wait)
    })
}

async fn open(app: &App, row: &UserRow) -> ApiResult<TokenPair> {
    let now = app.now();
    let id = Uuid::now_v7();
    let (refresh_token, refresh_hash) = Secret::mint(REFRESH, id);
    let expires_at = now.plus(app.config.refresh_ttl);
    let login =
        LoginRow { id, user_id: row.user.id, refresh_hash, created_at: now, expires_at, revoked_at: None };
    app.store().login_create(login).await?;
    pair(app, row, id, refresh_token, now)
}

/// Trades a refresh token for the next pair; one that was used before ends the login.
pub(super) async fn refresh(app: &App, token: &str) -> ApiResult<TokenPair> {
    let now = app.now();
    let secret = Secret::read(REFRESH, token).ok_or_else(invalid)?;
    let login = app.store().login_by_id(secret.id).await?.ok_or_else(invalid)?;
    if login.revoked_at.is_some() || login.expires_at <= now {
        return Err(invalid());
    }
    let row =
        app.store().user_by_id(login.user_id).await?.filter(|row| row.user.is_active).ok_or_else(invalid)?;
    let (refresh_token, hash) = Secret::mint(REFRESH, login.id);
    let is_current = secret.matches(&login.refresh_hash)
        && app.store().login_rotate(login.id, secret.hash, hash, now.plus(app.config.refresh_ttl)).await?;
    if !is_current {
        tracing::warn!(login = %login.id, user = %login.user_id, "a refresh token was used twice: the login ends");
        revoke(app, login.id).await?;
        return Err(invalid());
    }
    pair(app, &row, login.id, refresh_token, now)
}

/// Ends a login.
pub(super) async fn revoke(app: &App, login: Uuid) -> ApiResult<()> {
    app.store().login_revoke(login, app.now()).await?;
    app.identities.forget_login(login);
    Ok(())
}

fn pair(
    app: &App,
    row: &UserRow,
    login: Uuid,
    refresh_token: String,
    now: Timestamp,
) -> ApiResult<TokenPair> {
    let claims = Claims::new(row.user.id, login, row.token_version, now, now.plus(app.config.access_ttl));
    let access_token =
        app.signer.sign(&claims).ok_or_else(|| ApiError::internal("a token cannot be signed"))?;
    let expires_in = app.config.access_ttl.as_secs();
    Ok(TokenPair { access_token, token_type: "bearer".into(), expires_in, refresh_token })
}

fn bad_credentials() -> ApiError {
    ApiError::new(Code::BadCredentials, "wrong user name or password")
}

fn invalid() -> ApiError {
    ApiError::unauthorized("the refresh token is wrong, expired or used")
}
