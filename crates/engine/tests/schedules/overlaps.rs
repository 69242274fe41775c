//! What a tick does while a task of its schedule has not ended.

use serde_json::json;
use taskloom_model::{Reason, State};
use taskloom_protocol::RunSchedule;

use crate::lab::{ALICE, Lab, minutely, on_every_database};

on_every_database! {
    allow_runs_beside,
    skip_skips_until_the_other_has_ended,
    queue_lets_one_wait,
    replace_cancels_the_other,
    a_run_by_hand_counts_as_the_other,
}

async fn next_minute(lab: &Lab) {
    lab.advance(60);
    assert_eq!(lab.fire().await, 1);
}

async fn allow_runs_beside(lab: Lab) {
    let schedule = lab.create(minutely(json!({"overlap": "allow"}))).await;
    for _ in 0..3 {
        next_minute(&lab).await;
    }
    assert_eq!(lab.states(schedule.id).await, [State::Ready; 3]);
    // Those that gathered count as soon as the policy is another.
    lab.change(schedule.id, json!({"overlap": "skip"})).await.unwrap();
    next_minute(&lab).await;
    assert_eq!(lab.told(schedule.id).await[3], "00:04:00 overlap");
}

async fn skip_skips_until_the_other_has_ended(lab: Lab) {
    let schedule = lab.create(minutely(json!({"overlap": "skip"}))).await;
    next_minute(&lab).await;
    next_minute(&lab).await;
    let (worker, held) = lab.claim().await;
    next_minute(&lab).await;
    lab.finish(worker, &held).await;
    next_minute(&lab).await;
    assert_eq!(
        lab.told(schedule.id).await,
        ["00:01:00 fired", "00:02:00 overlap", "00:03:00 overlap", "00:04:00 fired"]
    );
    let schedule = lab.get(schedule.id).await;
    assert_eq!((schedule.counts.fired, schedule.counts.skipped), (2, 2));
    // One that is deleted is not in the way, either.
    let waiting = schedule.last_task_id.unwrap();
    lab.engine().delete(&ALICE, waiting).await.unwrap();
    next_minute(&lab).await;
    assert_eq!(lab.told(schedule.id).await[4], "00:05:00 fired");
    lab.is_sound().await;
}

async fn queue_lets_one_wait(lab: Lab) {
    let schedule = lab.create(minutely(json!({"overlap": "queue"}))).await;
    next_minute(&lab).await;
    let (worker, held) = lab.claim().await;
    next_minute(&lab).await;
    next_minute(&lab).await;
    assert_eq!(lab.states(schedule.id).await, [State::Running, State::Blocked]);
    assert_eq!(lab.told(schedule.id).await, ["00:01:00 fired", "00:02:00 fired", "00:03:00 overlap"]);
    lab.finish(worker, &held).await;
    assert_eq!(lab.states(schedule.id).await, [State::Succeeded, State::Ready]);
    next_minute(&lab).await;
    assert_eq!(lab.states(schedule.id).await, [State::Succeeded, State::Ready, State::Blocked]);
    // Whatever the end of the other: here it is cancelled.
    let tasks = lab.tasks(schedule.id).await;
    lab.engine().cancel(&ALICE, tasks[1].id, false).await.unwrap();
    assert_eq!(lab.states(schedule.id).await, [State::Succeeded, State::Revoked, State::Ready]);
    // Several at once: one fires beside the one that waits for it, the rest are skipped.
    let (worker, held) = lab.claim().await;
    lab.finish(worker, &held).await;
    lab.change(schedule.id, json!({"misfire": "run_all"})).await.unwrap();
    lab.advance(240);
    assert_eq!(lab.fire().await, 4);
    assert_eq!(
        lab.told(schedule.id).await[4..],
        ["00:05:00 fired", "00:06:00 fired", "00:07:00 overlap", "00:08:00 overlap"]
    );
    lab.is_sound().await;
}

async fn replace_cancels_the_other(lab: Lab) {
    let schedule = lab.create(minutely(json!({"overlap": "replace"}))).await;
    next_minute(&lab).await;
    next_minute(&lab).await;
    let tasks = lab.tasks(schedule.id).await;
    assert_eq!((tasks[0].state, tasks[0].reason), (State::Revoked, Some(Reason::Cancelled)));
    let (worker, held) = lab.claim().await;
    assert_eq!(held.len(), 1);
    next_minute(&lab).await;
    // Its worker is told; the new one does not wait for that.
    assert_eq!(lab.states(schedule.id).await, [State::Revoked, State::Running, State::Ready]);
    lab.finish(worker, &held).await;
    assert_eq!(lab.get(schedule.id).await.counts.fired, 3);
    lab.is_sound().await;
}

async fn a_run_by_hand_counts_as_the_other(lab: Lab) {
    let schedule = lab.create(minutely(json!({"overlap": "skip"}))).await;
    let run =
        lab.engine().schedule_run(&ALICE, schedule.id, &RunSchedule::default(), None).await.unwrap().task;
    next_minute(&lab).await;
    assert_eq!(lab.told(schedule.id).await, ["00:01:00 overlap"]);
    lab.engine().cancel(&ALICE, run.id, false).await.unwrap();
    next_minute(&lab).await;
    assert_eq!(lab.told(schedule.id).await, ["00:01:00 overlap", "00:02:00 fired"]);
}
