//! The real program, from the outside.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod access;
mod change;
mod configuration;
mod help;
mod many;
mod repeats;
mod schedules;
mod start_and_stop;
mod support;
mod tasks;
mod watching;
mod workers;
mod workflows;
