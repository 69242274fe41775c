//! `taskloom config`, and what stops a start.

use std::fs;

use crate::support::Home;

#[test]
fn the_default_is_printed_and_valid() {
    let home = Home::new();
    let default = home.say("config show --default").with_status(0).out;
    assert!(default.contains("# The port, 0 to 65535; 0 takes a free one.\nport = 8000"), "{default}");
    fs::write(home.path().join("taskloom.toml"), default).unwrap();
    let said = home.say("config check").with_status(0);
    assert_eq!(said.out, "taskloom.toml with the environment: valid\n");
}

#[test]
fn sources_are_shown_and_secrets_are_not() {
    let home = Home::new();
    fs::write(home.path().join("taskloom.toml"), "[log]\nlevel = \"warn\"\n").unwrap();
    fs::write(
        home.path().join(".env"),
        "SECRET_KEY=hunter2-hunter2-hunter2-hunter2-h\nTASKLOOM_SERVER__PORT=1\n",
    )
    .unwrap();
    let mut command = home.command(["config", "show"]);
    let output = command.env("TASKLOOM_SERVER__PORT", "9000").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("port = 9000  # environment variable TASKLOOM_SERVER__PORT"), "{text}");
    assert!(text.contains("secret_key = \"***\"  # SECRET_KEY in .env"), "{text}");
    assert!(text.contains("level = \"warn\"  # taskloom.toml:2"), "{text}");
    assert!(!text.contains("hunter2"), "{text}");
    let json = home.say("config show --json").with_status(0).json();
    assert_eq!(json["server.port"]["value"], 1);
    assert_eq!(json["auth.secret_key"]["value"], "***");
}

#[test]
fn what_is_wrong_stops_the_start_and_is_named() {
    let home = Home::new();
    let file = home.path().join("wrong.toml");
    fs::write(&file, "[server]\nprot = 1\nport = \"x\"\n[engine]\nlease_seconds = 0\n").unwrap();
    for line in ["config check wrong.toml", "dev --config wrong.toml", "worker --token t --config wrong.toml"]
    {
        let said = home.say(line).with_status(2);
        for part in [
            "wrong.toml:2: unknown key server.prot (did you mean server.port?)",
            "wrong.toml:3: server.port: expected a whole number, got \"x\"",
            "wrong.toml:5: engine.lease_seconds: 0 is outside 1 to 3600",
        ] {
            assert!(said.err.contains(part), "{line}: {}", said.err);
        }
    }
    assert!(!home.data().exists());
    let said = home.say("config check missing.toml").with_status(2);
    assert!(said.err.contains("missing.toml: cannot be read"), "{}", said.err);
}

#[test]
fn passwords_in_urls_are_neither_shown_nor_quoted() {
    let home = Home::new();
    let with = |url: &str, redis: &str, line: &str| {
        let mut command = home.command(line.split(' '));
        let output = command.env("DATABASE_URL", url).env("REDIS_URL", redis).output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(text).unwrap())
    };
    let (good, redis) = ("postgresql+asyncpg://u:hunter2@db/tasks", "rediss://:hunter2@cache");
    let (status, text) = with(good, redis, "config show");
    assert_eq!(status, Some(0), "{text}");
    for shown in [
        "url = \"postgresql+asyncpg://u:***@db/tasks\"  # environment variable DATABASE_URL",
        "url = \"rediss://:***@cache\"  # environment variable REDIS_URL",
    ] {
        assert!(text.contains(shown), "{text}");
    }
    assert!(!text.contains("hunter2") && !text.contains("warning"), "{text}");
    for (url, redis, rule) in [
        ("postgres://u:hunter2@db/tasks?sslmode=maybe", redis, "database.url: sslmode is one of"),
        ("oracle://u:hunter2@db/tasks", redis, "database.url: oracle:// is not supported"),
        (good, "http://u:hunter2@cache", "redis.url: the address of Redis begins with redis://"),
        (good, "redis://u:hunter2@cache:port", "redis.url: in the address of Redis, a port is a number"),
    ] {
        let (status, text) = with(url, redis, "config check");
        assert_eq!(status, Some(2), "{text}");
        assert!(text.contains(rule) && !text.contains("hunter2"), "{text}");
    }
}
