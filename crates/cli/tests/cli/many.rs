//! Many tasks from one file.

use serde_json::json;

use crate::support::Home;

#[test]
fn a_file_of_tasks_is_submitted() {
    let home = Home::new();
    let server = home.ready(&[]);
    let list = r#"[{"task": "demo.echo", "args": [1]}, {"task": "demo.echo", "args": [2], "delay": 3600}]"#;
    std::fs::write(home.path().join("tasks.json"), list).unwrap();
    let said = home.say("submit --file tasks.json").with_status(0);
    assert!(said.err.contains("2 tasks submitted"), "{}", said.err);
    let ids: Vec<&str> = said.out.lines().collect();
    assert_eq!(ids.len(), 2, "{}", said.out);
    assert_eq!(home.task(ids[1])["args"], json!([2]));
    home.say(&format!("wait {}", ids[0])).with_status(0);

    let lines = "{\"task\": \"demo.echo\"}\n\n{\"task\": \"demo.echo\", \"queue\": \"low_priority\"}\n";
    let made = home.with_input("submit --file - --idempotency-key k --json", lines).with_status(0).json();
    assert_eq!(made["items"][1]["queue"], "low_priority");
    let again = home.with_input("submit --file - --idempotency-key k", lines).with_status(0);
    assert!(again.err.contains("2 of them were there already"), "{}", again.err);
    assert!(again.out.contains(made["items"][0]["id"].as_str().unwrap()), "{}", again.out);
    server.stop();
}

#[test]
fn many_tasks_go_in_several_batches() {
    let home = Home::new();
    let server = home.ready(&[]);
    let line = "{\"task\": \"demo.echo\", \"delay\": 3600}\n";
    let said = home.with_input("submit --file -", &line.repeat(10_001)).with_status(0);
    assert_eq!(said.out.lines().count(), 10_001);
    let bad = format!("{}{}", line.repeat(10_000), "{\"task\": \"demo.echo\", \"queue\": \"a/b\"}");
    let said = home.with_input("submit --file - --json --idempotency-key k", &bad).with_status(5);
    assert_eq!(said.json()["items"].as_array().unwrap().len(), 10_000);
    assert!(said.err.contains("tasks 10001 to 10001 of 10001: tasks.0.queue: "), "{}", said.err);
    assert!(said.err.contains("--idempotency-key k goes on"), "{}", said.err);
    server.stop();
}

#[test]
fn nothing_is_sent_of_a_file_with_a_mistake() {
    let home = Home::new();
    let said = home.with_input("submit --file -", "{\"task\": \"a\"}\n{\"tsk\": \"b\"}\n").with_status(2);
    assert!(said.err.contains("task 2: unknown field `tsk`"), "{}", said.err);
    home.with_input("submit --file -", "[]").with_status(2);
    home.say("submit --file nowhere.json").with_status(2);
    for beside in ["demo.echo", "--queue reports", "--delay 5m", "--watch"] {
        let said = home.say(&format!("submit --file tasks.json {beside}")).with_status(2);
        assert!(said.err.contains("cannot be used with"), "{beside}: {}", said.err);
    }
    home.say("submit --queue reports").with_status(2);
}
