//! MariaDB, from outside.

use crate::conditions::refuses;
use taskloom_testkit::{MariaDb, Settings, mariadb, or_skip};

fn start() -> Option<MariaDb> {
    or_skip("MariaDB", MariaDb::start())
}

#[test]
fn the_shared_server_answers_and_gives_separate_databases() {
    let Some(server) = mariadb() else { return };
    assert_eq!(server.sql(&server.url(), "SELECT database()").unwrap(), "test");
    let (one, two) = (server.fresh_database(), server.fresh_database());
    server.sql(&one, "CREATE TABLE t (n int); INSERT INTO t VALUES (1), (2);").unwrap();
    assert_eq!(server.sql(&one, "SELECT n, 'ä' FROM t ORDER BY n").unwrap(), "1\tä\n2\tä");
    assert!(server.sql(&two, "SELECT n FROM t").unwrap_err().contains("doesn't exist"));
    assert!(std::ptr::eq(server, mariadb().unwrap()));
}

#[test]
fn a_wrong_password_is_refused() {
    let Some(server) = mariadb() else { return };
    let url = server.url();
    let (login, place) = url.rsplit_once('@').unwrap();
    assert!(server.sql(&format!("{login}x@{place}"), "SELECT 1").unwrap_err().contains("Access denied"));
}

#[test]
fn what_was_committed_outlives_kill_and_stop() {
    let Some(server) = start() else { return };
    let url = server.fresh_database();
    server.sql(&url, "CREATE TABLE t (n int); INSERT INTO t VALUES (1)").unwrap();
    server.kill();
    refuses(&url);
    server.restart().unwrap();
    server.sql(&url, "INSERT INTO t VALUES (2)").unwrap();
    server.stop();
    refuses(&url);
    server.restart().unwrap();
    server.restart().unwrap();
    assert_eq!(server.sql(&url, "SELECT sum(n) FROM t").unwrap(), "3");
}

#[test]
fn two_servers_live_side_by_side_and_vanish_when_dropped() {
    let (Some(one), Some(two)) = (start(), start()) else { return };
    let (url, folder) = (one.url(), one.folder().to_owned());
    assert_ne!(url, two.url());
    assert!(folder.join("data").exists());
    drop(one);
    refuses(&url);
    assert!(!folder.exists());
    assert_eq!(two.sql(&two.url(), "SELECT 1").unwrap(), "1");
}

#[test]
fn with_tls_nothing_else_is_accepted() {
    let Some(server) = or_skip("MariaDB", MariaDb::with_tls()) else { return };
    let cipher = server.sql(&server.fresh_database(), "SHOW STATUS LIKE 'Ssl_cipher'").unwrap();
    assert!(cipher.starts_with("Ssl_cipher\t") && cipher.len() > "Ssl_cipher\t".len(), "{cipher}");
    let demand = server.sql(&server.url(), "SELECT @@require_secure_transport").unwrap();
    assert_eq!(demand, "1");
    assert!(server.ca_file().unwrap().exists());
}

#[test]
fn durability_is_a_setting() {
    let ask = "SELECT @@innodb_flush_log_at_trx_commit";
    let Some(quick) = mariadb() else { return };
    assert_eq!(quick.sql(&quick.url(), ask).unwrap(), "2");
    let Some(durable) = or_skip("MariaDB", MariaDb::start_with(Settings { durable: true })) else { return };
    assert_eq!(durable.sql(&durable.url(), ask).unwrap(), "1");
}
