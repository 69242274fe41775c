//! The processes that run until they are stopped, and what they share.
//!
//! | process | API | background loops | worker |
//! |---|---|---|---|
//! | [`dev`] | yes | yes | yes |
//! | [`serve`] | yes | yes, unless told otherwise | no |
//! | [`scheduler`] | no | yes | no |
//! | [`worker`] | no | no | yes |

pub(crate) mod admin;
mod announce;
mod backend;
mod banner;
pub(crate) mod data_dir;
pub(crate) mod dev;
mod http;
pub(crate) mod listen;
mod running;
pub(crate) mod scheduler;
pub(crate) mod serve;
pub(crate) mod settings;
pub(crate) mod stop;
pub(crate) mod worker;

use std::path::PathBuf;

use crate::config::{Config, Environment};
use crate::output::Output;

/// What a process is started with.
pub(crate) struct Launch<'a> {
    pub(crate) config: Config,
    /// The data directory.
    pub(crate) dir: PathBuf,
    pub(crate) environment: &'a Environment,
    pub(crate) out: Output,
}
