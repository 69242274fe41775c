//! A field of a change: left out, null, or a value.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use taskloom_model::Priority;

/// What a change says about a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Given<T> {
    /// Nothing: it stays.
    #[default]
    Absent,
    /// Back to its default.
    Null,
    /// A new value.
    Value(T),
}

impl<T> Given<T> {
    /// Whether it says nothing.
    pub fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }
}

impl<T: Clone> Given<T> {
    /// Carries the change out.
    pub fn apply(&self, slot: &mut Option<T>) {
        match self {
            Self::Absent => {}
            Self::Null => *slot = None,
            Self::Value(value) => *slot = Some(value.clone()),
        }
    }
}

impl<T> From<Option<T>> for Given<T> {
    /// A field that a command line names or does not.
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Absent, Self::Value)
    }
}

impl<T: Serialize> Serialize for Given<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Value(value) => value.serialize(serializer),
            Self::Absent | Self::Null => serializer.serialize_none(),
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Given<T> {
    /// Of a field that is there; one that is left out is the default of its object.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Option::deserialize(deserializer)?.map_or(Self::Null, Self::Value))
    }
}

/// Reads a priority by name or by number.
pub(super) fn priority<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Given<Priority>, D::Error> {
    Ok(crate::request::priority(deserializer)?.map_or(Given::Null, Given::Value))
}
