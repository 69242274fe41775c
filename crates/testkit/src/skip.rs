//! Tests that cannot run on this machine.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::{Mutex, PoisonError};

static SKIPPED: Mutex<BTreeMap<String, usize>> = Mutex::new(BTreeMap::new());

/// What was asked for, or `None` after `skipped: <what> tests (<count> so far): <why>` was written to the standard error.
///
/// ```no_run
/// use taskloom_testkit::{Postgres, or_skip};
/// let Some(server) = or_skip("PostgreSQL with TLS", Postgres::with_tls()) else { return };
/// ```
///
/// # Panics
///
/// If there is nothing and the environment variable `CI` is `true`: there every test has to run.
pub fn or_skip<T>(what: &str, outcome: Result<T, String>) -> Option<T> {
    let why = match outcome {
        Ok(value) => return Some(value),
        Err(why) => why,
    };
    assert!(
        std::env::var_os("CI").is_none_or(|ci| ci != "true"),
        "{what} tests cannot be skipped in CI: {why}"
    );
    let count = {
        let mut skipped = SKIPPED.lock().unwrap_or_else(PoisonError::into_inner);
        let count = skipped.entry(what.to_owned()).or_default();
        *count += 1;
        *count
    };
    // Not `eprintln!`: the test harness swallows that of tests that pass, as these do.
    let _ = writeln!(std::io::stderr(), "skipped: {what} tests ({count} so far): {why}");
    None
}
