//! A transaction on whichever database the store runs on.
//!
//! Bodies of transactions are written once, as async code. On SQLite every statement completes at once, so the writer
//! thread runs a whole body without a hop and commits many bodies together.

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use rusqlite::Connection;

use crate::error::{Result, StoreError};
use crate::sql::{Param, Row, Sql, first};

/// An open transaction.
pub(crate) enum Tx {
    Sqlite(Connection),
}

/// The body of a transaction.
pub(crate) trait Body<T>:
    for<'t> FnOnce(&'t mut Tx) -> BoxFuture<'t, Result<T>> + Send + 'static
{
}

impl<T, F> Body<T> for F where F: for<'t> FnOnce(&'t mut Tx) -> BoxFuture<'t, Result<T>> + Send + 'static {}

/// Runs a body that never waits, as bodies on SQLite do.
pub(crate) fn run_now<T>(body: BoxFuture<'_, Result<T>>) -> Result<T> {
    body.now_or_never()
        .unwrap_or_else(|| Err(StoreError::Sql("a transaction waited for something else".into())))
}

// The methods are async for the databases across a network; SQLite has nothing to wait for.
#[allow(clippy::unused_async)]
impl Tx {
    /// Runs a statement; gives the number of rows it changed.
    pub(crate) async fn exec(&mut self, sql: &str, params: &[Param<'_>]) -> Result<u64> {
        match self {
            Self::Sqlite(connection) => {
                let mut statement = connection.prepare_cached(sql)?;
                Ok(statement.execute(rusqlite::params_from_iter(params))? as u64)
            }
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
        match self {
            Self::Sqlite(connection) => {
                let mut statement = connection.prepare_cached(sql)?;
                let mut rows = statement.query(rusqlite::params_from_iter(params))?;
                let mut made = Vec::new();
                while let Some(row) = rows.next()? {
                    let (one, more) = read(&mut Row::sqlite(row))?;
                    made.push(one);
                    if !more {
                        break;
                    }
                }
                Ok(made)
            }
        }
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
}
