//! How far a watcher has come.

use std::fmt;
use std::str::FromStr;

use taskloom_model::{Reason, State};
use taskloom_protocol::{Task, TaskEvent};

/// What a watcher has been told: the id of a server-sent event. It holds nothing of the process that gave it, so any
/// server can go on from it. Written `SEQ:ATTEMPT:STATE:REASON:PROGRESS`; a bare `SEQ` knows only log lines, and `0`
/// nothing at all.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct WatchPlace {
    /// The last log line.
    seq: u64,
    known: Option<Known>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Known {
    attempt: u32,
    state: State,
    reason: Option<Reason>,
    progress: f64,
}

/// The text is no place of a watch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the id of an event of this server; 0 stands for the beginning")]
pub struct BadPlace;

impl WatchPlace {
    pub(super) fn of(task: &Task, seq: u64) -> Self {
        let Task { attempt, state, reason, progress, .. } = *task;
        Self { seq, known: Some(Known { attempt, state, reason, progress }) }
    }

    pub(super) fn seq(&self) -> u64 {
        self.seq
    }

    /// Whether the watcher knows that the task has ended.
    pub(super) fn has_ended(&self) -> bool {
        self.known.is_some_and(|known| known.state.is_terminal())
    }

    pub(super) fn is_end(event: &TaskEvent) -> bool {
        matches!(event, TaskEvent::State { state, .. } if state.is_terminal())
    }

    /// Whether a change of state says what the watcher does not know.
    pub(super) fn is_news(&self, event: &TaskEvent) -> bool {
        let TaskEvent::State { state, reason, attempt, .. } = event else { return true };
        self.known
            .is_none_or(|known| (known.state, known.reason, known.attempt) != (*state, *reason, *attempt))
    }

    pub(super) fn knows_progress(&self, progress: f64) -> bool {
        self.known.map_or(progress == 0.0, |known| (known.progress - progress).abs() < 1e-9)
    }

    /// Notes that the watcher is told this.
    pub(super) fn pass(&mut self, event: &TaskEvent) {
        match (event, &mut self.known) {
            (TaskEvent::Log { seq, .. }, _) => self.seq = self.seq.max(*seq),
            (TaskEvent::Progress { progress, .. }, Some(known)) => known.progress = *progress,
            (TaskEvent::Progress { .. }, None) => {}
            (TaskEvent::State { state, reason, attempt, .. }, known) => {
                let progress = known.map_or(0.0, |known| known.progress);
                *known = Some(Known { attempt: *attempt, state: *state, reason: *reason, progress });
            }
        }
    }
}

impl fmt::Display for WatchPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.known {
            None => write!(f, "{}", self.seq),
            Some(Known { attempt, state, reason, progress }) => {
                let reason = reason.map_or("-", Reason::name);
                write!(f, "{}:{attempt}:{}:{reason}:{progress}", self.seq, state.name())
            }
        }
    }
}

impl FromStr for WatchPlace {
    type Err = BadPlace;

    fn from_str(text: &str) -> Result<Self, BadPlace> {
        let mut parts = text.split(':');
        let seq = parts.next().and_then(|seq| seq.parse().ok()).ok_or(BadPlace)?;
        // Databases count so far and no further.
        let seq = Some(seq).filter(|seq| i64::try_from(*seq).is_ok()).ok_or(BadPlace)?;
        let rest: Vec<&str> = parts.collect();
        let known = match rest[..] {
            [] => None,
            [attempt, state, reason, progress] => Some(Known {
                attempt: attempt.parse().map_err(|_| BadPlace)?,
                state: state.parse().map_err(|_| BadPlace)?,
                reason: match reason {
                    "-" => None,
                    reason => Some(reason.parse().map_err(|_| BadPlace)?),
                },
                progress: progress.parse().ok().filter(|p| (0.0..=100.0).contains(p)).ok_or(BadPlace)?,
            }),
            _ => return Err(BadPlace),
        };
        Ok(Self { seq, known })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_as_it_was_written() {
        for text in ["0", "17", "17:2:running:-:40.5", "0:1:failed:timeout:0", "3:0:blocked:dependencies:0"] {
            assert_eq!(text.parse::<WatchPlace>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_no_place_is_refused() {
        let bad = [
            "",
            "x",
            "-1",
            "1:2",
            "1:1:asleep:-:0",
            "1:1:running:-:NaN",
            "1:1:running:-:101",
            "9".repeat(19).as_str(),
        ]
        .map(str::to_owned);
        for text in bad {
            assert_eq!(text.parse::<WatchPlace>(), Err(BadPlace), "{text}");
        }
    }
}
