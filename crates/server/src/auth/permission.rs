//! Permissions as extractors: a handler's signature says who may call it.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use http::request::Parts;
use taskloom_engine::Caller;
use taskloom_model::{Permission, Role};
use taskloom_protocol::Scope;
use uuid::Uuid;

use crate::auth::identity::{Credential, Identity};
use crate::problem::{ApiError, ApiResult};
use crate::state::App;

/// May read tasks: everybody with a login, and API keys with `tasks:read`.
pub(crate) struct Reader(pub(crate) Caller);

/// May submit and steer tasks: users and above, and API keys with `tasks:write`.
pub(crate) struct Writer {
    pub(crate) caller: Caller,
    pub(crate) role: Role,
}

/// May see and drain workers: operators and above, with a login.
pub(crate) struct Operator;

/// May manage users: admins, with a login.
pub(crate) struct Admin {
    pub(crate) user_id: Uuid,
}

/// Somebody with a login, to manage the own account.
pub(crate) struct SignedIn {
    pub(crate) user_id: Uuid,
    pub(crate) role: Role,
    pub(crate) login: Uuid,
}

/// A user, by login or by any API key but a worker's.
pub(crate) struct Known {
    pub(crate) user_id: Uuid,
}

/// A worker: an API key with the scope `worker` whose owner is an operator or admin, and nothing else.
pub(crate) struct WorkerToken;

impl FromRequestParts<App> for Reader {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> ApiResult<Self> {
        let identity = app.identify(&parts.headers).await?;
        identity.require(Scope::TasksRead, Permission::TaskRead)?;
        Ok(Self(identity.caller()))
    }
}

impl FromRequestParts<App> for Writer {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> ApiResult<Self> {
        let identity = app.identify(&parts.headers).await?;
        identity.require(Scope::TasksWrite, Permission::TaskWrite)?;
        Ok(Self { caller: identity.caller(), role: identity.role })
    }
}

impl FromRequestParts<App> for Operator {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> ApiResult<Self> {
        signed_in(parts, app, Permission::WorkerManage).await.map(|_| Self)
    }
}

impl FromRequestParts<App> for Admin {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> ApiResult<Self> {
        let identity = signed_in(parts, app, Permission::UserManage).await?;
        Ok(Self { user_id: identity.user_id })
    }
}

impl FromRequestParts<App> for SignedIn {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> ApiResult<Self> {
        let identity = app.identify(&parts.headers).await?;
        let login = identity.login()?;
        Ok(Self { user_id: identity.user_id, role: identity.role, login })
    }
}

impl FromRequestParts<App> for Known {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> ApiResult<Self> {
        let identity = app.identify(&parts.headers).await?;
        match &identity.credential {
            Credential::ApiKey(_, scopes) if scopes.contains(&Scope::Worker) => Err(wrong_scope()),
            _ => Ok(Self { user_id: identity.user_id }),
        }
    }
}

impl FromRequestParts<App> for WorkerToken {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> ApiResult<Self> {
        let identity = app.identify(&parts.headers).await?;
        match &identity.credential {
            Credential::ApiKey(_, scopes) if scopes.contains(&Scope::Worker) => {
                identity.allow(Permission::WorkerManage).map(|()| Self)
            }
            _ => Err(ApiError::forbidden("only an API key with the scope worker may call this")),
        }
    }
}

async fn signed_in(parts: &Parts, app: &App, permission: Permission) -> ApiResult<Arc<Identity>> {
    let identity = app.identify(&parts.headers).await?;
    identity.login()?;
    identity.allow(permission)?;
    Ok(identity)
}

impl Identity {
    /// The scope, if an API key was shown, and the role's permission in any case.
    fn require(&self, scope: Scope, permission: Permission) -> ApiResult<()> {
        match &self.credential {
            // A worker's key does nothing else, whatever other scopes a row may claim.
            Credential::ApiKey(_, scopes) if scopes.contains(&Scope::Worker) || !scopes.contains(&scope) => {
                Err(wrong_scope())
            }
            _ => self.allow(permission),
        }
    }

    fn allow(&self, permission: Permission) -> ApiResult<()> {
        if self.role.allows(permission) {
            Ok(())
        } else {
            Err(ApiError::forbidden("your role does not allow it"))
        }
    }

    fn login(&self) -> ApiResult<Uuid> {
        match self.credential {
            Credential::Login(login) => Ok(login),
            Credential::ApiKey(..) => Err(ApiError::forbidden("log in for this; an API key may not do it")),
        }
    }

    fn caller(&self) -> Caller {
        Caller { user_id: self.user_id, all: self.role.allows(Permission::TaskAll) }
    }
}

fn wrong_scope() -> ApiError {
    ApiError::forbidden("the API key's scopes do not allow it")
}
