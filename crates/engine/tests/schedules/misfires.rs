//! Ticks that came while nobody was there.

use serde_json::json;
use taskloom_model::{State, Timestamp};

use crate::lab::{ALICE, Lab, at, minutely, on_every_database};

on_every_database! {
    skip_skips_what_was_missed,
    run_once_fires_the_last_for_all,
    run_all_fires_within_the_window,
    every_tick_is_recorded_once_over_many_passes,
    jitter_delays_the_task_not_the_tick,
    an_owner_who_may_not_log_in_fires_nothing,
}

async fn skip_skips_what_was_missed(lab: Lab) {
    let schedule = lab.create(minutely(json!({"misfire": "skip"}))).await;
    lab.advance(3 * 60 + 30);
    assert_eq!(lab.fire().await, 3);
    assert_eq!(lab.told(schedule.id).await, ["00:01:00 misfire", "00:02:00 misfire", "00:03:00 fired"]);
}

async fn run_once_fires_the_last_for_all(lab: Lab) {
    let schedule = lab.create(minutely(json!({"misfire": "run_once"}))).await;
    lab.advance(3 * 60 + 30);
    assert_eq!(lab.fire().await, 3);
    assert_eq!(lab.told(schedule.id).await, ["00:01:00 superseded", "00:02:00 superseded", "00:03:00 fired"]);
    // However long ago it was, as long as it is the last.
    let yearly = lab
        .create(json!({"name": "y", "task": "demo.echo", "schedule_type": "scheduled",
            "schedule_config": {"datetime": "2026-01-02 00:00"}}))
        .await;
    lab.engine().schedule_pause(&ALICE, schedule.id).await.unwrap();
    lab.clock.set(at("2026-06-01T00:00:00Z"));
    assert_eq!(lab.fire().await, 1);
    assert_eq!(lab.told(yearly.id).await, ["00:00:00 fired"]);
    assert_eq!(lab.get(yearly.id).await.next_run_at, None);
}

async fn run_all_fires_within_the_window(lab: Lab) {
    let schedule = lab.create(minutely(json!({"misfire": "run_all", "catch_up": 120}))).await;
    lab.advance(4 * 60 + 30);
    assert_eq!(lab.fire().await, 4);
    assert_eq!(
        lab.told(schedule.id).await,
        ["00:01:00 too_late", "00:02:00 too_late", "00:03:00 fired", "00:04:00 fired"]
    );
    lab.is_sound().await;
}

async fn every_tick_is_recorded_once_over_many_passes(lab: Lab) {
    let schedule = lab.create(minutely(json!({}))).await;
    // Longer than the records are kept: what would be forgotten at once is not written.
    lab.clock.set(at("2026-02-03T00:00:00Z"));
    let minutes = 30 * 24 * 60;
    let ticks = lab.fire().await;
    assert!((minutes..=minutes + 1).contains(&ticks), "{ticks}");
    let counts = lab.get(schedule.id).await.counts;
    assert_eq!(
        (counts.fired, counts.skipped as usize),
        (2, ticks - 2),
        "the last missed, and the one in time"
    );
    assert_eq!(lab.states(schedule.id).await, [State::Ready; 2]);
}

async fn jitter_delays_the_task_not_the_tick(lab: Lab) {
    let schedule = lab.create(minutely(json!({"jitter": 30}))).await;
    lab.advance(60);
    assert_eq!(lab.fire().await, 1);
    let tick = at("2026-01-01T00:01:00Z");
    assert_eq!(lab.ticks(schedule.id).await[0].at, tick);
    let task = &lab.tasks(schedule.id).await[0];
    let run_at: Timestamp = task.scheduled_at.unwrap();
    assert!(run_at > tick && run_at.since(tick).as_secs() < 30, "{run_at}");
    assert_eq!(task.state, State::Scheduled);
    assert_eq!(lab.get(schedule.id).await.next_run_at, Some(at("2026-01-01T00:02:00Z")));
}

async fn an_owner_who_may_not_log_in_fires_nothing(lab: Lab) {
    let user = taskloom_store::NewUser {
        id: ALICE.user_id,
        username: "alice".into(),
        email: None,
        password_hash: String::new(),
        role: taskloom_model::Role::User,
        created_at: at("2026-01-01T00:00:00Z"),
    };
    let store = lab.engine().store();
    store.user_create(user).await.unwrap();
    let schedule = lab.create(minutely(json!({}))).await;
    for active in [false, true] {
        let change = taskloom_store::UserChange { is_active: Some(active), ..Default::default() };
        store.user_update(ALICE.user_id, change, at("2026-01-01T00:00:00Z")).await.unwrap();
        lab.advance(60);
        assert_eq!(lab.fire().await, 1);
    }
    assert_eq!(lab.told(schedule.id).await, ["00:01:00 owner_inactive", "00:02:00 fired"]);
}
