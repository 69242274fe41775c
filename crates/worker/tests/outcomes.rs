//! What becomes of what a handler returns.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that panics has failed")]

mod common;

use std::time::Duration;

use common::{Fake, Running, error_of};
use serde::Deserialize;
use serde_json::{Value, json};
use taskloom_protocol::Outcome;
use taskloom_worker::{Args, Context, HandlerError, Kwargs, Registry};

#[derive(Deserialize)]
struct Greeting {
    name: String,
    #[serde(default)]
    times: u32,
}

async fn no_arguments(ctx: Context) -> Result<u32, HandlerError> {
    Ok(ctx.task().attempt)
}

async fn kwargs(_: Context, Kwargs(greeting): Kwargs<Greeting>) -> Result<String, HandlerError> {
    Ok(format!("hello {} {}", greeting.name, greeting.times))
}

async fn args(_: Context, Args(numbers): Args<Vec<f64>>) -> Result<f64, HandlerError> {
    Ok(numbers.iter().sum())
}

async fn both(
    _: Context,
    Args((first, second)): Args<(u32, String)>,
    Kwargs(rest): Kwargs<Greeting>,
) -> Result<Value, HandlerError> {
    Ok(json!([first, second, rest.name]))
}

async fn panics(_: Context) -> Result<(), HandlerError> {
    panic!("at the {}", "disco")
}

struct PanicsOnDrop;

impl Drop for PanicsOnDrop {
    fn drop(&mut self) {
        panic!("while dropped");
    }
}

async fn panics_on_drop(_: Context) -> Result<(), HandlerError> {
    let _bomb = PanicsOnDrop;
    std::future::pending().await
}

fn registry() -> Registry {
    Registry::new()
        .with("none", no_arguments)
        .with("kwargs", kwargs)
        .with("args", args)
        .with("both", both)
        .with("panics", panics)
        .with("panics_on_drop", panics_on_drop)
        .with("closure", async |_: Context| Ok::<_, HandlerError>("from a closure"))
        .with("std_error", async |_: Context| Ok::<u8, HandlerError>("x".parse::<u8>()?))
        .with("other_error", async |_: Context| "x".parse::<u8>())
        .with("retryable", async |_: Context| Err::<(), _>(HandlerError::retryable("busy", "later")))
        .with("retry_in", async |_: Context| {
            Err::<(), _>(HandlerError::retry_in("busy", "later", Duration::from_secs(7)))
        })
        .with("fatal", async |_: Context| {
            Err::<(), _>(HandlerError::fatal("gone", "for ever").with_traceback("at 7"))
        })
        .with("snooze", async |_: Context| Err::<(), _>(HandlerError::snooze(Duration::from_secs(9))))
        .with("cancelled", async |_: Context| Err::<(), _>(HandlerError::cancelled()))
        .with("too_large", async |_: Context| Ok::<_, HandlerError>("x".repeat(1 << 20)))
        .with("no_json", async |_: Context| {
            Ok::<_, HandlerError>(std::collections::HashMap::from([(vec![1_u8], 1_u8)]))
        })
        .with("blocking_panic", async |ctx: Context| {
            ctx.blocking(|| assert_eq!(1, 2, "arithmetic is broken")).await
        })
}

/// Runs one task and gives its outcome.
async fn run(name: &str, args: Value, kwargs: Value) -> Outcome {
    let fake = Fake::new();
    let task = fake.push(name, args, kwargs);
    let running = Running::start(&fake, registry());
    let outcome = fake.outcome(task).await;
    running.stop().await.unwrap();
    outcome
}

