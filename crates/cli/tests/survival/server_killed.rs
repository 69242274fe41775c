//! The whole process is killed under load, again and again.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use taskloom_model::Timestamp;

use crate::client::Client;
use crate::server::Server;

const KILLS: u64 = 6;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_acknowledged_task_ends_once_though_the_server_is_killed() {
    let mut server = Server::start("default").await;
    let acknowledged = Arc::new(Mutex::new(Vec::new()));
    let mut kills = Vec::new();
    for round in 0..KILLS {
        let load: Vec<_> = (0..6)
            .map(|_| tokio::spawn(submit_until_it_dies(server.client.clone(), Arc::clone(&acknowledged))))
            .collect();
        // Different moments of the load, from its very beginning on.
        tokio::time::sleep(Duration::from_millis(60 + 170 * round)).await;
        let before = now();
        server.kill_and_restart().await;
        kills.push((before, now()));
        for submitter in load {
            submitter.await.unwrap();
        }
    }
    server.client.all_ended().await;

    let ids = acknowledged.lock().unwrap().clone();
    assert!(ids.len() > 100, "there was hardly a load: {} tasks", ids.len());
    let mut retried = 0;
    for id in &ids {
        let task = server.client.get(&format!("/tasks/{id}")).await;
        let attempts = server.client.get(&format!("/tasks/{id}/attempts")).await;
        let attempts = attempts["items"].as_array().unwrap_or_else(|| attempts.as_array().unwrap()).clone();
        let lost = check_attempts(&attempts, &kills);
        retried += u64::from(lost > 0);
        match task["status"].as_str().unwrap() {
            "succeeded" => assert_eq!(attempts.len(), lost + 1, "{task}"),
            "failed" => assert_eq!((task["reason"].as_str(), lost), (Some("poisoned"), 3), "{task}"),
            other => panic!("{other}: {task}"),
        }
    }
    assert!(retried > 0, "no kill met a running task: the test shows nothing");
    assert_eq!(server.doctor(), json!({"healthy": true, "broken": []}));
}

/// Submits single tasks and batches until the server no longer answers; what it acknowledged goes to the ledger.
async fn submit_until_it_dies(client: Client, acknowledged: Arc<Mutex<Vec<String>>>) {
    let task = json!({"task": "demo.sleep", "kwargs": {"seconds": 0.05}, "max_attempts": 20,
        "backoff": {"kind": "fixed", "seconds": 0}});
    for round in 0..60 {
        if round % 5 == 4 {
            let Some(ids) = client.submit(&task, 5).await else { return };
            acknowledged.lock().unwrap().extend(ids);
        } else {
            let Some((status, body)) = client.call("POST", "/tasks", Some(task.clone())).await else {
                return;
            };
            assert_eq!(status, 201, "{body}");
            acknowledged.lock().unwrap().push(body["id"].as_str().unwrap().to_owned());
        }
    }
}

/// Every attempt but the last was lost, and a kill lies within it; gives how many.
fn check_attempts(attempts: &[Value], kills: &[(Timestamp, Timestamp)]) -> usize {
    let mut lost = 0;
    for attempt in attempts {
        if attempt["outcome"] == "succeeded" {
            continue;
        }
        assert_eq!(attempt["outcome"], "lost", "{attempt}");
        let time = |field: &str| attempt[field].as_str().unwrap().parse::<Timestamp>().unwrap();
        let (from, to) = (time("started_at"), time("ended_at"));
        let killed = kills.iter().any(|(before, after)| from <= *after && to >= *before);
        assert!(killed, "an attempt was lost without a kill: {attempt}");
        lost += 1;
    }
    lost
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    Timestamp::from_micros(since.as_micros() as i64)
}
