//! What answers for long: event streams, long-polls, and their end at shutdown.

use std::time::Duration;

use futures_util::StreamExt;
use reqwest::Response;
use serde_json::{Value, json};
use taskloom_server::DrainReport;

use crate::server::{Server, whole};

/// Reads server-sent events.
struct Events {
    response: std::pin::Pin<Box<dyn futures_util::Stream<Item = reqwest::Result<bytes::Bytes>> + Send>>,
    buffer: String,
    /// The id of the last event.
    id: String,
}

impl Events {
    fn new(response: Response) -> Self {
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self { response: Box::pin(response.bytes_stream()), buffer: String::new(), id: String::new() }
    }

    /// The next event's name and data; none at the end of the stream.
    async fn next(&mut self) -> Option<(String, Value)> {
        loop {
            if let Some((event, rest)) = self.buffer.split_once("\n\n") {
                let field = |name: &str| {
                    event.lines().find_map(|l| l.strip_prefix(name)?.strip_prefix(": ").map(str::to_owned))
                };
                let found = field("event").zip(field("data"));
                self.id = field("id").unwrap_or_default();
                self.buffer = rest.to_string();
                if let Some((name, data)) = found {
                    return Some((name, serde_json::from_str(&data).unwrap()));
                }
                continue;
            }
            let piece = tokio::time::timeout(Duration::from_secs(30), self.response.next()).await.unwrap()?;
            self.buffer += std::str::from_utf8(&piece.unwrap()).unwrap();
        }
    }
}

#[tokio::test]
async fn a_task_is_watched_to_its_end() {
    let server = Server::start().await;
    let ann = server.login("ann").await;
    let (token, session) = server.worker().await;
    let id = server.submit(&ann, json!({"task": "demo.echo"})).await;
    let request = server.request("GET", &format!("/tasks/{id}/events")).bearer_auth(&ann);
    let mut events = Events::new(request.header("Accept", "text/event-stream").send().await.unwrap());
    let (name, task) = events.next().await.unwrap();
    assert_eq!((name.as_str(), &task["id"], &task["state"]), ("state", &json!(id), &json!("ready")));

    let (_, epoch) = server.claim(&token, session).await;
    let (name, event) = events.next().await.unwrap();
    assert_eq!((name.as_str(), &event["state"], &event["attempt"]), ("state", &json!("running"), &json!(1)));

    let news = json!({"session": session, "tasks": [{"id": id, "epoch": epoch, "progress": 40.0,
        "logs": [{"at": "2026-01-31T08:00:00Z", "message": "half way"}]}]});
    server.post(&token, "/worker/beat", news).await.expect(200);
    let (name, event) = events.next().await.unwrap();
    assert_eq!((name.as_str(), &event["progress"]), ("progress", &json!(40.0)));
    let (name, event) = events.next().await.unwrap();
    assert_eq!((name.as_str(), &event["message"]), ("log", &json!("half way")));

    let finish = json!({"session": session, "tasks": [{"id": id, "epoch": epoch, "outcome": {"success": {"result": 1}}}]});
    server.post(&token, "/worker/finish", finish).await.expect(200);
    let (name, event) = events.next().await.unwrap();
    assert_eq!((name.as_str(), &event["status"]), ("state", &json!("succeeded")));
    assert!(events.next().await.is_none(), "the stream ends with the task");

    let late = server.request("GET", &format!("/tasks/{id}/events")).bearer_auth(&ann).send().await.unwrap();
    let mut late = Events::new(late);
    assert_eq!(late.next().await.unwrap().1["result"], 1);
    assert!(late.next().await.is_none());
}

#[tokio::test]
async fn a_long_poll_answers_when_the_task_ends() {
    let server = Server::start().await;
    let ann = server.login("ann").await;
    let id = server.submit(&ann, json!({"task": "demo.echo"})).await;
    let waiting = server.request("GET", &format!("/tasks/{id}?wait=60")).bearer_auth(&ann);
    let waiting = tokio::spawn(async move { whole(waiting.send().await.unwrap()).await });
    crate::server::read(server.request("POST", &format!("/tasks/{id}/cancel")).bearer_auth(&ann))
        .await
        .expect(200);
    let answer =
        tokio::time::timeout(Duration::from_secs(45), waiting).await.expect("it waits for the task's end");
    assert_eq!(answer.unwrap().expect(200)["status"], "revoked");
}

#[tokio::test]
async fn a_stream_ends_with_its_viewers_login() {
    let server = Server::start().await;
    let ann = server.login("ann").await;
    let id = server.submit(&ann, json!({"task": "demo.echo"})).await;
    let request = server.request("GET", &format!("/tasks/{id}/events")).bearer_auth(&ann);
    let mut events = Events::new(request.send().await.unwrap());
    events.next().await.unwrap();
    crate::server::read(server.request("POST", "/auth/logout").bearer_auth(&ann)).await.expect(204);
    assert!(events.next().await.is_none());
}

#[tokio::test]
async fn there_is_room_for_so_many_streams() {
    let server = Server::with(|config| config.max_streams = 1).await;
    let ann = server.login("ann").await;
    let id = server.submit(&ann, json!({"task": "demo.echo"})).await;
    let open = || server.request("GET", &format!("/tasks/{id}/events")).bearer_auth(&ann).send();
    let first = Events::new(open().await.unwrap());
    whole(open().await.unwrap()).await.problem(503, "unavailable");
    drop(first);
}

