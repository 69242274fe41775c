//! Schedules: what was decided about their ticks is written once, whole, or not at all.

use std::time::Duration;

use taskloom_model::{Overlap, ScheduleType, SkipReason, TickOutcome, Timestamp};
use taskloom_store::{
    Decision, Firing, Idempotency, Known, NewTask, ScheduleFilter, ScheduleRow, Store, Submission,
};
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::databases::{Home, on_every_database};
use crate::support::{at, new_task, plain};

on_every_database! {
    eight_schedulers_write_a_tick_once,
    eight_schedulers_and_as_many_users_want_one_key,
    one_request_creates_one_schedule,
    who_decided_upon_another_version_writes_nothing,
    one_that_cannot_be_written_holds_up_no_other,
    lists_go_by_filter_and_page,
    what_is_deleted_or_old_goes_in_bounded_steps,
}

async fn create(store: &Store, name: &str, next_at: Option<Timestamp>) -> ScheduleRow {
    let json = |text: &str| serde_json::value::RawValue::from_string(text.to_owned()).unwrap();
    let row = ScheduleRow {
        id: Uuid::now_v7(),
        user_id: Uuid::from_u128(1),
        name: name.into(),
        handler: "demo.echo".into(),
        definition: json("{}"),
        kind: if next_at.is_some() { ScheduleType::Cron } else { ScheduleType::Manual },
        enabled: next_at.is_some(),
        anchor_at: at(0),
        version: 0,
        next_at,
        last_tick: None,
        last_run_at: None,
        last_task_id: None,
        fired: 0,
        skipped: 0,
        created_at: at(0),
        updated_at: at(0),
    };
    assert_eq!(store.schedule_create(row.clone(), None).await.unwrap(), None);
    row
}

fn firing(row: &ScheduleRow, overlap: Overlap, ticks: &[u64], next: u64) -> Firing {
    let fires = |tick: &u64| (at(*tick), Decision::Fire(Box::new(task(row))));
    let ticks = ticks.iter().map(fires).collect();
    Firing { id: row.id, version: row.version, overlap, ticks, next_at: Some(at(next)) }
}

fn task(row: &ScheduleRow) -> NewTask {
    NewTask { user_id: row.user_id, schedule_id: Some(row.id), ..new_task(&plain(), None) }
}

async fn eight_schedulers_write_a_tick_once(home: Home) {
    const SCHEDULES: usize = 60;
    let store = home.open().await;
    let overlaps = [Overlap::Allow, Overlap::Skip, Overlap::Queue, Overlap::Replace];
    let mut rows = Vec::new();
    for number in 0..SCHEDULES {
        rows.push(create(&store, &format!("s{number}"), Some(at(10))).await);
    }
    let mut schedulers = JoinSet::new();
    for _ in 0..8 {
        let decided: Vec<Firing> = rows
            .iter()
            .enumerate()
            .map(|(number, row)| firing(row, overlaps[number % 4], &[10, 20], 30))
            .collect();
        let store = store.clone();
        schedulers.spawn(async move { store.schedule_fire(decided, at(21)).await.unwrap() });
    }
    let mut written = 0;
    while let Some(decided) = schedulers.join_next().await {
        let decided = decided.unwrap();
        assert!(decided.failed.is_none());
        written += decided.ticks;
    }
    assert_eq!(written, SCHEDULES * 2);
    for (number, row) in rows.iter().enumerate() {
        let (ticks, _) = store.tick_list(row.id, None, None, 10).await.unwrap();
        let fired = ticks.iter().filter(|tick| tick.outcome == TickOutcome::Fired).count();
        assert_eq!((ticks.len(), fired), (2, [2, 1, 2, 2][number % 4]));
        let now = store.schedule_get(row.id, None).await.unwrap().unwrap();
        assert_eq!((now.next_at, now.last_tick), (Some(at(30)), Some(at(20))));
        assert_eq!((now.fired + now.skipped, now.fired as usize), (2, fired));
        for tick in ticks {
            if let Some(id) = tick.task_id {
                assert_eq!(store.task_get(id, None).await.unwrap().unwrap().schedule_id, Some(row.id));
            }
        }
    }
    assert_eq!(store.check().await.unwrap(), vec![]);
}

