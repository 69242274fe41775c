//! Connections that die, servers that are killed, pools that are full, certificates that do not fit.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use taskloom_store::{Filter, Store, StoreError, StoreOptions, Submission, SubmitOutcome};
use taskloom_testkit::{MariaDb, Postgres, or_skip};
use uuid::Uuid;

use crate::databases::{Home, Kind};
use crate::support::{LEASE, at, blocking, claim_of, new_task, plain, register, submit, success, worker};

/// How a test disturbs a server.
trait Server: Send + Sync + 'static {
    fn fresh(&self) -> String;
    fn sql(&self, url: &str, sql: &str) -> Result<String, String>;
    /// Cuts all connections of Taskloom but leaves the server running.
    fn cut(&self, url: &str);
    fn kill_and_restart(&self);
}

impl Server for Postgres {
    fn fresh(&self) -> String {
        self.fresh_database()
    }

    fn sql(&self, url: &str, sql: &str) -> Result<String, String> {
        self.psql(url, sql)
    }

    fn cut(&self, url: &str) {
        let sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                   WHERE application_name = 'taskloom' AND datname = current_database()";
        self.psql(url, sql).unwrap();
    }

    fn kill_and_restart(&self) {
        self.kill();
        self.restart().unwrap();
    }
}

impl Server for MariaDb {
    fn fresh(&self) -> String {
        self.fresh_database()
    }

    fn sql(&self, url: &str, sql: &str) -> Result<String, String> {
        Self::sql(self, url, sql)
    }

    fn cut(&self, url: &str) {
        // The table of the same rows stumbles on MySQL over statements with bytes in them.
        let rows = self.sql(url, "SHOW PROCESSLIST").unwrap();
        let database = url.rsplit('/').next().unwrap();
        let connections = rows.lines().map(|row| row.split('\t').collect::<Vec<_>>());
        for connection in connections.filter(|columns| columns.get(3) == Some(&database)) {
            // It may just have gone by itself; our own has.
            let _ = self.sql(url, &format!("KILL {}", connection[0]));
        }
    }

    fn kill_and_restart(&self) {
        self.kill();
        self.restart().unwrap();
    }
}

fn network(url: &str) -> StoreOptions {
    StoreOptions::network(url.parse().unwrap())
}

/// Submits, claims and finishes until told to stop; gives the ids whose submission was acknowledged.
async fn work(store: Store, number: u8, stop: Arc<AtomicBool>) -> Vec<Uuid> {
    let mut acknowledged = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let task = new_task(&plain(), None);
        let id = task.id;
        let submission = Submission { tasks: vec![task].into(), idempotency: None, now: at(1) };
        match store.task_submit(submission).await {
            Ok(SubmitOutcome::Done { .. }) => acknowledged.push(id),
            Ok(other) => panic!("{other:?}"),
            Err(error) => passing(&error),
        }
        match store.task_claim(claim_of(worker(number), 5, at(2))).await {
            Ok(claims) => {
                let ends = claims.claimed.iter().map(|task| success(task.id, task.epoch)).collect::<Vec<_>>();
                if let (false, Err(error)) =
                    (ends.is_empty(), store.task_finish(worker(number), ends, at(3)).await)
                {
                    passing(&error);
                }
            }
            Err(error) => passing(&error),
        }
    }
    acknowledged
}

/// Whatever happens to connections, callers hear of something that passes, never of a defect.
fn passing(error: &StoreError) {
    assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
}

/// Disturbs a server while four clients work; nothing that was acknowledged may be missing afterwards.
async fn disturbed<S: Server>(server: Arc<S>, disturb: impl Fn(&S, &str) + Send + 'static) {
    let url = server.fresh();
    let store = Store::open(&network(&url)).await.unwrap();
    register(&store).await;
    let stop = Arc::new(AtomicBool::new(false));
    let workers: Vec<_> =
        (0..4).map(|number| tokio::spawn(work(store.clone(), number % 3, Arc::clone(&stop)))).collect();
    let under_way = async {
        while store.task_count(Filter::default()).await.unwrap().total < 20 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), under_way).await.unwrap();
    let disturbing = Arc::clone(&server);
    blocking(move || disturb(&disturbing, &url)).await;
    // Back at work: a whole round succeeds again, in bounded time.
    let back = async {
        while store.ping().await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), back).await.unwrap();
    submit(&store, new_task(&plain(), None), at(1)).await;
    stop.store(true, Ordering::Relaxed);
    let mut acknowledged = 0;
    for worker in workers {
        for id in worker.await.unwrap() {
            acknowledged += 1;
            assert!(store.task_get(id, None).await.unwrap().is_some(), "an acknowledged task is missing");
        }
    }
    assert!(acknowledged > 10, "{acknowledged}");
    assert_eq!(store.check().await.unwrap(), vec![]);
}

