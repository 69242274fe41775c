//! The lock that keeps two programs from changing one schema at the same time.

use std::time::Duration;

use crate::error::{Result, StoreError};
use crate::sql::params;
use crate::tx::Tx;

/// PostgreSQL's advisory locks are numbers: this one is "taskloom" in ASCII.
const NUMBER: i64 = 0x7461_736b_6c6f_6f6d;
/// MySQL's locks belong to the server, not to a database of it, and their names are short.
pub(crate) const MYSQL_NAME: &str = "concat('taskloom ', left(sha2(database(), 256), 32))";
/// How long a program that starts waits for another that migrates.
const PATIENCE: Duration = Duration::from_secs(120);

/// What to do while another program migrates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Busy {
    /// Wait: it will be done then.
    Wait,
    /// Give up, and say so.
    Refuse,
}

/// Takes the lock; it ends with the connection, on PostgreSQL with the transaction.
pub(crate) async fn take(tx: &mut Tx, busy: Busy) -> Result<()> {
    let end = tokio::time::Instant::now() + PATIENCE;
    loop {
        let taken = match tx {
            Tx::Mysql(_) => {
                let sql = format!("SELECT coalesce(GET_LOCK({MYSQL_NAME}, 0), 0)");
                tx.number(&sql, &[]).await?
            }
            _ => tx.number("SELECT pg_try_advisory_xact_lock(?)", params![NUMBER]).await?,
        };
        if taken == 1 {
            return Ok(());
        }
        if busy == Busy::Refuse || tokio::time::Instant::now() >= end {
            return Err(StoreError::Migrating);
        }
        tokio::time::sleep(crate::network::jittered(Duration::from_millis(200))).await;
    }
}