async fn eight_schedulers_and_as_many_users_want_one_key(home: Home) {
    let store = home.open().await;
    let keyed = |task: NewTask| NewTask { unique_key: Some("k".into()), ..task };
    let mut rows = Vec::new();
    for number in 0..6 {
        rows.push(create(&store, &format!("s{number}"), Some(at(10))).await);
    }
    let overlaps = [Overlap::Allow, Overlap::Replace];
    let mut all = JoinSet::new();
    for _ in 0..8 {
        let fires = |row: &ScheduleRow| Decision::Fire(Box::new(keyed(task(row))));
        let decided = rows.iter().enumerate().map(|(number, row)| Firing {
            ticks: vec![(at(10), fires(row)), (at(20), fires(row))],
            ..firing(row, overlaps[number % 2], &[], 30)
        });
        let (decided, by_hand) = (decided.collect::<Vec<_>>(), keyed(task(&rows[0])));
        let (scheduler, user) = (store.clone(), store.clone());
        all.spawn(async move {
            let decided = scheduler.schedule_fire(decided, at(21)).await.unwrap();
            assert!(decided.failed.is_none(), "{:?}", decided.failed);
        });
        all.spawn(async move {
            let submission = Submission { tasks: [by_hand].into(), idempotency: None, now: at(21) };
            user.task_submit(submission).await.unwrap();
        });
    }
    while let Some(done) = all.join_next().await {
        done.unwrap();
    }
    let mut holders = Vec::new();
    for row in &rows {
        let now = store.schedule_get(row.id, None).await.unwrap().unwrap();
        assert_eq!(now.fired + now.skipped, 2);
        for tick in store.tick_list(row.id, None, None, 10).await.unwrap().0 {
            let is_skipped = tick.outcome == TickOutcome::Skipped;
            assert_eq!(tick.reason, is_skipped.then_some(SkipReason::UniqueKey));
            holders.extend(tick.task_id);
        }
    }
    assert_eq!(holders.len(), 12, "each tick names the task that was made or was there");
    holders.dedup();
    assert_eq!(holders.len(), 1, "and there is one");
    assert_eq!(store.check().await.unwrap(), vec![]);
}

async fn one_request_creates_one_schedule(home: Home) {
    let store = home.open().await;
    let model = create(&store, "model", Some(at(10))).await;
    let key = |hash: u8| Idempotency { user_id: model.user_id, key: "k".into(), request_hash: [hash; 32] };
    let mut twins = JoinSet::new();
    for _ in 0..8 {
        let (store, key) = (store.clone(), key(1));
        let row = ScheduleRow { id: Uuid::now_v7(), name: "twin".into(), ..model.clone() };
        twins.spawn(async move { (row.id, store.schedule_create(row, Some(key)).await.unwrap()) });
    }
    let (mut made, mut told) = (Vec::new(), Vec::new());
    while let Some(twin) = twins.join_next().await {
        match twin.unwrap() {
            (id, None) => made.push(id),
            (_, Some(known)) => told.push(known),
        }
    }
    assert_eq!((made.len(), &told), (1, &vec![Known::Same(made.clone()); 7]));
    let filter = ScheduleFilter { name: Some("twin".into()), ..ScheduleFilter::default() };
    assert_eq!(store.schedule_list(filter, None, 10).await.unwrap().2, 1);
    let other = ScheduleRow { id: Uuid::now_v7(), ..model.clone() };
    assert_eq!(store.schedule_create(other, Some(key(2))).await.unwrap(), Some(Known::Other));
}

async fn who_decided_upon_another_version_writes_nothing(home: Home) {
    let store = home.open().await;
    let row = create(&store, "s", Some(at(10))).await;
    let decided = || vec![firing(&row, Overlap::Allow, &[10], 20)];
    // Changed by its owner after it was read.
    assert!(store.schedule_update(ScheduleRow { next_at: Some(at(15)), ..row.clone() }).await.unwrap());
    assert_eq!(store.schedule_fire(decided(), at(11)).await.unwrap().ticks, 0);
    assert!(!store.schedule_update(row.clone()).await.unwrap(), "nor does a change of what was read before");
    let now = store.schedule_get(row.id, None).await.unwrap().unwrap();
    assert_eq!((now.version, now.next_at, now.last_tick), (1, Some(at(15)), None));
    // Deleted after it was read.
    let decided = vec![firing(&now, Overlap::Queue, &[15], 20)];
    assert!(store.schedule_delete(row.id, at(12)).await.unwrap());
    assert!(!store.schedule_delete(row.id, at(12)).await.unwrap());
    assert_eq!(store.schedule_fire(decided, at(16)).await.unwrap().ticks, 0);
    let by_hand = Submission { tasks: [task(&row)].into(), idempotency: None, now: at(16) };
    assert!(store.schedule_run(row.id, by_hand).await.unwrap().is_none());
    assert_eq!(store.tick_list(row.id, None, None, 10).await.unwrap().0, vec![]);
    assert_eq!(store.schedule_next_due().await.unwrap(), None);
    assert_eq!(store.check().await.unwrap(), vec![]);
}

