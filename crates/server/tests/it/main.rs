//! The HTTP layer over a real engine on SQLite, spoken to over loopback.

#![allow(clippy::unwrap_used, reason = "the helpers are tests too")]

mod account;
mod bad_input;
mod dead_letters;
mod documents;
mod queues;
mod repeats;
mod roles;
mod schedules;
mod server;
mod stream;
mod tasks;
mod tokens;
mod worker;
mod workflows;
