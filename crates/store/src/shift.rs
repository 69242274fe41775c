//! A clock that was set.

use crate::Store;
use crate::error::Result;
use crate::sql::params;

/// What is a span of time and not a time of the day: leases and time limits, what was heard of workers, and waits for a rate.
const SPANS: [&str; 3] = [
    "UPDATE running SET lease_until = lease_until + ?1, deadline = deadline + ?1",
    "UPDATE workers SET last_seen = last_seen + ?1",
    "UPDATE gates SET wake_at = wake_at + ?1",
];

impl Store {
    /// Moves what is measured in spans by so many microseconds, since it is no time that passed. For a store that one
    /// process uses alone.
    pub async fn shift(&self, by: i64) -> Result<()> {
        self.write(move |tx| {
            Box::pin(async move {
                for sql in SPANS {
                    tx.exec(sql, params![by]).await?;
                }
                Ok(())
            })
        })
        .await
    }
}
