//! What only a file can suffer.

use std::time::Duration;

use taskloom_store::{Store, StoreError, StoreOptions, Submission};

use crate::support::{at, new_task, plain};

#[tokio::test]
async fn nothing_is_acknowledged_once_the_file_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("t.db");
    let store = Store::open(&StoreOptions::sqlite(&file)).await.unwrap();
    store.ping().await.unwrap();
    std::fs::remove_file(&file).unwrap();
    // The file is looked at now and then, not at every write.
    let noticed = async {
        while store.ping().await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), noticed).await.unwrap();
    let tasks = vec![new_task(&plain(), None)].into();
    let submission = Submission { tasks, idempotency: None, now: at(0) };
    assert!(matches!(store.task_submit(submission).await, Err(StoreError::Unavailable(_))));
}
