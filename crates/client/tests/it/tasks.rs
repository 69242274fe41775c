//! Tasks: submitted in every way, read, listed, steered, downloaded from.

use std::time::Duration;

use futures_util::StreamExt;
use serde_json::json;
use taskloom_client::{
    AttemptOutcome, Backoff, Cause, Change, Code, CountTasks, Error, ListTasks, ParentPolicy, Priority,
    RateLimit, State, Status, SubmitOutcome, SubmitTask, UniqueConflict,
};

use crate::server::{PATIENCE, ROWS, Server, at_the_gate};

const HOUR: Duration = Duration::from_secs(3_600);

#[tokio::test]
async fn every_option_arrives() {
    let server = Server::start().await;
    let client = server.client("ann").await;
    let parent = client.task("demo.echo").delay(HOUR).submit().await.unwrap().id();
    let backoff = Backoff { seconds: 3.0, ..Backoff::default() };
    let rate = RateLimit { count: 5, seconds: 60.0 };
    let described = client
        .task("demo.echo")
        .args((1, "two"))
        .kwargs(json!({"a": [true]}))
        .metadata(json!({"ticket": 7}))
        .name("a name")
        .task_type("label")
        .tag("x")
        .tag("y")
        .model_id("m")
        .queue("high_priority")
        .priority(Priority::Critical)
        .run_at("2100-01-01T00:00:00Z".parse().unwrap())
        .expires_at("2100-01-02T00:00:00Z".parse().unwrap())
        .timeout(Duration::from_secs(60))
        .soft_timeout(Duration::from_millis(500))
        .max_attempts(7)
        .backoff(backoff)
        .retry_on("Busy")
        .unique_key("k")
        .unique_ttl(HOUR)
        .unique_conflict(UniqueConflict::Reject)
        .depends_on([parent])
        .on_parent_failure(ParentPolicy::Run)
        .concurrency("c", 2)
        .rate("r", rate);
    let request = described.clone().build().unwrap();
    assert_eq!(
        serde_json::to_value(&request).unwrap(),
        json!({"task": "demo.echo", "args": [1, "two"], "kwargs": {"a": [true]}, "metadata": {"ticket": 7}, "name": "a name",
            "task_type": "label", "tags": ["x", "y"], "model_id": "m", "queue": "high_priority", "priority": "critical",
            "run_at": "2100-01-01T00:00:00.000000Z", "expires_at": "2100-01-02T00:00:00.000000Z", "timeout": 60.0,
            "soft_timeout": 0.5, "max_attempts": 7, "backoff": {"kind": "exponential", "seconds": 3.0, "max_seconds": 600.0},
            "retry_on": ["Busy"], "unique_key": "k", "unique_ttl": 3600.0, "unique_conflict": "reject",
            "depends_on": [parent], "on_parent_failure": "continue", "concurrency_key": "c", "concurrency_limit": 2,
            "rate_key": "r", "rate_limit": {"count": 5, "seconds": 60.0}})
    );
    let task = described.submit().await.unwrap().task;
    assert_eq!((task.state, task.parent_ids, task.max_attempts), (State::Blocked, vec![parent], 7));
    assert_eq!((task.name.as_deref(), task.queue.as_str()), (Some("a name"), "high_priority"));
}

#[tokio::test]
async fn the_outcome_tells_what_was_there_already() {
    let server = Server::start().await;
    let client = server.client("ann").await;
    let unique = || client.task("demo.echo").delay(HOUR).unique_key("report");
    let first = unique().submit().await.unwrap();
    assert_eq!((first.outcome, first.is_new()), (SubmitOutcome::Made, true));
    let second = unique().submit().await.unwrap();
    assert_eq!((second.outcome, second.id()), (SubmitOutcome::UniqueKey, first.id()));
    let error = unique().unique_conflict(UniqueConflict::Reject).submit().await.unwrap_err();
    assert_eq!(error.code(), Some(Code::UniqueKeyTaken));
    let third = unique().unique_conflict(UniqueConflict::Replace).submit().await.unwrap();
    assert_eq!((third.outcome, third.is_new()), (SubmitOutcome::Replaced(first.id()), true));

    let cached =
        |key: &str| client.task("demo.echo").kwargs(json!({"month": 3})).cache_ttl(HOUR).idempotency_key(key);
    let made = cached("a").submit().await.unwrap();
    assert_eq!(made.outcome, SubmitOutcome::Made);
    assert_eq!(cached("a").submit().await.unwrap().outcome, SubmitOutcome::SameRequest);
    client.tasks().wait(made.id(), PATIENCE).await.unwrap();
    let hit = cached("b").submit().await.unwrap();
    assert_eq!(
        (hit.outcome, hit.task.status, hit.id()),
        (SubmitOutcome::CacheHit, Status::Succeeded, made.id())
    );
    let slow = || client.task("demo.echo").delay(HOUR).cache_ttl(HOUR);
    slow().submit().await.unwrap();
    assert_eq!(slow().submit().await.unwrap().outcome, SubmitOutcome::CacheJoined);
    let error = client.task("demo.noop").idempotency_key("a").submit().await.unwrap_err();
    assert_eq!(error.code(), Some(Code::IdempotencyMismatch));
}

