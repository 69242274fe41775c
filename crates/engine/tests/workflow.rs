//! Workflows through the engine's public surface, with a clock that the test moves.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may")]

mod common;

use common::{ADMIN, ALICE, BOB, Lab, failure, held};
use serde_json::{Value, json};
use taskloom_engine::EngineError;
use taskloom_model::{State, Status};
use taskloom_protocol::{
    Claimed, Outcome, Spawn, SubmitTask, SubmitWorkflow, WorkerApi, WorkerError, Workflow, WorkflowSubmitted,
    WorkflowTask,
};
use uuid::Uuid;

fn workflow(tasks: &Value) -> SubmitWorkflow {
    // Raw JSON is read from text only.
    serde_json::from_str(&json!({ "name": "nightly", "tasks": tasks }).to_string()).unwrap()
}

fn answer(value: &Value) -> Outcome {
    Outcome::Success { result: serde_json::value::to_raw_value(value).unwrap() }
}

struct Run {
    lab: Lab,
    worker: Uuid,
    made: WorkflowSubmitted,
}

impl Run {
    async fn new(tasks: impl std::borrow::Borrow<Value>) -> Self {
        let lab = Lab::new();
        let worker = lab.worker(&["default"]).await;
        let made = lab.engine.submit_workflow(&ALICE, workflow(tasks.borrow()), None).await.unwrap();
        Self { lab, worker, made }
    }

    fn id(&self, key: &str) -> Uuid {
        *self.made.tasks.get(key).unwrap()
    }

    /// Claims all that is ready, by name.
    async fn claim(&self) -> Vec<(String, Claimed)> {
        let mut named = Vec::new();
        for task in self.lab.claim(self.worker, 100).await {
            let name = self.lab.engine.get(&ADMIN, task.id).await.unwrap().name.unwrap();
            named.push((name, task));
        }
        named.sort_by(|a, b| a.0.cmp(&b.0));
        named
    }

    /// Claims what is ready, which must be this, and ends it so.
    async fn run(&self, name: &str, outcome: Outcome) -> Claimed {
        let claimed = self.claim().await;
        let names: Vec<_> = claimed.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, [name]);
        let task = claimed.into_iter().next().unwrap().1;
        assert!(self.lab.finish(self.worker, &task, outcome).await);
        task
    }

    async fn get(&self) -> Workflow {
        let workflow = self.lab.engine.workflow(&ALICE, self.made.id, true).await.unwrap();
        let glance = self.lab.engine.workflow(&ALICE, self.made.id, false).await.unwrap();
        assert_eq!((glance.status, glance.counts), (workflow.status, workflow.counts));
        assert!((glance.progress - workflow.progress).abs() < 0.001);
        assert_eq!(self.lab.engine.store().check().await.unwrap(), vec![]);
        workflow
    }

    async fn node(&self, key: &str) -> WorkflowTask {
        self.get().await.tasks.unwrap().get(key).unwrap().clone()
    }

    async fn states(&self) -> Vec<(String, State)> {
        self.get().await.tasks.unwrap().0.into_iter().map(|(key, node)| (key, node.state)).collect()
    }
}

fn fatal() -> Outcome {
    let Outcome::Error { error, .. } = failure() else { panic!("no error") };
    Outcome::Fatal { error }
}

