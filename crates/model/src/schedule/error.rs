//! Why a plan is refused.

/// A part of a plan that breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {message}")]
pub struct PlanError {
    /// The part: `time`, `days`, `cron_expression`, …
    pub field: &'static str,
    /// The rule, for programs: `out_of_range`, `bad_value`, …
    pub rule: &'static str,
    /// The rule, in words.
    pub message: String,
}

impl PlanError {
    pub(crate) fn new(field: &'static str, rule: &'static str, message: impl Into<String>) -> Self {
        Self { field, rule, message: message.into() }
    }
}
