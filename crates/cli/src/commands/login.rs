//! `taskloom login`

use std::io::{BufRead, IsTerminal, Read, Write};

use clap::Args;

use super::connect;
use crate::args::Connection;
use crate::client::log_in;
use crate::config::{Environment, Secret};
use crate::error::{CliError, CliResult, Exit};

/// The longest password that is read, in bytes.
const MOST_BYTES: u64 = 4096;

/// Log in; the login is kept in ~/.config/taskloom/credentials.json, for you alone, and renews itself
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  taskloom login\n  taskloom login --server https://tasks.example.org --username ana\n  \
    echo \"$PASSWORD\" | taskloom login --username admin --password-stdin\n\nScripts can do without: set TASKLOOM_TOKEN \
    to an access token or an API key."
)]
pub(crate) struct Login {
    /// The user's name; asked for if left out
    #[arg(long, short)]
    username: Option<String>,
    /// Read the password from standard input, up to the first line end
    #[arg(long)]
    password_stdin: bool,
    #[command(flatten)]
    connection: Connection,
}

impl Login {
    pub(crate) async fn run(self, environment: &Environment) -> CliResult {
        let (client, out) = connect(&self.connection, environment)?;
        let username = match self.username {
            Some(name) => name,
            None if self.password_stdin => {
                return Err(CliError::usage("--password-stdin needs --username"));
            }
            None => ask_name()?,
        };
        let password =
            if self.password_stdin { from_stdin()? } else { ask_password(&username, client.server())? };
        log_in(&client, environment, &username, &password).await?;
        if out.json {
            out.json(&serde_json::json!({"server": client.server(), "username": username}));
        } else {
            out.line(format!("logged in at {} as {username}", client.server()));
        }
        Ok(Exit::Ok)
    }
}

fn terminal() -> Result<(), CliError> {
    if std::io::stdin().is_terminal() {
        return Ok(());
    }
    Err(CliError::usage("there is no terminal to ask for the name and the password")
        .hint("use --username NAME --password-stdin, or set TASKLOOM_TOKEN"))
}

fn ask_name() -> Result<String, CliError> {
    terminal()?;
    let unread = |e: std::io::Error| CliError::failed(format!("cannot read the name: {e}"));
    let mut stderr = std::io::stderr().lock();
    write!(stderr, "User name: ").and_then(|()| stderr.flush()).map_err(unread)?;
    let mut line = String::new();
    std::io::stdin().lock().take(MOST_BYTES).read_line(&mut line).map_err(unread)?;
    let name = line.trim();
    if name.is_empty() { Err(CliError::usage("no user name was given")) } else { Ok(name.to_owned()) }
}

fn ask_password(username: &str, server: &str) -> Result<Secret, CliError> {
    terminal()?;
    let password = rpassword::prompt_password(format!("Password of {username} at {server}: "))
        .map_err(|e| CliError::failed(format!("cannot read the password: {e}")))?;
    not_empty(&password)
}

fn from_stdin() -> Result<Secret, CliError> {
    let mut line = String::new();
    std::io::stdin()
        .lock()
        .take(MOST_BYTES)
        .read_line(&mut line)
        .map_err(|e| CliError::failed(format!("cannot read the password: {e}")))?;
    not_empty(line.trim_end_matches(['\r', '\n']))
}

fn not_empty(password: &str) -> Result<Secret, CliError> {
    if password.is_empty() {
        Err(CliError::usage("the password is empty"))
    } else {
        Ok(Secret::new(password))
    }
}
