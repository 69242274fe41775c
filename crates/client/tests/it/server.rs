//! A server with a worker of one's own for each test.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use serde_json::{Value, json};
use taskloom_client::transport::{Call, Transport};
use taskloom_client::{Client, Task, Uuid};
use taskloom_engine::{Engine, EngineConfig, SystemClock};
use taskloom_model::Role;
use taskloom_server::{ServerConfig, hash_password, router, serve};
use taskloom_store::{NewUser, Store, Synchronous};
use taskloom_tasks::TasksConfig;
use taskloom_worker::{CancellationToken, Context, HandlerError, Registry, Worker};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

/// What the users that are there from the start log in with.
pub(crate) const PASSWORD: &str = "correct horse";

/// Nothing here takes long; a test that waits for so long has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

static HASH: LazyLock<String> = LazyLock::new(|| hash_password(PASSWORD).unwrap());

/// A server with the users `ann` (user), `olga` (operator) and `ada` (admin), and a worker for the queue `default`.
pub(crate) struct Server {
    /// Its URL.
    pub(crate) url: String,
    /// `test.gated` waits for a permit of this.
    pub(crate) gate: Arc<Semaphore>,
    ending: CancellationToken,
    _dir: tempfile::TempDir,
}

impl Server {
    pub(crate) async fn start() -> Self {
        Self::with(|_| ()).await
    }

    /// One whose engine has other settings.
    pub(crate) async fn with(set: impl FnOnce(&mut EngineConfig)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open_file(&dir.path().join("taskloom.db"), Synchronous::Normal).unwrap();
        let mut config = EngineConfig::new(dir.path().join("artifacts"));
        set(&mut config);
        let engine = Engine::new(store, config, Arc::new(SystemClock));
        for (username, role) in [("ann", Role::User), ("olga", Role::Operator), ("ada", Role::Admin)] {
            let (id, created_at) = (Uuid::now_v7(), engine.clock().now());
            let password_hash = HASH.clone();
            let user =
                NewUser { id, username: username.into(), email: None, password_hash, role, created_at };
            engine.store().user_create(user).await.unwrap();
        }
        let ending = CancellationToken::new();
        engine.start(&ending);
        let gate = Arc::new(Semaphore::new(0));
        let worker = Worker::builder(Arc::new(engine.clone()), handlers(Arc::clone(&gate)))
            .concurrency(4)
            .work_dir(dir.path().join("work"))
            .drain_limit(Duration::ZERO)
            .build();
        tokio::spawn(worker.run(ending.clone()));
        let config = ServerConfig {
            secret_key: b"a secret of at least thirty-two bytes".into(),
            ..Default::default()
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(serve(listener, router(engine, config), ending.clone(), Duration::ZERO));
        Self { url, gate, ending, _dir: dir }
    }

    /// The access token of a fresh login.
    pub(crate) async fn token(&self, user: &str) -> String {
        let login = json!({"username": user, "password": PASSWORD});
        let call = Call::post("/auth/login/json").body(&login).unwrap();
        let text = Transport::new(&self.url, "test").unwrap().text(&call, None).await.unwrap();
        let pair: Value = serde_json::from_str(&text).unwrap();
        pair["access_token"].as_str().unwrap().to_owned()
    }

    /// A client of this user.
    pub(crate) async fn client(&self, user: &str) -> Client {
        Client::new(&self.url, &self.token(user).await).unwrap()
    }

    /// A user's client, and an operator's.
    pub(crate) async fn clients(&self) -> (Client, Client) {
        (self.client("ann").await, self.client("olga").await)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.ending.cancel();
    }
}

fn handlers(gate: Arc<Semaphore>) -> Registry {
    let mut registry = taskloom_tasks::registry(&TasksConfig::default());
    registry
        .register("test.story", story)
        .register("test.gated", move |ctx: Context| gated(ctx, Arc::clone(&gate)));
    registry
}

/// Leaves lines and a file.
async fn story(ctx: Context) -> Result<Value, HandlerError> {
    for line in 1..=3 {
        ctx.info(format_args!("line {line}"));
    }
    tokio::fs::write(ctx.artifacts_dir()?.join("rows.csv"), ROWS).await?;
    ctx.keep_artifact("rows.csv", "text/csv").await?;
    Ok(json!({"rows": 2}))
}

/// What `test.story` keeps.
pub(crate) const ROWS: &str = "a,b\n1,2\n3,4\n";

/// Writes a line before and behind the gate.
async fn gated(ctx: Context, gate: Arc<Semaphore>) -> Result<Value, HandlerError> {
    ctx.info("before");
    tokio::select! {
        permit = gate.acquire() => permit?.forget(),
        () = ctx.cancelled() => return Err(HandlerError::cancelled()),
    }
    ctx.info("behind");
    Ok(json!({"passed": true}))
}

/// Asks until the answer comes.
pub(crate) async fn eventually<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let asking = async {
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, asking).await.unwrap_or_else(|_| panic!("waited in vain for {what}"))
}

/// Submits a task that waits at the gate, and waits until it runs.
pub(crate) async fn at_the_gate(client: &Client) -> Task {
    let id = client.task("test.gated").submit().await.unwrap().id();
    eventually("the task to reach the gate", async || {
        let task = client.tasks().get(id).await.unwrap();
        let logs = client.tasks().log_page(id, 0).await.unwrap();
        (!logs.items.is_empty()).then_some(task)
    })
    .await
}
