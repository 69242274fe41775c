//! Databases for a while: benchmarks and tests make their own beside the one they are pointed at.

use super::url::{DatabaseUrl, Server};
use super::{Lane, Pools};
use crate::error::{Result, StoreError};
use crate::tx::Tx;

impl DatabaseUrl {
    /// The same server, another database.
    ///
    /// # Errors
    /// The name is not made of lower-case letters, digits and underscores.
    pub fn with_database(&self, name: &str) -> Result<Self> {
        check(name)?;
        let mut other = self.clone();
        match &mut other.server {
            Server::Postgres(config) => {
                config.dbname(name);
            }
            Server::Mysql(options) => **options = (**options).clone().db_name(Some(name)),
        }
        other.show_database(name);
        Ok(other)
    }

    /// Creates an empty database on this server.
    pub async fn create_database(&self, name: &str) -> Result<()> {
        check(name)?;
        self.run(&format!("CREATE DATABASE {name}")).await
    }

    /// Removes a database of this server with all that it holds.
    pub async fn drop_database(&self, name: &str) -> Result<()> {
        check(name)?;
        let how = match self.server {
            // Connections that are just closing must not keep it.
            Server::Postgres(_) => format!("DROP DATABASE {name} WITH (FORCE)"),
            Server::Mysql(_) => format!("DROP DATABASE {name}"),
        };
        self.run(&how).await
    }

    /// Lets the server do at once what it would do by and by after much was written: tidy up and write back. On MySQL and
    /// MariaDB nobody can ask for that.
    ///
    /// # Errors
    /// The user may not do it.
    pub async fn settle(&self) -> Result<()> {
        if let Tx::Postgres(session) = Box::pin(Pools::new(self, 1)?.take(Lane::Single)).await? {
            for sql in ["SET statement_timeout = 0", "VACUUM (ANALYZE)", "CHECKPOINT"] {
                session.run(sql).await?;
            }
        }
        Ok(())
    }

    /// The server's name and version, and whether a commit survives a power cut, in the server's own settings.
    pub async fn describe(&self) -> Result<String> {
        let mut tx = Box::pin(Pools::new(self, 1)?.take(Lane::Read)).await?;
        let sql = match tx {
            Tx::Mysql(_) => {
                "SELECT concat(IF(version() LIKE '%MariaDB%', 'MariaDB ', 'MySQL '), version(), ', flush at commit ', @@innodb_flush_log_at_trx_commit,
                 ', buffer pool ', @@innodb_buffer_pool_size DIV 1048576, ' MiB')"
            }
            _ => {
                "SELECT 'PostgreSQL ' || current_setting('server_version') || ', fsync=' || current_setting('fsync')
                 || ', synchronous_commit=' || current_setting('synchronous_commit') || ', shared_buffers='
                 || current_setting('shared_buffers')"
            }
        };
        let told = tx.row(sql, &[], crate::row::first::<String>).await?;
        Ok(told.unwrap_or_default())
    }

    async fn run(&self, sql: &str) -> Result<()> {
        match Box::pin(Pools::new(self, 1)?.take(Lane::Single)).await? {
            Tx::Postgres(session) => session.run(sql).await,
            Tx::Mysql(mut session) => session.run(sql).await,
            Tx::Sqlite(_) => Ok(()),
        }
    }
}

/// A name that needs no quotes.
fn check(name: &str) -> Result<()> {
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if (1..=60).contains(&name.len()) && name.chars().all(is_plain) {
        return Ok(());
    }
    Err(StoreError::Settings("a database's name here: lower-case letters, digits, underscores".into()))
}
