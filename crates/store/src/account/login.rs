//! Logins: what a refresh token stands for.

use taskloom_model::{Timestamp, UserId};
use uuid::Uuid;

use crate::Store;
use crate::error::Result;
use crate::sql::params;

/// A login: one chain of rotating refresh tokens.
#[derive(Debug, Clone)]
pub struct LoginRow {
    /// The id, also in the access tokens.
    pub id: Uuid,
    /// Whose it is.
    pub user_id: UserId,
    /// SHA-256 of the current refresh token's secret.
    pub refresh_hash: [u8; 32],
    /// When the user logged in.
    pub created_at: Timestamp,
    /// When the current refresh token ends.
    pub expires_at: Timestamp,
    /// When it was ended.
    pub revoked_at: Option<Timestamp>,
}

impl Store {
    /// Notes a login.
    pub async fn login_create(&self, login: LoginRow) -> Result<()> {
        self.write(move |tx| {
            Box::pin(async move {
                let LoginRow { id, user_id, refresh_hash, created_at, expires_at, .. } = &login;
                let sql = "INSERT INTO logins (id, user_id, refresh_hash, created_at, expires_at) VALUES (?, ?, ?, ?, ?)";
                tx.exec(sql, params![*id, *user_id, refresh_hash, *created_at, *expires_at]).await.map(drop)
            })
        })
        .await
    }

    /// The login of this id, ended or not.
    pub async fn login_by_id(&self, id: Uuid) -> Result<Option<LoginRow>> {
        self.point(move |tx| {
            Box::pin(async move {
                let sql = "SELECT id, user_id, refresh_hash, created_at, expires_at, revoked_at FROM logins WHERE id = ?";
                tx.row(sql, params![id], |row| {
                    Ok(LoginRow {
                        id: row.next()?,
                        user_id: row.next()?,
                        refresh_hash: row.next()?,
                        created_at: row.next()?,
                        expires_at: row.next()?,
                        revoked_at: row.next()?,
                    })
                })
                .await
            })
        })
        .await
    }

    /// Replaces the refresh token; false if `old_hash` is no longer the current one or the login has ended.
    pub async fn login_rotate(
        &self,
        id: Uuid,
        old_hash: [u8; 32],
        new_hash: [u8; 32],
        expires_at: Timestamp,
    ) -> Result<bool> {
        self.write(move |tx| {
            Box::pin(async move {
                let sql = "UPDATE logins SET refresh_hash = ?, expires_at = ?
                     WHERE id = ? AND refresh_hash = ? AND revoked_at IS NULL";
                Ok(tx.exec(sql, params![&new_hash, expires_at, id, &old_hash]).await? == 1)
            })
        })
        .await
    }

    /// Ends a login.
    pub async fn login_revoke(&self, id: Uuid, now: Timestamp) -> Result<()> {
        self.write(move |tx| {
            Box::pin(async move {
                let sql = "UPDATE logins SET revoked_at = ? WHERE id = ? AND revoked_at IS NULL";
                tx.exec(sql, params![now, id]).await.map(drop)
            })
        })
        .await
    }
}
