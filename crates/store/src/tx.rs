//! A transaction on whichever database the store runs on.
//!
//! Bodies of transactions are written once, as async code. On SQLite every statement completes at once, so the writer
//! thread runs a whole body without a hop and commits many bodies together. Across a network a body may run again if
//! another transaction was first: hence bodies can be cloned.

use std::sync::OnceLock;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use rusqlite::Connection;
use uuid::Uuid;

use crate::error::{Result, StoreError};
use crate::row::{Row, first};
use crate::sql::{Param, Sql};
use crate::{mysql, postgres};

/// Rows in one statement.
const BATCH: usize = 256;

/// Question marks for ids and the ids themselves, the last repeated up to one of few lengths, so that few statements
/// are prepared.
fn list<'a>(given: &[Param<'a>], ids: &[Uuid]) -> (String, Vec<Param<'a>>) {
    let length = [1, 4, 32, BATCH].into_iter().find(|n| *n >= ids.len()).unwrap_or(ids.len());
    let mut params = given.to_vec();
    params.extend(ids.iter().map(|id| Param::Uuid(*id)));
    if let Some(last) = ids.last() {
        params.resize(given.len() + length, Param::Uuid(*last));
    }
    (vec!["?"; length].join(", "), params)
}

/// A statement that inserts rows, and is run so often that its text is kept.
pub(crate) struct Insert {
    /// Up to `VALUES`.
    head: &'static str,
    columns: usize,
    one: OnceLock<String>,
}

impl Insert {
    pub(crate) const fn new(head: &'static str, columns: usize) -> Self {
        Self { head, columns, one: OnceLock::new() }
    }

    /// For one row.
    fn one(&self) -> &str {
        self.one.get_or_init(|| format!("{} VALUES {}", self.head, row_of(self.columns)))
    }
}

fn row_of(columns: usize) -> String {
    format!("({})", vec!["?"; columns].join(", "))
}

/// An open transaction.
pub(crate) enum Tx {
    Sqlite(Connection),
    Postgres(postgres::Session),
    Mysql(mysql::Session),
}

/// The body of a transaction.
pub(crate) trait Body<T>:
    for<'t> FnOnce(&'t mut Tx) -> BoxFuture<'t, Result<T>> + Clone + Send + 'static
{
}

impl<T, F> Body<T> for F where
    F: for<'t> FnOnce(&'t mut Tx) -> BoxFuture<'t, Result<T>> + Clone + Send + 'static
{
}

/// Runs a body that never waits, as bodies on SQLite do.
pub(crate) fn run_now<T>(body: BoxFuture<'_, Result<T>>) -> Result<T> {
    body.now_or_never()
        .unwrap_or_else(|| Err(StoreError::Sql("a transaction waited for something else".into())))
}

