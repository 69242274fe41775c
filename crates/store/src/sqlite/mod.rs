//! SQLite: one writer thread that commits in groups, and a pool of readers.

mod reader;
mod writer;

use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::functions::FunctionFlags;
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, ErrorCode, OpenFlags};

pub(crate) use reader::Readers;
pub(crate) use writer::Writer;

use crate::Synchronous;
use crate::error::Result;
use crate::network::jittered;
use crate::row::Cell;
use crate::sql::Param;

/// How long a connection waits for a lock.
const BUSY: Duration = Duration::from_secs(5);
/// Statements kept prepared per connection.
const CACHED_STATEMENTS: usize = 256;

/// Opens the file for writing, creating it if missing.
pub(crate) fn open_writer(path: &Path, synchronous: Synchronous) -> Result<Connection> {
    create_private(path);
    let connection = Connection::open(path)?;
    prepare(&connection)?;
    log_ahead(&connection)?;
    connection.pragma_update(None, "synchronous", synchronous.name())?;
    // A checkpoint writes each page once however often the log has it: rare checkpoints are cheap ones.
    connection.pragma_update(None, "wal_autocheckpoint", 8_000)?;
    connection.pragma_update(None, "journal_size_limit", 64 << 20)?;
    connection.pragma_update(None, "cache_size", -16_000)?;
    Ok(connection)
}

/// Has the file written through a log. Programs that open a new file at once all hold it for reading and want it for
/// themselves: SQLite takes that for a deadlock and waits for nobody, whatever the time-out. So the wait is here.
fn log_ahead(connection: &Connection) -> Result<()> {
    let end = Instant::now() + BUSY;
    loop {
        match connection.pragma_update(None, "journal_mode", "WAL") {
            Err(error)
                if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) && Instant::now() < end =>
            {
                std::thread::sleep(jittered(Duration::from_millis(10)));
            }
            done => return Ok(done?),
        }
    }
}

/// A new file is its owner's alone, since it holds hashes of passwords; SQLite makes its log and index like it.
fn create_private(path: &Path) {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    // One that exists stays as it is; why one cannot be made SQLite says better.
    let _ = options.open(path);
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
    // SQLite's own `lower` knows the letters of English.
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
    connection.create_scalar_function("small", 1, flags, |context| {
        Ok(context.get_raw(0).as_str_or_null()?.map(small))
    })?;
    Ok(())
}

/// A text in small letters. Letter by letter, as databases do: a sigma at the end of a word is one like others.
pub(crate) fn small(text: &str) -> String {
    text.chars().flat_map(char::to_lowercase).collect()
}

impl rusqlite::ToSql for Param<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Int(value) => ValueRef::Integer(*value),
            Self::Real(value) => ValueRef::Real(*value),
            Self::Text(value) => ValueRef::Text(value.as_bytes()),
            Self::Bytes(value) => ValueRef::Blob(value),
            Self::Uuid(value) => ValueRef::Blob(value.as_bytes()),
        }))
    }
}

/// A column of a row.
pub(crate) fn cell(value: ValueRef<'_>) -> Cell<'_> {
    match value {
        ValueRef::Null => Cell::Null,
        ValueRef::Integer(value) => Cell::Int(value),
        ValueRef::Real(value) => Cell::Real(value),
        // A text that is no UTF-8 is read as bytes, and refused as a text.
        ValueRef::Text(text) => std::str::from_utf8(text).map_or(Cell::Bytes(text), Cell::Text),
        ValueRef::Blob(bytes) => Cell::Bytes(bytes),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use super::*;

    #[test]
    fn programs_that_open_a_new_file_at_once_all_get_it() {
        let folder = tempfile::tempdir().unwrap();
        // One round in six went wrong without the wait.
        for round in 0..60 {
            let path = folder.path().join(round.to_string());
            let start = Barrier::new(4);
            std::thread::scope(|scope| {
                for _ in 0..4 {
                    scope.spawn(|| {
                        start.wait();
                        open_writer(&path, Synchronous::Normal).unwrap();
                    });
                }
            });
        }
    }
}
