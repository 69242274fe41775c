//! Workflows from the command line.

use crate::support::{Home, eventually};

#[test]
fn a_workflow_is_submitted_shown_and_run_again() {
    let home = Home::new();
    let server = home.ready(&[]);
    let nightly = r#"{"name": "nightly", "tasks": [
        {"key": "extract", "task": "demo.echo", "kwargs": {"rows": [1, 2, 3]}},
        {"key": "each", "task": "demo.echo", "map": {"over": {"$result": "extract.kwargs/rows"}}, "args": [{"$item": ""}]},
        {"key": "report", "task": "demo.echo", "args": [{"$result": "each"}]}]}"#;
    std::fs::write(home.path().join("nightly.json"), nightly).unwrap();
    let said = home.say("workflow submit nightly.json --watch --json").with_status(0).json();
    assert_eq!((&said["status"], &said["counts"]["total"]), (&"succeeded".into(), &6.into()));
    let id = said["id"].as_str().unwrap().to_owned();
    let shown = home.say(&format!("workflow get {id}")).with_status(0).out;
    assert!(shown.contains("└─ ✓ each") && shown.contains("×3: 3 of 3 done"), "{shown}");
    let found = home.say(&format!("workflow get {id} --json")).with_status(0).json();
    let report = home.task(found["tasks"]["report"]["id"].as_str().unwrap());
    assert_eq!(report["result"]["args"][0][2]["args"][0], 3);
    let said = home.say(&format!("workflow cancel {id}")).with_status(5);
    assert!(said.err.contains("the workflow has ended"), "{}", said.err);
    home.say(&format!("workflow retry {id} --from each")).with_status(0);
    home.say(&format!("workflow wait {id}")).with_status(0);

    let failing = r#"{"tasks": [{"key": "a", "task": "demo.fail", "max_attempts": 1}, {"key": "b", "task": "demo.echo", "depends_on": ["a"]}]}"#;
    let said = home.with_input("workflow submit - --watch", failing).with_status(1);
    assert!(said.err.contains("failed: 2 of 2 done, 1 failed, 1 revoked"), "{}", said.err);
    let listed = home.say("workflow list --json").with_status(0).json();
    assert_eq!(listed["items"].as_array().unwrap().len(), 2);
    let cycle = r#"{"tasks": [{"key": "a", "task": "x", "depends_on": ["b"]}, {"key": "b", "task": "x", "depends_on": ["a"]}]}"#;
    let said = home.with_input("workflow submit -", cycle).with_status(5);
    assert!(said.err.contains("a → b → a"), "{}", said.err);
    home.say("workflow submit nowhere.json").with_status(2);
    let id = home
        .with_input("workflow submit -", r#"{"tasks": [{"key": "a", "task": "demo.sleep", "args": [600]}]}"#);
    let id = id.with_status(0).out.trim().to_owned();
    let status =
        || home.say(&format!("workflow get {id} --json")).json()["status"].as_str().unwrap().to_owned();
    eventually("its start", || (status() == "running").then_some(()));
    home.say(&format!("workflow cancel {id}")).with_status(0);
    home.say(&format!("workflow wait {id}")).with_status(3);
    server.stop();
}
