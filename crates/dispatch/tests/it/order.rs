//! In which order hints come, and how many.

use taskloom_dispatch::Ready;
use taskloom_model::Priority;

use crate::support::{Process, normal, numbers, options, queues, ready, wake};

#[tokio::test(flavor = "multi_thread")]
async fn queues_come_in_the_order_given_and_in_each_the_highest_priority_first() {
    let Some(redis) = taskloom_testkit::redis() else { return };
    let process = Process::connected(&options(redis)).await;
    let mixed = [
        ready("b", Priority::Normal, 8),
        ready("a", Priority::Low, 5),
        ready("b", Priority::Critical, 6),
        ready("a", Priority::Normal, 3),
        ready("a", Priority::Critical, 1),
        ready("a", Priority::High, 2),
        ready("a", Priority::Normal, 4),
        ready("b", Priority::High, 7),
    ];
    process.announce(&mixed).await;
    let first = process.take(&["a", "b"], 5).await;
    assert_eq!(numbers(&first), [1, 2, 3, 4, 5]);
    assert_eq!(numbers(&process.take(&["a", "b"], 2).await), [6, 7], "no more than the limit");
    assert_eq!(numbers(&process.take(&["a", "b"], 10).await), [8]);
    assert_eq!(process.take(&["a", "b"], 10).await.len(), 0, "nothing comes twice");
    let Ready { queue, priority, .. } = &first[4].ready;
    assert_eq!((&**queue, *priority), ("a", Priority::Low));
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_taken_of_other_queues_nor_beyond_the_limit() {
    let Some(redis) = taskloom_testkit::redis() else { return };
    let process = Process::connected(&options(redis)).await;
    process.announce(&normal("a", 0..3)).await;
    assert!(process.take(&["b", "aa"], 10).await.is_empty());
    assert!(process.take(&["a"], 0).await.is_empty());
    assert!(process.take(&[], 10).await.is_empty());
    assert_eq!(process.take(&["a"], 10).await.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn more_queues_than_one_call_serves_are_served_in_order() {
    let Some(redis) = taskloom_testkit::redis() else { return };
    let process = Process::connected(&options(redis)).await;
    let names: Vec<String> = (0..40).map(|number| format!("q{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let all: Vec<Ready> =
        (0..40).rev().map(|number| ready(names[number], Priority::Normal, number)).collect();
    process.announce(&all).await;
    let tickets = process.take_until(&names, 40).await;
    assert_eq!(numbers(&tickets), (0..40).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn odd_names_of_queues_are_names_like_others() {
    let Some(redis) = taskloom_testkit::redis() else { return };
    let process = Process::connected(&options(redis)).await;
    let names = ["a}{b", "a%7D%7Bb", "{}", "ready", "count:x", "with space 7", "ä"];
    let all: Vec<Ready> =
        names.iter().enumerate().map(|(number, name)| ready(name, Priority::Normal, number)).collect();
    process.announce(&all).await;
    for (number, name) in names.iter().enumerate() {
        assert_eq!(numbers(&process.take_until(&[name], 1).await), [number], "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_announcement_wakes_as_many_claimers_as_there_are_tasks_in_every_process() {
    let Some(redis) = taskloom_testkit::redis() else { return };
    let options = options(redis);
    let (here, there) = (Process::connected(&options).await, Process::connected(&options).await);
    let waiters: Vec<_> = (0..3).map(|_| there.dispatcher.listen(&queues(&["a"]))).collect();
    here.announce(&normal("a", 0..2)).await;
    assert!(!wake(&waiters[0]).await, "a hint is there: no need to ask the store");
    assert!(!wake(&waiters[1]).await);
    assert_eq!(there.dispatcher.waiting(), ["a"], "the third still waits");
}
