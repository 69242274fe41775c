//! Dead letters: looked at, run again or put away, many at a time.

use std::time::{Duration, Instant};

use taskloom_model::{State, TaskId};
use taskloom_protocol::{DeadFilter, DeadLetter, MoveDead, MovedDead, Page, Task};
use taskloom_store::Filter;

use crate::query::held_to;
use crate::{Caller, Engine, EngineError, PageSpec};

/// Tasks that move in one transaction.
const TOGETHER: u32 = 100;
/// Dead letters that an answer shows.
const SHOWN: u32 = 10;
/// A call ends after so long, whatever is left: its caller waits.
const AT_MOST: Duration = Duration::from_secs(10);

/// What is to happen to dead letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// They run again, with all their attempts.
    Retry,
    /// They are hidden, as by a delete.
    Discard,
}

impl Engine {
    /// A page of dead letters that the caller may see.
    pub async fn dead_letters(
        &self,
        caller: &Caller,
        filter: DeadFilter,
        page: PageSpec,
    ) -> Result<Page, EngineError> {
        self.list(caller, dead(filter), page).await
    }

    /// Moves dead letters in bounded transactions, oldest first, or says what it would move.
    ///
    /// # Errors
    /// [`EngineError::Fields`] names each field that breaks a rule.
    pub async fn move_dead(
        &self,
        caller: &Caller,
        request: MoveDead,
        fate: Fate,
    ) -> Result<MovedDead, EngineError> {
        let errors = request.check();
        if !errors.is_empty() {
            return Err(EngineError::Fields(errors));
        }
        let filter = held_to(caller, dead(request.filter));
        if request.dry_run {
            return self.would_move(caller, filter).await;
        }
        let began = Instant::now();
        let mut done = MovedDead { next_cursor: request.cursor, ..MovedDead::default() };
        let mut left = request.limit;
        loop {
            let wanted = left.min(TOGETHER);
            let ids = self.inner.store.task_dead(filter.clone(), done.next_cursor, wanted).await?;
            let (count, last) = (ids.len() as u32, ids.last().copied());
            left -= count;
            done.matched += u64::from(count);
            self.move_some(ids, fate, &mut done).await?;
            if count < wanted {
                done.next_cursor = None;
                break;
            }
            done.next_cursor = last;
            if left == 0 || began.elapsed() > AT_MOST {
                break;
            }
        }
        tracing::info!(user = %caller.user_id, ?fate, moved = done.moved, "moved dead letters");
        Ok(done)
    }

    async fn would_move(&self, caller: &Caller, filter: Filter) -> Result<MovedDead, EngineError> {
        let matched = self.count(caller, filter.clone()).await?.total;
        let page = self.list(caller, filter, PageSpec { limit: SHOWN, ..PageSpec::default() }).await?;
        let sample = page.items.into_iter().map(letter).collect();
        Ok(MovedDead { dry_run: true, matched, sample, ..MovedDead::default() })
    }

    async fn move_some(&self, ids: Vec<TaskId>, fate: Fate, done: &mut MovedDead) -> Result<(), EngineError> {
        if ids.is_empty() {
            return Ok(());
        }
        let store = &self.inner.store;
        if fate == Fate::Discard {
            done.moved += store.task_discard(ids, self.now()).await?;
            return Ok(());
        }
        let revived = store.task_revive(ids, self.now()).await?;
        self.announce(&revived.steps);
        done.moved += revived.revived;
        done.refused += revived.refused.len() as u64;
        let room = (SHOWN as usize).saturating_sub(done.sample.len());
        let shown = revived.refused.into_iter().map(|(id, _)| id).take(room).collect();
        done.sample.extend(store.task_get_many(shown).await?.into_iter().map(letter));
        Ok(())
    }
}

fn dead(filter: DeadFilter) -> Filter {
    let DeadFilter { task, queue, reason, error_type, tag, user_id, finished_after, finished_before } =
        filter;
    Filter {
        state: Some(State::Failed),
        dead: true,
        task,
        queue,
        reason,
        error_type,
        tag,
        user_id,
        finished_after,
        finished_before,
        ..Filter::default()
    }
}

fn letter(task: Task) -> DeadLetter {
    let Task { id, task, queue, reason, error, completed_at, .. } = task;
    DeadLetter { id, task, queue, reason, error, completed_at }
}
