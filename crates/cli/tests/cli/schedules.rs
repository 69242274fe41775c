//! Schedules against a real server.

use serde_json::json;

use crate::support::{Home, eventually};

#[test]
fn a_schedule_lives_and_fires() {
    let home = Home::new();
    let server = home.ready(&[]);
    let line = "schedule create --name tick --task demo.echo --kwarg n=1 --every 1s --overlap skip --json";
    let made = home.say(line).with_status(0).json();
    let id = made["id"].as_str().unwrap().to_owned();
    assert_eq!(made["schedule_config"], json!({"interval": 1, "unit": "seconds"}));
    let get = || home.say(&format!("schedule get {id} --json")).with_status(0).json();
    eventually("a tick", || (get()["counts"]["fired"].as_u64()? >= 1).then_some(()));
    let task = get()["last_task_id"].as_str().unwrap().to_owned();
    assert_eq!(home.task(&task)["schedule_id"], json!(id));
    home.say(&format!("wait {task}")).with_status(0);

    let paused = home.say(&format!("schedule pause {id} --json")).with_status(0).json();
    assert_eq!((&paused["enabled"], &paused["next_run_at"]), (&json!(false), &json!(null)));
    let said = home.say(&format!("schedule get {id}")).with_status(0).out;
    assert!(said.contains("state      paused") && said.contains("every 1 seconds"), "{said}");
    let table = home.say("schedule list --paused").with_status(0).out;
    assert!(table.contains("tick") && table.contains("paused"), "{table}");
    let ticks = home.say(&format!("schedule ticks {id}")).with_status(0).out;
    assert!(ticks.contains("fired") && ticks.contains("+00:00"), "{ticks}");

    let changed = home.say(&format!(
        "schedule update {id} --name other --weekly 1,3,5@14:30 --timezone Asia/Shanghai --misfire run_all --catch-up 2h --json"
    ));
    let changed = changed.with_status(0).json();
    assert_eq!(
        (&changed["name"], &changed["schedule_config"], &changed["catch_up"]),
        (&json!("other"), &json!({"days": [1, 3, 5], "time": "14:30"}), &json!(7200))
    );
    assert_eq!(changed["kwargs"], json!({"n": 1}), "what is left out stays");
    let reset = home
        .say(&format!("schedule update {id} --unset timezone --unset kwargs --json"))
        .with_status(0)
        .json();
    assert_eq!((&reset["timezone"], &reset["kwargs"]), (&json!("UTC"), &json!({})));
    let resumed = home.say(&format!("schedule resume {id}")).with_status(0).out;
    assert!(resumed.contains("state      active") && resumed.contains("14:30:00+00:00"), "{resumed}");

    let said = home.say(&format!("schedule delete {id}")).with_status(2);
    assert!(said.err.contains("--yes"), "{}", said.err);
    home.say(&format!("schedule delete {id} --yes")).with_status(0);
    let said = home.say(&format!("schedule get {id}")).with_status(5);
    assert!(said.err.contains("no schedule with this id"), "{}", said.err);
    let said = home.say("schedule list").with_status(0);
    assert_eq!((said.out.as_str(), said.err.as_str()), ("", "no schedules\n"));
    server.stop();
}

#[test]
fn a_saved_task_is_run_by_hand() {
    let home = Home::new();
    let server = home.ready(&[]);
    let id =
        home.say("schedule create --name saved --task demo.echo --kwarg a=1 --manual").with_status(0).out;
    let id = id.trim();
    let run =
        home.say(&format!("schedule run {id} --kwarg b=2 --priority high --json")).with_status(0).json();
    assert_eq!((&run["kwargs"], &run["priority"]), (&json!({"b": 2}), &json!("high")));
    home.say(&format!("wait {}", run["id"].as_str().unwrap())).with_status(0);
    server.stop();
}

