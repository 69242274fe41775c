//! How a command can end, and the one sentence it says then.

use std::fmt;
use std::process::ExitCode;

use taskloom_model::Status;
use taskloom_store::{StoreError, StoreOptions};

use crate::config::ConfigErrors;

/// The exit statuses; `EXIT_HELP` tells users about them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Done; of a watched task: it succeeded.
    Ok = 0,
    /// Of a watched task: it failed. Of anything else: it did not work.
    Failed = 1,
    /// The command line or the configuration is wrong.
    Usage = 2,
    /// The watched task was revoked.
    Revoked = 3,
    /// The server cannot be reached, or does not know or allow the user.
    NoAccess = 4,
    /// The server refused: no such task, wrong state, a field that is not valid.
    Refused = 5,
    /// The task had not ended when `--timeout` was over.
    Unfinished = 6,
    /// Ctrl-C while watching.
    Interrupted = 130,
}

/// The exit statuses for `--help`.
pub(crate) const EXIT_HELP: &str = "Exit status:\n  0  done; the watched task succeeded\n  1  the watched task \
    failed, or the command did not work\n  2  the command line or the configuration is wrong\n  3  the watched task \
    was revoked\n  4  the server cannot be reached, or you are not logged in or not allowed\n  5  the server refused: \
    no such task, wrong state, a field that is not valid\n  6  --timeout was over before the task ended\n  130  Ctrl-C \
    while watching (the task goes on)";

impl Exit {
    /// The status that tells how a task ended.
    pub(crate) fn of_task(status: Status) -> Self {
        match status {
            Status::Succeeded => Self::Ok,
            Status::Failed => Self::Failed,
            Status::Revoked => Self::Revoked,
            Status::Pending | Status::Running => Self::Unfinished,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command stops: what happened, and what to do next.
#[derive(Debug)]
pub(crate) struct CliError {
    pub(crate) exit: Exit,
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
}

impl CliError {
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into(), hint: None }
    }

    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    pub(crate) fn failed(message: impl Into<String>) -> Self {
        Self::new(Exit::Failed, message)
    }

    /// What a database refused, with what to do about it.
    pub(crate) fn of_database(database: &StoreOptions, error: &StoreError) -> Self {
        let told = |why: &dyn fmt::Display| Self::failed(format!("the database {database}{why}"));
        match error {
            StoreError::Unavailable(why) | StoreError::Gone(why) => {
                let told = told(&format_args!(" is not available: {why}"));
                if matches!(database, StoreOptions::Sqlite { .. }) {
                    return told;
                }
                told.hint(
                    "is it running, and are host, port, user, password and database right? `taskloom config show` \
                     tells where database.url comes from",
                )
            }
            StoreError::Migrating => told(&format_args!(": {error}"))
                .hint("wait until it has ended: `taskloom migrate status` shows what is applied"),
            _ => told(&format_args!(": {error}")),
        }
    }

    /// Adds what to do next.
    pub(crate) fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }
}

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        self.hint.iter().try_for_each(|hint| write!(f, "\n  {hint}"))
    }
}

impl std::error::Error for CliError {}

impl From<ConfigErrors> for CliError {
    fn from(errors: ConfigErrors) -> Self {
        Self::usage(format!("the configuration is not valid\n{errors}"))
            .hint("`taskloom config show --default` explains every key")
    }
}

/// What every command answers.
pub(crate) type CliResult = Result<Exit, CliError>;
