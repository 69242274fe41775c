//! What a worker may say.

use taskloom_protocol::{
    Code, Limits, LogLine, Outcome, PROTOCOL_VERSION, Register, WorkerError, check_json,
};

/// The longest a handler may put its task off, in milliseconds.
const YEAR_MS: u64 = 365 * 86_400_000;

pub(crate) fn invalid(detail: impl Into<String>) -> WorkerError {
    WorkerError::Refused { code: Code::Validation, detail: detail.into() }
}

/// What is wrong with one task of a call, by its place.
pub(crate) fn of_task(index: usize, error: WorkerError) -> WorkerError {
    match error {
        WorkerError::Refused { code, detail } => {
            WorkerError::Refused { code, detail: format!("tasks.{index}.{detail}") }
        }
        other => other,
    }
}

pub(crate) fn check_range(field: &str, value: u64, least: u64, most: u64) -> Result<(), WorkerError> {
    if (least..=most).contains(&value) { Ok(()) } else { Err(invalid(format!("{field}: {least} to {most}"))) }
}

pub(crate) fn check_hello(hello: &Register, limits: &Limits) -> Result<(), WorkerError> {
    if hello.protocol != PROTOCOL_VERSION {
        return Err(invalid(format!("protocol: this server speaks version {PROTOCOL_VERSION}")));
    }
    check_range("name", hello.name.chars().count() as u64, 1, 200)?;
    check_range("queues", hello.queues.len() as u64, 1, 100)?;
    check_range("handlers", hello.handlers.len() as u64, 0, 10_000)?;
    check_range("concurrency", u64::from(hello.concurrency), 1, 100_000)?;
    let named = |c: char| c.is_ascii_alphanumeric() || "._:-".contains(c);
    for queue in &hello.queues {
        if queue.is_empty() || queue.len() > 100 || !queue.chars().all(named) {
            return Err(invalid("queues: names of 1 to 100 letters, digits, '.', '_', '-' or ':'"));
        }
    }
    let mut texts = hello.handlers.iter().chain([&hello.name, &hello.version]);
    if texts.any(|text| text.chars().count() > 200 || text.chars().any(char::is_control)) {
        return Err(invalid("name, version and handlers: up to 200 printable characters"));
    }
    for (handler, defaults) in hello.defaults.iter().flatten() {
        if !hello.handlers.is_empty() && !hello.handlers.contains(handler) {
            return Err(invalid(format!("defaults.{handler}: not among handlers")));
        }
        if handler.is_empty() || handler.chars().count() > 200 || handler.chars().any(char::is_control) {
            return Err(invalid("defaults: names of 1 to 200 printable characters"));
        }
        if let Some(error) = defaults.check(limits).first() {
            let field = error.loc.get(1..).unwrap_or_default().join(".");
            return Err(invalid(format!("defaults.{handler}.{field}: {}", error.msg)));
        }
    }
    check_range("defaults", hello.defaults.as_ref().map_or(0, |all| all.len() as u64), 0, 10_000)
}

pub(crate) fn check_news(
    progress: Option<f64>,
    detail: Option<&taskloom_protocol::Json>,
    logs: &[LogLine],
) -> Result<(), WorkerError> {
    if progress.is_some_and(|p| !(0.0..=100.0).contains(&p)) {
        return Err(invalid("progress: 0 to 100"));
    }
    if let Some(detail) = detail {
        if detail.get().len() > 64 << 10 {
            return Err(invalid("detail: at most 64 KiB"));
        }
        check_json(detail.get(), 64).map_err(|error| invalid(format!("detail: {error}")))?;
    }
    check_range("logs", logs.len() as u64, 0, 1_000)
}

pub(crate) fn check_outcome(outcome: &Outcome, limits: &Limits) -> Result<(), WorkerError> {
    match outcome {
        Outcome::Success { result } if result.get().len() > limits.payload_bytes => {
            Err(invalid(format!("outcome.result: at most {} bytes", limits.payload_bytes)))
        }
        Outcome::Snooze { delay_ms: ms } | Outcome::Error { retry_in_ms: Some(ms), .. } if *ms > YEAR_MS => {
            Err(invalid("outcome.delay_ms and retry_in_ms: at most a year"))
        }
        Outcome::Success { result } => check_json(result.get(), limits.depth)
            .map_err(|error| invalid(format!("outcome.result: {error}"))),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_bounded_in_characters() {
        let hello = |handler: String, version: String| Register {
            protocol: PROTOCOL_VERSION,
            session: uuid::Uuid::nil(),
            name: "w".into(),
            queues: vec!["default".into()],
            handlers: vec![handler],
            concurrency: 1,
            version,
            defaults: None,
        };
        let check =
            |handler: String, version: String| check_hello(&hello(handler, version), &Limits::default());
        assert!(check("\u{1f980}".repeat(200), "v".repeat(200)).is_ok());
        for (handler, version) in
            [("h".repeat(201), String::new()), ("h".into(), "v".repeat(201)), ("h\n".into(), String::new())]
        {
            assert!(check(handler.clone(), version).is_err(), "{handler:?}");
        }
    }
}
