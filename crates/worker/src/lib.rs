#![doc = include_str!("../README.md")]

mod attempt;
mod backoff;
mod beat;
mod claim;
mod clock;
mod context;
mod drain;
mod drive;
mod error;
mod extract;
mod finish;
pub mod http;
mod limits;
mod news;
mod options;
mod registry;
mod run;
mod shared;
mod slots;
#[cfg(doctest)]
mod tutorial;
mod worker;

pub use attempt::{StopReason, TaskInfo};
pub use context::Context;
pub use error::HandlerError;
pub use extract::{Args, FromTask, Kwargs, Payload};
pub use http::HttpWorkerApi;
pub use options::HandlerOptions;
pub use registry::{Handler, Registry};
pub use taskloom_model::{Backoff, BackoffKind, Priority};
pub use taskloom_protocol::{Artifact, LogLevel, SubmitTask, Task, WorkerApi, WorkerError};
pub use tokio_util::sync::CancellationToken;
pub use worker::{Worker, WorkerBuilder};
