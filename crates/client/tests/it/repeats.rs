//! What is made again, and what is made once all the same.

use std::pin::pin;
use std::time::Duration;

use serde_json::{Value, json};
use taskloom_client::{
    Client, CountTasks, Error, ListWorkflows, Status, SubmitOutcome, SubmitTask, SubmitWorkflow, Task,
    Timestamp, Uuid,
};
use tokio::net::TcpSocket;

use crate::proxy::Proxy;
use crate::scripted::{Scripted, answer, header};
use crate::server::Server;

const BUSY: &str = r#"{"type":"/problems/unavailable","title":"Not available right now","status":503,
    "detail":"starting","code":"unavailable"}"#;

fn a_task() -> String {
    serde_json::to_string(&Task::blank(Uuid::nil(), "t".into(), Uuid::nil(), Timestamp::MIN)).unwrap()
}

#[tokio::test]
async fn a_submission_whose_answer_is_lost_makes_one_task() {
    let server = Server::start().await;
    let proxy = Proxy::before(&server.url).await;
    let client = Client::new(&proxy.url, &server.token("ann").await).unwrap();
    proxy.swallow_answers(2);
    let submitted = client.task("demo.echo").args([1]).submit().await.unwrap();
    assert_eq!(proxy.connections(), 3);
    assert_eq!((submitted.outcome, submitted.is_new()), (SubmitOutcome::SameRequest, false));
    proxy.swallow_answers(1);
    proxy.cut();
    let both = vec![SubmitTask::new("demo.echo"), SubmitTask::new("demo.echo")];
    let both = client.tasks().submit_many(both).await.unwrap();
    assert_eq!(both.len(), 2);
    let count = client.tasks().count(&CountTasks::default()).await.unwrap();
    assert_eq!(count.total, 3);

    proxy.swallow_answers(1);
    proxy.cut();
    let workflow = SubmitWorkflow::new("one").node("a", SubmitTask::new("demo.echo"));
    let workflow = client.workflows().submit(&workflow).await.unwrap();
    assert!(workflow.deduplicated);
    assert_eq!(client.workflows().list(&ListWorkflows::default()).unwrap().all().await.unwrap().len(), 1);
}

#[tokio::test]
async fn what_cannot_be_repeated_is_told() {
    let server = Server::start().await;
    let proxy = Proxy::before(&server.url).await;
    let client = Client::new(&proxy.url, &server.token("ann").await).unwrap();
    let id = client.task("demo.echo").delay(Duration::from_secs(3_600)).submit().await.unwrap().id();
    // With a connection of its own.
    let client = Client::new(&proxy.url, &server.token("ann").await).unwrap();
    proxy.swallow_answers(1);
    let connections = proxy.connections();
    let error = client.tasks().cancel(id).await.unwrap_err();
    assert!(matches!(error, Error::Unreachable { sent: true, .. }), "{error:?}");
    assert!(error.is_passing() && error.to_string().starts_with("lost http://127.0.0.1:"), "{error}");
    assert_eq!(proxy.connections(), connections + 1);
    // It was carried out, and reading says so.
    assert_eq!(client.tasks().get(id).await.unwrap().status, Status::Revoked);
}

#[tokio::test]
async fn a_busy_server_is_asked_again_with_the_same_key() {
    let busy = answer("503 Service Unavailable", "retry-after: 0\r\n", BUSY);
    let full = answer("429 Too Many Requests", "retry-after: 0\r\n", "");
    let proxy = answer("502 Bad Gateway", "", "<html>");
    let server = Scripted::start(vec![busy, full, proxy, answer("201 Created", "", &a_task())]).await;
    let client = Client::new(&server.url, "t").unwrap();
    let submitted = client.task("t").kwargs(json!({"a": 1})).submit().await.unwrap();
    assert_eq!(submitted.outcome, SubmitOutcome::Made);
    let heads = server.heads();
    let keys: Vec<_> = heads.iter().map(|head| header(head, "idempotency-key").unwrap()).collect();
    assert_eq!(keys.len(), 4);
    assert!(keys[0].starts_with("rust-") && keys.iter().all(|key| *key == keys[0]), "{keys:?}");
    assert!(heads.iter().all(|head| header(head, "authorization") == Some("bearer t")), "{heads:?}");
}

#[tokio::test]
async fn the_tries_are_bounded() {
    let busy = || answer("503 Service Unavailable", "retry-after: 0\r\n", BUSY);
    let server = Scripted::start(vec![busy(); 9]).await;
    let client = Client::new(&server.url, "t").unwrap();
    let error = client.task("t").idempotency_key("mine").submit().await.unwrap_err();
    assert_eq!(error.problem().unwrap().status, 503);
    assert!(error.is_passing());
    let keys: Vec<_> =
        server.heads().iter().map(|head| header(head, "idempotency-key") == Some("mine")).collect();
    assert_eq!(keys, [true; 4]);
    client.clone().tries(2).tasks().get(Uuid::nil()).await.unwrap_err();
    assert_eq!(server.heads().len(), 6);
    // Whether it was carried out nobody knows.
    client.tasks().retry(Uuid::nil()).await.unwrap_err();
    assert_eq!(server.heads().len(), 7);
}

#[tokio::test]
async fn a_server_that_is_just_starting_is_waited_for() {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = socket.local_addr().unwrap().to_string();
    let client = Client::new(&address, "t").unwrap().tries(20);
    // Nothing was sent, so that also a call without a key is made again.
    let verdict =
        json!({"success": true, "message": "", "task": serde_json::from_str::<Value>(&a_task()).unwrap()});
    let tasks = client.tasks();
    let mut cancelling = pin!(tasks.cancel(Uuid::nil()));
    let refused = tokio::time::timeout(Duration::from_millis(200), cancelling.as_mut()).await;
    assert!(refused.is_err(), "{refused:?}");
    let server = Scripted::on(socket.listen(16).unwrap(), vec![answer("200 OK", "", &verdict.to_string())]);
    cancelling.await.unwrap();
    assert_eq!(server.heads().len(), 1);
}
