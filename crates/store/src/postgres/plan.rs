//! Plans of hot statements, for the tests that hold them.

use crate::row::first;
use crate::tx::Tx;
use crate::{Result, Store, StoreOptions};

/// The version whose words the snapshots are in.
const SNAPSHOTS: u64 = 15;
/// What no hot statement may do.
const FORBIDDEN: [&str; 5] = ["Seq Scan", "Bitmap", "Hash", "Merge", "Sort"];

/// How PostgreSQL carries out a statement on full tables of which its statistics know nothing; nothing without a server.
/// Whatever its version, it walks keys; another version than that of the snapshots has other words for it, and gives nothing.
///
/// # Panics
/// The plan does what no hot statement may do.
pub(crate) async fn plan(sql: &str, values: &str) -> Option<String> {
    let server = taskloom_testkit::postgres()?;
    let store = Store::open(&StoreOptions::network(server.fresh_database().parse().unwrap())).await.unwrap();
    let (sql, values) = (sql.to_owned(), values.to_owned());
    let explained = store.write(move |tx| Box::pin(async move { explain(tx, &sql, &values).await }));
    let (version, plan) = explained.await.unwrap();
    let plan = plan.join("\n");
    assert!(!FORBIDDEN.iter().any(|way| plan.contains(way)), "{plan}");
    (version == SNAPSHOTS).then_some(plan)
}

async fn explain(tx: &mut Tx, sql: &str, values: &str) -> Result<(u64, Vec<String>)> {
    tx.exec(
        "INSERT INTO ready (queue, band, id, epoch, attempt, crashes, refunds)
         SELECT 'default', -2, gen_random_uuid(), 0, 0, 0, 0 FROM generate_series(1, 10000)",
        &[],
    )
    .await?;
    let Tx::Postgres(session) = tx else { panic!("no PostgreSQL") };
    session.run(&format!("PREPARE hot AS {}", super::connection::numbered(sql))).await?;
    let plan = tx.rows(&format!("EXPLAIN (COSTS OFF) EXECUTE hot ({values})"), &[], first::<String>).await?;
    let version = "SELECT current_setting('server_version_num')::int / 10000";
    Ok((tx.number(version, &[]).await?, plan))
}