#[tokio::test]
async fn a_shutdown_ends_streams_and_long_polls() {
    let server = Server::start().await;
    let ann = server.login("ann").await;
    let (token, session) = server.worker().await;
    let id = server.submit(&ann, json!({"task": "demo.echo", "queue": "elsewhere"})).await;
    let watching =
        server.request("GET", &format!("/tasks/{id}/events")).bearer_auth(&ann).send().await.unwrap();
    let mut watching = Events::new(watching);
    watching.next().await.unwrap();
    let waiting = server.request("GET", &format!("/tasks/{id}?wait=60")).bearer_auth(&ann);
    let claiming = server.request("POST", "/worker/claim").bearer_auth(&token);
    let claiming = claiming.json(&json!({"session": session, "limit": 1, "wait_ms": 60_000}));
    let waiting = tokio::spawn(async move { waiting.send().await });
    let claiming = tokio::spawn(async move { claiming.send().await });
    server.get(&ann, "/tasks").await.expect(200);
    server.shutdown.cancel();
    assert!(watching.next().await.is_none());
    // Calls that had not reached the server yet see a refused connection, those that had an answer.
    for call in [waiting, claiming] {
        if let Ok(response) = tokio::time::timeout(Duration::from_secs(20), call).await.unwrap().unwrap() {
            assert_eq!(response.status(), 200);
        }
    }
    drop(server.http);
    assert_eq!(server.serving.await.unwrap(), DrainReport { cut: 0 });
}

/// The news of a worker about one task.
fn news(session: uuid::Uuid, id: &str, epoch: u64, progress: f64, lines: &[String]) -> Value {
    let logs: Vec<Value> =
        lines.iter().map(|line| json!({"at": "2026-01-31T08:00:00Z", "message": line})).collect();
    json!({"session": session, "tasks": [{"id": id, "epoch": epoch, "progress": progress, "logs": logs}]})
}

#[tokio::test]
async fn who_was_cut_off_gets_what_was_missed() {
    let server = Server::start().await;
    let ann = server.login("ann").await;
    let (token, session) = server.worker().await;
    let id = server.submit(&ann, json!({"task": "demo.echo"})).await;
    let path = format!("/tasks/{id}/events");
    let first = server.request("GET", &path).bearer_auth(&ann).send().await.unwrap();
    let mut events = Events::new(first);
    events.next().await.unwrap();
    let (_, epoch) = server.claim(&token, session).await;
    server.post(&token, "/worker/beat", news(session, &id, epoch, 10.0, &["one".into()])).await.expect(200);
    while events.next().await.unwrap().0 != "log" {}
    let last = events.id.clone();
    drop(events);

    let lines: Vec<String> = (0..450).map(|n| format!("line {n}")).collect();
    server.post(&token, "/worker/beat", news(session, &id, epoch, 40.0, &lines)).await.expect(200);
    let again = server.request("GET", &path).bearer_auth(&ann).header("Last-Event-ID", &last);
    let mut events = Events::new(again.send().await.unwrap());
    for line in &lines {
        let (name, event) = events.next().await.unwrap();
        assert_eq!((name.as_str(), event["message"].as_str()), ("log", Some(line.as_str())));
        assert!(event["seq"].as_u64().unwrap() > 0);
    }
    let (name, event) = events.next().await.unwrap();
    assert_eq!((name.as_str(), &event["progress"]), ("progress", &json!(40.0)), "the state has not moved on");
    let last = events.id.clone();
    drop(events);

    let finish = json!({"session": session, "tasks": [{"id": id, "epoch": epoch, "outcome": {"success": {"result": 1}},
        "logs": [{"at": "2026-01-31T08:00:00Z", "message": "last"}]}]});
    server.post(&token, "/worker/finish", finish).await.expect(200);
    let again = server.request("GET", &format!("{path}?last_event_id={last}")).bearer_auth(&ann);
    let mut events = Events::new(again.send().await.unwrap());
    assert_eq!(events.next().await.unwrap().1["message"], "last");
    assert_eq!(events.next().await.unwrap().1["state"], "succeeded");
    let last = events.id.clone();
    assert!(events.next().await.is_none());
    let again = server.request("GET", &path).bearer_auth(&ann).header("Last-Event-ID", &last);
    assert_eq!(again.send().await.unwrap().status(), 204, "a browser stops here");
}

#[tokio::test]
async fn a_stream_from_the_beginning_has_every_line() {
    let server = Server::start().await;
    let ann = server.login("ann").await;
    let (token, session) = server.worker().await;
    let id = server.submit(&ann, json!({"task": "demo.echo"})).await;
    let (_, epoch) = server.claim(&token, session).await;
    let long = "x".repeat(10_000);
    server.post(&token, "/worker/beat", news(session, &id, epoch, 10.0, &[long])).await.expect(200);
    let path = format!("/tasks/{id}/events?last_event_id=0");
    let mut events = Events::new(server.request("GET", &path).bearer_auth(&ann).send().await.unwrap());
    assert_eq!(events.next().await.unwrap().1["state"], "running");
    let line = events.next().await.unwrap().1["message"].as_str().unwrap().to_owned();
    assert!(line.len() <= 8_192 && line.ends_with("… truncated, 1843 bytes left out"), "{}", &line[8_000..]);
    let problem = server.get(&ann, &format!("/tasks/{id}/events?last_event_id=yesterday")).await;
    let problem = problem.problem(422, "validation");
    assert_eq!(problem["errors"][0]["loc"], json!(["query", "last_event_id"]));
    let request = server.request("GET", &format!("/tasks/{id}/events")).header("Last-Event-ID", "1:2");
    let problem = crate::server::read(request.bearer_auth(&ann)).await.problem(422, "validation");
    assert_eq!(problem["errors"][0]["loc"], json!(["header", "Last-Event-ID"]));
}
