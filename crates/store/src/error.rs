//! What can go wrong in the store.

/// Why a call of the store failed; nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A row with the same key exists.
    #[error("exists already")]
    Duplicate,
    /// Passing: the database is busy, full or away.
    #[error("the database is not available: {0}")]
    Unavailable(String),
    /// Another transaction was first; nothing was changed, and the same again may work.
    #[error("another transaction was first: {0}")]
    Conflict(String),
    /// The connection had died before anything was done.
    #[error("the connection to the database was lost: {0}")]
    Gone(String),
    /// What the operator set cannot be used.
    #[error("{0}")]
    Settings(String),
    /// The target of a transfer holds data already.
    #[error("the target is not empty: its table {0} has rows")]
    NotEmpty(String),
    /// The target of a transfer holds a part of another one.
    #[error("the target holds an {0}")]
    OtherOrigin(String),
    /// After a transfer a table is not what the source has.
    #[error("the table {0} differs from the source: something still writes to one of the two databases")]
    Differs(String),
    /// A transfer into this database is not finished.
    #[error("a transfer into this database is not finished: run `taskloom migrate-data` again")]
    Moving,
    /// Another program changes the schema right now.
    #[error("another program is migrating this database right now")]
    Migrating,
    /// The database's schema is newer than this program.
    #[error("the database has schema version {found}, this program knows up to {known}: use a newer program")]
    NewerSchema {
        /// The version in the database.
        found: u32,
        /// The newest version this program knows.
        known: u32,
    },
    /// The database's schema is older than this program; `taskloom migrate up` brings it up to date.
    #[error("the database has schema version {found}, this program needs {known}: run `taskloom migrate up`")]
    OlderSchema {
        /// The version in the database.
        found: u32,
        /// The version this program needs.
        known: u32,
    },
    /// A row holds what no program of ours writes.
    #[error("unreadable data in column {0}")]
    Corrupt(String),
    /// A defect: the database refused a statement.
    #[error("the database refused a statement: {0}")]
    Sql(String),
}

impl StoreError {
    /// Of a key that was free a moment ago: another transaction has just taken it.
    pub(crate) fn raced(self) -> Self {
        if let Self::Duplicate = self { Self::Conflict("a key was just taken".into()) } else { self }
    }
}

/// The store's results.
pub type Result<T, E = StoreError> = std::result::Result<T, E>;

/// Two rows with one key, and no other broken constraint.
fn is_duplicate(error: &rusqlite::Error) -> bool {
    use rusqlite::ffi::{SQLITE_CONSTRAINT_PRIMARYKEY, SQLITE_CONSTRAINT_UNIQUE};
    let code = error.sqlite_error().map(|e| e.extended_code);
    matches!(code, Some(SQLITE_CONSTRAINT_PRIMARYKEY | SQLITE_CONSTRAINT_UNIQUE))
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode::{
            CannotOpen, ConstraintViolation, DatabaseBusy, DatabaseLocked, DiskFull, ReadOnly,
            SystemIoFailure,
        };
        match error.sqlite_error_code() {
            Some(ConstraintViolation) if is_duplicate(&error) => Self::Duplicate,
            Some(DatabaseBusy | DatabaseLocked | DiskFull | SystemIoFailure | CannotOpen | ReadOnly) => {
                Self::Unavailable(error.to_string())
            }
            _ => Self::Sql(error.to_string()),
        }
    }
}

impl From<tokio_postgres::Error> for StoreError {
    fn from(error: tokio_postgres::Error) -> Self {
        use tokio_postgres::error::SqlState;
        let Some(refused) = error.as_db_error() else {
            let cause =
                std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string);
            // Without the server's word it is the connection.
            return if error.is_closed() { Self::Gone(cause) } else { driver(cause) };
        };
        let text = format!("{} ({})", refused.message(), refused.code().code());
        match refused.code() {
            code if *code == SqlState::UNIQUE_VIOLATION => Self::Duplicate,
            code if *code == SqlState::T_R_SERIALIZATION_FAILURE
                || *code == SqlState::T_R_DEADLOCK_DETECTED =>
            {
                Self::Conflict(text)
            }
            // Connections, shutdown, resources, read-only servers, disks; a wrong password or a missing database.
            code if ["08", "57", "53", "25006", "55P03", "58", "28", "3D"]
                .iter()
                .any(|class| code.code().starts_with(class)) =>
            {
                Self::Unavailable(text)
            }
            _ => Self::Sql(text),
        }
    }
}

/// A driver that cannot encode a value has a defect; all else is the connection.
fn driver(cause: String) -> StoreError {
    if cause.contains("where the server wants") {
        StoreError::Sql(cause)
    } else {
        StoreError::Unavailable(cause)
    }
}

impl From<mysql_async::Error> for StoreError {
    fn from(error: mysql_async::Error) -> Self {
        let mysql_async::Error::Server(refused) = &error else {
            return match error {
                mysql_async::Error::Io(_)
                | mysql_async::Error::Driver(mysql_async::DriverError::ConnectionClosed) => {
                    Self::Gone(error.to_string())
                }
                _ => Self::Unavailable(error.to_string()),
            };
        };
        let text = format!("{} ({})", refused.message, refused.code);
        match refused.code {
            1062 | 1586 => Self::Duplicate,
            // Lock wait timeout, deadlock, and MariaDB's changed row under a snapshot.
            1205 | 1213 | 1020 => Self::Conflict(text),
            // Full tables and disks, too many connections, shutdown, wrong passwords, read-only servers.
            3
            | 1021
            | 1047
            | 1114
            | 1158..=1161
            | 1180
            | 1206
            | 1461
            | 1637
            | 1969
            | 3024
            | 1040
            | 1041
            | 1044
            | 1045
            | 1049
            | 1053
            | 1152
            | 1203
            | 1226
            | 1290
            | 1317
            | 1792
            | 1836
            | 1927
            | 3100 => Self::Unavailable(text),
            _ => Self::Sql(text),
        }
    }
}
