//! Further along a queue, behind tasks whose handlers a worker does not know.
//!
//! A claim looks at the head of a queue. Where thousands of tasks stand there that nobody can run (a handler's name was
//! mistyped, its workers were not started), the tasks behind them are found here, by reads that lock nothing, and claimed
//! by their ids. The way is walked in pages and remembered, so that it is not walked again for each claim.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use taskloom_model::TaskId;
use uuid::Uuid;

use super::floor::{Place, START};
use super::{ClaimSpec, Hint};
use crate::Store;
use crate::error::Result;
use crate::queue::Special;
use crate::row::Row;
use crate::sql::params;
use crate::tx::Tx;

/// Tasks that one read looks at, as it walks on.
const PAGE: usize = 2_000;
/// And where tasks were found before, beyond those that there is room for.
const FIRST_LOOK: usize = 64;
/// Pages of one queue that one call looks at.
const PAGES: usize = 10;
/// A new walk from the queue's start is due after this, and after so many times what the last one took.
const WALK_AGAIN: Duration = Duration::from_secs(1);
const SHARE: u32 = 20;
/// Queues, and sets of handlers of one, that are remembered; beyond that all are forgotten.
const MOST: usize = 1_000;

/// What stands behind the head of a worker's queues.
#[derive(Debug, Default)]
pub struct Further {
    /// Ready tasks of handlers that it knows.
    pub hints: Vec<Hint>,
    /// Not everything was looked at: ask again soon.
    pub more: bool,
}

/// How far each queue was walked, for each set of handlers.
#[derive(Default)]
pub(crate) struct Walks(Mutex<HashMap<String, HashMap<u64, Walk>>>);

#[derive(Clone, Copy)]
struct Walk {
    /// Behind this stands the first task that is known, or nothing.
    found: Option<Place>,
    /// Where a walk from the start has come to, while there is one. It finds what came to stand before `found` in another
    /// process.
    on_the_way: Option<Place>,
    began: Instant,
    again_at: Instant,
}

impl Walk {
    fn new() -> Self {
        let now = Instant::now();
        Self { found: None, on_the_way: Some(START), began: now, again_at: now }
    }

    fn begin_again_if_due(&mut self) {
        let now = Instant::now();
        if self.on_the_way.is_none() && now >= self.again_at {
            (self.on_the_way, self.began) = (Some(START), now);
        }
    }

    /// The walk from the start has come to a task that is known, or to the end.
    fn arrive(&mut self, at: Place) {
        (self.found, self.on_the_way) = (Some(at), None);
        self.again_at = Instant::now() + WALK_AGAIN.max(self.began.elapsed() * SHARE);
    }
}

impl Walks {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, HashMap<u64, Walk>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn get(&self, queue: &str, handlers: u64) -> Walk {
        self.lock().get(queue).and_then(|walks| walks.get(&handlers)).copied().unwrap_or_else(Walk::new)
    }

    /// Keeps how far a walk has come that began where `read` says.
    fn put(&self, queue: &str, handlers: u64, read: Walk, mut walk: Walk) {
        let mut queues = self.lock();
        if queues.len() >= MOST {
            queues.clear();
        }
        let walks = queues.entry(queue.to_owned()).or_default();
        if walks.len() >= MOST {
            walks.clear();
        }
        // What came to stand before it on the way would else be passed over.
        if let Some(lowered) = walks.get(&handlers).and_then(|now| now.found)
            && read.found.is_some_and(|found| lowered < found)
        {
            walk.found = walk.found.map(|found| found.min(lowered));
        }
        walks.insert(handlers, walk);
    }

    /// A task came to stand here.
    pub(crate) fn lower(&self, queue: &str, (band, id): Place) {
        let before = (band, TaskId::from_u128(id.as_u128().saturating_sub(1)));
        for walk in self.lock().get_mut(queue).into_iter().flat_map(HashMap::values_mut) {
            walk.found = walk.found.map(|found| found.min(before));
        }
    }
}

/// A part of a queue.
struct Part {
    /// Tasks of handlers that are known.
    known: Vec<TaskId>,
    /// The place before the first of them; without any, the last that was looked at.
    before: Place,
    /// Nothing comes behind it.
    is_last: bool,
}

impl Store {
    /// Up to `limit` tasks of handlers that the worker knows, from anywhere in its queues. To be claimed as hints, when a
    /// claim says [`passed_by`](super::Claims::passed_by).
    pub async fn task_further(&self, spec: &ClaimSpec) -> Result<Further> {
        let special = self.special_queues().await?;
        let mut further = Further::default();
        for queue in spec.queues.iter() {
            let room = (spec.limit as usize).saturating_sub(further.hints.len());
            if room == 0 {
                break;
            }
            if !matches!(special.get(queue), Some(Special::Paused)) {
                self.walk(queue, &spec.handlers, room, &mut further).await?;
            }
        }
        Ok(further)
    }

