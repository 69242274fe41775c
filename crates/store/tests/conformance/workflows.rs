//! Workflows: submitted at once, fanned out once, cancelled, run again.

use std::sync::Arc;

use serde_json::value::to_raw_value;
use taskloom_model::State::{Blocked, Ready, Revoked, Succeeded};
use taskloom_model::{Action, Finish, State, Status, Ties, Timestamp};
use taskloom_protocol::{TaskRef, Workflow};
use taskloom_store::{
    Expanded, Expansion, NewTask, NewWorkflow, Request, RetryRefused, Spawning, Store, Submission,
    WorkflowOutcome, WorkflowSubmission,
};
use uuid::Uuid;

use crate::databases::{Home, on_every_database};
use crate::support::{at, claim_of, ended, new_task, plain, register, success, worker};

on_every_database! {
    a_workflow_is_written_at_once_and_released_step_by_step,
    a_map_fans_out_once_and_its_dependants_wait_for_all,
    two_engines_fan_a_map_out_once,
    a_spawn_needs_the_lease_and_an_open_workflow,
    a_retry_reopens_what_waits,
    a_workflow_of_ten_thousand_nodes,
}

const ALICE: Uuid = Uuid::from_u128(1);

/// A graph of keys and the places of parents, all before them.
fn graph(nodes: &[(&str, &[usize])], ties: &[(usize, Ties)]) -> WorkflowSubmission {
    let id = Uuid::now_v7();
    let mut tasks: Vec<NewTask> = Vec::new();
    for (place, (_, parents)) in nodes.iter().enumerate() {
        let depends_on = parents.iter().map(|parent| tasks[*parent].id).collect();
        let own = ties.iter().find(|(at, _)| *at == place).map_or(Ties::NONE, |(_, ties)| *ties);
        let ties = own.with(Ties::WORKFLOW);
        let queue = if own.has(Ties::MAP) { "@map" } else { "default" };
        let workflow_id = Some(id);
        tasks.push(NewTask {
            depends_on,
            workflow_id,
            ties,
            queue: queue.into(),
            tags: vec![],
            ..new_task(&plain(), None)
        });
    }
    WorkflowSubmission {
        workflow: NewWorkflow { id, user_id: ALICE, name: Some("w".into()) },
        keys: nodes.iter().map(|(key, _)| (*key).to_owned()).collect(),
        tasks: tasks.into(),
        idempotency: None,
        now: at(1),
    }
}

async fn submit(store: &Store, workflow: &WorkflowSubmission) {
    let outcome = store.workflow_submit(workflow.clone()).await.unwrap();
    assert!(matches!(outcome, WorkflowOutcome::Done { .. }), "{outcome:?}");
}

async fn get(store: &Store, workflow: &WorkflowSubmission) -> Workflow {
    let found = store.workflow_get(workflow.workflow.id, Some(ALICE)).await.unwrap().unwrap();
    let glance = store.workflow_glance(workflow.workflow.id, None).await.unwrap().unwrap();
    assert_eq!((found.counts, found.status), (glance.counts, glance.status));
    assert!((found.progress - glance.progress).abs() < 0.001);
    assert_eq!(store.check().await.unwrap(), vec![]);
    found
}

async fn states(store: &Store, workflow: &WorkflowSubmission) -> Vec<State> {
    get(store, workflow).await.tasks.unwrap().0.into_iter().map(|(_, node)| node.state).collect()
}

/// Claims all that is ready and ends each so.
async fn run(store: &Store, finish: Finish, now: Timestamp) -> Vec<Uuid> {
    let claimed = store.task_claim(claim_of(worker(1), 1_000, now)).await.unwrap().claimed;
    let items = claimed.iter().map(|task| ended(task.id, task.epoch, finish)).collect();
    let (_, lost) = store.task_finish(worker(1), items, now).await.unwrap();
    assert_eq!(lost, vec![]);
    claimed.into_iter().map(|task| task.id).collect()
}

async fn claim_map(store: &Store, session: Uuid, now: Timestamp) -> Option<TaskRef> {
    let spec =
        taskloom_store::ClaimSpec { queues: vec!["@map".to_owned()].into(), ..claim_of(session, 1, now) };
    let claimed = store.task_claim(spec).await.unwrap().claimed;
    claimed.first().map(|task| TaskRef { id: task.id, epoch: task.epoch })
}

