//! The rules for what users send about tasks.

use taskloom_model::Backoff;

use crate::{Change, FieldError, SubmitTask, check_json};

/// What a submission may carry at most; the operator sets them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of `args` and `kwargs` together.
    pub payload_bytes: usize,
    /// Levels of nesting in `args`, `kwargs` and `metadata`.
    pub depth: usize,
    /// Tasks in one batch.
    pub batch: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { payload_bytes: 1 << 20, depth: 64, batch: 10_000 }
    }
}

/// The longest delay or time limit in seconds: ten years.
pub(crate) const MAX_SECONDS: f64 = 315_360_000.0;

impl SubmitTask {
    /// Every rule that a field breaks; empty if none.
    pub fn check(&self, limits: &Limits) -> Vec<FieldError> {
        let mut found = Check(Vec::new());
        if self.task.is_empty() {
            found.add("task", "missing", "required: the handler's name, such as demo.sleep");
        }
        found.text("task", &self.task, 200, |c| !c.is_control() && !c.is_whitespace());
        for (field, text, longest) in [
            ("name", &self.name, 200),
            ("task_type", &self.task_type, 100),
            ("unique_key", &self.unique_key, 200),
            ("model_id", &self.model_id, 200),
        ] {
            found.text(field, text.as_deref().unwrap_or_default(), longest, |c| !c.is_control());
        }
        if self.unique_key.as_deref() == Some("") {
            found.add("unique_key", "too_short", "must not be empty");
        }
        if let Some(queue) = &self.queue {
            found.queue("queue", queue);
        }
        found.times(self);
        found.options(self);
        found.payload(self, limits);
        found.limits(self);
        found.repeats(self);
        found.0
    }
}

/// The rule that a queue's name breaks.
///
/// # Errors
/// The rule, in words.
pub fn check_queue_name(name: &str) -> Result<(), String> {
    let mut found = Check(Vec::new());
    found.queue("name", name);
    found.0.into_iter().next().map_or(Ok(()), |error| Err(error.msg))
}

impl Change {
    /// Every rule that a field breaks; empty if none.
    pub fn check(&self, limits: &Limits) -> Vec<FieldError> {
        let mut found = Check(Vec::new());
        let pending = self.priority.is_some() || self.queue.is_some() || self.run_at.is_some();
        let running = self.progress.is_some() || self.progress_detail.is_some() || self.result.is_some();
        if !pending && !running {
            found.add("", "missing", "give at least one field to change");
        }
        if pending && running {
            found.add(
                "",
                "exclusive",
                "priority, queue and run_at change while pending, the others while running",
            );
        }
        if let Some(queue) = &self.queue {
            found.queue("queue", queue);
        }
        if self.progress.is_some_and(|p| !(0.0..=100.0).contains(&p)) {
            found.add("progress", "out_of_range", "0 to 100");
        }
        for (field, json) in [("progress_detail", &self.progress_detail), ("result", &self.result)] {
            let Some(json) = json else { continue };
            if json.get().len() > limits.payload_bytes {
                found.add(field, "too_long", format!("at most {} bytes", limits.payload_bytes));
            } else if let Err(error) = check_json(json.get(), limits.depth) {
                found.add(field, "bad_json", error.to_string());
            }
        }
        found.0
    }
}

/// Collects what is wrong.
struct Check(Vec<FieldError>);

impl Check {
    fn add(&mut self, field: &str, kind: &str, msg: impl Into<String>) {
        self.0.push(FieldError::body(field, kind, msg));
    }

    fn text(&mut self, field: &str, text: &str, longest: usize, allowed: impl Fn(char) -> bool) {
        if text.chars().count() > longest {
            self.add(field, "too_long", format!("at most {longest} characters"));
        } else if !text.chars().all(allowed) {
            self.add(field, "bad_character", "has a character that is not allowed here");
        }
    }

    fn queue(&mut self, field: &str, queue: &str) {
        if queue.is_empty() {
            self.add(field, "too_short", "must not be empty");
        }
        self.text(field, queue, 100, |c| c.is_ascii_alphanumeric() || "._:-".contains(c));
    }

    fn seconds(&mut self, field: &str, value: Option<f64>, least: f64) {
        if value.is_some_and(|s| !(least..=MAX_SECONDS).contains(&s)) {
            self.add(field, "out_of_range", format!("seconds from {least} to {MAX_SECONDS}"));
        }
    }

    fn times(&mut self, task: &SubmitTask) {
        self.seconds("delay", task.delay, 0.0);
        self.seconds("timeout", task.timeout, 0.001);
        self.seconds("soft_timeout", task.soft_timeout, 0.001);
        if task.delay.is_some() && task.run_at.is_some() {
            self.add("delay", "exclusive", "give run_at or delay, not both");
        }
        if let (Some(run_at), Some(expires_at)) = (task.run_at, task.expires_at)
            && run_at >= expires_at
        {
            self.add("run_at", "out_of_range", "must be before expires_at");
        }
        if let (Some(soft), Some(hard)) = (task.soft_timeout, task.timeout)
            && soft >= hard
        {
            self.add("soft_timeout", "out_of_range", "must be below timeout");
        }
    }

