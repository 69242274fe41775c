//! Many leases renewed at once on PostgreSQL.

use taskloom_model::{SessionId, Timestamp};
use taskloom_protocol::TaskRef;

use super::BeatItem;
use crate::error::Result;
use crate::postgres::{Session, Values};
use crate::row::Row;
use crate::sql::Param;

const RENEW: &str = "
UPDATE running r SET lease_until = greatest(r.lease_until, ?), progress = coalesce(a.progress, r.progress),
  detail = coalesce(a.detail, r.detail)
FROM unnest(?::uuid[], ?::int[], ?::double precision[], ?::text[]) AS a (id, epoch, progress, detail)
WHERE r.id = a.id AND r.epoch = a.epoch AND r.session = ?
RETURNING r.id, r.epoch, r.cancel";

/// Gives those that are held, sorted by task, each with its cancel flag.
pub(super) async fn renew(
    pg: &mut Session,
    session: SessionId,
    items: &[BeatItem],
    until: Timestamp,
) -> Result<Vec<(TaskRef, bool)>> {
    if items.is_empty() {
        return Ok(Vec::new());
    }
    // Everybody locks in the order of ids: two transactions never wait for each other.
    let mut items: Vec<&BeatItem> = items.iter().collect();
    items.sort_unstable_by_key(|item| item.task.id);
    let ids: Values<'_> = items.iter().map(|item| item.task.id).collect();
    let epochs: Values<'_> = items.iter().map(|item| item.task.epoch).collect();
    let progress: Values<'_> = items.iter().map(|item| item.progress).collect();
    let details: Values<'_> = items.iter().map(|item| item.detail.as_ref()).collect();
    let (until, worker) = (Param::from(until), Param::from(session));
    let rows = pg.query_any(RENEW, &[&until, &ids, &epochs, &progress, &details, &worker]).await?;
    let read = |row: &tokio_postgres::Row| {
        let mut row = Row::postgres(row);
        Ok((TaskRef { id: row.next()?, epoch: row.next()? }, row.next()?))
    };
    let mut told = rows.iter().map(read).collect::<Result<Vec<_>>>()?;
    told.sort_unstable_by_key(|(task, _)| (task.id, task.epoch));
    Ok(told)
}
