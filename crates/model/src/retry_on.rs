//! Which errors another attempt may mend.

use std::time::Duration;

use crate::{Action, Finish, Life, Phase, Rules, Timestamp};

/// The type of error that running into the time limit is.
pub const TIMEOUT_ERROR: &str = "timeout";
/// The type of error that a lost worker is.
pub const LOST_ERROR: &str = "lost";
/// The type of error of a handler that gives up although nobody asked it to.
pub const CANCELLED_ERROR: &str = "cancelled";

/// Whether a task that names these types of errors is tried again after one of this type. An empty list means all.
pub fn is_retried_on(retry_on: &[String], error: &str) -> bool {
    retry_on.is_empty() || retry_on.iter().any(|named| named == error)
}

/// What an action means to a task that is tried again only after errors of the types in `retry_on`.
///
/// An error of another type is fatal. After a time limit or a lost worker that the list does not name no attempt is
/// left: the reason stays `timeout` or `lost`, which says more than `fatal`. `error` is the type that the worker
/// reports; a handler's own idea of when to try again does not make a type retried.
pub fn confine(
    retry_on: &[String],
    error: Option<&str>,
    life: &Life,
    rules: Rules,
    action: Action,
    now: Timestamp,
) -> (Action, Rules) {
    let over = |kind| if is_retried_on(retry_on, kind) { rules } else { Rules { max_attempts: 0, ..rules } };
    match action {
        Action::Finish { epoch, finish: Finish::Error { .. } | Finish::Cancelled } => {
            if is_retried_on(retry_on, error.unwrap_or(CANCELLED_ERROR)) {
                (action, rules)
            } else {
                (Action::Finish { epoch, finish: Finish::Fatal }, rules)
            }
        }
        Action::Finish { finish: Finish::Timeout, .. } => (action, over(TIMEOUT_ERROR)),
        Action::Reap { grace } if is_over_time(life, grace, now) => (action, over(TIMEOUT_ERROR)),
        Action::Reap { .. } => (action, over(LOST_ERROR)),
        _ => (action, rules),
    }
}

/// Whether a running attempt's deadline and the grace after it have passed.
pub(crate) fn is_over_time(life: &Life, grace: Duration, now: Timestamp) -> bool {
    matches!(life.phase, Phase::Running { deadline: Some(at), .. } if at.plus(grace) <= now)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Backoff, Effect, Reason, SessionId, State, next};

    const GRACE: Duration = Duration::from_secs(1);

    fn at(seconds: u64) -> Timestamp {
        Timestamp::MIN.plus(Duration::from_secs(seconds))
    }

    /// A first attempt with a lease until 10 and a deadline at 5.
    fn running(deadline: Option<Timestamp>) -> Life {
        let (session, started_at) = (SessionId::from_u128(1), at(0));
        let phase = Phase::Running { session, lease_until: at(10), deadline, started_at, cancel: false };
        Life { epoch: 1, attempt: 1, crashes: 0, refunds: 0, phase }
    }

    fn rules() -> Rules {
        Rules {
            max_attempts: 3,
            timeout: None,
            backoff: Backoff::default(),
            expires_at: None,
            limits: crate::Limits::default(),
        }
    }

    /// Where the action leads under the list.
    fn lead(
        retry_on: &[&str],
        error: Option<&str>,
        life: Life,
        action: Action,
        now: Timestamp,
    ) -> (State, Reason) {
        let retry_on: Vec<String> = retry_on.iter().map(|kind| (*kind).to_owned()).collect();
        let (action, rules) = confine(&retry_on, error, &life, rules(), action, now);
        let Effect::Become(after) = next(&life, &rules, action, now, 0.5).unwrap().effect else { panic!() };
        (after.state(), after.reason().unwrap())
    }

    #[test]
    fn an_error_that_is_not_named_is_fatal() {
        let failed = Action::Finish { epoch: 1, finish: Finish::Error { retry_in: Some(GRACE) } };
        let life = running(None);
        assert_eq!(lead(&["Busy"], Some("Busy"), life, failed, at(1)), (State::Scheduled, Reason::Retry));
        assert_eq!(lead(&["Busy"], Some("busy"), life, failed, at(1)), (State::Failed, Reason::Fatal));
        assert_eq!(lead(&[], Some("any"), life, failed, at(1)), (State::Scheduled, Reason::Retry));
        let gave_up = Action::Finish { epoch: 1, finish: Finish::Cancelled };
        assert_eq!(lead(&["Busy"], None, life, gave_up, at(1)), (State::Failed, Reason::Fatal));
    }

    #[test]
    fn time_limits_and_lost_workers_are_types_too() {
        let (life, limited) = (running(None), running(Some(at(5))));
        let timeout = Action::Finish { epoch: 1, finish: Finish::Timeout };
        let reap = Action::Reap { grace: GRACE };
        assert_eq!(lead(&["timeout"], None, life, timeout, at(1)), (State::Scheduled, Reason::Retry));
        assert_eq!(lead(&["lost"], None, life, timeout, at(1)), (State::Failed, Reason::Timeout));
        assert_eq!(lead(&["timeout"], None, limited, reap, at(6)), (State::Scheduled, Reason::Retry));
        assert_eq!(lead(&["timeout"], None, life, reap, at(20)), (State::Failed, Reason::Lost));
        assert_eq!(lead(&["lost"], None, life, reap, at(20)), (State::Scheduled, Reason::Retry));
        assert_eq!(lead(&["lost"], None, limited, reap, at(6)), (State::Failed, Reason::Timeout));
    }

    #[test]
    fn what_is_no_error_is_left_alone() {
        let retry_on = ["Busy".to_owned()];
        let snooze = Action::Finish { epoch: 1, finish: Finish::Snooze(GRACE) };
        for action in [Action::Drain { epoch: 1 }, snooze, Action::Cancel { force: false }, Action::Retry] {
            assert_eq!(confine(&retry_on, None, &running(None), rules(), action, at(1)), (action, rules()));
        }
    }
}
