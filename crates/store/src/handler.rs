//! Handlers' defaults, as their workers declare them.

use std::collections::HashMap;

use taskloom_model::Timestamp;
use taskloom_protocol::HandlerDefaults;

use crate::Store;
use crate::error::{Result, StoreError};
use crate::row::Row;
use crate::sql::params;
use crate::tx::Tx;

impl Store {
    /// Every handler that has defaults.
    pub async fn handler_list(&self) -> Result<HashMap<String, HandlerDefaults>> {
        let texts = self.point(|tx| Box::pin(async move { read_all(tx).await })).await?;
        // What another version wrote and this one cannot read is as good as not said.
        Ok(texts
            .into_iter()
            .filter_map(|(name, text)| Some((name, serde_json::from_str(&text).ok()?)))
            .collect())
    }

    /// Notes what these handlers' tasks get where they leave it open; `None` for no defaults. Gives whether anything is
    /// new; if not, nothing is written.
    pub async fn handler_declare(
        &self,
        said: Vec<(String, Option<HandlerDefaults>)>,
        now: Timestamp,
    ) -> Result<bool> {
        let mut said: Vec<(String, Option<String>)> = said
            .into_iter()
            .map(|(name, defaults)| (name, defaults.and_then(|d| serde_json::to_string(&d).ok())))
            .collect();
        // Two that declare the same lock in one order.
        said.sort_unstable();
        let known = self.point(|tx| Box::pin(async move { read_all(tx).await })).await?;
        if said.iter().all(|(name, text)| known.get(name) == text.as_ref()) {
            return Ok(false);
        }
        // All that was said, not what is new: another may be saying the same names just now, and one of the two is last.
        said.retain(|(name, text)| text.is_some() || known.contains_key(name));
        self.write(move |tx| {
            Box::pin(async move {
                for (name, text) in said {
                    declare(tx, &name, text.as_ref(), now).await?;
                }
                Ok(true)
            })
        })
        .await
    }
}

async fn read_all(tx: &mut Tx) -> Result<HashMap<String, String>> {
    let read = |row: &mut Row<'_>| Ok((row.next()?, row.next()?));
    Ok(tx.rows("SELECT name, defaults FROM handlers", &[], read).await?.into_iter().collect())
}

async fn declare(tx: &mut Tx, name: &str, text: Option<&String>, now: Timestamp) -> Result<()> {
    let Some(text) = text else {
        return tx.exec("DELETE FROM handlers WHERE name = ?", params![name]).await.map(drop);
    };
    let sql = "UPDATE handlers SET defaults = ?, updated_at = ? WHERE name = ?";
    if tx.exec(sql, params![text, now, name]).await? == 1 {
        return Ok(());
    }
    let sql = "INSERT INTO handlers (name, defaults, updated_at) VALUES (?, ?, ?)";
    tx.exec(sql, params![name, text, now]).await.map(drop).map_err(StoreError::raced)
}
