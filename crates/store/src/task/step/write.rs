//! Writes steps that are decided: many tasks with one statement for each table that they touch.

use taskloom_model::{AttemptEnd, AttemptOutcome, Effect, Life, Phase, State, TaskId, Transition};

use super::Stepped;
use super::forget::forget;
use crate::error::Result;
use crate::sql::Param;
use crate::task::life::{Entering, Left, Seat, Standing, leave, update};
use crate::task::note::Note;
use crate::tx::Tx;

/// The number of the retry by hand.
const RETRY: u8 = 11;

/// A step that is decided.
pub(super) struct Move<'a> {
    pub(super) id: TaskId,
    pub(super) standing: Standing,
    pub(super) transition: Transition,
    /// What the attempt leaves behind, if the step ends one.
    pub(super) note: &'a Note,
}

impl Move<'_> {
    fn seat(&self) -> Seat<'_> {
        self.standing.seat(self.id)
    }

    fn after(&self) -> &Life {
        match &self.transition.effect {
            Effect::Become(after) => after,
            // A forgotten task keeps its last.
            Effect::Forget => &self.standing.life,
        }
    }

    fn is_forgotten(&self) -> bool {
        self.transition.effect == Effect::Forget
    }

    fn stays_in_phase(&self) -> bool {
        let phases = (&self.standing.life.phase, &self.after().phase);
        !self.is_forgotten() && std::mem::discriminant(phases.0) == std::mem::discriminant(phases.1)
    }

    fn left(&self) -> Left<'_> {
        let trace = &self.standing.trace;
        Left {
            run: trace.run,
            progress: self.note.progress.or(Some(trace.progress)),
            detail: self.note.detail.as_ref().or(trace.detail.as_ref()),
            note: Some(self.note),
        }
    }
}

/// Writes steps of different tasks, and appends them to `steps` in their order.
pub(super) async fn write(tx: &mut Tx, moves: &[Move<'_>], steps: &mut Vec<Stepped>) -> Result<()> {
    let (mut staying, mut leaving, mut forgotten, mut again) = (vec![], vec![], vec![], vec![]);
    let mut entering = Entering::default();
    for one in moves {
        if one.stays_in_phase() {
            staying.push((one.seat(), *one.after()));
            continue;
        }
        leaving.push(one.seat());
        if one.is_forgotten() {
            forgotten.push(one.id);
        } else {
            entering.add(Seat { life: one.after(), ..one.seat() }, one.left());
        }
        if one.transition.rule == RETRY {
            again.push(one.id);
        }
    }
    update(tx, &staying).await?;
    leave(tx, &leaving).await?;
    entering.write(tx).await?;
    keep_attempts(tx, moves).await?;
    forgive(tx, &again).await?;
    forget(tx, &forgotten).await?;
    steps.extend(moves.iter().map(|one| Stepped::of(one.id, &one.standing, *one.after())));
    Ok(())
}

/// Whoever retries by hand wants it to run: neither its old time limit for waiting nor its parents are in the way.
async fn forgive(tx: &mut Tx, ids: &[TaskId]) -> Result<()> {
    tx.exec_in("UPDATE tasks SET expires_at = NULL WHERE id", &[], ids).await?;
    tx.exec_in("UPDATE edges SET is_open = 0 WHERE child_id", &[], ids).await.map(drop)
}

/// Appends ended attempts to the history. A success stays in `outcomes` until somebody retries it.
async fn keep_attempts(tx: &mut Tx, moves: &[Move<'_>]) -> Result<()> {
    let mut ends: Vec<(TaskId, AttemptEnd, Option<String>)> = Vec::new();
    for one in moves {
        let ended = one.transition.attempt_end.filter(|end| end.outcome != AttemptOutcome::Succeeded);
        ends.extend(ended.map(|end| (one.id, end, one.note.error_text())));
        ends.extend(retried_success(one).map(|end| (one.id, end, None)));
    }
    let rows: Vec<Param<'_>> = ends
        .iter()
        .flat_map(|(id, end, error)| {
            let what = [(*id).into(), end.epoch.into(), end.attempt.into(), end.session.into()];
            let how = [end.started_at.into(), end.ended_at.into(), end.outcome.name().into()];
            what.into_iter().chain(how).chain([error.as_ref().into()])
        })
        .collect();
    let sql = "INSERT INTO attempts (task_id, epoch, attempt, session, started_at, ended_at, outcome, error)";
    tx.insert_many(sql, 8, &rows).await
}

/// The success that is to run again.
fn retried_success(one: &Move<'_>) -> Option<AttemptEnd> {
    let before = &one.standing.life;
    if before.state() != State::Succeeded || one.is_forgotten() {
        return None;
    }
    let ((session, started_at), Phase::Ended { at, .. }) = (one.standing.trace.run?, before.phase) else {
        return None;
    };
    let (epoch, attempt, outcome) = (before.epoch, before.attempt, AttemptOutcome::Succeeded);
    Some(AttemptEnd { epoch, attempt, session, started_at, ended_at: at, outcome })
}
