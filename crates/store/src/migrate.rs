//! Versioned migrations, one definition for all databases.

use rusqlite::{Connection, OptionalExtension, TransactionBehavior};

use crate::error::{Result, StoreError};

/// Applied in this order; an entry never changes once released.
const MIGRATIONS: &[(u32, &str, &str)] = &[(1, "init", include_str!("../migrations/0001_init.sql"))];

/// What SQLite calls the words in braces.
const SQLITE_WORDS: &[(&str, &str)] = &[
    ("{uuid}", "BLOB"),
    ("{text}", "TEXT"),
    ("{name}", "TEXT"),
    ("{int}", "INTEGER"),
    ("{real}", "REAL"),
    ("{bytes}", "BLOB"),
    ("{serial}", "INTEGER PRIMARY KEY AUTOINCREMENT"),
    ("{clustered}", "WITHOUT ROWID"),
];

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
        Self { applied: Vec::new(), pending: MIGRATIONS.iter().map(|m| (m.0, m.1.to_owned())).collect() }
    }

    fn version(&self) -> u32 {
        self.applied.last().map_or(0, |m| m.0)
    }

    /// Whether this program and the schema fit.
    pub(crate) fn check(&self) -> Result<()> {
        let (found, known) = (self.version(), known());
        match found.cmp(&known) {
            std::cmp::Ordering::Greater => Err(StoreError::NewerSchema { found, known }),
            std::cmp::Ordering::Less => Err(StoreError::OlderSchema { found, known }),
            std::cmp::Ordering::Equal => Ok(()),
        }
    }
}

fn known() -> u32 {
    MIGRATIONS.last().map_or(0, |m| m.0)
}

pub(crate) fn status(connection: &Connection) -> Result<MigrationStatus> {
    let table = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'schema_migrations'";
    if connection.query_row(table, [], |_| Ok(())).optional()?.is_none() {
        return Ok(MigrationStatus::empty());
    }
    let mut statement = connection.prepare("SELECT version, name FROM schema_migrations ORDER BY version")?;
    let applied: Vec<(u32, String)> =
        statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<rusqlite::Result<_>>()?;
    let newest = applied.last().map_or(0, |m: &(u32, String)| m.0);
    let pending = MIGRATIONS.iter().filter(|m| m.0 > newest).map(|m| (m.0, m.1.to_owned())).collect();
    Ok(MigrationStatus { applied, pending })
}

/// Applies what is pending, all or none; a second program that tries at the same time waits, then finds it done.
pub(crate) fn up(connection: &mut Connection) -> Result<()> {
    let found = status(connection)?.version();
    if found > known() {
        return Err(StoreError::NewerSchema { found, known: known() });
    }
    if found == known() {
        return Ok(());
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let found = status(&transaction)?.version();
    transaction.execute_batch(
        "CREATE TABLE IF NOT EXISTS schema_migrations (version INTEGER NOT NULL PRIMARY KEY, name TEXT NOT NULL)",
    )?;
    for (version, name, text) in MIGRATIONS.iter().filter(|m| m.0 > found) {
        let text = SQLITE_WORDS.iter().fold((*text).to_owned(), |text, (word, sql)| text.replace(word, sql));
        transaction.execute_batch(&text)?;
        transaction
            .execute("INSERT INTO schema_migrations (version, name) VALUES (?, ?)", (version, name))?;
    }
    transaction.commit()?;
    Ok(())
}
