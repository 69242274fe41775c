//! Redis, from outside.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use crate::conditions::{place, refuses, until};
use taskloom_testkit::{Redis, Settings, or_skip, redis};

fn start() -> Option<Redis> {
    or_skip("Redis", Redis::start())
}

/// Says something on a connection of its own and gives the beginning of the answer, if one comes soon.
fn say(url: &str, words: &str) -> Option<String> {
    let mut stream = TcpStream::connect(place(url)).unwrap();
    stream.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    stream.write_all(words.as_bytes()).unwrap();
    let mut answer = [0; 64];
    let count = stream.read(&mut answer).ok()?;
    Some(String::from_utf8_lossy(&answer[..count]).into_owned())
}

#[test]
fn the_shared_server_answers_who_knows_the_password() {
    let Some(server) = redis() else { return };
    assert_eq!(server.cli(&["SET", "a", "1"]).unwrap(), "OK");
    assert_eq!(server.cli(&["GET", "a"]).unwrap(), "1");
    assert!(server.cli(&["NONSENSE"]).unwrap_err().contains("unknown command"));
    assert!(say(&server.url(), "PING\r\n").unwrap().starts_with("-NOAUTH"));
    assert_eq!(server.url(), format!("redis://:{}@127.0.0.1:{}/0", server.password(), server.port()));
    assert!(std::ptr::eq(server, redis().unwrap()));
}

#[test]
fn only_a_durable_server_keeps_what_it_was_told() {
    for durable in [false, true] {
        let Some(server) = or_skip("Redis", Redis::start_with(Settings { durable })) else { return };
        server.cli(&["SET", "a", "1"]).unwrap();
        server.kill();
        refuses(&server.url());
        server.restart().unwrap();
        assert_eq!(server.cli(&["EXISTS", "a"]).unwrap(), if durable { "1" } else { "0" });
        server.cli(&["SET", "b", "2"]).unwrap();
        server.stop();
        refuses(&server.url());
        server.restart().unwrap();
        assert_eq!(server.cli(&["EXISTS", "b"]).unwrap(), if durable { "1" } else { "0" });
    }
}

#[test]
fn a_frozen_server_is_silent_until_it_thaws() {
    let Some(server) = start() else { return };
    server.freeze();
    assert_eq!(say(&server.url(), "PING\r\n"), None);
    server.thaw();
    assert_eq!(server.cli(&["PING"]).unwrap(), "PONG");
    server.freeze();
    server.stop();
    refuses(&server.url());
    server.restart().unwrap();
    server.freeze();
}

#[test]
fn two_servers_live_side_by_side_and_vanish_when_dropped() {
    let (Some(one), Some(two)) = (start(), start()) else { return };
    let (url, folder) = (one.url(), one.folder().to_owned());
    assert!(folder.join("redis.conf").exists());
    drop(one);
    refuses(&url);
    assert!(!folder.exists());
    assert_eq!(two.cli(&["PING"]).unwrap(), "PONG");
}

#[test]
fn with_tls_nothing_else_is_accepted() {
    let Some(server) = or_skip("Redis", Redis::with_tls()) else { return };
    assert!(server.url().starts_with("rediss://:"));
    assert_eq!(server.cli(&["PING"]).unwrap(), "PONG");
    assert!(!say(&server.url(), "PING\r\n").is_some_and(|answer| answer.starts_with(['-', '+'])));
    assert!(server.ca_file().unwrap().exists());
}

#[test]
fn with_acl_only_that_user_comes_in() {
    let password = "p@ss w\"o\\rd";
    let Some(server) = or_skip("Redis", Redis::with_acl("task:loom", password)) else { return };
    assert_eq!(server.cli(&["ACL", "WHOAMI"]).unwrap(), "task:loom");
    assert!(server.url().starts_with("redis://task%3Aloom:p%40ss%20w%22o%5Crd@127.0.0.1:"));
    assert!(say(&server.url(), "PING\r\n").unwrap().starts_with("-NOAUTH"));
    server.cli(&["ACL", "SETUSER", "reader", "on", ">secret", "~*", "+get"]).unwrap();
    assert!(say(&server.url(), "AUTH reader secret\r\n").unwrap().starts_with("+OK"));
}

#[test]
fn a_cluster_divides_the_keys() {
    let Some(cluster) = or_skip("Redis Cluster", Redis::start_cluster(3)) else { return };
    for number in 0..20 {
        let key = format!("key-{number}");
        assert_eq!(cluster.cli(&["SET", &key, "1"]).unwrap(), "OK");
    }
    let sizes = cluster.nodes().iter().map(|node| node.cli(&["DBSIZE"]).unwrap().parse::<u32>().unwrap());
    let sizes: Vec<_> = sizes.collect();
    assert!(sizes.iter().all(|size| *size > 0) && sizes.iter().sum::<u32>() == 20, "{sizes:?}");
    assert_eq!(cluster.urls().len(), 3);

    let one = &cluster.nodes()[1];
    one.kill();
    until("the others notice", || {
        cluster.nodes()[0].cli(&["CLUSTER", "INFO"]).unwrap().contains("cluster_state:fail")
    });
    one.restart().unwrap();
    until("the cluster is whole", || {
        cluster.nodes()[0].cli(&["CLUSTER", "INFO"]).unwrap().contains("cluster_state:ok")
    });
}

#[test]
fn a_sentinel_knows_the_master() {
    let Some(sentinel) = or_skip("Redis Sentinel", Redis::start_sentinel()) else { return };
    assert_eq!(sentinel.master().cli(&["PING"]).unwrap(), "PONG");
    let ask = format!("SENTINEL get-master-addr-by-name {}\r\n", sentinel.master_name());
    let told = || say(&format!("@{}", sentinel.address()), &ask).unwrap();
    assert!(told().contains(&sentinel.master().port().to_string()));
    sentinel.kill();
    refuses(&format!("@{}", sentinel.address()));
    sentinel.restart().unwrap();
    assert!(told().contains(&sentinel.master().port().to_string()));
}
