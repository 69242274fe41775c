//! Ticks and runs that another task answers, and ticks whose task would come too late.

use serde_json::json;
use taskloom_engine::EngineError;
use taskloom_model::{CacheOutcome, Reason, SkipReason, State};
use taskloom_protocol::Duplicate;
use uuid::Uuid;

use crate::lab::{ALICE, Lab, asked, at, minutely, on_every_database, refused};

on_every_database! {
    a_tick_whose_key_is_taken_is_skipped,
    a_tick_may_replace_who_has_the_key,
    who_answers_is_not_cancelled_by_the_overlap,
    a_tick_is_answered_by_the_cache,
    a_tick_expires_with_its_time,
    a_run_by_hand_is_answered_as_a_submission,
    a_request_that_comes_again_makes_nothing,
}

async fn next_minute(lab: &Lab) {
    lab.advance(60);
    assert_eq!(lab.fire().await, 1);
}

/// The task that the latest tick names, and why it was skipped.
async fn latest(lab: &Lab, id: Uuid) -> (Option<Uuid>, Option<SkipReason>) {
    lab.ticks(id).await.pop().map(|tick| (tick.task_id, tick.reason)).unwrap()
}

async fn a_tick_whose_key_is_taken_is_skipped(lab: Lab) {
    for conflict in ["return", "reject"] {
        let asked = json!({"unique_key": conflict, "unique_ttl": 150, "unique_conflict": conflict});
        let schedule = lab.create(minutely(asked)).await;
        assert_eq!(schedule.unique_ttl, Some(150.0));
        next_minute(&lab).await;
        let first = lab.tasks(schedule.id).await[0].id;
        next_minute(&lab).await;
        assert_eq!(latest(&lab, schedule.id).await, (Some(first), Some(SkipReason::UniqueKey)));
        // Its task has ended, and the key is taken still.
        let (worker, held) = lab.claim().await;
        lab.finish(worker, &held).await;
        next_minute(&lab).await;
        assert_eq!(latest(&lab, schedule.id).await, (Some(first), Some(SkipReason::UniqueKey)));
        let now = lab.get(schedule.id).await;
        assert_eq!((now.counts.fired, now.counts.skipped, now.last_task_id), (1, 2, Some(first)));
        next_minute(&lab).await;
        let (second, reason) = latest(&lab, schedule.id).await;
        assert!(reason.is_none() && second != Some(first));
        // Ticks that are made up for together are answered as those that come one by one.
        lab.change(schedule.id, json!({"misfire": "run_all", "unique_ttl": null})).await.unwrap();
        lab.advance(180);
        assert_eq!(lab.fire().await, 3);
        assert_eq!(latest(&lab, schedule.id).await, (second, Some(SkipReason::UniqueKey)));
        assert_eq!(lab.tasks(schedule.id).await.len(), 2);
        lab.engine().schedule_delete(&ALICE, schedule.id).await.unwrap();
    }
    lab.is_sound().await;
}

async fn a_tick_may_replace_who_has_the_key(lab: Lab) {
    let asked = json!({"unique_key": "k", "unique_conflict": "replace", "misfire": "run_all"});
    let schedule = lab.create(minutely(asked)).await;
    next_minute(&lab).await;
    next_minute(&lab).await;
    assert_eq!(lab.states(schedule.id).await, [State::Revoked, State::Ready]);
    lab.advance(120);
    assert_eq!(lab.fire().await, 2, "also those of one pass replace each other");
    assert_eq!(lab.states(schedule.id).await, [State::Revoked, State::Revoked, State::Revoked, State::Ready]);
    let now = lab.get(schedule.id).await;
    assert_eq!((now.counts.fired, now.last_task_id), (4, latest(&lab, schedule.id).await.0));
    lab.is_sound().await;
}

async fn who_answers_is_not_cancelled_by_the_overlap(lab: Lab) {
    let schedule = lab.create(minutely(json!({"unique_key": "k", "overlap": "replace"}))).await;
    next_minute(&lab).await;
    next_minute(&lab).await;
    let tasks = lab.tasks(schedule.id).await;
    assert_eq!((tasks.len(), tasks[0].state), (1, State::Ready));
    assert_eq!(latest(&lab, schedule.id).await, (Some(tasks[0].id), Some(SkipReason::UniqueKey)));
    // Where the overlap skips it, the key is not asked.
    lab.change(schedule.id, json!({"overlap": "skip"})).await.unwrap();
    next_minute(&lab).await;
    assert_eq!(latest(&lab, schedule.id).await, (None, Some(SkipReason::Overlap)));
    // A place that the other held at a limit is the new one's.
    let change = json!({"unique_key": null, "overlap": "replace", "concurrency_key": "gpu"});
    lab.change(schedule.id, change).await.unwrap();
    for _ in 0..2 {
        next_minute(&lab).await;
    }
    assert_eq!(lab.states(schedule.id).await, [State::Revoked, State::Revoked, State::Ready]);
    lab.is_sound().await;
}

async fn a_tick_is_answered_by_the_cache(lab: Lab) {
    let schedule = lab.create(minutely(json!({"cache_ttl": 90}))).await;
    next_minute(&lab).await;
    let first = lab.tasks(schedule.id).await[0].id;
    next_minute(&lab).await;
    assert_eq!(latest(&lab, schedule.id).await, (Some(first), Some(SkipReason::CacheJoined)));
    let (worker, held) = lab.claim().await;
    lab.finish(worker, &held).await;
    next_minute(&lab).await;
    assert_eq!(latest(&lab, schedule.id).await, (Some(first), Some(SkipReason::CacheHit)));
    // Each answer begins the time anew; a pause lets it run out.
    lab.engine().schedule_pause(&ALICE, schedule.id).await.unwrap();
    lab.advance(90);
    lab.engine().schedule_resume(&ALICE, schedule.id).await.unwrap();
    next_minute(&lab).await;
    assert_eq!(latest(&lab, schedule.id).await.1, None);
    assert_eq!(lab.tasks(schedule.id).await.len(), 2);
    let now = lab.get(schedule.id).await;
    assert_eq!((now.counts.fired, now.counts.skipped), (2, 2));
    lab.is_sound().await;
}

