//! Renews leases, on a thread of its own.
//!
//! The thread has its own runtime, so that handlers which block every thread of the worker's runtime cannot starve it.

use std::sync::Arc;
use std::time::Duration;

use taskloom_protocol::{Beat, BeatAnswer, BeatTask, TaskRef, WorkerApi, WorkerError};
use tokio::select;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::attempt::{Attempt, Flag};
use crate::backoff::Backoff;
use crate::limits::{MAX_BATCH, MAX_REQUEST_BYTES};
use crate::news::Packet;
use crate::shared::Shared;

/// News travel at most this often.
const NEWS_EVERY: Duration = Duration::from_millis(200);

/// The running thread; dropping it stops the thread.
pub(crate) struct Heartbeat {
    stop: DropGuard,
    done: oneshot::Receiver<()>,
}

impl Heartbeat {
    pub(crate) fn start(shared: &Arc<Shared>, api: Arc<dyn WorkerApi>) -> Result<Self, WorkerError> {
        let cannot =
            |error: std::io::Error| WorkerError::Unavailable(format!("cannot start the heartbeat: {error}"));
        let stop = CancellationToken::new();
        let (tell, done) = oneshot::channel();
        let heart = Heart::new(Arc::clone(shared), api);
        let stopped = stop.clone();
        let thread = std::thread::Builder::new().name("taskloom-beat".into());
        thread
            .spawn(move || {
                // Without a heartbeat the worker holds nothing: if this thread dies, it must stop claiming.
                let _drain = heart.shared.drain.clone().drop_guard();
                match tokio::runtime::Builder::new_current_thread().enable_all().build() {
                    Ok(runtime) => runtime.block_on(heart.run(stopped)),
                    Err(error) => tracing::error!(%error, "the heartbeat cannot start; the worker leaves"),
                }
                // The receiver is gone if the worker was dropped.
                let _ = tell.send(());
            })
            .map_err(cannot)?;
        Ok(Self { stop: stop.drop_guard(), done })
    }

    /// Stops the thread and waits for its end.
    pub(crate) async fn stop(self) {
        drop(self.stop);
        let _ = self.done.await;
    }
}

struct Heart {
    shared: Arc<Shared>,
    api: Arc<dyn WorkerApi>,
    backoff: Backoff,
    /// When all leases are renewed next.
    renew_at: Instant,
    /// When news may travel next.
    news_at: Instant,
}

/// An attempt in a message, with the news it carries there.
struct Line {
    attempt: Arc<Attempt>,
    packet: Option<Packet>,
}

