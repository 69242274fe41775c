//! The client against a real server, engine and worker, over loopback.

#![allow(clippy::unwrap_used, reason = "the helpers are tests too")]

mod accounts;
mod errors;
mod events;
mod guide;
mod operators;
mod proxy;
mod repeats;
mod schedules;
mod scripted;
mod server;
mod tasks;
mod wait;
mod workflows;
