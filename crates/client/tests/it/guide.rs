//! The first example of the guide is the one that is shown, and it works.

use std::process::Command;

use taskloom_client::{Client, CountTasks};

use crate::server::Server;

const EXAMPLE: &str = include_str!("../../examples/nap.rs");
const GUIDE: &str = include_str!("../../../../docs/rust.md");

#[test]
fn the_guide_shows_the_example() {
    let (_, code) = EXAMPLE.split_once("\n\n").unwrap();
    assert!(
        GUIDE.contains(&format!("```rust,no_run\n{code}```")),
        "docs/rust.md does not show examples/nap.rs"
    );
}

#[path = "../../examples/nap.rs"]
#[allow(dead_code, reason = "its `main` is the test's")]
mod nap;

/// As its readers run it, with the server and the token in the environment: in a process that has them.
#[tokio::test(flavor = "multi_thread")]
async fn the_example_runs() {
    if std::env::var("TASKLOOM_TOKEN").is_ok_and(|token| token.contains('.')) {
        let client = Client::from_env().unwrap();
        assert!((nap::nap(&client).await.unwrap() - 1.0).abs() < 0.01);
        return;
    }
    let server = Server::start().await;
    let token = server.token("ann").await;
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", "guide::the_example_runs", "--nocapture"])
        .env("TASKLOOM_SERVER", &server.url)
        .env("TASKLOOM_TOKEN", &token);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains(": Made\n") && said.contains("1 passed"), "{said}");
    assert_eq!(server.client("ann").await.tasks().count(&CountTasks::default()).await.unwrap().succeeded, 1);
}
