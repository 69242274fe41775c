//! What is there already: tasks that answer instead of a new one, and those that a new one replaces.

use std::collections::{HashMap, HashSet};

use taskloom_model::{Action, CacheOutcome, TaskId, Timestamp, UserId};
use taskloom_protocol::UniqueConflict;

use super::unique_key::{self, Key};
use super::{NewTask, Rejected, cache};
use crate::error::{Result, StoreError};
use crate::task::step::{Request, Stepped, step};
use crate::tx::Tx;

/// What is to become of one task of a submission.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is made.
    Make {
        /// The task whose unique key it takes, which is cancelled.
        replaces: Option<TaskId>,
        /// Who is noted for its unique key.
        key_of: Option<TaskId>,
        /// Who is noted for its call in the cache.
        call_of: Option<TaskId>,
    },
    /// Another task has its unique key.
    HasKey(TaskId),
    /// Another task answers its call.
    Answers(TaskId, CacheOutcome, Option<Timestamp>),
}

/// Decides upon every task; writes nothing, so that all may still be refused.
pub(super) async fn decide(
    tx: &mut Tx,
    tasks: &[NewTask],
    now: Timestamp,
) -> Result<std::result::Result<Vec<Verdict>, Rejected>> {
    // Whoever has a row's lock decides; what its task is doing is read after that.
    let absent = lock(tx, tasks.iter()).await?;
    let mut own = Own::default();
    let mut verdicts = Vec::with_capacity(tasks.len());
    for (index, task) in tasks.iter().enumerate() {
        let verdict = match decide_one(tx, index, task, &own, &absent, now).await? {
            Ok(verdict) => verdict,
            Err(rejected) => return Ok(Err(rejected)),
        };
        if matches!(verdict, Verdict::Make { .. }) {
            own.note(task);
        }
        verdicts.push(verdict);
    }
    Ok(Ok(verdicts))
}

/// Keys and calls that had no row when their rows were locked.
#[derive(Default)]
pub(crate) struct Absent<'a> {
    keys: HashSet<(UserId, &'a str)>,
    calls: HashSet<(UserId, &'a str)>,
}

/// Several rows are locked in one order: two submissions never wait for each other. What has no row cannot be locked; see
/// [`unlocked`].
pub(crate) async fn lock<'a>(
    tx: &mut Tx,
    tasks: impl Iterator<Item = &'a NewTask> + Clone,
) -> Result<Absent<'a>> {
    let mut absent = Absent::default();
    if !tx.is_shared() {
        return Ok(absent);
    }
    let mut keys: Vec<(UserId, &str)> =
        tasks.clone().filter_map(|task| Some((task.user_id, task.unique_key.as_deref()?))).collect();
    keys.sort_unstable();
    keys.dedup();
    for (user_id, key) in keys {
        if !unique_key::lock(tx, user_id, key).await? {
            absent.keys.insert((user_id, key));
        }
    }
    let mut calls: Vec<_> = tasks.filter_map(|task| Some((task, task.cache.as_ref()?))).collect();
    calls.sort_unstable_by_key(|(task, key)| (task.user_id, key.signature.as_str()));
    calls.dedup_by_key(|(task, key)| (task.user_id, key.signature.as_str()));
    for (task, key) in calls {
        if !cache::lock(tx, task, key).await? {
            absent.calls.insert((task.user_id, &key.signature));
        }
    }
    Ok(absent)
}

/// A row that came to be after those that were there had been locked: to lock it now would be out of order, so that the
/// whole submission looks again.
fn unlocked() -> StoreError {
    StoreError::Conflict("another submission named the same key or call just before".into())
}

