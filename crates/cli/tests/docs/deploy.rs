//! The files with which Taskloom is deployed fit each other and the program.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::process::Command;

use crate::compose::{self, Compose};
use crate::markdown::root;

const FILES: [&str; 2] = ["compose.yaml", "compose.mysql.yaml"];

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// Tells of a check that this machine cannot make. Not `eprintln!`: the harness swallows that of tests that pass.
fn skipped(what: &str, why: &str) {
    let _ = writeln!(std::io::stderr(), "skipped: {what}: {why}");
}

/// Whether the program's parser takes these arguments; it stops at the help, behind all of them.
fn parses(arguments: &[String]) -> Result<(), String> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_taskloom"));
    let output = command.args(arguments).arg("--help").env_clear().output().unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() { Ok(()) } else { Err(format!("{arguments:?}: {complaint}")) }
}

#[test]
fn the_check_of_arguments_can_fail() {
    let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
    parses(&words("serve --no-scheduler --port 80")).unwrap();
    for line in ["serve --no-schedular", "serve --port eighty", "server", "health 80"] {
        assert!(parses(&words(line)).is_err(), "{line}");
    }
}

#[test]
fn every_process_is_there_and_is_watched() {
    for (file, databases) in
        [("compose.yaml", &["postgres", "redis"][..]), ("compose.mysql.yaml", &["mariadb"])]
    {
        let compose = Compose::read(file);
        let names: BTreeSet<&str> = compose.services.keys().map(String::as_str).collect();
        let expected = ["proxy", "api", "scheduler", "worker"].iter().chain(databases).copied().collect();
        assert_eq!(names, expected, "{file}");
        for name in ["api", "worker"] {
            assert_eq!(compose.services[name].replicas(), 2, "{file}: {name}");
        }
        for (name, service) in &compose.services {
            let has_port = !["scheduler", "worker"].contains(&name.as_str());
            assert_eq!(service.is_checked(), has_port, "{file}: the health check of {name}");
            for (other, condition) in service.depends_on() {
                let other =
                    compose.services.get(&other).unwrap_or_else(|| panic!("{file}: {name} needs {other}"));
                assert!(condition != "service_healthy" || other.is_checked(), "{file}: {name}");
            }
        }
    }
}

#[test]
fn logs_do_not_fill_the_disk() {
    for file in FILES {
        for (name, service) in Compose::read(file).services {
            let (driver, options) = service.logging();
            assert_eq!(driver, "json-file", "{file}: {name}");
            for limit in ["max-size", "max-file"] {
                assert!(options.contains_key(limit), "{file}: {name}: {limit}");
            }
        }
    }
}

#[test]
fn volumes_are_declared_and_artifacts_shared() {
    for file in FILES {
        let compose = Compose::read(file);
        let mut used = BTreeSet::new();
        for (name, service) in &compose.services {
            for (source, target) in service.volumes() {
                if source.starts_with('.') {
                    assert!(root().join(&source).is_file(), "{file}: {name}: {source}");
                } else {
                    used.insert(source.clone());
                }
                assert!(
                    source != "artifacts"
                        || target == service.environment()["TASKLOOM_STORAGE__ARTIFACTS_DIR"]
                );
            }
        }
        assert_eq!(used, compose.volumes, "{file}");
        for name in ["api", "scheduler", "worker"] {
            let shared = compose.services[name].volumes().iter().any(|(source, _)| source == "artifacts");
            assert!(shared, "{file}: {name}");
        }
    }
}

#[test]
fn both_files_run_the_same_processes() {
    let [one, other] = FILES.map(Compose::read);
    for name in ["proxy", "api", "scheduler", "worker"] {
        // What differs is the database.
        let common = |compose: &Compose| compose.services[name].without(&["environment", "depends_on"]);
        assert_eq!(common(&one), common(&other), "{name}");
    }
}

#[test]
fn commands_parse() {
    for file in FILES {
        for (name, service) in Compose::read(file).services {
            let command = service.command();
            if service.image() == "taskloom" {
                parses(&command).unwrap_or_else(|why| panic!("{file}: {name}: {why}"));
            }
            if let Some((program, arguments)) = service.health_check().split_first()
                && program == "taskloom"
            {
                parses(arguments).unwrap_or_else(|why| panic!("{file}: {name}: {why}"));
            }
        }
    }
}

/// With secrets filled in, the program takes every setting; without them, nothing starts.
#[test]
fn settings_are_valid_and_secrets_come_from_outside() {
    let secrets = BTreeMap::from([
        ("SECRET_KEY", "0123456789abcdef0123456789abcdef"),
        ("POSTGRES_PASSWORD", "fedcba98"),
        ("MARIADB_PASSWORD", "fedcba98"),
        ("TASKLOOM_ADMIN_PASSWORD", "fedcba98"),
    ]);
    for file in FILES {
        let compose = Compose::read(file);
        for (name, service) in &compose.services {
            for (variable, value) in service.environment() {
                let is_secret = variable.contains("PASSWORD") && !variable.contains("RANDOM")
                    || ["SECRET_KEY", "DATABASE_URL"].contains(&variable.as_str());
                assert!(!is_secret || value.contains(":?"), "{file}: {name}: {variable} stands in the file");
            }
            if service.image() != "taskloom" {
                continue;
            }
            let environment = service.environment();
            let filled = environment.iter().map(|(k, v)| (k, compose::interpolate(v, &secrets)));
            let home = tempfile::tempdir().unwrap();
            let mut command = Command::new(env!("CARGO_BIN_EXE_taskloom"));
            let output = command
                .args(["config", "check"])
                .env_clear()
                .envs(filled)
                .current_dir(home.path())
                .output()
                .unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success() && said.is_empty(), "{file}: {name}: {said}");
        }
    }
}

