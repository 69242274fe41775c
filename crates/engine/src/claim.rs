//! Claims: what a worker is handed, and how long it waits for it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use taskloom_dispatch::Ticket;
use taskloom_model::{Priority, State};
use taskloom_protocol::{ClaimRequest, Claimed, TaskEvent, WorkerError};
use taskloom_store::{ClaimSpec, Claims, Hint};

use crate::Engine;
use crate::session::Session;
use crate::worker_check::check_range;

/// The pause before more of a long queue is looked at.
const WALK_ON: Duration = Duration::from_millis(10);
/// The shortest wait for a limit.
const LEAST: Duration = Duration::from_millis(1);

impl Engine {
    /// [`WorkerApi::claim`](taskloom_protocol::WorkerApi::claim) that stops waiting when `given_up` ends. A claim that has begun is carried through.
    pub async fn claim_until(
        &self,
        request: ClaimRequest,
        given_up: impl Future<Output = ()> + Send,
    ) -> Result<Vec<Claimed>, WorkerError> {
        let mut given_up = std::pin::pin!(given_up);
        check_range("limit", u64::from(request.limit), 1, 10_000)?;
        check_range("wait_ms", u64::from(request.wait_ms), 0, 60_000)?;
        let deadline = Instant::now() + Duration::from_millis(u64::from(request.wait_ms));
        self.session(request.session).await?.hear(self.now());
        let mut ask_store = true;
        loop {
            let session = self.session(request.session).await?;
            // First listen, then look: a task that comes in between rings.
            let waiter = self.inner.dispatcher.listen(&session.queues);
            if session.draining || session.is_silent(self.inner.config.lease, self.now()) {
                return Ok(Vec::new());
            }
            let Claims { claimed, expired, cut, wake_at, .. } =
                self.claim_once(&session, &request, ask_store).await?;
            if claimed.is_empty() && !expired.is_empty() {
                // There may be some behind those that were too late.
                continue;
            }
            if cut || claimed.len() == request.limit as usize {
                // There may be more than this worker can take: pass the wake-up on.
                for queue in session.queues.iter() {
                    self.inner.dispatcher.ring(queue, 1, true);
                }
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if !claimed.is_empty() || left.is_zero() {
                return Ok(claimed);
            }
            let patience = wake_at.map_or(Duration::MAX, |at| at.since(self.now()).max(LEAST));
            tokio::select! {
                biased;
                // A queue's rate lets the next start then, or there is more of a long queue to look at.
                () = tokio::time::sleep(patience.min(left)), if wake_at.is_some() => ask_store = true,
                // Now and then it looks by itself, also where no loop runs.
                wake = waiter.wait(left.min(self.inner.config.poll * 5)) => ask_store = wake.is_none_or(|w| w.ask_store),
                () = &mut given_up => return Ok(Vec::new()),
            }
        }
    }

    /// Tasks that the dispatcher hands out; else, if that is worth it, whatever the store has.
    async fn claim_once(
        &self,
        session: &Session,
        request: &ClaimRequest,
        ask_store: bool,
    ) -> Result<Claims, WorkerError> {
        if let Some(from) = self.inner.turns.look_back() {
            let claims = self.claim_passed_by(session, request, from).await?;
            if !claims.claimed.is_empty() {
                return Ok(claims);
            }
            // Hints come in the order of submissions; the store knows whose turn it is.
            let claims = self.claim_from_store(session, request, Arc::new([])).await?;
            if !claims.claimed.is_empty() || claims.wake_at.is_some() {
                return Ok(claims);
            }
        }
        let tickets = self.inner.dispatcher.take(&session.queues, request.limit as usize).await;
        if !tickets.is_empty() {
            let hint = |ticket: &Ticket| Hint { queue: Arc::clone(&ticket.ready.queue), id: ticket.ready.id };
            let claims = self.claim_from_store(session, request, tickets.iter().map(hint).collect()).await;
            // Whatever came of it: should the store not answer, the sweep finds them again.
            self.inner.dispatcher.done(tickets);
            let claims = claims?;
            if !claims.claimed.is_empty() || claims.wake_at.is_some() {
                return Ok(claims);
            }
        } else if !ask_store {
            return Ok(Claims::default());
        }
        // Also where hints led to nothing: tasks that nobody here knows must not use up the calls that are meant for others.
        let claims = self.claim_from_store(session, request, Arc::new([])).await?;
        if claims.passed_by && claims.claimed.is_empty() && claims.expired.is_empty() {
            return self.claim_further(session, request, claims).await;
        }
        Ok(claims)
    }

    /// Tasks that stand behind many whose handlers the worker does not know.
    async fn claim_further(
        &self,
        session: &Session,
        request: &ClaimRequest,
        none: Claims,
    ) -> Result<Claims, WorkerError> {
        let spec = self.claim_spec(session, request, Arc::new([]));
        let further = self.inner.store.task_further(&spec).await.map_err(|e| self.failed(&e))?;
        let mut claims = if further.hints.is_empty() {
            none
        } else {
            self.claim_from_store(session, request, further.hints.into()).await?
        };
        if further.more && claims.claimed.is_empty() {
            claims.wake_at = claims.wake_at.into_iter().chain([self.now().plus(WALK_ON)]).min();
        }
        Ok(claims)
    }

    /// Tasks of lower priority, the last queue first, that wait for long while more urgent ones go before them.
    async fn claim_passed_by(
        &self,
        session: &Session,
        request: &ClaimRequest,
        from: Priority,
    ) -> Result<Claims, WorkerError> {
        let before = self.now().minus(self.inner.config.aging);
        let queues = Arc::clone(&session.queues);
        let found = self.inner.store.task_overdue(queues, from, before, request.limit).await;
        let hints = found.map_err(|e| self.failed(&e))?;
        if hints.is_empty() {
            return Ok(Claims::default());
        }
        self.claim_from_store(session, request, hints.into()).await
    }

    fn claim_spec(&self, session: &Session, request: &ClaimRequest, hints: Arc<[Hint]>) -> ClaimSpec {
        ClaimSpec {
            session: request.session,
            queues: Arc::clone(&session.queues),
            handlers: Arc::clone(&session.handlers),
            limit: request.limit,
            lease: self.inner.config.lease,
            now: self.now(),
            hints,
        }
    }

    async fn claim_from_store(
        &self,
        session: &Session,
        request: &ClaimRequest,
        hints: Arc<[Hint]>,
    ) -> Result<Claims, WorkerError> {
        let spec = self.claim_spec(session, request, hints);
        let mut claims = self.inner.store.task_claim(spec).await.map_err(|e| self.failed(&e))?;
        if claims.unknown {
            self.inner.sessions.remove(request.session);
            return Err(WorkerError::UnknownSession);
        }
        self.fill_inputs(request.session, &mut claims).await;
        self.announce(&claims.expired);
        if self.is_watched() {
            for task in &claims.claimed {
                let (state, attempt) = (State::Running, task.attempt);
                self.publish(task.id, || TaskEvent::State {
                    state,
                    status: state.status(),
                    reason: None,
                    attempt,
                });
            }
        }
        Ok(claims)
    }
}
