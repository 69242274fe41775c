//! Watching, interrupted in every way.

use std::io::{BufRead, BufReader};

use crate::support::{Home, Process};

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
