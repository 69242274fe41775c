//! Logins, tokens, and servers that are not there.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::Value;

use crate::support::{Home, PASSWORD};

fn credentials(home: &Home) -> Value {
    serde_json::from_slice(&fs::read(home.credentials()).unwrap()).unwrap()
}

#[test]
fn a_login_is_private_and_ends_with_logout() {
    let home = Home::new();
    let server = home.ready(&[]);
    assert_eq!(fs::metadata(home.credentials()).unwrap().permissions().mode() & 0o777, 0o600);
    let token = credentials(&home)["servers"][&server.url]["access_token"].as_str().unwrap().to_owned();
    home.say("logout").with_status(0);
    assert!(credentials(&home)["servers"].as_object().unwrap().is_empty());
    let output =
        home.command(["list", "--server", &server.url]).env("TASKLOOM_TOKEN", token).output().unwrap();
    assert_eq!(output.status.code(), Some(4), "the server has forgotten it as well");
    let said = home.say(&format!("logout --server {} --json", server.url)).with_status(0);
    assert_eq!(said.json()["logged_out"], false);
    server.stop();
}

#[test]
fn an_access_token_renews_itself() {
    let home = Home::new();
    let server = home.ready(&[]);
    let mut stored = credentials(&home);
    let refresh = stored["servers"][&server.url]["refresh_token"].clone();
    stored["servers"][&server.url]["access_token"] = "expired".into();
    fs::write(home.credentials(), stored.to_string()).unwrap();
    // Several at once: the refresh token works only once, and nobody may lose.
    let running: Vec<_> = (0..4).map(|_| home.command(["list", "--json"]).spawn().unwrap()).collect();
    for child in running {
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    }
    assert_ne!(credentials(&home)["servers"][&server.url]["refresh_token"], refresh);
    server.stop();
}

#[test]
fn who_is_not_logged_in_is_told_how() {
    let home = Home::new();
    let server = home.serve(&[]);
    let said = home.say(&format!("list --server {}", server.url)).with_status(4);
    assert!(said.err.contains(&format!("taskloom login --server {}", server.url)), "{}", said.err);
    let line = format!("login --server {} --username admin --password-stdin", server.url);
    let said = home.with_input(&line, "wrong password\n").with_status(4);
    assert!(!said.err.contains("wrong password\n") && !home.credentials().exists(), "{}", said.err);
    let said = home.say(&format!("login --server {}", server.url)).with_status(2);
    assert!(said.err.contains("--password-stdin"), "{}", said.err);
    server.stop();
}

#[test]
fn the_environment_names_server_and_token() {
    let home = Home::new();
    let server = home.ready(&[]);
    let key = home.say("api-key create ci --scope tasks:read --json").with_status(0).json();
    home.say("logout").with_status(0);
    fs::write(
        home.path().join(".env"),
        format!("TASKLOOM_SERVER={}\nTASKLOOM_TOKEN={}\n", server.url, key["key"]),
    )
    .unwrap();
    home.say("list").with_status(0);
    home.say("submit demo.echo").with_status(4);
    let output = home.command(["list"]).env("HTTP_PROXY", "http://127.0.0.1:1").output().unwrap();
    assert_eq!(output.status.code(), Some(0), "no proxy on the way to this machine");
    let output = home.command(["list"]).env("TASKLOOM_TOKEN", "nonsense").output().unwrap();
    assert_eq!(output.status.code(), Some(4));
    assert!(String::from_utf8(output.stderr).unwrap().contains("does not accept TASKLOOM_TOKEN"));
    server.stop();
}

#[test]
fn api_keys_are_listed_and_revoked() {
    let home = Home::new();
    let server = home.ready(&[]);
    let said = home
        .say("api-key create nightly --scope tasks:read --scope tasks:write --expires-in 90d")
        .with_status(0);
    let key = said.out.trim().to_owned();
    let listed = home.say("api-key list --json").with_status(0);
    assert!(!listed.out.contains(&key));
    let json = listed.json();
    let id = json["items"][0]["id"].as_str().unwrap().to_owned();
    assert!(home.say("api-key list").with_status(0).out.contains("tasks:read tasks:write"));
    let with_key = || home.command(["list"]).env("TASKLOOM_TOKEN", &key).output().unwrap().status.code();
    assert_eq!(with_key(), Some(0));
    home.say(&format!("api-key revoke {id}")).with_status(0);
    assert_eq!(with_key(), Some(4));
    assert!(home.say("api-key list").with_status(0).out.contains("revoked"));
    server.stop();
}

