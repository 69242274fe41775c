//! The `taskloom` program: the composition root of everything.

mod args;
mod backoff;
mod client;
mod commands;
mod config;
mod credentials;
mod duration;
mod error;
mod logging;
mod output;
mod process;
mod watch;

use std::process::ExitCode;

fn main() -> ExitCode {
    commands::run(args::parse()).into()
}
