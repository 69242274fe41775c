//! Carries out one step of the state machine, whatever it is, in the transaction at hand.

use taskloom_model::{
    Action, AttemptEnd, AttemptOutcome, Effect, Life, ParentEnd, ParentPolicy, Priority, Refusal, State,
    TaskId, Ties, Timestamp, Transition, UserId, confine, next,
};

use super::gate::settle;
use super::life::{Place, Standing, enter, leave, load, update};
use super::note::Note;
use super::submit::unique_key;
use crate::Store;
use crate::error::{Result, StoreError};
use crate::row::Row;
use crate::sql::params;
use crate::tx::Tx;

/// A step somebody asks for.
#[derive(Debug, Clone)]
pub struct Request {
    /// The task.
    pub id: TaskId,
    /// On whose behalf: what they may not see does not exist.
    pub scope: Scope,
    /// What is to happen.
    pub action: Action,
    /// Uniform in 0..1, spreads retries.
    pub random: f64,
    /// What the attempt leaves behind, if the action ends one.
    pub note: Note,
}

impl Request {
    /// A step that needs nothing but the action.
    pub fn new(id: TaskId, action: Action) -> Self {
        Self { id, scope: Scope::System, action, random: 0.0, note: Note::default() }
    }
}

/// Whose eyes look for a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Taskloom's own: every task.
    System,
    /// Somebody who sees everybody's tasks, but for deleted ones.
    Everybody,
    /// A user, who sees their own, but for deleted ones.
    User(UserId),
}

impl Scope {
    /// Whether the task exists for them.
    pub(crate) fn sees(self, standing: &Standing) -> bool {
        match self {
            Self::System => true,
            Self::Everybody => !standing.deleted,
            Self::User(user) => !standing.deleted && user == standing.user_id,
        }
    }
}

/// Why a step was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StepError {
    /// There is no such task.
    NotFound,
    /// The state machine refuses.
    Refused(Refusal),
    /// Another task holds its unique key.
    UniqueKeyTaken {
        /// That task.
        holder: TaskId,
    },
}

/// A step that was taken.
#[derive(Debug, Clone)]
pub struct Stepped {
    /// The task.
    pub id: TaskId,
    /// Its queue.
    pub queue: String,
    /// Its priority.
    pub priority: Priority,
    /// Where among the ready it stands.
    pub band: i64,
    /// What it concerns besides itself.
    pub ties: Ties,
    /// Its state before.
    pub before: State,
    /// Its life now; a forgotten task keeps its last.
    pub life: Life,
}

impl Store {
    /// Takes one step; gives it and those of children that followed from it, in order.
    pub async fn task_step(
        &self,
        request: Request,
        now: Timestamp,
    ) -> Result<std::result::Result<Vec<Stepped>, StepError>> {
        self.write(move |tx| {
            Box::pin(async move {
                let mut steps = Vec::new();
                Ok(step(tx, &request, now, &mut steps).await?.map(|()| steps))
            })
        })
        .await
    }
}

/// Takes the step, and all that follow from it for children, and appends them to `steps`.
pub(crate) async fn step(
    tx: &mut Tx,
    request: &Request,
    now: Timestamp,
    steps: &mut Vec<Stepped>,
) -> Result<std::result::Result<(), StepError>> {
    let first = steps.len();
    let taken = step_alone(tx, request, now, steps).await?;
    follow(tx, first, now, steps).await?;
    Ok(taken)
}

/// Takes the step without what follows from it. Whoever takes several lets that follow from all of them at once: limits are
/// then locked in one order, and children found in one look.
pub(super) async fn step_alone(
    tx: &mut Tx,
    request: &Request,
    now: Timestamp,
    steps: &mut Vec<Stepped>,
) -> Result<std::result::Result<(), StepError>> {
    let Some(standing) = load(tx, request.id).await? else { return Ok(Err(StepError::NotFound)) };
    if !request.scope.sees(&standing) {
        return Ok(Err(StepError::NotFound));
    }
    if request.action == Action::Retry && is_done_map(&standing) {
        // Fanning out again is the workflow's to do, which takes the children from before away.
        return Ok(Err(StepError::Refused(Refusal::WrongState)));
    }
    if matches!(request.action, Action::Retry | Action::RetryBehind { .. })
        && let Some(holder) = regain_unique_key(tx, request.id, &standing, now).await?
    {
        return Ok(Err(StepError::UniqueKeyTaken { holder }));
    }
    let error = request.note.error.as_ref().map(|error| error.kind.as_str());
    let Standing { life, rules, retry_on, .. } = &standing;
    let (action, rules) = confine(retry_on, error, life, *rules, request.action, now);
    match next(life, &rules, action, now, request.random) {
        Ok(transition) => {
            write_transition(tx, request.id, standing, transition, &request.note, steps).await?;
            Ok(Ok(()))
        }
        Err(refusal) => Ok(Err(StepError::Refused(refusal))),
    }
}

