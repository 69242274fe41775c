//! A map fans out: children come into being, and whoever waits for the map waits for them.

use std::sync::Arc;

use taskloom_model::{Action, Finish, ParentPolicy, Phase, SessionId, TaskId, Timestamp, WorkflowId};
use taskloom_protocol::{Json, TaskRef};

use super::spawn::still_holds;
use super::{Head, join};
use crate::Store;
use crate::error::{Result, StoreError};
use crate::row::Row;
use crate::sql::{Param, params};
use crate::task::life::{load, lock_blocked};
use crate::task::note::Note;
use crate::task::step::{Request, Stepped, step, step_all};
use crate::task::submit::{Made, NewTask, Submission, SubmitOutcome, submit};
use crate::tx::Tx;

/// Edges that one map may make: its children times those who wait for them.
const MOST_EDGES: usize = 100_000;

/// A map in the hands of the engine, and what it becomes.
#[derive(Debug, Clone)]
pub struct Expansion {
    /// The engine's own session.
    pub session: SessionId,
    /// The map's task and the epoch of the claim.
    pub task: TaskRef,
    /// The children, in the order of the list.
    pub children: Arc<[NewTask]>,
    /// What the map leaves as its result.
    pub result: Json,
    /// The instant.
    pub now: Timestamp,
}

/// What became of it.
#[derive(Debug)]
pub enum Expanded {
    /// The children exist; the steps of the map and of those who waited for nobody else.
    Done {
        /// One for each child.
        made: Vec<Made>,
        /// What else moved.
        steps: Vec<Stepped>,
    },
    /// Somebody has cancelled it: there are no children.
    Cancelled(Vec<Stepped>),
    /// Another has it.
    Lost,
    /// It would make more edges than this.
    TooMany(usize),
}

impl Store {
    /// Fans a map out, at once or not at all.
    pub async fn workflow_expand(&self, expansion: Expansion) -> Result<Expanded> {
        self.write(move |tx| Box::pin(async move { expand(tx, &expansion).await })).await
    }
}

async fn expand(tx: &mut Tx, expansion: &Expansion) -> Result<Expanded> {
    let Expansion { session, task, children, result, now } = expansion;
    let mut steps = Vec::new();
    // The workflow before its tasks: everybody locks them in this order.
    let Some((workflow, node)) = place(tx, task.id).await? else { return Ok(Expanded::Lost) };
    let is_open = Head::lock(tx, workflow, None).await?.is_some_and(|head| head.cancelled_at.is_none());
    if !still_holds(tx, *session, *task).await? {
        return Ok(Expanded::Lost);
    }
    let is_cancelled = load(tx, task.id)
        .await?
        .is_some_and(|standing| matches!(standing.life.phase, Phase::Running { cancel: true, .. }));
    if !is_open || is_cancelled {
        let request = Request::new(task.id, Action::Cancel { force: true });
        return match step(tx, &request, *now, &mut steps).await? {
            Ok(()) => Ok(Expanded::Cancelled(steps)),
            Err(_) => Ok(Expanded::Lost),
        };
    }
    let dependants = dependants(tx, task.id).await?;
    if children.len().saturating_mul(dependants.len()) > MOST_EDGES {
        return Ok(Expanded::TooMany(MOST_EDGES));
    }
    let submission = Submission { tasks: Arc::clone(children), idempotency: None, now: *now };
    let made = match submit(tx, &submission).await? {
        SubmitOutcome::Done { made, steps: others } => {
            steps.extend(others);
            made
        }
        other => return Err(StoreError::Sql(format!("children were not taken: {other:?}"))),
    };
    for dependant in dependants {
        tie(tx, children, &dependant, *now, &mut steps).await?;
    }
    let items = children
        .iter()
        .enumerate()
        .map(|(item, child)| (child.id, Some(node.as_str()), u32::try_from(item).ok()));
    join(tx, workflow, items).await?;
    let note = Note { result: Some(result.clone()), ..Note::default() };
    let action = Action::Finish { epoch: task.epoch, finish: Finish::Success };
    match step(tx, &Request { note, ..Request::new(task.id, action) }, *now, &mut steps).await? {
        Ok(()) => Ok(Expanded::Done { made, steps }),
        Err(refused) => Err(StoreError::Sql(format!("a map that is held could not end: {refused:?}"))),
    }
}

/// The workflow of a map's task and its key there.
async fn place(tx: &mut Tx, task: TaskId) -> Result<Option<(WorkflowId, String)>> {
    let sql = "SELECT w.workflow_id, w.node FROM tasks t
         JOIN workflow_tasks w ON w.workflow_id = t.workflow_id AND w.task_id = t.id
         WHERE t.id = ? AND w.node IS NOT NULL";
    tx.row(sql, params![task], |row| Ok((row.next()?, row.next()?))).await
}

/// Somebody who waits for the map, or did.
struct Dependant {
    id: TaskId,
    policy: ParentPolicy,
    waits: bool,
}

/// In the order in which they are locked.
async fn dependants(tx: &mut Tx, map: TaskId) -> Result<Vec<Dependant>> {
    let sql = "SELECT child_id, policy, is_open FROM edges WHERE parent_id = ? ORDER BY child_id";
    let read = |row: &mut Row<'_>| Ok(Dependant { id: row.next()?, policy: row.word()?, waits: row.next()? });
    tx.rows(sql, params![map], read).await
}

/// T16: lets a dependant wait for each child.
async fn tie(
    tx: &mut Tx,
    children: &[NewTask],
    dependant: &Dependant,
    now: Timestamp,
    steps: &mut Vec<Stepped>,
) -> Result<()> {
    if children.is_empty() {
        return Ok(());
    }
    let Dependant { id, policy, waits } = dependant;
    let waits = *waits && more_parents(tx, *id, children.len() as u32, now, steps).await?;
    let mut rows: Vec<Param<'_>> = Vec::with_capacity(children.len() * 4);
    for child in children {
        rows.extend::<[Param<'_>; 4]>([child.id.into(), (*id).into(), policy.name().into(), waits.into()]);
    }
    tx.insert_many("INSERT INTO edges (parent_id, child_id, policy, is_open)", 4, &rows).await
}

/// T16 for a task that is blocked; false if it is not.
pub(super) async fn more_parents(
    tx: &mut Tx,
    id: TaskId,
    edges: u32,
    now: Timestamp,
    steps: &mut Vec<Stepped>,
) -> Result<bool> {
    // A parent that ends meanwhile counts down first, or afterwards.
    lock_blocked(tx, &[id]).await?;
    let request = Request::new(id, Action::MoreParents { edges });
    let verdicts = step_all(tx, &[request], now, steps).await?;
    Ok(verdicts.iter().all(std::result::Result::is_ok))
}
