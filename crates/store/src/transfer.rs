//! Moves an installation from one database to another, of any kinds.
//!
//! Rows travel in the order of their keys, so a transfer that was broken off goes on behind the last row that arrived. As long
//! as it is not finished the target says so in its schema's version, and no server opens it.

mod schema;
mod value;

use schema::Table;
use value::{Checksum, Value, read};

use crate::Store;
use crate::error::{Result, StoreError};
use crate::migrate::MOVING;
use crate::row::first;
use crate::sql::{Param, Sql, params};
use crate::tx::Tx;

/// Rows on their way at once.
const ROWS: u32 = 500;

/// Rows of one table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableRows {
    /// The table.
    pub table: String,
    /// How many rows the source has.
    pub source: u64,
    /// How many the target has.
    pub target: u64,
}

/// What a transfer would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransferPlan {
    /// Every table.
    pub tables: Vec<TableRows>,
    /// Whether it goes on where an earlier one was broken off.
    pub resumes: bool,
}

/// How far a transfer is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// The table at hand.
    pub table: String,
    /// Rows of all tables that have been copied or, in the second pass, compared.
    pub done: u64,
    /// Rows there are.
    pub all: u64,
    /// Whether the copies are being compared with their originals.
    pub comparing: bool,
}

impl Store {
    /// What a transfer to `target` would copy; changes nothing. `origin` names this store, in the same words each time.
    ///
    /// # Errors
    /// [`StoreError::NotEmpty`] if the target holds data that no transfer put there; [`StoreError::OtherOrigin`] if it
    /// holds an unfinished transfer of another store.
    pub async fn transfer_plan(&self, target: &Self, origin: &str) -> Result<TransferPlan> {
        let open = target.open_transfer().await?;
        if let Some(found) = &open
            && *found != mark_of(origin)
        {
            return Err(StoreError::OtherOrigin(found.clone()));
        }
        let mut tables = Vec::new();
        for table in schema::tables()? {
            let (source, there) = (self.count(&table).await?, target.count(&table).await?);
            if open.is_none() && there > 0 {
                return Err(StoreError::NotEmpty(table.name));
            }
            tables.push(TableRows { table: table.name, source, target: there });
        }
        Ok(TransferPlan { tables, resumes: open.is_some() })
    }

    /// What the target says of a transfer into it that is not finished.
    async fn open_transfer(&self) -> Result<Option<String>> {
        self.point(|tx| {
            Box::pin(async move {
                let sql = "SELECT name FROM schema_migrations WHERE version = ?";
                tx.row(sql, params![MOVING], first).await
            })
        })
        .await
    }

    /// Copies everything into `target`, goes on where an earlier call was broken off, and compares the two.
    ///
    /// # Errors
    /// As [`Self::transfer_plan`], and [`StoreError::Differs`] if, at the end, a table is not what the source has:
    /// something still writes to one of them.
    pub async fn transfer_to(
        &self,
        target: &Self,
        origin: &str,
        mut tell: impl FnMut(&Progress),
    ) -> Result<u64> {
        let tables = schema::tables()?;
        let plan = self.transfer_plan(target, origin).await?;
        if !plan.resumes {
            target.mark(Some(mark_of(origin))).await?;
        }
        let all = plan.tables.iter().map(|table| table.source).sum();
        let mut progress = Progress { table: String::new(), done: 0, all, comparing: false };
        for table in &tables {
            progress.table.clone_from(&table.name);
            self.copy(target, table, &mut progress, &mut tell).await?;
        }
        (progress.done, progress.comparing) = (0, true);
        for table in &tables {
            progress.table.clone_from(&table.name);
            let mut compared = |rows| {
                progress.done += rows;
                tell(&progress);
            };
            if self.checksum(table, &mut compared).await? != target.checksum(table, &mut |_| ()).await? {
                return Err(StoreError::Differs(table.name.clone()));
            }
        }
        target.mark(None).await?;
        Ok(all)
    }

    async fn copy(
        &self,
        target: &Self,
        table: &Table,
        progress: &mut Progress,
        tell: &mut impl FnMut(&Progress),
    ) -> Result<()> {
        let mut after = target.last(table).await?;
        progress.done += if after.is_some() { target.count(table).await? } else { 0 };
        loop {
            tell(progress);
            let rows = self.page(table, after.take()).await?;
            let Some(last) = rows.last() else { break };
            after = Some(key_of(table, last));
            progress.done += rows.len() as u64;
            target.put(table, rows).await?;
        }
        target.go_on_counting(table).await
    }

