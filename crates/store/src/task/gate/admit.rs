//! T15: a gate lets in as many as it has room for.

use std::collections::HashMap;
use std::time::Duration;

use taskloom_model::{
    Action, Backoff, Bucket, Effect, Life, Limit, Phase, Rules, State, TaskId, Ties, Timestamp, next,
};
use uuid::Uuid;

use crate::error::{Result, StoreError};
use crate::row::Row;
use crate::sql::{Param, params};
use crate::task::life::{Entering, Left, Place, Seat, limit_of, read_priority};
use crate::task::step::Stepped;
use crate::tx::Tx;

/// Tasks let in by one transaction; the rest is let in by the next pass.
const ADMITTED: u32 = 500;

/// How soon the sweep looks again for those that somebody else had locked.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// A gate as it stands.
struct Gate {
    most: u32,
    held: u32,
    bucket: Bucket,
}

impl Gate {
    fn room(&self, limit: Limit, now: Timestamp) -> u32 {
        match limit {
            Limit::Concurrency => self.most.saturating_sub(self.held),
            Limit::Rate => self.bucket.tokens(now),
        }
    }
}

/// One who waits at the gate.
struct Waiting {
    id: TaskId,
    after: Life,
    place: Place,
    ties: Ties,
}

/// Lets in whoever may pass; gives the gates at which they wait next.
pub(super) async fn admit(
    tx: &mut Tx,
    name: &str,
    now: Timestamp,
    steps: &mut Vec<Stepped>,
) -> Result<Vec<String>> {
    tx.lock("SELECT 1 FROM gates WHERE gate = ?", params![name]).await?;
    let Some(gate) = load(tx, name).await? else { return Ok(Vec::new()) };
    let limit = limit_of(name)?;
    let room = gate.room(limit, now);
    let admitted = if room > 0 { waiting(tx, name, limit, room.min(ADMITTED)).await? } else { Vec::new() };
    let count = admitted.len() as u32;
    let ids: Vec<Uuid> = admitted.iter().map(|task| task.id).collect();
    if tx.exec_in("DELETE FROM limited WHERE id", &[], &ids).await? != u64::from(count) {
        return Err(StoreError::Conflict("a task that waited at a gate had moved on".into()));
    }
    let further = enter_all(tx, &admitted).await?;
    if limit == Limit::Concurrency {
        let permits: Vec<Param<'_>> = ids.iter().flat_map(|id| [name.into(), (*id).into()]).collect();
        tx.insert_many("INSERT INTO permits (gate, task_id)", 2, &permits).await?;
    }
    let (held, bucket) = match limit {
        Limit::Concurrency => (gate.held + count, gate.bucket),
        Limit::Rate => (gate.held, gate.bucket.take(count, now)),
    };
    // Those that wait for a place are let in by the one who leaves it; time has nobody who does. Where there is room left,
    // those that wait were too many for one pass, or locked by others, who need not come by here: the sweep does.
    let sql = "SELECT count(*) FROM (SELECT 1 FROM limited WHERE gate = ? LIMIT 1) counted";
    let wake_at = match (tx.number(sql, params![name]).await?, limit) {
        (0, _) => None,
        _ if count < room && count == ADMITTED => Some(now),
        (_, Limit::Concurrency) if count < room => Some(now.plus(LOOK_AGAIN)),
        (_, Limit::Concurrency) => None,
        (_, Limit::Rate) => Some(bucket.next_at(now)),
    };
    let sql = "UPDATE gates SET held = ?, full_at = ?, wake_at = ?, used_at = ? WHERE gate = ?";
    tx.exec(sql, params![held, bucket.full_at, wake_at, now, name]).await?;
    steps.extend(admitted.into_iter().map(|task| Stepped {
        id: task.id,
        queue: task.place.queue,
        priority: task.place.priority,
        band: task.place.band,
        ties: task.ties,
        before: State::Limited,
        life: task.after,
    }));
    Ok(further)
}

async fn load(tx: &mut Tx, name: &str) -> Result<Option<Gate>> {
    let read = |row: &mut Row<'_>| {
        let (most, per_us) = (row.next()?, row.next()?);
        let held = row.next()?;
        Ok(Gate { most, held, bucket: Bucket { count: most, per_us, full_at: row.next()? } })
    };
    tx.row("SELECT most, per_us, held, full_at FROM gates WHERE gate = ?", params![name], read).await
}

/// The first of those that wait, without those that somebody else moves right now.
async fn waiting(tx: &mut Tx, name: &str, limit: Limit, most: u32) -> Result<Vec<Waiting>> {
    let locked = if tx.is_shared() { " FOR UPDATE SKIP LOCKED" } else { "" };
    let sql = format!(
        "SELECT id, epoch, attempt, crashes, refunds FROM limited WHERE gate = ? ORDER BY band, id LIMIT ?{locked}"
    );
    let phase = Phase::Limited(limit);
    let read = |row: &mut Row<'_>| {
        let id: TaskId = row.next()?;
        let (epoch, attempt) = (row.next()?, row.next()?);
        Ok((id, Life { epoch, attempt, crashes: row.next()?, refunds: row.next()?, phase }))
    };
    let lives = tx.rows(&sql, params![name, most], read).await?;
    let ids: Vec<Uuid> = lives.iter().map(|(id, _)| *id).collect();
    let read = |row: &mut Row<'_>| {
        let id: TaskId = row.next()?;
        let place = Place { queue: row.next()?, priority: read_priority(row)?, band: row.next()? };
        Ok((id, (place, Ties::from_bits(row.next()?))))
    };
    let sql = "SELECT id, queue, priority, band, ties FROM tasks WHERE id";
    let mut asked: HashMap<TaskId, (Place, Ties)> =
        tx.rows_in(sql, &[], &ids, "", read).await?.into_iter().collect();
    let mut found = Vec::with_capacity(lives.len());
    for (id, before) in lives {
        let Some((place, ties)) = asked.remove(&id) else { continue };
        // Of its rules an admission looks at the limits alone.
        let rules = Rules {
            max_attempts: 0,
            timeout: None,
            backoff: Backoff::default(),
            expires_at: None,
            limits: ties.limits(),
        };
        let step = next(&before, &rules, Action::Admit, Timestamp::MIN, 0.0);
        if let Ok(Effect::Become(after)) = step.map(|step| step.effect) {
            found.push(Waiting { id, after, place, ties });
        }
    }
    Ok(found)
}

/// Puts them where they stand now; gives the gates at which some wait next.
async fn enter_all(tx: &mut Tx, admitted: &[Waiting]) -> Result<Vec<String>> {
    let mut entering = Entering::default();
    let mut further: Vec<Uuid> = Vec::new();
    for Waiting { id, after, place, ties } in admitted {
        entering.add(Seat { id: *id, place, life: after, ties: *ties }, Left::default());
        if after.phase != Phase::Ready {
            further.push(*id);
        }
    }
    entering.write(tx).await?;
    tx.rows_in("SELECT gate FROM limited WHERE id", &[], &further, "", crate::row::first).await
}
