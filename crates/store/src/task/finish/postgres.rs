//! Many successes at once on PostgreSQL.

use taskloom_model::{Life, Phase, SessionId, State, TaskId, Timestamp};

use super::FinishItem;
use crate::error::Result;
use crate::postgres::{Session, Values};
use crate::row::Row;
use crate::sql::Param;

/// Rows that are not held are simply not found. A handler's last word about its progress may have come with a heartbeat.
const SUCCEED: &str = "
WITH asked AS MATERIALIZED (
  SELECT * FROM unnest(?::uuid[], ?::int[], ?::text[], ?::text[]) AS a (id, epoch, result, detail)
), gone AS (
  DELETE FROM running r USING asked a WHERE r.id = a.id AND r.epoch = a.epoch AND r.session = ?
  RETURNING r.id, r.epoch, r.attempt, r.crashes, r.refunds, r.started_at, a.result, coalesce(a.detail, r.detail) AS detail
), kept AS (
  INSERT INTO outcomes (id, state, epoch, attempt, refunds, session, started_at, finished_at, progress, detail, result)
  SELECT id, 'succeeded', epoch, attempt, refunds, ?::uuid, started_at, ?::bigint, 100, detail, result FROM gone
)
SELECT id, epoch, attempt, crashes, refunds FROM gone";

pub(super) async fn succeed(
    pg: &mut Session,
    session: SessionId,
    items: &[&FinishItem],
    now: Timestamp,
) -> Result<Vec<(TaskId, Life)>> {
    let ids: Values<'_> = items.iter().map(|item| item.task.id).collect();
    let epochs: Values<'_> = items.iter().map(|item| item.task.epoch).collect();
    let results: Values<'_> = items.iter().map(|item| item.note.result.as_ref()).collect();
    let details: Values<'_> = items.iter().map(|item| item.note.detail.as_ref()).collect();
    let (worker, at) = (Param::from(session), Param::from(now));
    let rows = pg.query_any(SUCCEED, &[&ids, &epochs, &results, &details, &worker, &worker, &at]).await?;
    let read = |row: &tokio_postgres::Row| {
        let mut row = Row::postgres(row);
        let phase = Phase::Ended { state: State::Succeeded, reason: None, at: now };
        let id = row.next()?;
        let (epoch, attempt) = (row.next()?, row.next()?);
        Ok((id, Life { epoch, attempt, crashes: row.next()?, refunds: row.next()?, phase }))
    };
    rows.iter().map(read).collect()
}