/// Whether it has fanned out.
fn is_done_map(standing: &Standing) -> bool {
    standing.ties.has(Ties::MAP) && standing.life.state() == State::Succeeded
}

/// Writes what the state machine decided, and what follows from it for children.
pub(crate) async fn carry_out(
    tx: &mut Tx,
    id: TaskId,
    standing: Standing,
    transition: Transition,
    note: &Note,
    now: Timestamp,
    steps: &mut Vec<Stepped>,
) -> Result<()> {
    let first = steps.len();
    write_transition(tx, id, standing, transition, note, steps).await?;
    follow(tx, first, now, steps).await
}

/// All that follows from the steps from `first` on: for children of tasks that ended, and for whoever waits at a gate.
pub(crate) async fn follow(
    tx: &mut Tx,
    first: usize,
    now: Timestamp,
    steps: &mut Vec<Stepped>,
) -> Result<()> {
    release_from(tx, first, now, steps).await?;
    settle(tx, first, now, steps).await
}

/// Releases the children of every task that ended in the steps from `first` on, and theirs, and appends their steps.
async fn release_from(tx: &mut Tx, first: usize, now: Timestamp, steps: &mut Vec<Stepped>) -> Result<()> {
    // A chain of dependents is walked with a list, not with the stack: it may be long.
    let mut at = first;
    while at < steps.len() {
        let ended: Vec<(TaskId, State)> = steps[at..]
            .iter()
            .filter(|step| step.life.state().is_terminal() && !step.before.is_terminal())
            .map(|step| (step.id, step.life.state()))
            .collect();
        at = steps.len();
        for (parent, child, policy) in open_edges(tx, &ended).await? {
            let state = ended.iter().find(|(id, _)| *id == parent).map(|(_, state)| *state);
            if let Some(state) = state {
                release(tx, parent, child, parent_end(state, policy), now, steps).await?;
            }
        }
    }
    Ok(())
}

async fn write_transition(
    tx: &mut Tx,
    id: TaskId,
    standing: Standing,
    transition: Transition,
    note: &Note,
    steps: &mut Vec<Stepped>,
) -> Result<()> {
    let Standing { life: before, place, ties, trace, .. } = standing;
    let last_run = trace.run;
    let after = match transition.effect {
        Effect::Become(after) => after,
        Effect::Forget => {
            if ties.has(Ties::WORKFLOW) {
                super::workflow::leave(tx, id).await?;
            }
            return forget(tx, id, &before, place, ties, steps).await;
        }
    };
    if std::mem::discriminant(&before.phase) == std::mem::discriminant(&after.phase) {
        update(tx, id, &before, &after).await?;
    } else {
        if before.state() == State::Succeeded {
            keep_success(tx, id, &before, last_run).await?;
        }
        leave(tx, id, &place, &before, ties).await?;
        let progress = note.progress.or(Some(trace.progress));
        let detail = note.detail.clone().or(trace.detail);
        let note = Note { progress, detail, ..note.clone() };
        enter(tx, id, &place, &after, ties, last_run, &note).await?;
    }
    if transition.rule == RETRY {
        forgive(tx, id).await?;
    }
    if let Some(end) = transition.attempt_end {
        keep_attempt(tx, id, &end, note).await?;
    }
    steps.push(Stepped {
        id,
        queue: place.queue,
        priority: place.priority,
        band: place.band,
        ties,
        before: before.state(),
        life: after,
    });
    Ok(())
}

/// The number of the retry by hand.
const RETRY: u8 = 11;

/// Whoever retries by hand wants it to run: neither its old time limit for waiting nor its parents are in the way.
async fn forgive(tx: &mut Tx, id: TaskId) -> Result<()> {
    tx.exec("UPDATE tasks SET expires_at = NULL WHERE id = ?", params![id]).await?;
    tx.exec("UPDATE edges SET is_open = 0 WHERE child_id = ?", params![id]).await.map(drop)
}

/// Takes back the unique key of an ended task that is to live again; gives another task that has it.
async fn regain_unique_key(
    tx: &mut Tx,
    id: TaskId,
    standing: &Standing,
    now: Timestamp,
) -> Result<Option<TaskId>> {
    let sql = "SELECT unique_key FROM tasks WHERE id = ?";
    let key = tx.row(sql, params![id], |row| row.next::<Option<String>>()).await?.flatten();
    match key {
        Some(key) if standing.life.state().is_terminal() => {
            unique_key::regain(tx, standing.user_id, &key, id, now).await
        }
        _ => Ok(None),
    }
}

/// Appends an ended attempt to the history. A success stays in `outcomes` until somebody retries it.
async fn keep_attempt(tx: &mut Tx, id: TaskId, end: &AttemptEnd, note: &Note) -> Result<()> {
    if end.outcome == AttemptOutcome::Succeeded {
        return Ok(());
    }
    let error = note.error_text();
    let row = params![
        id,
        end.epoch,
        end.attempt,
        end.session,
        end.started_at,
        end.ended_at,
        end.outcome.name(),
        error.as_ref(),
    ];
    let sql = "INSERT INTO attempts (task_id, epoch, attempt, session, started_at, ended_at, outcome, error)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?)";
    tx.exec(sql, row).await.map(drop)
}

