//! Queues, limits, dead letters, the cache, workers and retention.

use std::time::Duration;

use serde_json::json;
use taskloom_client::{
    Cause, Code, DeadFilter, Limit, ListCache, MoveDead, PruneCounts, PruneRequest, PurgeCache, QueueLimits,
    RateLimit, Reason, Status, SubmitOutcome,
};

use crate::server::{PATIENCE, Server, eventually};

#[tokio::test]
async fn queues_are_paused_and_limited() {
    let server = Server::start().await;
    let (ann, olga) = server.clients().await;
    let queues = olga.queues();
    for _ in 0..2 {
        assert!(queues.pause("default").await.unwrap().paused);
    }
    assert_eq!(ann.queues().pause("default").await.unwrap_err().code(), Some(Code::Forbidden));
    let id = ann.task("demo.echo").submit().await.unwrap().id();
    assert_eq!(ann.tasks().explain(id).await.unwrap().cause, Cause::QueuePaused);
    assert_eq!(queues.get("default").await.unwrap().ready, 1);
    for _ in 0..2 {
        assert!(!queues.resume("default").await.unwrap().paused);
    }
    ann.tasks().wait(id, PATIENCE).await.unwrap();
    let rate_limit = Some(RateLimit { count: 9, seconds: 1.0 });
    let limits = QueueLimits { max_running: Some(3), rate_limit };
    assert_eq!(queues.limit("default", &limits).await.unwrap().limits, limits);
    assert!(queues.list().await.unwrap().iter().any(|queue| queue.limits == limits));
    let none = QueueLimits::default();
    assert_eq!(queues.limit("default", &none).await.unwrap().limits, none);
    let error = queues.limit("a/b", &none).await.unwrap_err();
    assert_eq!(error.code(), Some(Code::Validation), "{error}");
}

#[tokio::test]
async fn limits_are_listed() {
    let server = Server::start().await;
    let (ann, olga) = server.clients().await;
    let gated = || ann.task("test.gated").concurrency("gpu-0", 1).submit();
    let (first, second) = (gated().await.unwrap().id(), gated().await.unwrap().id());
    let gpu = eventually("a task to wait for the limit", async || {
        let limits = olga.limits().list().all().await.unwrap();
        limits.into_iter().find(|limit| limit.key == "gpu-0" && limit.waiting == 1)
    })
    .await;
    assert_eq!((gpu.kind, gpu.concurrency_limit, gpu.held), (Limit::Concurrency, Some(1), 1));
    server.gate.add_permits(2);
    for id in [first, second] {
        assert_eq!(ann.tasks().wait(id, PATIENCE).await.unwrap().status, Status::Succeeded);
    }
}

#[tokio::test]
async fn dead_letters_run_again_or_are_put_away() {
    let server = Server::start().await;
    let client = server.client("ann").await;
    let boom = |succeeds: u32| {
        let kwargs = json!({"kind": "Boom", "succeed_on_attempt": succeeds});
        client.task("demo.fail").kwargs(kwargs).tag("night").max_attempts(1).submit()
    };
    for _ in 0..2 {
        let id = boom(2).await.unwrap().id();
        assert_eq!(client.tasks().wait(id, PATIENCE).await.unwrap().status, Status::Failed);
    }
    let filter =
        DeadFilter { error_type: Some("Boom".into()), reason: Some(Reason::Error), ..DeadFilter::default() };
    let dead = client.dead_letters().list(&filter).unwrap().all().await.unwrap();
    assert_eq!(dead.len(), 2);
    let dry = MoveDead { filter, ..MoveDead::default() };
    let told = client.dead_letters().retry(&dry).await.unwrap();
    assert_eq!((told.dry_run, told.matched, told.moved), (true, 2, 0));
    let error = client.dead_letters().discard(&MoveDead::default()).await.unwrap_err();
    assert_eq!(error.code(), Some(Code::Validation));
    let one = MoveDead { dry_run: false, limit: 1, ..dry.clone() };
    let told = client.dead_letters().retry(&one).await.unwrap();
    assert_eq!((told.dry_run, told.moved, told.next_cursor.is_some()), (false, 1, true));
    let told = client.dead_letters().discard(&MoveDead { dry_run: false, ..dry.clone() }).await.unwrap();
    assert!(told.moved >= 1);
    eventually("no dead letter to be left", async || {
        client.dead_letters().list(&dry.filter).unwrap().all().await.unwrap().is_empty().then_some(())
    })
    .await;
}

