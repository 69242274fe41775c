//! The claim on MySQL and MariaDB: rows are locked past those that others have locked, then moved in sets.
//!
//! Neither has UPDATE or INSERT … SELECT … RETURNING, MySQL has no RETURNING at all: so a claim reads, then writes.

use std::collections::HashMap;

use taskloom_model::{Effect, Life, Phase, State, TaskId, Ties};
use uuid::Uuid;

use super::{CLAIM_BYTES, Candidate, ClaimSpec, Claims, PASSED_BY, Share};
use crate::error::Result;
use crate::row::Row;
use crate::sql::{Param, params};
use crate::task::life::{Entering, Left, NOWHERE, PLACES, Seat, at_places};
use crate::tx::Tx;

/// Tasks whose arguments are read at once.
const CHUNK: usize = 256;

pub(super) async fn claim(
    tx: &mut Tx,
    spec: &ClaimSpec,
    queue: &str,
    share: Share,
    claims: &mut Claims,
) -> Result<()> {
    let room = share.room;
    let (before, late) = (claims.claimed.len(), claims.expired_ids.len());
    let head = if spec.hints.is_empty() {
        head(tx, spec, queue, share.is_counted, room).await?
    } else {
        hinted(tx, spec, queue, share.is_counted).await?
    };
    let seen = head.len();
    let passed_by = take(tx, spec, queue, room, head, claims).await?;
    let used = (claims.claimed.len() - before + claims.expired_ids.len() - late) as u32;
    let left = room.saturating_sub(used);
    // Only when the head holds what this worker does not know is it worth looking further.
    if spec.hints.is_empty() && left > 0 && seen >= room as usize && passed_by > 0 && !claims.cut {
        let window = left.saturating_add(PASSED_BY);
        let mut further = self::head(tx, spec, queue, share.is_counted, window).await?;
        let is_full = further.len() >= window as usize;
        further.retain(|row| !claims.expired_ids.contains(&row.0));
        let before = claims.claimed.len();
        take(tx, spec, queue, left, further, claims).await?;
        claims.passed_by |= is_full && ((claims.claimed.len() - before) as u32) < left;
    }
    Ok(())
}

/// A row of `ready`: its id, band and life.
type Head = (TaskId, i64, Life);

async fn head(tx: &mut Tx, spec: &ClaimSpec, queue: &str, counted: bool, look_at: u32) -> Result<Vec<Head>> {
    let sql = "SELECT id, band, epoch, attempt, crashes, refunds FROM ready
         WHERE queue = ? AND EXISTS (SELECT 1 FROM workers WHERE session = ? AND left_at IS NULL)
         AND (? = 1 OR NOT EXISTS (SELECT 1 FROM queues WHERE name = ? AND is_special = 1))
         ORDER BY band, id LIMIT ? FOR UPDATE SKIP LOCKED";
    tx.rows(sql, params![queue, spec.session, counted, queue, look_at], read_head).await
}

/// Those of the hinted tasks that are ready and that nobody else takes right now.
async fn hinted(tx: &mut Tx, spec: &ClaimSpec, queue: &str, counted: bool) -> Result<Vec<Head>> {
    let hints = spec.hinted(queue);
    let read = |row: &mut Row<'_>| Ok((row.next::<i64>()?, row.next::<TaskId>()?));
    let places = tx.rows_in("SELECT band, id FROM tasks WHERE id", &[], &hints, "", read).await?;
    let mut found = Vec::new();
    for some in places.chunks(PLACES) {
        let (condition, mut params) = at_places(queue, some);
        params.extend::<[Param<'_>; 3]>([spec.session.into(), counted.into(), queue.into()]);
        let sql = format!(
            "SELECT id, band, epoch, attempt, crashes, refunds FROM ready WHERE {condition}
             AND EXISTS (SELECT 1 FROM workers WHERE session = ? AND left_at IS NULL)
             AND (? = 1 OR NOT EXISTS (SELECT 1 FROM queues WHERE name = ? AND is_special = 1)) FOR UPDATE SKIP LOCKED"
        );
        found.extend(tx.rows(&sql, &params, read_head).await?);
    }
    Ok(found)
}

fn read_head(row: &mut Row<'_>) -> Result<Head> {
    let (id, band) = (row.next()?, row.next()?);
    let (epoch, attempt) = (row.next()?, row.next()?);
    Ok((id, band, Life { epoch, attempt, crashes: row.next()?, refunds: row.next()?, phase: Phase::Ready }))
}

/// Takes up to `room` of these; gives how many were of handlers that the worker does not know.
async fn take(
    tx: &mut Tx,
    spec: &ClaimSpec,
    queue: &str,
    room: u32,
    head: Vec<Head>,
    claims: &mut Claims,
) -> Result<usize> {
    let (mut passed_by, mut bytes, mut taken) = (0, 0, Vec::new());
    for chunk in head.chunks(CHUNK) {
        if claims.cut || taken.len() >= room as usize {
            break;
        }
        let mut tasks = asked(tx, chunk).await?;
        for (id, band, _) in chunk {
            let Some(candidate) = tasks.remove(id) else { continue };
            if !candidate.is_for(&spec.handlers) {
                passed_by += 1;
                continue;
            }
            claims.cut = bytes >= CLAIM_BYTES;
            if claims.cut || taken.len() >= room as usize {
                break;
            }
            match candidate.decide(spec).map(|step| step.effect) {
                Some(Effect::Become(life)) if life.state() == State::Running => {
                    bytes += candidate.bytes();
                    taken.push((*band, *id, life, candidate.ties));
                    claims.claimed.push(candidate.claimed(queue, &life));
                }
                _ => claims.expired_ids.push(*id),
            }
        }
    }
    hold(tx, queue, &taken).await?;
    Ok(passed_by)
}

/// What was asked of the tasks in this part of the head.
async fn asked(tx: &mut Tx, chunk: &[Head]) -> Result<HashMap<TaskId, Candidate>> {
    let ids: Vec<Uuid> = chunk.iter().map(|row| row.0).collect();
    let places: HashMap<TaskId, &Head> = chunk.iter().map(|row| (row.0, row)).collect();
    let sql = "SELECT id, priority, ties, user_id, handler, args, kwargs, max_attempts, timeout_ms, soft_timeout_ms, expires_at, created_at
         FROM tasks WHERE id";
    let read = |row: &mut Row<'_>| {
        let id: TaskId = row.next()?;
        let place = places.get(&id);
        place.map(|(_, band, life)| Candidate::asked(row, id, *band, *life)).transpose()
    };
    let found = tx.rows_in(sql, &[], &ids, "", read).await?;
    Ok(found.into_iter().flatten().map(|candidate| (candidate.id, candidate)).collect())
}

/// Moves rows that this transaction has locked from `ready` to `running`.
async fn hold(tx: &mut Tx, queue: &str, taken: &[(i64, TaskId, Life, Ties)]) -> Result<()> {
    let places: Vec<(i64, TaskId)> = taken.iter().map(|row| (row.0, row.1)).collect();
    for some in places.chunks(PLACES) {
        let (condition, params) = at_places(queue, some);
        tx.exec(&format!("DELETE FROM ready WHERE {condition}"), &params).await?;
    }
    let mut entering = Entering::default();
    for (_, id, life, ties) in taken {
        entering.add(Seat { id: *id, place: &NOWHERE, life, ties: *ties }, Left::default());
    }
    entering.write(tx).await
}
