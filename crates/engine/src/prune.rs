//! T13: forgetting what is past its retention, oldest first, in bounded steps.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use taskloom_model::{State, TaskId, Timestamp};
use taskloom_protocol::{PruneAnswer, PruneCounts};
use taskloom_store::EndPlace;

use crate::loops::PASS;
use crate::{Engine, EngineError, Keep};

/// The states of ended tasks, each kept by a rule of its own.
const STATES: [State; 3] = [State::Succeeded, State::Failed, State::Revoked];
/// Entries looked at in one step. Few, because those to forget may have long logs.
const STEP: u32 = 100;
/// Entries looked at in one step where the last had none to forget.
const STRIDE: u32 = 1_000;
/// Clocks of several machines differ, and a commit takes its time: so far back there may still come some.
const UNSETTLED: Duration = Duration::from_secs(600);
/// Before every ended task.
const FIRST: EndPlace = (Timestamp::MIN, TaskId::nil());

/// How far each state has been looked through: before that there is nothing left to forget.
#[derive(Default)]
pub(crate) struct Floors(Mutex<[Option<Timestamp>; STATES.len()]>);

impl Floors {
    fn get(&self, index: usize) -> EndPlace {
        let floors = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        floors[index].map_or(FIRST, |at| (at, TaskId::nil()))
    }

    fn raise(&self, index: usize, place: EndPlace) {
        let mut floors = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        floors[index] = floors[index].max(Some(place.0.minus(UNSETTLED)));
    }
}

impl Engine {
    /// Forgets what is past its retention. Gives how many tasks.
    pub async fn prune(&self) -> Result<usize, EngineError> {
        let mut forgotten = 0;
        loop {
            let PruneAnswer { tasks, more, .. } = self.prune_some(PASS).await?;
            forgotten += tasks.total();
            if !more {
                break;
            }
            tokio::task::yield_now().await;
        }
        self.prune_leftovers().await?;
        Ok(usize::try_from(forgotten).unwrap_or(usize::MAX))
    }

    /// How many tasks are past their retention; changes nothing.
    pub async fn prune_dry(&self) -> Result<PruneAnswer, EngineError> {
        let mut tasks = PruneCounts::default();
        for state in STATES {
            if let Some(cut) = self.cut(state).await? {
                *of(&mut tasks, state) = self.inner.store.task_count_until(state, cut).await?;
            }
        }
        tasks.deleted = self.inner.store.task_count_deleted(self.deleted_until()).await?;
        Ok(PruneAnswer { dry_run: true, tasks, more: false })
    }

    /// Forgets `limit` tasks at most, and says whether there may be more.
    pub async fn prune_some(&self, limit: u32) -> Result<PruneAnswer, EngineError> {
        let deleted = self.prune_deleted(limit).await?;
        let mut tasks = PruneCounts { deleted, ..PruneCounts::default() };
        let mut more = deleted >= u64::from(limit);
        for (index, state) in STATES.into_iter().enumerate() {
            let room = u64::from(limit).saturating_sub(tasks.total());
            let (forgotten, is_left) = self.prune_state(index, state, room).await?;
            *of(&mut tasks, state) = forgotten;
            more |= is_left;
        }
        Ok(PruneAnswer { dry_run: false, tasks, more })
    }

    /// Forgets ended tasks of a state until `room` is used up; whether some may be left.
    async fn prune_state(&self, index: usize, state: State, room: u64) -> Result<(u64, bool), EngineError> {
        if room == 0 {
            return Ok((0, true));
        }
        let Some(until) = self.cut(state).await? else { return Ok((0, false)) };
        // A floor behind the end is of a time when the clock was ahead.
        let floor = Some(self.inner.prune_floors.get(index)).filter(|floor| *floor <= until);
        let (mut forgotten, mut place, mut step) = (0, floor.unwrap_or(FIRST), STEP);
        // The first that is past its time, but needed: it is looked at again.
        let mut kept: Option<EndPlace> = None;
        while forgotten < room {
            let (due, mut next) = self.inner.store.task_ended(state, place, until, step).await?;
            step = if due.is_empty() { STRIDE } else { STEP };
            let needed = self.needed(&due).await?;
            let (needed, mut due): (Vec<EndPlace>, Vec<EndPlace>) =
                due.into_iter().partition(|(_, id)| needed.contains(id));
            kept = kept.or(needed.first().copied());
            if due.len() as u64 > room - forgotten {
                due.truncate((room - forgotten) as usize);
                next = due.last().copied();
            }
            forgotten += self.forget_all(due).await?;
            self.inner.prune_floors.raise(index, kept.into_iter().chain(next).min().unwrap_or(until));
            match next {
                Some(next) => place = next,
                None => return Ok((forgotten, false)),
            }
            tokio::task::yield_now().await;
        }
        Ok((forgotten, true))
    }

