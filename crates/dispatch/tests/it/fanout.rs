//! What happens in one process and is watched in another.

use std::time::Duration;

use taskloom_dispatch::{Alone, Fanout};
use taskloom_model::TaskId;
use tokio::sync::broadcast::error::TryRecvError;
use tokio::time::timeout;

use crate::support::{PATIENCE, Process, options, until};

#[tokio::test(flavor = "multi_thread")]
async fn events_reach_another_process_that_watches_and_not_their_own() {
    let Some(redis) = taskloom_testkit::redis() else { return };
    let options = options(redis);
    let (here, there) = (Process::connected(&options).await, Process::connected(&options).await);
    let (watched, other) = (TaskId::from_u128(1), TaskId::from_u128(2));
    assert!(here.home.is_idle());
    there.home.watch(watched);
    until(|| here.home.is_watched(watched).then_some(())).await.unwrap();
    assert!(!here.home.is_idle());
    assert!(!here.home.is_watched(other), "nobody watches that one");
    assert!(there.home.is_idle(), "one's own watching needs no words from oneself");

    let (mut theirs, mut ours) = (there.home.events(), here.home.events());
    let text = "{\"state\": \"running\"}\nü";
    here.home.publish(watched, text.to_owned());
    here.home.publish(watched, "second".to_owned());
    let heard = timeout(PATIENCE, theirs.recv()).await.unwrap().unwrap();
    assert_eq!(heard, (watched, text.to_owned()));
    assert_eq!(timeout(PATIENCE, theirs.recv()).await.unwrap().unwrap().1, "second", "in order");
    assert_eq!(ours.try_recv(), Err(TryRecvError::Empty));
}

#[tokio::test(flavor = "multi_thread")]
async fn installations_on_one_redis_do_not_hear_each_other() {
    let Some(redis) = taskloom_testkit::redis() else { return };
    let (ours, theirs) = (options(redis), options(redis));
    let one = Process::connected(&ours).await;
    let (friend, stranger) = (Process::connected(&ours).await, Process::connected(&theirs).await);
    one.home.watch(TaskId::from_u128(1));
    until(|| friend.home.is_watched(TaskId::from_u128(1)).then_some(())).await.unwrap();
    assert!(stranger.home.is_idle());
}

#[tokio::test]
async fn a_process_that_is_alone_hears_nothing_and_says_nothing() {
    let id = TaskId::from_u128(1);
    Alone.watch(id);
    Alone.publish(id, "x".into());
    assert!(Alone.is_idle() && !Alone.is_watched(id));
    let closed = timeout(Duration::from_secs(1), Alone.events().recv()).await.unwrap();
    assert!(closed.is_err());
}
