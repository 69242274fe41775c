//! Gates that new tasks name.

use std::collections::BTreeMap;

use taskloom_model::{Limit, Timestamp};

use crate::error::{Result, StoreError};
use crate::row::Row;
use crate::sql::{Param, params};
use crate::task::life::gate_place;
use crate::task::submit::Fresh;
use crate::tx::Tx;

/// What a gate lets in: so many, in so many microseconds if it is a rate.
type Terms = (u32, u64);

/// Makes the gates that these tasks name, or changes what they let in: the latest submission counts.
pub(in crate::task) async fn declare(tx: &mut Tx, tasks: &[Fresh<'_>], now: Timestamp) -> Result<()> {
    let mut gates: BTreeMap<String, Terms> = BTreeMap::new();
    let mut rows: Vec<(Param<'_>, u32, String)> = Vec::new();
    for Fresh { task, .. } in tasks {
        for (limit, name) in task.gates() {
            let terms = match limit {
                Limit::Concurrency => (task.concurrency.as_ref().map_or(1, |limit| limit.most), 0),
                Limit::Rate => task.rate.as_ref().map_or((1, 1), |rate| (rate.count, rate.per_us)),
            };
            gates.insert(name.clone(), terms);
            rows.push((task.id.into(), gate_place(limit), name));
        }
    }
    for (name, terms) in &gates {
        set(tx, name, *terms, now).await?;
    }
    let rows: Vec<Param<'_>> =
        rows.iter().flat_map(|(id, place, name)| [*id, (*place).into(), name.into()]).collect();
    tx.insert_many("INSERT INTO task_gates (task_id, place, gate)", 3, &rows).await
}

async fn set(tx: &mut Tx, name: &str, (most, per_us): Terms, now: Timestamp) -> Result<()> {
    tx.lock("SELECT 1 FROM gates WHERE gate = ?", params![name]).await?;
    let read = |row: &mut Row<'_>| Ok((row.next::<u32>()?, row.next::<u64>()?));
    let known = tx.row("SELECT most, per_us FROM gates WHERE gate = ?", params![name], read).await?;
    match known {
        Some(known) if known == (most, per_us) => Ok(()),
        Some(_) => {
            // A new bucket is full: what the old one had given does not count against it. The sweep looks who may pass.
            let sql =
                "UPDATE gates SET most = ?, per_us = ?, full_at = ?, wake_at = ?, used_at = ? WHERE gate = ?";
            tx.exec(sql, params![most, per_us, now, now, now, name]).await.map(drop)
        }
        None => {
            let sql =
                "INSERT INTO gates (gate, most, per_us, held, full_at, used_at) VALUES (?, ?, ?, 0, ?, ?)";
            let made = tx.exec(sql, params![name, most, per_us, now, now]).await;
            made.map(drop).map_err(StoreError::raced)
        }
    }
}
