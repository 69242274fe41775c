//! Limits across all workers: who may pass, and who waits.
//!
//! A task whose start is limited never stands in `ready` without a permit, so a claim need not know of limits. It waits
//! in `limited` at one gate at a time and is let in by whatever makes room: the end of another, in the same transaction,
//! or the time. The gate's row is locked by whoever counts.

mod admit;
mod declare;
mod read;

pub(crate) use read::holders;
pub use read::{GateInfo, Holder};

use std::collections::{BTreeMap, BTreeSet};

use taskloom_model::{Limit, Phase, State, TaskId, Ties, Timestamp};
use uuid::Uuid;

use super::life::gate;
use super::step::Stepped;
use super::submit::NewTask;
use crate::Store;
use crate::error::Result;
use crate::queue;
use crate::row::{self, Row};
use crate::sql::params;
use crate::tx::Tx;
pub(super) use declare::declare;

impl Store {
    /// T15: lets in who waited for a time at up to `limit` gates.
    pub async fn task_admit(&self, now: Timestamp, limit: u32) -> Result<Vec<Stepped>> {
        let due = self
            .point(move |tx| {
                Box::pin(async move {
                    let sql = "SELECT gate FROM gates WHERE wake_at <= ? ORDER BY wake_at LIMIT ?";
                    tx.rows(sql, params![now, limit], row::first::<String>).await
                })
            })
            .await?;
        let mut all = Vec::new();
        for name in due {
            let steps = self
                .write(move |tx| {
                    Box::pin(async move {
                        let mut steps = Vec::new();
                        open(tx, BTreeSet::from([name]), now, &mut steps).await?;
                        Ok(steps)
                    })
                })
                .await?;
            all.extend(steps);
        }
        Ok(all)
    }

    /// Forgets up to `limit` gates that nobody has used since `before`; whether there may be more.
    pub async fn gate_prune(&self, before: Timestamp, limit: u32) -> Result<bool> {
        let idle = self
            .scan(move |tx| {
                Box::pin(async move {
                    let sql = "SELECT gate FROM gates WHERE used_at < ? AND held = 0
                         AND NOT EXISTS (SELECT 1 FROM limited l WHERE l.gate = gates.gate)
                         AND NOT EXISTS (SELECT 1 FROM task_gates g WHERE g.gate = gates.gate) LIMIT ?";
                    tx.rows(sql, params![before, limit], row::first::<String>).await
                })
            })
            .await?;
        let more = idle.len() == limit as usize;
        self.write(move |tx| {
            Box::pin(async move {
                for name in &idle {
                    // Whoever names it meanwhile has locked and marked it.
                    tx.exec(
                        "DELETE FROM gates WHERE gate = ? AND used_at < ? AND held = 0",
                        params![name, before],
                    )
                    .await?;
                }
                Ok(more)
            })
        })
        .await
    }

    /// When somebody who waits at a gate may start next, as far as that is known.
    pub async fn task_next_admission(&self) -> Result<Option<Timestamp>> {
        self.point(|tx| {
            Box::pin(async move {
                let sql = "SELECT wake_at FROM gates WHERE wake_at IS NOT NULL ORDER BY wake_at LIMIT 1";
                tx.row(sql, &[], row::first).await
            })
        })
        .await
    }
}

impl NewTask {
    /// The gates that it has to pass, in order.
    fn gates(&self) -> Vec<(Limit, String)> {
        let concurrency = self.concurrency.as_ref().map(|limit| (Limit::Concurrency, &limit.key));
        let rate = self.rate.as_ref().map(|limit| (Limit::Rate, &limit.key));
        concurrency.into_iter().chain(rate).map(|(limit, key)| (limit, gate(limit, key))).collect()
    }
}

/// What the steps from `first` on mean to gates: permits are given back, and whoever may pass does.
pub(crate) async fn settle(
    tx: &mut Tx,
    first: usize,
    now: Timestamp,
    steps: &mut Vec<Stepped>,
) -> Result<()> {
    let gated = Ties::CONCURRENCY.with(Ties::RATE).with(Ties::QUEUE);
    if steps[first..].iter().all(|step| !step.ties.meets(gated)) {
        return Ok(());
    }
    let mut touched = give_back(tx, first, now, steps).await?;
    let arrived: Vec<TaskId> = steps[first..]
        .iter()
        .filter(|step| matches!(step.life.phase, Phase::Limited(_)))
        .map(|step| step.id)
        .collect();
    let at = tx.rows_in("SELECT gate FROM limited WHERE id", &[], &arrived, "", row::first::<String>).await?;
    touched.extend(at);
    open(tx, touched, now, steps).await
}

/// Lets in at these gates whoever may pass, and at those that lie behind them.
async fn open(
    tx: &mut Tx,
    mut touched: BTreeSet<String>,
    now: Timestamp,
    steps: &mut Vec<Stepped>,
) -> Result<()> {
    // In the order of names: two transactions that lock the same gates never wait for each other.
    while let Some(name) = touched.pop_first() {
        touched.extend(admit::admit(tx, &name, now, steps).await?);
    }
    Ok(())
}

/// Whether a task that stands so still needs its permit.
fn keeps_permit(step: &Stepped) -> bool {
    match step.life.phase {
        Phase::Ready | Phase::Running { .. } => true,
        Phase::Limited(limit) => limit == Limit::Rate && step.ties.has(Ties::CONCURRENCY),
        _ => false,
    }
}

/// Gives back the permits of tasks that have left; gives the gates where there is room now.
async fn give_back(
    tx: &mut Tx,
    first: usize,
    now: Timestamp,
    steps: &mut [Stepped],
) -> Result<BTreeSet<String>> {
    let may_hold = |state| matches!(state, State::Limited | State::Ready | State::Running);
    let held = Ties::CONCURRENCY.with(Ties::QUEUE);
    let mut left: Vec<TaskId> = steps[first..]
        .iter()
        .filter(|step| step.ties.meets(held) && may_hold(step.before) && !keeps_permit(step))
        .map(|step| step.id)
        .collect();
    // A permit of a queue is for the run alone.
    let again = |step: &&Stepped| step.before == State::Running && step.life.state() != State::Running;
    left.extend(steps[first..].iter().filter(again).filter(|s| s.ties.has(Ties::QUEUE)).map(|s| s.id));
    left.sort_unstable();
    left.dedup();
    let read = |row: &mut Row<'_>| Ok((row.next::<String>()?, row.next::<TaskId>()?));
    let permits = tx.rows_in("SELECT gate, task_id FROM permits WHERE task_id", &[], &left, "", read).await?;
    let mut by_gate: BTreeMap<String, Vec<Uuid>> = BTreeMap::new();
    for (name, id) in permits {
        by_gate.entry(name).or_default().push(id);
    }
    let mut touched = BTreeSet::new();
    for (name, ids) in by_gate {
        if let Some(queue) = name.strip_prefix(queue::PERMIT) {
            queue::give_back(tx, queue, &name, &ids).await?;
            for step in steps[first..].iter_mut().filter(|step| ids.contains(&step.id)) {
                queue.clone_into(&mut step.queue);
            }
            continue;
        }
        tx.lock("SELECT 1 FROM gates WHERE gate = ?", params![&name]).await?;
        let given =
            tx.exec_in("DELETE FROM permits WHERE gate = ? AND task_id", params![&name], &ids).await?;
        let sql = "UPDATE gates SET held = held - ?, used_at = ? WHERE gate = ?";
        tx.exec(sql, params![given, now, &name]).await?;
        touched.insert(name);
    }
    Ok(touched)
}
