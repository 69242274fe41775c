//! Reading tasks.

use std::time::Duration;

use taskloom_model::TaskId;
use taskloom_protocol::{Attempt, Counts, KeptLine, Page, Task};
use taskloom_store::{Filter, OrderBy, PageQuery};

use crate::{Caller, Engine, EngineError, cursor};

/// Which part of a list.
#[derive(Debug, Clone)]
pub struct PageSpec {
    /// Tasks on the page, 1 to 500.
    pub limit: u32,
    /// Where the page before ended.
    pub cursor: Option<String>,
    /// Leaving out so many, up to 100,000.
    pub skip: u32,
    /// Sorted by.
    pub order_by: OrderBy,
    /// Largest first.
    pub descending: bool,
}

impl Default for PageSpec {
    fn default() -> Self {
        Self { limit: 50, cursor: None, skip: 0, order_by: OrderBy::default(), descending: true }
    }
}

impl Engine {
    /// The task.
    pub async fn get(&self, caller: &Caller, id: TaskId) -> Result<Task, EngineError> {
        let told = self.inner.progresses.news(id);
        let mut task = self.inner.store.task_get(id, caller.held_to()).await?.ok_or(EngineError::NotFound)?;
        self.inner.progresses.show(&mut task, told);
        Ok(task)
    }

    /// The task when it has ended, or as it is after `at_most`.
    pub async fn wait(&self, caller: &Caller, id: TaskId, at_most: Duration) -> Result<Task, EngineError> {
        let deadline = tokio::time::Instant::now() + at_most;
        let mut events = self.inner.bus.subscribe(id);
        loop {
            self.inner.fanout.watch(id);
            let task = self.get(caller, id).await?;
            let left = deadline.saturating_duration_since(tokio::time::Instant::now());
            if task.has_ended() || left.is_zero() {
                return Ok(task);
            }
            // Another process may end it unheard: look again now and then.
            let _ = tokio::time::timeout(left.min(self.watch_poll()), events.next()).await;
        }
    }

    /// A page of tasks that the caller may see.
    pub async fn list(&self, caller: &Caller, filter: Filter, page: PageSpec) -> Result<Page, EngineError> {
        let PageSpec { limit, cursor, skip, order_by, descending } = page;
        let after = cursor.map(|text| cursor::read(&text, order_by, descending)).transpose()?;
        let query = PageQuery { limit: limit.clamp(1, 500), after, skip, order_by, descending };
        let (items, next, total) = self.inner.store.task_list(held_to(caller, filter), query).await?;
        let next_cursor = next.map(|position| cursor::write(order_by, descending, position));
        Ok(Page { items, next_cursor, total })
    }

    /// How many tasks that the caller may see stand in each status.
    pub async fn count(&self, caller: &Caller, filter: Filter) -> Result<Counts, EngineError> {
        Ok(self.inner.store.task_count(held_to(caller, filter)).await?)
    }

    /// The attempts of a task, oldest first.
    pub async fn attempts(&self, caller: &Caller, id: TaskId) -> Result<Vec<Attempt>, EngineError> {
        self.get(caller, id).await?;
        Ok(self.inner.store.task_attempts(id).await?)
    }

    /// Up to `limit` log lines behind the place `after`, and the place to go on from.
    pub async fn logs(
        &self,
        caller: &Caller,
        id: TaskId,
        after: u64,
        limit: u32,
    ) -> Result<(Vec<KeptLine>, u64), EngineError> {
        self.get(caller, id).await?;
        Ok(self.inner.store.task_logs(id, after, limit.clamp(1, 1_000)).await?)
    }
}

/// A caller who sees only their own tasks finds nobody else's, whatever the filter says.
pub(crate) fn held_to(caller: &Caller, filter: Filter) -> Filter {
    match caller.held_to() {
        Some(user) if filter.user_id.is_some_and(|wanted| wanted != user) => {
            Filter { user_id: Some(uuid::Uuid::nil()), ..filter }
        }
        Some(user) => Filter { user_id: Some(user), ..filter },
        None => filter,
    }
}
