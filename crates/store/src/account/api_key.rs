//! API keys.

use taskloom_model::{Timestamp, UserId};
use taskloom_protocol::ApiKey;
use uuid::Uuid;

use crate::Store;
use crate::error::Result;
use crate::row::Row;
use crate::sql::params;

/// An API key with the hash of its secret.
#[derive(Debug, Clone)]
pub struct ApiKeyRow {
    /// What its owner sees.
    pub api_key: ApiKey,
    /// SHA-256 of the secret.
    pub secret_hash: [u8; 32],
}

const SELECT: &str =
    "SELECT id, user_id, name, scopes, created_at, expires_at, revoked_at, secret_hash FROM api_keys";

impl Store {
    /// Notes an API key.
    pub async fn api_key_create(&self, row: ApiKeyRow) -> Result<()> {
        self.write(move |tx| {
            Box::pin(async move {
                let ApiKey { id, name, scopes, user_id, created_at, expires_at, .. } = &row.api_key;
                let scopes = serde_json::to_string(scopes).unwrap_or_default();
                let sql =
                    "INSERT INTO api_keys (id, user_id, name, scopes, secret_hash, created_at, expires_at)
                     VALUES (?, ?, ?, ?, ?, ?, ?)";
                let row = params![*id, *user_id, name, &scopes, &row.secret_hash, *created_at, *expires_at];
                tx.exec(sql, row).await.map(drop)
            })
        })
        .await
    }

    /// The key of this id, revoked or not.
    pub async fn api_key_by_id(&self, id: Uuid) -> Result<Option<ApiKeyRow>> {
        self.point(move |tx| {
            Box::pin(async move { tx.row(&format!("{SELECT} WHERE id = ?"), params![id], read).await })
        })
        .await
    }

    /// Up to 1,000 keys of a user, newest first.
    pub async fn api_key_list(&self, user_id: UserId) -> Result<Vec<ApiKey>> {
        self.scan(move |tx| {
            Box::pin(async move {
                let sql = format!("{SELECT} WHERE user_id = ? ORDER BY id DESC LIMIT 1000");
                tx.rows(&sql, params![user_id], |row| Ok(read(row)?.api_key)).await
            })
        })
        .await
    }

    /// Ends a key; false if there is none that lives.
    pub async fn api_key_revoke(&self, id: Uuid, now: Timestamp) -> Result<bool> {
        self.write(move |tx| {
            Box::pin(async move {
                let sql = "UPDATE api_keys SET revoked_at = ? WHERE id = ? AND revoked_at IS NULL";
                Ok(tx.exec(sql, params![now, id]).await? == 1)
            })
        })
        .await
    }
}

fn read(row: &mut Row<'_>) -> Result<ApiKeyRow> {
    let (id, user_id, name) = (row.next()?, row.next()?, row.next()?);
    let scopes = row.json()?.unwrap_or_default();
    let (created_at, expires_at, revoked_at) = (row.next()?, row.next()?, row.next()?);
    let api_key = ApiKey { id, name, scopes, user_id, created_at, expires_at, revoked_at };
    Ok(ApiKeyRow { api_key, secret_hash: row.next()? })
}
