//! Values on their way from one database to another.

use sha2::{Digest, Sha256};

use super::schema::{Kind, Table};
use crate::error::Result;
use crate::row::Row;
use crate::sql::Param;

/// A value that belongs to nobody.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Null,
    Int(i64),
    Real(f64),
    Text(String),
    Bytes(Vec<u8>),
    Uuid(uuid::Uuid),
}

impl Value {
    pub(super) fn param(&self) -> Param<'_> {
        match self {
            Self::Null => Param::Null,
            Self::Int(value) => Param::Int(*value),
            Self::Real(value) => Param::Real(*value),
            Self::Text(text) => Param::Text(text),
            Self::Bytes(bytes) => Param::Bytes(bytes),
            Self::Uuid(id) => Param::Uuid(*id),
        }
    }

    /// Adds it to a checksum, in a form that no other value has.
    fn digest(&self, sum: &mut Sha256) {
        let (tag, bytes): (u8, &[u8]) = match self {
            Self::Null => (0, &[]),
            Self::Int(value) => (1, &value.to_be_bytes()),
            Self::Real(value) => (2, &value.to_be_bytes()),
            Self::Text(text) => (3, text.as_bytes()),
            Self::Bytes(bytes) => (4, bytes),
            Self::Uuid(id) => (5, id.as_bytes()),
        };
        sum.update([tag]);
        sum.update((bytes.len() as u64).to_be_bytes());
        sum.update(bytes);
    }
}

/// Reads a row with all columns of the table.
pub(super) fn read(table: &Table, row: &mut Row<'_>) -> Result<Vec<Value>> {
    let mut values = Vec::with_capacity(table.columns.len());
    for (_, kind) in &table.columns {
        values.push(if row.peek_null()? {
            row.skip(1);
            Value::Null
        } else {
            match kind {
                Kind::Uuid => Value::Uuid(row.next()?),
                Kind::Text => Value::Text(row.next()?),
                Kind::Int => Value::Int(row.next()?),
                Kind::Real => Value::Real(row.next()?),
                Kind::Bytes => Value::Bytes(row.next()?),
            }
        });
    }
    Ok(values)
}

/// The checksum of rows, whatever their order: each row's digest is added.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Checksum {
    pub(super) rows: u64,
    pub(super) sum: u128,
}

impl Checksum {
    pub(super) fn add(&mut self, row: &[Value]) {
        let mut digest = Sha256::new();
        for value in row {
            value.digest(&mut digest);
        }
        let bytes: [u8; 32] = digest.finalize().into();
        let (head, _) = bytes.split_at(16);
        let number = head.iter().fold(0_u128, |number, byte| number << 8 | u128::from(*byte));
        self.rows += 1;
        self.sum = self.sum.wrapping_add(number);
    }
}