    fn options(&mut self, task: &SubmitTask) {
        if task.max_attempts.is_some_and(|n| !(1..=1_000).contains(&n)) {
            self.add("max_attempts", "out_of_range", "1 to 1000");
        }
        if let Some(Backoff { seconds, max_seconds, .. }) = task.backoff {
            for (field, value) in [("backoff.seconds", seconds), ("backoff.max_seconds", max_seconds)] {
                if !(0.0..=Backoff::LIMIT_SECONDS).contains(&value) {
                    self.add(field, "out_of_range", format!("seconds from 0 to {}", Backoff::LIMIT_SECONDS));
                }
            }
            if max_seconds < seconds {
                self.add("backoff.max_seconds", "out_of_range", "must not be below seconds");
            }
        }
        if task.depends_on.len() > 1_000 {
            self.add("depends_on", "too_long", "at most 1000 parents");
        }
        if task.tags.len() > 20 {
            self.add("tags", "too_long", "at most 20 tags");
        }
        for (index, tag) in task.tags.iter().enumerate() {
            if tag.is_empty() {
                self.add(&format!("tags.{index}"), "too_short", "must not be empty");
            }
            if task.tags[..index].contains(tag) {
                self.add(&format!("tags.{index}"), "duplicate", "given twice");
            }
            self.text(&format!("tags.{index}"), tag, 50, |c| !c.is_control());
        }
    }

    fn payload(&mut self, task: &SubmitTask, limits: &Limits) {
        let mut bytes = 0;
        let fields = [
            ("args", &task.args, '[', "a list"),
            ("kwargs", &task.kwargs, '{', "an object"),
            ("metadata", &task.metadata, '{', "an object"),
        ];
        for (field, json, opening, what) in fields {
            let Some(json) = json else { continue };
            if !json.get().starts_with(opening) {
                self.add(field, "wrong_type", format!("must be {what}"));
            } else if let Err(error) = check_json(json.get(), limits.depth) {
                self.add(field, "bad_json", error.to_string());
            }
            if field == "metadata" {
                if json.get().len() > 16 << 10 {
                    self.add(field, "too_long", "at most 16 KiB");
                }
            } else {
                bytes += json.get().len();
            }
        }
        if bytes > limits.payload_bytes {
            let most = limits.payload_bytes;
            self.add("kwargs", "too_long", format!("args and kwargs take {bytes} bytes, at most {most}"));
        }
    }

    fn limits(&mut self, task: &SubmitTask) {
        let keys = [("concurrency_key", &task.concurrency_key), ("rate_key", &task.rate_key)];
        for (field, key) in keys {
            let Some(key) = key else { continue };
            if key.is_empty() {
                self.add(field, "too_short", "must not be empty");
            }
            self.text(field, key, 200, |c| !c.is_control());
        }
        if task.concurrency_limit.is_some_and(|n| !(1..=10_000).contains(&n)) {
            self.add("concurrency_limit", "out_of_range", "1 to 10000");
        }
        if task.concurrency_limit.is_some() && task.concurrency_key.is_none() {
            self.add("concurrency_key", "missing", "concurrency_limit needs it");
        }
        match (&task.rate_key, task.rate_limit) {
            (Some(_), None) => {
                self.add("rate_limit", "missing", "rate_key needs it: {\"count\", \"seconds\"}");
            }
            (None, Some(_)) => self.add("rate_key", "missing", "rate_limit needs it"),
            (_, Some(rate)) => self.0.extend(rate.check("rate_limit")),
            (None, None) => {}
        }
    }

    fn repeats(&mut self, task: &SubmitTask) {
        self.seconds("unique_ttl", task.unique_ttl, 0.001);
        self.seconds("cache_ttl", task.cache_ttl, 0.0);
        if task.cache_ttl.is_some_and(|ttl| ttl > 0.0) && !task.depends_on.is_empty() {
            self.add(
                "cache_ttl",
                "exclusive",
                "a task that depends on others is not answered from the cache",
            );
        }
        for (field, is_given) in
            [("unique_ttl", task.unique_ttl.is_some()), ("unique_conflict", task.unique_conflict.is_some())]
        {
            if is_given && task.unique_key.is_none() {
                self.add("unique_key", "missing", format!("{field} needs it"));
            }
        }
        if task.retry_on.len() > 50 {
            self.add("retry_on", "too_long", "at most 50 types");
        }
        for (index, kind) in task.retry_on.iter().enumerate() {
            let field = format!("retry_on.{index}");
            if kind.is_empty() {
                self.add(&field, "too_short", "must not be empty");
            }
            self.text(&field, kind, 200, |c| !c.is_control());
        }
    }
}
