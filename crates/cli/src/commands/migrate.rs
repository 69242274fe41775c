//! `taskloom migrate`

use clap::Args;

use crate::config::Environment;
use crate::error::{CliResult, Exit};

/// Show or apply the database's migrations
#[derive(Debug, Args)]
pub(crate) struct Migrate {}

impl Migrate {
    pub(crate) fn run(self, _environment: &Environment) -> CliResult {
        Ok(Exit::Ok)
    }
}
