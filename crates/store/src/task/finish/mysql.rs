//! Many successes at once on MySQL and MariaDB: sets. MariaDB gives what it deletes; MySQL has no RETURNING, so a read
//! that locks comes first.

use std::collections::HashMap;

use taskloom_model::{Life, Phase, SessionId, State, TaskId, Ties, Timestamp};
use taskloom_protocol::Json;
use uuid::Uuid;

use super::FinishItem;
use crate::error::Result;
use crate::row::Row;
use crate::sql::{Param, params};
use crate::tx::Tx;

/// A row of `running` as it ends.
struct Held {
    id: TaskId,
    life: Life,
    started_at: Timestamp,
    detail: Option<Json>,
    ties: Ties,
}

pub(super) async fn succeed(
    tx: &mut Tx,
    session: SessionId,
    items: &[&FinishItem],
    now: Timestamp,
) -> Result<Vec<(TaskId, Life, Ties)>> {
    let asked: HashMap<(TaskId, u32), &FinishItem> =
        items.iter().map(|item| ((item.task.id, item.task.epoch), *item)).collect();
    let ids: Vec<Uuid> = items.iter().map(|item| item.task.id).collect();
    let epoch = items.first().map(|item| item.task.epoch);
    // Nearly always all are in their first. Where they are not, one lock pass keeps the order of ids.
    let epoch = epoch.filter(|epoch| items.iter().all(|item| item.task.epoch == *epoch));
    let held = match epoch {
        Some(epoch) if is_mariadb(tx) => give_up(tx, session, epoch, &ids, now).await?,
        _ => {
            let mut held = lock(tx, session, &ids, now).await?;
            held.retain(|held| asked.contains_key(&(held.id, held.life.epoch)));
            let gone: Vec<Uuid> = held.iter().map(|held| held.id).collect();
            tx.exec_in("DELETE FROM running WHERE id", &[], &gone).await?;
            held
        }
    };
    let mut rows: Vec<Param<'_>> = Vec::with_capacity(held.len() * COLUMNS);
    for Held { id, life, started_at, detail, .. } in &held {
        let note = asked.get(&(*id, life.epoch)).map(|item| &item.note);
        let result = note.and_then(|note| note.result.as_ref());
        let detail = note.and_then(|note| note.detail.as_ref()).or(detail.as_ref());
        let row: [Param<'_>; COLUMNS] = [
            (*id).into(),
            State::Succeeded.name().into(),
            life.epoch.into(),
            life.attempt.into(),
            life.refunds.into(),
            session.into(),
            (*started_at).into(),
            now.into(),
            100.0.into(),
            detail.into(),
            result.into(),
        ];
        rows.extend(row);
    }
    tx.insert_many(INSERT, COLUMNS, &rows).await?;
    Ok(held.into_iter().map(|held| (held.id, held.life, held.ties)).collect())
}

fn is_mariadb(tx: &Tx) -> bool {
    matches!(tx, Tx::Mysql(connection) if connection.is_mariadb())
}

/// Deletes those that the session still has in this epoch, and gives them; what is stale stays.
async fn give_up(
    tx: &mut Tx,
    session: SessionId,
    epoch: u32,
    ids: &[Uuid],
    now: Timestamp,
) -> Result<Vec<Held>> {
    let head = "DELETE FROM running WHERE session = ? AND epoch = ? AND id";
    let tail = format!(" RETURNING {HELD}");
    tx.rows_in(head, params![session, epoch], ids, &tail, |row| read(row, now)).await
}

/// Locks those that the session still has, in whatever epoch, and gives them.
async fn lock(tx: &mut Tx, session: SessionId, ids: &[Uuid], now: Timestamp) -> Result<Vec<Held>> {
    let head = format!("SELECT {HELD} FROM running WHERE session = ? AND id");
    tx.rows_in(&head, params![session], ids, " FOR UPDATE", |row| read(row, now)).await
}

const HELD: &str = "id, epoch, attempt, crashes, refunds, started_at, detail, ties";

fn read(row: &mut Row<'_>, now: Timestamp) -> Result<Held> {
    let phase = Phase::Ended { state: State::Succeeded, reason: None, at: now };
    let id = row.next()?;
    let (epoch, attempt) = (row.next()?, row.next()?);
    let life = Life { epoch, attempt, crashes: row.next()?, refunds: row.next()?, phase };
    Ok(Held { id, life, started_at: row.next()?, detail: row.next()?, ties: Ties::from_bits(row.next()?) })
}

const COLUMNS: usize = 11;
const INSERT: &str =
    "INSERT INTO outcomes (id, state, epoch, attempt, refunds, session, started_at, finished_at, progress,
     detail, result)";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Store, StoreOptions};

    /// MariaDB takes both ways; MySQL has only the one.
    #[tokio::test(flavor = "multi_thread")]
    async fn both_ways_find_the_same_and_what_is_stale_stays() {
        let Some(server) = taskloom_testkit::mariadb() else { return };
        let url = server.fresh_database().parse().unwrap();
        let store = Store::open(&StoreOptions::network(url)).await.unwrap();
        let found = store
            .write(|tx| {
                Box::pin(async move {
                    if !is_mariadb(tx) {
                        return Ok(None);
                    }
                    let (ours, theirs) = (Uuid::from_u128(1), Uuid::from_u128(2));
                    for (id, epoch, session) in [(10, 1_u32, ours), (11, 1, ours), (12, 2, ours), (13, 1, theirs)] {
                        let sql = "INSERT INTO running (id, epoch, attempt, crashes, refunds, session, lease_until,
                             started_at, cancel, progress, logged, ties) VALUES (?, ?, 1, 0, 0, ?, 9, 1, 0, 0, 0, 0)";
                        tx.exec(sql, params![Uuid::from_u128(id), epoch, session]).await?;
                    }
                    // All of them, and one that is nowhere.
                    let ids: Vec<Uuid> = (10..15).map(Uuid::from_u128).collect();
                    let lives = |held: Vec<Held>| {
                        held.into_iter().map(|held| (held.id.as_u128(), held.life.epoch)).collect::<Vec<_>>()
                    };
                    let now = Timestamp::from_micros(5);
                    let locked = lives(lock(tx, ours, &ids, now).await?);
                    let given_up = lives(give_up(tx, ours, 1, &ids, now).await?);
                    let left = "SELECT id FROM running ORDER BY id";
                    let left = tx.rows(left, &[], crate::row::first::<Uuid>).await?;
                    Ok(Some((locked, given_up, left)))
                })
            })
            .await
            .unwrap();
        let Some((locked, given_up, left)) = found else {
            return eprintln!("skipped: MySQL has no RETURNING");
        };
        assert_eq!(locked, [(10, 1), (11, 1), (12, 2)]);
        assert_eq!(given_up, [(10, 1), (11, 1)]);
        assert_eq!(left, [Uuid::from_u128(12), Uuid::from_u128(13)]);
    }
}
