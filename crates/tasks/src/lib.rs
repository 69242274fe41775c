//! Taskloom's built-in handlers.
//!
//! | name | does |
//! |---|---|
//! | `collect.http` | fetches URLs, extracts rows from HTML or JSON, keeps them as an artifact (JSONL or CSV) |
//! | `demo.echo` | gives back its arguments |
//! | `demo.sleep` | sleeps, with progress |
//! | `demo.fail` | fails, for trying retries |
//! | `demo.noop` | nothing, for measurements |

mod collect;
mod config;
mod demo;

pub use collect::{AllowRule, BadAllowRule};
pub use config::{CollectConfig, TasksConfig};

use taskloom_worker::{Context, HandlerError, Registry, StopReason};

/// The built-in handlers under these settings, which should have passed [`CollectConfig::check`].
pub fn registry(config: &TasksConfig) -> Registry {
    let mut registry = Registry::new();
    collect::register(&mut registry, &config.collect);
    demo::register(&mut registry);
    registry
}

/// The answer of a handler that was told to stop.
fn stopped(ctx: &Context) -> HandlerError {
    match ctx.stop_reason() {
        Some(StopReason::SoftTimeout) => {
            HandlerError::retryable("soft_timeout", "stopped at the soft time limit before the work was done")
        }
        _ => HandlerError::cancelled(),
    }
}
