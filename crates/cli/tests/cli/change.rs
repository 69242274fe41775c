//! Changing and deleting tasks.

use serde_json::json;

use crate::support::Home;

#[test]
fn a_waiting_task_is_changed() {
    let home = Home::new();
    let server = home.ready(&[]);
    let id = home.submit("demo.echo --delay 1h");
    let line =
        format!("change {id} --priority critical --queue reports --run-at 2100-01-01T00:00:00Z --json");
    let task = home.say(&line).with_status(0).json();
    assert_eq!((&task["priority"], &task["queue"]), (&json!("critical"), &json!("reports")));
    assert_eq!(task["scheduled_at"], "2100-01-01T00:00:00.000000Z");
    let said = home.say(&format!("change {id} --delay 0 --queue default")).with_status(0).out;
    assert!(said.contains("queue      default, priority critical"), "{said}");
    home.say(&format!("wait {id}")).with_status(0);
    let said = home.say(&format!("change {id} --priority low")).with_status(5);
    assert!(said.err.contains("the task has ended"), "{}", said.err);
    let said = home.say(&format!("change {id}")).with_status(2);
    assert!(said.err.contains("--priority") && said.err.contains("--result"), "{}", said.err);
    home.say(&format!("change {id} --delay 1 --run-at 2100-01-01T00:00:00Z")).with_status(2);
    server.stop();
}

#[test]
fn a_running_task_is_reported_from_outside() {
    let home = Home::new();
    let server = home.ready(&[]);
    let id = home.submit("demo.sleep --kwarg seconds=600");
    home.until_running(&id);
    let line = format!("change {id} --progress 40 --progress-detail {{\"step\":2}} --json");
    let task = home.say(&line).with_status(0).json();
    assert_eq!((&task["progress"], &task["progress_detail"]), (&json!(40.0), &json!({"step": 2})));
    let said = home.say(&format!("change {id} --queue a/b")).with_status(5);
    assert!(said.err.contains("queue: ") && !said.err.contains("taskloom list"), "{}", said.err);
    let task = home.say(&format!("change {id} --result {{\"rows\":3}} --json")).with_status(0).json();
    assert_eq!((&task["status"], &task["result"]), (&json!("succeeded"), &json!({"rows": 3})));
    home.say(&format!("change {id} --result {{rows}}")).with_status(2);
    server.stop();
}

#[test]
fn tasks_are_deleted_and_purged() {
    let home = Home::new();
    let server = home.ready(&[]);
    let ids: Vec<String> = (0..4).map(|_| home.submit("demo.echo --delay 1h")).collect();
    let said = home.say(&format!("delete {}", ids[0])).with_status(0);
    assert_eq!(said.out, format!("{} deleted\n", ids[0]));
    home.say(&format!("get {}", ids[0])).with_status(5);
    let said = home.say(&format!("delete {} {} --json", ids[0], ids[1])).with_status(5);
    assert_eq!(said.json(), json!({"deleted": [ids[1]], "refused": [ids[0]]}));
    assert!(said.err.contains(&format!("{}: no task with this id", ids[0])), "{}", said.err);
    let said = home.say(&format!("delete {} --purge", ids[2])).with_status(2);
    assert!(said.err.contains("--yes"), "nobody sits at a terminal: {}", said.err);
    let said = home.say(&format!("delete {} {} --purge --yes", ids[2], ids[3])).with_status(0);
    assert_eq!(said.out.lines().count(), 2, "{}", said.out);
    assert!(said.out.contains("removed for good"), "{}", said.out);
    assert_eq!(home.say("list --json").with_status(0).json()["total"], 0);
    home.say("delete").with_status(2);
    server.stop();
}
