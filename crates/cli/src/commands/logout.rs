//! `taskloom logout`

use clap::Args;

use super::connect;
use crate::args::Connection;
use crate::client::log_out;
use crate::config::Environment;
use crate::error::{CliResult, Exit};

/// End the login at the server and forget it here
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  taskloom logout\n  taskloom logout --server https://tasks.example.org")]
pub(crate) struct Logout {
    #[command(flatten)]
    connection: Connection,
}

impl Logout {
    pub(crate) async fn run(self, environment: &Environment) -> CliResult {
        let (client, out) = connect(&self.connection, environment)?;
        let ended = log_out(&client, environment).await?;
        if let Some(Err(error)) = &ended {
            out.warn(format!("the login is forgotten here, but the server was not told: {}", error.message));
        }
        if out.json {
            out.json(&serde_json::json!({"server": client.server(), "logged_out": ended.is_some()}));
        } else if ended.is_some() {
            out.line(format!("logged out at {}", client.server()));
        } else {
            out.line(format!("you were not logged in at {}", client.server()));
        }
        Ok(Exit::Ok)
    }
}
