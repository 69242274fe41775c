//! Rows of `ready` by their keys: users take turns, so each may stand in a band of its own.

use taskloom_model::TaskId;

use crate::error::Result;
use crate::postgres::Values;
use crate::sql::{Param, params};
use crate::tx::Tx;

/// Places named in one statement on MySQL.
pub(crate) const PLACES: usize = 64;

/// Each is looked up by its key from within: a join could be planned as a walk over all that is ready.
const DELETE: &str = "
WITH gone AS MATERIALIZED (
  SELECT r.place FROM unnest(?::bigint[], ?::uuid[]) AS a (band, id)
  CROSS JOIN LATERAL (
    SELECT ctid AS place FROM ready n
    WHERE n.queue = ? AND n.band = a.band AND n.id = a.id AND n.epoch = ? FOR UPDATE
  ) r
)
DELETE FROM ready WHERE ctid = ANY (ARRAY(SELECT place FROM gone))";

/// Takes tasks of this epoch out of a queue by their bands and ids; gives how many stood there.
pub(super) async fn leave(tx: &mut Tx, queue: &str, epoch: u32, places: &[(i64, TaskId)]) -> Result<u64> {
    let mut gone = 0;
    match tx {
        Tx::Postgres(pg) => {
            let bands: Values<'_> = places.iter().map(|place| place.0).collect();
            let ids: Values<'_> = places.iter().map(|place| place.1).collect();
            let (queue, epoch) = (Param::from(queue), Param::from(epoch));
            gone = pg.exec_any(DELETE, &[&bands, &ids, &queue, &epoch]).await?;
        }
        Tx::Mysql(_) => {
            for some in places.chunks(PLACES) {
                let (condition, mut params) = at_places(queue, some);
                params.push(epoch.into());
                gone +=
                    tx.exec(&format!("DELETE FROM ready WHERE {condition} AND epoch = ?"), &params).await?;
            }
        }
        Tx::Sqlite(_) => {
            let sql = "DELETE FROM ready WHERE queue = ? AND band = ? AND id = ? AND epoch = ?";
            for (band, id) in places {
                gone += tx.exec(sql, params![queue, *band, *id, epoch]).await?;
            }
        }
    }
    Ok(gone)
}

/// MySQL's condition for up to [`PLACES`] places of a queue, the last repeated up to one of few lengths, so that few
/// statements are prepared. Pairs are spelled out: MariaDB looks up none of `(band, id) IN (…)` by the key.
pub(crate) fn at_places<'a>(queue: &'a str, places: &[(i64, TaskId)]) -> (String, Vec<Param<'a>>) {
    let length = [1, 8, PLACES].into_iter().find(|n| *n >= places.len()).unwrap_or(places.len());
    let mut params: Vec<Param<'a>> = vec![queue.into()];
    let padded = places.iter().chain(places.last().into_iter().cycle()).take(length);
    params.extend(padded.flat_map(|(band, id)| [Param::from(*band), Param::from(*id)]));
    (format!("queue = ? AND ({})", vec!["band = ? AND id = ?"; length].join(" OR ")), params)
}

#[cfg(test)]
mod tests {
    #[tokio::test(flavor = "multi_thread")]
    async fn many_tasks_leave_a_queue_by_their_keys() {
        let values = "ARRAY[1::bigint], ARRAY['00000000-0000-0000-0000-000000000001'::uuid], 'default', 0";
        // It refuses any way but an index.
        let _ = crate::postgres::plan(super::DELETE, values).await;
    }
}
