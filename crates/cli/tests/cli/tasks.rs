//! Submitting, reading and steering tasks against a real server.

use serde_json::json;

use crate::support::{Home, answer};

#[test]
fn the_first_task() {
    let home = Home::new();
    let server = home.ready(&[]);
    let said = home
        .run(["submit", "demo.echo", "--args", "[\"hello\"]", "--kwarg", "n=1", "--watch"])
        .with_status(0);
    assert_eq!(said.out, "{\"args\":[\"hello\"],\"kwargs\":{\"n\":1}}\n");
    assert!(said.err.contains("succeeded in "), "{}", said.err);
    server.stop();
}

#[test]
fn options_arrive() {
    let home = Home::new();
    let server = home.ready(&[]);
    let id = home.submit(
        "demo.echo --name 数据处理任务 --queue low_priority --priority high --delay 1h --timeout 30s \
         --max-attempts 7 --tag a --tag b",
    );
    let task = home.task(&id);
    assert_eq!(task["name"], "数据处理任务");
    assert_eq!((&task["queue"], &task["priority"]), (&"low_priority".into(), &"high".into()));
    assert_eq!((&task["timeout"], &task["max_attempts"]), (&json!(30.0), &7.into()));
    assert_eq!((&task["tags"], &task["state"]), (&json!(["a", "b"]), &"scheduled".into()));
    assert!(home.say(&format!("get {id}")).with_status(0).out.contains("name       数据处理任务\n"));
    server.stop();
}

#[test]
fn retries_parents_and_labels_arrive() {
    let home = Home::new();
    let server = home.ready(&[]);
    let parent = home.submit("demo.echo --delay 1h");
    let id = home.submit(&format!(
        "demo.echo --depends-on {parent} --on-parent-failure continue --backoff exponential:2s..10m --task-type report \
         --model-id m1 --metadata {{\"ticket\":7}}"
    ));
    let task = home.task(&id);
    assert_eq!((&task["state"], &task["parent_ids"]), (&json!("blocked"), &json!([parent])));
    assert_eq!((&task["task_type"], &task["model_id"]), (&json!("report"), &json!("m1")));
    assert_eq!(task["metadata"], json!({"ticket": 7}));
    home.say(&format!("cancel {parent}")).with_status(0);
    home.say(&format!("wait {id}")).with_status(0);
    let said = home.say("submit demo.echo --backoff 5s").with_status(2);
    assert!(said.err.contains("linear:5s..1m"), "{}", said.err);
    home.say("submit demo.echo --on-parent-failure skip").with_status(2);
    home.say(&format!("submit demo.echo --depends-on {parent} --on-parent-failure never")).with_status(2);
    let said = home.say("submit demo.echo --kwargs - --metadata -").with_status(2);
    assert!(said.err.contains("only one flag"), "{}", said.err);
    server.stop();
}

#[test]
fn kwargs_come_from_a_file_or_standard_input() {
    let home = Home::new();
    let server = home.ready(&[]);
    std::fs::write(home.path().join("job.json"), "{\n \"a\": 1\n}\n").unwrap();
    let said = home.say("submit demo.echo --kwargs @job.json --watch").with_status(0);
    assert!(said.out.contains("\"kwargs\":{"), "{}", said.out);
    let said = home.with_input("submit demo.echo --kwargs - --json", "{\"b\": 2}").with_status(0);
    assert_eq!(said.json()["kwargs"], json!({"b": 2}));
    server.stop();
}

#[test]
fn an_idempotency_key_makes_one_task() {
    let home = Home::new();
    let server = home.ready(&[]);
    let first = home.submit("demo.echo --idempotency-key k1");
    let again = home.say("submit demo.echo --idempotency-key k1 --json").with_status(0).json();
    assert_eq!((&again["id"], &again["deduplicated_by"]), (&json!(first), &"idempotency_key".into()));
    home.say("submit demo.sleep --idempotency-key k1").with_status(5);
    server.stop();
}

#[test]
fn the_exit_status_is_the_tasks() {
    let home = Home::new();
    let server = home.ready(&[]);
    let said = home.say("submit demo.fail --max-attempts 1 --watch").with_status(1);
    assert!(said.err.contains("failed in "), "{}", said.err);
    let said = home.say("submit demo.fail --max-attempts 1 --watch --json").with_status(1);
    assert_eq!(said.json()["status"], "failed");
    let id = home.submit("demo.echo --delay 1h");
    home.say(&format!("wait {id} --timeout 100ms")).with_status(6);
    let said = home.say(&format!("cancel {id} --json")).with_status(0).json();
    assert_eq!((&said["success"], &said["task"]["status"]), (&true.into(), &"revoked".into()));
    home.say(&format!("wait {id}")).with_status(3);
    home.say(&format!("cancel {id}")).with_status(5);
    home.say(&format!("retry {id}")).with_status(0);
    home.say(&format!("wait {id} --json")).with_status(0);
    home.say("get 00000000-0000-7000-8000-000000000000").with_status(5);
    let said = home.say("get nonsense").with_status(5);
    assert!(said.err.contains("taskloom list"), "{}", said.err);
    server.stop();
}

