//! The first example of `docs/rust.md`: `cargo run -p taskloom-client --example nap`.
#![allow(clippy::print_stdout, unreachable_pub, reason = "it is for people")]

use std::time::Duration;

use serde::Deserialize;
use taskloom_client::{Client, Error, json};

/// What `demo.sleep` gives.
#[derive(Deserialize)]
struct Slept {
    slept: f64,
}

/// Sleeps for a second on a worker, and gives how long it was.
pub async fn nap(client: &Client) -> Result<f64, Error> {
    let submitted = client
        .task("demo.sleep")
        .kwargs(json!({"seconds": 1, "steps": 4}))
        .name("a nap")
        .timeout(Duration::from_secs(60))
        .unique_key("nap")
        .submit()
        .await?;
    println!("{}: {:?}", submitted.id(), submitted.outcome);
    let result: Slept = client.tasks().wait_for(submitted.id(), Duration::from_secs(300)).await?;
    Ok(result.slept)
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let client = Client::from_env()?;
    println!("slept for {} s", nap(&client).await?);
    Ok(())
}
