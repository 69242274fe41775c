//! A worker with the built-in handlers that speaks to a server in memory.
#![allow(dead_code, reason = "each test binary uses a part")]

use std::collections::{HashMap, VecDeque};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use serde_json::Value;
use serde_json::value::to_raw_value;
use sha2::{Digest, Sha256};
use taskloom_model::{Priority, Timestamp};
use taskloom_protocol::{
    Artifact, ArtifactPut, Beat, BeatAnswer, ClaimRequest, Claimed, DrainAnswer, DrainRequest, FinishAnswer,
    FinishRequest, Json, Outcome, PROTOCOL_VERSION, Register, Registered, Spawn, Task, TaskRef, WorkerApi,
    WorkerError,
};
use taskloom_tasks::{TasksConfig, registry};
use taskloom_worker::{CancellationToken, Worker};
use tempfile::TempDir;
use tokio::sync::Notify;
use tokio::time::timeout;
use uuid::Uuid;

/// Far beyond what any test takes: only a defect runs into it.
const PATIENCE: Duration = Duration::from_secs(60);

/// What the server knows of a task.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) outcome: Option<Outcome>,
    pub(crate) progress: f64,
    pub(crate) detail: Value,
    pub(crate) logs: Vec<String>,
    pub(crate) artifacts: HashMap<String, Vec<u8>>,
    cancel: bool,
}

#[derive(Default)]
struct State {
    ready: VecDeque<Claimed>,
    seen: HashMap<Uuid, Seen>,
}

#[derive(Default)]
struct Server {
    state: Mutex<State>,
    changed: Notify,
}

impl Server {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn change(&self, id: Uuid, change: impl FnOnce(&mut Seen)) {
        change(self.state().seen.entry(id).or_default());
        self.changed.notify_waiters();
    }

    async fn until<T>(&self, mut ready: impl FnMut(&mut State) -> Option<T>) -> T {
        let wait = async {
            loop {
                let changed = self.changed.notified();
                tokio::pin!(changed);
                changed.as_mut().enable();
                if let Some(found) = ready(&mut self.state()) {
                    return found;
                }
                changed.await;
            }
        };
        timeout(PATIENCE, wait).await.expect("what the test waits for did not come")
    }
}

#[async_trait]
impl WorkerApi for Server {
    async fn register(&self, _: Register) -> Result<Registered, WorkerError> {
        // The grace is longer than the test's patience: a cancelled handler must stop by itself.
        Ok(Registered { protocol: PROTOCOL_VERSION, lease_ms: 30_000, beat_ms: 20, cancel_grace_ms: 600_000 })
    }

    async fn claim(&self, request: ClaimRequest) -> Result<Vec<Claimed>, WorkerError> {
        let take = |state: &mut State| {
            let count = state.ready.len().min(request.limit as usize);
            (count > 0).then(|| state.ready.drain(..count).collect())
        };
        let wait = Duration::from_millis(request.wait_ms.into());
        Ok(timeout(wait, self.until(take)).await.unwrap_or_default())
    }

    async fn beat(&self, beat: Beat) -> Result<BeatAnswer, WorkerError> {
        let mut answer = BeatAnswer::default();
        for task in beat.tasks {
            self.change(task.id, |seen| {
                seen.progress = task.progress.unwrap_or(seen.progress);
                if let Some(detail) = task.detail {
                    seen.detail = serde_json::from_str(detail.get()).unwrap();
                }
                seen.logs.extend(task.logs.into_iter().map(|line| line.message));
                if seen.cancel {
                    answer.cancel.push(TaskRef { id: task.id, epoch: task.epoch });
                }
            });
        }
        Ok(answer)
    }

    async fn finish(&self, request: FinishRequest) -> Result<FinishAnswer, WorkerError> {
        for task in request.tasks {
            self.change(task.id, |seen| {
                seen.progress = task.progress.unwrap_or(seen.progress);
                seen.logs.extend(task.logs.into_iter().map(|line| line.message));
                seen.outcome = Some(task.outcome);
            });
        }
        Ok(FinishAnswer::default())
    }

    async fn drain(&self, _: DrainRequest) -> Result<DrainAnswer, WorkerError> {
        Ok(DrainAnswer::default())
    }

    async fn spawn(&self, _: Spawn) -> Result<Vec<Task>, WorkerError> {
        Ok(Vec::new())
    }