fn cut_often<S: Server>(server: &S, url: &str) {
    for _ in 0..10 {
        server.cut(url);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn connections_that_are_cut_in_the_middle_lose_nothing_on_postgres() {
    if let Some(server) = or_skip("PostgreSQL", Postgres::start()) {
        disturbed(Arc::new(server), cut_often).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn connections_that_are_cut_in_the_middle_lose_nothing_on_mariadb() {
    if let Some(server) = or_skip("MariaDB", MariaDb::start()) {
        disturbed(Arc::new(server), cut_often).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_killed_postgres_comes_back_with_all_that_was_acknowledged() {
    if let Some(server) = or_skip("PostgreSQL", Postgres::start()) {
        disturbed(Arc::new(server), |server, _| server.kill_and_restart()).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_killed_mariadb_comes_back_with_all_that_was_acknowledged() {
    if let Some(server) = or_skip("MariaDB", MariaDb::start()) {
        disturbed(Arc::new(server), |server, _| server.kill_and_restart()).await;
    }
}

/// All connections for transactions wait for a lock; a heartbeat has connections of its own.
async fn heartbeats_pass<S: Server>(server: Arc<S>, lock: &'static str) {
    let url = server.fresh();
    let store = Store::open(&network(&url)).await.unwrap();
    register(&store).await;
    store.task_beat(worker(0), vec![], LEASE, at(1)).await.unwrap().unwrap();
    let (locking, place) = (Arc::clone(&server), url.clone());
    let held = tokio::task::spawn_blocking(move || locking.sql(&place, lock));
    let mut claims = Vec::new();
    // Once a trivial write waits too, the lock is held and the pool is full of those that wait for it.
    let full = async {
        while tokio::time::timeout(Duration::from_millis(100), store.ping()).await.is_ok() {
            let store = store.clone();
            claims.push(tokio::spawn(async move { store.task_claim(claim_of(worker(1), 1, at(1))).await }));
        }
    };
    tokio::time::timeout(Duration::from_secs(10), full).await.unwrap();
    let began = Instant::now();
    store.task_beat(worker(0), vec![], LEASE, at(2)).await.unwrap().unwrap();
    assert!(!held.is_finished(), "the lock outlives the heartbeat, which took {:?}", began.elapsed());
    held.await.unwrap().unwrap();
    for claim in claims {
        claim.await.unwrap().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn heartbeats_pass_a_full_pool_on_postgres() {
    if let Some(server) = or_skip("PostgreSQL", Postgres::start()) {
        let lock = "BEGIN; LOCK TABLE ready; SELECT pg_sleep(6); COMMIT";
        heartbeats_pass(Arc::new(server), lock).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn heartbeats_pass_a_full_pool_on_mariadb() {
    if let Some(server) = or_skip("MariaDB", MariaDb::start()) {
        let lock = "LOCK TABLES ready WRITE; SELECT sleep(6); UNLOCK TABLES";
        heartbeats_pass(Arc::new(server), lock).await;
    }
}

#[tokio::test]
async fn who_cannot_connect_says_so_without_the_password() {
    let nobody = ["postgres://me:hunter2@127.0.0.1:1/t", "mysql://me:hunter2@127.0.0.1:1/t"];
    let mut urls: Vec<String> = nobody.map(str::to_owned).to_vec();
    // A server that is there, and a password that is wrong.
    for home in [Home::fresh(Kind::Postgres), Home::fresh(Kind::Mariadb)].into_iter().flatten() {
        let kind = if home.kind == Kind::Postgres {
            taskloom_testkit::postgres().map(|s| s.url())
        } else {
            taskloom_testkit::mariadb().map(|s| s.url())
        };
        let url = kind.unwrap();
        let (scheme, rest) = url.split_once("://taskloom:").unwrap();
        let (_, place) = rest.split_once('@').unwrap();
        urls.push(format!("{scheme}://taskloom:hunter2@{place}"));
    }
    for url in urls {
        let began = Instant::now();
        let error = Store::open(&network(&url)).await.map(drop).unwrap_err();
        assert!(matches!(error, StoreError::Unavailable(_) | StoreError::Gone(_)), "{url}: {error:?}");
        assert!(!error.to_string().contains("hunter2"), "{error}");
        assert!(began.elapsed() < Duration::from_secs(15));
    }
}

#[tokio::test]
async fn tls_is_checked_as_far_as_it_is_asked_for() {
    let postgres = or_skip("PostgreSQL with TLS", Postgres::with_tls());
    let mariadb = or_skip("MariaDB with TLS", MariaDb::with_tls());
    let mut servers = Vec::new();
    servers.extend(postgres.as_ref().map(|s| (s.fresh_database(), s.ca_file().unwrap().to_owned())));
    servers.extend(mariadb.as_ref().map(|s| (s.fresh_database(), s.ca_file().unwrap().to_owned())));
    for (url, ca) in servers {
        let ca = ca.display();
        for (query, works) in [
            ("sslmode=require".to_owned(), true),
            (format!("sslmode=verify-ca&sslrootcert={ca}"), true),
            (format!("sslmode=verify-full&sslrootcert={ca}"), true),
            // A certificate that no known authority has signed.
            ("sslmode=verify-full".to_owned(), false),
            // The server takes no connection in the clear.
            ("sslmode=disable".to_owned(), false),
        ] {
            let opened = Store::open(&network(&format!("{url}?{query}"))).await.map(drop);
            assert_eq!(opened.is_ok(), works, "{query}: {opened:?}");
        }
        // The certificate is for localhost and 127.0.0.1, not for this name of the same machine.
        let elsewhere = url.replace("@127.0.0.1", "@ip6-localhost.invalid");
        assert!(Store::open(&network(&elsewhere)).await.is_err());
    }
}
