//! The program, and that its servers end with it.

use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::conditions::{listens, until};
use taskloom_testkit::{mariadb, postgres, redis};
use tempfile::TempDir;

/// A folder for the servers' folders, open to the users that the servers run as.
fn home() -> TempDir {
    let home = tempfile::tempdir().unwrap();
    std::fs::set_permissions(home.path(), PermissionsExt::from_mode(0o1777)).unwrap();
    home
}

fn serve(home: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_taskloom-testkit"));
    command.arg("serve").args(arguments).env("TMPDIR", home).stdin(Stdio::piped()).stdout(Stdio::piped());
    command
}

/// The lines that it prints, of which there are so many.
fn lines(child: &mut Child, count: usize) -> Vec<(String, String)> {
    let out = BufReader::new(child.stdout.take().unwrap());
    let split =
        |line: String| line.split_once('=').map(|(name, url)| (name.to_owned(), url.to_owned())).unwrap();
    out.lines().take(count).map(|line| split(line.unwrap())).collect()
}

fn is_empty(folder: &Path) -> bool {
    std::fs::read_dir(folder).unwrap().next().is_none()
}

#[test]
fn servers_end_when_the_input_closes() {
    if postgres().is_none() || mariadb().is_none() || redis().is_none() {
        return;
    }
    let home = home();
    let mut child = serve(home.path(), &["postgres", "mariadb", "redis", "--durable"]).spawn().unwrap();
    let lines = lines(&mut child, 3);
    let names: Vec<_> = lines.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["DATABASE_URL_POSTGRES", "DATABASE_URL_MARIADB", "REDIS_URL"]);
    assert!(lines.iter().all(|(_, url)| listens(url)));
    assert!(!is_empty(home.path()));
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
    assert!(!lines.iter().any(|(_, url)| listens(url)));
    assert!(is_empty(home.path()));
}

#[test]
fn servers_end_when_the_program_is_killed() {
    if postgres().is_none() || mariadb().is_none() || redis().is_none() {
        return;
    }
    let home = home();
    let mut child = serve(home.path(), &["postgres", "mariadb", "redis"]).spawn().unwrap();
    let lines = lines(&mut child, 3);
    assert!(lines.iter().all(|(_, url)| listens(url)));
    child.kill().unwrap();
    child.wait().unwrap();
    until("the servers end", || !lines.iter().any(|(_, url)| listens(url)));
    until("the folders vanish", || is_empty(home.path()));
}

#[test]
fn nothing_stays_when_the_program_is_killed_while_it_prepares() {
    if postgres().is_none() || mariadb().is_none() {
        return;
    }
    for (name, sign) in [("postgres", "data/PG_VERSION"), ("mariadb", "data")] {
        let home = home();
        let mut child = serve(home.path(), &[name]).spawn().unwrap();
        let folder = || std::fs::read_dir(home.path()).unwrap().next().map(|entry| entry.unwrap().path());
        until("the preparation", || folder().is_some_and(|folder| folder.join(sign).exists()));
        child.kill().unwrap();
        child.wait().unwrap();
        until("the folder vanishes", || is_empty(home.path()));
    }
}

#[test]
fn errors_are_told() {
    let home = home();
    for (arguments, told) in [(&["oracle"][..], "oracle is not known"), (&[], "say what to serve")] {
        let output = serve(home.path(), arguments).output().unwrap();
        assert!(!output.status.success());
        assert!(String::from_utf8_lossy(&output.stderr).contains(told));
    }
    let help = serve(home.path(), &["--help"]).output().unwrap();
    assert!(help.status.success() && String::from_utf8_lossy(&help.stdout).contains("Example"));
}

#[test]
fn what_is_missing_is_told() {
    let home = home();
    // A path without the server, and without what could install it.
    let tools = home.path().join("tools");
    std::fs::create_dir(&tools).unwrap();
    let output = serve(home.path(), &["redis"]).env("PATH", &tools).output().unwrap();
    assert!(!output.status.success());
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(told.contains("redis-server is not installed, and only Debian-like systems"), "{told}");
}
