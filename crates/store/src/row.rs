//! Rows, read column by column, alike for every database.

use serde_json::value::RawValue;
use taskloom_model::Timestamp;
use taskloom_protocol::Json;
use uuid::Uuid;

use crate::error::{Result, StoreError};

/// What stands in one column of one row. Databases differ in whether a text or a UUID is told from bytes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Cell<'a> {
    Null,
    Int(i64),
    Real(f64),
    Text(&'a str),
    Bytes(&'a [u8]),
}

/// A row under the cursor, read column by column in the order of the select list.
pub(crate) struct Row<'r> {
    source: Source<'r>,
    column: usize,
}

enum Source<'r> {
    Sqlite(&'r rusqlite::Row<'r>),
    Postgres(&'r tokio_postgres::Row),
    Mysql(&'r mysql_async::Row),
}

impl<'r> Row<'r> {
    pub(crate) fn sqlite(row: &'r rusqlite::Row<'r>) -> Self {
        Self { source: Source::Sqlite(row), column: 0 }
    }

    pub(crate) fn postgres(row: &'r tokio_postgres::Row) -> Self {
        Self { source: Source::Postgres(row), column: 0 }
    }

    pub(crate) fn mysql(row: &'r mysql_async::Row) -> Self {
        Self { source: Source::Mysql(row), column: 0 }
    }

    fn cell(&self) -> Result<Cell<'r>> {
        match self.source {
            Source::Sqlite(row) => Ok(crate::sqlite::cell(row.get_ref(self.column)?)),
            Source::Postgres(row) => {
                row.try_get(self.column).map_err(|_| StoreError::Corrupt(self.name(self.column)))
            }
            Source::Mysql(row) => {
                let value = row.as_ref(self.column);
                value.and_then(crate::mysql::cell).ok_or_else(|| StoreError::Corrupt(self.name(self.column)))
            }
        }
    }

    /// The next column.
    pub(crate) fn next<T: Column>(&mut self) -> Result<T> {
        let read = T::from_cell(self.cell()?).ok_or_else(|| StoreError::Corrupt(self.name(self.column)));
        self.column += 1;
        read
    }

    /// The next column, which holds the name of one of our enums.
    pub(crate) fn word<T: std::str::FromStr>(&mut self) -> Result<T> {
        let text = self.next::<String>()?;
        text.parse().map_err(|_| self.corrupt())
    }

    /// The same for a column that may be null.
    pub(crate) fn opt_word<T: std::str::FromStr>(&mut self) -> Result<Option<T>> {
        let text = self.next::<Option<String>>()?;
        text.map(|text| text.parse().map_err(|_| self.corrupt())).transpose()
    }

    /// The next column, which holds JSON of this shape, or null.
    pub(crate) fn json<T: serde::de::DeserializeOwned>(&mut self) -> Result<Option<T>> {
        let text = self.next::<Option<String>>()?;
        text.map(|text| serde_json::from_str(&text).map_err(|_| self.corrupt())).transpose()
    }

    /// Whether the next column is null; stays before it.
    pub(crate) fn peek_null(&self) -> Result<bool> {
        Ok(self.cell()? == Cell::Null)
    }

    /// Leaves out `count` columns.
    pub(crate) fn skip(&mut self, count: usize) {
        self.column += count;
    }

    fn corrupt(&self) -> StoreError {
        StoreError::Corrupt(self.name(self.column.saturating_sub(1)))
    }

    fn name(&self, column: usize) -> String {
        let name = match self.source {
            Source::Sqlite(row) => row.as_ref().column_name(column).ok().map(str::to_owned),
            Source::Postgres(row) => row.columns().get(column).map(|c| c.name().to_owned()),
            Source::Mysql(row) => row.columns_ref().get(column).map(|c| c.name_str().into_owned()),
        };
        name.unwrap_or_else(|| "?".into())
    }
}

/// Reads the one column of a row.
pub(crate) fn first<T: Column>(row: &mut Row<'_>) -> Result<T> {
    row.next()
}

/// A type that a column can hold.
pub(crate) trait Column: Sized {
    fn from_cell(cell: Cell<'_>) -> Option<Self>;
}

impl<'a> Cell<'a> {
    fn int(self) -> Option<i64> {
        if let Self::Int(value) = self { Some(value) } else { None }
    }

    fn text(self) -> Option<&'a str> {
        match self {
            Self::Text(text) => Some(text),
            // MySQL does not tell a text from bytes.
            Self::Bytes(bytes) => std::str::from_utf8(bytes).ok(),
            _ => None,
        }
    }

    fn bytes(self) -> Option<&'a [u8]> {
        if let Self::Bytes(bytes) = self { Some(bytes) } else { None }
    }
}

macro_rules! column {
    ($($type:ty => |$cell:ident| $read:expr;)+) => {
        $(impl Column for $type {
            fn from_cell($cell: Cell<'_>) -> Option<Self> { $read }
        })+
    };
}

column! {
    i64 => |cell| cell.int();
    u32 => |cell| cell.int().and_then(|v| u32::try_from(v).ok());
    u64 => |cell| cell.int().and_then(|v| u64::try_from(v).ok());
    usize => |cell| cell.int().and_then(|v| usize::try_from(v).ok());
    bool => |cell| cell.int().map(|v| v != 0);
    f64 => |cell| match cell {
        Cell::Int(value) => Some(value as f64),
        Cell::Real(value) => Some(value),
        _ => None,
    };
    String => |cell| cell.text().map(str::to_owned);
    Uuid => |cell| cell.bytes().and_then(|v| Uuid::from_slice(v).ok());
    [u8; 32] => |cell| cell.bytes().and_then(|v| v.try_into().ok());
    Vec<u8> => |cell| cell.bytes().map(<[u8]>::to_vec);
    Timestamp => |cell| cell.int().map(Timestamp::from_micros);
    Json => |cell| cell.text().and_then(|v| RawValue::from_string(v.to_owned()).ok());
}

impl<T: Column> Column for Option<T> {
    fn from_cell(cell: Cell<'_>) -> Option<Self> {
        if cell == Cell::Null { Some(None) } else { T::from_cell(cell).map(Some) }
    }
}
