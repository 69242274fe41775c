//! Waiting for a task, and its typed result.

use std::time::Duration;

use serde::Deserialize;
use serde_json::json;
use taskloom_client::{Client, Error, Status, Task};

use crate::proxy::Proxy;
use crate::server::{PATIENCE, Server, at_the_gate, eventually};

#[derive(Debug, Deserialize, PartialEq)]
struct Slept {
    slept: f64,
}

#[tokio::test]
async fn a_result_is_of_the_callers_type() {
    let server = Server::start().await;
    let client = server.client("ann").await;
    let nap = client.task("demo.sleep").kwargs(json!({"seconds": 0, "steps": 1})).submit().await.unwrap();
    let slept: Slept = client.tasks().wait_for(nap.id(), PATIENCE).await.unwrap();
    assert_eq!(slept, Slept { slept: 0.0 });
    let error = client.tasks().wait_for::<Vec<u8>>(nap.id(), None).await.unwrap_err();
    assert!(matches!(error, Error::Unreadable(_)), "{error:?}");

    let failing = client.task("demo.fail").kwargs(json!({"fatal": true, "kind": "Boom", "message": "no"}));
    let id = failing.submit().await.unwrap().id();
    let error = client.tasks().wait_for::<Slept>(id, PATIENCE).await.unwrap_err();
    assert_eq!(error.to_string(), format!("task {id} failed: Boom: no"));
    assert!(matches!(error, Error::NotSucceeded(task) if task.status == Status::Failed));
    assert_eq!(client.tasks().wait(id, None).await.unwrap().status, Status::Failed);
}

#[tokio::test]
async fn a_task_that_goes_on_is_not_waited_for_beyond_the_limit() {
    let server = Server::start().await;
    let client = server.client("ann").await;
    let id = at_the_gate(&client).await.id;
    for limit in [Duration::ZERO, Duration::from_millis(300), Duration::from_millis(1_100)] {
        let error = client.tasks().wait(id, limit).await.unwrap_err();
        assert!(matches!(error, Error::Unfinished(task) if task.status == Status::Running));
    }
    let waiting = tokio::spawn({
        let client = client.clone();
        async move { client.tasks().wait(id, PATIENCE).await }
    });
    server.gate.add_permits(1);
    let task: Task = waiting.await.unwrap().unwrap();
    assert_eq!((task.status, task.result.get()), (Status::Succeeded, r#"{"passed":true}"#));
}

#[tokio::test]
async fn a_wait_outlives_its_connection() {
    let server = Server::start().await;
    let client = server.client("ann").await;
    let id = at_the_gate(&client).await.id;
    let proxy = Proxy::before(&server.url).await;
    let far = Client::new(&proxy.url, &server.token("ann").await).unwrap();
    let waiting = tokio::spawn(async move { far.tasks().wait(id, None).await });
    for connections in 1..=2 {
        eventually("the wait to be under way", async || (proxy.connections() == connections).then_some(()))
            .await;
        proxy.cut();
    }
    server.gate.add_permits(1);
    assert_eq!(waiting.await.unwrap().unwrap().status, Status::Succeeded);
}