async fn a_tick_expires_with_its_time(lab: Lab) {
    let schedule = lab.create(minutely(json!({"expires_in": 90, "jitter": 80, "misfire": "run_all"}))).await;
    next_minute(&lab).await;
    assert_eq!(lab.tasks(schedule.id).await[0].expires_at, Some(at("2026-01-01T00:02:30Z")));
    lab.advance(60);
    lab.fire().await;
    lab.advance(30);
    lab.engine().expire().await.unwrap();
    let tasks = lab.tasks(schedule.id).await;
    assert_eq!((tasks[0].state, tasks[0].reason), (State::Revoked, Some(Reason::Expired)));
    assert_ne!(tasks[1].reason, Some(Reason::Expired), "the next has its own time");
    // Missed by as much: no task is made only to be revoked.
    lab.clock.set(at("2026-01-01T00:05:30Z"));
    assert_eq!(lab.fire().await, 3);
    assert_eq!(lab.told(schedule.id).await[2..], ["00:03:00 expired", "00:04:00 expired", "00:05:00 fired"]);
    let error = lab.change(schedule.id, json!({"jitter": 90})).await.unwrap_err();
    assert_eq!(refused(error), ["jitter out_of_range"]);
    let error = lab.change(schedule.id, json!({"expires_in": 0})).await.unwrap_err();
    assert_eq!(refused(error), ["expires_in out_of_range"]);
    lab.is_sound().await;
}

async fn a_run_by_hand_is_answered_as_a_submission(lab: Lab) {
    let saved = json!({"name": "saved", "task": "demo.echo", "schedule_type": "manual", "unique_key": "k"});
    let id = lab.create(saved).await.id;
    let first = lab.run(id, json!({})).await.unwrap();
    assert!(first.created);
    let second = lab.run(id, json!({})).await.unwrap();
    assert_eq!((second.created, second.task.id), (false, first.task.id));
    assert_eq!(second.task.deduplicated_by, Some(Duplicate::UniqueKey));
    let error = lab.run(id, json!({"unique_conflict": "reject"})).await.unwrap_err();
    assert!(matches!(error, EngineError::UniqueKeyTaken { .. }), "{error}");
    assert_eq!(lab.get(id).await.last_task_id, Some(first.task.id));
    let third =
        lab.run(id, json!({"unique_conflict": "replace", "expires_in": 30, "delay": 29})).await.unwrap();
    assert_eq!((third.created, third.task.replaced), (true, Some(first.task.id)));
    assert_eq!(third.task.expires_at, Some(at("2026-01-01T00:00:30Z")));
    assert_eq!(lab.get(id).await.last_task_id, Some(third.task.id));
    let cached = json!({"unique_key": "other", "cache_ttl": 60});
    let miss = lab.run(id, cached.clone()).await.unwrap();
    let joined = lab.run(id, cached).await.unwrap();
    assert_eq!((miss.task.cache, joined.task.cache), (Some(CacheOutcome::Miss), Some(CacheOutcome::Joined)));
    assert_eq!(miss.task.id, joined.task.id);
    for (over, rule) in [
        (json!({"expires_in": 30, "delay": 30}), "delay out_of_range"),
        (json!({"cache_ttl": -1}), "cache_ttl out_of_range"),
        (json!({"unique_ttl": 0}), "unique_ttl out_of_range"),
    ] {
        assert_eq!(refused(lab.run(id, over).await.unwrap_err()), [rule]);
    }
    lab.is_sound().await;
}

async fn a_request_that_comes_again_makes_nothing(lab: Lab) {
    let once = json!({"name": "once", "task": "demo.echo", "schedule_type": "scheduled",
        "schedule_config": {"datetime": "2026-01-01T00:00:30Z"}});
    let create = async |schedule: &serde_json::Value| {
        lab.engine().schedule_create(&ALICE, asked(schedule.clone()), Some("k")).await
    };
    let first = create(&once).await.unwrap();
    assert_eq!(first.deduplicated_by, None);
    lab.advance(60);
    assert_eq!(lab.fire().await, 1);
    // As it is now, although its time has passed: a new one would be refused.
    let again = create(&once).await.unwrap();
    assert_eq!((again.id, again.deduplicated_by), (first.id, Some(Duplicate::IdempotencyKey)));
    assert_eq!(again.counts.fired, 1);
    let mut other = once.clone();
    other["name"] = json!("other");
    assert!(matches!(create(&other).await, Err(EngineError::IdempotencyMismatch)));
    let run = async |over: serde_json::Value| {
        let over = serde_json::from_value(over).unwrap();
        lab.engine().schedule_run(&ALICE, first.id, &over, Some("r")).await
    };
    let ran = run(json!({})).await.unwrap();
    let twice = run(json!({})).await.unwrap();
    assert_eq!((ran.created, twice.created, twice.task.id), (true, false, ran.task.id));
    assert!(matches!(run(json!({"priority": 4})).await, Err(EngineError::IdempotencyMismatch)));
    assert_eq!(lab.tasks(first.id).await.len(), 2);
    lab.engine().schedule_delete(&ALICE, first.id).await.unwrap();
    assert!(matches!(create(&once).await, Err(EngineError::NoSchedule)));
}
