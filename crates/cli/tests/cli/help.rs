//! Help and completions.

use crate::support::Home;

const COMMANDS: [&str; 58] = [
    "",
    "dev",
    "serve",
    "scheduler",
    "worker",
    "submit",
    "list",
    "get",
    "wait",
    "logs",
    "artifacts",
    "cancel",
    "retry",
    "change",
    "delete",
    "dead",
    "dead list",
    "dead retry",
    "dead discard",
    "cache",
    "cache list",
    "cache purge",
    "workflow",
    "workflow submit",
    "workflow get",
    "workflow wait",
    "workflow list",
    "workflow cancel",
    "workflow retry",
    "schedule",
    "schedule create",
    "schedule list",
    "schedule get",
    "schedule update",
    "schedule delete",
    "schedule run",
    "schedule pause",
    "schedule resume",
    "schedule ticks",
    "schedule preview",
    "login",
    "logout",
    "api-key",
    "api-key create",
    "api-key list",
    "api-key revoke",
    "health",
    "config",
    "config show",
    "config check",
    "migrate",
    "migrate status",
    "migrate up",
    "doctor",
    "user",
    "user set-password",
    "bench",
    "completions",
];

#[test]
fn every_command_shows_examples() {
    let home = Home::new();
    for command in COMMANDS {
        let said = home.say(&format!("{command} --help")).with_status(0);
        assert!(said.out.contains("Examples:\n  "), "{command}: {}", said.out);
        assert!(said.out.contains("taskloom "), "{command}: {}", said.out);
    }
}

#[test]
fn exit_statuses_are_documented() {
    let home = Home::new();
    for command in ["", "submit", "wait"] {
        let said = home.say(&format!("{command} --help")).with_status(0);
        assert!(said.out.contains("3  the watched task was revoked"), "{command}: {}", said.out);
    }
}

#[test]
fn a_rate_is_told_as_the_bucket_that_it_is() {
    let said = Home::new().say("queue limit --help").with_status(0);
    let words = said.out.split_whitespace().collect::<Vec<_>>().join(" ");
    for rule in ["Examples:", "--rate is a token bucket", "at most 100 tasks start together, then one"] {
        assert!(words.contains(rule), "{}", said.out);
    }
}

#[test]
fn the_flags_of_a_task_stand_under_a_heading_of_their_own_where_it_is_a_schedules() {
    let home = Home::new();
    let words = |line: &str| {
        let said = home.say(line).with_status(0).out;
        said.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    for (command, own, ticks) in [
        ("create", ["--name", "--paused", "--idempotency-key", "--json"], 2),
        ("update", ["--name", "--task", "--unset", "--json"], 2),
        ("run", ["--delay", "--idempotency-key", "--json", "--help"], 0),
    ] {
        let told = words(&format!("schedule {command} --help"));
        let (before, its) = told.split_once("Its task: ").unwrap_or_else(|| panic!("{told}"));
        let (_, options) = before.split_once("Options: ").unwrap_or_else(|| panic!("{told}"));
        let options = options.split("When (one of these): ").next().unwrap();
        for flag in own {
            assert!(options.contains(&format!("{flag} ")), "{flag}: {told}");
        }
        for flag in ["--args", "--queue", "--rate-key", "--unique-key", "--metadata", "--expires-in"] {
            assert!(its.contains(&format!("{flag} <")), "{flag}: {told}");
        }
        assert_eq!(its.matches("the tick is skipped").count(), ticks, "{told}");
        assert_eq!(its.contains("so long after its tick"), ticks > 0, "{told}");
    }
    assert!(!words("submit --help").contains("the tick is skipped"));
    for (command, heading, own) in [
        ("schedule preview", "When (one of these): ", ["--timezone", "--count", "--json"]),
        ("dead list", "Which: ", ["--limit", "--cursor", "--json"]),
        ("dead retry", "Which: ", ["--all", "--yes", "--json"]),
    ] {
        let told = words(&format!("{command} --help"));
        let (before, _) = told.split_once(heading).unwrap_or_else(|| panic!("{told}"));
        let (_, options) = before.split_once("Options: ").unwrap_or_else(|| panic!("{told}"));
        for flag in own {
            assert!(options.contains(&format!("{flag} ")), "{flag}: {told}");
        }
    }
}

#[test]
fn lists_say_how_long_a_page_is() {
    let home = Home::new();
    for (command, rows) in
        [("list", 20), ("cache list", 20), ("dead list", 20), ("schedule list", 50), ("schedule ticks", 20)]
    {
        let said = home.say(&format!("{command} --help")).with_status(0).out;
        assert!(said.contains(&format!("[default: {rows}]")) && said.contains("--cursor <"), "{said}");
    }
}

#[test]
fn completions_know_every_command() {
    let home = Home::new();
    for (shell, start) in
        [("bash", "_taskloom()"), ("zsh", "#compdef taskloom"), ("fish", "complete -c taskloom")]
    {
        let script = home.say(&format!("completions {shell}")).with_status(0).out;
        assert!(script.contains(start), "{shell}");
        for command in ["submit", "api-key", "password-stdin", "idempotency-key"] {
            assert!(script.contains(command), "{shell}: {command}");
        }
    }
    home.say("completions tcsh").with_status(2);
}

#[test]
fn mistakes_have_status_2_and_a_suggestion() {
    let home = Home::new();
    let said = home.say("submti x").with_status(2);
    assert!(said.err.contains("submit"), "{}", said.err);
    home.say("").with_status(2);
    home.say("list --status done").with_status(2);
    home.say("submit x --delay soon").with_status(2);
    home.say("submit x --delay 5 --run-at 2030-01-01T00:00:00Z").with_status(2);
    let said = home.say("queue limit x").with_status(2);
    for flag in ["--max-running", "--rate", "--none"] {
        assert!(said.err.contains(flag), "{}", said.err);
    }
    home.say("queue limit x --none --max-running 3").with_status(2);
    let said = home.run(["submit", "x", "--kwargs", "{url: 1}"]).with_status(2);
    assert!(said.err.contains("--kwargs is not JSON") && said.err.contains("quote it"), "{}", said.err);
}
