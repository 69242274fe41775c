//! Claims and finishes by the store's own statements, without engine, worker and API.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use taskloom_model::{Finish, Timestamp};
use taskloom_protocol::{Register, TaskRef};
use taskloom_store::{ClaimSpec, FinishItem, NewWorker, Note, Store};
use uuid::Uuid;

use crate::BenchError;
use crate::probe::NOOP;

/// Tasks in a claim and in a finish.
pub(crate) const BATCH: u32 = 500;
const LEASE: Duration = Duration::from_secs(3_600);

/// What one drainer did.
#[derive(Debug, Default)]
pub(crate) struct Drained {
    pub(crate) tasks: u32,
    /// Nanoseconds of each claim.
    pub(crate) claims: Vec<u64>,
}

/// Claims and finishes until it has done so many tasks, or there are none.
pub(crate) async fn drain(store: Store, at_most: u32) -> Result<Drained, BenchError> {
    let session = Uuid::now_v7();
    let now = now();
    let hello = Register {
        protocol: taskloom_protocol::PROTOCOL_VERSION,
        session,
        name: "bench".into(),
        queues: vec![taskloom_model::DEFAULT_QUEUE.into()],
        handlers: vec![NOOP.into()],
        concurrency: BATCH,
        version: String::new(),
        defaults: None,
    };
    store.worker_register(NewWorker { hello, embedded: false }, now).await?;
    let queues: Arc<[String]> = vec![taskloom_model::DEFAULT_QUEUE.to_owned()].into();
    let handlers = Arc::new(HashSet::from([NOOP.to_owned()]));
    let result = serde_json::value::to_raw_value(&serde_json::Value::Null).map_err(std::io::Error::from)?;
    let mut drained = Drained::default();
    while drained.tasks < at_most {
        let (queues, handlers) = (Arc::clone(&queues), Arc::clone(&handlers));
        let limit = BATCH.min(at_most - drained.tasks);
        let spec = ClaimSpec {
            session,
            queues,
            handlers,
            limit,
            lease: LEASE,
            now: self::now(),
            hints: Arc::new([]),
        };
        let began = Instant::now();
        let claimed = store.task_claim(spec).await?.claimed;
        drained.claims.push(u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX));
        if claimed.is_empty() {
            break;
        }
        drained.tasks += claimed.len() as u32;
        let ends = claimed.iter().map(|task| FinishItem {
            task: TaskRef { id: task.id, epoch: task.epoch },
            finish: Finish::Success,
            note: Note { result: Some(result.clone()), ..Note::default() },
            logs: Vec::new(),
            random: 0.0,
        });
        store.task_finish(session, ends.collect(), self::now()).await?;
    }
    Ok(drained)
}

/// Several drainers at once; gives tasks per second and the nanoseconds of each claim.
pub(crate) async fn drain_by(
    store: &Store,
    drainers: u32,
    tasks: u32,
) -> Result<(f64, Vec<u64>), BenchError> {
    let began = Instant::now();
    let running: Vec<_> =
        (0..drainers).map(|_| tokio::spawn(drain(store.clone(), tasks / drainers))).collect();
    let (mut done, mut claims) = (0, Vec::new());
    for drainer in running {
        let drained = drainer.await.map_err(|_| BenchError::Stuck("a drainer"))??;
        done += drained.tasks;
        claims.extend(drained.claims);
    }
    Ok((f64::from(done) / began.elapsed().as_secs_f64(), claims))
}

fn now() -> Timestamp {
    use taskloom_engine::Clock;
    taskloom_engine::SystemClock.now()
}
