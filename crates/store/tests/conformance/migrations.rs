//! Schemas: made once, by one, and never by an older program.

use taskloom_store::{Store, StoreError};

use crate::databases::{Home, on_every_database};

on_every_database! { many_programs_that_start_together_migrate_once, a_status_creates_nothing, an_empty_database_is_older }

async fn many_programs_that_start_together_migrate_once(home: Home) {
    let opens = (0..8).map(|_| {
        let options = home.options.clone();
        tokio::spawn(async move { Store::open(&options).await.map(drop) })
    });
    for open in opens.collect::<Vec<_>>() {
        open.await.unwrap().unwrap();
    }
    let status = Store::migration_status(&home.options).await.unwrap();
    assert!(status.pending.is_empty(), "{status:?}");
}

async fn a_status_creates_nothing(home: Home) {
    let before = Store::migration_status(&home.options).await.unwrap();
    assert!(before.applied.is_empty() && !before.pending.is_empty());
    assert_eq!(Store::migration_status(&home.options).await.unwrap(), before);
}

async fn an_empty_database_is_older(home: Home) {
    let opened = Store::open_as_is(&home.options).await.map(drop);
    assert!(matches!(opened, Err(StoreError::OlderSchema { found: 0, .. })), "{opened:?}");
}
