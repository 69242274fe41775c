//! What survives kill -9: the real program, real processes, and a ledger kept outside of it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may")]

mod client;
mod server;
mod server_killed;
mod worker_killed;
mod worker_stopped;
