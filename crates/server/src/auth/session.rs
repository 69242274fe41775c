//! What the login calls share: the check of a password, the pair of tokens, its rotation and its end.

use std::net::IpAddr;
use std::time::Duration;

use taskloom_model::Timestamp;
use taskloom_protocol::{Code, TokenPair};
use taskloom_store::{LoginRow, UserRow};
use tokio::time::{Instant, timeout_at};
use uuid::Uuid;

use crate::auth::jwt::Claims;
use crate::auth::secret::{REFRESH, Secret};
use crate::auth::throttle::{Refusal, Throttle, Ticket};
use crate::problem::{ApiError, ApiResult};
use crate::state::App;

/// Longer names and passwords belong to nobody; hashing them would only burn time.
const LONGEST: usize = 1_024;

/// The longest wait for the end of other attempts.
const PATIENCE: Duration = Duration::from_secs(10);
/// When to come back if that was not enough.
const SOON: Duration = Duration::from_secs(1);

/// An attempt that was let through. Dropped without a word, as when the client goes away, it counts as wrong here.
pub(super) struct Attempt<'a> {
    app: &'a App,
    ticket: Ticket<'a>,
    shared: String,
}

impl Attempt<'_> {
    /// The password was right: the user is forgiven, on all servers.
    pub(super) async fn right(self) {
        // First there: who is woken by the end of this attempt asks for the count.
        self.app.engine.counters().count_reset(&self.shared).await;
        self.ticket.right();
    }

    /// The password was wrong: counted on all servers.
    pub(super) async fn wrong(self) {
        // First here: or the count that comes back would be counted once more.
        self.ticket.wrong();
        // Without an answer this server counts alone.
        let _ = self.app.engine.counters().count(&self.shared, self.app.throttle.forget_after()).await;
    }

    /// The password could not be checked.
    pub(super) fn unknown(self) {
        self.ticket.unknown();
    }
}

/// Checks the password and opens a login.
pub(super) async fn log_in(app: &App, ip: IpAddr, name: String, password: String) -> ApiResult<TokenPair> {
    let tried = attempt(app, &name, ip).await?;
    match check(app, &name, password).await {
        Ok(Some(row)) => {
            tried.right().await;
            open(app, &row).await
        }
        Ok(None) => {
            tried.wrong().await;
            Err(bad_credentials())
        }
        Err(error) => {
            tried.unknown();
            Err(error)
        }
    }
}

/// The user, if the password is right.
async fn check(app: &App, name: &str, password: String) -> ApiResult<Option<UserRow>> {
    if name.len() > LONGEST || password.len() > LONGEST {
        return Ok(None);
    }
    let row = app.store().user_by_name(name).await?;
    let hash = row.as_ref().map(|row| row.password_hash.clone());
    let is_right = app.hasher.verify(password, hash).await?;
    // An inactive user answers like a wrong password: who is not let in learns nothing.
    Ok(row.filter(|row| is_right && row.user.is_active))
}

/// Lets an attempt through, or says when to come back. Servers that can count together do.
///
/// Whoever would have to wait only because others are under way waits here, and is judged by how they end.
pub(super) async fn attempt<'a>(app: &'a App, name: &str, ip: IpAddr) -> ApiResult<Attempt<'a>> {
    let (counters, shared) = (app.engine.counters(), Throttle::shared_key(name, ip));
    let last = Instant::now() + PATIENCE;
    loop {
        if let Some((count, _)) = counters.count_get(&shared).await {
            app.throttle.learn(name, ip, u32::try_from(count).unwrap_or(u32::MAX), app.now());
        }
        let ended = match app.throttle.attempt(name, ip, app.now()) {
            Ok(ticket) => return Ok(Attempt { app, ticket, shared }),
            Err(Refusal::Wait(wait)) => return Err(too_many(wait)),
            Err(Refusal::UnderWay(ended)) => ended,
        };
        let Some(_place) = app.throttle.place() else { return Err(too_many(SOON)) };
        if timeout_at(last, ended).await.is_err() {
            return Err(too_many(SOON));
        }
    }
}

fn too_many(wait: Duration) -> ApiError {
    ApiError::new(Code::TooManyRequests, "too many attempts; wait before the next").after(wait)
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
