//! What users may do with schedules.

use serde_json::json;
use taskloom_engine::{EngineError, ScheduleFilter, SchedulePageSpec};
use taskloom_model::{ScheduleType, State};
use taskloom_protocol::{PreviewSchedule, RunSchedule};

use crate::lab::{ADMIN, ALICE, BOB, Lab, at, minutely, refused};

#[tokio::test]
async fn the_shapes_that_users_have_are_taken() {
    let lab = Lab::sqlite().await;
    for (kind, config, next) in [
        ("weekly", json!({"days": [1, 3, 5], "time": "14:30:00"}), Some("2026-01-02T14:30:00Z")),
        ("interval", json!({"interval": 5, "unit": "minutes"}), Some("2026-01-01T00:05:00Z")),
        ("daily", json!({"time": "09:00:00"}), Some("2026-01-01T09:00:00Z")),
        ("monthly", json!({"dates": [1, 15, -1], "time": "09:00:00"}), Some("2026-01-01T09:00:00Z")),
        ("cron", json!({"cron_expression": "0 0 * * *"}), Some("2026-01-02T00:00:00Z")),
        ("scheduled", json!({"datetime": "2026-12-25 10:00:00"}), Some("2026-12-25T10:00:00Z")),
        ("once", json!({"datetime": "2026-12-25T10:00:00+08:00"}), Some("2026-12-25T02:00:00Z")),
        ("immediate", json!({}), Some("2026-01-01T00:00:00Z")),
        ("manual", json!({}), None),
    ] {
        let body =
            json!({"name": "n", "task": "demo.echo", "schedule_type": kind, "schedule_config": config});
        let schedule = lab.create(body).await;
        assert_eq!(schedule.next_run_at, next.map(at), "{kind}");
        let given: serde_json::Value = serde_json::from_str(schedule.schedule_config.get()).unwrap();
        assert_eq!(given, config);
    }
    assert_eq!(lab.fire().await, 1, "at once");
    assert_eq!(lab.fire().await, 0);
}

#[tokio::test]
async fn what_breaks_a_rule_is_named() {
    let lab = Lab::sqlite().await;
    for (body, expected) in [
        (json!({}), vec!["name missing", "task missing", "schedule_type missing"]),
        (minutely(json!({"timezone": "Mars/Olympus"})), vec!["timezone bad_value"]),
        (
            minutely(json!({"catch_up": 9_999_999, "jitter": -1.0})),
            vec!["catch_up out_of_range", "jitter out_of_range"],
        ),
        (
            minutely(json!({"queue": "a b", "max_attempts": 0})),
            vec!["queue bad_character", "max_attempts out_of_range"],
        ),
        (
            minutely(json!({"start_at": "2026-02-01T00:00:00Z", "end_at": "2026-01-01T00:00:00Z"})),
            vec!["end_at out_of_range"],
        ),
        (minutely(json!({"end_at": "2026-01-01T00:00:30Z"})), vec!["schedule_config never_fires"]),
        (
            minutely(json!({"schedule_config": {"cron_expression": "0 0 30 2 *"}})),
            vec!["schedule_config.cron_expression never_fires"],
        ),
        (
            minutely(
                json!({"schedule_type": "scheduled", "schedule_config": {"datetime": "2020-01-01 00:00"}}),
            ),
            vec!["schedule_config never_fires"],
        ),
        (minutely(json!({"schedule_type": "daily"})), vec!["schedule_config.cron_expression unknown_field"]),
    ] {
        assert_eq!(refused(lab.try_create(body.clone()).await.unwrap_err()), expected, "{body}");
    }
}

