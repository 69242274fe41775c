//! Maps fan out: the engine takes them from a queue of its own, as a worker would, and makes their children.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::value::{RawValue, to_raw_value};
use taskloom_model::{MAP_QUEUE, SessionId, Ties};
use taskloom_protocol::reference::{Literals, Reference, put_item, references};
use taskloom_protocol::{
    ClaimRequest, Claimed, Json, PROTOCOL_VERSION, Register, SubmitTask, TaskError, TaskRef, WorkerError,
};
use taskloom_store::{Expanded, Expansion, NewTask, NewWorker, StoreError};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::inputs::{failure, input_error};
use crate::workflow::MapArguments;
use crate::{Caller, Engine, EngineError};

/// Bytes of the arguments of all children of a map.
const FANNED_OUT: usize = 64 << 20;
/// The first wait after a failure.
const PAUSE: Duration = Duration::from_millis(200);

/// The engine's own session, under which it holds maps.
pub(crate) struct Expander {
    session: SessionId,
    is_known: AtomicBool,
}

impl Default for Expander {
    fn default() -> Self {
        Self { session: Uuid::now_v7(), is_known: AtomicBool::new(false) }
    }
}

impl Engine {
    /// Fans out every map that waits; gives how many. The background loop does the same.
    pub async fn expand(&self) -> Result<usize, EngineError> {
        let mut count = 0;
        while self.expand_next(Duration::ZERO, std::future::pending()).await? {
            count += 1;
        }
        Ok(count)
    }

    /// Fans maps out as they come.
    pub(crate) async fn expand_loop(self, shutdown: CancellationToken) {
        // Shorter than a lease: a session that says nothing for so long gets nothing.
        let wait = (self.inner.config.lease / 3).min(Duration::from_secs(20));
        let mut failures = 0u32;
        while !shutdown.is_cancelled() {
            let Err(error) = self.expand_next(wait, shutdown.cancelled()).await else {
                failures = 0;
                continue;
            };
            failures += 1;
            tracing::warn!(%error, failures, "maps cannot fan out right now; it is tried again");
            let pause = (PAUSE * 2u32.pow(failures.min(7))).mul_f64(0.5 + rand::random::<f64>() / 2.0);
            shutdown.run_until_cancelled(tokio::time::sleep(pause)).await;
        }
        if self.inner.expander.is_known.load(Ordering::Relaxed) {
            // What it held is given back at once, instead of at its lease's end.
            let left = self.inner.store.worker_leave(self.inner.expander.session, self.now()).await;
            self.announce(&left.unwrap_or_default());
        }
    }

    /// Takes the next map, waiting for it at most so long; false if none came.
    async fn expand_next(
        &self,
        wait: Duration,
        given_up: impl Future<Output = ()> + Send,
    ) -> Result<bool, EngineError> {
        self.register_expander().await?;
        let session = self.inner.expander.session;
        // One at a time: each is done well within its lease.
        let request = ClaimRequest { session, limit: 1, wait_ms: wait.as_millis() as u32 };
        let claimed = match self.claim_until(request, given_up).await {
            Ok(claimed) => claimed,
            Err(WorkerError::UnknownSession) => {
                self.inner.expander.is_known.store(false, Ordering::Relaxed);
                return Ok(false);
            }
            Err(WorkerError::Unavailable(cause)) => return Err(StoreError::Unavailable(cause).into()),
            Err(error) => return Err(EngineError::Io(std::io::Error::other(error.to_string()))),
        };
        let Some(map) = claimed.into_iter().next() else { return Ok(false) };
        self.fan_out(map).await?;
        Ok(true)
    }

    async fn register_expander(&self) -> Result<(), EngineError> {
        let Expander { session, is_known } = &self.inner.expander;
        if is_known.load(Ordering::Relaxed) {
            return Ok(());
        }
        let hello = Register {
            protocol: PROTOCOL_VERSION,
            session: *session,
            name: "engine".into(),
            queues: vec![MAP_QUEUE.into()],
            handlers: Vec::new(),
            defaults: None,
            concurrency: 1,
            version: String::new(),
        };
        let embedded = self.inner.store.is_exclusive();
        self.inner.store.worker_register(NewWorker { hello, embedded }, self.now()).await?;
        is_known.store(true, Ordering::Relaxed);
        Ok(())
    }

