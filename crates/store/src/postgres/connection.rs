//! Connections and their prepared statements.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use deadpool::managed::{self, Metrics, RecycleError, RecycleResult};
use tokio::runtime::Handle;
use tokio_postgres::{Client, Config, Statement};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::error::Result;

/// Statements kept prepared per connection. Lists are put together at run time and have many texts.
const STATEMENTS: usize = 500;
/// A server that does not answer the connection's first words within this is away.
pub(crate) const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// A connection.
pub(crate) struct Connection {
    pub(crate) client: Client,
    statements: Mutex<HashMap<Box<str>, Statement>>,
}

impl Connection {
    /// The statement, prepared before or now. `sql` has question marks for parameters, as everywhere in this crate.
    pub(crate) async fn statement(&self, sql: &str) -> Result<Statement> {
        let known = self.statements.lock().unwrap_or_else(PoisonError::into_inner).get(sql).cloned();
        if let Some(statement) = known {
            return Ok(statement);
        }
        let statement = self.client.prepare(&numbered(sql)).await?;
        let mut statements = self.statements.lock().unwrap_or_else(PoisonError::into_inner);
        if statements.len() >= STATEMENTS {
            statements.clear();
        }
        statements.insert(sql.into(), statement.clone());
        Ok(statement)
    }
}

/// `?, ?` as `$1, $2`. No statement of ours has a question mark in a literal.
pub(super) fn numbered(sql: &str) -> String {
    let mut text = String::with_capacity(sql.len() + 32);
    for (number, part) in sql.split('?').enumerate() {
        if number > 0 {
            text.push('$');
            text.push_str(&number.to_string());
        }
        text.push_str(part);
    }
    text
}

/// Makes connections for a pool.
#[derive(Clone)]
pub(crate) struct Manager {
    pub(crate) config: Config,
    pub(crate) tls: MakeRustlsConnect,
    /// Whether its statements all find their rows by key.
    pub(crate) by_key: bool,
    /// Where connections live: callers may be on threads that handlers block.
    pub(crate) runtime: Handle,
}

/// Transactions walk keys. A planner that trusts stale statistics (a queue was empty when it was last analysed) sorts or
/// hashes whole tables instead: measured 65 ms for a claim of 500 from 100,000 and 390 ms beside 500,000, instead of 5.
/// Plans are made once.
const BY_KEY: &str = "
SET statement_timeout = '30s'; SET lock_timeout = '10s';
SELECT set_config(name, CASE name WHEN 'plan_cache_mode' THEN 'force_generic_plan' ELSE 'off' END, false) FROM pg_settings
WHERE name IN ('enable_seqscan', 'enable_bitmapscan', 'enable_hashjoin', 'enable_mergejoin', 'enable_memoize',
               'plan_cache_mode', 'jit')";

/// No read may hold others up for ever.
const LIMITS: &str = "SET statement_timeout = '60s'; SET lock_timeout = '10s'";

impl Manager {
    /// Connects, and lets the connection run in the background.
    pub(crate) async fn connect(&self) -> Result<Connection> {
        let connected = tokio::time::timeout(CONNECT_LIMIT, self.config.connect(self.tls.clone()));
        let (client, connection) = connected.await.map_err(|_| crate::network::silent())??;
        self.runtime.spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection to PostgreSQL ended");
            }
        });
        client.batch_execute(if self.by_key { BY_KEY } else { LIMITS }).await?;
        Ok(Connection { client, statements: Mutex::default() })
    }
}

impl managed::Manager for Manager {
    type Type = Connection;
    type Error = crate::StoreError;

    async fn create(&self) -> Result<Connection> {
        self.connect().await
    }

    async fn recycle(&self, connection: &mut Connection, _: &Metrics) -> RecycleResult<Self::Error> {
        if connection.client.is_closed() { Err(RecycleError::message("closed")) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::numbered;

    #[test]
    fn question_marks_become_numbers() {
        assert_eq!(numbered("a = ? AND b IN (?, ?)"), "a = $1 AND b IN ($2, $3)");
        assert_eq!(numbered("SELECT 1"), "SELECT 1");
    }
}
