//! Runs one handler to its end, whatever that is.

use std::any::Any;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Instant;

use futures_util::FutureExt;
use futures_util::future::CatchUnwind;
use taskloom_protocol::{Json, Outcome};
use tokio::select;
use tokio::task::coop::unconstrained;
use tokio::time::{Sleep, sleep, sleep_until};

use crate::attempt::{Attempt, Flag};
use crate::registry::Running;
use crate::shared::End;
use crate::{Context, HandlerError, Payload, StopReason};

type Guarded = CatchUnwind<AssertUnwindSafe<Running>>;
type Ended = Result<Result<Json, HandlerError>, Box<dyn Any + Send>>;

/// Runs the attempt and notes its end.
pub(crate) async fn run(attempt: Arc<Attempt>, payload: Payload) {
    let shared = Arc::clone(&attempt.shared);
    let ctx = Context::new(Arc::clone(&attempt));
    let end = match shared.registry.start(&attempt.info.task, ctx, payload) {
        Ok(handler) => guard(&attempt, handler).await,
        Err(error) => End::Outcome(error.into_outcome()),
    };
    if let Some(dir) = attempt.used_dir()
        && let Err(error) = tokio::fs::remove_dir_all(dir).await
    {
        tracing::warn!(%error, dir = %dir.display(), "cannot remove an attempt's directory");
    }
    shared.end(&attempt, end);
}

/// Catches the handler's panics, also the one of its destructors.
async fn guard(attempt: &Attempt, handler: Running) -> End {
    let mut handler = AssertUnwindSafe(handler).catch_unwind();
    let end = supervise(attempt, &mut handler).await;
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| drop(handler))) {
        tracing::error!(task = %attempt.info.id, panic = panic_message(&*panic), "a handler panicked while it was dropped");
    }
    end
}

/// Polls the handler until it ends, or until a flag or a time limit ends it.
async fn supervise(attempt: &Attempt, handler: &mut Guarded) -> End {
    let mut hard = Timer::at(attempt.deadline);
    let mut soft = Timer::at(attempt.soft_deadline);
    let mut grace = Timer(None);
    loop {
        if attempt.has(Flag::LOST) {
            return End::Lost;
        }
        if attempt.has(Flag::GIVE_BACK) {
            return End::GivenBack;
        }
        if attempt.has(Flag::CANCEL) && grace.0.is_none() {
            grace = Timer(Some(Box::pin(sleep(attempt.shared.timing.cancel_grace()))));
        }
        select! {
            biased;
            ended = while_held(attempt, handler) => match ended {
                Some(ended) => return judge(attempt, ended),
                None => attempt.set(Flag::LOST),
            },
            () = attempt.signal.notified() => {}
            () = hard.fires() => {
                attempt.set(Flag::TIMEOUT);
                return End::Outcome(Outcome::Timeout);
            }
            () = grace.fires() => return End::Outcome(Outcome::Cancelled),
            () = soft.fires() => {
                soft.0 = None;
                attempt.set(Flag::SOFT_TIMEOUT);
            }
        }
    }
}

/// Polls the handler as long as the lease holds; nothing if it has ended. A process that was stopped and goes on finds
/// the handler's timers and its own heartbeat due at once: this look keeps the handler from being first.
async fn while_held(attempt: &Attempt, handler: &mut Guarded) -> Option<Ended> {
    poll_fn(|context| {
        if attempt.lease_ended(attempt.shared.stopwatch.micros()) {
            return Poll::Ready(None);
        }
        Pin::new(&mut *handler).poll(context).map(Some)
    })
    .await
}

/// A timer that is made only where a limit exists: most tasks have none.
struct Timer(Option<Pin<Box<Sleep>>>);

impl Timer {
    fn at(instant: Option<Instant>) -> Self {
        Self(instant.map(|instant| Box::pin(sleep_until(instant.into()))))
    }

    /// A handler that is always busy uses up the runtime's budget for this poll; the timer must fire nevertheless.
    async fn fires(&mut self) {
        match &mut self.0 {
            Some(sleep) => unconstrained(sleep).await,
            None => std::future::pending().await,
        }
    }
}

fn judge(attempt: &Attempt, ended: Ended) -> End {
    if attempt.has(Flag::LOST) {
        return End::Lost;
    }
    match ended {
        Ok(Ok(result)) => End::Outcome(Outcome::Success { result }),
        Ok(Err(error)) if error.is_cancelled() => match attempt.stop_reason() {
            Some(StopReason::Draining) => End::GivenBack,
            Some(StopReason::SoftTimeout | StopReason::Timeout) => End::Outcome(Outcome::Timeout),
            Some(StopReason::Cancelled | StopReason::LeaseLost) | None => End::Outcome(Outcome::Cancelled),
        },
        Ok(Err(error)) => End::Outcome(error.into_outcome()),
        Err(panic) => {
            let error = HandlerError::retryable("panic", panic_message(&*panic));
            End::Outcome(error.into_outcome())
        }
    }
}

/// What the panic said, if it said it in words.
pub(crate) fn panic_message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("the handler panicked without a message")
}
