//! Versioned migrations, one definition for all databases.

mod lock;

use rusqlite::{Connection, OptionalExtension, TransactionBehavior};

use crate::error::{Result, StoreError};
use crate::network::{Lane, Network};
use crate::sql::params;
use crate::tx::Tx;
use crate::{mysql, postgres};

pub(crate) use lock::Busy;
#[cfg(test)]
pub(crate) use lock::take as take_lock;

/// Applied in this order; an entry never changes once released.
const MIGRATIONS: &[(u32, &str, &str)] = &[(1, "init", include_str!("../migrations/0001_init.sql"))];

/// The version of a database that is the target of an unfinished transfer.
pub(crate) const MOVING: u32 = 1_000_000_000;

/// The text of each migration.
pub(crate) fn definitions() -> impl Iterator<Item = &'static str> {
    MIGRATIONS.iter().map(|migration| migration.2)
}

/// What SQLite calls the words in braces.
const SQLITE_WORDS: &[(&str, &str)] = &[
    ("{uuid}", "BLOB"),
    ("{text}", "TEXT"),
    ("{name}", "TEXT"),
    ("{int}", "INTEGER"),
    ("{small}", "INTEGER"),
    ("{real}", "REAL"),
    ("{bytes}", "BLOB"),
    ("{serial}", "INTEGER PRIMARY KEY AUTOINCREMENT"),
    ("{clustered}", "WITHOUT ROWID"),
    ("{unsuccessful}", "WHERE state <> 'succeeded'"),
];

const TABLE: &str =
    "CREATE TABLE IF NOT EXISTS schema_migrations (version {int} NOT NULL PRIMARY KEY, name {name} NOT NULL)";

/// Which migrations are applied and which are not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MigrationStatus {
    /// Version and name of each applied migration.
    pub applied: Vec<(u32, String)>,
    /// Version and name of each that is missing.
    pub pending: Vec<(u32, String)>,
}

impl MigrationStatus {
    pub(crate) fn empty() -> Self {
        Self::of(Vec::new())
    }

    fn of(applied: Vec<(u32, String)>) -> Self {
        let newest = applied.last().map_or(0, |m| m.0);
        let pending = MIGRATIONS.iter().filter(|m| m.0 > newest).map(|m| (m.0, m.1.to_owned())).collect();
        Self { applied, pending }
    }

    fn version(&self) -> u32 {
        self.applied.last().map_or(0, |m| m.0)
    }

    /// Whether this program and the schema fit.
    pub(crate) fn check(&self) -> Result<()> {
        let (found, known) = (self.version(), known());
        if found == MOVING {
            return Err(StoreError::Moving);
        }
        match found.cmp(&known) {
            std::cmp::Ordering::Greater => Err(StoreError::NewerSchema { found, known }),
            std::cmp::Ordering::Less => Err(StoreError::OlderSchema { found, known }),
            std::cmp::Ordering::Equal => Ok(()),
        }
    }

    /// Whether something is to be applied.
    fn is_behind(&self) -> Result<bool> {
        match self.check() {
            Err(StoreError::OlderSchema { .. }) => Ok(true),
            other => other.map(|()| false),
        }
    }
}

fn known() -> u32 {
    MIGRATIONS.last().map_or(0, |m| m.0)
}

fn spelt(text: &str, words: &[(&str, &str)]) -> String {
    words.iter().fold(text.to_owned(), |text, (word, sql)| text.replace(word, sql))
}

/// What a SQLite file has.
pub(crate) fn status(connection: &Connection) -> Result<MigrationStatus> {
    let table = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'schema_migrations'";
    if connection.query_row(table, [], |_| Ok(())).optional()?.is_none() {
        return Ok(MigrationStatus::empty());
    }
    let mut statement = connection.prepare("SELECT version, name FROM schema_migrations ORDER BY version")?;
    let applied =
        statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<rusqlite::Result<_>>()?;
    Ok(MigrationStatus::of(applied))
}

