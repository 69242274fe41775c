#![doc = include_str!("../README.md")]

mod collect;
mod config;
mod demo;

pub use collect::{AllowRule, BadAllowRule};
pub use config::{CollectConfig, TasksConfig};

use taskloom_worker::Registry;

/// The built-in handlers under these settings, which should have passed [`CollectConfig::check`].
pub fn registry(config: &TasksConfig) -> Registry {
    let mut registry = Registry::new();
    collect::register(&mut registry, &config.collect);
    demo::register(&mut registry);
    registry
}
