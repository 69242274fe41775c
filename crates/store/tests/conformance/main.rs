//! The store's contract, over every database. No test names one.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may")]

mod databases;
mod dead_letters;
mod failures;
mod families;
mod handlers;
mod keeping;
mod limits;
mod lists;
mod lives;
mod migrations;
mod races;
mod repeats;
mod schedules;
mod sqlite_file;
mod support;
mod transfers;
mod workflows;