fn expansion(session: Uuid, task: TaskRef, workflow: Uuid, count: usize) -> Expansion {
    let child = || NewTask {
        workflow_id: Some(workflow),
        ties: Ties::WORKFLOW,
        parent_id: Some(task.id),
        tags: vec![],
        ..new_task(&plain(), None)
    };
    let children: Arc<[NewTask]> = (0..count).map(|_| child()).collect();
    let ids: Vec<Uuid> = children.iter().map(|child| child.id).collect();
    Expansion { session, task, children, result: to_raw_value(&ids).unwrap(), now: at(5) }
}

async fn a_workflow_is_written_at_once_and_released_step_by_step(home: Home) {
    let store = home.open().await;
    register(&store).await;
    let workflow = graph(&[("a", &[]), ("b", &[0]), ("c", &[0, 1]), ("d", &[])], &[]);
    submit(&store, &workflow).await;
    assert_eq!(states(&store, &workflow).await, [Ready, Blocked, Blocked, Ready]);
    let found = get(&store, &workflow).await;
    assert_eq!((found.status, found.counts.pending, found.progress), (Status::Pending, 4, 0.0));
    let nodes = found.tasks.unwrap();
    assert_eq!(nodes.get("c").unwrap().depends_on, ["a", "b"]);
    assert!(store.workflow_get(workflow.workflow.id, Some(Uuid::from_u128(2))).await.unwrap().is_none());
    run(&store, Finish::Success, at(2)).await;
    assert_eq!(states(&store, &workflow).await, [Succeeded, Ready, Blocked, Succeeded]);
    assert!((get(&store, &workflow).await.progress - 50.0).abs() < 0.001);
    run(&store, Finish::Success, at(3)).await;
    run(&store, Finish::Success, at(4)).await;
    assert_eq!(get(&store, &workflow).await.status, Status::Succeeded);
    let listed = store.workflow_list(Some(ALICE), None, 1).await.unwrap();
    assert_eq!((listed[0].id, listed[0].counts.succeeded), (workflow.workflow.id, 4));
    // Forgotten with its tasks.
    for task in workflow.tasks.iter() {
        let purge = Request::new(task.id, Action::Purge { retention: std::time::Duration::ZERO });
        store.task_step(purge, at(10)).await.unwrap().unwrap();
    }
    store.workflow_prune(at(10), 100).await.unwrap();
    assert!(store.workflow_glance(workflow.workflow.id, None).await.unwrap().is_none());
}

async fn a_map_fans_out_once_and_its_dependants_wait_for_all(home: Home) {
    let store = home.open().await;
    register(&store).await;
    let workflow = graph(&[("each", &[]), ("join", &[0])], &[(0, Ties::MAP)]);
    submit(&store, &workflow).await;
    let map = claim_map(&store, worker(2), at(2)).await.unwrap();
    let expansion = expansion(worker(2), map, workflow.workflow.id, 3);
    let stale = Expansion { task: TaskRef { epoch: map.epoch + 1, ..map }, ..expansion.clone() };
    assert!(matches!(store.workflow_expand(stale).await.unwrap(), Expanded::Lost));
    let outcome = store.workflow_expand(expansion.clone()).await.unwrap();
    assert!(matches!(outcome, Expanded::Done { .. }), "{outcome:?}");
    // The answer was lost, and it is sent again.
    assert!(matches!(store.workflow_expand(expansion.clone()).await.unwrap(), Expanded::Lost));
    let nodes = get(&store, &workflow).await.tasks.unwrap();
    let each = nodes.get("each").unwrap();
    assert_eq!(
        (each.state, each.status, each.items.unwrap().pending),
        (State::Succeeded, Status::Pending, 3)
    );
    let ran = run(&store, Finish::Success, at(6)).await;
    assert_eq!(ran, expansion.children.iter().map(|child| child.id).collect::<Vec<_>>());
    assert_eq!(states(&store, &workflow).await, [State::Succeeded, State::Ready]);
    let sizes = store.task_result_sizes(vec![map.id, ran[0]]).await.unwrap();
    let size = |id| sizes.iter().find(|size| size.id == id).unwrap();
    let length = expansion.result.get().len() as u64;
    assert_eq!((size(map.id).is_map, size(map.id).bytes, size(ran[0]).bytes), (true, length, 0));
    assert_eq!(store.task_results(vec![map.id]).await.unwrap()[0].1.get(), expansion.result.get());
    run(&store, Finish::Success, at(7)).await;
    assert_eq!(get(&store, &workflow).await.status, Status::Succeeded);
}

