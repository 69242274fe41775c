//! MySQL 8 and MariaDB 10.6 and later.

mod session;

use mysql_async::Value;

pub(crate) use session::{Manager, Session};

use crate::row::Cell;

/// What MySQL calls the words in braces of a migration.
pub(crate) const WORDS: &[(&str, &str)] = &[
    ("{uuid}", "BINARY(16)"),
    ("{text}", "LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"),
    // Bytes: a collation would pad, or fold case, and its name differs between MySQL and MariaDB.
    ("{name}", "VARBINARY(1000)"),
    ("{int}", "BIGINT"),
    ("{small}", "INT"),
    ("{real}", "DOUBLE"),
    ("{bytes}", "VARBINARY(255)"),
    ("{serial}", "BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY"),
    // InnoDB always does.
    ("{clustered}", "ENGINE = InnoDB"),
    // There are no partial indexes; the query's words fit this one too.
    ("{unsuccessful}", ""),
];

/// A column of a row.
pub(crate) fn cell(value: &Value) -> Option<Cell<'_>> {
    Some(match value {
        Value::NULL => Cell::Null,
        Value::Int(value) => Cell::Int(*value),
        Value::UInt(value) => Cell::Int(i64::try_from(*value).ok()?),
        Value::Float(value) => Cell::Real(f64::from(*value)),
        Value::Double(value) => Cell::Real(*value),
        Value::Bytes(bytes) => Cell::Bytes(bytes),
        Value::Date(..) | Value::Time(..) => return None,
    })
}
