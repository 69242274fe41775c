//! Two processes' engines on one database with Redis between them: Redis may vanish, forget or freeze at any time.

#![allow(clippy::unwrap_used, reason = "a test may")]

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use taskloom_dispatch::{Bells, RedisHome, RedisOptions, Shelf};
use taskloom_engine::{CacheQuery, Caller, Engine, EngineConfig, Links, SystemClock, TaskFilter};
use taskloom_model::CacheOutcome;
use taskloom_protocol::{
    ClaimRequest, FinishRequest, FinishTask, Outcome, Register, SubmitTask, Task, TaskEvent, WorkerApi,
};
use taskloom_store::{Store, StoreOptions};
use taskloom_testkit::{Redis, or_skip};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

const USER: Caller = Caller { user_id: Uuid::from_u128(1), all: true };
const TASKS: usize = 50_000;

/// Two engines, each with its loops, and everything that was run on them.
struct Two {
    engines: [Engine; 2],
    homes: [Arc<RedisHome>; 2],
    ran: Arc<Mutex<Vec<(Uuid, u32)>>>,
    ended: Arc<AtomicUsize>,
    shutdown: CancellationToken,
    _dir: tempfile::TempDir,
}

impl Two {
    async fn start(database: &str, redis: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let shutdown = CancellationToken::new();
        let mut made = Vec::new();
        for _ in 0..2 {
            let store = Store::open(&StoreOptions::network(database.parse().unwrap())).await.unwrap();
            let bells = Bells::default();
            let home = RedisHome::connect(&RedisOptions::new(redis), bells.clone()).unwrap();
            let links = Links::through_redis(&home, bells);
            let config = EngineConfig::new(dir.path().join("artifacts"));
            let engine = Engine::with_links(store, config, Arc::new(SystemClock), links);
            engine.start(&shutdown);
            made.push((engine, home));
        }
        let [(a, home_a), (b, home_b)] = <[_; 2]>::try_from(made).ok().unwrap();
        let (ran, ended) = (Arc::default(), Arc::default());
        Self { engines: [a, b], homes: [home_a, home_b], ran, ended, shutdown, _dir: dir }
    }

    /// Workers on both engines that do nothing with each task, and note it.
    async fn work(&self, workers: usize) {
        for number in 0..workers {
            let engine = self.engines[number % 2].clone();
            let session = Uuid::now_v7();
            let hello = Register {
                protocol: 1,
                session,
                name: format!("w{number}"),
                queues: vec!["default".into()],
                handlers: vec!["demo.noop".into()],
                concurrency: 64,
                version: "test".into(),
                defaults: None,
            };
            engine.register(hello).await.unwrap();
            let (ran, ended, shutdown) =
                (Arc::clone(&self.ran), Arc::clone(&self.ended), self.shutdown.clone());
            tokio::spawn(async move {
                while !shutdown.is_cancelled() {
                    let request = ClaimRequest { session, limit: 64, wait_ms: 1_000 };
                    let Ok(claimed) = engine.claim(request).await else { continue };
                    if claimed.is_empty() {
                        continue;
                    }
                    ran.lock().unwrap().extend(claimed.iter().map(|task| (task.id, task.epoch)));
                    let tasks = claimed.iter().map(|task| FinishTask {
                        id: task.id,
                        epoch: task.epoch,
                        outcome: Outcome::Success { result: serde_json::value::to_raw_value(&1).unwrap() },
                        progress: None,
                        detail: None,
                        logs: vec![],
                    });
                    let tasks = tasks.collect::<Vec<_>>();
                    let count = tasks.len();
                    let answer = engine.finish(FinishRequest { session, tasks }).await.unwrap();
                    assert!(answer.lost.is_empty());
                    ended.fetch_add(count, Ordering::SeqCst);
                }
            });
        }
    }