    async fn checksum(&self, table: &Table, tell: &mut impl FnMut(u64)) -> Result<Checksum> {
        let (mut sum, mut after) = (Checksum::default(), None);
        loop {
            let rows = self.page(table, after.take()).await?;
            let Some(last) = rows.last() else { return Ok(sum) };
            after = Some(key_of(table, last));
            for row in &rows {
                sum.add(row);
            }
            tell(rows.len() as u64);
        }
    }

    async fn count(&self, table: &Table) -> Result<u64> {
        let sql = format!("SELECT count(*) FROM {}", table.name);
        self.scan(move |tx| Box::pin(async move { tx.number(&sql, &[]).await })).await
    }

    /// The rows behind a key.
    async fn page(&self, table: &Table, after: Option<Vec<Value>>) -> Result<Vec<Vec<Value>>> {
        let table = table.clone();
        self.scan(move |tx| {
            Box::pin(async move {
                let mut sql = Sql::new(&format!("SELECT {} FROM {}", table.columns(), table.name));
                if let Some(after) = &after {
                    behind(&mut sql, &table, after, matches!(tx, Tx::Mysql(_)));
                }
                sql.push(&format!(" ORDER BY {} LIMIT ?", table.key_names().join(", ")), &[ROWS.into()]);
                tx.rows_of(&sql, |row| read(&table, row)).await
            })
        })
        .await
    }

    /// The greatest key.
    async fn last(&self, table: &Table) -> Result<Option<Vec<Value>>> {
        let table = table.clone();
        self.scan(move |tx| {
            Box::pin(async move {
                let order = table.key_names().iter().map(|name| format!("{name} DESC")).collect::<Vec<_>>();
                let sql = format!(
                    "SELECT {} FROM {} ORDER BY {} LIMIT 1",
                    table.columns(),
                    table.name,
                    order.join(", ")
                );
                let row = tx.row(&sql, &[], |row| read(&table, row)).await?;
                Ok(row.map(|row| key_of(&table, &row)))
            })
        })
        .await
    }

    async fn put(&self, table: &Table, rows: Vec<Vec<Value>>) -> Result<()> {
        let head = format!("INSERT INTO {} ({})", table.name, table.columns());
        let columns = table.columns.len();
        let rows = std::sync::Arc::new(rows);
        self.write(move |tx| {
            Box::pin(async move {
                let params: Vec<Param<'_>> = rows.iter().flatten().map(Value::param).collect();
                tx.insert_many(&head, columns, &params).await
            })
        })
        .await
    }

    /// Lets a table that numbers its rows go on behind the copied ones. SQLite and MySQL do so by themselves.
    async fn go_on_counting(&self, table: &Table) -> Result<()> {
        if table.name != "logs" {
            return Ok(());
        }
        self.write(|tx| {
            Box::pin(async move {
                if let Tx::Postgres(_) = tx {
                    let sql = "SELECT setval(pg_get_serial_sequence('logs', 'seq'), max(seq)) FROM logs HAVING count(*) > 0";
                    tx.row(sql, &[], first::<i64>).await?;
                }
                Ok(())
            })
        })
        .await
    }

    /// Says in the schema's version that a transfer is under way, and from where, or that none is any longer.
    async fn mark(&self, moving: Option<String>) -> Result<()> {
        self.write(move |tx| {
            let moving = moving.clone();
            Box::pin(async move {
                if let Some(name) = moving {
                    let sql = "INSERT INTO schema_migrations (version, name) VALUES (?, ?)";
                    tx.exec(sql, params![MOVING, name.as_str()]).await?;
                } else {
                    tx.exec("DELETE FROM schema_migrations WHERE version = ?", params![MOVING]).await?;
                }
                Ok(())
            })
        })
        .await
    }
}

/// What the schema's version of an unfinished transfer is called.
fn mark_of(origin: &str) -> String {
    format!("unfinished transfer from {origin}")
}

fn key_of(table: &Table, row: &[Value]) -> Vec<Value> {
    table.key.iter().filter_map(|place| row.get(*place)).cloned().collect()
}

/// ` WHERE` the key is greater than this one, in words that the database walks its index by.
fn behind<'a>(sql: &mut Sql<'a>, table: &Table, after: &'a [Value], is_mysql: bool) {
    let names = table.key_names();
    let params: Vec<Param<'a>> = after.iter().map(Value::param).collect();
    let marks = vec!["?"; names.len()].join(", ");
    let row = format!("({}) > ({marks})", names.join(", "));
    match (is_mysql, names.first(), params.first()) {
        // MySQL compares rows rightly but walks its index only by a column.
        (true, Some(first), Some(value)) => {
            sql.push(&format!(" WHERE {first} >= ?"), &[*value]).push(&format!(" AND {row}"), &params);
        }
        _ => {
            sql.push(&format!(" WHERE {row}"), &params);
        }
    }
}