#[tokio::test]
async fn a_list_is_read_in_pages_as_far_as_it_is_wanted() {
    let server = Server::start().await;
    let client = server.client("ann").await;
    let tasks = (0..5).map(|n| client.task("demo.echo").delay(HOUR).tag(format!("n{n}")).build().unwrap());
    let made = client.tasks().submit_many(tasks.collect()).await.unwrap();
    client.task("demo.noop").submit().await.unwrap();
    let query = ListTasks { task: Some("demo.echo".into()), limit: Some(2), ..ListTasks::default() };
    let page = client.tasks().page(&query).await.unwrap();
    assert_eq!((page.items.len(), page.total), (2, 5));
    let mut pages = client.tasks().list(&query).unwrap();
    assert_eq!(pages.next_page().await.unwrap().len(), 2);
    assert_eq!(pages.next().await.unwrap().unwrap().id, made[2].id());
    assert_eq!(pages.next_page().await.unwrap().len(), 1);
    assert_eq!(pages.all().await.unwrap().last().unwrap().id, made[0].id());
    let ids: Vec<_> =
        client.tasks().list(&query).unwrap().into_stream().map(|task| task.unwrap().id).collect().await;
    assert_eq!(ids, made.iter().rev().map(|made| made.id()).collect::<Vec<_>>());
    let tagged = CountTasks { tag: Some("n3".into()), ..CountTasks::default() };
    assert_eq!(client.tasks().count(&tagged).await.unwrap().pending, 1);
    let after = ListTasks { created_after: Some("2100-01-01T00:00:00Z".parse().unwrap()), ..query.clone() };
    assert!(client.tasks().list(&after).unwrap().next().await.unwrap().is_none());
    let wrong = ListTasks { order_by: Some("colour".into()), ..query };
    assert_eq!(client.tasks().page(&wrong).await.unwrap_err().code(), Some(Code::Validation));
    assert_eq!(client.tasks().submit_many(vec![]).await.unwrap_err().code(), Some(Code::Validation));
}

#[tokio::test]
async fn what_a_task_leaves_behind_is_read() {
    let server = Server::start().await;
    let client = server.client("ann").await;
    let id = client.task("test.story").submit().await.unwrap().id();
    client.tasks().wait(id, PATIENCE).await.unwrap();
    let lines: Vec<_> = client.tasks().logs(id, 0).all().await.unwrap();
    assert_eq!(
        lines.iter().map(|kept| kept.line.message.as_str()).collect::<Vec<_>>(),
        ["line 1", "line 2", "line 3"]
    );
    assert_eq!(client.tasks().logs(id, lines[1].seq).all().await.unwrap(), lines[2..]);
    assert_eq!(client.tasks().log_page(id, 0).await.unwrap().next_after, lines[2].seq);
    let attempts = client.tasks().attempts(id).await.unwrap();
    assert_eq!(attempts[0].outcome, Some(AttemptOutcome::Succeeded));
    assert_eq!(client.tasks().explain(id).await.unwrap().cause, Cause::Ended);

    let files = client.tasks().artifacts(id).await.unwrap();
    assert_eq!((files[0].name.as_str(), files[0].bytes), ("rows.csv", ROWS.len() as u64));
    let mut content = Vec::new();
    let bytes = client.tasks().download(id, "rows.csv", &mut content).await.unwrap();
    assert_eq!((bytes, content.as_slice()), (ROWS.len() as u64, ROWS.as_bytes()));
    let error = client.tasks().download(id, "../secret", &mut content).await.unwrap_err();
    assert_eq!(error.code(), Some(Code::NotFound));
}

#[tokio::test]
async fn a_damaged_file_is_told() {
    let half = crate::scripted::answer("200 OK", "etag: \"00ff\"\r\n", "half a file");
    let server = crate::scripted::Scripted::start(vec![half]).await;
    let client = taskloom_client::Client::new(&server.url, "t").unwrap();
    let mut content = Vec::new();
    let error = client.tasks().download(taskloom_client::Uuid::nil(), "f", &mut content).await.unwrap_err();
    assert!(matches!(&error, Error::Unreadable(why) if why.contains("SHA-256")), "{error:?}");
}

#[tokio::test]
async fn tasks_are_steered() {
    let server = Server::start().await;
    let client = server.client("ann").await;
    let tasks = client.tasks();
    let id = tasks
        .submit(&SubmitTask { delay: Some(3_600.0), ..SubmitTask::new("demo.echo") })
        .await
        .unwrap()
        .id();
    let change = Change { priority: Some(Priority::High), ..Change::default() };
    assert_eq!(tasks.change(id, &change).await.unwrap().priority, Priority::High);
    assert_eq!(tasks.explain(id).await.unwrap().cause, Cause::WaitsForTime);
    assert_eq!(tasks.cancel(id).await.unwrap().state, State::Revoked);
    assert_eq!(tasks.cancel(id).await.unwrap_err().code(), Some(Code::TaskEnded));
    assert_eq!(tasks.retry(id).await.unwrap().status, Status::Pending);
    assert_eq!(tasks.wait(id, PATIENCE).await.unwrap().status, Status::Succeeded);
    tasks.delete(id).await.unwrap();
    assert_eq!(tasks.get(id).await.unwrap_err().code(), Some(Code::NotFound));
    assert_eq!(tasks.purge(id).await.unwrap_err().code(), Some(Code::Forbidden));

    let running = at_the_gate(&client).await;
    assert_eq!(tasks.retry(running.id).await.unwrap_err().code(), Some(Code::TaskNotEnded));
    let report = Change { progress: Some(40.0), ..Change::default() };
    assert!((tasks.change(running.id, &report).await.unwrap().progress - 40.0).abs() < 0.01);
    assert_eq!(tasks.cancel_by_force(running.id).await.unwrap().state, State::Revoked);
}
