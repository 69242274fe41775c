//! Taskloom's HTTP layer.
//!
//! [`router`] turns an [`Engine`] into the API of `docs/`: it knows axum and HTTP, and nothing of SQL. Handler, path and
//! OpenAPI description stand together in the file of their resource; a handler's signature says who may call it.

mod admin;
mod api_keys;
mod auth;
mod cache;
mod config;
mod dead_letters;
mod docs;
mod extract;
mod health;
mod metrics;
mod middleware;
mod openapi;
mod problem;
mod queues;
mod rejection;
mod routes;
mod schedules;
mod serve;
mod state;
mod streams;
mod tasks;
mod users;
mod worker;
mod workers;
mod workflows;

pub use auth::password::{HashError, hash_password};
pub use auth::throttle::ThrottleConfig;
pub use config::{ConfigError, ServerConfig};
pub use openapi::document as openapi_document;
pub use routes::router;
pub use serve::{DrainReport, serve};

#[doc(no_inline)]
pub use taskloom_engine::Engine;
