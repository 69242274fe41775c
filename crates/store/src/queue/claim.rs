//! Claims from a queue that has limits: one at a time counts, then claims.

use taskloom_model::{Ties, Timestamp};
use uuid::Uuid;

use super::{PERMIT, Terms};
use crate::Store;
use crate::error::{Result, StoreError};
use crate::sql::{Param, params};
use crate::task::{ClaimSpec, Claims, claim_one};
use crate::tx::Tx;

impl Store {
    /// Takes as many ready tasks of this queue as its limits allow.
    pub(crate) async fn claim_limited(&self, spec: ClaimSpec, queue: String) -> Result<Claims> {
        let floors = std::sync::Arc::clone(&self.floors);
        self.write(move |tx| {
            Box::pin(async move {
                let Some(terms) = Terms::lock(tx, &queue).await? else { return Ok(Claims::default()) };
                let room = terms.room(spec.now).min(spec.limit);
                if room == 0 {
                    let mut none = Claims::default();
                    // Where all places are taken, whoever leaves one wakes the next.
                    let empty = terms.bucket.filter(|bucket| bucket.tokens(spec.now) == 0);
                    none.wake_at = empty.map(|bucket| bucket.next_at(spec.now));
                    return Ok(none);
                }
                let spec = ClaimSpec { limit: room, ..spec };
                let claims = claim_one(tx, &spec, &queue, &floors).await?;
                let ids: Vec<Uuid> = claims.claimed.iter().map(|task| task.id).collect();
                let full_at = terms.bucket.map(|bucket| bucket.take(ids.len() as u32, spec.now).full_at);
                permit(tx, &queue, &ids, full_at).await?;
                Ok(claims)
            })
        })
        .await
    }
}

/// Gives these running tasks a permit of the queue each.
pub(super) async fn permit(tx: &mut Tx, queue: &str, ids: &[Uuid], full_at: Option<Timestamp>) -> Result<()> {
    if ids.is_empty() {
        return Ok(());
    }
    let name = format!("{PERMIT}{queue}");
    let rows: Vec<Param<'_>> = ids.iter().flat_map(|id| [Param::from(&name), (*id).into()]).collect();
    tx.insert_many("INSERT INTO permits (gate, task_id)", 2, &rows).await?;
    let tie = Ties::QUEUE.bits();
    let tied = tx.exec_in("UPDATE running SET ties = ties + ? WHERE id", params![tie], ids).await?;
    if tied != ids.len() as u64 {
        return Err(StoreError::Conflict("a task of the queue had just ended".into()));
    }
    let sql = "UPDATE queues SET held = held + ?, full_at = coalesce(?, full_at) WHERE name = ?";
    tx.exec(sql, params![ids.len() as u64, full_at, queue]).await.map(drop)
}
