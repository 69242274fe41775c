//! Dead letters, the cache and unique keys on the command line.

use serde_json::json;

use crate::support::Home;

#[test]
fn dead_letters_are_shown_before_they_move() {
    let home = Home::new();
    let server = home.ready(&[]);
    for kind in ["Boom", "Boom", "Other"] {
        home.say(&format!("submit demo.fail --kwarg kind={kind} --max-attempts 1 --watch")).with_status(1);
    }
    let listed = home.say("dead list --error-type Boom --json").with_status(0).json();
    assert_eq!(listed["total"], 2);
    let table = home.say("dead list --reason error").with_status(0).out;
    assert_eq!((table.lines().count(), table.contains("Boom: attempt 1 failed")), (4, true), "{table}");
    for line in ["dead retry --dry-run", "dead discard --yes", "dead retry --all --tag x"] {
        let said = home.say(line).with_status(2);
        assert!(said.err.contains("or --all instead"), "{}", said.err);
    }
    home.say("dead list --reason cancelled").with_status(2);
    let said = home.say("dead retry --error-type Boom").with_status(2);
    assert!(said.out.contains("Boom") && said.err.contains("2 match"), "{} {}", said.out, said.err);
    assert!(said.err.contains("--yes"), "nobody sits at a terminal: {}", said.err);
    let dry = home.say("dead retry --all --dry-run --json").with_status(0).json();
    assert_eq!((&dry["matched"], &dry["moved"]), (&json!(3), &json!(0)));
    let done = home.say("dead retry --error-type Boom --yes --json").with_status(0).json();
    assert_eq!((&done["matched"], &done["moved"], &done["refused"]), (&json!(2), &json!(2), &json!(0)));
    let said = home.say("dead discard --error-type Other --yes").with_status(0);
    assert!(said.out.ends_with("1 put away\n"), "{}", said.out);
    let said = home.say("dead discard --error-type Other --yes").with_status(0);
    assert_eq!((said.out.as_str(), said.err.as_str()), ("", "no dead letters match\n"));
    server.stop();
}

#[test]
fn equal_calls_are_answered_until_a_purge() {
    let home = Home::new();
    let server = home.ready(&[]);
    let line = "submit demo.echo --kwarg a=1 --cache-ttl 1h";
    home.say(&format!("{line} --watch")).with_status(0);
    let hit = home.say(&format!("{line} --json")).with_status(0).json();
    assert_eq!((&hit["cache"], &hit["result"]["kwargs"]), (&json!("hit"), &json!({"a": 1})));
    assert!(home.say(line).with_status(0).err.contains("answered from the cache"));
    let listed = home.say("cache list --handler demo.echo --json").with_status(0).json();
    assert_eq!((&listed["total"], &listed["requests"]["hit"]), (&json!(1), &json!(2)));
    assert!(home.say("cache list").with_status(0).out.contains("succeeded"));
    home.say("cache purge --handler demo.echo").with_status(2);
    assert!(home.say("cache purge --dry-run").with_status(0).out.contains("demo.echo"));
    assert_eq!(home.say("cache purge --handler demo.echo --yes").with_status(0).out, "1 forgotten\n");
    assert_eq!(home.say(&format!("{line} --json")).with_status(0).json()["cache"], "miss");
    server.stop();
}

#[test]
fn a_unique_key_answers_refuses_or_replaces() {
    let home = Home::new();
    let server = home.ready(&[]);
    let line = "submit demo.echo --delay 1h --unique-key k";
    let id = home.say(&format!("{line} --unique-ttl 1h --json")).with_status(0).json()["id"].clone();
    assert!(home.say(line).with_status(0).err.contains("was there already"));
    let said = home.say(&format!("{line} --on-conflict reject")).with_status(5);
    assert!(said.err.contains(id.as_str().unwrap()), "{}", said.err);
    let said = home.say(&format!("{line} --on-conflict replace")).with_status(0);
    assert!(said.err.contains(&format!("takes the place of {}", id.as_str().unwrap())), "{}", said.err);
    for half in ["unique-ttl 1h", "on-conflict reject", "concurrency-limit 3", "rate-key r", "rate 5/1h"] {
        let said = home.say(&format!("submit demo.echo --{half}")).with_status(2);
        assert!(said.err.contains("required arguments were not provided"), "{half}: {}", said.err);
    }
    let line = "submit demo.fail --kwarg kind=Bad --retry-on Good --watch --json";
    let failed = home.say(line).with_status(1).json();
    assert_eq!((&failed["reason"], &failed["attempt"]), (&json!("fatal"), &json!(1)));
    server.stop();
}