#[test]
fn a_server_that_is_not_there_is_said() {
    let home = Home::new();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let said = home.say(&format!("list --server 127.0.0.1:{free}")).with_status(4);
    assert!(said.err.contains(&format!("cannot reach http://127.0.0.1:{free}")), "{}", said.err);
    assert!(said.err.contains("is `taskloom dev` or `taskloom serve` running there?"), "{}", said.err);
    home.say("list --server ftp://x").with_status(2);
    let line = format!("login --server 127.0.0.1:{free} --username a --password-stdin");
    home.with_input(&line, PASSWORD).with_status(4);
}

#[test]
fn health_asks_the_server_that_the_configuration_describes() {
    let home = Home::new();
    let server = home.serve(&[]);
    let gone = "http://127.0.0.1:1";
    fs::create_dir_all(home.credentials().parent().unwrap()).unwrap();
    fs::write(home.credentials(), format!(r#"{{"default_server": "{gone}"}}"#)).unwrap();
    let ask = |flags: &[&str], environment: &[(&str, &str)]| {
        let mut command = home.command([&["health"], flags].concat());
        let output = command.envs(environment.iter().copied()).output().unwrap();
        let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        (output.status.code().unwrap(), text)
    };
    let (status, said) = ask(&[], &[]);
    assert!(status == 1 && said.contains(&format!("cannot reach {gone}")), "the last login's: {said}");
    let port = server.port.to_string();
    let (status, said) = ask(&[], &[("TASKLOOM_SERVER__PORT", &port)]);
    assert!(status == 0 && said.starts_with("ok (Taskloom "), "{said}");

    let file = home.path().join("taskloom.toml");
    fs::write(&file, format!("[server]\nhost = \"0.0.0.0\"\nport = {port}\n")).unwrap();
    assert_eq!(ask(&[], &[]).0, 0);
    assert_eq!(ask(&[], &[("TASKLOOM_SERVER", gone)]).0, 1);
    assert_eq!(ask(&["--server", &server.url], &[("TASKLOOM_SERVER", gone)]).0, 0);
    let (status, said) = ask(&[], &[("TASKLOOM_SERVER__HOST", "::1"), ("TASKLOOM_SERVER__PORT", "1")]);
    assert!(status == 1 && said.contains("cannot reach http://[::1]:1"), "{said}");
    let (status, said) = ask(&[], &[("TASKLOOM_SERVER__PORT", "0")]);
    assert!(status == 1 && said.contains(gone), "port 0 is any: {said}");
    fs::rename(&file, home.path().join("other.toml")).unwrap();
    assert_eq!(ask(&["--config", "other.toml"], &[]).0, 0);

    fs::write(&file, "[server]\nprot = 1\n").unwrap();
    assert_eq!(ask(&["--server", &server.url], &[]).0, 0);
    assert_eq!(ask(&[], &[("TASKLOOM_SERVER", &server.url)]).0, 0);
    let (status, said) = ask(&[], &[]);
    assert!(status == 2 && said.contains("server.prot (did you mean server.port?)"), "{said}");
    assert!(said.contains("taskloom health --server URL"), "{said}");
    server.stop();
}

#[test]
fn a_lost_password_is_no_loss_to_whoever_has_the_data() {
    let home = Home::new();
    let server = home.ready(&[]);
    let said = home.say("user set-password admin --json").with_status(0).json();
    let password = said["password"].as_str().unwrap().to_owned();
    let login = format!("login --server {} --username admin --password-stdin", server.url);
    home.with_input(&login, &format!("{PASSWORD}\n")).with_status(4);
    home.with_input(&login, &format!("{password}\n")).with_status(0);
    home.say("list").with_status(0);
    home.with_input("user set-password admin --password-stdin", "short\n").with_status(2);
    home.with_input("user set-password Admin --password-stdin", "another password\n").with_status(0);
    home.with_input(&login, "another password\n").with_status(0);
    home.say("user set-password nobody").with_status(1);
    server.stop();
}
