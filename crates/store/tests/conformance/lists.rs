//! Tasks found by their names.

use taskloom_store::{Filter, NewTask};

use crate::databases::{Home, on_every_database};
use crate::support::{at, new_task, plain, submit};

on_every_database! { names_are_found_whatever_their_case }

async fn names_are_found_whatever_their_case(home: Home) {
    let store = home.open().await;
    for name in ["Über Test", "uber test", "ПРИВЕТ мир", "100% Done", "数据处理任务", "ΟΔΟΣ"]
    {
        submit(&store, NewTask { name: Some(name.into()), ..new_task(&plain(), None) }, at(1)).await;
    }
    // An accent is not a matter of case.
    for (q, count) in [
        ("über", 1),
        ("ÜBER TEST", 1),
        ("UBER", 1),
        ("привет МИР", 1),
        ("100% dONE", 1),
        ("1_0", 0),
        ("处理", 1),
        ("ΟΔΟΣ", 1),
        ("οδοσ", 1),
        ("T", 2),
    ] {
        let filter = Filter { q: Some(q.into()), ..Filter::default() };
        assert_eq!(store.task_count(filter).await.unwrap().total, count, "{q}");
    }
}
