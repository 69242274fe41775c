//! Users, their tokens and their API keys.

use serde::{Deserialize, Serialize};
use taskloom_model::{Role, Timestamp};
use utoipa::ToSchema;
use uuid::Uuid;

/// A user name and a password.
#[derive(Clone, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Login {
    /// The user's name.
    #[schema(max_length = 64)]
    pub username: String,
    /// The password.
    #[schema(max_length = 256)]
    pub password: String,
}

/// A fresh pair of tokens.
#[derive(Clone, Deserialize, Serialize, ToSchema)]
pub struct TokenPair {
    /// Sent as `Authorization: Bearer …`.
    pub access_token: String,
    /// Always `bearer`.
    pub token_type: String,
    /// Seconds until the access token ends.
    pub expires_in: u64,
    /// Gives the next pair, once.
    pub refresh_token: String,
}

/// Asks for the next pair of tokens.
#[derive(Clone, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Refresh {
    /// The refresh token of the last pair.
    pub refresh_token: String,
}

/// A change of one's own password.
#[derive(Clone, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PasswordChange {
    /// The password until now.
    #[serde(alias = "current_password")]
    pub old_password: String,
    /// The password from now on, 8 to 256 characters.
    #[schema(min_length = 8, max_length = 256)]
    pub new_password: String,
}

/// A user as others see it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
pub struct User {
    /// The id.
    pub id: Uuid,
    /// The name to log in with.
    pub username: String,
    /// An address, if given.
    pub email: Option<String>,
    /// What the user may do.
    #[schema(value_type = String, example = "user")]
    pub role: Role,
    /// Whether the user may log in.
    pub is_active: bool,
    /// When it was created.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
}

/// A page of users by name.
#[derive(Debug, Clone, Deserialize, Serialize, ToSchema)]
pub struct UserPage {
    /// The users.
    pub items: Vec<User>,
    /// Sent as `after`, gives the next page; null on the last.
    pub next_after: Option<String>,
}

/// A new user.
#[derive(Clone, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateUser {
    /// 3 to 64 letters, digits, `.`, `_` or `-`.
    #[schema(min_length = 3, max_length = 64, pattern = "^[A-Za-z0-9._-]+$")]
    pub username: String,
    /// An address.
    #[serde(default)]
    #[schema(max_length = 254)]
    pub email: Option<String>,
    /// 8 to 256 characters.
    #[schema(min_length = 8, max_length = 256)]
    pub password: String,
    /// What the user may do; only admins choose it.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "user")]
    pub role: Option<Role>,
}

/// A change of a user by an admin; fields left out stay.
#[derive(Clone, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateUser {
    /// The new address.
    #[serde(default)]
    pub email: Option<String>,
    /// The new role.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "operator")]
    pub role: Option<Role>,
    /// Whether the user may log in; switching it off ends all sessions.
    #[serde(default)]
    pub is_active: Option<bool>,
    /// A new password, 8 to 256 characters; ends all sessions.
    #[serde(default)]
    #[schema(min_length = 8, max_length = 256)]
    pub password: Option<String>,
}

/// What an API key may do, within its owner's role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize, Serialize, ToSchema)]
pub enum Scope {
    /// Read tasks.
    #[serde(rename = "tasks:read")]
    TasksRead,
    /// Submit and steer tasks.
    #[serde(rename = "tasks:write")]
    TasksWrite,
    /// Be a worker, and nothing else.
    #[serde(rename = "worker")]
    Worker,
}

impl Scope {
    /// Every scope.
    pub const ALL: [Self; 3] = [Self::TasksRead, Self::TasksWrite, Self::Worker];

    /// The name on the wire and in the store.
    pub fn name(self) -> &'static str {
        match self {
            Self::TasksRead => "tasks:read",
            Self::TasksWrite => "tasks:write",
            Self::Worker => "worker",
        }
    }
}

/// Asks for an API key.
#[derive(Debug, Clone, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateApiKey {
    /// What it is for, 1 to 100 characters.
    #[schema(min_length = 1, max_length = 100)]
    pub name: String,
    /// At least one; `worker` stands alone.
    pub scopes: Vec<Scope>,
    /// When it ends; never if left out.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub expires_at: Option<Timestamp>,
}

/// An API key without its secret.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
pub struct ApiKey {
    /// The id.
    pub id: Uuid,
    /// What it is for.
    pub name: String,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// Whose it is.
    pub user_id: Uuid,
    /// When it was created.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// When it ends.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub expires_at: Option<Timestamp>,
    /// When it was revoked.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub revoked_at: Option<Timestamp>,
}

/// One's API keys.
#[derive(Debug, Clone, Deserialize, Serialize, ToSchema)]
pub struct ApiKeyList {
    /// The keys, the newest first, revoked ones too; up to 1,000.
    pub items: Vec<ApiKey>,
}

/// A new API key; the only answer that ever carries the secret.
#[derive(Debug, Clone, Deserialize, Serialize, ToSchema)]
pub struct NewApiKey {
    /// The key's description.
    pub api_key: ApiKey,
    /// Sent as `X-API-Key` or `Authorization: Bearer …`.
    pub key: String,
}
