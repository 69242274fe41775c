use super::super::{LogFormat, Synchronous, as_json, as_toml};
use super::*;

fn with(text: &str, env: impl Into<Environment>, flags: &[Override]) -> Result<Loaded, ConfigErrors> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.toml");
    std::fs::write(&path, text).unwrap();
    load(Some(&path), &env.into(), flags)
}

/// The one error of a configuration, without the directory of the file.
fn error(text: &str, env: impl Into<Environment>) -> String {
    let message = with(text, env, &[]).unwrap_err().to_string();
    message
        .rsplit('/')
        .next()
        .map_or(message.clone(), |end| if message.starts_with('/') { end.into() } else { message.clone() })
}

#[test]
fn the_defaults_pass_their_own_checks() {
    let loaded = with("", [], &[]).unwrap();
    assert_eq!(loaded.config.server.port, 8000);
    assert_eq!(loaded.config.database.synchronous, Synchronous::Full);
    assert_eq!(loaded.config.log.format, LogFormat::Auto);
    assert_eq!(loaded.config.aliases["app.tasks.common_tasks.long_running_task"], "demo.sleep");
    let schema = Schema::new().unwrap();
    for (key, value) in schema.0 {
        rules::alone(&key, &value).unwrap();
    }
}

#[test]
fn every_number_has_a_range_and_the_comment_says_it() {
    let schema = Schema::new().unwrap();
    let numbers: Vec<_> = schema.0.iter().filter(|(_, v)| v.is_integer()).map(|(k, _)| k.as_str()).collect();
    let ranged: Vec<_> = rules::RANGES.iter().map(|(key, ..)| *key).collect();
    assert_eq!(numbers, ranged);
    for (key, least, most) in rules::RANGES {
        let name = key.split_once('.').unwrap().1;
        let before = DEFAULT.split(&format!("\n{name} = ")).next().unwrap();
        let comment: Vec<_> = before.lines().rev().take_while(|line| line.starts_with('#')).collect();
        assert!(comment.concat().contains(&format!("{least} to {most}")), "{key}: {comment:?}");
    }
}

#[test]
fn later_layers_win() {
    let text = "[server]\nport = 1\nhost = \"0.0.0.0\"\n[log]\nlevel = \"warn\"";
    let env = [("TASKLOOM_SERVER__PORT", "2"), ("TASKLOOM_WORKER__QUEUES", "a,b"), ("TASKLOOM_LOG", "debug")];
    let flags = [Override { key: "server.port", text: "3".into(), flag: "--port" }];
    let loaded = with(text, env, &flags).unwrap();
    assert_eq!(loaded.config.server.port, 3);
    assert_eq!(loaded.config.server.host, "0.0.0.0");
    assert_eq!(loaded.config.worker.queues, ["a", "b"]);
    assert_eq!(loaded.config.log.level, "debug");
    let shown = as_toml(&loaded);
    assert!(shown.contains("port = 3  # flag --port"), "{shown}");
    assert!(shown.contains("/t.toml:3"), "{shown}");
    assert!(shown.contains("docs = true  # default"), "{shown}");
    assert!(shown.parse::<Table>().is_ok(), "{shown}");
}

#[test]
fn unknown_keys_are_named_with_a_suggestion() {
    assert_eq!(
        error("[server]\n\nprot = 1", []),
        "t.toml:3: unknown key server.prot (did you mean server.port?)"
    );
    assert_eq!(error("[sever]\nport = 1", []), "t.toml:2: unknown section [sever] (did you mean server?)");
    assert_eq!(error("[sever]", []), "t.toml:1: unknown section [sever] (did you mean server?)");
    assert_eq!(error("server = 1", []), "t.toml:1: server is a section: write [server]");
    assert_eq!(
        error("", [("TASKLOOM_SERVER__PROT", "1")]),
        "environment variable TASKLOOM_SERVER__PROT: unknown key server.prot (did you mean server.port?)"
    );
}

#[test]
fn bad_values_are_named() {
    for (text, message) in [
        ("[server]\nport = \"x\"", "t.toml:2: server.port: expected a whole number, got \"x\""),
        ("[server]\nport = 70000", "t.toml:2: server.port: 70000 is outside 0 to 65535"),
        ("[server]\ndocs = 1", "t.toml:2: server.docs: expected true or false, got 1"),
        ("[server]\ncors_origins = [1]", "t.toml:2: server.cors_origins: every item must be text in quotes"),
        (
            "[database]\nsynchronous = \"ful\"",
            "t.toml:2: database.synchronous: \"ful\" is not one of full, normal (did you mean full?)",
        ),
        ("[aliases]\nx = 1", "t.toml:2: aliases.x: expected the name of a handler in quotes"),
        (
            "[worker]\nqueues = [\"a b\"]",
            "t.toml:2: worker.queues: \"a b\" is no queue: 1 to 100 letters, digits, '.', '_', '-' or ':'",
        ),
        ("[worker]\nqueues = []", "t.toml:2: worker.queues: name at least one queue"),
        (
            "[log]\nlevel = \"loud\"",
            "t.toml:2: log.level: \"loud\" is no log level; one of error, warn, info, debug, trace, off",
        ),
    ] {
        assert_eq!(error(text, []), message);
    }
}

#[test]
fn syntax_errors_have_their_line() {
    let message = error("[server]\nport = \n", []);
    assert!(message.starts_with("t.toml:2: "), "{message}");
}

