//! The home that keeps no hints: claimers ask the store. Other processes are told which queues to look into over a wire
//! that the store may have, such as PostgreSQL's NOTIFY.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{Home, Ready, Status, Ticket};

/// Distinct queues that may wait to be named; more are dropped.
const QUEUES_AT_MOST: usize = 10_000;
/// After this long the wire is taken to be broken.
const SAY_AT_MOST: Duration = Duration::from_secs(5);
/// The pause after a failure, in milliseconds: what is announced meanwhile goes into the next word.
const PAUSE_MS: std::ops::Range<u64> = 100..300;

/// Tells other processes that queues have tasks; they ring their [`Bells`](crate::Bells).
#[async_trait]
pub trait Wire: Send + Sync + 'static {
    /// Names queues. It is called again only after it has come back. An error is logged, and what was said is not
    /// repeated; the text may name hosts, since clients do not see it.
    async fn say(&self, queues: &[String]) -> Result<(), String>;
}

/// A home without hints.
#[derive(Default)]
pub struct StoreHome {
    wire: Option<(Arc<Mail>, DropGuard)>,
}

impl StoreHome {
    /// For a process that is alone with its store.
    pub fn new() -> Self {
        Self::default()
    }

    /// Names queues to other processes over this wire. To be called within a Tokio runtime: a task serves the wire until
    /// the home is dropped.
    pub fn with_wire(wire: Arc<dyn Wire>) -> Self {
        let (mail, stop) = (Arc::new(Mail::default()), CancellationToken::new());
        let carried = carry(wire, Arc::clone(&mail));
        tokio::spawn(stop.clone().run_until_cancelled_owned(carried));
        Self { wire: Some((mail, stop.drop_guard())) }
    }
}

#[async_trait]
impl Home for StoreHome {
    fn announce(&self, ready: &[Ready]) -> bool {
        if let Some((mail, _)) = &self.wire {
            mail.put(ready);
        }
        false
    }

    async fn take(&self, _queues: &[String], _limit: usize) -> Vec<Ticket> {
        Vec::new()
    }

    fn done(&self, _tickets: Vec<Ticket>) {}

    fn status(&self) -> Status {
        let last = self
            .wire
            .as_ref()
            .map(|(mail, _)| mail.last.lock().unwrap_or_else(PoisonError::into_inner).clone());
        let dropped = self.wire.as_ref().map_or(0, |(mail, _)| mail.dropped.load(Ordering::Relaxed));
        let Said { ok, latency } = last.unwrap_or_default();
        let detail = (!ok).then(|| "the database does not pass word to the other servers".to_owned());
        Status { home: "store", ok, latency, detail, dropped }
    }
}

/// Queues that wait to be named, each once however often it is announced.
#[derive(Default)]
struct Mail {
    queues: Mutex<BTreeSet<String>>,
    filled: Notify,
    last: Mutex<Said>,
    dropped: AtomicU64,
}

/// How the last word went.
#[derive(Clone)]
struct Said {
    ok: bool,
    latency: Option<Duration>,
}

impl Default for Said {
    fn default() -> Self {
        Self { ok: true, latency: None }
    }
}

impl Mail {
    fn put(&self, ready: &[Ready]) {
        let mut queues = self.lock();
        for Ready { queue, .. } in ready {
            if queues.contains(&**queue) {
                continue;
            }
            if queues.len() < QUEUES_AT_MOST {
                queues.insert(queue.to_string());
            } else {
                self.dropped.fetch_add(1, Ordering::Relaxed);
            }
        }
        drop(queues);
        self.filled.notify_one();
    }

