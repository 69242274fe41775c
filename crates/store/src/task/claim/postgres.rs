//! The claim on PostgreSQL: one statement, which is a transaction by itself.

use std::sync::LazyLock;
use std::time::Instant;

use taskloom_model::Effect;
use tokio_postgres::types::ToSql;

use super::floor::{self, Floors};
use super::{CANDIDATE, CLAIM_BYTES, Candidate, ClaimSpec, Claims, PASSED_BY, Share};
use crate::error::Result;
use crate::postgres::{Session, Values};
use crate::row::Row;
use crate::sql::Param;

/// Locks the head of the queue, leaves out what others have locked, and moves what is wanted to `running`.
///
/// - `head` is the only scan: a range of the key, from its start.
/// - `wanted` numbers what this worker may have, in the order of `head`, and adds up its size, so that one claim never
///   carries too much.
/// - Rows are deleted by their place (ctid), which `head` has locked. There is one join, by key: a second would be planned
///   as a hash of a whole table sooner or later.
/// - What comes too late is told, and stays where it is.
static CLAIM: LazyLock<String> = LazyLock::new(|| {
    claiming(
        "SELECT ctid AS place, band, id, epoch, attempt, crashes, refunds FROM ready
  WHERE queue = ? AND (band, id) >= (?::bigint, ?::uuid)
    AND EXISTS (SELECT 1 FROM workers WHERE session = ? AND left_at IS NULL)
    AND (?::int = 1 OR NOT EXISTS (SELECT 1 FROM queues WHERE name = ? AND is_special = 1))
  ORDER BY band, id LIMIT ? FOR UPDATE SKIP LOCKED",
    )
});

/// The same for tasks that a dispatcher handed out: each is looked up by its key from within, since a join could be planned
/// as a walk along the whole queue.
static CLAIM_HINTED: LazyLock<String> = LazyLock::new(|| {
    claiming(
        "SELECT r.* FROM unnest(?::uuid[]) AS h (id)
  CROSS JOIN LATERAL (
    SELECT ctid AS place, n.band, n.id, n.epoch, n.attempt, n.crashes, n.refunds FROM ready n
    WHERE n.queue = ? AND n.band = (SELECT k.band FROM tasks k WHERE k.id = h.id) AND n.id = h.id FOR UPDATE SKIP LOCKED
  ) r
  WHERE EXISTS (SELECT 1 FROM workers WHERE session = ? AND left_at IS NULL)
    AND (?::int = 1 OR NOT EXISTS (SELECT 1 FROM queues WHERE name = ? AND is_special = 1)) LIMIT ?",
    )
});

fn claiming(head: &str) -> String {
    format!(
        "WITH head AS MATERIALIZED (
  {head}
), wanted AS MATERIALIZED (
  SELECT *, NOT is_late AND number < ? AND carried < ? AS is_taken FROM (
    SELECT h.*, t.priority, t.ties, t.user_id, t.handler, t.args, t.kwargs, t.max_attempts, t.timeout_ms, t.soft_timeout_ms,
           t.expires_at, t.created_at, coalesce(t.expires_at <= ?, false) AS is_late, count(*) OVER before AS number,
           coalesce(sum(coalesce(octet_length(t.args), 0) + coalesce(octet_length(t.kwargs), 0)) OVER before, 0) AS carried
    FROM head h JOIN tasks t ON t.id = h.id WHERE ?::int = 1 OR t.handler = ANY (?)
    WINDOW before AS (ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
  ) numbered
), gone AS (
  DELETE FROM ready WHERE ctid = ANY (ARRAY(SELECT place FROM wanted WHERE is_taken))
), held AS (
  INSERT INTO running (id, epoch, attempt, crashes, refunds, session, lease_until, deadline, started_at, cancel,
                       progress, logged, ties)
  SELECT id, epoch + 1, attempt + 1, crashes, refunds, ?::uuid, ?::bigint, ?::bigint + timeout_ms * 1000, ?::bigint,
         0, 0, 0, ties
  FROM wanted WHERE is_taken
)
SELECT s.seen, s.known, w.is_taken, {columns}
FROM (SELECT (SELECT count(*) FROM head) AS seen, (SELECT count(*) FROM wanted) AS known) s
LEFT JOIN wanted w ON w.is_taken OR w.is_late",
        columns = CANDIDATE.replace("r.", "w.").replace("t.", "w.")
    )
}