    async fn fan_out(&self, map: Claimed) -> Result<(), EngineError> {
        let session = self.inner.expander.session;
        let mut children = match self.children(&map).await? {
            Ok(children) => children,
            Err(error) => return self.fail_map(&map, error).await,
        };
        self.take_turns(&mut children, self.now()).await?;
        let children: Arc<[NewTask]> = children.into();
        let ids: Vec<Uuid> = children.iter().map(|child| child.id).collect();
        let result = to_raw_value(&ids).map_err(|error| EngineError::Io(error.into()))?;
        let task = TaskRef { id: map.id, epoch: map.epoch };
        let expansion = Expansion { session, task, children: Arc::clone(&children), result, now: self.now() };
        match self.inner.store.workflow_expand(expansion).await? {
            Expanded::Done { made, steps } => {
                self.announce_new(&children, &made);
                self.announce(&steps);
            }
            Expanded::Cancelled(steps) => self.announce(&steps),
            Expanded::Lost => {}
            Expanded::TooMany(most) => {
                let message = format!("its children times those that wait for them are more than {most}");
                return self.fail_map(&map, error("too_many", message)).await;
            }
        }
        Ok(())
    }

    async fn fail_map(&self, map: &Claimed, error: TaskError) -> Result<(), EngineError> {
        let session = self.inner.expander.session;
        let (steps, _) = self.inner.store.task_finish(session, vec![failure(map, error)], self.now()).await?;
        self.announce(&steps);
        Ok(())
    }

    /// The children of a map, or why there are none.
    async fn children(&self, map: &Claimed) -> Result<Result<Vec<NewTask>, TaskError>, EngineError> {
        let Ok(MapArguments { over, task }) = serde_json::from_str::<MapArguments>(map.kwargs.get()) else {
            return Ok(Err(error("bad_map", "its arguments are no map's")));
        };
        let results = match self.results_for(over.get()).await? {
            Ok(results) => results,
            Err(error) => return Ok(Err(error)),
        };
        let list = match results.fill(over.get()) {
            Ok(list) => list,
            Err(error) => return Ok(Err(self.input_error(map.id, error).await)),
        };
        let Ok(items) = serde_json::from_str::<Vec<&RawValue>>(list.get()) else {
            let what = kind(list.get());
            return Ok(Err(error("not_a_list", format!("a map goes over a list; this is {what}"))));
        };
        let most = self.inner.config.limits.batch;
        if items.len() > most {
            let message = format!("the list has {} elements, at most {most}", items.len());
            return Ok(Err(error("too_many", message)));
        }
        let family = self.inner.store.task_family(map.id).await?;
        let workflow_id = family.and_then(|(_, workflow)| workflow);
        let caller = Caller { user_id: map.user_id, all: false };
        let (now, mut bytes) = (self.now(), 0);
        let mut children = Vec::with_capacity(items.len());
        for (place, item) in items.iter().enumerate() {
            let (task, has_inputs) = match self.child(&task, item.get(), place) {
                Ok(child) => child,
                Err(error) => return Ok(Err(error)),
            };
            bytes += length(task.args.as_ref()) + length(task.kwargs.as_ref());
            if bytes > FANNED_OUT {
                let message = format!("the children's arguments take more than {FANNED_OUT} bytes together");
                return Ok(Err(error("input_too_large", message)));
            }
            let child = self.complete(&caller, task, Some(map.id), now);
            let ties = child.ties.with(Ties::WORKFLOW).with_if(Ties::INPUTS, has_inputs);
            children.push(NewTask { workflow_id, ties, ..child });
        }
        Ok(Ok(children))
    }

    /// A child with its element put in, and whether it refers to results besides.
    fn child(&self, task: &SubmitTask, item: &str, place: usize) -> Result<(SubmitTask, bool), TaskError> {
        let is_result = |reference: &Reference| matches!(reference, Reference::Result { .. });
        let texts = [task.args.as_ref(), task.kwargs.as_ref()];
        let has_inputs = texts
            .into_iter()
            .flatten()
            .any(|json| references(json.get()).is_ok_and(|found| found.iter().any(is_result)));
        let literals = if has_inputs { Literals::Keep } else { Literals::Unwrap };
        let most = self.inner.config.limits.payload_bytes;
        let put = |json: &Option<Json>| {
            let json = json.as_ref().map(|json| put_item(json.get(), item, place, literals, most));
            json.transpose().map_err(|error| input_error(&error))
        };
        let (args, kwargs) = (put(&task.args)?, put(&task.kwargs)?);
        let name = task.name.as_ref().map(|name| format!("{name} {place}"));
        Ok((SubmitTask { args, kwargs, name, ..task.clone() }, has_inputs))
    }
}

fn length(json: Option<&Json>) -> usize {
    json.map_or(0, |json| json.get().len())
}

fn error(kind: &str, message: impl Into<String>) -> TaskError {
    TaskError { kind: kind.into(), message: message.into(), traceback: None }
}

/// What a JSON value is, in words.
fn kind(text: &str) -> &'static str {
    match text.as_bytes().first() {
        Some(b'{') => "an object",
        Some(b'"') => "a text",
        Some(b'n') => "null",
        Some(b't' | b'f') => "true or false",
        _ => "a number",
    }
}
