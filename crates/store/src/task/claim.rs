//! T3: a worker takes tasks.

mod floor;
mod further;
mod line;
mod mysql;
mod postgres;
mod sqlite;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use taskloom_model::{
    Action, Life, Phase, Priority, Rules, SessionId, TaskId, Ties, Timestamp, Transition, next,
};
use taskloom_protocol::{Claimed, Json, Task};

use super::life::{Place, read_priority};
use super::step::{Request, Stepped, step};
use crate::Store;
use crate::error::Result;
use crate::queue::Special;
use crate::row::Row;
use crate::sql::params;
use crate::tx::Tx;
pub(crate) use floor::Floors;
pub use further::Further;
pub(crate) use further::Walks;

/// Bytes of arguments after which a claim takes no further task.
const CLAIM_BYTES: usize = 4 << 20;

/// Tasks of handlers that a worker does not know, at the head of a queue, that its claim itself looks past,
/// under the locks it takes; those behind them are found by [`Store::task_further`].
const PASSED_BY: u32 = 256;

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
    /// Only these tasks, which a dispatcher handed out; none: the heads of the queues.
    pub hints: Arc<[Hint]>,
}

/// Where a ready task is said to stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hint {
    /// Its queue.
    pub queue: Arc<str>,
    /// Its id.
    pub id: TaskId,
}

impl ClaimSpec {
    /// The hints of a queue.
    fn hinted(&self, queue: &str) -> Vec<TaskId> {
        self.hints.iter().filter(|hint| *hint.queue == *queue).map(|hint| hint.id).collect()
    }
}

/// What a claim found.
#[derive(Debug, Default)]
pub struct Claims {
    /// The worker is not known, or has left: it gets nothing.
    pub unknown: bool,
    /// Their arguments were as much as one claim carries; there may be more.
    pub cut: bool,
    /// The head of a queue was full of tasks whose handlers the worker does not know: others may stand behind them. See
    /// [`Store::task_further`].
    pub passed_by: bool,
    /// When a queue's limit lets the next start, if that is a matter of time.
    pub wake_at: Option<Timestamp>,
    /// The tasks now held.
    pub claimed: Vec<Claimed>,
    /// Tasks found expired, now revoked, and what followed.
    pub expired: Vec<Stepped>,
    /// Tasks found expired that still wait.
    expired_ids: Vec<TaskId>,
}

