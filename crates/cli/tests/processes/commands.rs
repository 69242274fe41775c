//! Commands that need no server, on databases across a network.

use serde_json::json;
use taskloom_testkit::{mariadb, postgres};

use crate::client::Client;
use crate::cluster::{Cluster, PASSWORD};
use crate::process::Said;

crate::on_each_database! {
    migrations_are_shown_and_applied
    a_lost_password_is_replaced
}

async fn migrations_are_shown_and_applied(cluster: Cluster) {
    let status = |line: &str| cluster.say(line).with_status(0).json();
    let before = status("migrate status --json");
    assert_eq!(before["applied"], json!([]), "looking creates nothing: {before}");
    let said = cluster.say("doctor").with_status(1);
    assert!(said.err.contains("taskloom migrate up"), "{}", said.err);
    let after = status("migrate up --json");
    assert_eq!((&after["applied"], &after["pending"]), (&before["pending"], &json!([])));
    assert_eq!(status("migrate up --json"), after);
    cluster.assert_healthy();
    assert!(!cluster.path().join("data").exists());
}

async fn a_lost_password_is_replaced(cluster: Cluster) {
    let [server] = cluster.servers(["a"]).await;
    let said = cluster.say("user set-password admin --json").with_status(0).json();
    let new = said["password"].as_str().unwrap();
    assert_ne!(new, PASSWORD);
    Client::log_in(&server.client.url, new).await;
    cluster.say("user set-password nobody").with_status(1);
}

/// A program that finds another at its migration does not wait; neither does it touch what a newer one has made.
#[test]
fn migrate_up_gives_way() {
    let Some(postgres) = postgres() else { return };
    let url = postgres.fresh_database();
    let cluster = Cluster::new(&url, None);
    let up = || cluster.say("migrate up");
    // The lock's number is "taskloom" in ASCII; psql holds it until its input ends.
    let lock = format!("SELECT pg_advisory_lock({})", u64::from_be_bytes(*b"taskloom"));
    let meanwhile = format!("{lock};\n\\! {}\n", shell(&cluster));
    postgres.psql(&url, &meanwhile).unwrap();
    let said = std::fs::read_to_string(cluster.path().join("said")).unwrap();
    assert!(said.contains("another program is migrating this database right now"), "{said}");
    assert!(said.contains("taskloom migrate status") && said.contains("status 1"), "{said}");
    up().with_status(0);
    postgres
        .psql(&url, "INSERT INTO schema_migrations (version, name) VALUES (999, 'from the future')")
        .unwrap();
    refuses_newer(&up());
}

#[test]
fn migrate_up_gives_way_on_mariadb() {
    let Some(mariadb) = mariadb() else { return };
    let url = mariadb.fresh_database();
    let cluster = Cluster::new(&url, None);
    cluster.say("migrate up").with_status(0);
    mariadb
        .sql(&url, "INSERT INTO schema_migrations (version, name) VALUES (999, 'from the future')")
        .unwrap();
    refuses_newer(&cluster.say("migrate up"));
    refuses_newer(&cluster.say("scheduler"));
}

#[track_caller]
fn refuses_newer(said: &Said) {
    assert_eq!(said.status, Some(1), "{}", said.err);
    assert!(said.err.contains("schema version 999") && said.err.contains("newer program"), "{}", said.err);
}

/// `migrate up` for a shell, which notes what it said and its status.
fn shell(cluster: &Cluster) -> String {
    let script = cluster.path().join("up.sh");
    let program = env!("CARGO_BIN_EXE_taskloom");
    let text = format!(
        "cd {}\nDATABASE_URL={} {program} migrate up > said 2>&1\necho status $? >> said\n",
        cluster.path().display(),
        cluster.database()
    );
    std::fs::write(&script, text).unwrap();
    format!("sh {}", script.display())
}
