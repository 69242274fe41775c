//! Fields of a submission that mean nothing for a schedule's task: who sends one learns what to use instead, not only that
//! it is unknown.

use serde::Deserializer;
use serde::de::Error;

/// A field that nobody can give.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Refused;

macro_rules! refuse {
    ($($field:ident: $rule:literal,)+) => {
        $(pub(super) fn $field<'de, D: Deserializer<'de>>(_: D) -> Result<Refused, D::Error> {
            Err(D::Error::custom($rule))
        })+
    };
}

refuse! {
    depends_on: "not for a schedule: its tasks wait for each other with overlap queue, and for others in a workflow",
    run_at: "not for a schedule: its tasks run at its ticks, up to jitter later; a run by hand takes a delay",
    expires_at: "not for a schedule: give expires_in, seconds from each tick, or end_at for the last tick",
}
