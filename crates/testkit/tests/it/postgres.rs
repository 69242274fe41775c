//! PostgreSQL, from outside.

use crate::conditions::{refuses, until};
use taskloom_testkit::{Postgres, Settings, or_skip, postgres};

fn start() -> Option<Postgres> {
    or_skip("PostgreSQL", Postgres::start())
}

#[test]
fn the_shared_server_answers_and_gives_separate_databases() {
    let Some(server) = postgres() else { return };
    let (one, two) = (server.fresh_database(), server.fresh_database());
    server.psql(&one, "CREATE TABLE t (n int); INSERT INTO t VALUES (1), (2);").unwrap();
    assert_eq!(server.psql(&one, "SELECT n, 'ä' FROM t ORDER BY n").unwrap(), "1|ä\n2|ä");
    assert!(server.psql(&two, "SELECT n FROM t").unwrap_err().contains("does not exist"));
    assert_eq!(server.psql(&two, "SHOW server_encoding").unwrap(), "UTF8");
    assert!(std::ptr::eq(server, postgres().unwrap()));
}

#[test]
fn a_wrong_password_is_refused() {
    let Some(server) = postgres() else { return };
    let url = server.url();
    let (login, place) = url.rsplit_once('@').unwrap();
    assert!(
        server
            .psql(&format!("{login}x@{place}"), "SELECT 1")
            .unwrap_err()
            .contains("password authentication failed")
    );
}

#[test]
fn what_was_committed_outlives_kill_and_stop() {
    let Some(server) = start() else { return };
    let url = server.fresh_database();
    server.psql(&url, "CREATE TABLE t (n int); INSERT INTO t VALUES (1)").unwrap();
    server.kill();
    refuses(&url);
    server.restart().unwrap();
    server.psql(&url, "INSERT INTO t VALUES (2)").unwrap();
    server.stop();
    refuses(&url);
    server.restart().unwrap();
    server.restart().unwrap();
    assert_eq!(server.psql(&url, "SELECT sum(n) FROM t").unwrap(), "3");
}

#[test]
fn open_connections_end_when_it_is_killed() {
    let Some(server) = start() else { return };
    let waiting = std::thread::scope(|scope| {
        let waiting = scope.spawn(|| server.psql(&server.url(), "SELECT pg_sleep(600)"));
        let count = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%'";
        until("the other connection", || server.psql(&server.url(), count).unwrap() == "1");
        server.kill();
        waiting.join().unwrap()
    });
    assert!(waiting.is_err());
    server.restart().unwrap();
}

#[test]
fn two_servers_live_side_by_side_and_vanish_when_dropped() {
    let (Some(one), Some(two)) = (start(), start()) else { return };
    let (url, folder) = (one.url(), one.folder().to_owned());
    assert_ne!(url, two.url());
    assert!(folder.join("data/postmaster.pid").exists());
    drop(one);
    refuses(&url);
    assert!(!folder.exists());
    assert_eq!(two.psql(&two.url(), "SELECT 1").unwrap(), "1");
}

#[test]
fn a_server_that_was_killed_leaves_nothing() {
    let Some(server) = start() else { return };
    // Line 7 names the segment of shared memory.
    let text = std::fs::read_to_string(server.folder().join("data/postmaster.pid")).unwrap();
    let segment = text.lines().nth(6).unwrap().split_whitespace().nth(1).unwrap().to_owned();
    let exists = || {
        let list = std::fs::read_to_string("/proc/sysvipc/shm").unwrap_or_default();
        list.lines().any(|line| line.split_whitespace().nth(1) == Some(&segment))
    };
    if cfg!(target_os = "linux") {
        assert!(exists());
    }
    let folder = server.folder().to_owned();
    server.kill();
    drop(server);
    assert!(!folder.exists());
    until("the shared memory is gone", || !exists());
}

#[test]
fn with_tls_nothing_else_is_accepted() {
    let Some(server) = or_skip("PostgreSQL", Postgres::with_tls()) else { return };
    let ask = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
    assert_eq!(server.psql(&server.url(), ask).unwrap(), "t");
    let by_name = server.fresh_database().replace("127.0.0.1", "localhost");
    assert_eq!(server.psql(&by_name, ask).unwrap(), "t");
    let plain = server.psql(&format!("{}?sslmode=disable", server.url()), ask).unwrap_err();
    assert!(plain.contains("no encryption"), "{plain}");
    let untrusted = format!("{}?sslrootcert=/etc/hostname", server.url());
    assert!(server.psql(&untrusted, ask).is_err());
    assert!(server.ca_file().unwrap().exists());
}

#[test]
fn durability_is_a_setting() {
    let Some(quick) = postgres() else { return };
    assert_eq!(quick.psql(&quick.url(), "SHOW fsync; SHOW synchronous_commit").unwrap(), "off\non");
    let Some(durable) = or_skip("PostgreSQL", Postgres::start_with(Settings { durable: true })) else {
        return;
    };
    assert_eq!(durable.psql(&durable.url(), "SHOW fsync; SHOW synchronous_commit").unwrap(), "on\non");
}