#[test]
fn docker_compose_takes_them() {
    let here = Command::new("docker").args(["compose", "version"]).output();
    if !here.is_ok_and(|output| output.status.success()) {
        return skipped("docker compose config", "docker compose is not installed");
    }
    for file in FILES {
        let mut command = Command::new("docker");
        command.args(["compose", "--file", file, "config", "--quiet"]).current_dir(root());
        for secret in ["SECRET_KEY", "POSTGRES_PASSWORD", "MARIADB_PASSWORD", "TASKLOOM_ADMIN_PASSWORD"] {
            command.env(secret, "0123456789abcdef0123456789abcdef");
        }
        let output = command.output().unwrap();
        assert!(output.status.success(), "{file}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn the_image_is_built_from_what_is_there_and_runs_as_nobody() {
    let dockerfile = read("Dockerfile");
    let lines: Vec<&str> = dockerfile.lines().collect();
    let of = |word: &str| lines.iter().filter_map(|line| line.strip_prefix(word)).collect::<Vec<_>>();
    // The compiler is as new as the workspace asks.
    let workspace: toml::Table = read("Cargo.toml").parse().unwrap();
    let rust = workspace["workspace"]["package"]["rust-version"].as_str().unwrap();
    assert!(of("ARG ").contains(&format!("RUST_VERSION={rust}").as_str()), "{:?}", of("ARG "));
    let user = of("USER ");
    assert!(user.len() == 1 && user[0] != "root", "{user:?}");
    let list = |text: &str| serde_json::from_str::<Vec<String>>(text).unwrap();
    assert_eq!(of("ENTRYPOINT "), [r#"["taskloom"]"#]);
    for command in of("CMD ") {
        parses(&list(command)).unwrap();
    }
    let check = of("HEALTHCHECK ").concat();
    let check = list(check.split_once("CMD ").unwrap().1);
    assert_eq!(check[0], "taskloom");
    parses(&check[1..]).unwrap();
    let stages: BTreeSet<&str> =
        of("FROM ").iter().filter_map(|from| Some(from.split_once(" AS ")?.1)).collect();
    let sources: BTreeSet<&str> =
        of("COPY --from=").iter().filter_map(|copy| Some(copy.split_once(' ')?.0)).collect();
    assert_eq!(stages, sources);
    // The build sees what it needs, and no secrets.
    let ignore = read(".dockerignore");
    let allowed: BTreeSet<&str> = ignore.lines().filter_map(|line| line.strip_prefix('!')).collect();
    assert!(ignore.lines().any(|line| line == "*"));
    assert_eq!(allowed, BTreeSet::from([".cargo", "Cargo.lock", "Cargo.toml", "crates"]));
}

#[test]
fn nginx_passes_to_the_servers_and_holds_no_events_back() {
    let text = read("deploy/nginx.conf");
    let code: String = text.lines().map(|line| line.split('#').next().unwrap_or_default().trim()).collect();
    let depth = code.chars().fold(0_i32, |depth, c| {
        assert!(depth >= 0, "a brace closes what is not open");
        depth + i32::from(c == '{') - i32::from(c == '}')
    });
    assert_eq!(depth, 0, "braces");
    for directive in [
        "server api:8000 resolve;",
        "proxy_pass http://taskloom;",
        "proxy_buffering off;",
        "proxy_request_buffering off;",
        "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;",
        "client_max_body_size 1g;",
    ] {
        assert!(code.contains(directive), "{directive}");
    }
    for file in FILES {
        let compose = Compose::read(file);
        assert!(compose.services.contains_key("api"));
        assert_eq!(compose.services["api"].environment()["TASKLOOM_SERVER__TRUSTED_PROXY"], "true");
    }
    let Some(version) = nginx_version() else { return skipped("nginx -t", "nginx is not installed") };
    if version < [1, 27, 3] {
        return skipped("nginx -t", &format!("nginx {version:?} does not know `resolve`; 1.27.3 does"));
    }
    let directory = tempfile::tempdir().unwrap();
    let mut command = Command::new("nginx");
    command.arg("-t").arg("-c").arg(root().join("deploy/nginx.conf")).arg("-p").arg(directory.path());
    let output = command.arg("-g").arg("pid nginx.pid;").arg("-e").arg("stderr").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn nginx_version() -> Option<[u32; 3]> {
    let output = Command::new("nginx").arg("-v").output().ok()?;
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let numbers: Vec<u32> = text
        .split("nginx/")
        .nth(1)?
        .split(|c: char| !c.is_ascii_digit())
        .map_while(|n| n.parse().ok())
        .collect();
    numbers.get(..3)?.try_into().ok()
}