async fn two_engines_fan_a_map_out_once(home: Home) {
    let store = home.open().await;
    register(&store).await;
    // A join over several maps: they fan out, and their children end, at the same time.
    let workflow = graph(
        &[("a", &[]), ("b", &[]), ("c", &[]), ("join", &[0, 1, 2])],
        &[(0, Ties::MAP), (1, Ties::MAP), (2, Ties::MAP)],
    );
    submit(&store, &workflow).await;
    let mut sent = Vec::new();
    for (number, session) in [worker(0), worker(1), worker(2)].into_iter().enumerate() {
        let map = claim_map(&store, session, at(2)).await.unwrap();
        let expansion = expansion(session, map, workflow.workflow.id, number + 1);
        for _ in 0..3 {
            let (store, expansion) = (store.clone(), expansion.clone());
            sent.push(tokio::spawn(async move {
                matches!(store.workflow_expand(expansion).await.unwrap(), Expanded::Done { .. })
            }));
        }
    }
    let mut done = 0;
    for sent in sent {
        done += usize::from(sent.await.unwrap());
    }
    assert_eq!((done, get(&store, &workflow).await.counts.total), (3, 4 + 6));
    let claimed = store.task_claim(claim_of(worker(1), 1_000, at(6))).await.unwrap().claimed;
    assert_eq!(claimed.len(), 6);
    let ends = claimed.into_iter().map(|task| {
        let store = store.clone();
        tokio::spawn(async move {
            store.task_finish(worker(1), vec![success(task.id, task.epoch)], at(6)).await.unwrap()
        })
    });
    for end in ends.collect::<Vec<_>>() {
        assert_eq!(end.await.unwrap().1, vec![]);
    }
    assert_eq!(states(&store, &workflow).await[3], State::Ready);
}

async fn a_spawn_needs_the_lease_and_an_open_workflow(home: Home) {
    let store = home.open().await;
    register(&store).await;
    let workflow = graph(&[("a", &[]), ("b", &[0])], &[]);
    submit(&store, &workflow).await;
    let a = store.task_claim(claim_of(worker(1), 1, at(2))).await.unwrap().claimed.pop().unwrap();
    let parent = TaskRef { id: a.id, epoch: a.epoch };
    let child = || {
        let (workflow_id, ties) = (Some(workflow.workflow.id), Ties::WORKFLOW);
        let task = NewTask { workflow_id, ties, parent_id: Some(a.id), ..new_task(&plain(), None) };
        Submission { tasks: vec![task].into(), idempotency: None, now: at(3) }
    };
    let made = store.task_spawn(worker(1), parent, child()).await.unwrap();
    assert!(matches!(made, Spawning::Submitted(_)), "{made:?}");
    for (session, parent) in [(worker(2), parent), (worker(1), TaskRef { epoch: a.epoch + 1, ..parent })] {
        let refused = store.task_spawn(session, parent, child()).await.unwrap();
        assert!(matches!(refused, Spawning::LeaseLost), "{refused:?}");
    }
    let id = workflow.workflow.id;
    assert!(store.workflow_close(id, Some(ALICE), false, at(4)).await.unwrap());
    let refused = store.task_spawn(worker(1), parent, child()).await.unwrap();
    assert!(matches!(refused, Spawning::Cancelled), "{refused:?}");
    let (mut before, mut steps) = (None, 0);
    loop {
        let (some, next) = store.workflow_cancel_some(id, before, false, at(4), 1).await.unwrap();
        steps += some.len();
        before = next;
        if before.is_none() {
            break;
        }
    }
    assert_eq!(steps, 3);
    store.task_finish(worker(1), vec![ended(a.id, a.epoch, Finish::Cancelled)], at(5)).await.unwrap();
    let end = get(&store, &workflow).await;
    assert_eq!((end.status, end.counts.revoked), (Status::Revoked, 3));
}