pub(super) async fn claim(
    session: &mut Session,
    spec: &ClaimSpec,
    floors: &Floors,
    queue: &str,
    share: Share,
    claims: &mut Claims,
) -> Result<()> {
    let Share { room, is_counted } = share;
    let mut left = room;
    if spec.hints.is_empty() {
        let began = floors.begin(queue);
        if began > floor::START {
            let found =
                take(session, spec, queue, Look { room, window: room, from: began, is_counted }, claims)
                    .await?;
            left = room.saturating_sub(found.used);
            match found.first {
                Some(first) if left == 0 || claims.cut => {
                    floors.rise(queue, began, first);
                    return Ok(());
                }
                _ => floors.forget(queue),
            }
        }
    }
    let start = Instant::now();
    let found =
        take(session, spec, queue, Look { room: left, window: left, from: floor::START, is_counted }, claims)
            .await?;
    if let (Some(first), true) = (found.first, spec.hints.is_empty() && found.used >= left) {
        floors.walked(queue, first, start.elapsed());
    }
    // Only when the head holds what this worker does not know is it worth looking further.
    let rest = left.saturating_sub(found.used);
    let passed_by = found.seen >= u64::from(left) && found.known < found.seen;
    if spec.hints.is_empty() && rest > 0 && passed_by && !claims.cut {
        let window = rest.saturating_add(PASSED_BY);
        let look = Look { room: rest, window, from: floor::START, is_counted };
        let found = take(session, spec, queue, look, claims).await?;
        claims.passed_by |= found.seen >= u64::from(window) && found.used < rest;
    }
    Ok(())
}

/// How much of the head a statement looks at, and where it begins.
struct Look {
    room: u32,
    window: u32,
    from: floor::Place,
    is_counted: bool,
}

/// What one statement found.
#[derive(Default)]
struct Found {
    /// Rows looked at.
    seen: u64,
    /// Those of handlers that the worker knows.
    known: u64,
    /// Those taken or too late.
    used: u32,
    /// The first of them in the queue's order.
    first: Option<floor::Place>,
}

async fn take(
    session: &mut Session,
    spec: &ClaimSpec,
    queue: &str,
    look: Look,
    claims: &mut Claims,
) -> Result<Found> {
    let Look { room, window, from, is_counted } = look;
    let handlers: Values<'_> = spec.handlers.iter().collect();
    let [queue_name, worker, now] =
        [queue.into(), spec.session.into(), spec.now.into()].map(|p: Param<'_>| p);
    let [window, all, most] =
        [window.into(), spec.handlers.is_empty().into(), room.into()].map(|p: Param<'_>| p);
    let (bytes, counted) = (Param::from(CLAIM_BYTES as u64), Param::from(is_counted));
    let until = Param::from(spec.now.plus(spec.lease));
    let ids: Values<'_> = spec.hinted(queue).into_iter().collect();
    let (band, id) = (Param::from(from.0), Param::from(from.1));
    let mut params: Vec<&(dyn ToSql + Sync)> =
        if spec.hints.is_empty() { vec![&queue_name, &band, &id] } else { vec![&ids, &queue_name] };
    params.extend::<[&(dyn ToSql + Sync); 13]>([
        &worker,
        &counted,
        &queue_name,
        &window,
        &most,
        &bytes,
        &now,
        &all,
        &handlers,
        &worker,
        &until,
        &now,
        &now,
    ]);
    let claim = if spec.hints.is_empty() { &CLAIM } else { &CLAIM_HINTED };
    let rows = session.query_any(claim, &params).await?;
    let (mut found, mut taken) = (Found::default(), Vec::new());
    for row in &rows {
        let mut row = Row::postgres(row);
        (found.seen, found.known) = (row.next()?, row.next()?);
        let Some(is_taken) = row.next::<Option<bool>>()? else { break };
        found.used += 1;
        let candidate = Candidate::read(&mut row)?;
        let place = (candidate.band, candidate.id);
        found.first = Some(found.first.map_or(place, |first| first.min(place)));
        if !is_taken {
            claims.expired_ids.push(candidate.id);
            continue;
        }
        if let Some(Effect::Become(life)) = candidate.decide(spec).map(|step| step.effect) {
            taken.push((place, candidate.claimed(queue, &life)));
        }
    }
    taken.sort_by_key(|(place, _)| *place);
    claims.claimed.extend(taken.into_iter().map(|(_, task)| task));
    // Known, in time, and yet not taken: it was too much, by number or by size.
    claims.cut = u64::from(found.used) < found.known.min(u64::from(room));
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::{CLAIM, CLAIM_HINTED};

    /// The plan is a walk along the queue's key and look-ups by key, though the statistics know nothing of the rows.
    #[tokio::test(flavor = "multi_thread")]
    async fn the_claims_plan_only_walks_keys() {
        let id = "'00000000-0000-0000-0000-000000000001'";
        let rest = format!("{id}, 0, 'default', 100, 100, 4000000, 0, 0, ARRAY['demo.echo'], {id}, 0, 0, 0");
        let heads = [
            format!("'default', -9223372036854775808, {id}, {rest}"),
            format!("ARRAY[{id}::uuid], 'default', {rest}"),
        ];
        for (name, sql, values) in
            [("claim", &*CLAIM, &heads[0]), ("claim_hinted", &*CLAIM_HINTED, &heads[1])]
        {
            if let Some(plan) = crate::postgres::plan(sql, values).await {
                insta::assert_snapshot!(name, plan);
            }
        }
    }
}
