//! Connections and the statements on them.

use std::sync::Arc;
use std::time::Duration;

use deadpool::managed::{self, Metrics, Object, RecycleError, RecycleResult};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Opts, OptsBuilder, Params, Row, Value};

use crate::error::Result;
use crate::sql::Param;

/// Statements kept prepared per connection; the server keeps 16,382 for everybody by default.
const STATEMENTS: usize = 100;
/// A server that does not answer the connection's first words within this is away.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// Makes connections for a pool.
#[derive(Clone)]
pub(crate) struct Manager {
    options: Arc<Opts>,
}

impl Manager {
    /// With `transactions`, statements wait for a commit; without, each is complete in itself.
    pub(crate) fn new(options: OptsBuilder, transactions: bool) -> Self {
        let autocommit = if transactions { "SET autocommit = 0" } else { "SET autocommit = 1" };
        let options = options
            .stmt_cache_size(STATEMENTS)
            // A row that is found counts, changed or not: guards ask whether it was there.
            .client_found_rows(true)
            .prefer_socket(false)
            .tcp_nodelay(true)
            .tcp_keepalive(Some(Duration::from_secs(10)))
            .init(vec![
                autocommit,
                "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
                // What does not fit is an error, never cut.
                "SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION'",
                "SET SESSION innodb_lock_wait_timeout = 10",
                // Its clock is asked for; an hour of autumn is there twice elsewhere.
                "SET SESSION time_zone = '+00:00'",
            ]);
        Self { options: Arc::new(options.into()) }
    }
}

/// A connection, and what it leads to.
pub(crate) struct Link {
    connection: Conn,
    is_mariadb: bool,
}

impl managed::Manager for Manager {
    type Type = Link;
    type Error = crate::StoreError;

    async fn create(&self) -> Result<Link> {
        let connect = async {
            let mut connection = Conn::new((*self.options).clone()).await?;
            let version: Option<String> = connection.query_first("SELECT version()").await?;
            let is_mariadb = version.is_some_and(|version| version.contains("MariaDB"));
            Ok::<_, mysql_async::Error>(Link { connection, is_mariadb })
        };
        let connected = tokio::time::timeout(CONNECT_LIMIT, connect).await;
        Ok(connected.map_err(|_| crate::network::silent())??)
    }

    async fn recycle(&self, link: &mut Link, _: &Metrics) -> RecycleResult<Self::Error> {
        if link.connection.is_disconnected() { Err(RecycleError::message("closed")) } else { Ok(()) }
    }
}

/// A connection for a while.
pub(crate) struct Session {
    /// Empty only while it is dropped.
    held: Option<Object<Manager>>,
    /// A statement is under way, or a transaction is open.
    busy: bool,
    transactions: bool,
}

impl Session {
    pub(crate) fn new(connection: Object<Manager>, transactions: bool) -> Self {
        Self { held: Some(connection), busy: false, transactions }
    }

    fn connection(&mut self) -> Result<&mut Conn> {
        self.held.as_deref_mut().map(|link| &mut link.connection).ok_or_else(crate::network::silent)
    }

    /// Whether the server is MariaDB, which has words that MySQL has not.
    pub(crate) fn is_mariadb(&self) -> bool {
        self.held.as_deref().is_some_and(|link| link.is_mariadb)
    }

    /// Runs a statement; gives the number of rows it found to change.
    pub(crate) async fn exec(&mut self, sql: &str, params: &[Param<'_>]) -> Result<u64> {
        self.busy = true;
        let transactions = self.transactions;
        let connection = self.connection()?;
        connection.exec_drop(sql, positional(params)).await?;
        let changed = connection.affected_rows();
        self.busy = transactions;
        Ok(changed)
    }

    /// Runs a query.
    pub(crate) async fn query(&mut self, sql: &str, params: &[Param<'_>]) -> Result<Vec<Row>> {
        self.busy = true;
        let transactions = self.transactions;
        let rows = self.connection()?.exec(sql, positional(params)).await?;
        self.busy = transactions;
        Ok(rows)
    }

    /// Runs a statement as it is, which cannot be prepared.
    pub(crate) async fn run(&mut self, sql: &str) -> Result<()> {
        self.busy = true;
        self.connection()?.query_drop(sql).await?;
        self.busy = self.transactions;
        Ok(())
    }

    /// Makes durable what was written.
    pub(crate) async fn commit(self) -> Result<()> {
        self.end("COMMIT").await
    }

    /// Undoes what was written.
    pub(crate) async fn rollback(self) -> Result<()> {
        self.end("ROLLBACK").await
    }

    async fn end(mut self, how: &str) -> Result<()> {
        if self.transactions && self.busy {
            self.connection()?.query_drop(how).await?;
        }
        self.busy = false;
        Ok(())
    }
}

impl Drop for Session {
    /// A connection in the middle of something must not go back to the pool.
    fn drop(&mut self) {
        if self.busy
            && let Some(connection) = self.held.take()
        {
            drop(Object::take(connection));
        }
    }
}

fn positional(params: &[Param<'_>]) -> Params {
    if params.is_empty() {
        return Params::Empty;
    }
    Params::Positional(params.iter().map(value).collect())
}

fn value(param: &Param<'_>) -> Value {
    match param {
        Param::Null => Value::NULL,
        Param::Int(value) => Value::Int(*value),
        Param::Real(value) => Value::Double(*value),
        Param::Text(text) => Value::Bytes(text.as_bytes().to_vec()),
        Param::Bytes(bytes) => Value::Bytes(bytes.to_vec()),
        Param::Uuid(id) => Value::Bytes(id.as_bytes().to_vec()),
    }
}