/// Applies what is pending, all or none; a second program that tries at the same time waits, then finds it done.
pub(crate) fn up(connection: &mut Connection) -> Result<()> {
    if !status(connection)?.is_behind()? {
        return Ok(());
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let found = status(&transaction)?.version();
    transaction.execute_batch(&spelt(TABLE, SQLITE_WORDS))?;
    for (version, name, text) in MIGRATIONS.iter().filter(|m| m.0 > found) {
        transaction.execute_batch(&spelt(text, SQLITE_WORDS))?;
        transaction
            .execute("INSERT INTO schema_migrations (version, name) VALUES (?, ?)", (version, name))?;
    }
    transaction.commit()?;
    Ok(())
}

/// What a database across a network has.
pub(crate) async fn status_across(network: &Network) -> Result<MigrationStatus> {
    let mut tx = network.pools.take(Lane::Read).await?;
    applied(&mut tx).await.map(MigrationStatus::of)
}

async fn applied(tx: &mut Tx) -> Result<Vec<(u32, String)>> {
    let sql = match tx {
        Tx::Mysql(_) => {
            "SELECT count(*) FROM information_schema.tables WHERE table_schema = database() AND table_name = ?"
        }
        _ => {
            "SELECT count(*) FROM pg_tables WHERE schemaname = ANY (current_schemas(false)) AND tablename = ?"
        }
    };
    if tx.number(sql, params!["schema_migrations"]).await? == 0 {
        return Ok(Vec::new());
    }
    let sql = "SELECT version, name FROM schema_migrations ORDER BY version";
    tx.rows(sql, &[], |row| Ok((row.next()?, row.next()?))).await
}

/// The same across a network, under a lock that one program has at a time.
pub(crate) async fn up_across(network: &Network, busy: Busy) -> Result<()> {
    if !status_across(network).await?.is_behind()? {
        return Ok(());
    }
    let mut tx = network.pools.take(Lane::Write).await?;
    lock::take(&mut tx, busy).await?;
    let result = apply(&mut tx).await;
    // The lock belongs to the connection: closing it lets go, whatever happened.
    match (result, tx) {
        (Ok(()), Tx::Postgres(session)) => session.commit().await,
        (Ok(()), Tx::Mysql(mut session)) => {
            session.run("COMMIT").await?;
            session.run(&format!("DO RELEASE_LOCK({})", lock::MYSQL_NAME)).await?;
            session.commit().await
        }
        (result, _) => result,
    }
}

async fn apply(tx: &mut Tx) -> Result<()> {
    let words = if matches!(tx, Tx::Mysql(_)) { mysql::WORDS } else { postgres::WORDS };
    statement(tx, &spelt(TABLE, words)).await?;
    let found = applied(tx).await?.last().map_or(0, |m| m.0);
    for (version, name, text) in MIGRATIONS.iter().filter(|m| m.0 > found) {
        for part in statements(&spelt(text, words)) {
            statement(tx, part).await?;
        }
        tx.exec("INSERT INTO schema_migrations (version, name) VALUES (?, ?)", params![*version, *name])
            .await?;
        tracing::info!(version, name, "applied a migration");
    }
    Ok(())
}

/// The statements of a migration; none has a semicolon inside.
fn statements(text: &str) -> Vec<&str> {
    let is_sql = |part: &&str| part.lines().any(|line| !line.trim().is_empty() && !line.starts_with("--"));
    text.split(";\n").map(str::trim).filter(is_sql).collect()
}

async fn statement(tx: &mut Tx, sql: &str) -> Result<()> {
    match tx {
        // MySQL's changes of the schema are no transactions: what a killed program has begun is found, and gone on with.
        Tx::Mysql(session) => match session.run(sql).await {
            Err(StoreError::Duplicate) => Ok(()),
            Err(StoreError::Sql(why)) if why.ends_with("(1050)") || why.ends_with("(1061)") => Ok(()),
            other => other,
        },
        _ => tx.exec(sql, &[]).await.map(drop),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_spelt_everywhere() {
        for words in [SQLITE_WORDS, postgres::WORDS, mysql::WORDS] {
            for (_, name, text) in MIGRATIONS {
                let statements = statements(text).into_iter().map(|part| spelt(part, words));
                for statement in statements {
                    let sql: Vec<_> =
                        statement.lines().filter(|line| !line.trim().starts_with("--")).collect();
                    assert!(!sql.join("\n").contains(['{', '}']), "{name}: {statement}");
                }
            }
        }
    }
}
