//! T13: what is forgotten, found by the order in which tasks ended.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use taskloom_model::{Action, State, TaskId, Timestamp, WorkflowId};

use super::step::Stepped;
use crate::Store;
use crate::error::Result;
use crate::row::{Row, first};
use crate::sql::params;
use crate::tx::Tx;

/// Where an ended task stands among all: by the time of its end, then by its id.
pub type EndPlace = (Timestamp, TaskId);

/// Behind every task.
const LAST: EndPlace = (Timestamp::MAX, TaskId::max());
/// Entries that one query passes on the way back from the newest.
const PASSED: u64 = 10_000;

impl Store {
    /// The ended tasks of this state behind `after`, up to `until` and with it, oldest first, among the next `limit`
    /// of all states; and where to go on, unless there are no more.
    pub async fn task_ended(
        &self,
        state: State,
        after: EndPlace,
        until: EndPlace,
        limit: u32,
    ) -> Result<(Vec<EndPlace>, Option<EndPlace>)> {
        let sql = "SELECT finished_at, id, state FROM outcomes
             WHERE finished_at >= ? AND finished_at <= ? AND (finished_at > ? OR id > ?) ORDER BY finished_at, id LIMIT ?";
        let found = self
            .scan(move |tx| {
                Box::pin(async move {
                    let read = |row: &mut Row<'_>| Ok(((row.next()?, row.next()?), row.word::<State>()?));
                    tx.rows(sql, params![after.0, until.0, after.0, after.1, limit], read).await
                })
            })
            .await?;
        let next = found.last().filter(|_| found.len() == limit as usize).map(|(place, _)| *place);
        let due = found.into_iter().filter(|(place, of)| *of == state && *place <= until);
        Ok((due.map(|(place, _)| place).collect(), next.filter(|next| *next < until)))
    }

    /// The newest ended task of this state that is one too many if `count` are kept. Walks back from the newest over as
    /// many entries of an index, a bounded part at a time; no more is read if there are not so many.
    pub async fn task_beyond(&self, state: State, count: u64) -> Result<Option<EndPlace>> {
        if state != State::Succeeded && !self.has_more_than(state, count).await? {
            return Ok(None);
        }
        let (mut place, mut left) = (LAST, count);
        while left > 0 {
            let passed = left.min(PASSED);
            match self.task_before(state, place, passed - 1).await? {
                Some(found) => place = found,
                None => return Ok(None),
            }
            left -= passed;
        }
        self.task_before(state, place, 0).await
    }

    /// The next older ended task of this state, leaving out `skip`.
    async fn task_before(&self, state: State, before: EndPlace, skip: u64) -> Result<Option<EndPlace>> {
        self.scan(move |tx| {
            Box::pin(async move {
                // It would take the index by state, and sort.
                let hint = if matches!(tx, Tx::Mysql(_)) { "FORCE INDEX (outcomes_by_time)" } else { "" };
                let sql = format!(
                    "SELECT finished_at, id FROM outcomes {hint}
                     WHERE state = ? AND finished_at <= ? AND (finished_at < ? OR id < ?)
                     ORDER BY finished_at DESC, id DESC LIMIT 1 OFFSET ?"
                );
                let given = params![state.name(), before.0, before.0, before.1, skip];
                tx.row(&sql, given, |row| Ok((row.next()?, row.next()?))).await
            })
        })
        .await
    }

    /// For states that have an index of their own.
    async fn has_more_than(&self, state: State, count: u64) -> Result<bool> {
        self.scan(move |tx| {
            Box::pin(async move {
                // Where the index leaves out successes it is used only if the text says that none is meant.
                let sql = format!(
                    "SELECT count(*) FROM (SELECT 1 FROM outcomes WHERE state = '{}' LIMIT ?) counted",
                    state.name()
                );
                Ok(tx.number(&sql, params![count.saturating_add(1)]).await? > count)
            })
        })
        .await
    }

    /// How many ended tasks of this state stand up to `until` and with it.
    pub async fn task_count_until(&self, state: State, until: EndPlace) -> Result<u64> {
        self.scan(move |tx| {
            Box::pin(async move {
                let sql = "SELECT count(*) FROM outcomes WHERE state = ? AND finished_at <= ?
                     AND (finished_at < ? OR id <= ?)";
                tx.number(sql, params![state.name(), until.0, until.0, until.1]).await
            })
        })
        .await
    }

    /// Tasks that users deleted at `until` or before, behind `after`, up to `limit`, oldest deletion first.
    pub async fn task_deleted(&self, after: EndPlace, until: Timestamp, limit: u32) -> Result<Vec<EndPlace>> {
        self.scan(move |tx| {
            Box::pin(async move {
                let sql = "SELECT deleted_at, id FROM deletions WHERE deleted_at >= ? AND deleted_at <= ?
                     AND (deleted_at > ? OR id > ?) ORDER BY deleted_at, id LIMIT ?";
                let given = params![after.0, until, after.0, after.1, limit];
                tx.rows(sql, given, |row| Ok((row.next()?, row.next()?))).await
            })
        })
        .await
    }

    /// How many tasks were deleted by users at `until` or before.
    pub async fn task_count_deleted(&self, until: Timestamp) -> Result<u64> {
        self.scan(move |tx| {
            Box::pin(async move {
                tx.number("SELECT count(*) FROM deletions WHERE deleted_at <= ?", params![until]).await
            })
        })
        .await
    }

    /// Those of these ended tasks that somebody still needs: a task that waits for it and may read its result, or its
    /// workflow, in which some task has not ended.
    pub async fn task_needed(&self, ids: Vec<TaskId>) -> Result<HashSet<TaskId>> {
        self.scan(move |tx| Box::pin(async move { needed(tx, &ids).await })).await
    }

    /// T13: forgets these tasks, with all that belongs to them, unless they live again since: then they ended later than
    /// was seen.
    pub async fn task_forget(&self, ended: Vec<EndPlace>, now: Timestamp) -> Result<Vec<Stepped>> {
        let ids = ended.iter().map(|(_, id)| *id).collect();
        let seen: std::collections::HashMap<TaskId, Timestamp> =
            ended.into_iter().map(|(at, id)| (id, at)).collect();
        let action = move |id| {
            let retention = seen.get(&id).map_or(Duration::MAX, |at| now.since(*at));
            (Action::Purge { retention }, 0.0)
        };
        self.step_each(ids, action, now).await
    }
}

async fn needed(tx: &mut Tx, ids: &[TaskId]) -> Result<HashSet<TaskId>> {
    let sql = "SELECT e.parent_id FROM edges e LEFT JOIN outcomes o ON o.id = e.child_id
         WHERE o.id IS NULL AND e.parent_id";
    let mut needed: HashSet<TaskId> = tx.rows_in(sql, &[], ids, "", first).await?.into_iter().collect();
    let sql = "SELECT workflow_id, id FROM tasks WHERE workflow_id IS NOT NULL AND id";
    let mut workflows: BTreeMap<WorkflowId, Vec<TaskId>> = BTreeMap::new();
    for (workflow, id) in tx.rows_in(sql, &[], ids, "", |row| Ok((row.next()?, row.next()?))).await? {
        workflows.entry(workflow).or_default().push(id);
    }
    for (workflow, tasks) in workflows {
        let sql =
            "SELECT count(*) FROM (SELECT 1 FROM workflow_tasks w LEFT JOIN outcomes o ON o.id = w.task_id
             WHERE w.workflow_id = ? AND o.id IS NULL LIMIT 1) live";
        if tx.number(sql, params![workflow]).await? > 0 {
            needed.extend(tasks);
        }
    }
    Ok(needed)
}
