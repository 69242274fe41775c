//! What cannot work is said at once, in words that help, and without passwords.

use std::time::{Duration, Instant};

use crate::cluster::Cluster;

/// Nothing listens there.
const NOWHERE: &str = "postgres://u:hunter2@127.0.0.1:1/tasks";

#[test]
fn servers_and_schedulers_do_not_share_a_file() {
    let cluster = Cluster::new("", None);
    for url in ["", "--database-url sqlite:///tmp/t.db"] {
        for command in ["serve", "scheduler"] {
            let said = cluster.say(&format!("{command} {url}")).with_status(2);
            for part in
                [&format!("`taskloom {command}` needs PostgreSQL, MySQL or MariaDB"), "`taskloom dev`"]
            {
                assert!(said.err.contains(part), "{}", said.err);
            }
        }
    }
}

#[test]
fn a_server_needs_the_key_that_the_others_have() {
    let said = Cluster::new(NOWHERE, None).without("SECRET_KEY").say("serve --port auto").with_status(2);
    assert!(said.err.contains("auth.secret_key is not set"), "{}", said.err);
    assert!(said.err.contains("openssl rand -hex 32"), "{}", said.err);
}

#[test]
fn a_database_that_is_not_there_is_named_without_its_password() {
    let cluster = Cluster::new(NOWHERE, None);
    for (url, shown) in [
        (NOWHERE, "postgres://127.0.0.1:1/tasks"),
        ("mysql://u:hunter2@127.0.0.1:1/tasks", "mysql://127.0.0.1:1/tasks"),
    ] {
        for command in [
            "serve --port auto",
            "scheduler",
            "worker",
            "dev --port auto",
            "migrate status",
            "migrate up",
            "doctor",
            "user set-password admin",
        ] {
            let asked = Instant::now();
            let said = cluster.say(&format!("{command} --database-url {url}")).with_status(1);
            assert!(
                said.err.contains(&format!("the database {shown} is not available: ")),
                "{command}: {}",
                said.err
            );
            assert!(said.err.contains("taskloom config show"), "{command}: {}", said.err);
            assert!(!said.err.contains("hunter2"), "{command}: {}", said.err);
            assert!(asked.elapsed() < Duration::from_secs(20), "{command}");
        }
    }
}

#[test]
fn a_wrong_password_is_named_and_not_shown() {
    let Some(postgres) = taskloom_testkit::postgres() else { return };
    let url = postgres.fresh_database();
    let (_, place) = url.rsplit_once('@').unwrap();
    let cluster = Cluster::new(&format!("postgres://taskloom:hunter2@{place}"), None);
    let said = cluster.say("scheduler").with_status(1);
    assert!(said.err.contains("password authentication failed"), "{}", said.err);
    assert!(!said.err.contains("hunter2"), "{}", said.err);
}

#[test]
fn settings_of_redis_that_cannot_be_used_are_named() {
    let cluster = Cluster::new(NOWHERE, Some("redis://u:hunter2@cache:port"));
    for command in ["serve --port auto", "scheduler", "worker", "dev --port auto"] {
        let said = cluster.say(command).with_status(2);
        assert!(said.err.contains("redis.url: in the address of Redis, a port is a number"), "{}", said.err);
        assert!(!said.err.contains("hunter2"), "{}", said.err);
    }
}

#[test]
fn a_worker_without_anything_is_told_both_ways() {
    let cluster = Cluster::new("", None);
    let said = cluster.say("worker").with_status(2);
    for part in ["--server URL", "TASKLOOM_TOKEN", "api-key create", "DATABASE_URL=postgres://"] {
        assert!(said.err.contains(part), "{part}: {}", said.err);
    }
    let said = cluster.say("worker --database-url sqlite:///tmp/t.db").with_status(2);
    assert!(said.err.contains("`taskloom worker` needs PostgreSQL, MySQL or MariaDB"), "{}", said.err);
    let said = cluster.say(&format!("worker --server http://x --database-url {NOWHERE}")).with_status(2);
    assert!(said.err.contains("cannot be used with"), "{}", said.err);
}
