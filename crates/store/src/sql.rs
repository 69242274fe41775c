//! Statements and their parameters, alike for every database.

use taskloom_model::Timestamp;
use taskloom_protocol::Json;
use uuid::Uuid;

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