/// Moves a success that is about to be retried by hand into the history.
async fn keep_success(
    tx: &mut Tx,
    id: TaskId,
    before: &Life,
    last_run: Option<(taskloom_model::SessionId, Timestamp)>,
) -> Result<()> {
    let (Some((session, started_at)), taskloom_model::Phase::Ended { at, .. }) = (last_run, before.phase)
    else {
        return Ok(());
    };
    let outcome = AttemptOutcome::Succeeded;
    let end = params![id, before.epoch, before.attempt, session, started_at, at, outcome.name()];
    let sql = "INSERT INTO attempts (task_id, epoch, attempt, session, started_at, ended_at, outcome)
         VALUES (?, ?, ?, ?, ?, ?, ?)";
    tx.exec(sql, end).await.map(drop)
}

/// The open edges of these parents, in the order in which their children are locked.
async fn open_edges(tx: &mut Tx, ended: &[(TaskId, State)]) -> Result<Vec<(TaskId, TaskId, ParentPolicy)>> {
    let parents: Vec<TaskId> = ended.iter().map(|(id, _)| *id).collect();
    let sql = "SELECT parent_id, child_id, policy FROM edges WHERE is_open = 1 AND parent_id";
    let read = |row: &mut Row<'_>| Ok((row.next()?, row.next()?, row.word()?));
    let mut edges = tx.rows_in(sql, &[], &parents, "", read).await?;
    if tx.is_shared() {
        // Two transactions that release the same children lock them in one order.
        edges.sort_unstable_by_key(|(_, child, _)| *child);
    }
    Ok(edges)
}

/// T10: a parent ended; each open edge is satisfied or broken once.
async fn release(
    tx: &mut Tx,
    parent: TaskId,
    child: TaskId,
    end: ParentEnd,
    now: Timestamp,
    steps: &mut Vec<Stepped>,
) -> Result<()> {
    // Another parent may end at the same time: one after the other counts down.
    let is_locked = tx.lock("SELECT 1 FROM blocked WHERE id = ?", params![child]).await? == 1;
    let close = "UPDATE edges SET is_open = 0 WHERE parent_id = ? AND child_id = ? AND is_open = 1";
    if tx.exec(close, params![parent, child]).await? == 0 {
        return Ok(());
    }
    let Some(standing) = load(tx, child).await? else { return Ok(()) };
    if tx.is_shared() && !is_locked && standing.life.state() == State::Blocked {
        return Err(StoreError::Conflict("a child was just being moved".into()));
    }
    // A child that another parent has ended, or a user cancelled, no longer cares.
    match next(&standing.life, &standing.rules, Action::ParentEnded(end), now, 0.0) {
        Ok(transition) => write_transition(tx, child, standing, transition, &Note::default(), steps).await,
        Err(_) => Ok(()),
    }
}

/// What a parent's end means to a child with this policy.
pub(crate) fn parent_end(state: State, policy: ParentPolicy) -> ParentEnd {
    if state == State::Succeeded { ParentEnd::Satisfied } else { ParentEnd::Broken(policy) }
}

/// T13: every trace of the task.
async fn forget(
    tx: &mut Tx,
    id: TaskId,
    before: &Life,
    place: Place,
    ties: Ties,
    steps: &mut Vec<Stepped>,
) -> Result<()> {
    leave(tx, id, &place, before, ties).await?;
    for sql in [
        "DELETE FROM attempts WHERE task_id = ?",
        "DELETE FROM logs WHERE task_id = ?",
        "DELETE FROM artifacts WHERE task_id = ?",
        "DELETE FROM edges WHERE parent_id = ?",
        "DELETE FROM edges WHERE child_id = ?",
        "DELETE FROM unique_keys WHERE task_id = ?",
        "DELETE FROM cache WHERE task_id = ?",
        "DELETE FROM task_gates WHERE task_id = ?",
    ] {
        tx.exec(sql, params![id]).await?;
    }
    let sql =
        "DELETE FROM deletions WHERE deleted_at = (SELECT deleted_at FROM tasks WHERE id = ?) AND id = ?";
    tx.exec(sql, params![id, id]).await?;
    let tags =
        tx.row("SELECT tags FROM tasks WHERE id = ?", params![id], |row| row.json::<Vec<String>>()).await?;
    for tag in tags.flatten().unwrap_or_default() {
        tx.exec("DELETE FROM task_tags WHERE tag = ? AND task_id = ?", params![&tag, id]).await?;
    }
    tx.exec("DELETE FROM tasks WHERE id = ?", params![id]).await?;
    steps.push(Stepped {
        id,
        queue: place.queue,
        priority: place.priority,
        band: place.band,
        ties,
        before: before.state(),
        life: *before,
    });
    Ok(())
}