#[test]
fn values_must_fit_each_other() {
    let message = error("[engine]\nlease_seconds = 10", [("TASKLOOM_ENGINE__HEARTBEAT_SECONDS", "4")]);
    assert!(message.starts_with("environment variable TASKLOOM_ENGINE__HEARTBEAT_SECONDS: "), "{message}");
    assert!(message.contains("more than a third of engine.lease_seconds (10)"), "{message}");
}

#[test]
fn every_error_is_told_at_once() {
    let message = with("[server]\nport = -1\nx = 2", [("TASKLOOM_LIMITS__DEPTH", "0")], &[]).unwrap_err();
    assert_eq!(message.0.len(), 3, "{message}");
}

#[test]
fn familiar_names_are_understood() {
    let env = [
        ("DATABASE_URL", "sqlite:///srv/t.db"),
        ("SECRET_KEY", "0123456789abcdef0123456789abcdef"),
        ("REDIS_URL", "redis://:hunter2@x"),
        ("TASKLOOM_SERVER_PORT", "1"),
        ("TASKLOOM_SERVICE_HOST", "10.0.0.1"),
    ];
    let loaded = with("", env, &[]).unwrap();
    assert_eq!(loaded.config.database.url.expose(), "sqlite:///srv/t.db");
    assert_eq!(loaded.config.redis.url.expose(), "redis://:hunter2@x");
    assert!(
        loaded.warnings.iter().any(|w| w.contains("TASKLOOM_SERVER_PORT means nothing")),
        "{:?}",
        loaded.warnings
    );
    let shown = as_toml(&loaded);
    assert!(
        !shown.contains("0123456789abcdef")
            && shown.contains("secret_key = \"***\"  # environment variable SECRET_KEY"),
        "{shown}"
    );
    assert!(shown.contains("url = \"redis://:***@x\"  # environment variable REDIS_URL"), "{shown}");
    let debug = format!("{:?}", loaded.config);
    assert!(!debug.contains("0123456789abcdef") && !debug.contains("hunter2"), "{debug}");
}

#[test]
fn secrets_are_not_quoted_in_errors() {
    for (name, text, rule) in [
        ("SECRET_KEY", "hunter2", "auth.secret_key: must have at least 32"),
        ("DATABASE_URL", "postgres://u:hunter2@db/x?sslmode=hunter2", "database.url: sslmode is one of"),
        ("REDIS_URL", "hunter2", "redis.url: the address of Redis begins with redis://"),
        ("REDIS_URL", "redis://u:hunter2@x:port", "redis.url: in the address of Redis, a port is a number"),
        ("REDIS_URL", "redis://:hunt/er2@x", "written %25 %2F %3F %23 %40"),
        ("REDIS_URL", "redis+sentinel://:hunter2@x", "redis.url: redis+sentinel:// names the master"),
    ] {
        let message = error("", [(name, text)]);
        assert!(message.contains(rule), "{message}");
        assert!(!message.contains("hunter2"), "{message}");
    }
}

#[test]
fn urls_are_shown_without_their_passwords() {
    for (database, redis, shown) in [
        ("postgres://u:hunter2@db:1/x?sslmode=require", "", "postgres://u:***@db:1/x?sslmode=require"),
        ("postgres://db/x?user=u&password=hunter2", "", "postgres://db/x?user=u&password=***"),
        ("sqlite:///srv/t.db", "", "sqlite:///srv/t.db"),
        ("", "rediss+cluster://u:hunter2@a,b", "rediss+cluster://u:***@a,b"),
        (
            "",
            "redis+sentinel://:hunter2@a/m?sentinel_password=hunter2",
            "redis+sentinel://:***@a/m?sentinel_password=***",
        ),
    ] {
        let loaded = with("", [("DATABASE_URL", database), ("REDIS_URL", redis)], &[]).unwrap();
        for text in [as_toml(&loaded), as_json(&loaded).to_string()] {
            assert!(text.contains(&format!("\"{shown}\"")) && !text.contains("hunter2"), "{text}");
        }
    }
}

#[test]
fn what_a_database_across_a_network_takes() {
    let env =
        [("DATABASE_URL", "postgresql+asyncpg://u:hunter2@db/x"), ("TASKLOOM_DATABASE__CONNECTIONS", "20")];
    let loaded =
        with("[redis]\nprefix = \"staging.\"\n[storage]\nartifacts_dir = \"/srv/a\"", env, &[]).unwrap();
    assert_eq!(loaded.config.database.connections, 20);
    assert_eq!(loaded.config.redis.prefix, "staging.");
    assert_eq!(loaded.config.storage.artifacts_dir, "/srv/a");
    let shown = as_toml(&loaded);
    let url = "url = \"postgresql+asyncpg://u:***@db/x\"  # environment variable DATABASE_URL";
    assert!(shown.contains(url) && !shown.contains("hunter2"), "{shown}");
    assert_eq!(
        error("[redis]\nprefix = \"a b\"", []),
        "t.toml:2: redis.prefix: \"a b\" is not 1 to 64 letters, digits, '.', '_' or '-'"
    );
    assert_eq!(
        error("[database]\nconnections = 201", []),
        "t.toml:2: database.connections: 201 is outside 1 to 200"
    );
}

#[test]
fn aliases_add_up_and_can_be_removed() {
    let text =
        "[aliases]\n\"app.tasks.mail\" = \"demo.echo\"\n\"app.tasks.common_tasks.long_running_task\" = \"\"";
    let loaded = with(text, [], &[]).unwrap();
    assert_eq!(loaded.config.aliases.len(), 1);
    assert_eq!(loaded.config.aliases["app.tasks.mail"], "demo.echo");
}
