//! Workers across the network are killed under load; the server lives.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use serde_json::json;

use crate::server::{LedgerWorker, Line, Server, read_ledger};

const TASKS: usize = 1_500;
const KILLS: usize = 6;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_task_ends_once_though_workers_are_killed() {
    // The server's own worker keeps out of it.
    let server = Server::start("elsewhere").await;
    let token = server.client.worker_token().await;
    let ledger = server.path("ledger");
    let task = json!({"task": "ledger.write", "kwargs": {"work_ms": 60}, "max_attempts": 20,
        "backoff": {"kind": "fixed", "seconds": 0}});
    let ids = server.client.submit(&task, TASKS).await.unwrap();
    let mut workers: Vec<_> = (0..2).map(|_| LedgerWorker::start(&server.client, &token, &ledger)).collect();
    let mut killed = HashSet::new();
    for kill in 0..KILLS {
        // Kill in the middle of the work: only once this worker has begun some.
        let victim = kill % workers.len();
        let pid = workers[victim].pid();
        crate::client::until("a worker that works", async || {
            let lines = read_ledger(&ledger);
            let open = lines.iter().filter(|l| l.pid == pid && l.start).count()
                > lines.iter().filter(|l| l.pid == pid && !l.start).count();
            open.then_some(())
        })
        .await;
        workers[victim].kill();
        killed.insert(pid);
        workers[victim] = LedgerWorker::start(&server.client, &token, &ledger);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    server.client.all_ended().await;

    let lines = read_ledger(&ledger);
    let mut of: HashMap<&str, Vec<&Line>> = HashMap::new();
    for line in &lines {
        of.entry(&line.task).or_default().push(line);
    }
    let mut lost = 0;
    for id in &ids {
        let task = server.client.get(&format!("/tasks/{id}")).await;
        let told = &of[id.as_str()];
        let (epoch, attempts) = (task["epoch"].as_u64().unwrap(), task["attempt"].as_u64().unwrap());
        let reason = task["reason"].as_str();
        if task["status"] == "failed" {
            assert_eq!(reason, Some("poisoned"), "{task}");
            continue;
        }
        assert_eq!(task["status"], "succeeded", "{task}");
        // The attempt that counted is the last one, and it ran to its end.
        assert!(told.iter().any(|l| !l.start && l.epoch == epoch), "{task}: {told:?}");
        assert!(told.iter().all(|l| l.epoch <= epoch && l.attempt <= attempts), "{task}: {told:?}");
        for start in told.iter().filter(|l| l.start && l.epoch < epoch) {
            assert!(killed.contains(&start.pid), "an attempt was repeated without a kill: {start:?}");
            lost += 1;
        }
    }
    assert!(lost > 0, "no kill met a running task: the test shows nothing");
    assert_eq!(server.doctor(), json!({"healthy": true, "broken": []}));
}
