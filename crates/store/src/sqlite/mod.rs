//! SQLite: one writer thread that commits in groups, and a pool of readers.

mod reader;
mod writer;

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

pub(crate) use reader::Readers;
pub(crate) use writer::Writer;

use crate::Synchronous;
use crate::error::Result;

/// How long a connection waits for a lock.
const BUSY: Duration = Duration::from_secs(5);
/// Statements kept prepared per connection.
const CACHED_STATEMENTS: usize = 256;

/// Opens the file for writing, creating it if missing.
pub(crate) fn open_writer(path: &Path, synchronous: Synchronous) -> Result<Connection> {
    let connection = Connection::open(path)?;
    prepare(&connection)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", synchronous.name())?;
    // A checkpoint writes each page once however often the log has it: rare checkpoints are cheap ones.
    connection.pragma_update(None, "wal_autocheckpoint", 8_000)?;
    connection.pragma_update(None, "journal_size_limit", 64 << 20)?;
    connection.pragma_update(None, "cache_size", -16_000)?;
    Ok(connection)
}

/// Opens the file for reading.
fn open_reader(path: &Path) -> Result<Connection> {
    let flags =
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
    let connection = Connection::open_with_flags(path, flags)?;
    prepare(&connection)?;
    connection.pragma_update(None, "query_only", true)?;
    Ok(connection)
}

fn prepare(connection: &Connection) -> Result<()> {
    connection.busy_timeout(BUSY)?;
    connection.set_prepared_statement_cache_capacity(CACHED_STATEMENTS);
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    Ok(())
}
