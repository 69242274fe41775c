//! Who is next: turns between users, and a share for those that have been passed by for long.
//!
//! Tasks of one priority in a queue go by turn, then by age. A user's first waiting task gets the turn that is being
//! served, their second the one behind it, and so on: so users take turns, however many tasks each has brought. Turns are
//! given at submission from what this process remembers; nothing is counted in the database, and a claim knows nothing of
//! it. Several servers give turns apart from each other, so a user who submits through two gets up to two turns at a time.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use taskloom_model::{Priority, Timestamp, UserId};
use taskloom_store::NewTask;

use crate::{Engine, EngineError};

/// How long a process relies on the turn it has seen being served.
const FRESH: Duration = Duration::from_millis(500);
/// Lines remembered; beyond that all are forgotten and looked up again.
const LINES: usize = 10_000;
/// Users remembered in a line.
const USERS: usize = 100_000;
/// One claim in so many looks first for tasks that have been passed by.
const LOOK_BACK: u64 = 8;

/// A queue at one priority.
type LineKey = (String, Priority);

/// What this process remembers of turns.
#[derive(Default)]
pub(crate) struct Turns {
    lines: Mutex<HashMap<LineKey, Line>>,
    claims: AtomicU64,
}

struct Line {
    /// The turn that is being served.
    next: u64,
    seen: Instant,
    /// Whether anybody waited then.
    is_waiting: bool,
    /// The last turn of each user, apart for those tasks that have to wait for something else first.
    last: HashMap<(UserId, bool), u64>,
}

impl Turns {
    fn lines(&self) -> MutexGuard<'_, HashMap<LineKey, Line>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether this claim is one that looks back, and from which priority down.
    pub(crate) fn look_back(&self) -> Option<Priority> {
        let claim = self.claims.fetch_add(1, Ordering::Relaxed);
        if claim % LOOK_BACK != LOOK_BACK - 1 {
            return None;
        }
        let priorities = [Priority::High, Priority::Normal, Priority::Low];
        priorities.get((claim / LOOK_BACK % 3) as usize).copied()
    }

    fn is_fresh(&self, key: &LineKey) -> bool {
        self.lines().get(key).is_some_and(|line| line.seen.elapsed() < FRESH)
    }

    /// Whether somebody waits in the line, and this user's last turn is not known.
    fn lacks(&self, key: &LineKey, user: UserId) -> bool {
        let lines = self.lines();
        lines.get(key).is_some_and(|line| {
            let known = line.last.contains_key(&(user, false)) || line.last.contains_key(&(user, true));
            line.is_waiting && !known
        })
    }

    /// Notes the turn that is being served; `None`: nobody waits, and all begin anew.
    fn see(&self, key: &LineKey, next: Option<u64>, now: Timestamp) {
        let mut lines = self.lines();
        if lines.len() >= LINES {
            lines.clear();
        }
        let new = || Line { next: 0, seen: Instant::now(), is_waiting: false, last: HashMap::new() };
        let line = lines.entry(key.clone()).or_insert_with(new);
        (line.seen, line.is_waiting) = (Instant::now(), next.is_some());
        if let Some(next) = next {
            line.next = next;
            line.last.retain(|_, last| *last >= next);
        } else {
            // All processes begin at the same place, wherever they were.
            line.next = now.as_micros().unsigned_abs() / 10_000;
            line.last.clear();
        }
        if line.last.len() >= USERS {
            line.last.clear();
        }
    }

    fn remember(&self, key: &LineKey, user: UserId, last: u64) {
        if let Some(line) = self.lines().get_mut(key) {
            line.last.insert((user, false), last);
        }
    }

    fn give(&self, tasks: &mut [NewTask], now: Timestamp) {
        let mut lines = self.lines();
        let mut key = (String::new(), Priority::Normal);
        for task in tasks {
            if key.0 != task.queue {
                key.0.clone_from(&task.queue);
            }
            key.1 = task.priority;
            let Some(line) = lines.get_mut(&key) else { continue };
            let waits = task.run_at.is_some_and(|at| at > now) || !task.depends_on.is_empty();
            let last = line.last.entry((task.user_id, waits)).or_insert(0);
            *last = (*last + 1).max(line.next);
            task.turn = *last;
        }
    }
}

impl Engine {
    /// Gives each of these new tasks its turn.
    pub(crate) async fn take_turns(&self, tasks: &mut [NewTask], now: Timestamp) -> Result<(), EngineError> {
        let turns = &self.inner.turns;
        let mut lines: BTreeSet<(&str, Priority, UserId)> = BTreeSet::new();
        for task in tasks.iter() {
            lines.insert((&task.queue, task.priority, task.user_id));
        }
        for (queue, priority, user) in lines {
            let key = (queue.to_owned(), priority);
            if !turns.is_fresh(&key) {
                let next = self.inner.store.turn_next(key.0.clone(), priority).await?;
                turns.see(&key, next, now);
            }
            // What they brought before this process knew them still waits before what they bring now.
            if turns.lacks(&key, user)
                && let Some(last) = self.inner.store.turn_last(user, key.0.clone(), priority).await?
            {
                turns.remember(&key, user, last);
            }
        }
        turns.give(tasks, now);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_claim_in_eight_looks_back_from_each_priority_in_turn() {
        let turns = Turns::default();
        let looks: Vec<_> = (0..24).map(|_| turns.look_back()).collect();
        let found: Vec<_> = looks.iter().flatten().copied().collect();
        assert_eq!(found, [Priority::High, Priority::Normal, Priority::Low]);
        assert_eq!(looks.iter().position(Option::is_some), Some(7));
    }
}
