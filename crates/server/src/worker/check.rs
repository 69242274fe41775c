//! The ranges of the worker protocol's fields, each refusal with the field's name.

use taskloom_protocol::{Beat, ClaimRequest, FieldError, FinishRequest, Limits, PROTOCOL_VERSION, Register};

use crate::problem::{ApiError, ApiResult};

const NAMES: usize = 10_000;

pub(super) fn register(hello: &Register) -> ApiResult<()> {
    let mut errors = Vec::new();
    if hello.protocol != PROTOCOL_VERSION {
        errors.push(out_of_range("protocol", format!("this server speaks version {PROTOCOL_VERSION}")));
    }
    if !is_text(&hello.name, 1, 200) {
        errors.push(out_of_range("name", "1 to 200 characters without control characters"));
    }
    if !is_text(&hello.version, 0, 200) {
        errors.push(out_of_range("version", "at most 200 characters without control characters"));
    }
    if !(1..=100).contains(&hello.queues.len()) || !hello.queues.iter().all(|q| is_queue(q)) {
        errors.push(out_of_range("queues", "1 to 100 names of letters, digits, '.', '_', '-' and ':'"));
    }
    if hello.handlers.len() > NAMES || !hello.handlers.iter().all(|h| is_text(h, 1, 200)) {
        errors.push(out_of_range("handlers", format!("at most {NAMES} names of up to 200 characters")));
    }
    if !(1..=100_000).contains(&hello.concurrency) {
        errors.push(out_of_range("concurrency", "1 to 100000"));
    }
    defaults(&mut errors, hello);
    verdict(errors)
}

fn defaults(errors: &mut Vec<FieldError>, hello: &Register) {
    let Some(defaults) = &hello.defaults else { return };
    if defaults.len() > NAMES || !defaults.keys().all(|name| is_text(name, 1, 200)) {
        errors.push(out_of_range("defaults", format!("at most {NAMES} names of up to 200 characters")));
        return;
    }
    for (handler, defaults) in defaults {
        let place = |mut error: FieldError| {
            error.loc.splice(1..1, ["defaults".to_owned(), handler.clone()]);
            error
        };
        if !hello.handlers.is_empty() && !hello.handlers.contains(handler) {
            errors.push(FieldError::body(
                "defaults",
                "not_found",
                format!("{handler} is not among handlers"),
            ));
        }
        errors.extend(defaults.check(&Limits::default()).into_iter().map(place));
        if errors.len() > 50 {
            return;
        }
    }
}

pub(super) fn claim(request: &ClaimRequest) -> ApiResult<()> {
    let mut errors = Vec::new();
    if !(1..=10_000).contains(&request.limit) {
        errors.push(out_of_range("limit", "1 to 10000"));
    }
    if request.wait_ms > 60_000 {
        errors.push(out_of_range("wait_ms", "0 to 60000"));
    }
    verdict(errors)
}

pub(super) fn beat(beat: &Beat) -> ApiResult<()> {
    let mut errors = Vec::new();
    if beat.tasks.len() > 100_000 {
        errors.push(out_of_range("tasks", "at most 100000"));
    }
    for (index, task) in beat.tasks.iter().enumerate() {
        progress(&mut errors, index, task.progress);
        if task.logs.len() > 1_000 {
            errors.push(of_task(index, "logs", "at most 1000 lines"));
        }
    }
    verdict(errors)
}

pub(super) fn finish(request: &FinishRequest) -> ApiResult<()> {
    let mut errors = Vec::new();
    if !(1..=10_000).contains(&request.tasks.len()) {
        errors.push(out_of_range("tasks", "1 to 10000"));
    }
    for (index, task) in request.tasks.iter().enumerate() {
        progress(&mut errors, index, task.progress);
        if task.logs.len() > 10_000 {
            errors.push(of_task(index, "logs", "at most 10000 lines"));
        }
    }
    verdict(errors)
}

fn progress(errors: &mut Vec<FieldError>, index: usize, progress: Option<f64>) {
    if progress.is_some_and(|p| !(0.0..=100.0).contains(&p)) {
        errors.push(of_task(index, "progress", "0 to 100"));
    }
}

fn verdict(mut errors: Vec<FieldError>) -> ApiResult<()> {
    // An answer that lists ten thousand mistakes helps nobody.
    errors.truncate(50);
    if errors.is_empty() { Ok(()) } else { Err(ApiError::fields(errors)) }
}

fn out_of_range(field: &str, msg: impl Into<String>) -> FieldError {
    FieldError::body(field, "out_of_range", msg)
}

fn of_task(index: usize, field: &str, msg: &str) -> FieldError {
    let loc = vec!["body".into(), "tasks".into(), index.to_string(), field.into()];
    FieldError { loc, msg: msg.into(), kind: "out_of_range".into() }
}

fn is_text(text: &str, least: usize, most: usize) -> bool {
    (least..=most).contains(&text.chars().count()) && !text.chars().any(char::is_control)
}

fn is_queue(queue: &str) -> bool {
    is_text(queue, 1, 100) && queue.chars().all(|c| c.is_ascii_alphanumeric() || "._:-".contains(c))
}
