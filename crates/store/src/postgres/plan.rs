//! Plans of hot statements, for the tests that hold them.

use crate::row::first;
use crate::tx::Tx;
use crate::{Result, Store, StoreOptions};

/// How PostgreSQL carries out a statement on full tables of which its statistics know nothing; nothing without a server.
pub(crate) async fn plan(sql: &'static str, values: &str) -> Option<String> {
    let server = taskloom_testkit::postgres()?;
    let store = Store::open(&StoreOptions::network(server.fresh_database().parse().unwrap())).await.unwrap();
    let values = values.to_owned();
    let plan = store.write(move |tx| Box::pin(async move { explain(tx, sql, &values).await })).await.unwrap();
    Some(plan.join("\n"))
}

async fn explain(tx: &mut Tx, sql: &str, values: &str) -> Result<Vec<String>> {
    tx.exec(
        "INSERT INTO ready (queue, band, id, epoch, attempt, crashes, refunds)
         SELECT 'default', -2, gen_random_uuid(), 0, 0, 0, 0 FROM generate_series(1, 10000)",
        &[],
    )
    .await?;
    let Tx::Postgres(session) = tx else { panic!("no PostgreSQL") };
    session.run(&format!("PREPARE hot AS {}", super::connection::numbered(sql))).await?;
    tx.rows(&format!("EXPLAIN (COSTS OFF) EXECUTE hot ({values})"), &[], first::<String>).await
}
