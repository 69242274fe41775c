//! `taskloom dev` from its start to its end, and benchmarks that are stopped.

use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;

use crate::support::{Home, Process, Server, eventually};

fn mode(path: &std::path::Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn a_start_is_private_and_a_stop_is_clean() {
    let home = Home::new();
    let server = home.serve(&[]);
    assert_eq!(mode(&home.data()), 0o700);
    for file in ["secret_key", "taskloom.db", "taskloom.db-wal"] {
        assert_eq!(mode(&home.data().join(file)), 0o600, "{file}");
    }
    server.stop();
    assert!(!home.data().join("server.json").exists());
    let said = home.say("doctor --json").with_status(0);
    assert_eq!(said.json()["healthy"], true);
}

#[test]
fn sigterm_stops_as_well() {
    let home = Home::new();
    let mut server = home.serve(&[]);
    server.process.signal("TERM");
    assert_eq!(server.process.wait().code(), Some(0));
}

#[test]
fn a_benchmark_that_is_stopped_leaves_nothing_behind() {
    for signal in ["INT", "TERM"] {
        let home = Home::new();
        let private = || {
            let names = fs::read_dir(home.path()).unwrap().map(|entry| entry.unwrap().file_name());
            names.filter(|name| name.to_string_lossy().starts_with("data-bench-")).count()
        };
        let mut command = home.command("bench --only latency --latency-tasks 100000".split(' '));
        let mut bench = Process(command.spawn().unwrap());
        eventually("the private data", || (private() == 1).then_some(()));
        bench.signal(signal);
        assert_eq!(bench.wait().code(), Some(1), "{signal}");
        let mut said = String::new();
        bench.0.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        assert!(said.contains("interrupted; the private data is removed"), "{said}");
        assert_eq!(private(), 0, "{signal}");
    }
}

#[test]
fn the_first_password_is_shown_once() {
    let home = Home::new();
    let banner = |server: &Server| {
        eventually("the banner", || Some(server.log()).filter(|text| text.contains("Ctrl-C stops.")))
    };
    let server = home.serve(&[("TASKLOOM_ADMIN_PASSWORD", "")]);
    let text = banner(&server);
    let password = text.split("User admin, password ").nth(1).unwrap().lines().next().unwrap().to_owned();
    assert!(text.contains("it is shown only now"), "{text}");
    assert!(text.contains(&format!("{}/docs", server.url)), "{text}");
    assert!(text.contains(&format!("taskloom login --server {} --username admin", server.url)), "{text}");
    let line = format!("login --server {} --username admin --password-stdin", server.url);
    home.with_input(&line, &password).with_status(0);
    let port = server.port.to_string();
    server.stop();
    let server = home.serve_on(&port, &[("TASKLOOM_ADMIN_PASSWORD", "")]);
    let text = banner(&server);
    assert!(!text.contains("password "), "{text}");
    // The secret key stayed, and so did the login.
    home.say("list").with_status(0);
    server.stop();
}

#[test]
fn a_short_first_password_is_refused() {
    let home = Home::new();
    let mut command = home.command(["dev", "--port", "auto"]);
    let output = command.env("TASKLOOM_ADMIN_PASSWORD", "short").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("TASKLOOM_ADMIN_PASSWORD must have 8 to 256 characters"), "{text}");
}

#[test]
fn two_servers_never_share_a_directory_or_a_port() {
    let home = Home::new();
    let server = home.serve(&[]);
    let pid = server.process.0.id();
    for line in ["dev --port auto", "migrate up"] {
        let said = home.say(line).with_status(1);
        assert!(said.err.contains(&format!("process {pid} uses ")), "{}", said.err);
    }
    let said = home.say(&format!("dev --data other --port {}", server.port)).with_status(1);
    assert!(said.err.contains(&format!("port {} on 127.0.0.1 is in use", server.port)), "{}", said.err);
    assert!(said.err.contains("--port auto"), "{}", said.err);
    let said = home.say("migrate status --json").with_status(0);
    assert_eq!(said.json()["pending"], serde_json::json!([]));
    server.stop();
    home.say("migrate up").with_status(0);
}

#[test]
fn a_missing_database_is_not_created_by_looking() {
    let home = Home::new();
    for line in ["doctor", "migrate status"] {
        let said = home.say(line).with_status(1);
        assert!(said.err.contains("there is no database at data/taskloom.db"), "{}", said.err);
    }
    assert!(!home.data().exists());
}

#[test]
fn a_running_task_may_finish() {
    let home = Home::new();
    let server = home.ready(&[]);
    let id = home.submit("demo.sleep --kwarg seconds=1");
    home.until_running(&id);
    server.stop();
    let server = home.ready(&[]);
    let task = home.task(&id);
    assert_eq!((&task["status"], &task["attempt"]), (&"succeeded".into(), &1.into()));
    server.stop();
}

/// A task that outlives the server goes back to its queue and runs again after the next start.
fn goes_back(stop: impl FnOnce(Server), environment: &[(&str, &str)]) {
    let home = Home::new();
    let server = home.ready(environment);
    let id = home.submit("demo.sleep --kwarg seconds=600");
    home.until_running(&id);
    stop(server);
    let server = home.ready(&[]);
    home.until_running(&id);
    home.say(&format!("cancel {id} --force")).with_status(0);
    home.say(&format!("wait {id}")).with_status(3);
    server.stop();
    home.say("doctor").with_status(0);
}

#[test]
fn what_does_not_finish_in_time_goes_back() {
    goes_back(Server::stop, &[("TASKLOOM_WORKER__DRAIN_SECONDS", "0")]);
}

#[test]
fn a_second_ctrl_c_hurries() {
    let hurry = |mut server: Server| {
        server.process.signal("INT");
        // Signals sent at once may merge: the first must have been heard.
        eventually("the drain", || server.log().contains("stopping: ").then_some(()));
        server.process.signal("INT");
        assert_eq!(server.process.wait().code(), Some(0));
    };
    goes_back(hurry, &[("TASKLOOM_WORKER__DRAIN_SECONDS", "600")]);
}

#[test]
fn a_kill_loses_nothing() {
    goes_back(Server::kill, &[]);
}
