//! Statements on a connection, inside a transaction or each for itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use deadpool::managed::Object;
use futures_util::future::join;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Row, Statement};

use super::connection::{Connection, Manager};
use crate::error::Result;
use crate::sql::Param;

/// Parameters of any kind, arrays included.
pub(crate) type AnyParams<'a> = [&'a (dyn ToSql + Sync)];

/// A connection for a while.
pub(crate) struct Session {
    held: Held,
    stage: Stage,
    /// A statement is under way.
    busy: AtomicBool,
}

enum Held {
    /// Mine alone; empty only while it is dropped.
    Mine(Option<Box<Object<Manager>>>),
    /// Shared with others, whose statements travel between mine: for reads, each of which is complete in itself.
    Shared(Arc<Connection>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Each statement is a transaction.
    Single,
    /// A transaction begins with the next statement.
    Begin,
    /// A transaction is open.
    Open,
}

impl Session {
    /// For reads, beside others.
    pub(crate) fn shared(connection: Arc<Connection>) -> Self {
        Self { held: Held::Shared(connection), stage: Stage::Single, busy: AtomicBool::new(false) }
    }

    /// For a transaction, which begins with the first statement, or for statements that are one each.
    pub(crate) fn new(connection: Object<Manager>, transaction: bool) -> Self {
        let stage = if transaction { Stage::Begin } else { Stage::Single };
        Self { held: Held::Mine(Some(Box::new(connection))), stage, busy: AtomicBool::new(false) }
    }

    fn connection(&self) -> Result<&Connection> {
        match &self.held {
            Held::Mine(Some(connection)) => Ok(connection),
            Held::Mine(None) => Err(crate::network::silent()),
            Held::Shared(connection) => Ok(connection),
        }
    }

    /// Runs a statement; gives the number of rows it changed.
    pub(crate) async fn exec(&mut self, sql: &str, params: &[Param<'_>]) -> Result<u64> {
        self.exec_any(sql, &any(params)).await
    }

    /// The same with arrays among the parameters.
    pub(crate) async fn exec_any(&mut self, sql: &str, params: &AnyParams<'_>) -> Result<u64> {
        let statement = self.connection()?.statement(sql).await?;
        self.in_transaction(async |connection| connection.client.execute(&statement, params).await).await
    }

    /// Runs a query.
    pub(crate) async fn query(&mut self, sql: &str, params: &[Param<'_>]) -> Result<Vec<Row>> {
        self.query_any(sql, &any(params)).await
    }

    /// The same with arrays among the parameters.
    pub(crate) async fn query_any(&mut self, sql: &str, params: &AnyParams<'_>) -> Result<Vec<Row>> {
        let statement: Statement = self.connection()?.statement(sql).await?;
        self.in_transaction(async |connection| connection.client.query(&statement, params).await).await
    }

    /// Runs the call; the transaction's begin travels with its first statement, without a round trip of its own.
    async fn in_transaction<'s, T, F>(&'s mut self, call: impl FnOnce(&'s Connection) -> F) -> Result<T>
    where
        F: Future<Output = std::result::Result<T, tokio_postgres::Error>> + Send,
    {
        let begins = self.stage == Stage::Begin;
        if begins {
            self.stage = Stage::Open;
        }
        let this: &'s Self = self;
        this.busy.store(true, Ordering::Relaxed);
        let done = Self::carry(this.connection()?, begins, call).await;
        this.busy.store(false, Ordering::Relaxed);
        done
    }

    async fn carry<'s, T, F>(
        connection: &'s Connection,
        begins: bool,
        call: impl FnOnce(&'s Connection) -> F,
    ) -> Result<T>
    where
        F: Future<Output = std::result::Result<T, tokio_postgres::Error>> + Send,
    {
        if begins {
            let (begun, called) = join(connection.client.batch_execute("BEGIN"), call(connection)).await;
            begun?;
            return Ok(called?);
        }
        Ok(call(connection).await?)
    }

    /// Runs statements as they are, without parameters.
    pub(crate) async fn run(&self, sql: &str) -> Result<()> {
        Ok(self.connection()?.client.batch_execute(sql).await?)
    }

    /// Makes durable what was written.
    pub(crate) async fn commit(mut self) -> Result<()> {
        if self.stage == Stage::Open {
            self.connection()?.client.batch_execute("COMMIT").await?;
            self.stage = Stage::Single;
        }
        Ok(())
    }

    /// Undoes what was written.
    pub(crate) async fn rollback(mut self) -> Result<()> {
        if self.stage == Stage::Open {
            self.connection()?.client.batch_execute("ROLLBACK").await?;
            self.stage = Stage::Single;
        }
        Ok(())
    }
}

impl Drop for Session {
    /// A connection with an open transaction, or a statement that nobody waits for any more, must not go back to the pool.
    fn drop(&mut self) {
        if let (Held::Mine(held), true) = (&mut self.held, *self.busy.get_mut() || self.stage == Stage::Open)
            && let Some(connection) = held.take()
        {
            drop(Object::take(*connection));
        }
    }
}

fn any<'a>(params: &'a [Param<'_>]) -> Vec<&'a (dyn ToSql + Sync)> {
    params.iter().map(|param| param as &(dyn ToSql + Sync)).collect()
}
