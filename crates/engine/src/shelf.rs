//! Hits of the result cache, copied to where all processes find them: who reads a large result again and again leaves the
//! database alone.
//!
//! The database decides each time whether a call is a hit, and names the task and the end that answers. What ended then
//! never changes, so a copy under both names is right as long as it is there.

use std::time::Duration;

use taskloom_model::{TaskId, Timestamp};
use taskloom_protocol::Task;

use crate::{Engine, EngineError};

/// Larger answers are not copied, in bytes.
const MOST: usize = 1 << 20;
/// Copies are kept for so long at most: one that is asked for later is made again.
const AT_MOST: Duration = Duration::from_secs(3_600);

impl Engine {
    /// The task that succeeded at `ended_at`, as an answer to a call that is cached for `ttl`.
    pub(crate) async fn hit(
        &self,
        id: TaskId,
        ended_at: Timestamp,
        ttl: Duration,
    ) -> Result<Vec<Task>, EngineError> {
        let shelf = &self.inner.shelf;
        if !shelf.is_shelf() {
            return Ok(self.inner.store.task_get_answers(vec![id]).await?);
        }
        let key = format!("{id}:{}", ended_at.as_micros());
        // What another version put there may not be understood.
        if let Some(copy) = shelf.shelf_get(&key).await
            && let Ok(task) = serde_json::from_slice::<Task>(&copy)
        {
            return Ok(vec![task]);
        }
        let tasks = self.inner.store.task_get_answers(vec![id]).await?;
        if let Some(task) = tasks.first().filter(|task| task.completed_at == Some(ended_at))
            && let Ok(copy) = serde_json::to_vec(task)
            && copy.len() <= MOST
        {
            shelf.shelf_put(&key, copy, ttl.min(AT_MOST)).await;
        }
        Ok(tasks)
    }
}
