//! What `migrate`, `doctor` and `user` share: a database by its settings.

use std::path::PathBuf;

use clap::Args;
use taskloom_store::StoreOptions;

use crate::args::ConfigFile;
use crate::config::{self, Environment, Override};
use crate::error::CliError;
use crate::process::settings;

/// Which database.
#[derive(Debug, Args)]
pub(crate) struct Place {
    /// The data directory [default: TASKLOOM_DATA, else ./data]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// The database instead of the one in the data directory, such as sqlite:///srv/taskloom.db or postgres://host/db
    #[arg(long, value_name = "URL")]
    database_url: Option<String>,
    #[command(flatten)]
    config: ConfigFile,
    /// Print JSON on one line, for programs
    #[arg(long)]
    pub(crate) json: bool,
}

impl Place {
    /// The data directory and the store's options.
    pub(crate) fn resolve(self, environment: &Environment) -> Result<(PathBuf, StoreOptions), CliError> {
        let flag =
            self.database_url.map(|text| Override { key: "database.url", text, flag: "--database-url" });
        let flags: Vec<Override> = flag.into_iter().collect();
        let config = config::load(self.config.file.as_deref(), environment, &flags)?.config;
        let dir = super::data_dir(self.data, environment);
        let options = settings::store(&config, &dir)?;
        Ok((dir, options))
    }

    /// The options of a database that has to be there.
    pub(crate) fn existing(self, environment: &Environment) -> Result<StoreOptions, CliError> {
        let (_, options) = self.resolve(environment)?;
        match &options {
            StoreOptions::Sqlite { path, .. } if !path.is_file() => {
                Err(CliError::failed(format!("there is no database at {}", path.display()))
                    .hint("--data DIR names the data directory; `taskloom dev` creates one"))
            }
            _ => Ok(options),
        }
    }
}
