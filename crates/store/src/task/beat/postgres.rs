//! Many leases renewed at once on PostgreSQL.

use taskloom_model::{SessionId, Timestamp};
use taskloom_protocol::TaskRef;

use super::BeatItem;
use crate::error::{Result, StoreError};
use crate::postgres::{Session, Values};
use crate::row::Row;
use crate::sql::Param;

/// Each row is looked up by its key from within, and changed by its place: a join could be planned as a walk over all
/// that runs. A row that a cancel has just changed is locked as it is now, but changed only as it was at the statement's
/// start: then fewer are renewed than were held, and all of it is done again.
const RENEW: &str = "
WITH held AS MATERIALIZED (
  SELECT r.place, a.progress, a.detail
  FROM unnest(?::uuid[], ?::int[], ?::double precision[], ?::text[]) AS a (id, epoch, progress, detail)
  CROSS JOIN LATERAL (
    SELECT ctid AS place FROM running n WHERE n.id = a.id AND n.epoch = a.epoch AND n.session = ? FOR UPDATE
  ) r
), renewed AS (
  UPDATE running r SET lease_until = greatest(r.lease_until, ?), progress = coalesce(h.progress, r.progress),
    detail = coalesce(h.detail, r.detail)
  FROM held h WHERE r.ctid = h.place
  RETURNING r.id, r.epoch, r.cancel
)
SELECT h.rows, r.id, r.epoch, r.cancel FROM (SELECT count(*) AS rows FROM held) h LEFT JOIN renewed r ON true";

/// Renews items that are sorted by task. Gives those that are held, sorted likewise, each with its cancel flag.
pub(super) async fn renew(
    pg: &mut Session,
    session: SessionId,
    items: &[BeatItem],
    until: Timestamp,
) -> Result<Vec<(TaskRef, bool)>> {
    if items.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Values<'_> = items.iter().map(|item| item.task.id).collect();
    let epochs: Values<'_> = items.iter().map(|item| item.task.epoch).collect();
    let progress: Values<'_> = items.iter().map(|item| item.progress).collect();
    let details: Values<'_> = items.iter().map(|item| item.detail.as_ref()).collect();
    let (until, worker) = (Param::from(until), Param::from(session));
    let rows = pg.query_any(RENEW, &[&ids, &epochs, &progress, &details, &worker, &until]).await?;
    let (mut held, mut told) = (0, Vec::with_capacity(rows.len()));
    for row in &rows {
        let mut row = Row::postgres(row);
        held = row.next::<usize>()?;
        if let Some(id) = row.next()? {
            told.push((TaskRef { id, epoch: row.next()? }, row.next()?));
        }
    }
    if told.len() != held {
        return Err(StoreError::Conflict("a running task had just changed".into()));
    }
    told.sort_unstable_by_key(|(task, _)| (task.id, task.epoch));
    Ok(told)
}

#[cfg(test)]
mod tests {
    #[tokio::test(flavor = "multi_thread")]
    async fn the_heartbeats_plan_only_looks_up_keys() {
        let id = "'00000000-0000-0000-0000-000000000001'";
        let values = format!("ARRAY[{id}::uuid], ARRAY[1], ARRAY[0.5], ARRAY[NULL], {id}, 0");
        if let Some(plan) = crate::postgres::plan(super::RENEW, &values).await {
            insta::assert_snapshot!("beat", plan);
        }
    }
}
