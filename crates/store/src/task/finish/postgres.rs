//! Many successes at once on PostgreSQL.

use taskloom_model::{Life, Phase, SessionId, State, TaskId, Ties, Timestamp};

use super::FinishItem;
use crate::error::{Result, StoreError};
use crate::postgres::{Session, Values};
use crate::row::Row;
use crate::sql::Param;

/// Rows that are not held are simply not found. A handler's last word about its progress may have come with a heartbeat.
/// Each row is looked up by its key from within: a join could be planned as a walk over all that runs. A row that a
/// heartbeat or a cancel has just changed is locked as it is now, but deleted only as it was at the statement's start: then fewer
/// are gone than were held, and all of it is done again.
const SUCCEED: &str = "
WITH held AS MATERIALIZED (
  SELECT r.*, a.result, coalesce(a.said, r.detail) AS last_detail
  FROM unnest(?::uuid[], ?::int[], ?::text[], ?::text[]) AS a (id, epoch, result, said)
  CROSS JOIN LATERAL (
    SELECT ctid AS place, n.id, n.epoch, n.attempt, n.crashes, n.refunds, n.started_at, n.detail, n.ties FROM running n
    WHERE n.id = a.id AND n.epoch = a.epoch AND n.session = ? FOR UPDATE
  ) r
), gone AS (
  DELETE FROM running WHERE ctid = ANY (ARRAY(SELECT place FROM held)) RETURNING id
), kept AS (
  INSERT INTO outcomes (id, state, epoch, attempt, refunds, session, started_at, finished_at, progress, detail, result)
  SELECT id, 'succeeded', epoch, attempt, refunds, ?::uuid, started_at, ?::bigint, 100, last_detail, result FROM held
)
SELECT id, epoch, attempt, crashes, refunds, ties, (SELECT count(*) FROM gone) FROM held";

pub(super) async fn succeed(
    pg: &mut Session,
    session: SessionId,
    items: &[&FinishItem],
    now: Timestamp,
) -> Result<Vec<(TaskId, Life, Ties)>> {
    let ids: Values<'_> = items.iter().map(|item| item.task.id).collect();
    let epochs: Values<'_> = items.iter().map(|item| item.task.epoch).collect();
    let results: Values<'_> = items.iter().map(|item| item.note.result.as_ref()).collect();
    let details: Values<'_> = items.iter().map(|item| item.note.detail.as_ref()).collect();
    let (worker, at) = (Param::from(session), Param::from(now));
    let rows = pg.query_any(SUCCEED, &[&ids, &epochs, &results, &details, &worker, &worker, &at]).await?;
    let mut ended = Vec::with_capacity(rows.len());
    for row in &rows {
        let mut row = Row::postgres(row);
        let phase = Phase::Ended { state: State::Succeeded, reason: None, at: now };
        let id = row.next()?;
        let (epoch, attempt) = (row.next()?, row.next()?);
        let life = Life { epoch, attempt, crashes: row.next()?, refunds: row.next()?, phase };
        ended.push((id, life, Ties::from_bits(row.next()?)));
        if row.next::<u64>()? != rows.len() as u64 {
            return Err(StoreError::Conflict("a running task had just changed".into()));
        }
    }
    Ok(ended)
}

#[cfg(test)]
mod tests {
    #[tokio::test(flavor = "multi_thread")]
    async fn the_finishs_plan_only_looks_up_keys() {
        let id = "'00000000-0000-0000-0000-000000000001'";
        let values = format!("ARRAY[{id}::uuid], ARRAY[1], ARRAY['1'], ARRAY[NULL], {id}, {id}, 0");
        if let Some(plan) = crate::postgres::plan(super::SUCCEED, &values).await {
            insta::assert_snapshot!("finish", plan);
        }
    }
}
