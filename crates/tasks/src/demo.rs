//! Handlers to try Taskloom with.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use taskloom_worker::{Args, Context, HandlerError, Kwargs, Registry};
use tokio::time::{Instant, sleep_until};

pub(crate) fn register(registry: &mut Registry) {
    registry
        .register("demo.echo", echo)
        .register("demo.sleep", sleep)
        .register("demo.fail", fail)
        .register("demo.noop", noop);
}

/// Gives back what it got.
async fn echo(
    _: Context,
    Args(args): Args<Value>,
    Kwargs(kwargs): Kwargs<Value>,
) -> Result<Value, HandlerError> {
    Ok(json!({"args": args, "kwargs": kwargs}))
}

/// Nothing, for measurements.
async fn noop(_: Context) -> Result<Value, HandlerError> {
    Ok(Value::Null)
}

/// What `demo.sleep` reads; other named arguments are ignored, since users' first scripts send some.
#[derive(Debug, Deserialize)]
struct Sleep {
    seconds: Option<f64>,
    steps: Option<u32>,
}

/// Sleeps `args[0]` or `kwargs.seconds` seconds (1 unless given, up to a day) in `kwargs.steps` steps (10 unless given, up
/// to 10,000) and reports progress after each.
async fn sleep(
    ctx: Context,
    Args(args): Args<Vec<Value>>,
    Kwargs(kwargs): Kwargs<Sleep>,
) -> Result<Value, HandlerError> {
    let seconds = seconds(args.first(), kwargs.seconds)?;
    let steps = kwargs.steps.unwrap_or(10);
    if !(1..=10_000).contains(&steps) {
        return Err(HandlerError::fatal("bad_arguments", "kwargs.steps: 1 to 10000"));
    }
    let start = Instant::now();
    for step in 1..=steps {
        let share = f64::from(step) / f64::from(steps);
        tokio::select! {
            biased;
            () = ctx.cancelled() => return Err(HandlerError::cancelled()),
            () = sleep_until(start + Duration::from_secs_f64(seconds * share)) => {}
        }
        ctx.progress_with(100.0 * share, json!({"step": step, "steps": steps}));
    }
    Ok(json!({"slept": seconds}))
}

fn seconds(first: Option<&Value>, named: Option<f64>) -> Result<f64, HandlerError> {
    let bad =
        |field: &str| HandlerError::fatal("bad_arguments", format_args!("{field}: seconds, 0 to 86400"));
    let (field, seconds) = match first {
        Some(value) => ("args[0]", value.as_f64().ok_or_else(|| bad("args[0]"))?),
        None => ("kwargs.seconds", named.unwrap_or(1.0)),
    };
    if (0.0..=86_400.0).contains(&seconds) { Ok(seconds) } else { Err(bad(field)) }
}

/// What `demo.fail` reads.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Fail {
    /// The error's message.
    message: Option<String>,
    /// The error's kind.
    kind: Option<String>,
    /// Whether no other attempt should follow.
    #[serde(default)]
    fatal: bool,
    /// Succeed from this attempt on.
    succeed_on_attempt: Option<u32>,
}

/// Fails as it is told to.
async fn fail(ctx: Context, Kwargs(fail): Kwargs<Fail>) -> Result<Value, HandlerError> {
    let attempt = ctx.task().attempt;
    if fail.succeed_on_attempt.is_some_and(|first| attempt >= first) {
        return Ok(json!({"attempt": attempt}));
    }
    let kind = fail.kind.unwrap_or_else(|| "demo".into());
    let message = fail.message.unwrap_or_else(|| format!("attempt {attempt} failed as it was told to"));
    Err(if fail.fatal { HandlerError::fatal(kind, message) } else { HandlerError::retryable(kind, message) })
}
