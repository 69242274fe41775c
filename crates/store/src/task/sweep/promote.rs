//! Many due tasks made ready at once, for databases across a network.

use std::collections::HashMap;

use taskloom_model::{Action, Effect, Life, Phase, Rules, State, TaskId, Ties, Timestamp, Wait, next};
use uuid::Uuid;

use crate::error::{Result, StoreError};
use crate::row::Row;
use crate::sql::params;
use crate::task::gate::settle;
use crate::task::life::{Entering, Left, Place, Seat, read_priority};
use crate::task::step::Stepped;
use crate::tx::Tx;

/// Moves up to `limit` due tasks that nobody else moves right now.
pub(super) async fn due(tx: &mut Tx, now: Timestamp, limit: u32) -> Result<Vec<Stepped>> {
    let due = scheduled(tx, now, limit).await?;
    let ids: Vec<Uuid> = due.iter().map(|(id, _)| *id).collect();
    let places = places(tx, &ids).await?;
    let mut steps = Vec::with_capacity(due.len());
    for (id, before) in due {
        let Some((place, rules, ties)) = places.get(&id) else { continue };
        if let Ok(step) = next(&before, rules, Action::Promote, now, 0.0)
            && let Effect::Become(life) = step.effect
        {
            steps.push(Stepped {
                id,
                queue: place.queue.clone(),
                priority: place.priority,
                band: place.band,
                ties: *ties,
                before: State::Scheduled,
                life,
            });
        }
    }
    let ids: Vec<Uuid> = steps.iter().map(|step| step.id).collect();
    tx.exec_in("DELETE FROM scheduled WHERE id", &[], &ids).await?;
    let mut entering = Entering::default();
    for step in &steps {
        if let Some((place, ..)) = places.get(&step.id) {
            let seat = Seat { id: step.id, place, life: &step.life, ties: step.ties };
            entering.add(seat, Left::default());
        }
    }
    entering.write(tx).await?;
    settle(tx, 0, now, &mut steps).await?;
    Ok(steps)
}

async fn scheduled(tx: &mut Tx, now: Timestamp, limit: u32) -> Result<Vec<(TaskId, Life)>> {
    let sql = "SELECT id, run_at, reason, epoch, attempt, crashes, refunds FROM scheduled
         WHERE run_at <= ? ORDER BY run_at, id LIMIT ? FOR UPDATE SKIP LOCKED";
    let read = |row: &mut Row<'_>| {
        let (id, run_at) = (row.next()?, row.next()?);
        let wait =
            Wait::from_reason(row.word()?).ok_or_else(|| StoreError::Corrupt("scheduled.reason".into()))?;
        let phase = Phase::Scheduled { run_at, wait };
        let (epoch, attempt) = (row.next()?, row.next()?);
        Ok((id, Life { epoch, attempt, crashes: row.next()?, refunds: row.next()?, phase }))
    };
    tx.rows(sql, params![now, limit], read).await
}

/// Where these tasks stand in line; of their rules a promotion looks at none.
async fn places(tx: &mut Tx, ids: &[Uuid]) -> Result<HashMap<TaskId, (Place, Rules, Ties)>> {
    let read = |row: &mut Row<'_>| {
        let id = row.next()?;
        let place = Place { queue: row.next()?, priority: read_priority(row)?, band: row.next()? };
        let backoff = taskloom_model::Backoff::default();
        let max_attempts = row.next()?;
        let ties = Ties::from_bits(row.next()?);
        let rules = Rules { max_attempts, timeout: None, backoff, expires_at: None, limits: ties.limits() };
        Ok((id, (place, rules, ties)))
    };
    let found = tx
        .rows_in(
            "SELECT id, queue, priority, band, max_attempts, ties FROM tasks WHERE id",
            &[],
            ids,
            "",
            read,
        )
        .await?;
    Ok(found.into_iter().collect())
}
