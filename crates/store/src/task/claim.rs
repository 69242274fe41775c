//! T3: a worker takes tasks.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use taskloom_model::{
    Action, Effect, Life, Phase, Priority, Rules, SessionId, State, TaskId, Timestamp, next,
};
use taskloom_protocol::{Claimed, Json, Task};

use super::life::{Place, Standing, Trace, enter, read_priority};
use super::note::Note;
use super::step::{Stepped, carry_out};
use crate::Store;
use crate::error::Result;
use crate::sql::{Row, params};
use crate::tx::Tx;

/// Bytes of arguments after which a claim takes no further task.
const CLAIM_BYTES: usize = 4 << 20;

/// Tasks of handlers that a worker does not know, at the head of a queue, that its claim looks past.
const PASSED_BY: u32 = 2_000;

/// Who claims what.
#[derive(Debug, Clone)]
pub struct ClaimSpec {
    /// The worker's boot.
    pub session: SessionId,
    /// Queues, in the order they are served.
    pub queues: Arc<[String]>,
    /// The handlers it knows; a task of another waits for another worker. Empty: it did not say, and gets them all.
    pub handlers: Arc<HashSet<String>>,
    /// Free slots.
    pub limit: u32,
    /// How long a claim holds.
    pub lease: Duration,
    /// The instant of the claim.
    pub now: Timestamp,
}

/// What a claim found.
#[derive(Debug, Default)]
pub struct Claims {
    /// The worker is not known, or has left: it gets nothing.
    pub unknown: bool,
    /// Their arguments were as much as one claim carries; there may be more.
    pub cut: bool,
    /// The tasks now held.
    pub claimed: Vec<Claimed>,
    /// Tasks found expired, now revoked, and what followed.
    pub expired: Vec<Stepped>,
}

/// A row of `ready` with what a worker needs of `tasks`.
struct Candidate {
    id: TaskId,
    priority: Priority,
    life: Life,
    user_id: uuid::Uuid,
    handler: String,
    args: Option<Json>,
    kwargs: Option<Json>,
    max_attempts: u32,
    timeout_ms: Option<u64>,
    soft_timeout_ms: Option<u64>,
    expires_at: Option<Timestamp>,
    created_at: Timestamp,
}

impl Store {
    /// Takes up to `limit` ready tasks; none is ever given to two.
    pub async fn task_claim(&self, spec: ClaimSpec) -> Result<Claims> {
        self.write(move |tx| Box::pin(async move { claim(tx, &spec).await })).await
    }
}

async fn claim(tx: &mut Tx, spec: &ClaimSpec) -> Result<Claims> {
    let sql = "SELECT 1 FROM workers WHERE session = ? AND left_at IS NULL";
    let known = tx.number(sql, params![spec.session]).await? == 1;
    let mut claims = Claims { unknown: !known, ..Claims::default() };
    if claims.unknown {
        return Ok(claims);
    }
    for queue in spec.queues.iter() {
        let room = spec.limit.saturating_sub(claims.claimed.len() as u32);
        if room == 0 || claims.cut {
            break;
        }
        let (found, cut) = candidates(tx, queue, &spec.handlers, room).await?;
        claims.cut = cut;
        for candidate in found {
            take(tx, spec, queue, candidate, &mut claims).await?;
        }
    }
    Ok(claims)
}

/// Up to `room` tasks of the queue, first come first, and whether their size ended the list.
async fn candidates(
    tx: &mut Tx,
    queue: &str,
    handlers: &HashSet<String>,
    room: u32,
) -> Result<(Vec<Candidate>, bool)> {
    let (mut bytes, mut known) = (0, 0);
    let sql = "SELECT r.id, r.priority, r.epoch, r.attempt, r.crashes, r.refunds, t.user_id, t.handler, t.args, t.kwargs,
         t.max_attempts, t.timeout_ms, t.soft_timeout_ms, t.expires_at, t.created_at
         FROM ready r JOIN tasks t ON t.id = r.id
         WHERE r.queue = ? ORDER BY r.priority DESC, r.id LIMIT ?";
    let read = |row: &mut Row<'_>| {
        let candidate = Candidate {
            id: row.next()?,
            priority: read_priority(row)?,
            life: Life {
                epoch: row.next()?,
                attempt: row.next()?,
                crashes: row.next()?,
                refunds: row.next()?,
                phase: Phase::Ready,
            },
            user_id: row.next()?,
            handler: row.next()?,
            args: row.next()?,
            kwargs: row.next()?,
            max_attempts: row.next()?,
            timeout_ms: row.next()?,
            soft_timeout_ms: row.next()?,
            expires_at: row.next()?,
            created_at: row.next()?,
        };
        let candidate = (handlers.is_empty() || handlers.contains(&candidate.handler)).then_some(candidate);
        if let Some(candidate) = &candidate {
            bytes += candidate.bytes();
            known += 1;
        }
        Ok((candidate, bytes < CLAIM_BYTES && known < room))
    };
    let look_at = if handlers.is_empty() { room } else { room.saturating_add(PASSED_BY) };
    let found = tx.rows_while(sql, params![queue, look_at], read).await?;
    Ok((found.into_iter().flatten().collect(), bytes >= CLAIM_BYTES))
}

async fn take(
    tx: &mut Tx,
    spec: &ClaimSpec,
    queue: &str,
    candidate: Candidate,
    claims: &mut Claims,
) -> Result<()> {
    let Candidate { id, priority, life, .. } = candidate;
    let rules = Rules {
        max_attempts: candidate.max_attempts,
        timeout: candidate.timeout_ms.map(Duration::from_millis),
        // A claim never looks at the backoff.
        backoff: taskloom_model::Backoff::default(),
        expires_at: candidate.expires_at,
    };
    let action = Action::Claim { session: spec.session, lease: spec.lease };
    let Ok(step) = next(&life, &rules, action, spec.now, 0.0) else { return Ok(()) };
    let place = Place { queue: queue.to_owned(), priority };
    match step.effect {
        Effect::Become(after) if after.state() == State::Running => {
            let key = params![queue, i64::from(priority.number()), id];
            tx.exec("DELETE FROM ready WHERE queue = ? AND priority = ? AND id = ?", key).await?;
            enter(tx, id, &place, &after, None, &Note::default()).await?;
            claims.claimed.push(candidate.claimed(place, &after));
        }
        _ => {
            let user_id = candidate.user_id;
            let standing = Standing { life, rules, place, user_id, deleted: false, trace: Trace::default() };
            carry_out(tx, id, standing, step, &Note::default(), spec.now, &mut claims.expired).await?;
        }
    }
    Ok(())
}

impl Candidate {
    fn bytes(&self) -> usize {
        let json = |json: &Option<Json>| json.as_ref().map_or(0, |json| json.get().len());
        json(&self.args) + json(&self.kwargs)
    }

    fn claimed(self, place: Place, life: &Life) -> Claimed {
        Claimed {
            id: self.id,
            epoch: life.epoch,
            attempt: life.attempt,
            max_attempts: self.max_attempts.saturating_add(life.refunds),
            task: self.handler,
            args: self.args.unwrap_or_else(Task::no_args),
            kwargs: self.kwargs.unwrap_or_else(Task::no_kwargs),
            queue: place.queue,
            priority: place.priority,
            timeout_ms: self.timeout_ms,
            soft_timeout_ms: self.soft_timeout_ms,
            user_id: self.user_id,
            created_at: self.created_at,
        }
    }
}