async fn one_that_cannot_be_written_holds_up_no_other(home: Home) {
    let store = home.open().await;
    let mut rows = Vec::new();
    for number in 0..5 {
        rows.push(create(&store, &format!("s{number}"), Some(at(10))).await);
    }
    let mut decided: Vec<Firing> = rows.iter().map(|row| firing(row, Overlap::Allow, &[10], 20)).collect();
    // The same tick twice breaks the key of its table.
    let twice = decided[2].ticks[0].clone();
    decided[2].ticks.push((twice.0, Decision::Skip(SkipReason::Misfire)));
    let all = store.schedule_fire(decided, at(11)).await.unwrap();
    assert_eq!((all.ticks, all.steps.len(), all.failed.is_some()), (4, 4, true));
    let left = store.schedule_get(rows[2].id, None).await.unwrap().unwrap();
    assert_eq!((left.version, left.next_at, left.fired), (0, Some(at(10)), 0), "left whole");
    assert_eq!(store.schedule_next_due().await.unwrap(), Some(at(10)));
    assert_eq!(store.check().await.unwrap(), vec![]);
}

async fn lists_go_by_filter_and_page(home: Home) {
    let store = home.open().await;
    for number in 0..7_u64 {
        create(&store, &format!("s{number}"), (number < 4).then(|| at(10 + number))).await;
    }
    let list = async |filter: ScheduleFilter, after, limit| {
        let (rows, more, total) = store.schedule_list(filter, after, limit).await.unwrap();
        let names: Vec<String> = rows.iter().map(|row| row.name.clone()).collect();
        (names.join(" "), rows.last().map(|row| row.id), more, total)
    };
    let all = ScheduleFilter::default;
    let (first, last, more, total) = list(all(), None, 4).await;
    assert_eq!((first.as_str(), more, total), ("s6 s5 s4 s3", true, 7));
    let (rest, _, more, _) = list(all(), last, 4).await;
    assert_eq!((rest.as_str(), more), ("s2 s1 s0", false));
    for (filter, names) in [
        (ScheduleFilter { enabled: Some(false), ..all() }, "s6 s5 s4"),
        (ScheduleFilter { kind: Some(ScheduleType::Cron), ..all() }, "s3 s2 s1 s0"),
        (ScheduleFilter { name: Some("s5".into()), ..all() }, "s5"),
        (ScheduleFilter { user_id: Some(Uuid::from_u128(2)), ..all() }, ""),
        (ScheduleFilter { task: Some("other".into()), ..all() }, ""),
    ] {
        assert_eq!(list(filter, None, 10).await.0, names);
    }
    let due = store.schedule_due(at(12), 2).await.unwrap();
    assert_eq!(due.iter().map(|(row, _)| row.name.as_str()).collect::<Vec<_>>(), ["s0", "s1"]);
}

async fn what_is_deleted_or_old_goes_in_bounded_steps(home: Home) {
    let store = home.open().await;
    let (kept, gone) = (create(&store, "kept", Some(at(1))).await, create(&store, "gone", Some(at(1))).await);
    let ticks: Vec<u64> = (1..=5).collect();
    let decided = vec![firing(&kept, Overlap::Allow, &ticks, 9), firing(&gone, Overlap::Allow, &ticks, 9)];
    assert_eq!(store.schedule_fire(decided, at(6)).await.unwrap().ticks, 10);
    assert!(store.schedule_delete(gone.id, at(7)).await.unwrap());
    let count = async |id| store.tick_list(id, None, None, 10).await.unwrap().0.len();
    assert!(store.schedule_prune(at(0), 3).await.unwrap(), "there is more");
    assert_eq!((count(gone.id).await, count(kept.id).await), (2, 5));
    while store.schedule_prune(at(0), 3).await.unwrap() {}
    assert_eq!((count(gone.id).await, count(kept.id).await), (0, 5));
    while store.schedule_prune(at(6).plus(Duration::from_micros(1)), 3).await.unwrap() {}
    assert_eq!(count(kept.id).await, 0);
    let now = store.schedule_get(kept.id, None).await.unwrap().unwrap();
    assert_eq!((now.fired, now.next_at), (5, Some(at(9))), "the schedule stays, and knows what it did");
    assert_eq!(store.check().await.unwrap(), vec![]);
}