    async fn walk(
        &self,
        queue: &str,
        handlers: &Arc<HashSet<String>>,
        room: usize,
        further: &mut Further,
    ) -> Result<()> {
        let key = fingerprint(handlers);
        let read = self.walks.get(queue, key);
        let mut walk = read;
        let mut found: Vec<TaskId> = Vec::new();
        if let Some(from) = walk.found {
            let mut part = self.part(queue, from, handlers, room, room + FIRST_LOOK).await?;
            if part.known.is_empty() && !part.is_last {
                part = self.part(queue, part.before, handlers, room, PAGE).await?;
            }
            walk.found = Some(part.before);
            further.more |= part.known.is_empty() && !part.is_last;
            found.extend(part.known);
        }
        walk.begin_again_if_due();
        for _ in 0..PAGES {
            let Some(from) = walk.on_the_way else { break };
            let part = self.part(queue, from, handlers, room, PAGE).await?;
            if part.known.is_empty() && !part.is_last {
                walk.on_the_way = Some(part.before);
                continue;
            }
            walk.arrive(part.before);
            // They stand before what was found further on.
            found.splice(0..0, part.known);
        }
        further.more |= walk.on_the_way.is_some();
        self.walks.put(queue, key, read, walk);
        let name: Arc<str> = Arc::from(queue);
        let mut seen = HashSet::new();
        found.retain(|id| seen.insert(*id));
        further.hints.extend(found.into_iter().take(room).map(|id| Hint { queue: Arc::clone(&name), id }));
        Ok(())
    }

    async fn part(
        &self,
        queue: &str,
        from: Place,
        handlers: &Arc<HashSet<String>>,
        room: usize,
        rows: usize,
    ) -> Result<Part> {
        let (queue, handlers) = (queue.to_owned(), Arc::clone(handlers));
        self.scan(move |tx| Box::pin(async move { look(tx, &queue, from, &handlers, room, rows).await }))
            .await
    }
}

const WALK: &str =
    "SELECT band, id FROM ready WHERE queue = ? AND (band, id) > (?, ?) ORDER BY band, id LIMIT ?";
/// MariaDB walks a key by ranges, but not by pairs.
const WALK_MYSQL: &str = "SELECT band, id FROM ready WHERE queue = ? AND (band > ? OR band = ? AND id > ?)
     ORDER BY band, id LIMIT ?";

async fn look(
    tx: &mut Tx,
    queue: &str,
    from: Place,
    handlers: &HashSet<String>,
    room: usize,
    rows: usize,
) -> Result<Part> {
    let read = |row: &mut Row<'_>| Ok((row.next::<i64>()?, row.next::<TaskId>()?));
    let (band, id) = from;
    let places: Vec<Place> = if matches!(tx, Tx::Mysql(_)) {
        tx.rows(WALK_MYSQL, params![queue, band, band, id, rows as u64], read).await?
    } else {
        tx.rows(WALK, params![queue, band, id, rows as u64], read).await?
    };
    let ids: Vec<Uuid> = places.iter().map(|(_, id)| *id).collect();
    let read = |row: &mut Row<'_>| Ok((row.next::<TaskId>()?, row.next::<String>()?));
    let asked = tx.rows_in("SELECT id, handler FROM tasks WHERE id", &[], &ids, "", read).await?;
    let known: HashSet<TaskId> =
        asked.into_iter().filter(|(_, handler)| handlers.contains(handler)).map(|(id, _)| id).collect();
    let before = match places.iter().position(|(_, id)| known.contains(id)) {
        Some(first) => first.checked_sub(1).map_or(from, |last| places[last]),
        None => places.last().copied().unwrap_or(from),
    };
    Ok(Part {
        known: ids.into_iter().filter(|id| known.contains(id)).take(room).collect(),
        before,
        is_last: places.len() < rows,
    })
}

/// Tells sets of handlers apart, in this process.
fn fingerprint(handlers: &HashSet<String>) -> u64 {
    let mut names: Vec<&String> = handlers.iter().collect();
    names.sort_unstable();
    BuildHasherDefault::<DefaultHasher>::default().hash_one(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_to_stand_before_a_walk_while_it_goes_on_is_not_passed_over() {
        let at = |id| (0, TaskId::from_u128(id));
        let walks = Walks::default();
        let known = Walk { found: Some(at(50)), on_the_way: None, ..Walk::new() };
        walks.put("q", 1, known, known);
        walks.lower("q", at(10));
        walks.put("q", 1, known, Walk { found: Some(at(70)), ..known });
        assert_eq!(walks.get("q", 1).found, Some(at(9)));
        let read = walks.get("q", 1);
        walks.put("q", 1, read, Walk { found: Some(at(80)), ..read });
        assert_eq!(walks.get("q", 1).found, Some(at(80)));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_queue_is_walked_by_its_key() {
        let values = "'default', 0, '00000000-0000-0000-0000-000000000001', 2000";
        // It refuses any way but an index.
        let _ = crate::postgres::plan(WALK, values).await;
    }
}
