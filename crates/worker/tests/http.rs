//! The HTTP client against canned answers.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that panics has failed")]

use serde_json::{Value, json, value::to_raw_value};
use taskloom_model::Timestamp;
use taskloom_protocol::{
    ArtifactPut, Beat, ClaimRequest, Code, DrainRequest, FinishRequest, FinishTask, Outcome,
    PROTOCOL_VERSION, Problem, Register, Spawn, SubmitTask, Task, TaskRef,
};
use taskloom_worker::{HttpWorkerApi, WorkerApi, WorkerError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use uuid::Uuid;

/// One request as the server got it.
struct Request {
    line: String,
    head: String,
    body: Vec<u8>,
}

impl Request {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// Answers one request; the handle gives the request.
async fn server(status: u16, body: String) -> (HttpWorkerApi, JoinHandle<Request>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/base/", listener.local_addr().unwrap());
    let served = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let request = read(&mut stream).await;
        let head =
            format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
        stream.write_all((head + &body).as_bytes()).await.unwrap();
        request
    });
    (HttpWorkerApi::new(&url, "secret-token").unwrap(), served)
}

async fn read(stream: &mut TcpStream) -> Request {
    let mut bytes = Vec::new();
    loop {
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n");
        if let Some(end) = end {
            let head = String::from_utf8(bytes[..end].to_vec()).unwrap().to_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            let length: usize = length.expect("requests say their length").parse().unwrap();
            if bytes.len() >= end + 4 + length {
                let line =
                    String::from_utf8(bytes[..end].to_vec()).unwrap().lines().next().unwrap().to_owned();
                return Request { line, head, body: bytes[end + 4..].to_vec() };
            }
        }
        assert!(stream.read_buf(&mut bytes).await.unwrap() > 0, "the request ends early");
    }
}

fn problem(code: Code) -> (u16, String) {
    let problem = Problem::new(code, "the detail");
    (problem.status, serde_json::to_string(&problem).unwrap())
}

fn task() -> TaskRef {
    TaskRef { id: Uuid::now_v7(), epoch: 7 }
}

fn claim() -> ClaimRequest {
    ClaimRequest { session: Uuid::now_v7(), limit: 3, wait_ms: 0 }
}

fn finish(task: TaskRef) -> FinishRequest {
    let outcome = Outcome::Success { result: to_raw_value(&json!({"rows": 3})).unwrap() };
    let one = FinishTask {
        id: task.id,
        epoch: task.epoch,
        outcome,
        progress: None,
        detail: None,
        logs: Vec::new(),
    };
    FinishRequest { session: Uuid::now_v7(), tasks: vec![one] }
}

#[tokio::test]
async fn every_call_has_its_path_and_carries_the_token() {
    let hello = Register {
        protocol: PROTOCOL_VERSION,
        session: Uuid::now_v7(),
        name: "test".into(),
        queues: vec!["default".into()],
        handlers: Vec::new(),
        concurrency: 1,
        version: String::new(),
        defaults: None,
    };
    let timing = json!({"protocol": 1, "lease_ms": 15_000, "beat_ms": 5_000, "cancel_grace_ms": 10_000});
    let (api, served) = server(200, timing.to_string()).await;
    assert_eq!(api.register(hello.clone()).await.unwrap().beat_ms, 5_000);
    let request = served.await.unwrap();
    assert_eq!(request.line, "POST /base/api/v1/worker/register HTTP/1.1");
    assert!(request.head.contains("authorization: bearer secret-token"), "{}", request.head);
    assert_eq!(request.json()["session"], json!(hello.session));

    let one = task();
    let claimed = json!({"tasks": [{
        "id": one.id, "epoch": 7, "attempt": 1, "max_attempts": 3, "task": "demo.echo", "args": [1.50], "kwargs": {},
        "queue": "default", "priority": "normal", "timeout_ms": null, "soft_timeout_ms": null,
        "user_id": "00000000-0000-0000-0000-000000000001", "created_at": "2026-01-31T08:00:00Z",
    }]});
    let (api, served) = server(200, claimed.to_string()).await;
    let tasks = api.claim(claim()).await.unwrap();
    assert_eq!((tasks[0].id, tasks[0].args.get()), (one.id, "[1.5]"));
    assert!(served.await.unwrap().line.contains("/worker/claim "));

    let (api, served) = server(200, json!({"lost": [], "cancel": [one], "drain": true}).to_string()).await;
    let answer = api.beat(Beat { session: hello.session, tasks: Vec::new() }).await.unwrap();
    assert!(answer.drain && answer.cancel == [one]);
    assert!(served.await.unwrap().line.contains("/worker/beat "));

    let (api, served) = server(200, json!({"lost": []}).to_string()).await;
    assert!(api.finish(finish(one)).await.unwrap().lost.is_empty());
    let request = served.await.unwrap();
    assert!(request.line.contains("/worker/finish "));
    assert_eq!(request.json()["tasks"][0]["outcome"], json!({"success": {"result": {"rows": 3}}}));

    let (api, served) = server(200, json!({"lost": []}).to_string()).await;
    api.drain(DrainRequest { session: hello.session, tasks: vec![one], leave: true }).await.unwrap();
    assert!(served.await.unwrap().line.contains("/worker/drain "));

    let child = Task::blank(Uuid::now_v7(), "child".into(), Uuid::nil(), Timestamp::MIN);
    let (api, served) = server(201, json!({"items": [child]}).to_string()).await;
    let spawn = Spawn { session: hello.session, parent: one, tasks: vec![SubmitTask::new("child")] };
    assert_eq!(api.spawn(spawn).await.unwrap()[0].task, "child");
    assert!(served.await.unwrap().line.contains("/worker/submit "));
}

