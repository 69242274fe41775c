//! The demo handlers, run by a worker.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::float_cmp,
    reason = "a test may panic; percentages are exact"
)]

#[path = "support/harness.rs"]
mod harness;

use harness::Harness;
use serde_json::{Value, json};
use taskloom_protocol::Outcome;
use taskloom_tasks::TasksConfig;

fn start() -> Harness {
    Harness::start(&TasksConfig::default())
}

#[tokio::test]
async fn echo_gives_back_and_noop_gives_nothing() {
    let harness = start();
    let seen = harness.run("demo.echo", &json!([1, "二"]), &json!({"a": {"b": null}})).await;
    assert_eq!(seen.result(), json!({"args": [1, "二"], "kwargs": {"a": {"b": null}}}));
    assert_eq!(harness.run("demo.noop", &json!([1]), &json!({"x": 1})).await.result(), Value::Null);
}

#[tokio::test]
async fn sleep_takes_its_seconds_from_either_place_and_ignores_the_rest() {
    let harness = start();
    let seen = harness.run("demo.sleep", &json!([0.02]), &json!({"param": "value"})).await;
    assert_eq!(seen.result(), json!({"slept": 0.02}));
    assert_eq!(seen.progress, 100.0);
    let seen = harness.run("demo.sleep", &json!([]), &json!({"seconds": 0, "steps": 3})).await;
    assert_eq!(seen.result(), json!({"slept": 0.0}));
    for (args, kwargs, says) in [
        (json!(["x"]), json!({}), "args[0]"),
        (json!([-1]), json!({}), "args[0]"),
        (json!([86_401]), json!({}), "args[0]"),
        (json!([]), json!({"seconds": -0.5}), "kwargs.seconds"),
        (json!([]), json!({"seconds": "1"}), "kwargs.seconds"),
        (json!([]), json!({"steps": 0}), "kwargs.steps"),
        (json!([]), json!({"steps": 10_001}), "kwargs.steps"),
    ] {
        let error = harness.run("demo.sleep", &args, &kwargs).await.error();
        assert!(error.starts_with("fatal bad_arguments") && error.contains(says), "{error}");
    }
}

#[tokio::test]
async fn sleep_stops_when_it_is_cancelled() {
    let harness = start();
    let id = harness.submit("demo.sleep", &json!([8_640]), &json!({"steps": 10_000}), 1);
    harness.detail(id, |detail| detail["step"].is_u64()).await;
    harness.cancel(id);
    let seen = harness.end(id).await;
    assert!(matches!(seen.outcome, Some(Outcome::Cancelled)), "{:?}", seen.outcome);
    assert!(seen.progress < 100.0);
}

#[tokio::test]
async fn fail_fails_as_it_is_told() {
    let harness = start();
    let fail = async |kwargs: Value| harness.run("demo.fail", &json!([]), &kwargs).await.error();
    assert_eq!(fail(json!({})).await, "error demo: attempt 1 failed as it was told to");
    assert_eq!(fail(json!({"message": "m", "kind": "k", "fatal": true})).await, "fatal k: m");
    assert!(fail(json!({"fatal": "x"})).await.starts_with("fatal bad_arguments: kwargs.fatal"));
    assert!(fail(json!({"fatl": true})).await.starts_with("fatal bad_arguments"));
    let kwargs = json!({"succeed_on_attempt": 2});
    assert!(fail(kwargs.clone()).await.starts_with("error demo"));
    let second = harness.submit("demo.fail", &json!([]), &kwargs, 2);
    assert_eq!(harness.end(second).await.result(), json!({"attempt": 2}));
}
