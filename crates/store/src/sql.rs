//! Statements, their parameters and their rows, alike for every database.

use serde_json::value::RawValue;
use taskloom_model::Timestamp;
use taskloom_protocol::Json;
use uuid::Uuid;

use crate::error::{Result, StoreError};

/// A parameter of a statement.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Param<'a> {
    Null,
    Int(i64),
    Real(f64),
    Text(&'a str),
    Bytes(&'a [u8]),
    Uuid(Uuid),
}

macro_rules! param_from {
    ($($type:ty => |$value:ident| $made:expr;)+) => {
        $(impl<'a> From<$type> for Param<'a> {
            fn from($value: $type) -> Self { $made }
        })+
    };
}

param_from! {
    i64 => |value| Self::Int(value);
    u32 => |value| Self::Int(i64::from(value));
    u64 => |value| Self::Int(i64::try_from(value).unwrap_or(i64::MAX));
    bool => |value| Self::Int(i64::from(value));
    f64 => |value| Self::Real(value);
    Timestamp => |value| Self::Int(value.as_micros());
    Uuid => |value| Self::Uuid(value);
    &'a str => |value| Self::Text(value);
    &'a String => |value| Self::Text(value);
    &'a [u8] => |value| Self::Bytes(value);
    &'a [u8; 32] => |value| Self::Bytes(value);
    &'a Json => |value| Self::Text(value.get());
}

impl<'a, T: Into<Param<'a>>> From<Option<T>> for Param<'a> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// `params![a, b, c]`: parameters in the order of the statement's question marks.
macro_rules! params {
    ($($value:expr),* $(,)?) => { &[$($crate::sql::Param::from($value)),*] };
}
pub(crate) use params;

impl rusqlite::ToSql for Param<'_> {
    fn to_sql(&self) -> rusqlite::Result<rusqlite::types::ToSqlOutput<'_>> {
        use rusqlite::types::{ToSqlOutput, ValueRef};
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

/// A row under the cursor, read column by column in the order of the select list.
pub(crate) struct Row<'r> {
    row: &'r rusqlite::Row<'r>,
    column: usize,
}

impl<'r> Row<'r> {
    pub(crate) fn sqlite(row: &'r rusqlite::Row<'r>) -> Self {
        Self { row, column: 0 }
    }

    /// The next column.
    pub(crate) fn next<T: Column>(&mut self) -> Result<T> {
        let value = self.row.get_ref(self.column)?;
        let read = T::from_sqlite(value).ok_or_else(|| self.corrupt());
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
        Ok(self.row.get_ref(self.column)? == rusqlite::types::ValueRef::Null)
    }

    /// Leaves out `count` columns.
    pub(crate) fn skip(&mut self, count: usize) {
        self.column += count;
    }

    fn corrupt(&self) -> StoreError {
        let name = self.row.as_ref().column_name(self.column.saturating_sub(1)).unwrap_or("?");
        StoreError::Corrupt(name.to_owned())
    }
}

/// Reads the one column of a row.
pub(crate) fn first<T: Column>(row: &mut Row<'_>) -> Result<T> {
    row.next()
}

/// A type that a column can hold.
pub(crate) trait Column: Sized {
    fn from_sqlite(value: rusqlite::types::ValueRef<'_>) -> Option<Self>;
}

macro_rules! column {
    ($($type:ty => |$value:ident| $read:expr;)+) => {
        $(impl Column for $type {
            fn from_sqlite($value: rusqlite::types::ValueRef<'_>) -> Option<Self> { $read }
        })+
    };
}

column! {
    i64 => |value| value.as_i64().ok();
    u32 => |value| value.as_i64().ok().and_then(|v| u32::try_from(v).ok());
    u64 => |value| value.as_i64().ok().and_then(|v| u64::try_from(v).ok());
    bool => |value| value.as_i64().ok().map(|v| v != 0);
    f64 => |value| match value {
        rusqlite::types::ValueRef::Integer(v) => Some(v as f64),
        other => other.as_f64().ok(),
    };
    String => |value| value.as_str().ok().map(str::to_owned);
    Uuid => |value| value.as_blob().ok().and_then(|v| Uuid::from_slice(v).ok());
    [u8; 32] => |value| value.as_blob().ok().and_then(|v| v.try_into().ok());
    Timestamp => |value| value.as_i64().ok().map(Timestamp::from_micros);
    Json => |value| value.as_str().ok().and_then(|v| RawValue::from_string(v.to_owned()).ok());
}

impl<T: Column> Column for Option<T> {
    fn from_sqlite(value: rusqlite::types::ValueRef<'_>) -> Option<Self> {
        if value == rusqlite::types::ValueRef::Null { Some(None) } else { T::from_sqlite(value).map(Some) }
    }
}

/// A statement put together at run time: text and parameters grow side by side.
#[derive(Default)]
pub(crate) struct Sql<'a> {
    pub(crate) text: String,
    pub(crate) params: Vec<Param<'a>>,
}

impl<'a> Sql<'a> {
    pub(crate) fn new(text: &str) -> Self {
        Self { text: text.to_owned(), params: Vec::new() }
    }

    /// Appends text that holds one question mark for each parameter.
    pub(crate) fn push(&mut self, text: &str, params: &[Param<'a>]) -> &mut Self {
        debug_assert_eq!(text.matches('?').count(), params.len(), "{text}");
        self.text.push_str(text);
        self.params.extend_from_slice(params);
        self
    }

    /// Appends the condition if there is a value for it.
    pub(crate) fn push_some<T: Into<Param<'a>>>(&mut self, text: &str, value: Option<T>) -> &mut Self {
        if let Some(value) = value {
            self.push(text, &[value.into()]);
        }
        self
    }
}