#[tokio::test]
async fn the_cache_is_looked_at_and_purged() {
    let server = Server::start().await;
    let client = server.client("ann").await;
    let echo = |n: u32| client.task("demo.echo").args([n]).cache_ttl(Duration::from_secs(60)).submit();
    for n in 0..3 {
        let id = echo(n).await.unwrap().id();
        client.tasks().wait(id, PATIENCE).await.unwrap();
    }
    assert_eq!(echo(0).await.unwrap().outcome, SubmitOutcome::CacheHit);
    let stats = client.cache().stats().await.unwrap();
    assert_eq!((stats.hit, stats.miss), (1, 3));
    let query = ListCache { handler: Some("demo.echo".into()), limit: Some(2), ..ListCache::default() };
    let entries = client.cache().list(&query).unwrap().all().await.unwrap();
    assert_eq!(entries.len(), 3);
    assert_eq!(client.cache().page(&query).await.unwrap().total, 3);
    let one = PurgeCache { signature: Some(entries[0].signature.clone()), ..PurgeCache::default() };
    assert_eq!(client.cache().purge(&one).await.unwrap(), 1);
    assert_eq!(client.cache().purge(&PurgeCache::default()).await.unwrap(), 2);
    assert_eq!(echo(0).await.unwrap().outcome, SubmitOutcome::Made);
    let error = client.cache().purge(&PurgeCache { all: true, ..PurgeCache::default() }).await.unwrap_err();
    assert_eq!(error.code(), Some(Code::Forbidden));
}

#[tokio::test]
async fn workers_are_listed_and_drained() {
    let server = Server::start().await;
    let (ann, olga) = server.clients().await;
    let worker = eventually("the worker to register", async || {
        olga.workers().list().await.unwrap().into_iter().next()
    })
    .await;
    assert!(worker.alive && !worker.draining, "{worker:?}");
    assert!(worker.handlers.iter().any(|handler| handler == "test.gated"), "{worker:?}");
    assert_eq!(ann.workers().list().await.unwrap_err().code(), Some(Code::Forbidden));
    assert_eq!(ann.workers().drain(worker.session).await.unwrap_err().code(), Some(Code::Forbidden));
    olga.workers().drain(worker.session).await.unwrap();
    eventually("the drained worker to leave", async || {
        olga.workers().list().await.unwrap().is_empty().then_some(())
    })
    .await;
    assert_eq!(olga.workers().drain(worker.session).await.unwrap_err().code(), Some(Code::NotFound));
}

#[tokio::test]
async fn what_is_past_its_retention_is_counted_and_forgotten() {
    let server = Server::with(|config| config.keep.revoked.age = Some(Duration::ZERO)).await;
    let (ann, ada) = (server.client("ann").await, server.client("ada").await);
    let id = ann.task("demo.echo").delay(Duration::from_secs(3_600)).submit().await.unwrap().id();
    ann.tasks().cancel(id).await.unwrap();
    let one = PruneCounts { revoked: 1, ..PruneCounts::default() };
    let counted = ada.admin().prune(&PruneRequest::default()).await.unwrap();
    assert_eq!((counted.dry_run, counted.tasks, counted.more), (true, one, false));
    assert_eq!(ann.tasks().get(id).await.unwrap().status, Status::Revoked);
    let all = PruneRequest { dry_run: Some(false), limit: Some(100) };
    assert_eq!(ann.admin().prune(&all).await.unwrap_err().code(), Some(Code::Forbidden));
    let forgotten = ada.admin().prune(&all).await.unwrap();
    assert_eq!((forgotten.dry_run, forgotten.tasks, forgotten.more), (false, one, false));
    assert_eq!(ann.tasks().get(id).await.unwrap_err().code(), Some(Code::NotFound));
    let none = PruneRequest { limit: Some(0), ..PruneRequest::default() };
    assert_eq!(ada.admin().prune(&none).await.unwrap_err().code(), Some(Code::Validation));
}
