//! What a task's claim or end concerns besides the task itself.

use serde::{Deserialize, Serialize};

use crate::Limits;

/// A small set of flags. Most tasks have none, so that the hot path need not look for what is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Ties(u32);

impl Ties {
    /// Nothing.
    pub const NONE: Self = Self(0);
    /// Its start needs a permit of a concurrency limit, which its end gives back.
    pub const CONCURRENCY: Self = Self(1);
    /// It belongs to a workflow.
    pub const WORKFLOW: Self = Self(2);
    /// Its arguments refer to the results of other tasks.
    pub const INPUTS: Self = Self(4);
    /// It stands for one task per element of a list.
    pub const MAP: Self = Self(8);
    /// It holds a permit of its queue's limit.
    pub const QUEUE: Self = Self(16);
    /// Its start needs a permit of a rate limit.
    pub const RATE: Self = Self(32);

    /// The set as a number, for the store.
    pub fn bits(self) -> u32 {
        self.0
    }

    /// The set behind a number.
    pub fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    /// The limits that its start has to pass.
    pub fn limits(self) -> Limits {
        Limits { concurrency: self.has(Self::CONCURRENCY), rate: self.has(Self::RATE) }
    }

    /// Whether nothing is in it.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether all of `other` is in it.
    pub fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether any of `other` is in it.
    pub fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// The set with `other`.
    pub fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The set with `other` if `condition` holds.
    pub fn with_if(self, other: Self, condition: bool) -> Self {
        if condition { self.with(other) } else { self }
    }
}
