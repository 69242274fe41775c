#![allow(missing_docs, clippy::all, clippy::pedantic, clippy::unwrap_used, clippy::print_stdout)]
use std::sync::Arc; use std::sync::atomic::{AtomicUsize, Ordering}; use std::path::Path;
use async_trait::async_trait; use taskloom_protocol::*; use taskloom_worker::*;
struct Null { left: AtomicUsize, done: AtomicUsize, total: usize, stop: CancellationToken, claims: AtomicUsize, fins: AtomicUsize, delay: u64 }
#[async_trait]
impl WorkerApi for Null {
  async fn register(&self, _: Register) -> Result<Registered, WorkerError> { Ok(Registered{protocol:1,lease_ms:15000,beat_ms:5000,cancel_grace_ms:1000}) }
  async fn claim(&self, r: ClaimRequest) -> Result<Vec<Claimed>, WorkerError> {
    if self.delay>0 { tokio::time::sleep(std::time::Duration::from_millis(self.delay)).await; }
    self.claims.fetch_add(1, Ordering::Relaxed);
    let left=self.left.load(Ordering::Relaxed); let n=left.min(r.limit as usize); self.left.fetch_sub(n, Ordering::Relaxed);
    if n==0 { std::future::pending::<()>().await; }
    Ok((0..n).map(|_| Claimed{id: uuid::Uuid::now_v7(), epoch:1, attempt:1, max_attempts:3, task:"noop".into(), args: serde_json::value::RawValue::from_string("[]".into()).unwrap(), kwargs: serde_json::value::RawValue::from_string("{}".into()).unwrap(), queue:"default".into(), priority: Default::default(), timeout_ms: None, soft_timeout_ms: None, created_at: Default::default()}).collect()) }
  async fn beat(&self, _: Beat) -> Result<BeatAnswer, WorkerError> { Ok(Default::default()) }
  async fn finish(&self, r: FinishRequest) -> Result<FinishAnswer, WorkerError> {
    if self.delay>0 { tokio::time::sleep(std::time::Duration::from_millis(self.delay)).await; }
    self.fins.fetch_add(1, Ordering::Relaxed);
    if self.done.fetch_add(r.tasks.len(), Ordering::Relaxed)+r.tasks.len()==self.total { self.stop.cancel(); } Ok(Default::default()) }
  async fn drain(&self, _: DrainRequest) -> Result<DrainAnswer, WorkerError> { Ok(Default::default()) }
  async fn spawn(&self, _: Spawn) -> Result<Vec<Task>, WorkerError> { Ok(vec![]) }
  async fn put_artifact(&self, _: ArtifactPut, _: &Path) -> Result<Artifact, WorkerError> { unimplemented!() }
}
#[tokio::main(worker_threads=2)]
async fn main() {
  for (c, delay) in [(1000usize,0u64),(1000,2),(1000,5),(100,0),(16,0)] {
    let total=400_000; let stop=CancellationToken::new();
    let api=Arc::new(Null{left:AtomicUsize::new(total),done:AtomicUsize::new(0),total,stop:stop.clone(),claims:AtomicUsize::new(0),fins:AtomicUsize::new(0),delay});
    let w=Worker::builder(api.clone(), Registry::new().with("noop", async |_: Context| Ok::<_,HandlerError>(()))).concurrency(c).build();
    let t=std::time::Instant::now(); w.run(stop).await.unwrap(); let e=t.elapsed()-std::time::Duration::from_millis(200);
    println!("c={c} delay={delay}ms {:.0}/s claims={} finishes={}", total as f64/e.as_secs_f64(), api.claims.load(Ordering::Relaxed), api.fins.load(Ordering::Relaxed));
  }
}