#[test]
fn fields_that_break_a_rule_are_named() {
    let home = Home::new();
    let server = home.ready(&[]);
    let said = home.say("submit demo.echo --queue a/b --max-attempts 0").with_status(5);
    assert!(said.err.contains("queue: "), "{}", said.err);
    assert!(said.err.contains("max_attempts: 1 to 1000"), "{}", said.err);
    server.stop();
}

#[test]
fn lists_filter_page_and_align() {
    let home = Home::new();
    let server = home.ready(&[]);
    for name in ["数据处理任务", "report", "third"] {
        home.submit(&format!("demo.echo --delay 1h --name {name}"));
    }
    let page = home.say("list --limit 2 --json").with_status(0).json();
    assert_eq!((page["items"].as_array().unwrap().len(), &page["total"]), (2, &3.into()));
    let cursor = page["next_cursor"].as_str().unwrap();
    let last = home.say(&format!("list --limit 2 --cursor {cursor} --json")).with_status(0).json();
    assert_eq!((last["items"].as_array().unwrap().len(), &last["next_cursor"]), (1, &json!(null)));
    assert_eq!(home.say("list --all-pages --json").with_status(0).out.lines().count(), 3);
    assert_eq!(home.say("list --status running --json").with_status(0).json()["total"], 0);
    let said = home.say("list --status running").with_status(0);
    assert_eq!((said.out.as_str(), said.err.as_str()), ("", "no tasks\n"));
    let table = home.say("list --status pending").with_status(0).out;
    assert!(!table.contains('\x1b'), "no colours without a terminal: {table}");
    let columns: Vec<usize> = table
        .lines()
        .map(|line| unicode_width::UnicodeWidthStr::width(line.split("pending").next().unwrap()))
        .collect();
    assert_eq!(columns[1..], [columns[1]; 3], "{table}");
    server.stop();
}

/// A web server that answers every request with two rows, for as long as the test runs.
fn web() -> std::net::SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            answer(stream.unwrap(), "application/json", r#"[{"n":1},{"n":2}]"#);
        }
    });
    address
}

#[test]
fn artifacts_are_listed_and_fetched() {
    let home = Home::new();
    let server = home.ready(&[("TASKLOOM_COLLECT__ALLOW_PRIVATE", "127.0.0.1")]);
    let kwargs = json!({"url": format!("http://{}/", web())});
    let said = home.run(["submit", "collect.http", "--kwargs", &kwargs.to_string(), "--watch", "--json"]);
    let task = said.with_status(0).json();
    let id = task["id"].as_str().unwrap();
    let listed = home.say(&format!("artifacts {id} --json")).with_status(0).json();
    let name = listed["items"][0]["name"].as_str().unwrap().to_owned();
    assert!(home.say(&format!("artifacts {id}")).with_status(0).out.contains(&name));
    home.say(&format!("artifacts {id} {name}")).with_status(0);
    let bytes = std::fs::read(home.path().join(&name)).unwrap();
    assert_eq!(listed["items"][0]["bytes"], bytes.len());
    let said = home.say(&format!("artifacts {id} {name} --output -")).with_status(0);
    assert_eq!(said.out.as_bytes(), bytes);
    home.say(&format!("artifacts {id} missing")).with_status(5);
    server.stop();
}

#[test]
fn logs_are_shown_and_followed() {
    let home = Home::new();
    let server = home.ready(&[("TASKLOOM_COLLECT__ALLOW_PRIVATE", "127.0.0.1")]);
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let kwargs = json!({"urls": [format!("http://{closed}/a"), format!("http://{closed}/b")], "retries": 0});
    let task = home.run([
        "submit",
        "collect.http",
        "--kwargs",
        &kwargs.to_string(),
        "--max-attempts",
        "1",
        "--json",
    ]);
    let task = task.with_status(0).json();
    let id = task["id"].as_str().unwrap();
    let followed = home.say(&format!("logs {id} --follow")).with_status(0);
    assert!(followed.out.contains(" warn  http://"), "{}", followed.out);
    assert_eq!(home.task(id)["status"], "failed", "followed to the end");
    let said = home.say(&format!("logs {id} --json")).with_status(0);
    assert_eq!(said.out.lines().count(), 2, "{}", said.out);
    for line in said.out.lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(line["level"], "warning", "{line}");
    }
    home.say("logs 00000000-0000-7000-8000-000000000000").with_status(5);
    server.stop();
}

#[test]
fn the_old_name_of_a_task_is_an_alias() {
    let home = Home::new();
    let server = home.ready(&[]);
    let line = "submit app.tasks.common_tasks.long_running_task --kwarg seconds=0 --watch";
    home.say(line).with_status(0);
    server.stop();
}