/// A row of `ready` with what a worker needs of `tasks`.
struct Candidate {
    id: TaskId,
    band: i64,
    life: Life,
    priority: Priority,
    ties: Ties,
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

/// What [`Candidate::read`] reads, in its order: of `tasks t` and `ready r`.
const CANDIDATE: &str =
    "r.id, r.band, r.epoch, r.attempt, r.crashes, r.refunds, t.priority, t.ties, t.user_id, t.handler, t.args, t.kwargs,
     t.max_attempts, t.timeout_ms, t.soft_timeout_ms, t.expires_at, t.created_at";

impl Store {
    /// Takes up to `limit` ready tasks; none is ever given to two.
    pub async fn task_claim(&self, spec: ClaimSpec) -> Result<Claims> {
        let special = self.special_queues().await?;
        if spec.queues.iter().all(|queue| !special.contains_key(queue)) {
            return self.claim_plain(spec).await;
        }
        let mut claims = Claims::default();
        for queue in spec.queues.iter() {
            let limit = spec.limit.saturating_sub(claims.claimed.len() as u32);
            if limit == 0 || claims.cut || claims.unknown {
                break;
            }
            let own = ClaimSpec { limit, queues: Arc::new([queue.clone()]), ..spec.clone() };
            if !own.hints.is_empty() && own.hinted(queue).is_empty() {
                continue;
            }
            let claimed = match special.get(queue) {
                Some(Special::Paused) => continue,
                Some(Special::Limited) => self.claim_limited(own, queue.clone()).await,
                None => self.claim_plain(own).await,
            };
            match claimed {
                Ok(more) => claims.add(more),
                // What is committed already has to reach its worker, whatever came after.
                Err(error) if !claims.claimed.is_empty() => {
                    tracing::warn!(%error, "a claim was cut short");
                    claims.cut = true;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(claims)
    }

    async fn claim_plain(&self, spec: ClaimSpec) -> Result<Claims> {
        if self.is_exclusive() {
            let floors = Arc::clone(&self.floors);
            return self.write(move |tx| Box::pin(async move { claim(tx, &spec, &floors).await })).await;
        }
        let (spec, floors) = (Arc::new(spec), Arc::clone(&self.floors));
        let first = Arc::clone(&spec);
        let claims = self.single(move |tx| Box::pin(async move { claim(tx, &first, &floors).await })).await?;
        if claims.expired_ids.is_empty() {
            return Ok(claims);
        }
        // What was found too late is moved in a transaction of its own.
        let late = claims.expired_ids.clone();
        match self.step_each(late, |_| (Action::Expire, 0.0), spec.now).await {
            Ok(expired) => Ok(Claims { expired, ..claims }),
            // What was claimed has to reach its worker; the expire loop comes by as well.
            Err(error) => {
                tracing::warn!(%error, "tasks found expired could not be revoked");
                Ok(claims)
            }
        }
    }
}

impl Claims {
    fn add(&mut self, more: Self) {
        self.unknown |= more.unknown;
        self.cut |= more.cut;
        self.passed_by |= more.passed_by;
        self.wake_at = self.wake_at.into_iter().chain(more.wake_at).min();
        self.claimed.extend(more.claimed);
        self.expired.extend(more.expired);
    }
}

impl Store {
    /// Says that tasks came to stand in line, so that claims that have gone on look there again.
    pub fn note_ready(&self, ready: &[Stepped]) {
        for step in ready {
            let place = (step.band, step.id);
            self.floors.lower(&step.queue, place);
            self.walks.lower(&step.queue, place);
        }
    }
}

async fn claim(tx: &mut Tx, spec: &ClaimSpec, floors: &Floors) -> Result<Claims> {
    let mut claims = Claims::default();
    if matches!(tx, Tx::Sqlite(_)) && !is_known(tx, spec).await? {
        return Ok(Claims { unknown: true, ..claims });
    }
    for queue in spec.queues.iter() {
        let room = spec.limit.saturating_sub(claims.claimed.len() as u32);
        if room == 0 || claims.cut {
            break;
        }
        if !spec.hints.is_empty() && spec.hints.iter().all(|hint| *hint.queue != **queue) {
            continue;
        }
        match claim_from(tx, spec, queue, Share { room, is_counted: false }, floors, &mut claims).await {
            // What is committed already has to reach its worker, whatever came after.
            Err(error) if matches!(tx, Tx::Postgres(_)) && !claims.claimed.is_empty() => {
                tracing::warn!(%error, "a claim was cut short");
                claims.cut = true;
            }
            other => other?,
        }
    }
    // Across a network the claim itself asks whether the worker is known; only who gets nothing wants to know why.
    if claims.claimed.is_empty() && tx.is_shared() {
        claims.unknown = !is_known(tx, spec).await?;
    }
    Ok(claims)
}

/// How much of a queue a claim may have.
#[derive(Clone, Copy)]
struct Share {
    room: u32,
    /// The queue's limits were asked, and its row is locked.
    is_counted: bool,
}

/// Takes tasks of one queue whose limits have been counted.
pub(crate) async fn claim_one(tx: &mut Tx, spec: &ClaimSpec, queue: &str, floors: &Floors) -> Result<Claims> {
    let mut claims = Claims::default();
    if !is_known(tx, spec).await? {
        return Ok(Claims { unknown: true, ..claims });
    }
    let share = Share { room: spec.limit, is_counted: true };
    claim_from(tx, spec, queue, share, floors, &mut claims).await?;
    for id in std::mem::take(&mut claims.expired_ids) {
        // Another may just have moved it.
        let _ = step(tx, &Request::new(id, Action::Expire), spec.now, &mut claims.expired).await?;
    }
    Ok(claims)
}

async fn claim_from(
    tx: &mut Tx,
    spec: &ClaimSpec,
    queue: &str,
    share: Share,
    floors: &Floors,
    claims: &mut Claims,
) -> Result<()> {
    match tx {
        Tx::Sqlite(_) => sqlite::claim(tx, spec, queue, share, claims).await,
        Tx::Postgres(session) => postgres::claim(session, spec, floors, queue, share, claims).await,
        Tx::Mysql(_) => mysql::claim(tx, spec, queue, share, claims).await,
    }
}

async fn is_known(tx: &mut Tx, spec: &ClaimSpec) -> Result<bool> {
    let sql = "SELECT 1 FROM workers WHERE session = ? AND left_at IS NULL";
    Ok(tx.number(sql, params![spec.session]).await? == 1)
}

impl Candidate {
    /// Reads a row of [`CANDIDATE`].
    fn read(row: &mut Row<'_>) -> Result<Self> {
        let (id, band) = (row.next()?, row.next()?);
        let life = Life {
            epoch: row.next()?,
            attempt: row.next()?,
            crashes: row.next()?,
            refunds: row.next()?,
            phase: Phase::Ready,
        };
        Self::asked(row, id, band, life)
    }

    /// Reads the columns of `tasks` in [`CANDIDATE`].
    fn asked(row: &mut Row<'_>, id: TaskId, band: i64, life: Life) -> Result<Self> {
        Ok(Self {
            id,
            band,
            life,
            priority: read_priority(row)?,
            ties: Ties::from_bits(row.next()?),
            user_id: row.next()?,
            handler: row.next()?,
            args: row.next()?,
            kwargs: row.next()?,
            max_attempts: row.next()?,
            timeout_ms: row.next()?,
            soft_timeout_ms: row.next()?,
            expires_at: row.next()?,
            created_at: row.next()?,
        })
    }

    fn is_for(&self, handlers: &HashSet<String>) -> bool {
        handlers.is_empty() || handlers.contains(&self.handler)
    }

    /// The step that the claim is, or its end because it comes too late.
    fn decide(&self, spec: &ClaimSpec) -> Option<Transition> {
        let action = Action::Claim { session: spec.session, lease: spec.lease };
        next(&self.life, &self.rules(), action, spec.now, 0.0).ok()
    }

    fn rules(&self) -> Rules {
        Rules {
            max_attempts: self.max_attempts,
            timeout: self.timeout_ms.map(Duration::from_millis),
            // A claim never looks at the backoff.
            backoff: taskloom_model::Backoff::default(),
            expires_at: self.expires_at,
            limits: self.ties.limits(),
        }
    }

    fn place(&self, queue: &str) -> Place {
        Place { queue: queue.to_owned(), priority: self.priority, band: self.band }
    }

    fn bytes(&self) -> usize {
        let json = |json: &Option<Json>| json.as_ref().map_or(0, |json| json.get().len());
        json(&self.args) + json(&self.kwargs)
    }

    fn claimed(self, queue: &str, life: &Life) -> Claimed {
        Claimed {
            id: self.id,
            epoch: life.epoch,
            attempt: life.attempt,
            max_attempts: self.max_attempts.saturating_add(life.refunds),
            task: self.handler,
            args: self.args.unwrap_or_else(Task::no_args),
            kwargs: self.kwargs.unwrap_or_else(Task::no_kwargs),
            queue: queue.to_owned(),
            priority: self.priority,
            ties: self.ties,
            timeout_ms: self.timeout_ms,
            soft_timeout_ms: self.soft_timeout_ms,
            user_id: self.user_id,
            created_at: self.created_at,
        }
    }
}
