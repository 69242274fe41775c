//! What only the inside can provoke.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::sync::Barrier;

use crate::tx::Tx;
use crate::{Result, Store, StoreOptions};

/// Two transactions that lock two rows in opposite order: one is chosen as victim, and runs again.
async fn deadlock(url: String) {
    let store = Store::open(&StoreOptions::network(url.parse().unwrap())).await.unwrap();
    store
        .write(|tx| {
            Box::pin(async move { tx.exec("INSERT INTO pulse (id, beats) VALUES (2, 0)", &[]).await })
        })
        .await
        .unwrap();
    let (both, runs) = (Arc::new(Barrier::new(2)), Arc::new(AtomicU32::new(0)));
    let cross = |first: i64, then: i64| {
        let (store, both, runs) = (store.clone(), Arc::clone(&both), Arc::clone(&runs));
        tokio::spawn(async move {
            store
                .write(move |tx| {
                    Box::pin(async move {
                        beat(tx, first).await?;
                        if runs.fetch_add(1, Ordering::SeqCst) < 2 {
                            both.wait().await;
                        }
                        beat(tx, then).await
                    })
                })
                .await
        })
    };
    let (one, other) = tokio::join!(cross(1, 2), cross(2, 1));
    assert_eq!((one.unwrap().unwrap(), other.unwrap().unwrap()), (1, 1));
    assert!(runs.load(Ordering::SeqCst) > 2, "one of the two ran again");
}

async fn beat(tx: &mut Tx, id: i64) -> Result<u64> {
    tx.exec("UPDATE pulse SET beats = beats + 1 WHERE id = ?", crate::sql::params![id]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadlock_is_tried_again_on_postgres() {
    if let Some(server) = taskloom_testkit::postgres() {
        deadlock(server.fresh_database()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadlock_is_tried_again_on_mariadb() {
    if let Some(server) = taskloom_testkit::mariadb() {
        deadlock(server.fresh_database()).await;
    }
}

/// One on each server that can be had.
fn fresh_databases() -> impl Iterator<Item = String> {
    let postgres = taskloom_testkit::postgres().map(taskloom_testkit::Postgres::fresh_database);
    let mariadb = taskloom_testkit::mariadb().map(taskloom_testkit::MariaDb::fresh_database);
    postgres.into_iter().chain(mariadb)
}

#[tokio::test(flavor = "multi_thread")]
async fn only_one_program_migrates_and_the_other_is_told() {
    for url in fresh_databases() {
        let options = StoreOptions::network(url.parse().unwrap());
        let StoreOptions::Network { url, .. } = &options else { panic!("no network") };
        let holder = super::Network::new(url, 1).unwrap();
        let mut tx = holder.pools.take(super::Lane::Write).await.unwrap();
        crate::migrate::take_lock(&mut tx, crate::migrate::Busy::Refuse).await.unwrap();
        let refused = Store::migrate(&options).await;
        assert!(matches!(refused, Err(crate::StoreError::Migrating)), "{refused:?}");
        drop(tx);
        // The lock ends with its connection.
        Store::open(&options).await.unwrap();
        Store::migrate(&options).await.unwrap();
    }
}

/// A newer program has been here.
#[tokio::test(flavor = "multi_thread")]
async fn a_newer_schema_is_refused() {
    for url in fresh_databases() {
        let options = StoreOptions::network(url.parse().unwrap());
        let store = Store::open(&options).await.unwrap();
        let newer = "INSERT INTO schema_migrations (version, name) VALUES (99, 'later')";
        store.write(move |tx| Box::pin(async move { tx.exec(newer, &[]).await })).await.unwrap();
        for refused in [Store::open(&options).await.map(drop), Store::migrate(&options).await] {
            assert!(matches!(refused, Err(crate::StoreError::NewerSchema { found: 99, .. })), "{refused:?}");
        }
    }
}
