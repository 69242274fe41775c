//! Moving an installation from one database to another.

use taskloom_model::{Finish, Role};
use taskloom_protocol::{LogLevel, LogLine};
use taskloom_store::{FinishItem, NewTask, NewUser, Store, StoreError};
use uuid::Uuid;

use crate::databases::{Home, Kind};
use crate::support::{at, claim_of, ended, new_task, plain, register, submit, worker};

/// Something in every state, with what goes along.
async fn furnish(store: &Store) {
    register(store).await;
    let user = NewUser {
        id: Uuid::from_u128(1),
        username: "Ana 王".into(),
        email: None,
        password_hash: "x".into(),
        role: Role::User,
        created_at: at(1),
    };
    store.user_create(user).await.unwrap();
    let mut parent = None;
    for number in 0..700_u64 {
        let task = NewTask {
            name: Some(format!("名 {number} \u{1f600}")),
            run_at: (number % 7 == 0).then(|| at(1_000 + number)),
            depends_on: parent.filter(|_| number % 5 == 1).into_iter().collect(),
            expires_at: (number % 11 == 0).then(|| at(100_000)),
            unique_key: (number % 13 == 0).then(|| format!("k{number}")),
            kwargs: serde_json::value::to_raw_value(&serde_json::json!({"n": number})).ok(),
            ..new_task(&plain(), None)
        };
        parent = Some(task.id);
        submit(store, task, at(1)).await;
    }
    let claimed = store.task_claim(claim_of(worker(0), 100, at(2))).await.unwrap().claimed;
    let ends = claimed.iter().take(80).enumerate().map(|(number, task)| {
        let finish = if number % 3 == 0 { Finish::Error { retry_in: None } } else { Finish::Success };
        let logs = vec![LogLine { at: at(2), level: LogLevel::Info, message: format!("line {number}") }];
        FinishItem { logs, ..ended(task.id, task.epoch, finish) }
    });
    let (_, lost) = store.task_finish(worker(0), ends.collect(), at(3)).await.unwrap();
    assert!(lost.is_empty());
}

async fn moved(from: Kind, to: Kind) {
    let (Some(source), Some(target)) = (Home::fresh(from), Home::fresh(to)) else { return };
    let (source, there) = (source.open().await, Store::open_target(&target.options).await.unwrap());
    furnish(&source).await;

    let plan = source.transfer_plan(&there, "here").await.unwrap().tables;
    assert!(plan.iter().any(|table| table.table == "tasks" && table.source == 700 && table.target == 0));
    let mut seen = Vec::new();
    let rows = source.transfer_to(&there, "here", |progress| seen.push(progress.clone())).await.unwrap();
    assert_eq!(rows, plan.iter().map(|table| table.source).sum::<u64>());
    assert!(seen.iter().any(|progress| progress.comparing && progress.done == rows));

    let target = Store::open_as_is(&target.options).await.unwrap();
    assert_eq!(target.check().await.unwrap(), vec![]);
    assert!(target.user_by_name("ana 王").await.unwrap().is_some());
    // It lives on there: what ran and what waited can be worked off.
    assert!(!target.task_claim(claim_of(worker(1), 10, at(5))).await.unwrap().claimed.is_empty());
    let task = new_task(&plain(), None);
    let id = task.id;
    submit(&target, task, at(6)).await;
    assert!(target.task_get(id, None).await.unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn from_sqlite_to_postgres() {
    moved(Kind::Sqlite, Kind::Postgres).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn from_postgres_to_mariadb() {
    moved(Kind::Postgres, Kind::Mariadb).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn from_mariadb_to_sqlite() {
    moved(Kind::Mariadb, Kind::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transfer_that_was_broken_off_goes_on_and_nobody_opens_its_target_meanwhile() {
    let (Some(source), Some(target)) = (Home::fresh(Kind::Sqlite), Home::fresh(Kind::Sqlite)) else { return };
    let (source, there) = (source.open().await, Store::open_target(&target.options).await.unwrap());
    furnish(&source).await;
    let broken = tokio::spawn({
        let (source, there) = (source.clone(), there.clone());
        async move {
            source.transfer_to(&there, "here", |progress| assert!(progress.done < 600, "broken off")).await
        }
    });
    assert!(broken.await.is_err(), "it was broken off");
    drop(there);

    let opened = Store::open(&target.options).await.map(drop);
    assert!(matches!(opened, Err(StoreError::Moving)), "{opened:?}");
    let there = Store::open_target(&target.options).await.unwrap();
    assert!(source.transfer_plan(&there, "here").await.unwrap().resumes);
    let other = source.transfer_to(&there, "elsewhere", |_| ()).await;
    assert_eq!(other.unwrap_err().to_string(), "the target holds an unfinished transfer from here");
    source.transfer_to(&there, "here", |_| ()).await.unwrap();
    assert_eq!(Store::open(&target.options).await.unwrap().check().await.unwrap(), vec![]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_with_data_of_its_own_is_left_alone() {
    let (Some(source), Some(target)) = (Home::fresh(Kind::Sqlite), Home::fresh(Kind::Sqlite)) else { return };
    let (source, there) = (source.open().await, target.open().await);
    furnish(&there).await;
    let plan = source.transfer_plan(&there, "here").await;
    assert!(matches!(plan, Err(StoreError::NotEmpty(_))), "{plan:?}");
    let moved = source.transfer_to(&there, "here", |_| ()).await;
    assert!(matches!(moved, Err(StoreError::NotEmpty(_))), "{moved:?}");
}
