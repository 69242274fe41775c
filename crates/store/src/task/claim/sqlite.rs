//! The claim on SQLite: a walk along the queue, row by row, since a statement costs no round trip.

use std::collections::HashSet;

use taskloom_model::{Effect, State};

use super::{CANDIDATE, CLAIM_BYTES, Candidate, ClaimSpec, Claims, PASSED_BY, Share};
use crate::error::Result;
use crate::row::Row;
use crate::sql::params;
use crate::task::life::{Left, Seat, Standing, Trace, enter};
use crate::task::note::Note;
use crate::task::step::carry_out;
use crate::tx::Tx;

pub(super) async fn claim(
    tx: &mut Tx,
    spec: &ClaimSpec,
    queue: &str,
    share: Share,
    claims: &mut Claims,
) -> Result<()> {
    if !share.is_counted && is_special(tx, queue).await? {
        return Ok(());
    }
    let room = share.room;
    let found = if spec.hints.is_empty() {
        let (found, cut, passed_by) = candidates(tx, queue, &spec.handlers, room).await?;
        claims.cut = cut;
        claims.passed_by |= passed_by;
        found
    } else {
        hinted(tx, spec, queue, room).await?
    };
    for candidate in found {
        take(tx, spec, queue, candidate, claims).await?;
    }
    Ok(())
}

async fn is_special(tx: &mut Tx, queue: &str) -> Result<bool> {
    let sql = "SELECT count(*) FROM queues WHERE name = ? AND is_special = 1";
    Ok(tx.number(sql, params![queue]).await? == 1)
}

/// Up to `room` tasks of the queue, first come first; whether their size ended the list; and whether it ended among tasks
/// of other handlers.
async fn candidates(
    tx: &mut Tx,
    queue: &str,
    handlers: &HashSet<String>,
    room: u32,
) -> Result<(Vec<Candidate>, bool, bool)> {
    let (mut bytes, mut known) = (0, 0);
    let read = |row: &mut Row<'_>| {
        let candidate = Candidate::read(row)?;
        let candidate = candidate.is_for(handlers).then_some(candidate);
        if let Some(candidate) = &candidate {
            bytes += candidate.bytes();
            known += 1;
        }
        Ok((candidate, bytes < CLAIM_BYTES && known < room))
    };
    let look_at = if handlers.is_empty() { room } else { room.saturating_add(PASSED_BY) };
    let found = tx.rows_while(select(), params![queue, look_at], read).await?;
    let passed_by = !handlers.is_empty() && found.len() >= look_at as usize && known < room;
    Ok((found.into_iter().flatten().collect(), bytes >= CLAIM_BYTES, passed_by))
}

/// Those of the hinted tasks that are ready.
async fn hinted(tx: &mut Tx, spec: &ClaimSpec, queue: &str, room: u32) -> Result<Vec<Candidate>> {
    static SELECT: std::sync::LazyLock<String> = std::sync::LazyLock::new(|| {
        format!(
            "SELECT {CANDIDATE} FROM tasks t CROSS JOIN ready r WHERE t.id = ? AND r.queue = ? AND r.band = t.band AND r.id = t.id"
        )
    });
    let mut found = Vec::new();
    for id in spec.hinted(queue).into_iter().take(room as usize) {
        let candidate = tx.row(&SELECT, params![id, queue], Candidate::read).await?;
        found.extend(candidate.filter(|candidate| candidate.is_for(&spec.handlers)));
    }
    Ok(found)
}

fn select() -> &'static str {
    static SELECT: std::sync::LazyLock<String> = std::sync::LazyLock::new(|| {
        format!(
            "SELECT {CANDIDATE} FROM ready r JOIN tasks t ON t.id = r.id
             WHERE r.queue = ? ORDER BY r.band, r.id LIMIT ?"
        )
    });
    &SELECT
}

async fn take(
    tx: &mut Tx,
    spec: &ClaimSpec,
    queue: &str,
    candidate: Candidate,
    claims: &mut Claims,
) -> Result<()> {
    let Candidate { id, life, ties, .. } = candidate;
    let Some(step) = candidate.decide(spec) else { return Ok(()) };
    let place = candidate.place(queue);
    match step.effect {
        Effect::Become(after) if after.state() == State::Running => {
            let key = params![queue, place.band, id];
            tx.exec("DELETE FROM ready WHERE queue = ? AND band = ? AND id = ?", key).await?;
            enter(tx, Seat { id, place: &place, life: &after, ties }, Left::default()).await?;
            claims.claimed.push(candidate.claimed(queue, &after));
        }
        _ => {
            let user_id = candidate.user_id;
            let rules = candidate.rules();
            let standing = Standing {
                life,
                rules,
                place,
                user_id,
                deleted: false,
                ties,
                // A claim meets no error, and takes no key back.
                retry_on: Vec::new(),
                unique_key: None,
                trace: Trace::default(),
            };
            carry_out(tx, id, standing, step, &Note::default(), spec.now, &mut claims.expired).await?;
        }
    }
    Ok(())
}