#[tokio::test]
async fn a_change_computes_the_next_tick_anew() {
    let lab = Lab::sqlite().await;
    let id = lab.create(minutely(json!({"queue": "q", "end_at": "2026-01-02T00:00:00Z"}))).await.id;
    lab.advance(90);
    let renamed = lab.change(id, json!({"name": "other", "kwargs": {"a": 1}})).await.unwrap();
    assert_eq!(renamed.next_run_at, Some(at("2026-01-01T00:01:00Z")), "what is due stays due");
    assert_eq!(
        (renamed.name.as_str(), renamed.kwargs.get(), renamed.queue.as_str()),
        ("other", r#"{"a":1}"#, "q")
    );
    let moved = lab
        .change(id, json!({"schedule_type": "daily", "schedule_config": {"time": "12:00"}}))
        .await
        .unwrap();
    assert_eq!(moved.next_run_at, Some(at("2026-01-01T12:00:00Z")));
    let zoned = lab.change(id, json!({"timezone": "Asia/Shanghai"})).await.unwrap();
    assert_eq!(zoned.next_run_at, Some(at("2026-01-01T04:00:00Z")));
    let reset = lab.change(id, json!({"queue": null, "end_at": null})).await.unwrap();
    assert_eq!((reset.queue.as_str(), reset.end_at), ("default", None));
    let every = json!({"schedule_type": "interval", "schedule_config": {"interval": 10, "unit": "seconds"}});
    assert_eq!(lab.change(id, every).await.unwrap().next_run_at, Some(at("2026-01-01T00:01:40Z")));
    let manual = lab.change(id, json!({"schedule_type": "manual"})).await.unwrap();
    assert_eq!((manual.next_run_at, manual.schedule_config.get()), (None, "{}"));
    for (change, expected) in [
        (json!({"name": null}), "name missing"),
        (json!({"schedule_type": "daily"}), "schedule_config.time missing"),
        (json!({"priority": "high", "timezone": "X"}), "timezone bad_value"),
    ] {
        assert_eq!(refused(lab.change(id, change).await.unwrap_err()), [expected]);
    }
    assert_eq!(lab.get(id).await.schedule_type, ScheduleType::Manual);
}

#[tokio::test]
async fn paused_it_misses_nothing_and_goes_on_from_now() {
    let lab = Lab::sqlite().await;
    let id = lab.create(minutely(json!({"misfire": "run_all"}))).await.id;
    assert_eq!(lab.engine().schedule_pause(&ALICE, id).await.unwrap().next_run_at, None);
    lab.advance(600);
    assert_eq!(lab.fire().await, 0);
    let resumed = lab.engine().schedule_resume(&ALICE, id).await.unwrap();
    assert_eq!(resumed.next_run_at, Some(at("2026-01-01T00:11:00Z")));
    let asleep = json!({"name": "n", "task": "demo.echo", "schedule_type": "immediate", "enabled": false});
    let asleep = lab.create(asleep).await;
    assert_eq!((asleep.enabled, asleep.next_run_at), (false, None));
    lab.advance(10);
    lab.engine().schedule_resume(&ALICE, asleep.id).await.unwrap();
    assert_eq!(lab.fire().await, 1, "what happens at once happens when it is resumed");
    lab.engine().schedule_pause(&ALICE, asleep.id).await.unwrap();
    assert_eq!(lab.engine().schedule_resume(&ALICE, asleep.id).await.unwrap().next_run_at, None, "once");
}

#[tokio::test]
async fn a_saved_task_is_run_by_hand_with_other_words() {
    let lab = Lab::sqlite().await;
    let saved = json!({"name": "saved", "task": "demo.echo", "args": [1], "kwargs": {"a": 1}, "queue": "q",
        "tags": ["x"], "schedule_type": "manual"});
    let id = lab.create(saved).await.id;
    let plain = lab.engine().schedule_run(&ALICE, id, &RunSchedule::default(), None).await.unwrap().task;
    assert_eq!((plain.args.get(), plain.queue.as_str(), plain.schedule_id), ("[1]", "q", Some(id)));
    let over: RunSchedule =
        serde_json::from_value(json!({"args": [2], "priority": 4, "tags": [], "delay": 60.0})).unwrap();
    let task = lab.engine().schedule_run(&ALICE, id, &over, None).await.unwrap().task;
    assert_eq!((task.args.get(), task.kwargs.get(), task.priority.name()), ("[2]", r#"{"a":1}"#, "critical"));
    assert_eq!((task.state, task.tags.len()), (State::Scheduled, 0));
    let bad: RunSchedule = serde_json::from_value(json!({"queue": "a b"})).unwrap();
    let error = lab.engine().schedule_run(&ALICE, id, &bad, None).await.unwrap_err();
    assert_eq!(refused(error), ["queue bad_character"]);
    let schedule = lab.get(id).await;
    assert_eq!(
        (schedule.last_task_id, schedule.counts.fired),
        (Some(task.id), 0),
        "a run by hand is no tick"
    );
    // By an operator it is still the owner's.
    let theirs = lab.engine().schedule_run(&ADMIN, id, &RunSchedule::default(), None).await.unwrap().task;
    assert_eq!(theirs.user_id, ALICE.user_id);
}

#[tokio::test]
async fn nobody_sees_what_is_anothers() {
    let lab = Lab::sqlite().await;
    let id = lab.create(minutely(json!({}))).await.id;
    let engine = lab.engine();
    let run = RunSchedule::default();
    let page = || SchedulePageSpec { limit: 10, cursor: None };
    let missing = |result: Result<(), EngineError>| assert!(matches!(result, Err(EngineError::NoSchedule)));
    missing(engine.schedule_get(&BOB, id).await.map(drop));
    missing(
        engine
            .schedule_change(&BOB, id, &serde_json::from_value(json!({"name": "x"})).unwrap())
            .await
            .map(drop),
    );
    missing(engine.schedule_pause(&BOB, id).await.map(drop));
    missing(engine.schedule_run(&BOB, id, &run, None).await.map(drop));
    missing(engine.schedule_ticks(&BOB, id, None, page()).await.map(drop));
    missing(engine.schedule_preview(&BOB, id, None).await.map(drop));
    missing(engine.schedule_delete(&BOB, id).await);
    let filter = ScheduleFilter { user_id: Some(ALICE.user_id), ..ScheduleFilter::default() };
    assert_eq!(engine.schedule_list(&BOB, filter, page()).await.unwrap().total, 0);
    assert_eq!(engine.schedule_list(&ADMIN, ScheduleFilter::default(), page()).await.unwrap().total, 1);
    engine.schedule_delete(&ADMIN, id).await.unwrap();
    missing(engine.schedule_get(&ALICE, id).await.map(drop));
}

#[tokio::test]
async fn lists_go_page_by_page() {
    let lab = Lab::sqlite().await;
    for number in 0..25 {
        let kind = if number % 5 == 0 { json!({"enabled": false}) } else { json!({}) };
        lab.create(minutely(kind)).await;
    }
    let mut seen = Vec::new();
    let mut cursor = None;
    loop {
        let page = SchedulePageSpec { limit: 10, cursor: cursor.take() };
        let page = lab.engine().schedule_list(&ALICE, ScheduleFilter::default(), page).await.unwrap();
        assert_eq!(page.total, 25);
        seen.extend(page.items.into_iter().map(|schedule| schedule.id));
        match page.next_cursor {
            Some(next) => cursor = Some(next),
            None => break,
        }
    }
    assert!(seen.len() == 25 && seen.windows(2).all(|pair| pair[0] > pair[1]));
    let paused = ScheduleFilter { enabled: Some(false), ..ScheduleFilter::default() };
    let page = SchedulePageSpec { limit: 10, cursor: None };
    assert_eq!(lab.engine().schedule_list(&ALICE, paused, page).await.unwrap().items.len(), 5);
    let forged = SchedulePageSpec { limit: 10, cursor: Some("x".into()) };
    let error = lab.engine().schedule_list(&ALICE, ScheduleFilter::default(), forged).await.unwrap_err();
    assert!(matches!(error, EngineError::BadCursor));
    // The same for ticks.
    lab.advance(25 * 60);
    lab.fire().await;
    let first = SchedulePageSpec { limit: 20, cursor: None };
    let first = lab.engine().schedule_ticks(&ALICE, seen[0], None, first).await.unwrap();
    let rest = SchedulePageSpec { limit: 20, cursor: first.next_cursor };
    let rest = lab.engine().schedule_ticks(&ALICE, seen[0], None, rest).await.unwrap();
    assert_eq!((first.items.len(), rest.items.len(), rest.next_cursor), (20, 5, None));
    assert!(first.items[19].at > rest.items[0].at);
}

#[tokio::test]
async fn a_preview_shows_both_times() {
    let lab = Lab::sqlite().await;
    let preview: PreviewSchedule = serde_json::from_value(json!({"schedule_type": "daily",
        "schedule_config": {"time": "02:30"}, "timezone": "Europe/Berlin", "after": "2026-03-28T12:00:00Z",
        "count": 2}))
    .unwrap();
    let times = lab.engine().plan_preview(&preview).unwrap().times;
    let shown: Vec<_> = times.iter().map(|time| (time.utc, time.local.as_str())).collect();
    assert_eq!(
        shown,
        [
            (at("2026-03-29T01:00:00Z"), "2026-03-29T03:00:00+02:00"),
            (at("2026-03-30T00:30:00Z"), "2026-03-30T02:30:00+02:00")
        ]
    );
    for count in [0, 101] {
        let preview = PreviewSchedule { count: Some(count), ..preview.clone() };
        assert_eq!(refused(lab.engine().plan_preview(&preview).unwrap_err()), ["count out_of_range"]);
    }
    let cron = |expression: &str, end: &str| {
        let preview = json!({"schedule_type": "cron", "schedule_config": {"cron_expression": expression},
            "end_at": end});
        lab.engine().plan_preview(&serde_json::from_value(preview).unwrap())
    };
    let error = cron("0 0 31 2 *", "2030-01-01T00:00:00Z").unwrap_err();
    assert_eq!(refused(error), ["schedule_config.cron_expression never_fires"]);
    assert!(cron("0 0 29 2 *", "2027-01-01T00:00:00Z").unwrap().times.is_empty(), "it comes in 2028");
    let id = lab.create(minutely(json!({"enabled": false}))).await.id;
    assert_eq!(lab.engine().schedule_preview(&ALICE, id, Some(3)).await.unwrap().times.len(), 3);
}

#[tokio::test]
async fn the_loop_fires_by_itself() {
    let lab = Lab::sqlite().await;
    let shutdown = tokio_util::sync::CancellationToken::new();
    let tracker = lab.engine().start(&shutdown);
    let id = lab.create(json!({"name": "n", "task": "demo.echo", "schedule_type": "immediate"})).await.id;
    let fired = async {
        while lab.tasks(id).await.is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(30), fired).await.unwrap();
    shutdown.cancel();
    tracker.wait().await;
}
