//! Carries out steps of the state machine, whatever they are, in the transaction at hand.

mod forget;
mod release;
mod write;

use std::collections::HashSet;

use taskloom_model::{
    Action, Life, Priority, Refusal, State, TaskId, Ties, Timestamp, Transition, UserId, confine, next,
};

use super::gate::settle;
use super::life::{Standing, load_all};
use super::note::Note;
use super::submit::unique_key;
use crate::Store;
use crate::error::Result;
use crate::tx::Tx;
use write::{Move, write};

pub(crate) use release::parent_end;

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

impl Stepped {
    /// The step of a task that stood so and lives like this now.
    pub(super) fn of(id: TaskId, standing: &Standing, life: Life) -> Self {
        Self {
            id,
            queue: standing.place.queue.clone(),
            priority: standing.place.priority,
            band: standing.place.band,
            ties: standing.ties,
            before: standing.life.state(),
            life,
        }
    }
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

/// What became of a request.
pub(crate) type Verdict = std::result::Result<(), StepError>;

/// Takes the step, and all that follow from it for children, and appends them to `steps`.
pub(crate) async fn step(
    tx: &mut Tx,
    request: &Request,
    now: Timestamp,
    steps: &mut Vec<Stepped>,
) -> Result<Verdict> {
    let first = steps.len();
    let taken = step_all(tx, std::slice::from_ref(request), now, steps).await?;
    follow(tx, first, now, steps).await?;
    Ok(taken.into_iter().next().unwrap_or(Err(StepError::NotFound)))
}

/// Takes steps without what follows from them; gives a verdict on each. Whoever takes several lets that follow from all of
/// them at once: limits are then locked in one order, and children found in one look.
pub(super) async fn step_all(
    tx: &mut Tx,
    requests: &[Request],
    now: Timestamp,
    steps: &mut Vec<Stepped>,
) -> Result<Vec<Verdict>> {
    let mut verdicts = Vec::with_capacity(requests.len());
    let mut rest = requests;
    while !rest.is_empty() {
        // A task that is named again moves again, from where its first step has left it.
        let mut named = HashSet::with_capacity(rest.len());
        let again = rest.iter().position(|request| !named.insert(request.id));
        let (some, later) = rest.split_at(again.unwrap_or(rest.len()));
        step_each_once(tx, some, now, steps, &mut verdicts).await?;
        rest = later;
    }
    Ok(verdicts)
}

async fn step_each_once(
    tx: &mut Tx,
    requests: &[Request],
    now: Timestamp,
    steps: &mut Vec<Stepped>,
    verdicts: &mut Vec<Verdict>,
) -> Result<()> {
    let ids: Vec<TaskId> = requests.iter().map(|request| request.id).collect();
    let mut standings = load_all(tx, &ids).await?;
    let mut moves = Vec::with_capacity(requests.len());
    for request in requests {
        let verdict = match standings.remove(&request.id) {
            Some(standing) if request.scope.sees(&standing) => {
                match decide(tx, request, &standing, now).await? {
                    Ok(transition) => {
                        moves.push(Move { id: request.id, standing, transition, note: &request.note });
                        Ok(())
                    }
                    Err(error) => Err(error),
                }
            }
            _ => Err(StepError::NotFound),
        };
        verdicts.push(verdict);
    }
    write(tx, &moves, steps).await
}

async fn decide(
    tx: &mut Tx,
    request: &Request,
    standing: &Standing,
    now: Timestamp,
) -> Result<std::result::Result<Transition, StepError>> {
    if request.action == Action::Retry && is_done_map(standing) {
        // Fanning out again is the workflow's to do, which takes the children from before away.
        return Ok(Err(StepError::Refused(Refusal::WrongState)));
    }
    if matches!(request.action, Action::Retry | Action::RetryBehind { .. })
        && let Some(holder) = regain_unique_key(tx, request.id, standing, now).await?
    {
        return Ok(Err(StepError::UniqueKeyTaken { holder }));
    }
    let error = request.note.error.as_ref().map(|error| error.kind.as_str());
    let Standing { life, rules, retry_on, .. } = standing;
    let (action, rules) = confine(retry_on, error, life, *rules, request.action, now);
    Ok(next(life, &rules, action, now, request.random).map_err(StepError::Refused))
}

/// Whether it has fanned out.
fn is_done_map(standing: &Standing) -> bool {
    standing.ties.has(Ties::MAP) && standing.life.state() == State::Succeeded
}

/// Takes back the unique key of an ended task that is to live again; gives another task that has it.
async fn regain_unique_key(
    tx: &mut Tx,
    id: TaskId,
    standing: &Standing,
    now: Timestamp,
) -> Result<Option<TaskId>> {
    match &standing.unique_key {
        Some(key) if standing.life.state().is_terminal() => {
            unique_key::regain(tx, standing.user_id, key, id, now).await
        }
        _ => Ok(None),
    }
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
    write(tx, &[Move { id, standing, transition, note }], steps).await?;
    follow(tx, first, now, steps).await
}

/// All that follows from the steps from `first` on: for children of tasks that ended, and for whoever waits at a gate.
pub(crate) async fn follow(
    tx: &mut Tx,
    first: usize,
    now: Timestamp,
    steps: &mut Vec<Stepped>,
) -> Result<()> {
    release::release(tx, first, now, steps).await?;
    settle(tx, first, now, steps).await
}
