//! What the documents say is true: their commands run, their links lead somewhere, their tables are the code's.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod compose;
mod deploy;
mod examples;
mod facts;
mod links;
mod markdown;
mod site;
#[path = "../cli/support.rs"]
#[allow(dead_code, reason = "the tests of the command line use all of it")]
mod support;
mod translations;
