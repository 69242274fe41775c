//! Names and passwords that nobody else has.

use std::hash::{BuildHasher as _, RandomState};

/// A random number, different in every call and process.
pub(crate) fn number() -> u64 {
    // Each state of the standard library's hash tables has random keys: enough here, without another dependency.
    RandomState::new().hash_one(std::process::id())
}

/// 16 random hexadecimal digits, fit for names, passwords and URLs.
pub(crate) fn token() -> String {
    format!("{:016x}", number())
}
