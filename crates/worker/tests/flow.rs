//! Claims, heartbeats and finishes as the server sees them.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that panics has failed")]

mod common;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};

use common::{Fake, Running, TIMING, error_of};
use serde_json::json;
use taskloom_protocol::{LogLevel, Outcome, WorkerError};
use taskloom_worker::{Args, Context, HandlerError, Registry};

#[tokio::test]
async fn a_worker_introduces_itself() {
    let fake = Fake::new();
    let registry = Registry::new()
        .with("b", async |_: Context| Ok::<_, HandlerError>(()))
        .with("a", async |_: Context| Ok::<_, HandlerError>(()));
    let running =
        Running::start_with(&fake, registry, |builder| builder.queues(["fast", "slow"]).concurrency(3));
    let claim = fake.until(|state| state.claims.first().cloned()).await;
    let hello = fake.state().registered[0].clone();
    assert_eq!((hello.name.as_str(), hello.concurrency), ("test", 3));
    assert_eq!(hello.queues, ["fast", "slow"]);
    assert_eq!(hello.handlers, ["a", "b"]);
    assert_eq!((claim.session, claim.limit), (hello.session, 3));
    running.stop().await.unwrap();
}

#[tokio::test]
async fn claims_never_exceed_the_free_slots() {
    const SLOTS: usize = 7;
    let busy = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&busy);
    let mut fake = Fake::bare(TIMING);
    fake.on_claim = Some(Box::new(move |claim| {
        assert!(claim.limit >= 1);
        assert!(
            claim.limit as usize + seen.load(Ordering::SeqCst) <= SLOTS,
            "claims for slots that are taken"
        );
    }));
    let fake = Arc::new(fake);
    let tasks: Vec<_> = (0..300).map(|n| fake.push("work", json!([n % 5]), json!({}))).collect();
    let registry = Registry::new().with("work", move |_: Context, Args((yields,)): Args<(u32,)>| {
        let busy = Arc::clone(&busy);
        async move {
            let now = busy.fetch_add(1, Ordering::SeqCst) + 1;
            for _ in 0..yields {
                tokio::task::yield_now().await;
            }
            busy.fetch_sub(1, Ordering::SeqCst);
            Ok::<_, HandlerError>(now)
        }
    });
    let running = Running::start_with(&fake, registry, |builder| builder.concurrency(SLOTS));
    for task in tasks {
        let Outcome::Success { result } = fake.outcome(task).await else { panic!() };
        assert!(result.get().parse::<usize>().unwrap() <= SLOTS);
    }
    running.stop().await.unwrap();
}

#[tokio::test]
async fn finishes_gather_while_one_is_on_its_way() {
    let fake = Fake::new();
    fake.change(|state| state.hold_finishes = true);
    let ended = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&ended);
    let registry = Registry::new().with("quick", move |_: Context| {
        counter.fetch_add(1, Ordering::SeqCst);
        std::future::ready(Ok::<_, HandlerError>(()))
    });
    let running = Running::start_with(&fake, registry, |builder| builder.concurrency(100));
    let first = fake.push("quick", json!([]), json!({}));
    fake.finished(first).await;
    let tasks: Vec<_> = (0..60).map(|_| fake.push("quick", json!([]), json!({}))).collect();
    // One thread runs everything here: a handler's end is queued before anybody else looks.
    while ended.load(Ordering::SeqCst) < 61 {
        tokio::task::yield_now().await;
    }
    fake.change(|state| state.hold_finishes = false);
    for task in tasks {
        assert!(matches!(fake.outcome(task).await, Outcome::Success { .. }));
    }
    let sizes: Vec<_> = fake.state().finishes.iter().map(|request| request.tasks.len()).collect();
    assert_eq!(sizes, [1, 60]);
    running.stop().await.unwrap();
}