    async fn until(&self, count: usize) {
        let done = async {
            while self.ended.load(Ordering::SeqCst) < count {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let at = || self.ended.load(Ordering::SeqCst);
        tokio::time::timeout(Duration::from_secs(120), done).await.map_err(|_| at()).unwrap();
    }

    async fn until_connected(&self) {
        let connected = async {
            while !self.engines.iter().all(|engine| engine.dispatch_is_ok()) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), connected).await.unwrap();
    }

    /// How long one task takes from its submission on one engine to its end, whoever runs it.
    async fn one(&self) -> Duration {
        let began = Instant::now();
        let engine = &self.engines[0];
        let task = engine.submit(&USER, noop(), None).await.unwrap().task;
        assert!(engine.wait(&USER, task.id, Duration::from_secs(20)).await.unwrap().has_ended());
        began.elapsed()
    }
}

fn noop() -> SubmitTask {
    SubmitTask::new("demo.noop")
}

async fn disturb(redis: &Arc<Redis>, how: impl FnOnce(&Redis) + Send + 'static) {
    let redis = Arc::clone(redis);
    tokio::task::spawn_blocking(move || how(&redis)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_is_lost_and_nothing_runs_twice_whatever_happens_to_redis() {
    let (Some(database), Some(redis)) = (taskloom_testkit::postgres(), or_skip("Redis", Redis::start()))
    else {
        return;
    };
    let redis = Arc::new(redis);
    let two = Two::start(&database.fresh_database(), &redis.url()).await;
    two.until_connected().await;
    let submitting = {
        let engine = two.engines[0].clone();
        tokio::spawn(async move {
            for _ in 0..TASKS / 500 {
                engine.submit_batch(&USER, vec![noop(); 500], None).await.unwrap();
            }
        })
    };
    two.work(4).await;
    two.until(2_000).await;
    disturb(&redis, |redis| drop(redis.cli(&["FLUSHALL"]).unwrap())).await;
    two.until(6_000).await;
    disturb(&redis, |redis| drop(redis.cli(&["XGROUP", "DESTROY", "{taskloom:default}:2", "taskloom"])))
        .await;
    two.until(10_000).await;
    // Everybody is thrown out and cannot come back for a while.
    disturb(&redis, |redis| {
        redis.cli(&["CONFIG", "SET", "requirepass", "another"]).unwrap();
    })
    .await;
    two.until(14_000).await;
    disturb(&redis, |redis| {
        redis.kill();
        redis.restart().unwrap();
    })
    .await;
    two.until(20_000).await;
    disturb(&redis, |redis| {
        redis.freeze();
        std::thread::sleep(Duration::from_secs(5));
        redis.thaw();
    })
    .await;
    submitting.await.unwrap();
    two.until(TASKS).await;

    let ran = two.ran.lock().unwrap().clone();
    let distinct: HashSet<Uuid> = ran.iter().map(|(id, _)| *id).collect();
    assert_eq!((ran.len(), distinct.len()), (TASKS, TASKS), "each ran once");
    assert!(ran.iter().all(|(_, epoch)| *epoch == 1), "no lease was lost");
    let counts = two.engines[0].count(&USER, TaskFilter::default()).await.unwrap();
    assert_eq!((counts.total, counts.succeeded), (TASKS as u64, TASKS as u64));
    assert_eq!(two.engines[0].store().check().await.unwrap(), vec![]);

    // Redis is back, and so is the word of a task: far sooner than a look at the database now and then.
    two.until_connected().await;
    two.one().await;
    let mut spans = Vec::new();
    for _ in 0..20 {
        spans.push(two.one().await);
    }
    spans.sort_unstable();
    assert!(spans[10] < Duration::from_millis(500), "{spans:?}");
    two.shutdown.cancel();
    for home in &two.homes {
        home.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn who_watches_on_one_server_hears_of_what_happens_on_another() {
    let (Some(database), Some(redis)) = (taskloom_testkit::postgres(), taskloom_testkit::redis()) else {
        return;
    };
    let two = Two::start(&database.fresh_database(), &redis.url()).await;
    two.until_connected().await;
    let [here, there] = &two.engines;
    let task = here.submit(&USER, noop(), None).await.unwrap().task;
    let mut watch = here.watch(&USER, task.id, None).await.unwrap();
    let (told, mut heard) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Some(event) = watch.next().await {
            let _ = told.send((Instant::now(), event));
        }
    });
    // The interest travels; a worker of the other engine then runs the task.
    tokio::time::timeout(Duration::from_secs(5), async {
        while !taskloom_dispatch::Fanout::is_watched(&*two.homes[1], task.id) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .unwrap();
    let session = Uuid::now_v7();
    let hello = Register {
        protocol: 1,
        session,
        name: "w".into(),
        queues: vec!["default".into()],
        handlers: vec![],
        concurrency: 1,
        version: "test".into(),
        defaults: None,
    };
    there.register(hello).await.unwrap();
    let claimed = there.claim(ClaimRequest { session, limit: 1, wait_ms: 5_000 }).await.unwrap();
    let outcome = Outcome::Success { result: serde_json::value::to_raw_value(&1).unwrap() };
    let (id, epoch) = (claimed[0].id, claimed[0].epoch);
    let end = FinishTask { id, epoch, outcome, progress: None, detail: None, logs: vec![] };
    there.finish(FinishRequest { session, tasks: vec![end] }).await.unwrap();
    let mut states = Vec::new();
    while let Some((_, event)) = tokio::time::timeout(Duration::from_secs(5), heard.recv()).await.unwrap() {
        if let TaskEvent::State { state, .. } = event {
            states.push(state.name());
        }
    }
    assert_eq!(states.last(), Some(&"succeeded"), "{states:?}");
    two.shutdown.cancel();
}

/// What a task can be told holds whoever takes it in and whoever runs it.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn limits_pauses_turns_and_the_cache_hold_across_engines() {
    const MOST: u64 = 3;
    const KEYED: usize = 300;
    let (Some(database), Some(redis)) = (taskloom_testkit::postgres(), or_skip("Redis", Redis::start()))
    else {
        return;
    };
    let two = Two::start(&database.fresh_database(), &redis.url()).await;
    two.until_connected().await;
    two.work(4).await;
    let [a, b] = &two.engines;
    let keyed = SubmitTask { concurrency_key: Some("gpu".into()), concurrency_limit: Some(3), ..noop() };
    for engine in [a, b] {
        engine.submit_batch(&USER, vec![keyed.clone(); KEYED / 2], None).await.unwrap();
    }
    while two.ended.load(Ordering::SeqCst) < KEYED {
        let limits = a.limits(None, 10).await.unwrap();
        assert!(u64::from(limits[0].held) <= MOST, "{limits:?}");
        let depth = a.store().task_depth().await.unwrap();
        assert!(depth.running <= MOST, "{depth:?}");
    }
    let rate_limit = Some(taskloom_protocol::RateLimit { count: 5, seconds: 0.2 });
    let rated = SubmitTask { rate_key: Some("api".into()), rate_limit, ..noop() };
    b.submit_batch(&USER, vec![rated; 15], None).await.unwrap();
    two.until(KEYED + 15).await;
    a.pause_queue("default").await.unwrap();
    b.submit_batch(&USER, vec![noop(); 10], None).await.unwrap();
    b.resume_queue("default").await.unwrap();
    two.until(KEYED + 25).await;
    let cached = SubmitTask { cache_ttl: Some(60.0), ..noop() };
    let (one, other) =
        tokio::join!(a.submit(&USER, cached.clone(), None), b.submit(&USER, cached.clone(), None));
    assert_eq!(one.unwrap().task.id, other.unwrap().task.id, "one run answers both");
    two.until(KEYED + 26).await;
    assert_eq!(two.ran.lock().unwrap().len(), KEYED + 26);
    assert_eq!(a.store().check().await.unwrap(), vec![]);
    two.shutdown.cancel();
}

/// Redis keeps copies of hits; whether a call is one, the database says each time.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn hits_are_read_from_redis_and_decided_by_the_database() {
    let (Some(database), Some(redis)) = (taskloom_testkit::postgres(), or_skip("Redis", Redis::start()))
    else {
        return;
    };
    let two = Two::start(&database.fresh_database(), &redis.url()).await;
    two.until_connected().await;
    two.work(2).await;
    let [a, b] = &two.engines;
    let call = || SubmitTask { cache_ttl: Some(60.0), ..noop() };
    let made = a.submit(&USER, call(), None).await.unwrap().task;
    two.until(1).await;
    let ended = a.get(&USER, made.id).await.unwrap();
    let key = format!("{}:{}", made.id, ended.completed_at.unwrap().as_micros());
    assert_eq!(two.homes[0].shelf_get(&key).await, None, "nobody asked yet");

    let json = |task: &Task| serde_json::to_value(task).unwrap();
    let from_database = b.submit(&USER, call(), None).await.unwrap().task;
    assert_eq!((from_database.id, from_database.cache), (made.id, Some(CacheOutcome::Hit)));
    let copy = two.homes[0].shelf_get(&key).await.unwrap();
    let from_redis = a.submit(&USER, call(), None).await.unwrap().task;
    assert_eq!(json(&from_redis), json(&from_database));
    // Whoever is answered with this was answered from there.
    let marked = Task { name: Some("from redis".into()), ..serde_json::from_slice(&copy).unwrap() };
    let put = async |bytes| two.homes[0].shelf_put(&key, bytes, Duration::from_secs(60)).await;
    put(serde_json::to_vec(&marked).unwrap()).await;
    assert_eq!(b.submit(&USER, call(), None).await.unwrap().task.name.as_deref(), Some("from redis"));
    put(b"{not a task".to_vec()).await;
    assert_eq!(json(&b.submit(&USER, call(), None).await.unwrap().task), json(&from_database));

    put(serde_json::to_vec(&marked).unwrap()).await;
    a.cache_purge(&USER, CacheQuery::default()).await.unwrap();
    let next = b.submit(&USER, call(), None).await.unwrap().task;
    assert_ne!(next.id, made.id, "what was purged is not served, copy or not");
    two.until(2).await;
    redis.stop();
    let without = b.submit(&USER, call(), None).await.unwrap().task;
    assert_eq!((without.id, without.cache), (next.id, Some(CacheOutcome::Hit)), "without Redis as well");
    two.shutdown.cancel();
}
