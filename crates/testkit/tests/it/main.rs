//! Private servers, from outside.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "the helpers of tests, too")]

mod conditions;
mod mariadb;
mod postgres;
mod redis;
mod serve;