    async fn needed(&self, due: &[EndPlace]) -> Result<HashSet<TaskId>, EngineError> {
        if due.is_empty() {
            return Ok(HashSet::new());
        }
        Ok(self.inner.store.task_needed(due.iter().map(|(_, id)| *id).collect()).await?)
    }

    /// Forgets what users deleted long enough ago. One whose worker has not stopped yet is left for the next time.
    async fn prune_deleted(&self, limit: u32) -> Result<u64, EngineError> {
        let (mut forgotten, mut after) = (0, FIRST);
        while forgotten < u64::from(limit) {
            let step = u64::from(STEP).min(u64::from(limit) - forgotten) as u32;
            let due = self.inner.store.task_deleted(after, self.deleted_until(), step).await?;
            let Some(last) = due.last().copied() else { break };
            // Whenever it ended: the wait began with the deletion, and nobody can make it live again.
            forgotten += self.forget_all(due.iter().map(|(_, id)| (self.now(), *id)).collect()).await?;
            after = last;
        }
        Ok(forgotten)
    }

    async fn forget_all(&self, ended: Vec<EndPlace>) -> Result<u64, EngineError> {
        if ended.is_empty() {
            return Ok(0);
        }
        let steps = self.inner.store.task_forget(ended, self.now()).await?;
        for step in &steps {
            self.forget_files(step.id).await;
        }
        Ok(steps.len() as u64)
    }

    /// The newest ended task of the state that is to be forgotten.
    async fn cut(&self, state: State) -> Result<Option<EndPlace>, EngineError> {
        let config = &self.inner.config;
        let Keep { age, count } = match state {
            State::Succeeded => config.keep.succeeded,
            State::Failed => config.keep.failed,
            _ => config.keep.revoked,
        };
        let age = age.unwrap_or(config.retention);
        let too_old = (age != Duration::MAX).then(|| (self.now().minus(age), TaskId::max()));
        let too_many = match count {
            Some(count) => self.inner.store.task_beyond(state, count).await?,
            None => None,
        };
        Ok(too_old.max(too_many))
    }

    fn deleted_until(&self) -> Timestamp {
        self.now().minus(self.inner.config.keep.deleted)
    }

    async fn prune_leftovers(&self) -> Result<(), EngineError> {
        let (config, now) = (&self.inner.config, self.now());
        let (keys, workers) = (now.minus(config.idempotency_retention), now.minus(config.retention));
        while self.inner.store.leftovers_prune(keys, workers, PASS).await? {
            tokio::task::yield_now().await;
        }
        while self.inner.store.gate_prune(now.minus(config.idempotency_retention), PASS).await? {
            tokio::task::yield_now().await;
        }
        while self.inner.store.workflow_prune(now.minus(config.retention), PASS).await? {
            tokio::task::yield_now().await;
        }
        while self.inner.store.schedule_prune(now.minus(config.retention), PASS).await? {
            tokio::task::yield_now().await;
        }
        while self.inner.store.repeats_prune(now, PASS).await? {
            tokio::task::yield_now().await;
        }
        Ok(())
    }
}

fn of(counts: &mut PruneCounts, state: State) -> &mut u64 {
    match state {
        State::Succeeded => &mut counts.succeeded,
        State::Failed => &mut counts.failed,
        _ => &mut counts.revoked,
    }
}
