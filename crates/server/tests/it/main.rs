//! The HTTP layer over a real engine on SQLite, spoken to over loopback.

mod account;
mod bad_input;
mod documents;
mod roles;
mod server;
mod stream;
mod tasks;
mod worker;
mod zz_fuzz;