#[tokio::test]
async fn results_of_parents_are_inputs_of_children() {
    let run = Run::new(json!([
        {"key": "load", "task": "demo.echo", "kwargs": {"first": {"$result": "extract.rows/0"}, "all": [{"$result": "extract"}]}},
        {"key": "extract", "task": "demo.echo", "args": [{"$literal": {"$result": "x"}}]},
    ]))
    .await;
    assert_eq!((run.made.status, run.made.name.as_deref()), (Status::Pending, Some("nightly")));
    let before = run.get().await;
    assert_eq!((before.status, before.counts.total, before.progress), (Status::Pending, 2, 0.0));
    // Those that others depend on come first.
    assert_eq!(run.states().await, [("extract".into(), State::Ready), ("load".into(), State::Blocked)]);
    assert_eq!(run.node("load").await.depends_on, ["extract"]);
    let extract = run.run("extract", answer(&json!({"rows": [1.5, 2]}))).await;
    assert_eq!(extract.args.get(), r#"[{"$result":"x"}]"#);
    assert_eq!((run.get().await.status, run.get().await.progress), (Status::Running, 50.0));
    let load = run.run("load", answer(&json!(null))).await;
    assert_eq!(load.kwargs.get(), r#"{"all":[{"rows":[1.5,2]}],"first":1.5}"#);
    let after = run.get().await;
    assert_eq!((after.status, after.progress), (Status::Succeeded, 100.0));
}

#[tokio::test]
async fn a_missing_input_ends_the_task_with_its_name() {
    let run = Run::new(json!([
        {"key": "a", "task": "demo.echo"},
        {"key": "b", "task": "demo.echo", "args": [{"$result": "a.rows/7"}]},
        {"key": "each", "task": "demo.echo", "map": {"over": {"$result": "a.cols"}}},
    ]))
    .await;
    run.run("a", answer(&json!({"rows": [1]}))).await;
    assert!(run.claim().await.is_empty());
    let b = run.lab.engine.get(&ALICE, run.id("b")).await.unwrap();
    assert_eq!((b.state, b.reason.map(|r| r.name())), (State::Failed, Some("fatal")));
    let error = b.error.unwrap();
    assert_eq!(error.kind, "missing_input");
    // As it was written, though ids stand in the arguments.
    assert_eq!(error.message, "a.rows/7: rows is a list of 1, which has no \"7\"");
    assert_eq!(run.lab.engine.expand().await.unwrap(), 1);
    let each = run.lab.engine.get(&ALICE, run.id("each")).await.unwrap().error.unwrap();
    assert_eq!(each.kind, "missing_input");
    assert_eq!(each.message, "a.cols: it is an object with rows, which has no \"cols\"");
    assert_eq!(run.get().await.status, Status::Failed);
}

#[tokio::test]
async fn policies_decide_what_a_parents_failure_means() {
    let run = Run::new(json!([
        {"key": "a", "task": "demo.echo"},
        {"key": "skip", "task": "demo.echo", "depends_on": ["a"]},
        {"key": "fail", "task": "demo.echo", "depends_on": ["a"], "on_parent_failure": "fail"},
        {"key": "go", "task": "demo.echo", "args": [{"$result": "a.x"}], "on_parent_failure": "continue"},
    ]))
    .await;
    run.run("a", fatal()).await;
    let go = run.run("go", answer(&json!(1))).await;
    assert_eq!(go.args.get(), "[null]");
    assert_eq!(
        run.states().await,
        [
            ("a".into(), State::Failed),
            ("skip".into(), State::Revoked),
            ("fail".into(), State::Failed),
            ("go".into(), State::Succeeded),
        ]
    );
    let end = run.get().await;
    assert_eq!((end.status, end.counts.failed, end.counts.revoked), (Status::Failed, 2, 1));
}

fn extract_map_join() -> Value {
    json!([
        {"key": "extract", "task": "demo.echo"},
        {"key": "each", "task": "demo.echo", "map": {"over": {"$result": "extract.rows"}},
         "args": [{"$item": "n"}, {"$index": true}], "kwargs": {"of": {"$result": "extract.rows/0/n"}}},
        {"key": "join", "task": "demo.echo", "args": [{"$result": "each"}]},
    ])
}

#[tokio::test]
async fn a_map_fans_out_and_a_join_waits_for_all() {
    let run = Run::new(extract_map_join()).await;
    run.run("extract", answer(&json!({"rows": [{"n": 10}, {"n": 20}, {"n": 30}]}))).await;
    assert!(run.claim().await.is_empty(), "no worker gets the map itself");
    assert_eq!(run.lab.engine.expand().await.unwrap(), 1);
    let each = run.node("each").await;
    assert_eq!((each.state, each.status), (State::Succeeded, Status::Pending));
    assert_eq!((each.items.unwrap().total, each.items.unwrap().pending), (3, 3));
    let children = run.claim().await;
    let arguments: Vec<_> = children.iter().map(|(_, task)| (task.args.get(), task.kwargs.get())).collect();
    let of = r#"{"of":10}"#;
    assert_eq!(arguments, [("[10,0]", of), ("[20,1]", of), ("[30,2]", of)]);
    for (name, task) in children.iter().rev() {
        assert_eq!(run.node("join").await.state, State::Blocked, "before {name}");
        run.lab.finish(run.worker, task, answer(&json!({"sum": task.attempt, "id": name}))).await;
    }
    let join = run.run("join", answer(&json!("done"))).await;
    let expected =
        json!([[{"id": "each 0", "sum": 1}, {"id": "each 1", "sum": 1}, {"id": "each 2", "sum": 1}]]);
    assert_eq!(serde_json::from_str::<Value>(join.args.get()).unwrap(), expected);
    let end = run.get().await;
    assert_eq!((end.status, end.counts.total, end.progress), (Status::Succeeded, 6, 100.0));
    assert_eq!(run.lab.engine.workers().await.unwrap().len(), 1, "the engine is no worker of anybody's");
}

#[tokio::test]
async fn maps_of_nothing_of_literals_and_of_no_list() {
    let run = Run::new(json!([
        {"key": "none", "task": "demo.echo", "map": {"over": []}},
        {"key": "after", "task": "demo.echo", "args": [{"$result": "none"}]},
        {"key": "some", "task": "demo.echo", "map": {"over": [{"$literal": {"$result": "x"}}, 2]}, "args": [{"$item": ""}]},
        {"key": "a", "task": "demo.echo"},
        {"key": "bad", "task": "demo.echo", "map": {"over": {"$result": "a"}}},
        {"key": "never", "task": "demo.echo", "depends_on": ["bad"]},
    ]))
    .await;
    assert_eq!(run.lab.engine.expand().await.unwrap(), 2);
    for (name, task) in run.claim().await {
        match name.as_str() {
            "after" => assert_eq!(task.args.get(), "[[]]"),
            "some 0" => assert_eq!(task.args.get(), r#"[{"$result":"x"}]"#),
            "some 1" => assert_eq!(task.args.get(), "[2]"),
            other => assert_eq!(other, "a"),
        }
        run.lab.finish(run.worker, &task, answer(&json!({}))).await;
    }
    assert_eq!(run.lab.engine.expand().await.unwrap(), 1);
    let bad = run.lab.engine.get(&ALICE, run.id("bad")).await.unwrap();
    let error = bad.error.unwrap();
    assert_eq!((bad.state, error.kind.as_str()), (State::Failed, "not_a_list"));
    assert_eq!(error.message, "a map goes over a list; this is an object");
    assert_eq!(run.node("never").await.state, State::Revoked);
}

#[tokio::test]
async fn a_failed_child_reaches_the_join_by_its_policy() {
    let mut tasks = extract_map_join();
    tasks[2]["on_parent_failure"] = json!("continue");
    let run = Run::new(tasks).await;
    run.run("extract", answer(&json!({"rows": [{"n": 1}, {"n": 2}]}))).await;
    run.lab.engine.expand().await.unwrap();
    let children = run.claim().await;
    run.lab.finish(run.worker, &children[0].1, fatal()).await;
    run.lab.finish(run.worker, &children[1].1, answer(&json!(7))).await;
    let join = run.run("join", answer(&json!(0))).await;
    assert_eq!(join.args.get(), "[[null,7]]");
}

#[tokio::test]
async fn a_map_whose_engine_dies_fans_out_once() {
    let run = Run::new(extract_map_join()).await;
    run.run("extract", answer(&json!({"rows": [{"n": 1}, {"n": 2}]}))).await;
    // Another engine has taken the map and is gone.
    let lost = Uuid::now_v7();
    let hello = taskloom_protocol::Register {
        protocol: 1,
        session: lost,
        name: "lost".into(),
        queues: vec![taskloom_model::MAP_QUEUE.into()],
        handlers: vec![],
        defaults: None,
        concurrency: 1,
        version: String::new(),
    };
    let worker = taskloom_store::NewWorker { hello, embedded: true };
    run.lab.engine.store().worker_register(worker, run.lab.now()).await.unwrap();
    assert_eq!(run.lab.claim(lost, 1).await.len(), 1);
    assert_eq!(run.lab.engine.expand().await.unwrap(), 0);
    run.lab.advance(20);
    run.lab.engine.reap().await.unwrap();
    run.lab.advance(3_600);
    run.lab.engine.promote().await.unwrap();
    assert_eq!(run.lab.engine.expand().await.unwrap(), 1);
    assert_eq!(run.node("each").await.items.unwrap().total, 2);
}

#[tokio::test]
async fn a_lost_worker_holds_nothing_up() {
    let run = Run::new(extract_map_join()).await;
    run.run("extract", answer(&json!({"rows": [{"n": 1}, {"n": 2}]}))).await;
    run.lab.engine.expand().await.unwrap();
    let lost = run.claim().await;
    run.lab.finish(run.worker, &lost[0].1, answer(&json!("first"))).await;
    // Its worker says nothing more.
    run.lab.advance(20);
    run.lab.engine.reap().await.unwrap();
    assert_eq!(run.node("join").await.state, State::Blocked);
    run.lab.advance(3_600);
    run.lab.engine.promote().await.unwrap();
    let other = run.lab.worker(&["default"]).await;
    let again = run.lab.claim(other, 10).await;
    assert_eq!((again.len(), again[0].id, again[0].args.get()), (1, lost[1].1.id, lost[1].1.args.get()));
    assert!(
        !run.lab.finish(run.worker, &lost[1].1, answer(&json!("late"))).await,
        "it is not theirs any more"
    );
    assert!(run.lab.finish(other, &again[0], answer(&json!("second"))).await);
    let join = run.lab.claim(other, 10).await.pop().unwrap();
    assert_eq!(join.args.get(), r#"[["first","second"]]"#);
}

#[tokio::test]
async fn a_cancelled_workflow_ends_and_nothing_joins_it() {
    let mut tasks = extract_map_join();
    tasks.as_array_mut().unwrap().push(json!({"key": "other", "task": "demo.echo"}));
    let run = Run::new(tasks).await;
    let mut claimed = run.claim().await;
    let (_, other) = claimed.pop().unwrap();
    let (_, extract) = claimed.pop().unwrap();
    run.lab.finish(run.worker, &extract, answer(&json!({"rows": [{"n": 1}]}))).await;
    let engine = &run.lab.engine;
    assert!(matches!(engine.cancel_workflow(&BOB, run.made.id, false).await, Err(EngineError::NoWorkflow)));
    let verdict = engine.cancel_workflow(&ALICE, run.made.id, false).await.unwrap();
    assert_eq!((verdict.tasks, verdict.workflow.status), (3, Status::Running));
    assert_eq!(engine.expand().await.unwrap(), 0, "the map is revoked");
    let spawn =
        Spawn { session: run.worker, parent: held(&other), tasks: vec![SubmitTask::new("demo.echo")] };
    let refused = engine.spawn(spawn).await.unwrap_err();
    assert!(
        matches!(refused, WorkerError::Refused { code: taskloom_protocol::Code::Conflict, .. }),
        "{refused}"
    );
    run.lab.finish(run.worker, &other, Outcome::Cancelled).await;
    let end = run.get().await;
    assert_eq!((end.status, end.counts.revoked, end.counts.succeeded), (Status::Revoked, 3, 1));
    assert!(end.cancelled_at.is_some());
    assert!(engine.cancel_workflow(&ALICE, run.made.id, false).await.is_err(), "it has ended");
}

#[tokio::test]
async fn a_cancel_that_was_cut_off_is_finished_by_whoever_looks() {
    let nodes: Vec<Value> = (0..450).map(|n| json!({"key": format!("n{n}"), "task": "demo.echo"})).collect();
    let run = Run::new(json!(nodes)).await;
    let (engine, id) = (&run.lab.engine, run.made.id);
    // The process that began dies after a page.
    let store = engine.store();
    assert!(store.workflow_close(id, None, false, run.lab.now()).await.unwrap());
    let page = store.workflow_cancel_some(id, None, false, run.lab.now(), 200).await.unwrap();
    assert!(page.1.is_some());
    assert_eq!(engine.finish_cancels().await.unwrap(), 0, "somebody may still be at it");
    run.lab.advance(16);
    assert_eq!(engine.finish_cancels().await.unwrap(), 250);
    assert_eq!((run.get().await.status, run.get().await.counts.revoked), (Status::Revoked, 450));
    run.lab.advance(60);
    assert_eq!(engine.finish_cancels().await.unwrap(), 0);
    // Whoever retries takes the cancel back, also one that is not finished.
    engine.retry_workflow(&ALICE, id, None).await.unwrap();
    assert!(store.workflow_close(id, None, false, run.lab.now()).await.unwrap());
    let page = store.workflow_cancel_some(id, None, false, run.lab.now(), 200).await.unwrap();
    engine.retry_workflow(&ALICE, id, None).await.unwrap();
    let next = store.workflow_cancel_some(id, page.1, false, run.lab.now(), 200).await.unwrap();
    assert!(next.0.is_empty() && next.1.is_none());
    run.lab.advance(60);
    assert_eq!(engine.finish_cancels().await.unwrap(), 0);
    assert_eq!(run.get().await.counts.pending, 450);
}

#[tokio::test]
async fn who_only_follows_a_parent_that_was_put_away_stays() {
    let run = Run::new(json!([
        {"key": "a", "task": "demo.echo"},
        {"key": "b", "task": "demo.echo", "args": [{"$result": "a"}]},
        {"key": "c", "task": "demo.echo", "depends_on": ["b"]},
        {"key": "d", "task": "demo.echo", "depends_on": ["a"], "on_parent_failure": "continue"},
    ]))
    .await;
    let engine = &run.lab.engine;
    run.run("a", fatal()).await;
    run.run("d", fatal()).await;
    engine.delete(&ALICE, run.id("a")).await.unwrap();
    let verdict = engine.retry_workflow(&ALICE, run.made.id, None).await.unwrap();
    assert_eq!(verdict.tasks, 1);
    run.run("d", answer(&json!(1))).await;
    assert!(matches!(
        engine.retry_workflow(&ALICE, run.made.id, None).await,
        Err(EngineError::NothingToRetry)
    ));
}

#[tokio::test]
async fn a_retry_runs_what_failed_and_what_waits_for_it() {
    let run = Run::new(json!([
        {"key": "a", "task": "demo.echo"},
        {"key": "b", "task": "demo.echo", "args": [{"$result": "a"}]},
        {"key": "c", "task": "demo.echo", "depends_on": ["a", "b"]},
        {"key": "d", "task": "demo.echo", "depends_on": ["c"]},
    ]))
    .await;
    let engine = &run.lab.engine;
    assert!(matches!(
        engine.retry_workflow(&ALICE, run.made.id, None).await,
        Err(EngineError::NothingToRetry)
    ));
    run.run("a", answer(&json!(1))).await;
    run.run("b", fatal()).await;
    assert_eq!(run.get().await.status, Status::Failed);
    let verdict = engine.retry_workflow(&ALICE, run.made.id, None).await.unwrap();
    assert_eq!((verdict.tasks, verdict.workflow.status), (3, Status::Running));
    assert_eq!(
        run.states().await,
        [
            ("a".into(), State::Succeeded),
            ("b".into(), State::Ready),
            ("c".into(), State::Blocked),
            ("d".into(), State::Blocked),
        ]
    );
    let again = run.run("b", answer(&json!(2))).await;
    assert_eq!((again.attempt, again.args.get()), (2, "[1]"));
    run.run("c", answer(&json!(3))).await;
    run.run("d", answer(&json!(4))).await;
    assert_eq!(run.get().await.status, Status::Succeeded);
    // From a node on: it and what depends on it, whatever became of them.
    let refused = engine.retry_workflow(&ALICE, run.made.id, Some("x".into())).await;
    assert!(matches!(refused, Err(EngineError::Fields(_))));
    let verdict = engine.retry_workflow(&ALICE, run.made.id, Some("c".into())).await.unwrap();
    assert_eq!(verdict.tasks, 2);
    run.run("c", answer(&json!(5))).await;
    assert!(engine.retry_workflow(&ALICE, run.made.id, Some("c".into())).await.is_err(), "d is ready");
    run.run("d", answer(&json!(6))).await;
    assert_eq!(run.get().await.status, Status::Succeeded);
}

#[tokio::test]
async fn a_retried_map_makes_new_children() {
    let run = Run::new(extract_map_join()).await;
    run.run("extract", answer(&json!({"rows": [{"n": 1}, {"n": 2}]}))).await;
    run.lab.engine.expand().await.unwrap();
    for (_, task) in run.claim().await {
        run.lab.finish(run.worker, &task, answer(&json!(1))).await;
    }
    run.run("join", fatal()).await;
    let engine = &run.lab.engine;
    assert!(
        engine.retry(&ALICE, run.id("each")).await.is_err(),
        "not by itself: it would have children twice"
    );
    engine.retry_workflow(&ALICE, run.made.id, Some("extract".into())).await.unwrap();
    assert_eq!(
        run.states().await,
        [("extract".into(), State::Ready), ("each".into(), State::Blocked), ("join".into(), State::Blocked),]
    );
    run.run("extract", answer(&json!({"rows": [{"n": 7}]}))).await;
    assert_eq!(engine.expand().await.unwrap(), 1);
    let child = run.run("each 0", answer(&json!("new"))).await;
    assert_eq!(child.args.get(), "[7,0]");
    let join = run.run("join", answer(&json!(0))).await;
    assert_eq!(join.args.get(), r#"[["new"]]"#);
    let end = run.get().await;
    assert_eq!((end.status, end.counts.total), (Status::Succeeded, 4));
}

#[tokio::test]
async fn children_of_handlers_join_the_workflow_while_the_lease_holds() {
    let run = Run::new(json!([{"key": "a", "task": "demo.echo"}])).await;
    let (_, a) = run.claim().await.pop().unwrap();
    let spawn = |parent| Spawn { session: run.worker, parent, tasks: vec![SubmitTask::new("demo.echo")] };
    let made = run.lab.engine.spawn(spawn(held(&a))).await.unwrap();
    assert_eq!((made[0].parent_id, made[0].workflow_id), (Some(a.id), Some(run.made.id)));
    let mut stale = held(&a);
    stale.epoch += 1;
    assert_eq!(run.lab.engine.spawn(spawn(stale)).await.unwrap_err(), WorkerError::LeaseLost);
    run.lab.finish(run.worker, &a, answer(&json!(1))).await;
    assert_eq!(run.lab.engine.spawn(spawn(held(&a))).await.unwrap_err(), WorkerError::LeaseLost);
    let now = run.get().await;
    assert_eq!((now.status, now.counts.total, now.counts.pending), (Status::Running, 2, 1));
    assert_eq!(now.tasks.unwrap().0.len(), 1, "it is no node");
}

#[tokio::test]
async fn the_same_key_makes_one_workflow() {
    let lab = Lab::new();
    let tasks =
        json!([{"key": "a", "task": "demo.echo"}, {"key": "b", "task": "demo.echo", "depends_on": ["a"]}]);
    let first = lab.engine.submit_workflow(&ALICE, workflow(&tasks), Some("k")).await.unwrap();
    let again = lab.engine.submit_workflow(&ALICE, workflow(&tasks), Some("k")).await.unwrap();
    assert_eq!((first.id, &first.tasks, again.deduplicated), (again.id, &again.tasks, true));
    let other = json!([{"key": "c", "task": "demo.echo"}]);
    let refused = lab.engine.submit_workflow(&ALICE, workflow(&other), Some("k")).await.unwrap_err();
    assert!(matches!(refused, EngineError::IdempotencyMismatch));
    let page = lab.engine.workflows(&ALICE, None, 10).await.unwrap();
    assert_eq!((page.items.len(), page.items[0].counts.total, page.next_cursor), (1, 2, None));
    assert!(lab.engine.workflows(&BOB, None, 10).await.unwrap().items.is_empty());
    assert!(lab.engine.workflow(&BOB, first.id, true).await.is_err());
}

#[tokio::test]
async fn tasks_by_themselves_refer_to_those_they_depend_on() {
    let lab = Lab::new();
    let worker = lab.worker(&["default"]).await;
    let parent = lab.submit(SubmitTask::new("demo.echo")).await;
    let child = |args: &str, depends_on: Vec<Uuid>| SubmitTask {
        args: Some(serde_json::from_str(args).unwrap()),
        depends_on,
        ..SubmitTask::new("demo.echo")
    };
    let reference = format!(r#"[{{"$result":"{}.x"}}]"#, parent.id);
    let other = format!(r#"[{{"$result":"{}.x"}}]"#, Uuid::nil());
    let refused = lab.engine.submit(&ALICE, child(&other, vec![parent.id]), None).await;
    assert!(matches!(refused, Err(EngineError::Fields(_))));
    // Without parents there is nothing to refer to: it means itself.
    let plain = lab.submit(child(&other, vec![])).await;
    assert_eq!(plain.args.get(), other);
    let made = lab.submit(child(&reference, vec![parent.id])).await;
    let astray = lab.submit(child(&reference.replace(".x", ".y"), vec![parent.id])).await;
    for task in lab.claim(worker, 10).await {
        lab.finish(worker, &task, answer(&json!({"x": "y"}))).await;
    }
    let claimed = lab.claim(worker, 10).await;
    assert_eq!((claimed[0].id, claimed[0].args.get()), (made.id, r#"["y"]"#));
    let error = lab.engine.get(&ALICE, astray.id).await.unwrap().error.unwrap();
    assert_eq!(error.message, format!("{}.y: it is an object with x, which has no \"y\"", parent.id));
}

#[tokio::test]
async fn inputs_are_bounded() {
    let lab = Lab::new();
    let worker = lab.worker(&["default"]).await;
    let many: Vec<Value> = (0..5).map(|_| json!({"$result": "a"})).collect();
    let tasks = json!([
        {"key": "a", "task": "demo.echo"},
        {"key": "big", "task": "demo.echo", "args": many},
        {"key": "b", "task": "demo.echo", "args": [{"$result": "a"}]},
        {"key": "c", "task": "demo.echo", "args": [[{"$result": "a"}, {"$result": "a"}, {"$result": "a"}, {"$result": "a"}]]},
    ]);
    let made = lab.engine.submit_workflow(&ALICE, workflow(&tasks), None).await.unwrap();
    let a = lab.claim(worker, 1).await.pop().unwrap();
    lab.finish(worker, &a, answer(&json!("x".repeat(1_000_000)))).await;
    // Together they are too much for one claim; what goes back comes with the next.
    let mut started = Vec::new();
    for _ in 0..3 {
        let claimed = lab.claim(worker, 10).await;
        let bytes: usize = claimed.iter().map(|task| task.args.get().len()).sum();
        assert!(bytes <= 4 << 20);
        started.extend(claimed.into_iter().map(|task| task.id));
    }
    let mut expected = [*made.tasks.get("b").unwrap(), *made.tasks.get("c").unwrap()];
    started.sort_unstable();
    expected.sort_unstable();
    assert_eq!(started, expected);
    let big = lab.engine.get(&ALICE, *made.tasks.get("big").unwrap()).await.unwrap();
    assert_eq!((big.state, big.error.unwrap().kind.as_str()), (State::Failed, "input_too_large"));
}