async fn result_of(name: &str, args: Value, kwargs: Value) -> Value {
    match run(name, args, kwargs).await {
        Outcome::Success { result } => serde_json::from_str(result.get()).unwrap(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn every_form_of_handler_gets_its_arguments() {
    assert_eq!(result_of("none", json!([1]), json!({"a": 1})).await, json!(1));
    assert_eq!(
        result_of("kwargs", json!([]), json!({"name": "任务", "times": 2})).await,
        json!("hello 任务 2")
    );
    assert_eq!(result_of("args", json!([1, 2.5]), json!({})).await, json!(3.5));
    assert_eq!(
        result_of("both", json!([1, "two"]), json!({"name": "three"})).await,
        json!([1, "two", "three"])
    );
    assert_eq!(result_of("closure", json!([]), json!({})).await, json!("from a closure"));
}

#[tokio::test]
async fn arguments_that_do_not_fit_are_fatal_and_named() {
    for (name, args, kwargs, wanted) in [
        ("kwargs", json!([]), json!({}), "kwargs: missing field `name`"),
        ("kwargs", json!([]), json!({"name": "x", "times": -1}), "kwargs.times: invalid value: integer `-1`"),
        ("args", json!([1, "two"]), json!({}), "args[1]: invalid type: string \"two\""),
        ("both", json!([1]), json!({"name": "x"}), "args: invalid length 1"),
    ] {
        let outcome = run(name, args, kwargs).await;
        assert!(matches!(outcome, Outcome::Fatal { .. }), "{outcome:?}");
        let error = error_of(outcome);
        assert_eq!(error.kind, "bad_arguments");
        assert!(error.message.starts_with(wanted), "{}", error.message);
    }
}

#[tokio::test]
async fn errors_keep_their_decision() {
    let none = || (json!([]), json!({}));
    let outcome = async |name| run(name, none().0, none().1).await;
    let Outcome::Error { error, retry_in_ms: None } = outcome("retryable").await else { panic!() };
    assert_eq!((error.kind.as_str(), error.message.as_str()), ("busy", "later"));
    let Outcome::Error { retry_in_ms: Some(7_000), .. } = outcome("retry_in").await else { panic!() };
    let Outcome::Fatal { error } = outcome("fatal").await else { panic!() };
    assert_eq!(error.traceback.as_deref(), Some("at 7"));
    let Outcome::Snooze { delay_ms: 9_000 } = outcome("snooze").await else { panic!() };
    let Outcome::Cancelled = outcome("cancelled").await else { panic!() };
    for name in ["std_error", "other_error"] {
        let Outcome::Error { error, retry_in_ms: None } = outcome(name).await else { panic!() };
        assert_eq!(error.kind, "ParseIntError");
        assert!(error.message.contains("invalid digit"), "{}", error.message);
    }
}

#[tokio::test]
async fn results_that_cannot_travel_are_fatal() {
    for name in ["too_large", "no_json"] {
        let outcome = run(name, json!([]), json!({})).await;
        assert!(matches!(outcome, Outcome::Fatal { .. }), "{outcome:?}");
        assert_eq!(error_of(outcome).kind, "bad_result");
    }
}

#[tokio::test]
async fn a_panic_is_charged_to_its_task_alone() {
    let fake = Fake::new();
    let bad = fake.push("panics", json!([]), json!({}));
    let blocking = fake.push("blocking_panic", json!([]), json!({}));
    let bomb = fake.push_with("panics_on_drop", json!([]), json!({}), |task| task.timeout_ms = Some(1));
    let good = fake.push("none", json!([]), json!({}));
    let running = Running::start(&fake, registry());
    let Outcome::Error { error, .. } = fake.outcome(bad).await else { panic!() };
    assert_eq!((error.kind.as_str(), error.message.as_str()), ("panic", "at the disco"));
    let Outcome::Error { error, .. } = fake.outcome(blocking).await else { panic!() };
    assert_eq!(error.kind, "panic");
    assert!(error.message.contains("arithmetic is broken"), "{}", error.message);
    assert!(matches!(fake.outcome(bomb).await, Outcome::Timeout));
    assert!(matches!(fake.outcome(good).await, Outcome::Success { .. }));
    running.stop().await.unwrap();
}

#[tokio::test]
async fn an_unknown_handler_is_fatal_and_the_known_ones_are_listed() {
    let Outcome::Fatal { error } = run("nobody", json!([]), json!({})).await else { panic!() };
    assert_eq!(error.kind, "unknown_handler");
    assert!(
        error.message.contains("\"nobody\"") && error.message.contains("knows: args, blocking_panic, both,"),
        "{}",
        error.message
    );

    let many = (0..25).fold(Registry::new(), |registry, n| registry.with(format!("h{n:02}"), no_arguments));
    let fake = Fake::new();
    let task = fake.push("nobody", json!([]), json!({}));
    let running = Running::start(&fake, many);
    let message = error_of(fake.outcome(task).await).message;
    assert!(message.contains("h19 and 5 more") && !message.contains("h20"), "{message}");
    running.stop().await.unwrap();
}

#[test]
fn registries_merge() {
    let mut registry = Registry::new();
    registry.register("a", no_arguments).extend(Registry::new().with("b", args).with("a", kwargs));
    assert_eq!(registry.names().collect::<Vec<_>>(), ["a", "b"]);
    assert!(registry.contains("b") && !registry.contains("c"));
}
