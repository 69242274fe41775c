//! What other processes say, and what nobody said: two loops that wake this process's claimers and watchers.

mod lines;

use std::time::Duration;

use taskloom_protocol::TaskEvent;
use taskloom_store::Heard;
use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::CancellationToken;

use self::lines::Lines;
use crate::{Engine, EngineError};

/// Tasks at the head of a queue that a look sees: for so many, and for the last one, claimers are woken.
const COUNTED: u32 = 64;
/// The first wait between looks where nothing carries word between processes.
const EAGER: Duration = Duration::from_millis(50);

impl Engine {
    /// Wakes claimers when other processes name a queue over the database.
    pub(crate) async fn hear_queues(self, shutdown: CancellationToken) {
        let Some(mut heard) = self.inner.store.listen() else { return };
        while let Some(Some(word)) = shutdown.run_until_cancelled(heard.recv()).await {
            match word {
                Heard::Queues(queues) => {
                    for queue in &queues {
                        // One is enough: who takes all it can wakes the next.
                        self.inner.dispatcher.ring(queue, 1, true);
                    }
                }
                Heard::Again => self.ring_waiting(),
            }
        }
    }

    /// Passes on what happens in other processes to those who watch here.
    pub(crate) async fn hear_events(self, shutdown: CancellationToken) {
        let mut events = self.inner.fanout.events();
        while let Some(received) = shutdown.run_until_cancelled(events.recv()).await {
            match received {
                Ok((id, text)) => {
                    // Another version's event that this one cannot read is as good as missed: watchers look by themselves.
                    if let Ok(event) = serde_json::from_str::<TaskEvent>(&text) {
                        self.inner.bus.publish(id, || event.clone());
                    }
                }
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return,
            }
        }
    }

    fn ring_waiting(&self) {
        for queue in self.inner.dispatcher.waiting() {
            self.inner.dispatcher.ring(&queue, 1, true);
        }
    }

    /// The safety net: looks now and then whether the queues that somebody waits for have tasks of which no word came.
    ///
    /// It looks as often whatever it finds, so that one task that nobody here runs does not delay the others; what such
    /// a task slows down is how often claimers are woken for it.
    pub(crate) async fn sweep(self, shutdown: CancellationToken) {
        let (mut wait, slowest) = (self.least_wait(), self.inner.config.poll);
        let mut lines = Lines::default();
        loop {
            let pause = wait.mul_f64(0.75 + rand::random::<f64>() / 2.0);
            if shutdown.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
                return;
            }
            wait = self.least_wait();
            if let Err(error) = self.look(&mut lines, looks_in(slowest, wait)).await {
                tracing::debug!(%error, "cannot look for ready tasks right now");
                wait = slowest;
            }
        }
    }

    /// Where word comes by itself a look is a safety net; elsewhere it is the only way to hear of other processes.
    fn least_wait(&self) -> Duration {
        let status = self.inner.dispatcher.status();
        let alone = self.inner.store.is_exclusive();
        let has_word = alone || (status.ok && (status.home != "store" || self.inner.store.carries_words()));
        if has_word { self.inner.config.poll } else { EAGER }
    }

    /// Wakes claimers for what is ready; for what they left alone the longest pause is `most` looks.
    async fn look(&self, lines: &mut Lines, most: u32) -> Result<(), EngineError> {
        let queues = self.inner.dispatcher.waiting();
        if queues.is_empty() {
            return Ok(());
        }
        let found = self.inner.store.task_ready_in(queues.clone(), COUNTED).await?;
        for (queue, count) in lines.see(&queues, found, most) {
            self.inner.dispatcher.ring(&queue, count, true);
        }
        Ok(())
    }
}

/// How many looks this far apart there are in a time: one at least.
fn looks_in(time: Duration, apart: Duration) -> u32 {
    ((time.as_secs_f64() / apart.as_secs_f64()).round() as u32).max(1)
}