/// What tasks of this very submission take, which is not written yet.
#[derive(Default)]
struct Own<'a> {
    keys: HashMap<(UserId, &'a str), TaskId>,
    calls: HashMap<(UserId, &'a str), TaskId>,
}

impl<'a> Own<'a> {
    fn note(&mut self, task: &'a NewTask) {
        if let Some(key) = &task.unique_key {
            self.keys.insert((task.user_id, key), task.id);
        }
        if let Some(key) = &task.cache {
            self.calls.insert((task.user_id, &key.signature), task.id);
        }
    }

    fn key(&self, task: &NewTask) -> Option<TaskId> {
        self.keys.get(&(task.user_id, task.unique_key.as_deref()?)).copied()
    }

    fn call(&self, task: &NewTask) -> Option<TaskId> {
        self.calls.get(&(task.user_id, task.cache.as_ref()?.signature.as_str())).copied()
    }
}

async fn decide_one(
    tx: &mut Tx,
    index: usize,
    task: &NewTask,
    own: &Own<'_>,
    absent: &Absent<'_>,
    now: Timestamp,
) -> Result<std::result::Result<Verdict, Rejected>> {
    if let Some(id) = own.call(task) {
        return Ok(Ok(Verdict::Answers(id, CacheOutcome::Joined, None)));
    }
    let mut call_of = None;
    if let Some(key) = &task.cache {
        let found = cache::look(tx, task, key, now).await?;
        if found.noted.is_some() && absent.calls.contains(&(task.user_id, key.signature.as_str())) {
            return Err(unlocked());
        }
        match (found.noted, found.answer) {
            (Some(id), CacheOutcome::Hit | CacheOutcome::Joined) => {
                return Ok(Ok(Verdict::Answers(id, found.answer, found.ended_at)));
            }
            (noted, _) => call_of = noted,
        }
    }
    let (mut key_of, mut replaces) = (None, None);
    if let Some(key) = &task.unique_key {
        // Of several with one key in a submission the first is made; none of them replaces another.
        let (found, is_own) = match own.key(task) {
            Some(id) => (Key::Taken(id), true),
            None => (unique_key::look(tx, task.user_id, key, now).await?, false),
        };
        let has_row = !is_own && !matches!(found, Key::Free(None));
        if has_row && absent.keys.contains(&(task.user_id, key.as_str())) {
            return Err(unlocked());
        }
        if let Key::Taken(holder) = found {
            match task.unique_conflict {
                UniqueConflict::Reject => return Ok(Err(Rejected::UniqueKeyTaken { index, holder, is_own })),
                UniqueConflict::Replace if !is_own => replaces = Some(holder),
                UniqueConflict::Return | UniqueConflict::Replace => return Ok(Ok(Verdict::HasKey(holder))),
            }
        }
        key_of = found.noted();
    }
    Ok(Ok(Verdict::Make { replaces, key_of, call_of }))
}

/// Cancels the tasks that are replaced; gives what moved.
pub(super) async fn replace(tx: &mut Tx, verdicts: &[Verdict], now: Timestamp) -> Result<Vec<Stepped>> {
    let mut replaced: Vec<TaskId> = verdicts
        .iter()
        .filter_map(|verdict| match verdict {
            Verdict::Make { replaces, .. } => *replaces,
            _ => None,
        })
        .collect();
    replaced.sort_unstable();
    let mut steps = Vec::new();
    for id in replaced {
        // One that has ended holds the key for a time only, and is left as it is.
        let _ = step(tx, &Request::new(id, Action::Cancel { force: false }), now, &mut steps).await?;
    }
    Ok(steps)
}

/// Takes the keys and calls of tasks that are made, and notes that others were answered.
pub(super) async fn take(tx: &mut Tx, tasks: &[NewTask], verdicts: &[Verdict], now: Timestamp) -> Result<()> {
    let mut keys: Vec<_> =
        tasks.iter().zip(verdicts).filter_map(|both| Some((both.0.unique_key.as_deref()?, both))).collect();
    // In the order in which others lock them, for those that nobody had before.
    keys.sort_by_key(|(key, (task, _))| (task.user_id, *key));
    for (key, (task, verdict)) in keys {
        if let Verdict::Make { key_of, .. } = *verdict {
            unique_key::take(tx, (task.user_id, key), key_of, task.id, task.unique_until).await?;
        }
    }
    let mut calls: Vec<_> =
        tasks.iter().zip(verdicts).filter_map(|both| Some((both.0.cache.as_ref()?, both))).collect();
    calls.sort_by_key(|(key, (task, _))| (task.user_id, key.signature.as_str()));
    for (key, (task, verdict)) in calls {
        match *verdict {
            Verdict::Make { call_of, .. } => cache::take(tx, task, key, call_of, now).await?,
            Verdict::Answers(id, ..) => cache::refresh(tx, task, key, id, now).await?,
            Verdict::HasKey(_) => {}
        }
    }
    Ok(())
}
