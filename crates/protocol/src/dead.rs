//! Dead letters: tasks that failed on their own and wait for somebody to decide.

use std::sync::LazyLock;

use serde::{Deserialize, Deserializer, Serialize};
use taskloom_model::{Reason, Timestamp};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{FieldError, TaskError};

/// Tasks in one call that moves them, at most.
pub const DEAD_AT_ONCE: u32 = 10_000;

/// Which dead letters; every field that is set narrows it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DeadFilter {
    /// Of this handler, up to 200 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 200)]
    pub task: Option<String>,
    /// In this queue, up to 100 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 100)]
    pub queue: Option<String>,
    /// Failed for this reason: `error`, `fatal`, `timeout`, `lost` or `poisoned`.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "dead_reason")]
    #[schema(value_type = Option<String>, example = "error")]
    pub reason: Option<Reason>,
    /// Failed with an error of this type, up to 200 characters; `timeout` and `lost` are types too.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 200)]
    pub error_type: Option<String>,
    /// With this tag, up to 50 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 50)]
    pub tag: Option<String>,
    /// Of this user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_id: Option<Uuid>,
    /// Failed at or after this time.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub finished_after: Option<Timestamp>,
    /// Failed before this time.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub finished_before: Option<Timestamp>,
}

impl DeadFilter {
    /// The reasons of dead letters.
    pub const REASONS: [Reason; 5] =
        [Reason::Error, Reason::Fatal, Reason::Timeout, Reason::Lost, Reason::Poisoned];

    /// Whether it names no condition.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Every rule that a field breaks, told by `at`; empty if none.
    pub fn check(&self, at: impl Fn(&str, &str, String) -> FieldError) -> Vec<FieldError> {
        let texts = [
            ("task", &self.task, 200),
            ("queue", &self.queue, 100),
            ("error_type", &self.error_type, 200),
            ("tag", &self.tag, 50),
        ];
        let too_long = |text: &Option<String>, most| text.as_ref().is_some_and(|t| t.chars().count() > most);
        texts
            .into_iter()
            .filter(|(_, text, most)| too_long(text, *most))
            .map(|(field, _, most)| at(field, "too_long", format!("at most {most} characters")))
            .collect()
    }
}

/// Reads the reason of a dead letter: who sends another word hears of those that it can be, and of no others.
///
/// # Errors
/// What is none of [`DeadFilter::REASONS`].
pub fn dead_reason<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Reason>, D::Error> {
    static NAMES: LazyLock<[&str; DeadFilter::REASONS.len()]> =
        LazyLock::new(|| DeadFilter::REASONS.map(Reason::name));
    let Some(word) = Option::<String>::deserialize(deserializer)? else { return Ok(None) };
    let reason = DeadFilter::REASONS.into_iter().find(|reason| reason.name() == word);
    reason.map(Some).ok_or_else(|| serde::de::Error::unknown_variant(&word, &*NAMES))
}

/// Dead letters to run again or to put away.
#[derive(Debug, Clone, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct MoveDead {
    /// Which; at least one condition, or `all`.
    #[serde(skip_serializing_if = "DeadFilter::is_empty")]
    pub filter: DeadFilter,
    /// All dead letters that the caller may see, instead of a filter.
    pub all: bool,
    /// Only say what it would do; true unless it says false.
    #[schema(default = true)]
    pub dry_run: bool,
    /// Tasks that this call looks at, 1 to 10,000; 1,000 if left out.
    #[schema(minimum = 1, maximum = 10_000, default = 1000)]
    pub limit: u32,
    /// The `next_cursor` of the call before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<Uuid>,
}

impl Default for MoveDead {
    fn default() -> Self {
        Self { filter: DeadFilter::default(), all: false, dry_run: true, limit: 1_000, cursor: None }
    }
}

impl MoveDead {
    /// Every rule that a field breaks; empty if none.
    pub fn check(&self) -> Vec<FieldError> {
        let mut errors = self.filter.check(|field, kind, msg| FieldError {
            loc: vec!["body".into(), "filter".into(), field.into()],
            msg,
            kind: kind.into(),
        });
        match (self.filter.is_empty(), self.all) {
            (true, false) => {
                errors.push(FieldError::body(
                    "filter",
                    "missing",
                    "give at least one condition, or \"all\": true",
                ));
            }
            (false, true) => {
                errors.push(FieldError::body("all", "exclusive", "give filter or all, not both"));
            }
            _ => {}
        }
        if !(1..=DEAD_AT_ONCE).contains(&self.limit) {
            errors.push(FieldError::body("limit", "out_of_range", format!("1 to {DEAD_AT_ONCE}")));
        }
        errors
    }
}

/// What moving dead letters did, or would do.
#[derive(Debug, Clone, Default, Deserialize, Serialize, ToSchema)]
pub struct MovedDead {
    /// Whether nothing was done.
    pub dry_run: bool,
    /// Of a dry run: all that match. Of a real one: those it looked at.
    pub matched: u64,
    /// Those that run again, or are put away, since this call.
    pub moved: u64,
    /// Those that were left as they are because another task holds their unique key.
    pub refused: u64,
    /// Of a dry run: the newest of those that match, up to 10. Of a real one: up to 10 that were refused.
    pub sample: Vec<DeadLetter>,
    /// Sent as `cursor`, goes on behind what this call looked at; null when it was the last, and on a dry run.
    pub next_cursor: Option<Uuid>,
}

/// A dead letter in few words.
#[derive(Debug, Clone, Deserialize, Serialize, ToSchema)]
pub struct DeadLetter {
    /// The task.
    pub id: Uuid,
    /// The handler's name.
    pub task: String,
    /// The queue.
    pub queue: String,
    /// Why it failed.
    #[schema(value_type = Option<String>, example = "error")]
    pub reason: Option<Reason>,
    /// The error it failed with.
    pub error: Option<TaskError>,
    /// When it failed.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub completed_at: Option<Timestamp>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_of_a_dead_letter_is_read_and_no_other() {
        for reason in Reason::ALL {
            let read = serde_json::from_str::<DeadFilter>(&format!(r#"{{"reason":"{reason}"}}"#));
            let is_one = DeadFilter::REASONS.contains(reason);
            assert_eq!(read.ok().and_then(|filter| filter.reason), is_one.then_some(*reason), "{reason}");
        }
        for nothing in ["{}", r#"{"reason":null}"#] {
            assert!(serde_json::from_str::<DeadFilter>(nothing).unwrap().is_empty(), "{nothing}");
        }
    }
}
