//! Parameters and columns in PostgreSQL's binary form, as the server's types ask for them.

use std::error::Error;

use bytes::{BufMut, BytesMut};
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};
use uuid::Uuid;

use crate::row::Cell;
use crate::sql::Param;

type Failed = Box<dyn Error + Sync + Send>;

impl ToSql for Param<'_> {
    fn to_sql(&self, ty: &Type, out: &mut BytesMut) -> Result<IsNull, Failed> {
        match self {
            Self::Null => return Ok(IsNull::Yes),
            Self::Int(value) => put_int(*value, ty, out)?,
            Self::Real(value) => out.put_f64(*value),
            Self::Text(text) => put_text(text, out),
            Self::Bytes(bytes) => out.extend_from_slice(bytes),
            Self::Uuid(id) => out.extend_from_slice(id.as_bytes()),
        }
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        // The server says what it wants; `to_sql` refuses what does not fit.
        true
    }

    to_sql_checked!();
}

fn put_int(value: i64, ty: &Type, out: &mut BytesMut) -> Result<(), Failed> {
    match *ty {
        Type::INT8 => out.put_i64(value),
        // What a peer sends may be larger than any value that a row has: the largest matches none of them either.
        Type::INT4 => out.put_i32(i32::try_from(value).unwrap_or(i32::MAX)),
        Type::FLOAT8 => out.put_f64(value as f64),
        Type::BOOL => out.put_u8(u8::from(value != 0)),
        _ => return Err(format!("an integer where the server wants {ty}").into()),
    }
    Ok(())
}

/// PostgreSQL keeps no NUL in a text.
fn put_text(text: &str, out: &mut BytesMut) {
    if text.contains('\0') {
        out.extend_from_slice(text.replace('\0', "\u{fffd}").as_bytes());
    } else {
        out.extend_from_slice(text.as_bytes());
    }
}

/// A column of many rows, sent as one array.
#[derive(Debug)]
pub(crate) struct Values<'a>(pub(crate) Vec<Param<'a>>);

impl<'a, T: Into<Param<'a>>> FromIterator<T> for Values<'a> {
    fn from_iter<I: IntoIterator<Item = T>>(values: I) -> Self {
        Self(values.into_iter().map(Into::into).collect())
    }
}

impl ToSql for Values<'_> {
    fn to_sql(&self, ty: &Type, out: &mut BytesMut) -> Result<IsNull, Failed> {
        self.0.as_slice().to_sql(ty, out)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

impl<'a> FromSql<'a> for Cell<'a> {
    fn from_sql(ty: &Type, raw: &'a [u8]) -> Result<Self, Failed> {
        Ok(match *ty {
            Type::INT8 => Cell::Int(i64::from_be_bytes(raw.try_into()?)),
            Type::INT4 => Cell::Int(i64::from(i32::from_be_bytes(raw.try_into()?))),
            Type::INT2 => Cell::Int(i64::from(i16::from_be_bytes(raw.try_into()?))),
            Type::BOOL => Cell::Int(i64::from(raw != [0])),
            Type::FLOAT8 => Cell::Real(f64::from_be_bytes(raw.try_into()?)),
            Type::TEXT | Type::VARCHAR | Type::NAME => Cell::Text(std::str::from_utf8(raw)?),
            Type::UUID if raw.len() == size_of::<Uuid>() => Cell::Bytes(raw),
            Type::BYTEA => Cell::Bytes(raw),
            _ => return Err(format!("a column of the type {ty}").into()),
        })
    }

    fn from_sql_null(_: &Type) -> Result<Self, Failed> {
        Ok(Cell::Null)
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}
