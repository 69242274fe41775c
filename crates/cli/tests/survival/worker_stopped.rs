//! A worker that is stopped for longer than its lease, and goes on later.

use std::time::Duration;

use serde_json::{Value, json};
use uuid::Uuid;

use crate::client::{Client, until};
use crate::server::{LedgerWorker, Server, read_ledger};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_worker_is_overtaken_and_its_handler_aborted() {
    let server = Server::start("elsewhere").await;
    let token = server.client.worker_token().await;
    let ledger = server.path("ledger");
    let stopped = LedgerWorker::start(&server.client, &token, &ledger);
    let task = json!({"task": "ledger.write", "kwargs": {"work_ms": 4_000}, "backoff": {"kind": "fixed", "seconds": 0}});
    let id = server.client.submit(&task, 1).await.unwrap().remove(0);
    let started_by = async |pid: u32| {
        let found = read_ledger(&ledger).into_iter().find(|l| l.start && l.task == id && l.pid == pid);
        found.map(|l| l.epoch)
    };
    let first = until("the first start", async || started_by(stopped.pid()).await).await;
    stopped.signal("-STOP");
    let other = LedgerWorker::start(&server.client, &token, &ledger);
    let second = until("the takeover", async || started_by(other.pid()).await).await;
    // Reaped once, claimed once: the stopped worker's waiting claim took nothing meanwhile.
    assert_eq!(second, first + 2);
    // Three leases of 5 s in all; the time its work takes is long over as well.
    tokio::time::sleep(Duration::from_secs(10)).await;
    stopped.signal("-CONT");
    server.client.all_ended().await;
    let ended = server.client.get(&format!("/tasks/{id}")).await;
    assert_eq!((ended["status"].as_str(), ended["epoch"].as_u64()), (Some("succeeded"), Some(second)));
    // It takes new work again, so it has come to its senses; by then it has aborted the old.
    let next = server.client.submit(&task, 16).await.unwrap();
    until("new work of the stopped one", async || {
        read_ledger(&ledger).into_iter().find(|l| next.contains(&l.task) && l.pid == stopped.pid())
    })
    .await;
    server.client.all_ended().await;
    let ends: Vec<_> = read_ledger(&ledger).into_iter().filter(|l| !l.start && l.task == id).collect();
    assert_eq!(
        ends.iter().map(|l| l.epoch).collect::<Vec<_>>(),
        [second],
        "only the one that took over ended it"
    );
}

/// A worker made of plain HTTP calls, as `curl` would make them.
struct Curl {
    client: Client,
    token: String,
    session: Uuid,
}

impl Curl {
    async fn new(client: &Client) -> Self {
        let worker =
            Self { client: client.clone(), token: client.worker_token().await, session: Uuid::now_v7() };
        let hello = json!({"protocol": 1, "session": worker.session, "name": "curl", "queues": ["default"], "concurrency": 1});
        assert_eq!(worker.post("register", hello).await.0, 200);
        worker
    }

    async fn post(&self, call: &str, body: Value) -> (u16, Value) {
        let path = format!("/worker/{call}");
        let (status, body) = self.client.call_as(&self.token, "POST", &path, Some(body)).await.unwrap();
        (status.as_u16(), body)
    }

    async fn claim(&self) -> Option<Value> {
        let (status, body) = self.post("claim", json!({"session": self.session, "limit": 1})).await;
        assert_eq!(status, 200, "{body}");
        body["tasks"].get(0).cloned()
    }

    async fn finish(&self, task: &Value) -> (u16, Value) {
        let outcome = json!({"success": {"result": "done"}});
        let end = json!({"id": task["id"], "epoch": task["epoch"], "outcome": outcome});
        self.post("finish", json!({"session": self.session, "tasks": [end]})).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_stale_finish_is_refused() {
    let server = Server::start("elsewhere").await;
    let (slow, quick) = (Curl::new(&server.client).await, Curl::new(&server.client).await);
    let task = json!({"task": "anything", "backoff": {"kind": "fixed", "seconds": 0}});
    let id = server.client.submit(&task, 1).await.unwrap().remove(0);
    let first = slow.claim().await.unwrap();
    // No heartbeat: the lease runs out.
    let second = until("the takeover", async || quick.claim().await).await;
    assert_eq!(second["id"], json!(id));
    let (status, problem) = slow.finish(&first).await;
    assert_eq!((status, problem["code"].as_str()), (409, Some("lease_lost")), "{problem}");
    let beat = json!({"session": slow.session, "tasks": [{"id": id, "epoch": first["epoch"]}]});
    let (status, answer) = slow.post("beat", beat).await;
    assert_eq!((status, answer["lost"].as_array().map(Vec::len)), (200, Some(1)), "{answer}");
    assert_eq!(server.client.get(&format!("/tasks/{id}")).await["status"], "running");
    assert_eq!(quick.finish(&second).await.0, 200);
    assert_eq!(quick.finish(&second).await.0, 409, "an end counts once");
    let ended = server.client.get(&format!("/tasks/{id}")).await;
    assert_eq!((ended["status"].as_str(), ended["result"].as_str()), (Some("succeeded"), Some("done")));
}