#[test]
fn a_schedule_says_what_a_submission_can() {
    let home = Home::new();
    let server = home.ready(&[]);
    let line = "schedule create --name saved --task demo.sleep --kwarg seconds=600 --manual --unique-key u --unique-ttl 1h \
        --on-conflict reject --cache-ttl 5m --expires-in 30s --soft-timeout 5s --concurrency-key c --concurrency-limit 2 \
        --rate-key r --rate 5/1h --retry-on Busy --backoff linear:5s..1m --task-type report --model-id m1 \
        --metadata {\"ticket\":7} --idempotency-key k --json";
    let made = home.say(line).with_status(0).json();
    for (name, value) in [
        ("unique_key", json!("u")),
        ("unique_ttl", json!(3600.0)),
        ("unique_conflict", json!("reject")),
        ("cache_ttl", json!(300.0)),
        ("expires_in", json!(30.0)),
        ("soft_timeout", json!(5.0)),
        ("concurrency_key", json!("c")),
        ("concurrency_limit", json!(2)),
        ("rate_key", json!("r")),
        ("rate_limit", json!({"count": 5, "seconds": 3600.0})),
        ("retry_on", json!(["Busy"])),
        ("backoff", json!({"kind": "linear", "seconds": 5.0, "max_seconds": 60.0})),
        ("task_type", json!("report")),
        ("model_id", json!("m1")),
        ("metadata", json!({"ticket": 7})),
    ] {
        assert_eq!(made[name], value, "{name}");
    }
    let again = home.say(line).with_status(0).json();
    assert_eq!((&again["id"], &again["deduplicated_by"]), (&made["id"], &json!("idempotency_key")));
    let id = made["id"].as_str().unwrap();
    let said = home.say(&format!("schedule get {id}")).with_status(0).out;
    for fact in ["unique     u", "cache      300 s", "expires    30 s after its tick"] {
        assert!(said.contains(fact), "{said}");
    }
    let run =
        home.say(&format!("schedule run {id} --delay 10s --idempotency-key r --json")).with_status(0).json();
    let again = home.say(&format!("schedule run {id} --delay 10s --idempotency-key r")).with_status(0);
    assert!(again.err.contains("was there already"), "{}", again.err);
    assert_eq!(again.out.trim(), run["id"].as_str().unwrap());
    let said = home.say(&format!("schedule run {id} --kwarg seconds=1")).with_status(5);
    assert!(said.err.contains(run["id"].as_str().unwrap()), "{}", said.err);
    let line = format!(
        "schedule update {id} --unset unique_key --unset unique_ttl --unset unique_conflict --expires-in 1m \
         --backoff fixed:3s --task-type other --concurrency-limit 3 --json"
    );
    let changed = home.say(&line).with_status(0).json();
    assert_eq!((&changed["unique_key"], &changed["expires_in"]), (&json!(null), &json!(60.0)));
    assert_eq!(changed["backoff"], json!({"kind": "fixed", "seconds": 3.0, "max_seconds": 3.0}));
    assert_eq!((&changed["task_type"], &changed["model_id"]), (&json!("other"), &json!("m1")));
    assert_eq!((&changed["concurrency_key"], &changed["concurrency_limit"]), (&json!("c"), &json!(3)));
    server.stop();
}

#[test]
fn previews_show_the_zone() {
    let home = Home::new();
    let server = home.ready(&[]);
    let line =
        "schedule preview --daily 02:30 --timezone Europe/Berlin --after 2026-03-28T12:00:00Z --count 2";
    let table = home.say(line).with_status(0).out;
    assert_eq!(
        table,
        "UTC                          LOCAL\n\
         2026-03-29T01:00:00.000000Z  2026-03-29T03:00:00+02:00\n\
         2026-03-30T00:30:00.000000Z  2026-03-30T02:30:00+02:00\n"
    );
    let made =
        home.run(["schedule", "create", "--name", "x", "--task", "demo.echo", "--cron", "0 9 * * MON-FRI"]);
    let id = made.with_status(0).out;
    let shown = home.say(&format!("schedule preview {} --count 3 --json", id.trim())).with_status(0).json();
    assert_eq!(shown["times"].as_array().unwrap().len(), 3);
    server.stop();
}

#[test]
fn mistakes_are_named() {
    let home = Home::new();
    home.say("schedule create --name x --task demo.echo").with_status(2);
    home.say("schedule create --name x --task demo.echo --every 5m --daily 09:00").with_status(2);
    home.say("schedule create --name x --task demo.echo --every 5").with_status(2);
    home.say("schedule create --name x --task demo.echo --weekly mon@09:00").with_status(2);
    home.say("schedule create --name x --task demo.echo --every 5m --overlap never").with_status(2);
    let said = home.say("schedule create --name x --task demo.echo --manual --backoff 5s").with_status(2);
    assert!(said.err.contains("exponential:2s..10m"), "{}", said.err);
    home.say("schedule preview").with_status(2);
    home.say("schedule preview 0199 --daily 09:00").with_status(2);
    let server = home.ready(&[]);
    let said = home
        .say("schedule create --name x --task demo.echo --daily 25:00 --timezone Mars/Olympus")
        .with_status(5);
    assert!(
        said.err.contains("schedule_config.time: HH:MM") && said.err.contains("timezone: "),
        "{}",
        said.err
    );
    let said = home.say("schedule create --name x --task demo.echo --at 2020-01-01T00:00:00Z").with_status(5);
    assert!(said.err.contains("has no tick ahead"), "{}", said.err);
    for line in ["schedule create --name x --task demo.echo --cron", "schedule preview --cron"] {
        let said = home.run(line.split(' ').chain(["0 0 31 2 *"])).with_status(5);
        let told = "schedule_config.cron_expression: never comes to a time: no date fits it";
        assert!(said.err.contains(told), "{}", said.err);
    }
    server.stop();
}