#[tokio::test]
async fn a_backlog_of_unacknowledged_finishes_stops_the_claims() {
    let fake = Fake::new();
    fake.change(|state| state.hold_finishes = true);
    for _ in 0..100 {
        fake.push("quick", json!([]), json!({}));
    }
    let registry = Registry::new().with("quick", async |_: Context| Ok::<_, HandlerError>(()));
    let running = Running::start_with(&fake, registry, |builder| builder.concurrency(10));
    // A heartbeat names what the worker holds: ten in its slots, at most ten that wait to be acknowledged.
    fake.until(|state| (state.beats.last()?.tasks.len() == 20).then_some(())).await;
    let before = fake.state().beats.len();
    fake.until(|state| (state.beats.len() > before + 5).then_some(())).await;
    assert_eq!(fake.state().queue.len(), 80);
    fake.change(|state| state.hold_finishes = false);
    fake.until(|state| (state.finishes.iter().map(|f| f.tasks.len()).sum::<usize>() == 100).then_some(()))
        .await;
    running.stop().await.unwrap();
}

#[tokio::test]
async fn the_server_may_be_away_for_a_while() {
    let fake = Fake::new();
    let away = || WorkerError::Unavailable("away".into());
    fake.change(|state| {
        state.claim_errors = [away(), WorkerError::UnknownSession].into();
        state.finish_errors = [away(), WorkerError::UnknownSession].into();
    });
    let registry = Registry::new().with("quick", async |_: Context| Ok::<_, HandlerError>(()));
    let task = fake.push("quick", json!([]), json!({}));
    let running = Running::start(&fake, registry);
    assert!(matches!(fake.outcome(task).await, Outcome::Success { .. }));
    let sessions: Vec<_> = fake.state().registered.iter().map(|hello| hello.session).collect();
    assert_eq!(sessions, [sessions[0]; 3], "it registers again, as the same session");
    running.stop().await.unwrap();
}

#[tokio::test]
async fn one_result_that_the_server_refuses_does_not_take_others_with_it() {
    let fake = Fake::new();
    fake.change(|state| state.poison = Some("poison".into()));
    let words = ["one", "two", "poison", "three", "four"];
    let tasks: Vec<_> = words.iter().map(|word| fake.push("echo", json!([word]), json!({}))).collect();
    let echo = async |_: Context, Args((word,)): Args<(String,)>| Ok::<_, HandlerError>(word);
    let running = Running::start(&fake, Registry::new().with("echo", echo));
    for (word, task) in words.iter().zip(tasks) {
        match fake.outcome(task).await {
            Outcome::Success { result } => assert_eq!(result.get(), format!("{word:?}")),
            refused => {
                assert_eq!(*word, "poison");
                assert_eq!(error_of(refused).kind, "refused_result");
            }
        }
    }
    running.stop().await.unwrap();
}

/// A gate that blocks threads, as careless handlers do.
#[derive(Default)]
struct Wall {
    state: Mutex<(usize, bool)>,
    changed: Condvar,
}

impl Wall {
    fn block(&self) {
        let mut state = self.state.lock().unwrap();
        state.0 += 1;
        self.changed.notify_all();
        while !state.1 {
            state = self.changed.wait(state).unwrap();
        }
    }

    fn wait_for(&self, blocked: usize) {
        let mut state = self.state.lock().unwrap();
        while state.0 < blocked {
            state = self.changed.wait(state).unwrap();
        }
    }

    fn open(&self) {
        self.state.lock().unwrap().1 = true;
        self.changed.notify_all();
    }
}

