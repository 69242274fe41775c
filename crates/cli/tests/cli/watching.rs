//! Watching, interrupted in every way.

use std::io::{BufRead, BufReader};

use taskloom_model::{State, Status, Timestamp};
use taskloom_protocol::Task;

use crate::support::{Home, Process, answer, answer_with};

#[test]
fn ctrl_c_leaves_the_task_running() {
    let home = Home::new();
    let server = home.ready(&[]);
    let mut command = home.command("submit demo.sleep --kwarg seconds=600 --watch".split(' '));
    let mut watcher = Process(command.spawn().unwrap());
    let mut lines = BufReader::new(watcher.0.stderr.take().unwrap()).lines().map(Result::unwrap);
    let id = lines.next().unwrap().strip_prefix("task ").unwrap().to_owned();
    lines.find(|line| line == "running").unwrap();
    watcher.signal("INT");
    assert_eq!(watcher.wait().code(), Some(130));
    let rest: Vec<String> = lines.collect();
    assert!(rest.iter().any(|line| line.contains(&format!("taskloom cancel {id}"))), "{rest:?}");
    assert_eq!(home.task(&id)["status"], "running");
    home.say(&format!("cancel {id} --force")).with_status(0);
    server.stop();
}

#[test]
fn watching_survives_the_server() {
    let home = Home::new();
    let server = home.ready(&[]);
    let port = server.port.to_string();
    let id = home.submit("demo.sleep --kwarg seconds=2");
    let mut watcher = Process(home.command(["wait", &id]).spawn().unwrap());
    let mut lines = BufReader::new(watcher.0.stderr.take().unwrap()).lines().map(Result::unwrap);
    lines.find(|line| line == "running").unwrap();
    server.kill();
    lines.find(|line| line.contains("trying again")).unwrap();
    let server = home.serve_on(&port, &[]);
    assert_eq!(watcher.wait().code(), Some(0));
    server.stop();
}

#[test]
fn following_a_log_survives_a_broken_connection() {
    const ID: &str = "01900000-0000-7000-8000-000000000000";
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let mut task = Task::blank(ID.parse().unwrap(), "demo.echo".into(), uuid::Uuid::nil(), Timestamp::MIN);
    (task.state, task.status) = (State::Running, Status::Running);
    let running = serde_json::to_string(&task).unwrap();
    (task.state, task.status) = (State::Succeeded, Status::Succeeded);
    let succeeded = serde_json::to_string(&task).unwrap();
    let page = |seq: u64| {
        let line =
            format!(r#"{{"seq":{seq},"at":"2026-01-31T08:00:00Z","level":"info","message":"line {seq}"}}"#);
        format!(r#"{{"items":[{line}],"next_after":{seq}}}"#)
    };
    let server = std::thread::spawn(move || {
        let nothing = |after: u64| format!(r#"{{"items":[],"next_after":{after}}}"#);
        let mut looks = 0;
        let mut asked = Vec::new();
        while asked.last().is_none_or(|line: &String| !line.contains("after=8")) {
            let (stream, _) = listener.accept().unwrap();
            let mut first = [0; 512];
            let read = stream.peek(&mut first).unwrap();
            let first = String::from_utf8_lossy(&first[..read]).into_owned();
            let json = "application/json";
            if first.contains("after=0") {
                asked.push(answer(stream, json, &page(7)));
            } else if first.contains("after=7") && looks == 1 {
                asked.push(answer(stream, json, &nothing(7)));
            } else if first.contains("after=7") {
                asked.push(answer(stream, json, &page(8)));
            } else if first.contains("after=8") {
                asked.push(answer(stream, json, &nothing(8)));
            } else {
                looks += 1;
                match looks {
                    1 => drop(answer(stream, json, &running)),
                    // Whatever is asked in between meets a closed door.
                    2..=6 => drop(stream),
                    _ => drop(answer(stream, json, &succeeded)),
                }
            }
        }
        asked
    });
    let home = Home::new();
    let said = home.say(&format!("logs {ID} --follow --json --server {url}")).with_status(0);
    server.join().unwrap();
    let seen: Vec<u64> = said
        .out
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["seq"].as_u64().unwrap())
        .collect();
    assert_eq!(seen, [7, 8], "no line is missing, none is shown twice");
    assert!(said.err.contains("trying again"), "{}", said.err);
}

#[test]
fn a_proxy_without_streams_is_polled_through() {
    const ID: &str = "01900000-0000-7000-8000-000000000000";
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let mut task = Task::blank(ID.parse().unwrap(), "demo.echo".into(), uuid::Uuid::nil(), Timestamp::MIN);
    (task.state, task.status) = (State::Running, Status::Running);
    let running = serde_json::to_string(&task).unwrap();
    (task.state, task.status) = (State::Succeeded, Status::Succeeded);
    let succeeded = serde_json::to_string(&task).unwrap();
    let proxy = std::thread::spawn(move || {
        let mut seen = Vec::new();
        while seen.last().is_none_or(|line: &String| !line.contains("wait=")) {
            let (stream, _) = listener.accept().unwrap();
            let mut first = [0; 512];
            let read = stream.peek(&mut first).unwrap();
            let first = String::from_utf8_lossy(&first[..read]).into_owned();
            seen.push(if first.contains("/events") {
                answer_with(stream, "502 Bad Gateway", "text/html", |_| "<html>no streams</html>".into())
            } else if first.contains("wait=") {
                answer(stream, "application/json", &succeeded)
            } else {
                answer(stream, "application/json", &running)
            });
        }
        seen
    });
    let home = Home::new();
    home.say(&format!("wait {ID} --server {url}")).with_status(0);
    let seen = proxy.join().unwrap();
    assert!(seen.iter().any(|line| line.contains("/events")), "{seen:?}");
}
