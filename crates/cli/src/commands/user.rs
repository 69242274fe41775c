//! `taskloom user`: what must be possible without logging in.

use std::io::{BufRead, Read};

use clap::{Args, Subcommand};
use serde_json::json;
use taskloom_server::hash_password;
use taskloom_store::{Store, StoreError, StoreOptions, UserChange};

use super::now;
use super::store::Place;
use crate::config::Environment;
use crate::error::{CliError, CliResult, Exit};
use crate::output::Output;
use crate::process::admin;

/// Users, straight in the database: for whoever may write to it
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  taskloom user set-password admin\n  taskloom user set-password --help")]
pub(crate) struct User {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    SetPassword(SetPassword),
}

/// Give a user a new password and end all their logins, such as when the only admin's is lost
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  taskloom user set-password admin                 makes one up and shows it once\n  \
    taskloom user set-password admin --data /srv/taskloom\n  echo \"$NEW\" | taskloom user set-password ana \
    --password-stdin\n  DATABASE_URL=postgres://… taskloom user set-password admin\n\nIt may run beside servers, which \
    heed it within two seconds."
)]
struct SetPassword {
    /// The user's name
    username: String,
    /// Read the password, 8 to 256 characters, from standard input up to the first line end
    #[arg(long)]
    password_stdin: bool,
    #[command(flatten)]
    place: Place,
}

impl User {
    pub(crate) fn run(self, environment: &Environment) -> CliResult {
        match self.command {
            Command::SetPassword(command) => command.run(environment),
        }
    }
}

impl SetPassword {
    fn run(self, environment: &Environment) -> CliResult {
        let out = Output::new(self.place.json, environment);
        let options = self.place.existing(environment)?;
        let given = if self.password_stdin { Some(read_line()?) } else { None };
        if given.as_ref().is_some_and(|text| !(8..=256).contains(&text.chars().count())) {
            return Err(CliError::usage("the password must have 8 to 256 characters"));
        }
        let made = given.is_none();
        let password = given.unwrap_or_else(|| admin::generate().expose().to_owned());
        super::runtime()?.block_on(set(&options, &self.username, &password))?;
        let shown = made.then_some(password);
        if out.json {
            out.json(&json!({"username": self.username, "password": shown}));
        } else {
            out.line(format!("{} has a new password; all their logins have ended", self.username));
            if let Some(password) = shown {
                out.line(format!("password {password}"));
                out.note("keep it: it is shown only now");
            }
        }
        Ok(Exit::Ok)
    }
}

async fn set(database: &StoreOptions, username: &str, password: &str) -> Result<(), CliError> {
    let failed = |e: StoreError| CliError::of_database(database, &e);
    let store = Store::open_as_is(database).await.map_err(failed)?;
    let user = store.user_by_name(username).await.map_err(failed)?;
    let user = user.ok_or_else(|| CliError::failed(format!("there is no user {username:?}")))?;
    let hash = hash_password(password).map_err(|e| CliError::failed(e.to_string()))?;
    let change = UserChange { password_hash: Some(hash), ..UserChange::default() };
    store.user_update(user.user.id, change, now()).await.map_err(failed).map(drop)
}

fn read_line() -> Result<String, CliError> {
    let mut line = String::new();
    let read = std::io::stdin().lock().take(4_096).read_line(&mut line);
    read.map_err(|e| CliError::failed(format!("cannot read the password: {e}")))?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}
