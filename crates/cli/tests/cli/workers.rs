//! `taskloom worker` as a process of its own.

use crate::support::{Home, Process};

#[test]
fn a_worker_across_the_network_runs_tasks_and_leaves() {
    let home = Home::new();
    let server = home.ready(&[("TASKLOOM_WORKER__QUEUES", "unused")]);
    let key = home.say("api-key create w --scope worker --json").with_status(0).json();
    let token = key["key"].as_str().unwrap();
    let mut command =
        home.command(["worker", "--server", &server.url, "--name", "far-away", "--queues", "default"]);
    command
        .env("TASKLOOM_TOKEN", token)
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null());
    let mut worker = Process(command.spawn().unwrap());
    let said = home.say("submit demo.echo --watch --json").with_status(0);
    assert_eq!(said.json()["worker"], "far-away");
    worker.signal("INT");
    assert_eq!(worker.wait().code(), Some(0));
    server.stop();
}

#[test]
fn a_worker_without_the_right_token_is_told() {
    let home = Home::new();
    let server = home.ready(&[]);
    let said = home.say(&format!("worker --server {}", server.url)).with_status(2);
    assert!(said.err.contains("taskloom api-key create"), "{}", said.err);
    let key = home.say("api-key create r --scope tasks:read --json").with_status(0).json();
    for token in [key["key"].as_str().unwrap(), "nonsense"] {
        let said = home.run(["worker", "--server", &server.url, "--token", token]).with_status(4);
        assert!(said.err.contains("does not take this worker"), "{}", said.err);
    }
    server.stop();
}
