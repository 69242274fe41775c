//! The homes and what comes with them, against private Redis servers.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may")]

mod counters;
mod fanout;
mod housekeeping;
mod kinds;
mod order;
mod outage;
mod refusal;
mod share;
mod shelf;
mod support;