    async fn put_artifact(&self, put: ArtifactPut, file: &Path) -> Result<Artifact, WorkerError> {
        let content = std::fs::read(file).unwrap();
        let artifact = Artifact {
            name: put.name.clone(),
            bytes: content.len() as u64,
            sha256: sha256(&content),
            content_type: put.content_type,
            created_at: Timestamp::from_micros(0),
        };
        self.change(put.task.id, |seen| {
            seen.artifacts.insert(put.name, content);
        });
        Ok(artifact)
    }
}

pub(crate) fn sha256(content: &[u8]) -> String {
    format!("{:x}", Bytes::copy_from_slice(&Sha256::digest(content)))
}

/// A running worker.
pub(crate) struct Harness {
    server: Arc<Server>,
    shutdown: CancellationToken,
    _work_dir: TempDir,
}

impl Drop for Harness {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

impl Harness {
    pub(crate) fn start(config: &TasksConfig) -> Self {
        let server = Arc::new(Server::default());
        let work_dir = tempfile::tempdir().unwrap();
        let worker = Worker::builder(server.clone(), registry(config))
            .work_dir(work_dir.path())
            .concurrency(4)
            .build();
        let shutdown = CancellationToken::new();
        tokio::spawn(worker.run(shutdown.clone()));
        Self { server, shutdown, _work_dir: work_dir }
    }

    /// Hands out a task's attempt and returns its id.
    pub(crate) fn submit(&self, task: &str, args: &Value, kwargs: &Value, attempt: u32) -> Uuid {
        self.submit_text(task, &args.to_string(), &kwargs.to_string(), attempt)
    }

    pub(crate) fn submit_text(&self, task: &str, args: &str, kwargs: &str, attempt: u32) -> Uuid {
        let raw = |text: &str| -> Json {
            to_raw_value(&serde_json::from_str::<&serde_json::value::RawValue>(text).unwrap()).unwrap()
        };
        let id = Uuid::now_v7();
        let claimed = Claimed {
            id,
            epoch: attempt,
            attempt,
            max_attempts: 3,
            task: task.into(),
            args: raw(args),
            kwargs: raw(kwargs),
            queue: "default".into(),
            priority: Priority::Normal,
            timeout_ms: None,
            soft_timeout_ms: None,
            ties: taskloom_model::Ties::NONE,
            user_id: Uuid::nil(),
            created_at: Timestamp::from_micros(0),
        };
        self.server.state().ready.push_back(claimed);
        self.server.changed.notify_waiters();
        id
    }

    /// Waits for the end of a task.
    pub(crate) async fn end(&self, id: Uuid) -> Seen {
        let ended = |state: &mut State| {
            let seen = state.seen.get_mut(&id)?;
            seen.outcome.is_some().then(|| std::mem::take(seen))
        };
        self.server.until(ended).await
    }

    /// Waits until the task has reported such a detail.
    pub(crate) async fn detail(&self, id: Uuid, wanted: impl Fn(&Value) -> bool) {
        self.server
            .until(|state| state.seen.get(&id).is_some_and(|seen| wanted(&seen.detail)).then_some(()))
            .await;
    }

    pub(crate) fn cancel(&self, id: Uuid) {
        self.server.change(id, |seen| seen.cancel = true);
    }

    /// Runs a task to its end.
    pub(crate) async fn run(&self, task: &str, args: &Value, kwargs: &Value) -> Seen {
        let id = self.submit(task, args, kwargs, 1);
        self.end(id).await
    }
}

impl Seen {
    /// The result of a task that should have succeeded.
    pub(crate) fn result(&self) -> Value {
        match self.outcome.as_ref().unwrap() {
            Outcome::Success { result } => serde_json::from_str(result.get()).unwrap(),
            other => panic!("not a success: {other:?}"),
        }
    }

    /// `fatal kind: message` or `error kind: message` of a task that should have failed.
    pub(crate) fn error(&self) -> String {
        match self.outcome.as_ref().unwrap() {
            Outcome::Fatal { error } => format!("fatal {}: {}", error.kind, error.message),
            Outcome::Error { error, .. } => format!("error {}: {}", error.kind, error.message),
            other => panic!("not a failure: {other:?}"),
        }
    }

    pub(crate) fn text(&self, artifact: &str) -> String {
        String::from_utf8(self.artifacts[artifact].clone()).unwrap()
    }

    pub(crate) fn rows(&self, artifact: &str) -> Vec<Value> {
        self.text(artifact).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}
