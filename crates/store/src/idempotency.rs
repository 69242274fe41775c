//! Idempotency keys: what a request came to when it was sent first.

use taskloom_model::{Timestamp, UserId};
use uuid::Uuid;

use crate::Store;
use crate::error::{Result, StoreError};
use crate::sql::params;
use crate::tx::Tx;

/// A key that makes repeating a request harmless.
#[derive(Debug, Clone)]
pub struct Idempotency {
    /// Whose key it is.
    pub user_id: UserId,
    /// The key.
    pub key: String,
    /// A hash of the request, so that a key used for another one is noticed.
    pub request_hash: [u8; 32],
}

/// What a key was used for before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Known {
    /// The same request, which made these.
    Same(Vec<Uuid>),
    /// Another request.
    Other,
}

impl Idempotency {
    /// What the key was used for before; nothing if it is new.
    pub(crate) async fn look(&self, tx: &mut Tx) -> Result<Option<Known>> {
        // What a request made has been tasks first, hence the column's name.
        let sql = "SELECT request_hash, task_ids FROM idempotency WHERE user_id = ? AND idem_key = ?";
        let known = tx
            .row(sql, params![self.user_id, &self.key], |row| {
                Ok((row.next::<[u8; 32]>()?, row.json::<Vec<Uuid>>()?.unwrap_or_default()))
            })
            .await?;
        Ok(known.map(|(hash, ids)| if hash == self.request_hash { Known::Same(ids) } else { Known::Other }))
    }

    /// Notes what the request made; a conflict if it came twice at once, and the other was first.
    pub(crate) async fn note(&self, tx: &mut Tx, ids: &[Uuid], now: Timestamp) -> Result<()> {
        let ids: Vec<String> = ids.iter().map(Uuid::to_string).collect();
        let ids = serde_json::to_string(&ids).unwrap_or_default();
        let Self { user_id, key, request_hash } = self;
        let sql = "INSERT INTO idempotency (user_id, idem_key, request_hash, task_ids, created_at) VALUES (?, ?, ?, ?, ?)";
        tx.exec(sql, params![*user_id, key, request_hash, &ids, now])
            .await
            .map(drop)
            .map_err(StoreError::raced)
    }
}

impl Store {
    /// What the key was used for before; nothing if it is new.
    pub async fn idempotency_get(&self, idempotency: Idempotency) -> Result<Option<Known>> {
        self.point(move |tx| Box::pin(async move { idempotency.look(tx).await })).await
    }
}
