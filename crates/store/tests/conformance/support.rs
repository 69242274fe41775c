//! What the tests of the contract share.

use std::sync::Arc;
use std::time::Duration;

use taskloom_model::{Action, Backoff, Finish, Life, Limits, ParentPolicy, Priority, Rules, Ties, Timestamp};
use taskloom_protocol::{Register, TaskRef, UniqueConflict};
use taskloom_store::{
    ClaimSpec, Filter, FinishItem, Made, NewTask, NewWorker, Note, PageQuery, Request, Store, Submission,
    SubmitOutcome,
};
use uuid::Uuid;

pub(crate) const LEASE: Duration = Duration::from_secs(15);
pub(crate) const GRACE: Duration = Duration::from_secs(5);
pub(crate) const RANDOM: f64 = 0.5;

/// The rules of a task that names none.
pub(crate) fn plain() -> Rules {
    Rules {
        max_attempts: 3,
        timeout: None,
        backoff: Backoff::default(),
        expires_at: None,
        limits: Limits::default(),
    }
}

/// An instant after the beginning of the tests' time.
pub(crate) fn at(seconds: u64) -> Timestamp {
    Timestamp::MIN.plus(Duration::from_secs(seconds))
}

pub(crate) fn worker(number: u8) -> Uuid {
    Uuid::from_u128(1_000 + u128::from(number))
}

/// A claim of the queue `default`.
pub(crate) fn claim_of(session: Uuid, limit: u32, now: Timestamp) -> ClaimSpec {
    let queues: Arc<[String]> = vec!["default".to_owned()].into();
    ClaimSpec { session, queues, handlers: Arc::default(), limit, lease: LEASE, now, hints: Arc::new([]) }
}

/// A success of a claimed task.
pub(crate) fn success(id: Uuid, epoch: u32) -> FinishItem {
    ended(id, epoch, Finish::Success)
}

/// An end of a claimed task.
pub(crate) fn ended(id: Uuid, epoch: u32, finish: Finish) -> FinishItem {
    FinishItem { task: TaskRef { id, epoch }, finish, note: Note::default(), logs: vec![], random: RANDOM }
}

/// Ends whatever lives, so that the database serves another case.
pub(crate) async fn clear(store: &Store, now: Timestamp) {
    let page = PageQuery { limit: 500, ..PageQuery::default() };
    for status in [taskloom_model::Status::Pending, taskloom_model::Status::Running] {
        let filter = Filter { status: Some(status), ..Filter::default() };
        for task in store.task_list(filter, page).await.unwrap().0 {
            let request = Request::new(task.id, Action::Cancel { force: true });
            // One may have ended with its parent.
            let _ = store.task_step(request, now).await.unwrap();
        }
    }
}

pub(crate) fn new_task(rules: &Rules, run_at: Option<Timestamp>) -> NewTask {
    NewTask {
        id: Uuid::now_v7(),
        user_id: Uuid::from_u128(1),
        handler: "demo.echo".into(),
        queue: "default".into(),
        priority: Priority::Normal,
        name: None,
        task_type: None,
        args: None,
        kwargs: None,
        max_attempts: rules.max_attempts,
        timeout_ms: rules.timeout.map(|t| t.as_millis() as u64),
        soft_timeout_ms: None,
        backoff: Some(rules.backoff),
        run_at,
        expires_at: rules.expires_at,
        tags: vec!["one".into()],
        metadata: None,
        model_id: None,
        parent_id: None,
        depends_on: vec![],
        on_parent_failure: ParentPolicy::Skip,
        unique_key: None,
        unique_until: None,
        unique_conflict: UniqueConflict::Return,
        cache: None,
        retry_on: vec![],
        schedule_id: None,
        workflow_id: None,
        turn: 0,
        ties: Ties::NONE,
        concurrency: None,
        rate: None,
    }
}

/// Three workers that serve the queue `default`.
pub(crate) async fn register(store: &Store) {
    for number in 0..3 {
        let hello = Register {
            protocol: 1,
            session: worker(number),
            name: format!("w{number}"),
            queues: vec!["default".into()],
            handlers: vec![],
            concurrency: 1,
            version: String::new(),
            defaults: None,
        };
        store.worker_register(NewWorker { hello, embedded: false }, Timestamp::MIN).await.unwrap();
    }
}

pub(crate) async fn submit(store: &Store, task: NewTask, now: Timestamp) -> Life {
    let submission = Submission { tasks: vec![task].into(), idempotency: None, now };
    match store.task_submit(submission).await.unwrap() {
        SubmitOutcome::Done { made, .. } => match made[..] {
            [Made::New(life)] => life,
            ref other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
}

pub(crate) async fn end_by_success(store: &Store, id: Uuid, now: Timestamp) {
    let queues: Arc<[String]> = vec!["default".to_owned()].into();
    let spec = ClaimSpec {
        session: worker(1),
        queues,
        handlers: Arc::default(),
        limit: 100,
        lease: LEASE,
        now,
        hints: Arc::new([]),
    };
    let mut claimed = store.task_claim(spec).await.unwrap().claimed;
    claimed.retain(|task| task.id == id);
    let epoch = match claimed.first() {
        Some(task) => task.epoch,
        None => store.task_get(id, None).await.unwrap().unwrap().epoch,
    };
    let item = FinishItem {
        task: TaskRef { id, epoch },
        finish: Finish::Success,
        note: Note::default(),
        logs: vec![],
        random: RANDOM,
    };
    let (_, lost) = store.task_finish(worker(1), vec![item], now).await.unwrap();
    assert_eq!(lost, vec![]);
}

/// Runs what waits by itself beside the test's runtime.
pub(crate) async fn blocking(work: impl FnOnce() + Send + 'static) {
    tokio::task::spawn_blocking(work).await.unwrap();
}