async fn a_retry_reopens_what_waits(home: Home) {
    let store = home.open().await;
    register(&store).await;
    let workflow = graph(&[("a", &[]), ("each", &[0]), ("join", &[1]), ("end", &[2, 0])], &[(1, Ties::MAP)]);
    let id = workflow.workflow.id;
    submit(&store, &workflow).await;
    assert_eq!(
        store.workflow_retry(id, None, None, at(2)).await.unwrap().unwrap_err(),
        RetryRefused::Nothing
    );
    run(&store, Finish::Success, at(2)).await;
    let map = claim_map(&store, worker(2), at(3)).await.unwrap();
    store.workflow_expand(expansion(worker(2), map, id, 2)).await.unwrap();
    let claimed = store.task_claim(claim_of(worker(1), 10, at(6))).await.unwrap().claimed;
    let ends =
        vec![success(claimed[0].id, claimed[0].epoch), ended(claimed[1].id, claimed[1].epoch, Finish::Fatal)];
    store.task_finish(worker(1), ends, at(6)).await.unwrap();
    assert_eq!(states(&store, &workflow).await, [Succeeded, Succeeded, Revoked, Revoked]);
    assert_eq!(get(&store, &workflow).await.status, Status::Failed);
    // The child that failed, and both that were skipped; the one that succeeded stays.
    let (tasks, _) = store.workflow_retry(id, Some(ALICE), None, at(7)).await.unwrap().unwrap();
    assert_eq!(tasks, 3);
    assert_eq!(states(&store, &workflow).await, [Succeeded, Succeeded, Blocked, Blocked]);
    assert_eq!(run(&store, Finish::Success, at(8)).await, [claimed[1].id]);
    for now in [9, 10] {
        run(&store, Finish::Success, at(now)).await;
    }
    assert_eq!(get(&store, &workflow).await.status, Status::Succeeded);
    // From the map on: its children from before are gone from it.
    let (tasks, _) = store.workflow_retry(id, None, Some("each".into()), at(11)).await.unwrap().unwrap();
    assert_eq!((tasks, get(&store, &workflow).await.counts.total), (3, 4));
    assert_eq!(states(&store, &workflow).await, [Succeeded, Ready, Blocked, Blocked]);
    let map = claim_map(&store, worker(2), at(12)).await.unwrap();
    let none = expansion(worker(2), map, id, 0);
    assert!(matches!(store.workflow_expand(none).await.unwrap(), Expanded::Done { .. }));
    assert_eq!(states(&store, &workflow).await, [Succeeded, Succeeded, Ready, Blocked]);
    let refused = store.workflow_retry(id, None, Some("join".into()), at(13)).await.unwrap();
    assert!(matches!(refused, Err(RetryRefused::StillLives { state: Ready, .. })), "{refused:?}");
}

async fn a_workflow_of_ten_thousand_nodes(home: Home) {
    let store = home.open().await;
    register(&store).await;
    // Layers of a hundred; each node waits for ten of the layer before.
    let names: Vec<String> = (0..10_000).map(|node| format!("n{node}")).collect();
    let parents: Vec<Vec<usize>> = (0..10_000_usize)
        .map(|node| {
            let layer = (node / 100 * 100).checked_sub(100);
            layer.map_or(vec![], |layer| (0..10).map(|i| layer + (node + i * 7) % 100).collect())
        })
        .collect();
    let nodes: Vec<(&str, &[usize])> =
        names.iter().map(String::as_str).zip(parents.iter().map(Vec::as_slice)).collect();
    let workflow = graph(&nodes, &[]);
    let start = std::time::Instant::now();
    submit(&store, &workflow).await;
    eprintln!("10,000 nodes and 99,000 edges: submitted in {:?}", start.elapsed());
    let start = std::time::Instant::now();
    let found = store.workflow_get(workflow.workflow.id, None).await.unwrap().unwrap();
    eprintln!("read in {:?}", start.elapsed());
    assert_eq!((found.counts.pending, found.tasks.unwrap().0.len()), (10_000, 10_000));
    let start = std::time::Instant::now();
    assert!(store.workflow_close(workflow.workflow.id, None, false, at(4)).await.unwrap());
    let (mut before, mut steps) = (None, 0);
    loop {
        let (some, next) =
            store.workflow_cancel_some(workflow.workflow.id, before, false, at(4), 500).await.unwrap();
        steps += some.len();
        before = next;
        if before.is_none() {
            break;
        }
    }
    eprintln!("cancelled in {:?}", start.elapsed());
    assert_eq!(steps, 10_000);
    let glance = store.workflow_glance(workflow.workflow.id, None).await.unwrap().unwrap();
    assert_eq!((glance.status, glance.counts.revoked), (Status::Revoked, 10_000));
}
