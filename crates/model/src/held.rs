//! T5, T7, T8, T9: how an attempt ends.

use std::time::Duration;

use crate::machine::{CRASH_CAP, Effect, Finish, REFUND_CAP, Refusal, Transition, ended, ready};
use crate::{AttemptEnd, AttemptOutcome, Life, Phase, Reason, Rules, SessionId, State, Timestamp, Wait};

/// A running task in the hands of the worker that may write to it.
pub(crate) struct Held {
    pub(crate) life: Life,
    pub(crate) session: SessionId,
    pub(crate) started_at: Timestamp,
    pub(crate) cancel: bool,
}

impl Held {
    pub(crate) fn by_epoch(life: &Life, epoch: u32) -> Result<Self, Refusal> {
        match life.phase {
            Phase::Running { session, started_at, cancel, .. } if life.epoch == epoch => {
                Ok(Self { life: *life, session, started_at, cancel })
            }
            _ => Err(Refusal::LeaseLost),
        }
    }

    /// The step from this attempt to `life`.
    pub(crate) fn ends(&self, rule: u8, life: Life, outcome: AttemptOutcome, now: Timestamp) -> Transition {
        let attempt_end = AttemptEnd {
            attempt: self.life.attempt,
            epoch: self.life.epoch,
            session: self.session,
            started_at: self.started_at,
            ended_at: now,
            outcome,
        };
        Transition { rule, effect: Effect::Become(life), attempt_end: Some(attempt_end) }
    }

    fn to(&self, rule: u8, phase: Phase, outcome: AttemptOutcome, now: Timestamp) -> Transition {
        self.ends(rule, Life { phase, ..self.life }, outcome, now)
    }

    pub(crate) fn finish(&self, rules: &Rules, finish: Finish, now: Timestamp, random: f64) -> Transition {
        let (outcome, reason, delay) = match finish {
            Finish::Success => {
                let phase = Phase::Ended { state: State::Succeeded, reason: None, at: now };
                return self.to(5, phase, AttemptOutcome::Succeeded, now);
            }
            _ if self.cancel => return self.revoke(7, AttemptOutcome::Cancelled, now),
            Finish::Snooze(delay) => return self.snooze(rules, delay, now),
            Finish::Fatal => {
                let phase = ended(State::Failed, Reason::Fatal, now);
                return self.to(5, phase, AttemptOutcome::Failed, now);
            }
            Finish::Error { retry_in } => (AttemptOutcome::Failed, Reason::Error, retry_in),
            // A handler that gives up although nobody asked it to has failed.
            Finish::Cancelled => (AttemptOutcome::Failed, Reason::Error, None),
            Finish::Timeout => (AttemptOutcome::TimedOut, Reason::Timeout, None),
        };
        let phase = self.again_or(rules, reason, delay, now, random);
        self.to(5, phase, outcome, now)
    }

    pub(crate) fn reap(&self, rules: &Rules, over_time: bool, now: Timestamp, random: f64) -> Transition {
        let outcome = if over_time { AttemptOutcome::TimedOut } else { AttemptOutcome::Lost };
        let crashes = self.life.crashes + u32::from(!over_time);
        let phase = if self.cancel {
            ended(State::Revoked, Reason::Cancelled, now)
        } else if over_time {
            self.again_or(rules, Reason::Timeout, None, now, random)
        } else if crashes >= CRASH_CAP {
            ended(State::Failed, Reason::Poisoned, now)
        } else {
            self.again_or(rules, Reason::Lost, None, now, random)
        };
        let life = Life { epoch: self.life.epoch + 1, crashes, phase, ..self.life };
        self.ends(8, life, outcome, now)
    }

    pub(crate) fn drain(&self, rules: &Rules, now: Timestamp) -> Transition {
        if self.cancel {
            return self.revoke(9, AttemptOutcome::Cancelled, now);
        }
        let life = self.refunded();
        let phase = if life.has_attempts_left(rules) {
            ready(rules.limits)
        } else {
            ended(State::Failed, Reason::Lost, now)
        };
        self.ends(9, Life { phase, ..life }, AttemptOutcome::Drained, now)
    }

    fn snooze(&self, rules: &Rules, delay: Duration, now: Timestamp) -> Transition {
        let life = self.refunded();
        let phase = if life.has_attempts_left(rules) {
            Phase::Scheduled { run_at: now.plus(delay), wait: Wait::Snooze }
        } else {
            ended(State::Failed, Reason::Error, now)
        };
        self.ends(5, Life { phase, ..life }, AttemptOutcome::Snoozed, now)
    }

    fn revoke(&self, rule: u8, outcome: AttemptOutcome, now: Timestamp) -> Transition {
        self.to(rule, ended(State::Revoked, Reason::Cancelled, now), outcome, now)
    }

    fn refunded(&self) -> Life {
        let refunds = self.life.refunds + u32::from(self.life.refunds < REFUND_CAP);
        Life { refunds, ..self.life }
    }

    fn again_or(
        &self,
        rules: &Rules,
        reason: Reason,
        delay: Option<Duration>,
        now: Timestamp,
        random: f64,
    ) -> Phase {
        if !self.life.has_attempts_left(rules) {
            return ended(State::Failed, reason, now);
        }
        let spent = self.life.attempt.saturating_sub(self.life.refunds);
        let delay = delay.unwrap_or_else(|| rules.backoff.delay(spent, random));
        Phase::Scheduled { run_at: now.plus(delay), wait: Wait::Retry }
    }
}
