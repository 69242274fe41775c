//! Each tick fires once, whoever looks, whatever the clock does.

use std::collections::HashSet;

use serde_json::json;
use taskloom_model::{State, TickOutcome};

use crate::lab::{ALICE, Lab, asked, at, minutely, on_every_database};

on_every_database! {
    a_tick_makes_its_task,
    two_schedulers_fire_each_tick_once,
    a_scheduler_that_died_in_between_loses_no_tick,
    a_clock_that_jumps_back_fires_nothing_twice,
    many_at_once_are_seen_to_in_bounded_passes,
    what_is_deleted_fires_no_more_and_is_pruned,
}

async fn a_tick_makes_its_task(lab: Lab) {
    let schedule = lab
        .create(json!({"name": "weekly report", "task": "demo.echo", "args": [1], "kwargs": {"a": 2}, "queue": "reports",
            "priority": "high", "tags": ["t"], "timeout": 9.5, "max_attempts": 7,
            "schedule_type": "weekly", "schedule_config": {"days": [1, 3, 5], "time": "14:30:00"},
            "timezone": "Asia/Shanghai"}))
        .await;
    // The first of January 2026 was a Thursday.
    assert_eq!(schedule.next_run_at, Some(at("2026-01-02T06:30:00Z")));
    lab.clock.set(at("2026-01-02T06:29:59.9Z"));
    assert_eq!(lab.fire().await, 0);
    lab.clock.set(at("2026-01-02T06:30:00Z"));
    assert_eq!(lab.fire().await, 1);
    let tasks = lab.tasks(schedule.id).await;
    let [task] = tasks.as_slice() else { panic!("{tasks:?}") };
    assert_eq!(
        (task.name.as_deref(), task.args.get(), task.kwargs.get()),
        (Some("weekly report"), "[1]", r#"{"a":2}"#)
    );
    assert_eq!((task.queue.as_str(), task.priority.name(), task.max_attempts), ("reports", "high", 7));
    assert_eq!((task.state, task.user_id, task.timeout), (State::Ready, ALICE.user_id, Some(9.5)));
    let now = lab.get(schedule.id).await;
    assert_eq!(now.next_run_at, Some(at("2026-01-05T06:30:00Z")));
    assert_eq!((now.last_run_at, now.last_task_id), (Some(at("2026-01-02T06:30:00Z")), Some(task.id)));
    assert_eq!((now.counts.fired, now.counts.skipped), (1, 0));
    let ticks = lab.ticks(schedule.id).await;
    assert_eq!((ticks.len(), ticks[0].outcome, ticks[0].task_id), (1, TickOutcome::Fired, Some(task.id)));
    assert_eq!(ticks[0].local, "2026-01-02T14:30:00+08:00");
    lab.is_sound().await;
}

async fn two_schedulers_fire_each_tick_once(lab: Lab) {
    const SCHEDULES: usize = 60;
    let mut ids = Vec::new();
    for number in 0..SCHEDULES {
        let overlap = ["allow", "skip", "queue", "replace"][number % 4];
        ids.push(lab.create(minutely(json!({"overlap": overlap}))).await.id);
    }
    for _ in 0..5 {
        lab.advance(60);
        // Both look again and again, as their loops would.
        let (one, other) = (lab.engines[0].clone(), lab.engines[1].clone());
        let look = |engine: taskloom_engine::Engine| async move {
            let mut fired = 0;
            for _ in 0..6 {
                fired += engine.fire().await.unwrap();
            }
            fired
        };
        let (one, other) = tokio::join!(tokio::spawn(look(one)), tokio::spawn(look(other)));
        assert_eq!(one.unwrap() + other.unwrap(), SCHEDULES);
    }
    for (number, id) in ids.into_iter().enumerate() {
        let (ticks, tasks) = (lab.ticks(id).await, lab.tasks(id).await);
        let times: HashSet<_> = ticks.iter().map(|tick| tick.at).collect();
        assert_eq!((ticks.len(), times.len()), (5, 5));
        let made: HashSet<_> = ticks.iter().filter_map(|tick| tick.task_id).collect();
        assert_eq!(made, tasks.iter().map(|task| task.id).collect());
        assert_eq!(tasks.len(), [5, 1, 2, 5][number % 4]);
    }
    lab.is_sound().await;
}

async fn a_scheduler_that_died_in_between_loses_no_tick(lab: Lab) {
    let schedule = lab.create(minutely(json!({"misfire": "run_all"}))).await;
    lab.advance(60);
    // It read what was due, decided, and was gone before it wrote: dropped in the middle of the call.
    for _ in 0..20 {
        let engine = lab.engines[0].clone();
        let dying = tokio::spawn(async move { engine.fire().await });
        tokio::task::yield_now().await;
        dying.abort();
        let _ = dying.await;
    }
    lab.advance(60);
    // What a killed call had begun may yet be committed.
    let all = async {
        while lab.ticks(schedule.id).await.len() < 2 {
            lab.engines[1].fire().await.unwrap();
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(60), all).await.unwrap();
    let (ticks, tasks) = (lab.ticks(schedule.id).await, lab.tasks(schedule.id).await);
    assert!(ticks.iter().all(|tick| tick.outcome == TickOutcome::Fired));
    assert_eq!((ticks.len(), tasks.len()), (2, 2));
    lab.is_sound().await;
}

async fn a_clock_that_jumps_back_fires_nothing_twice(lab: Lab) {
    let schedule = lab.create(minutely(json!({"misfire": "run_all", "catch_up": 86_400}))).await;
    lab.advance(600);
    assert_eq!(lab.fire().await, 10);
    lab.clock.set(at("2026-01-01T00:03:00Z"));
    assert_eq!(lab.fire().await, 0);
    // Nor after somebody has changed it, which computes the next tick anew.
    let config = json!({"schedule_config": {"cron_expression": "*/2 * * * *"}});
    let changed = lab.change(schedule.id, config).await.unwrap();
    assert_eq!(changed.next_run_at, Some(at("2026-01-01T00:12:00Z")));
    lab.engine().schedule_pause(&ALICE, schedule.id).await.unwrap();
    let resumed = lab.engine().schedule_resume(&ALICE, schedule.id).await.unwrap();
    assert_eq!(resumed.next_run_at, Some(at("2026-01-01T00:12:00Z")));
    lab.clock.set(at("2026-01-01T00:12:00Z"));
    assert_eq!(lab.fire().await, 1);
    assert_eq!(lab.tasks(schedule.id).await.len(), 11);
    lab.is_sound().await;
}

async fn many_at_once_are_seen_to_in_bounded_passes(lab: Lab) {
    const SCHEDULES: usize = 1_200;
    for _ in 0..SCHEDULES {
        lab.engine().schedule_create(&ALICE, asked(minutely(json!({}))), None).await.unwrap();
    }
    lab.advance(60);
    let mut passes = Vec::new();
    while let ticks @ 1.. = lab.engine().fire().await.unwrap() {
        passes.push(ticks);
    }
    assert_eq!(passes.iter().sum::<usize>(), SCHEDULES);
    assert!(passes.iter().all(|ticks| *ticks <= 500), "{passes:?}");
    // One that is far behind takes its share, and holds nobody up.
    let behind = lab
        .create(json!({"name": "s", "task": "demo.echo", "schedule_type": "interval", "misfire": "run_all",
            "schedule_config": {"interval": 1, "unit": "seconds"}}))
        .await;
    lab.advance(50 * 60);
    let first = lab.engine().fire().await.unwrap();
    assert!(first <= 1_000, "{first}");
    lab.fire().await;
    assert_eq!(lab.get(behind.id).await.counts.fired, 3_000);
    lab.is_sound().await;
}

async fn what_is_deleted_fires_no_more_and_is_pruned(lab: Lab) {
    let (kept, gone) = (lab.create(minutely(json!({}))).await, lab.create(minutely(json!({}))).await);
    for _ in 0..3 {
        lab.advance(60);
        lab.fire().await;
    }
    lab.engine().schedule_delete(&ALICE, gone.id).await.unwrap();
    lab.advance(60);
    assert_eq!(lab.fire().await, 1);
    assert!(lab.engine().schedule_get(&ALICE, gone.id).await.is_err());
    assert_eq!(lab.tasks(gone.id).await.len(), 3, "its tasks stay");
    let store = lab.engine().store();
    let rows = async || {
        let (ticks, _) = store.tick_list(gone.id, None, None, 500).await.unwrap();
        ticks.len()
    };
    assert_eq!(rows().await, 3);
    assert!(store.schedule_prune(at("2026-01-01T00:00:00Z"), 2).await.unwrap(), "in bounded steps");
    lab.engine().prune().await.unwrap();
    assert_eq!((rows().await, lab.ticks(kept.id).await.len()), (0, 4));
    // Ticks go by age.
    lab.clock.set(at("2026-01-31T00:02:30Z"));
    lab.engine().schedule_pause(&ALICE, kept.id).await.unwrap();
    lab.engine().prune().await.unwrap();
    assert_eq!(lab.told(kept.id).await, ["00:03:00 fired", "00:04:00 fired"]);
    lab.is_sound().await;
}
