//! What a handler's workers want for tasks that leave it open.

use serde::{Deserialize, Serialize};
use taskloom_model::{Backoff, Priority};
use utoipa::ToSchema;

use crate::{FieldError, Limits, SubmitTask};

/// A handler's defaults. What the task says itself comes first, what the server's configuration says comes last.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct HandlerDefaults {
    /// Attempts before the task fails, 1 to 1,000.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 1000)]
    pub max_attempts: Option<u32>,
    /// Time limit of one attempt in seconds, above 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(exclusive_minimum = 0, maximum = 315_360_000)]
    pub timeout: Option<f64>,
    /// After so many seconds the handler is asked to finish; below `timeout`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(exclusive_minimum = 0, maximum = 315_360_000)]
    pub soft_timeout: Option<f64>,
    /// The wait between attempts.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub backoff: Option<Backoff>,
    /// Error types that are worth another attempt, up to 50.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub retry_on: Vec<String>,
    /// The queue.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 100, pattern = "^[A-Za-z0-9._:-]+$")]
    pub queue: Option<String>,
    /// `low`, `normal`, `high` or `critical`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "normal")]
    pub priority: Option<Priority>,
    /// For so many seconds after a success, the same call is answered with its result. Not for tasks that depend on others.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0, maximum = 315_360_000)]
    pub cache_ttl: Option<f64>,
}

impl HandlerDefaults {
    /// Fills in what the task leaves open.
    pub fn fill(&self, task: &mut SubmitTask) {
        task.max_attempts = task.max_attempts.or(self.max_attempts);
        task.timeout = task.timeout.or(self.timeout);
        task.soft_timeout = task.soft_timeout.or(self.soft_timeout);
        task.backoff = task.backoff.or(self.backoff);
        task.priority = task.priority.or(self.priority);
        if task.queue.is_none() {
            task.queue.clone_from(&self.queue);
        }
        if task.retry_on.is_empty() {
            task.retry_on.clone_from(&self.retry_on);
        }
        if task.depends_on.is_empty() {
            task.cache_ttl = task.cache_ttl.or(self.cache_ttl);
        }
        if task.soft_timeout.zip(task.timeout).is_some_and(|(soft, hard)| soft >= hard) {
            // One is the task's, the other the handler's: the hard limit stays.
            task.soft_timeout = None;
        }
    }

    /// Every rule that a field breaks; empty if none.
    pub fn check(&self, limits: &Limits) -> Vec<FieldError> {
        let mut task = SubmitTask::new("x");
        (task.timeout, task.soft_timeout) = (self.timeout, self.soft_timeout);
        let mut errors = task.check(limits);
        if errors.is_empty() {
            self.fill(&mut task);
            errors = task.check(limits);
        }
        errors
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn defaults() -> HandlerDefaults {
        HandlerDefaults {
            max_attempts: Some(9),
            timeout: Some(30.0),
            soft_timeout: Some(20.0),
            retry_on: vec!["Busy".into()],
            queue: Some("slow".into()),
            cache_ttl: Some(60.0),
            ..HandlerDefaults::default()
        }
    }

    #[test]
    fn what_the_task_says_comes_first() {
        let mut task = SubmitTask { max_attempts: Some(2), queue: Some("q".into()), ..SubmitTask::new("x") };
        defaults().fill(&mut task);
        assert_eq!((task.max_attempts, task.queue.as_deref()), (Some(2), Some("q")));
        assert_eq!((task.timeout, task.soft_timeout, task.cache_ttl), (Some(30.0), Some(20.0), Some(60.0)));
        assert_eq!(task.retry_on, ["Busy"]);
    }

    #[test]
    fn a_soft_limit_behind_the_hard_one_is_dropped() {
        let mut task = SubmitTask { timeout: Some(10.0), ..SubmitTask::new("x") };
        defaults().fill(&mut task);
        assert_eq!((task.timeout, task.soft_timeout), (Some(10.0), None));
    }

    #[test]
    fn tasks_that_depend_on_others_are_not_cached() {
        let mut task = SubmitTask { depends_on: vec![uuid::Uuid::nil()], ..SubmitTask::new("x") };
        defaults().fill(&mut task);
        assert_eq!(task.cache_ttl, None);
    }

    #[test]
    fn the_rules_are_those_of_tasks() {
        assert_eq!(defaults().check(&Limits::default()), []);
        let broken = |defaults: HandlerDefaults| defaults.check(&Limits::default())[0].loc.join(".");
        let none = HandlerDefaults::default;
        assert_eq!(broken(HandlerDefaults { max_attempts: Some(0), ..none() }), "body.max_attempts");
        assert_eq!(broken(HandlerDefaults { queue: Some("a b".into()), ..none() }), "body.queue");
        assert_eq!(broken(HandlerDefaults { soft_timeout: Some(31.0), ..defaults() }), "body.soft_timeout");
        assert_eq!(broken(HandlerDefaults { cache_ttl: Some(-1.0), ..none() }), "body.cache_ttl");
    }
}
