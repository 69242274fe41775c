//! Schedules: what fires when, exactly once, over every database; and what users may do with them.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may")]

mod changing;
mod firing;
mod lab;
mod misfires;
mod overlaps;
mod repeats;
