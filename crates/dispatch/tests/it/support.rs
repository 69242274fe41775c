//! What the tests here share.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use taskloom_dispatch::{
    Bells, Dispatcher, Home as _, Ready, RedisHome, RedisOptions, Status, Ticket, Waiter,
};
use taskloom_model::{Priority, TaskId};
use taskloom_testkit::Redis;
use tokio::time::{Instant, sleep};

/// Longer than anything takes here on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A process: its bells and its home.
pub(crate) struct Process {
    pub(crate) home: Arc<RedisHome>,
    pub(crate) dispatcher: Dispatcher,
}

impl Process {
    pub(crate) fn new(options: &RedisOptions) -> Self {
        let bells = Bells::default();
        let home = RedisHome::connect(options, bells.clone()).unwrap();
        let dispatcher = Dispatcher::new(Arc::clone(&home) as _, bells);
        Self { home, dispatcher }
    }

    /// A process that has its connection.
    pub(crate) async fn connected(options: &RedisOptions) -> Self {
        let process = Self::new(options);
        process.is_ok().await;
        process
    }

    pub(crate) async fn is_ok(&self) {
        let ok = || self.home.status().ok.then_some(());
        until(ok).await.unwrap_or_else(|| panic!("not connected: {:?}", self.home.status()));
    }

    pub(crate) fn status(&self) -> Status {
        self.home.status()
    }

    /// Waits until the status says this.
    pub(crate) async fn says(&self, part: &str) {
        let said = || self.status().detail.filter(|detail| detail.contains(part));
        until(said).await.unwrap_or_else(|| panic!("it says {:?}", self.status()));
    }

    /// Waits until something is wrong, and says what.
    pub(crate) async fn trouble(&self) -> String {
        until(|| self.home.status().detail).await.unwrap_or_else(|| panic!("all is well"))
    }

    /// Announces, and waits until all hints can be taken.
    pub(crate) async fn announce(&self, ready: &[Ready]) {
        let queues: BTreeSet<String> = ready.iter().map(|ready| ready.queue.to_string()).collect();
        let waiters: Vec<Waiter> = queues.into_iter().map(|queue| self.dispatcher.listen(&[queue])).collect();
        self.dispatcher.announce(ready);
        for waiter in waiters {
            wake(&waiter).await;
        }
    }

    pub(crate) async fn take(&self, names: &[&str], limit: usize) -> Vec<Ticket> {
        self.dispatcher.take(&queues(names), limit).await
    }

    /// Takes until so many came, or none does for long.
    pub(crate) async fn take_until(&self, names: &[&str], count: usize) -> Vec<Ticket> {
        self.take_within(PATIENCE, names, count).await
    }

    pub(crate) async fn take_within(&self, at_most: Duration, names: &[&str], count: usize) -> Vec<Ticket> {
        let (mut tickets, end) = (Vec::new(), Instant::now() + at_most);
        while tickets.len() < count && Instant::now() < end {
            tickets.extend(self.take(names, count - tickets.len()).await);
            sleep(Duration::from_millis(5)).await;
        }
        tickets
    }
}

/// Waits for the wake-up; whether it said to ask the store.
pub(crate) async fn wake(waiter: &Waiter) -> bool {
    waiter.wait(PATIENCE).await.unwrap_or_else(|| panic!("nobody rang")).ask_store
}

/// Looks again and again, for as long as [`PATIENCE`] lasts.
pub(crate) async fn until<T>(look: impl FnMut() -> Option<T>) -> Option<T> {
    within(PATIENCE, look).await
}

pub(crate) async fn within<T>(at_most: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + at_most;
    loop {
        let found = look();
        if found.is_some() || Instant::now() > end {
            return found;
        }
        sleep(Duration::from_millis(10)).await;
    }
}

/// A prefix of the test's own, so that tests can share a server.
pub(crate) fn options(redis: &Redis) -> RedisOptions {
    let mut options = RedisOptions::new(redis.url());
    options.prefix = format!("test-{}", uuid::Uuid::new_v4().simple());
    options.ca_file = redis.ca_file().map(Into::into);
    options
}

pub(crate) fn own_redis() -> Option<Redis> {
    taskloom_testkit::or_skip("Redis", Redis::start())
}

pub(crate) fn queues(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

pub(crate) fn ready(queue: &str, priority: Priority, number: usize) -> Ready {
    Ready { queue: queue.into(), priority, id: TaskId::from_u128(number as u128) }
}

pub(crate) fn normal(queue: &str, numbers: std::ops::Range<usize>) -> Vec<Ready> {
    numbers.map(|number| ready(queue, Priority::Normal, number)).collect()
}

pub(crate) fn numbers(tickets: &[Ticket]) -> Vec<usize> {
    tickets.iter().map(|ticket| usize::try_from(ticket.ready.id.as_u128()).unwrap()).collect()
}