#[test]
fn handlers_that_block_every_thread_do_not_stop_the_heartbeat() {
    const THREADS: usize = 2;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(THREADS).enable_all().build().unwrap();
    let wall = Arc::new(Wall::default());
    let fake = Fake::new();
    let tasks: Vec<_> = (0..THREADS).map(|_| fake.push("blocks", json!([]), json!({}))).collect();
    let blocker = Arc::clone(&wall);
    let registry = Registry::new().with("blocks", move |_: Context| {
        blocker.block();
        std::future::ready(Ok::<_, HandlerError>(()))
    });
    let running = {
        let _enter = runtime.enter();
        Running::start(&fake, registry)
    };
    wall.wait_for(THREADS);
    let before = fake.state().beats.len();
    let other = tokio::runtime::Builder::new_current_thread().build().unwrap();
    other.block_on(fake.until(|state| {
        let named = |beat: &taskloom_protocol::Beat| {
            tasks.iter().all(|task| beat.tasks.iter().any(|t| t.id == task.id))
        };
        (state.beats.iter().skip(before).filter(|beat| named(beat)).count() >= 10).then_some(())
    }));
    wall.open();
    for task in tasks {
        let outcome = other.block_on(fake.outcome(task));
        assert!(matches!(outcome, Outcome::Success { .. }));
    }
    runtime.block_on(running.stop()).unwrap();
}

