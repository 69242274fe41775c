//! `taskloom config`

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::args::ConfigFile;
use crate::config::{self, Environment};
use crate::error::{CliResult, Exit};
use crate::output::Output;

/// Show the settings in effect, or check a configuration
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  taskloom config show --default > taskloom.toml   every key, explained\n  \
    taskloom config show                             what is in effect, and from where\n  \
    taskloom config check taskloom.toml"
)]
pub(crate) struct Config {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Print the settings in effect with their sources; secrets are masked
    #[command(after_help = "Examples:\n  taskloom config show\n  taskloom config show --default\n  \
        TASKLOOM_SERVER__PORT=9000 taskloom config show --json | jq '.\"server.port\"'")]
    Show {
        #[command(flatten)]
        file: ConfigFile,
        /// Print the defaults with their explanations instead
        #[arg(long, conflicts_with_all = ["file", "json"])]
        default: bool,
        /// Print JSON: {"section.key": {"value", "source"}}
        #[arg(long)]
        json: bool,
    },
    /// Check a file together with the environment; status 2 if something is wrong
    #[command(
        after_help = "Examples:\n  taskloom config check\n  taskloom config check /etc/taskloom/taskloom.toml"
    )]
    Check {
        /// The file [default: TASKLOOM_CONFIG, else ./taskloom.toml if it is there]
        file: Option<PathBuf>,
    },
}

impl Config {
    pub(crate) fn run(self, environment: &Environment) -> CliResult {
        match self.action {
            Action::Show { default: true, json, .. } => {
                Output::new(json, environment).line(config::DEFAULT.trim_end());
            }
            Action::Show { file, json, .. } => {
                let out = Output::new(json, environment);
                let loaded = config::load(file.file.as_deref(), environment, &[])?;
                loaded.warnings.iter().for_each(|warning| out.warn(warning));
                if json {
                    out.json(&config::as_json(&loaded));
                } else {
                    out.line(config::as_toml(&loaded).trim_end());
                }
            }
            Action::Check { file } => {
                let out = Output::new(false, environment);
                let loaded = config::load(file.as_deref(), environment, &[])?;
                loaded.warnings.iter().for_each(|warning| out.warn(warning));
                let file = loaded.file.as_ref().map(|path| format!("{} with ", path.display()));
                out.line(format!("{}the environment: valid", file.unwrap_or_default()));
            }
        }
        Ok(Exit::Ok)
    }
}
