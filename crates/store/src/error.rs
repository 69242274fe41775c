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
