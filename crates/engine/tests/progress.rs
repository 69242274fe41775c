//! Progress that is told faster than anybody looks.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may")]

mod common;

use std::time::Duration;

use common::{ALICE, Lab, held, task};
use taskloom_model::TaskId;
use taskloom_protocol::{
    Beat, BeatAnswer, BeatTask, Claimed, LogLevel, LogLine, Outcome, TaskError, TaskEvent, WorkerApi,
};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

/// A worker in another language: it says each step by a call of its own.
struct Talker {
    lab: Lab,
    session: Uuid,
    task: Claimed,
    shutdown: CancellationToken,
    loops: TaskTracker,
}

impl Talker {
    async fn new() -> Self {
        let lab = Lab::new();
        let shutdown = CancellationToken::new();
        let loops = lab.engine.attend(&shutdown);
        lab.submit(task()).await;
        let session = lab.worker(&["default"]).await;
        let task = lab.claim(session, 1).await.remove(0);
        Self { lab, session, task, shutdown, loops }
    }

    async fn says(&self, progress: f64, logs: Vec<LogLine>) -> BeatAnswer {
        let Claimed { id, epoch, .. } = self.task;
        let detail = Some(serde_json::value::to_raw_value(&format!("step {progress}")).unwrap());
        let told = BeatTask { id, epoch, progress: Some(progress), detail, logs };
        self.lab.engine.beat(Beat { session: self.session, tasks: vec![told] }).await.unwrap()
    }

    /// What the database has.
    async fn written(&self, id: TaskId) -> f64 {
        self.lab.engine.store().task_get(id, None).await.unwrap().unwrap().progress
    }

    /// What users are shown.
    async fn shown(&self) -> (f64, Option<String>) {
        let task = self.lab.engine.get(&ALICE, self.task.id).await.unwrap();
        (task.progress, task.progress_detail.map(|detail| detail.get().to_owned()))
    }
}

fn step(number: u32) -> f64 {
    f64::from(number) / 10.0
}

fn is(a: f64, b: f64) -> bool {
    (a - b).abs() < 1e-9
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_steps_are_seen_at_once_and_written_now_and_then() {
    let talker = Talker::new().await;
    let mut watch = talker.lab.engine.watch(&ALICE, talker.task.id, None).await.unwrap();
    let mut writes = 0;
    for number in 1..=1_000 {
        assert_eq!(talker.says(step(number), vec![]).await, BeatAnswer::default());
        writes += usize::from(is(talker.written(talker.task.id).await, step(number)));
        let (progress, detail) = talker.shown().await;
        assert!(is(progress, step(number)), "{progress} after step {number}");
        assert_eq!(detail, Some(format!("\"step {}\"", step(number))));
        let Some(TaskEvent::Progress { progress, .. }) = watch.next().await else { panic!("no progress") };
        assert!(is(progress, step(number)), "{progress} was heard after step {number}");
    }
    assert!((1..200).contains(&writes), "{writes} of 1,000 steps were written as they came");
    let last = async {
        while !is(talker.written(talker.task.id).await, 100.0) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), last).await.expect("the last step is written");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_kept_is_written_with_lines_ends_and_at_the_latest_when_the_process_stops() {
    let talker = Talker::new().await;
    let id = talker.task.id;
    talker.says(10.0, vec![]).await;
    talker.says(20.0, vec![]).await;
    let line = LogLine { at: talker.task.created_at, level: LogLevel::Info, message: "a line".into() };
    talker.says(30.0, vec![line]).await;
    assert!(is(talker.written(id).await, 30.0));
    talker.says(40.0, vec![]).await;
    talker.shutdown.cancel();
    talker.loops.wait().await;
    assert!(is(talker.written(id).await, 40.0));
    // Nobody attends any more: what comes now is written as it comes.
    talker.says(45.0, vec![]).await;
    assert!(is(talker.written(id).await, 45.0));

    let talker = Talker::new().await;
    talker.says(10.0, vec![]).await;
    talker.says(50.0, vec![]).await;
    let error = TaskError { kind: "Broken".into(), message: "no".into(), traceback: None };
    let fatal = Outcome::Fatal { error };
    assert!(talker.lab.finish(talker.session, &talker.task, fatal).await);
    let (progress, detail) = talker.shown().await;
    assert!(is(progress, 50.0), "{progress} at the end");
    assert_eq!(detail.as_deref(), Some("\"step 50\""));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_talks_much_hears_soon_that_the_task_is_to_stop_or_lost() {
    let talker = Talker::new().await;
    talker.says(10.0, vec![]).await;
    talker.lab.engine.cancel(&ALICE, talker.task.id, false).await.unwrap();
    let soon = Duration::from_secs(20);
    let asked = async { while talker.says(20.0, vec![]).await.cancel != [held(&talker.task)] {} };
    tokio::time::timeout(soon, asked).await.expect("the cancel is heard");
    talker.lab.engine.cancel(&ALICE, talker.task.id, true).await.unwrap();
    let lost = async { while talker.says(30.0, vec![]).await.lost != [held(&talker.task)] {} };
    tokio::time::timeout(soon, lost).await.expect("the loss is heard");
}