    async fn next(&self) -> Vec<String> {
        loop {
            let queues = std::mem::take(&mut *self.lock());
            if !queues.is_empty() {
                return queues.into_iter().collect();
            }
            self.filled.notified().await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the word before went well.
    fn note(&self, said: Said) -> bool {
        std::mem::replace(&mut *self.last.lock().unwrap_or_else(PoisonError::into_inner), said).ok
    }
}

async fn carry(wire: Arc<dyn Wire>, mail: Arc<Mail>) {
    loop {
        let queues = mail.next().await;
        let began = Instant::now();
        let said = timeout(SAY_AT_MOST, wire.say(&queues)).await;
        let said = said.unwrap_or_else(|_| Err("it took too long".to_owned()));
        let was_ok = mail.note(Said { ok: said.is_ok(), latency: Some(began.elapsed()) });
        match said {
            Ok(()) if !was_ok => tracing::info!("queues are named to the other servers again"),
            Ok(()) => {}
            Err(error) => {
                if was_ok {
                    tracing::warn!(%error, "cannot name queues to the other servers; they find tasks by themselves, later");
                }
                mail.dropped.fetch_add(queues.len() as u64, Ordering::Relaxed);
                sleep(Duration::from_millis(rand::random_range(PAUSE_MS))).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use taskloom_model::{Priority, TaskId};
    use tokio::sync::{Semaphore, mpsc};

    use super::*;

    /// Reports what is said, and says it when it is let.
    struct SlowWire {
        said: mpsc::UnboundedSender<Vec<String>>,
        let_go: Arc<Semaphore>,
        fails: bool,
    }

    #[async_trait]
    impl Wire for SlowWire {
        async fn say(&self, queues: &[String]) -> Result<(), String> {
            self.said.send(queues.to_vec()).map_err(|e| e.to_string())?;
            self.let_go.acquire().await.map_err(|e| e.to_string())?.forget();
            if self.fails { Err("db.internal refused user admin".into()) } else { Ok(()) }
        }
    }

    fn home(fails: bool) -> (StoreHome, mpsc::UnboundedReceiver<Vec<String>>, Arc<Semaphore>) {
        let ((said, heard), let_go) = (mpsc::unbounded_channel(), Arc::new(Semaphore::new(0)));
        (StoreHome::with_wire(Arc::new(SlowWire { said, let_go: Arc::clone(&let_go), fails })), heard, let_go)
    }

    fn ready(queue: &str) -> Ready {
        Ready { queue: queue.into(), priority: Priority::Normal, id: TaskId::nil() }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_announced_while_a_word_travels_goes_into_one_next_word() {
        let (home, mut heard, let_go) = home(false);
        home.announce(&[ready("a")]);
        assert_eq!(heard.recv().await.unwrap(), ["a"]);
        for _ in 0..100 {
            home.announce(&[ready("b"), ready("c")]);
        }
        home.announce(&[ready("a")]);
        assert!(timeout(Duration::from_secs(1), heard.recv()).await.is_err(), "one word at a time");
        let_go.add_permits(1);
        assert_eq!(heard.recv().await.unwrap(), ["a", "b", "c"]);
        let_go.add_permits(1);
        assert!(timeout(Duration::from_secs(60), heard.recv()).await.is_err(), "and nothing twice");
        assert_eq!((home.status().ok, home.status().dropped), (true, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_shows_in_the_status_without_what_clients_must_not_know() {
        let (home, mut heard, let_go) = home(true);
        let_go.add_permits(1);
        home.announce(&[ready("a")]);
        heard.recv().await.unwrap();
        sleep(Duration::from_secs(1)).await;
        let Status { ok, detail, dropped, .. } = home.status();
        assert_eq!((ok, dropped), (false, 1));
        let detail = detail.unwrap();
        assert!(!detail.contains("internal") && !detail.contains("admin"), "{detail}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_wire_that_hangs_is_given_up_and_tried_again_with_the_next_word() {
        let (home, mut heard, let_go) = home(false);
        home.announce(&[ready("a")]);
        heard.recv().await.unwrap();
        home.announce(&[ready("b")]);
        let began = Instant::now();
        assert_eq!(heard.recv().await.unwrap(), ["b"]);
        assert!(began.elapsed() >= SAY_AT_MOST);
        assert!(!home.status().ok);
        let_go.add_permits(1);
        home.announce(&[ready("c")]);
        sleep(Duration::from_secs(1)).await;
        assert!(heard.try_recv().is_ok());
        assert!(home.status().ok);
    }

    #[tokio::test(start_paused = true)]
    async fn queues_without_number_do_not_fill_the_memory() {
        let (home, mut heard, _let_go) = home(false);
        home.announce(&[ready("first")]);
        heard.recv().await.unwrap();
        for number in 0..QUEUES_AT_MOST + 7 {
            home.announce(&[ready(&format!("q{number}"))]);
        }
        assert_eq!(home.status().dropped, 7);
    }

    #[tokio::test(start_paused = true)]
    async fn the_wire_is_let_go_with_the_home() {
        let (home, mut heard, _let_go) = home(false);
        drop(home);
        assert!(heard.recv().await.is_none());
    }
}