impl Tx {
    /// Runs a statement; gives the number of rows it changed.
    pub(crate) async fn exec(&mut self, sql: &str, params: &[Param<'_>]) -> Result<u64> {
        match self {
            Self::Sqlite(connection) => {
                let mut statement = connection.prepare_cached(sql)?;
                Ok(statement.execute(rusqlite::params_from_iter(params))? as u64)
            }
            Self::Postgres(session) => session.exec(sql, params).await,
            Self::Mysql(session) => session.exec(sql, params).await,
        }
    }

    /// Runs a query; `read` makes something of each row.
    pub(crate) async fn rows<T>(
        &mut self,
        sql: &str,
        params: &[Param<'_>],
        mut read: impl FnMut(&mut Row<'_>) -> Result<T> + Send,
    ) -> Result<Vec<T>> {
        self.rows_while(sql, params, |row| Ok((read(row)?, true))).await
    }

    /// The same, until `read` says with a row that it was the last to read.
    pub(crate) async fn rows_while<T>(
        &mut self,
        sql: &str,
        params: &[Param<'_>],
        mut read: impl FnMut(&mut Row<'_>) -> Result<(T, bool)> + Send,
    ) -> Result<Vec<T>> {
        let mut made = Vec::new();
        match self {
            Self::Sqlite(connection) => {
                let mut statement = connection.prepare_cached(sql)?;
                let mut rows = statement.query(rusqlite::params_from_iter(params))?;
                while let Some(row) = rows.next()? {
                    let (one, more) = read(&mut Row::sqlite(row))?;
                    made.push(one);
                    if !more {
                        break;
                    }
                }
            }
            Self::Postgres(session) => {
                for row in &session.query(sql, params).await? {
                    let (one, more) = read(&mut Row::postgres(row))?;
                    made.push(one);
                    if !more {
                        break;
                    }
                }
            }
            Self::Mysql(session) => {
                for row in &session.query(sql, params).await? {
                    let (one, more) = read(&mut Row::mysql(row))?;
                    made.push(one);
                    if !more {
                        break;
                    }
                }
            }
        }
        Ok(made)
    }

    /// Runs a query of at most one row.
    pub(crate) async fn row<T: Send>(
        &mut self,
        sql: &str,
        params: &[Param<'_>],
        read: impl FnMut(&mut Row<'_>) -> Result<T> + Send,
    ) -> Result<Option<T>> {
        Ok(self.rows(sql, params, read).await?.pop())
    }

    /// Runs a statement put together at run time.
    pub(crate) async fn rows_of<T>(
        &mut self,
        sql: &Sql<'_>,
        read: impl FnMut(&mut Row<'_>) -> Result<T> + Send,
    ) -> Result<Vec<T>> {
        self.rows(&sql.text, &sql.params, read).await
    }

    /// A number that always is there, such as a count.
    pub(crate) async fn number(&mut self, sql: &str, params: &[Param<'_>]) -> Result<u64> {
        Ok(self.row(sql, params, first).await?.unwrap_or_default())
    }

    /// Inserts rows, of which there may be none.
    pub(crate) async fn insert(&mut self, insert: &Insert, rows: &[Param<'_>]) -> Result<()> {
        if self.is_shared() && rows.len() != insert.columns {
            return self.insert_many(insert.head, insert.columns, rows).await;
        }
        // Nothing to gain by sets: a statement costs no round trip here.
        for one in rows.chunks(insert.columns) {
            self.exec(insert.one(), one).await?;
        }
        Ok(())
    }

    /// Inserts rows of `columns` values each; `head` is the statement up to `VALUES`.
    pub(crate) async fn insert_many(&mut self, head: &str, columns: usize, rows: &[Param<'_>]) -> Result<()> {
        let row = || row_of(columns);
        if let (Self::Sqlite(_), false) = (&self, rows.is_empty()) {
            let text = format!("{head} VALUES {}", row());
            for one in rows.chunks(columns) {
                self.exec(&text, one).await?;
            }
            return Ok(());
        }
        let mut rest = rows;
        while rest.len() >= columns {
            // Few lengths, so that few statements are prepared.
            let count = [BATCH, 32, 4].into_iter().find(|n| n * columns <= rest.len()).unwrap_or(1);
            let (now, later) = rest.split_at(count * columns);
            let text = format!("{head} VALUES {}", vec![row(); count].join(", "));
            self.exec(&text, now).await?;
            rest = later;
        }
        Ok(())
    }

    /// Runs a query for each of these ids; `head`, with its own parameters, ends with the column that is one of them,
    /// `tail` goes on behind them.
    pub(crate) async fn rows_in<T>(
        &mut self,
        head: &str,
        given: &[Param<'_>],
        ids: &[Uuid],
        tail: &str,
        mut read: impl FnMut(&mut Row<'_>) -> Result<T> + Send,
    ) -> Result<Vec<T>> {
        let mut made = Vec::new();
        if !self.is_shared() && !ids.is_empty() {
            let sql = format!("{head} = ?{tail}");
            let mut params = [given, &[Param::Null]].concat();
            for id in ids {
                params[given.len()] = Param::Uuid(*id);
                made.extend(self.rows(&sql, &params, &mut read).await?);
            }
            return Ok(made);
        }
        for some in ids.chunks(BATCH) {
            let (list, params) = list(given, some);
            made.extend(self.rows(&format!("{head} IN ({list}){tail}"), &params, &mut read).await?);
        }
        Ok(made)
    }

    /// Runs a statement for each of these ids, as [`Self::rows_in`]; gives the number of rows it changed.
    pub(crate) async fn exec_in(&mut self, head: &str, given: &[Param<'_>], ids: &[Uuid]) -> Result<u64> {
        let mut changed = 0;
        if !self.is_shared() && !ids.is_empty() {
            let sql = format!("{head} = ?");
            let mut params = [given, &[Param::Null]].concat();
            for id in ids {
                params[given.len()] = Param::Uuid(*id);
                changed += self.exec(&sql, &params).await?;
            }
            return Ok(changed);
        }
        for some in ids.chunks(BATCH) {
            let (list, params) = list(given, some);
            changed += self.exec(&format!("{head} IN ({list})"), &params).await?;
        }
        Ok(changed)
    }

    /// Locks the rows of this query until the transaction ends; gives how many there are. SQLite has one writer, which
    /// needs no locks: there the query is not even run.
    pub(crate) async fn lock(&mut self, sql: &str, params: &[Param<'_>]) -> Result<u64> {
        let locking = || format!("{sql} FOR UPDATE");
        match self {
            Self::Sqlite(_) => Ok(0),
            Self::Postgres(session) => Ok(session.query(&locking(), params).await?.len() as u64),
            Self::Mysql(session) => Ok(session.query(&locking(), params).await?.len() as u64),
        }
    }

    /// What a query ends with whose rows are to stay as they are until the transaction ends.
    pub(crate) fn locking(&self) -> &'static str {
        if self.is_shared() { " FOR UPDATE" } else { "" }
    }

    /// Whether other transactions may write at the same time.
    pub(crate) fn is_shared(&self) -> bool {
        !matches!(self, Self::Sqlite(_))
    }
}