impl Heart {
    fn new(shared: Arc<Shared>, api: Arc<dyn WorkerApi>) -> Self {
        let backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(1));
        let now = Instant::now();
        Self { renew_at: now + shared.timing.beat(), shared, api, backoff, news_at: now }
    }

    async fn run(mut self, stop: CancellationToken) {
        while let Some(()) = stop.run_until_cancelled(self.next()).await {
            self.shared.lose_expired();
            let now = Instant::now();
            let lines = if now >= self.renew_at { Some(self.everything(now)) } else { self.news(now) };
            if let Some(lines) = lines {
                stop.run_until_cancelled(self.send(lines)).await;
                // The answer may have lain unread while the process was stopped.
                self.shared.lose_expired();
            }
        }
    }

    /// Waits until there is something to do.
    async fn next(&self) {
        let latest = self.renew_at.min(Instant::now() + self.tick());
        if !self.shared.is_talking() {
            select! {
                () = sleep_until(latest) => return,
                () = self.shared.news.notified() => {}
            }
        }
        sleep_until(latest.min(self.news_at)).await;
    }

    /// How often leases are looked at.
    fn tick(&self) -> Duration {
        self.shared.timing.lease() / 10
    }

    fn everything(&mut self, now: Instant) -> Vec<Line> {
        self.renew_at = now + self.shared.timing.beat();
        self.news_at = now + NEWS_EVERY;
        drop(self.shared.take_talking());
        let mut held = self.shared.held();
        held.retain(|attempt| !attempt.has(Flag::LOST));
        held.into_iter().map(Line::new).collect()
    }

    fn news(&mut self, now: Instant) -> Option<Vec<Line>> {
        if now < self.news_at {
            return None;
        }
        let talking = self.shared.take_talking();
        let lines: Vec<_> = talking.into_iter().map(Line::new).filter(|line| line.packet.is_some()).collect();
        if lines.is_empty() {
            return None;
        }
        self.news_at = now + NEWS_EVERY;
        Some(lines)
    }

    async fn send(&mut self, lines: Vec<Line>) {
        for part in parts(lines) {
            let sent = self.shared.stopwatch.micros();
            let tasks = part.iter().map(Line::message).collect();
            match self.call(Beat { session: self.shared.session(), tasks }).await {
                Ok(answer) => self.heard(part, &answer, sent),
                Err(error) => self.failed(part, error).await,
            }
        }
    }

    /// Sends one heartbeat; leases that run out meanwhile are noticed.
    async fn call(&self, beat: Beat) -> Result<BeatAnswer, WorkerError> {
        let limit = self.shared.timing.lease() / 3;
        let mut call = std::pin::pin!(timeout(limit, self.api.beat(beat)));
        loop {
            select! {
                biased;
                answer = &mut call => {
                    let late = |_| Err(WorkerError::Unavailable("no answer to a heartbeat in time".into()));
                    return answer.unwrap_or_else(late);
                }
                () = sleep(self.tick()) => self.shared.lose_expired(),
            }
        }
    }

    fn heard(&mut self, part: Vec<Line>, answer: &BeatAnswer, sent: u64) {
        self.backoff.reset();
        for line in part {
            line.attempt.renew(sent);
            line.sent(true);
        }
        self.flag(&answer.cancel, Flag::CANCEL);
        self.flag(&answer.lost, Flag::LOST);
        if answer.drain && !self.shared.drain.is_cancelled() {
            tracing::info!("the server asks this worker to take no more tasks and to leave");
            self.shared.drain.cancel();
        }
    }

    fn flag(&self, tasks: &[TaskRef], flag: Flag) {
        for attempt in tasks.iter().filter_map(|task| self.shared.find(task)) {
            attempt.set(flag);
        }
    }

    async fn failed(&mut self, part: Vec<Line>, error: WorkerError) {
        if self.shared.has_left() {
            // The server forgets whoever leaves; to register again would leave a ghost behind.
            return;
        }
        tracing::warn!(%error, tasks = part.len(), "a heartbeat failed");
        // What the server refuses to read it would refuse again; anything else may arrive the next time.
        let drop_news = matches!(error, WorkerError::Refused { .. });
        for line in part {
            if error == WorkerError::LeaseLost {
                line.attempt.set(Flag::LOST);
            }
            line.sent(drop_news);
        }
        if error == WorkerError::UnknownSession
            && let Err(error) = self.shared.register(&*self.api).await
        {
            tracing::warn!(%error, "cannot register again");
        }
        self.renew_at = Instant::now() + self.backoff.next().min(self.shared.timing.beat());
    }
}

impl Line {
    fn new(attempt: Arc<Attempt>) -> Self {
        let packet = attempt.news().take_for_beat();
        Self { attempt, packet }
    }

    fn message(&self) -> BeatTask {
        let TaskRef { id, epoch } = self.attempt.task_ref();
        let (progress, detail, logs) = match &self.packet {
            Some(packet) => (packet.progress, packet.detail.clone(), packet.lines.clone()),
            None => (None, None, Vec::new()),
        };
        BeatTask { id, epoch, progress, detail, logs }
    }

    /// The message has returned; the news come back if they did not arrive, and an end that waited can be reported.
    fn sent(self, arrived: bool) {
        let Some(packet) = self.packet else { return };
        let end = self.attempt.news().sent((!arrived).then_some(packet));
        if let Some(outcome) = end {
            self.attempt.shared.finish(&self.attempt, outcome);
        }
    }
}

/// Splits lines into messages that a server takes; at least one, which says that the worker lives.
fn parts(lines: Vec<Line>) -> Vec<Vec<Line>> {
    let mut parts = vec![Vec::new()];
    let mut bytes = 0;
    for line in lines {
        let size = line.packet.as_ref().map_or(0, Packet::bytes);
        let last = parts.last().map_or(0, Vec::len);
        if last >= MAX_BATCH || (last > 0 && bytes + size > MAX_REQUEST_BYTES) {
            parts.push(Vec::new());
            bytes = 0;
        }
        bytes += size;
        if let Some(part) = parts.last_mut() {
            part.push(line);
        }
    }
    parts
}
