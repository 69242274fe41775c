//! Why a task is where it is.

use taskloom_model::{Reason, State, TaskId};
use taskloom_protocol::{Explanation, Task, WorkerInfo};

use crate::{Caller, Engine, EngineError};

impl Engine {
    /// Why a task is where it is, and what would help.
    pub async fn explain(&self, caller: &Caller, id: TaskId) -> Result<Explanation, EngineError> {
        let task = self.get(caller, id).await?;
        let mut details = Vec::new();
        let summary = match task.state {
            State::Blocked => self.blocked(caller, &task, &mut details).await?,
            State::Scheduled => scheduled(&task),
            State::Limited => "It waits for a limit to leave room.".to_owned(),
            State::Ready => self.ready(&task, &mut details).await?,
            State::Running => running(&task, &mut details),
            State::Succeeded => "It succeeded.".to_owned(),
            State::Failed | State::Revoked => ended(&task, &mut details),
        };
        if task.attempt > 0 {
            details.push(format!("Attempt {} of {}.", task.attempt, task.max_attempts));
        }
        Ok(Explanation { state: task.state, summary, details })
    }

    async fn blocked(
        &self,
        caller: &Caller,
        task: &Task,
        details: &mut Vec<String>,
    ) -> Result<String, EngineError> {
        let mut open = 0;
        for parent in &task.parent_ids {
            let Ok(parent) = self.get(caller, *parent).await else { continue };
            if !parent.has_ended() {
                open += 1;
                details.push(format!("Task {} ({}) is {}.", parent.id, parent.task, parent.state));
            }
        }
        Ok(format!("It waits for {open} of {} tasks that it depends on.", task.parent_ids.len()))
    }

    async fn ready(&self, task: &Task, details: &mut Vec<String>) -> Result<String, EngineError> {
        let workers = self.workers().await?;
        let serving: Vec<&WorkerInfo> =
            workers.iter().filter(|w| w.alive && !w.draining && w.queues.contains(&task.queue)).collect();
        let slots: u32 = serving.iter().map(|w| w.concurrency).sum();
        let knowing =
            serving.iter().filter(|w| w.handlers.is_empty() || w.handlers.contains(&task.task)).count();
        if serving.is_empty() {
            let queue = &task.queue;
            details.push(format!("Start one: taskloom worker --server URL --token … --queues {queue}"));
            return Ok(format!("No live worker serves the queue {queue:?}."));
        }
        details.push(format!(
            "{} workers with {slots} slots serve the queue {:?}.",
            serving.len(),
            task.queue
        ));
        if knowing == 0 {
            let rule =
                "A task waits for a worker that knows its handler: start one, or submit it to another queue.";
            details.push(rule.to_owned());
            return Ok(format!("No live worker on its queue knows the handler {:?}.", task.task));
        }
        Ok("It waits for a free worker.".to_owned())
    }
}

fn scheduled(task: &Task) -> String {
    let until = task.scheduled_at.map(|at| at.to_string()).unwrap_or_default();
    match task.reason {
        Some(Reason::Retry) => format!("Its last attempt failed; the next is due at {until}."),
        Some(Reason::Snoozed) => format!("Its handler asked to run again at {until}."),
        _ => format!("It is to run at {until}."),
    }
}

fn running(task: &Task, details: &mut Vec<String>) -> String {
    details.push(format!("{:.0} % done.", task.progress));
    let worker = task.worker.as_deref().unwrap_or("a worker");
    if task.reason == Some(Reason::Cancelling) {
        details.push("If it does not stop, cancel it with force.".to_owned());
        return format!("{worker} was asked to stop it and has not answered yet.");
    }
    format!("{worker} runs it.")
}

fn ended(task: &Task, details: &mut Vec<String>) -> String {
    if let Some(error) = &task.error {
        details.push(format!("{}: {}", error.kind, error.message));
    }
    match task.reason {
        Some(Reason::Cancelled) => "It was cancelled.",
        Some(Reason::Expired) => "It was not started before its expires_at.",
        Some(Reason::DependencyFailed) => "A task it depends on did not succeed.",
        Some(Reason::Fatal) => "Its handler failed with an error that no retry can mend.",
        Some(Reason::Timeout) => "Its last attempt ran into its time limit.",
        Some(Reason::Lost) => "Its worker was lost and no attempt is left.",
        Some(Reason::Poisoned) => "Its workers were lost again and again; it may be what kills them.",
        _ => "Its handler failed and no attempt is left.",
    }
    .to_owned()
}