#[tokio::test]
async fn a_file_is_sent_as_it_is() {
    let path = std::env::temp_dir().join(format!("taskloom-http-{}", Uuid::now_v7()));
    let content: Vec<u8> = (0..200_000_u32).flat_map(u32::to_le_bytes).collect();
    std::fs::write(&path, &content).unwrap();
    let kept = json!({"name": "a.bin", "bytes": 800_000, "sha256": "", "content_type": "application/x-test",
        "user_id": "00000000-0000-0000-0000-000000000001", "created_at": "2026-01-31T08:00:00Z"});
    let (api, served) = server(201, kept.to_string()).await;
    let (session, task) = (Uuid::now_v7(), task());
    let put = ArtifactPut { session, task, name: "a.bin".into(), content_type: "application/x-test".into() };
    assert_eq!(api.put_artifact(put, &path).await.unwrap().bytes, 800_000);
    let request = served.await.unwrap();
    let wanted =
        format!("PUT /base/api/v1/worker/artifacts/{}/a.bin?session={session}&epoch=7 HTTP/1.1", task.id);
    assert_eq!(request.line, wanted);
    assert!(request.head.contains("content-type: application/x-test"));
    assert!(request.body == content);
    std::fs::remove_file(path).unwrap();
}

#[tokio::test]
async fn refusals_keep_their_meaning() {
    let unavailable = WorkerError::Unavailable("the detail".into());
    let refused = |code| WorkerError::Refused { code, detail: "the detail".into() };
    for (code, wanted) in [
        (Code::LeaseLost, WorkerError::LeaseLost),
        (Code::UnknownSession, WorkerError::UnknownSession),
        (Code::Unavailable, unavailable.clone()),
        (Code::TooManyRequests, unavailable.clone()),
        (Code::Internal, unavailable),
        (Code::Unauthorized, refused(Code::Unauthorized)),
        (Code::Validation, refused(Code::Validation)),
    ] {
        let (status, body) = problem(code);
        let (api, _served) = server(status, body).await;
        assert_eq!(api.claim(claim()).await.unwrap_err(), wanted);
    }
}

#[tokio::test]
async fn a_finish_of_which_nothing_counted_names_all_as_lost() {
    let (status, body) = problem(Code::LeaseLost);
    let (api, _served) = server(status, body).await;
    let task = task();
    assert_eq!(api.finish(finish(task)).await.unwrap().lost, [task]);
}

#[tokio::test]
async fn answers_of_somebody_else_do_not_confuse_a_worker() {
    for (status, body) in [(200, "<html>"), (502, "<html>"), (302, ""), (204, "")] {
        let (api, _served) = server(status, body.into()).await;
        let error = api.claim(claim()).await.unwrap_err();
        assert!(matches!(error, WorkerError::Unavailable(_)), "{status}: {error:?}");
    }
    let (api, _served) = server(401, "<html>".into()).await;
    let error = api.claim(claim()).await.unwrap_err();
    assert!(matches!(error, WorkerError::Refused { code: Code::Unauthorized, .. }), "{error:?}");
}

#[tokio::test]
async fn a_server_that_is_not_there_is_away() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let api = HttpWorkerApi::new(&url, "t").unwrap();
    assert!(matches!(api.claim(claim()).await, Err(WorkerError::Unavailable(_))));
}

#[test]
fn settings_that_cannot_work_are_refused_and_secrets_stay_hidden() {
    for (url, token) in [
        ("", "t"),
        ("tasks.example.org", "t"),
        ("ftp://x", "t"),
        ("http://x", ""),
        ("http://x", "a\nb"),
        ("http://x", "ü"),
    ] {
        assert!(matches!(HttpWorkerApi::new(url, token), Err(WorkerError::Refused { .. })), "{url} {token}");
    }
    let api = HttpWorkerApi::new("https://tasks.example.org", "secret-token").unwrap();
    assert!(!format!("{api:?}").contains("secret"));
}