#[tokio::test]
async fn progress_and_lines_travel_with_heartbeats_while_the_handler_runs() {
    let fake = Fake::new();
    let go_on = Arc::new(tokio::sync::Notify::new());
    let gate = Arc::clone(&go_on);
    let registry = Registry::new().with("talks", move |ctx: Context| {
        let gate = Arc::clone(&gate);
        async move {
            ctx.progress(10.0);
            ctx.progress_with(25.0, json!({"page": 3}));
            ctx.info("first");
            ctx.warn("second");
            gate.notified().await;
            ctx.progress(250.0);
            ctx.error("third");
            ctx.debug("x".repeat(10_000));
            Ok::<_, HandlerError>(())
        }
    });
    let task = fake.push("talks", json!([]), json!({}));
    let running = Running::start(&fake, registry);
    // A heartbeat may also come between the first report and the second.
    let news =
        fake.until(|state| state.beats_of(task).into_iter().find(|line| line.progress == Some(25.0))).await;
    assert_eq!(news.detail.unwrap().get(), r#"{"page":3}"#);
    fake.until(|state| (state.lines_of(task).len() == 2).then_some(())).await;
    go_on.notify_one();
    let finish = fake.finished(task).await;
    let lines = fake.state().lines_of(task);
    let said: Vec<_> = lines.iter().map(|line| (line.level, line.message.as_str())).collect();
    assert_eq!(
        said[..3],
        [(LogLevel::Info, "first"), (LogLevel::Warning, "second"), (LogLevel::Error, "third"),]
    );
    assert!(said[3].0 == LogLevel::Debug && said[3].1.len() <= 8 << 10);
    let last = fake.state().beats_of(task).iter().rev().find_map(|line| line.progress);
    assert_eq!(finish.progress.or(last), Some(100.0));
    running.stop().await.unwrap();
}

#[tokio::test]
async fn ten_thousand_reports_in_a_moment_are_few_messages_and_the_last_arrives() {
    let fake = Fake::new();
    let registry = Registry::new().with("eager", |ctx: Context| async move {
        let start = std::time::Instant::now();
        for report in 1..=10_000_u32 {
            ctx.progress_with(f64::from(report) / 101.0, report);
            if report % 100 == 0 {
                tokio::time::sleep(std::time::Duration::from_millis(2)).await;
            }
        }
        Ok::<_, HandlerError>(start.elapsed().as_secs_f64())
    });
    let task = fake.push("eager", json!([]), json!({}));
    let running = Running::start(&fake, registry);
    let finish = fake.finished(task).await;
    let Outcome::Success { result } = &finish.outcome else { panic!("{:?}", finish.outcome) };
    let told: Vec<_> = fake.state().beats_of(task).into_iter().filter(|b| b.progress.is_some()).collect();
    // The fake asks for a heartbeat every 20 ms, which takes along what there is; 2 s are the rule.
    let seconds: f64 = result.get().parse().unwrap();
    assert!(told.len() as f64 <= seconds / 0.02 + 2.0, "{} in {seconds} s", told.len());
    let last = finish.detail.or_else(|| told.last().and_then(|beat| beat.detail.clone())).unwrap();
    assert_eq!(last.get(), "10000");
    running.stop().await.unwrap();
}

#[tokio::test]
async fn a_finish_does_not_overtake_lines_on_their_way() {
    let fake = Fake::new();
    fake.change(|state| state.hold_beats = true);
    let ended = Arc::new(AtomicUsize::new(0));
    let (go_on, counter) = (Arc::new(tokio::sync::Notify::new()), Arc::clone(&ended));
    let gate = Arc::clone(&go_on);
    let registry = Registry::new().with("talks", move |ctx: Context| {
        let (gate, counter) = (Arc::clone(&gate), Arc::clone(&counter));
        async move {
            ctx.info("on its way");
            gate.notified().await;
            ctx.info("afterwards");
            counter.fetch_add(1, Ordering::SeqCst);
            Ok::<_, HandlerError>(())
        }
    });
    let running = Running::start(&fake, registry);
    let task = fake.push("talks", json!([]), json!({}));
    fake.until(|state| {
        let carries_lines =
            |beat: &taskloom_protocol::Beat| beat.tasks.iter().any(|line| !line.logs.is_empty());
        state.beats_in.iter().any(carries_lines).then_some(())
    })
    .await;
    go_on.notify_one();
    while ended.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert!(fake.state().finish_of(task).is_none(), "the finish waits for the heartbeat");
    fake.change(|state| state.hold_beats = false);
    let finish = fake.finished(task).await;
    let said: Vec<_> = finish.logs.iter().map(|line| line.message.as_str()).collect();
    assert_eq!(said, ["afterwards"]);
    assert_eq!(fake.state().lines_of(task)[0].message, "on its way");
    running.stop().await.unwrap();
}

#[tokio::test]
async fn between_heartbeats_only_tasks_with_news_are_named() {
    // The first heartbeat that names everything would come in half a minute.
    let fake = Fake::with_timing(taskloom_protocol::Registered { beat_ms: 30_000, ..TIMING });
    let registry = Registry::new()
        .with("silent", |_: Context| std::future::pending::<Result<(), HandlerError>>())
        .with("talks", |ctx: Context| {
            ctx.progress(5.0);
            std::future::pending::<Result<(), HandlerError>>()
        });
    fake.push("silent", json!([]), json!({}));
    let talks = fake.push("talks", json!([]), json!({}));
    let running = Running::start(&fake, registry);
    let beat = fake.until(|state| state.beats.first().cloned()).await;
    assert_eq!(beat.tasks.iter().map(|line| line.id).collect::<Vec<_>>(), [talks.id]);
    running.kill.cancel();
    running.stop().await.unwrap();
}

#[tokio::test]
async fn tasks_whose_lease_ended_before_they_were_read_are_not_run() {
    const LEASE: std::time::Duration = std::time::Duration::from_millis(1_500);
    let first = AtomicUsize::new(0);
    let mut fake = Fake::bare(taskloom_protocol::Registered { lease_ms: 1_500, ..TIMING });
    // Blocks the thread that waits for the answer, as a stopped process does.
    fake.on_claim = Some(Box::new(move |_| {
        if first.fetch_add(1, Ordering::SeqCst) == 0 {
            std::thread::sleep(LEASE);
        }
    }));
    let fake = Arc::new(fake);
    let ran = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&ran);
    let registry = Registry::new().with("quick", move |ctx: Context| {
        seen.lock().unwrap().push(ctx.task().id);
        std::future::ready(Ok::<_, HandlerError>(()))
    });
    fake.push("quick", json!([]), json!({}));
    let running = Running::start(&fake, registry);
    fake.until(|state| (state.claims.len() == 2).then_some(())).await;
    let fresh = fake.push("quick", json!([]), json!({}));
    fake.finished(fresh).await;
    assert_eq!(*ran.lock().unwrap(), [fresh.id]);
    running.stop().await.unwrap();
}
