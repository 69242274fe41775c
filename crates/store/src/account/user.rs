//! Users.

use taskloom_model::{Role, Timestamp, UserId};
use taskloom_protocol::User;

use crate::Store;
use crate::error::Result;
use crate::row::Row;
use crate::sql::params;
use crate::tx::Tx;

/// A user to create.
#[derive(Clone)]
pub struct NewUser {
    /// A fresh id.
    pub id: UserId,
    /// The name to log in with.
    pub username: String,
    /// An address.
    pub email: Option<String>,
    /// The password's Argon2id hash.
    pub password_hash: String,
    /// What the user may do.
    pub role: Role,
    /// When.
    pub created_at: Timestamp,
}

/// A user with what only the server may see.
#[derive(Clone)]
pub struct UserRow {
    /// What others see.
    pub user: User,
    /// The password's Argon2id hash.
    pub password_hash: String,
    /// Rises when all tokens issued so far are void.
    pub token_version: u32,
}

/// A change of a user; fields left out stay.
#[derive(Clone, Default)]
pub struct UserChange {
    /// The new address.
    pub email: Option<String>,
    /// The new role.
    pub role: Option<Role>,
    /// Whether the user may log in.
    pub is_active: Option<bool>,
    /// The new password's hash.
    pub password_hash: Option<String>,
}

const SELECT: &str =
    "SELECT id, username, email, role, is_active, created_at, password_hash, token_version FROM users";

impl Store {
    /// Creates a user.
    ///
    /// # Errors
    /// [`crate::StoreError::Duplicate`] if the name is taken.
    pub async fn user_create(&self, user: NewUser) -> Result<()> {
        self.write(move |tx| {
            Box::pin(async move {
                let NewUser { id, username, email, password_hash, role, created_at } = &user;
                let name_key = username.to_lowercase();
                let sql = "INSERT INTO users (id, username, name_key, email, password_hash, role, is_active, token_version,
                     created_at) VALUES (?, ?, ?, ?, ?, ?, 1, 0, ?)";
                let row = params![*id, username, &name_key, email.as_ref(), password_hash, role.name(), *created_at];
                tx.exec(sql, row).await.map(drop)
            })
        })
        .await
    }

    /// The user of this id.
    pub async fn user_by_id(&self, id: UserId) -> Result<Option<UserRow>> {
        self.point(move |tx| {
            Box::pin(async move { tx.row(&format!("{SELECT} WHERE id = ?"), params![id], read_user).await })
        })
        .await
    }

    /// The user of this name.
    pub async fn user_by_name(&self, username: &str) -> Result<Option<UserRow>> {
        let username = username.to_lowercase();
        self.point(move |tx| {
            Box::pin(async move {
                tx.row(&format!("{SELECT} WHERE name_key = ?"), params![&username], read_user).await
            })
        })
        .await
    }

    /// Up to `limit` users by name, behind the name `after`.
    pub async fn user_list(&self, after: Option<&str>, limit: u32) -> Result<Vec<User>> {
        let after = after.unwrap_or_default().to_owned();
        self.scan(move |tx| {
            Box::pin(async move {
                let sql = format!("{SELECT} WHERE username > ? ORDER BY username LIMIT ?");
                tx.rows(&sql, params![&after, limit], |row| Ok(read_user(row)?.user)).await
            })
        })
        .await
    }

    /// How many users there are.
    pub async fn user_count(&self) -> Result<u64> {
        self.point(|tx| Box::pin(async move { tx.number("SELECT count(*) FROM users", &[]).await })).await
    }

    /// Changes a user. A new password, a new role or a switched-off account voids all tokens. False if there is none.
    pub async fn user_update(&self, id: UserId, change: UserChange, now: Timestamp) -> Result<bool> {
        self.write(move |tx| Box::pin(async move { update(tx, id, &change, now).await })).await
    }
}

async fn update(tx: &mut Tx, id: UserId, change: &UserChange, now: Timestamp) -> Result<bool> {
    let UserChange { email, role, is_active, password_hash } = change;
    let ends_sessions = password_hash.is_some() || role.is_some() || *is_active == Some(false);
    let sql = "UPDATE users SET email = coalesce(?, email), role = coalesce(?, role), is_active = coalesce(?, is_active),
         password_hash = coalesce(?, password_hash), token_version = token_version + ? WHERE id = ?";
    let row =
        params![email.as_ref(), role.map(Role::name), *is_active, password_hash.as_ref(), ends_sessions, id,];
    let changed = tx.exec(sql, row).await? == 1;
    if changed && ends_sessions {
        let sql = "UPDATE logins SET revoked_at = ? WHERE user_id = ? AND revoked_at IS NULL";
        tx.exec(sql, params![now, id]).await?;
    }
    Ok(changed)
}

fn read_user(row: &mut Row<'_>) -> Result<UserRow> {
    let user = User {
        id: row.next()?,
        username: row.next()?,
        email: row.next()?,
        role: row.word()?,
        is_active: row.next()?,
        created_at: row.next()?,
    };
    Ok(UserRow { user, password_hash: row.next()?, token_version: row.next()? })
}
