//! An explanation in words, and the code that stands for them.

use std::time::Duration;

use taskloom_model::{Reason, State, TaskId};
use taskloom_protocol::{Cause, Explanation, FullLimit, OpenParents, Serving, Task};

use super::limits::{Holding, Kept};
use super::line::{Before, HEAD};

pub(super) fn blocked(task: &Task, open: u64, parents: &OpenParents, told: &mut Explanation) {
    told.cause = Cause::WaitsForParents;
    told.summary = match task.parent_ids.len() {
        1 => "It waits for the task that it depends on.".to_owned(),
        all => format!("It waits for {open} of {all} tasks that it depends on."),
    };
    for parent in &parents.items {
        told.details.push(format!("Task {} ({}) is {}.", parent.id, parent.task, parent.state));
    }
    if parents.more > 0 {
        told.details.push(count(parents.more, "more has not ended.", "more have not ended."));
    }
    let Some(root) = &parents.root else { return };
    told.details
        .push(format!("At the root of the chain is task {} ({}): {}.", root.id, root.task, root.state));
    told.suggestion = Some(format!("taskloom explain {}", root.id));
}

pub(super) fn scheduled(task: &Task, told: &mut Explanation) {
    told.runs_at = task.scheduled_at;
    let until = task.scheduled_at.map(|at| at.to_string()).unwrap_or_default();
    (told.cause, told.summary) = match task.reason {
        Some(Reason::Retry) => {
            (Cause::WaitsForRetry, format!("Its last attempt failed; the next is due at {until}."))
        }
        Some(Reason::Snoozed) => (Cause::Snoozed, format!("Its handler asked to run again at {until}.")),
        _ => (Cause::WaitsForTime, format!("It is to run at {until}.")),
    };
    if let Some(error) = task.error.as_ref().filter(|_| told.cause == Cause::WaitsForRetry) {
        told.details.push(format!("{}: {}", error.kind, error.message));
    }
    if let Some(expires_at) = task.expires_at {
        told.details.push(format!("It is revoked if it has not started at {expires_at}."));
    }
}

/// A task that waits for the limit that its reason names, which these hold.
pub(super) fn limited(task: &Task, limit: Option<FullLimit>, holdings: &[Holding], told: &mut Explanation) {
    let cause = match task.reason {
        Some(Reason::Rate) => Cause::RateLimit,
        _ => Cause::ConcurrencyLimit,
    };
    told.suggestion = limit.as_ref().and_then(|limit| way_out(limit, holdings));
    held_back(task, cause, limit, holdings, told);
}

pub(super) fn held_back(
    task: &Task,
    cause: Cause,
    limit: Option<FullLimit>,
    holdings: &[Holding],
    told: &mut Explanation,
) {
    told.cause = cause;
    let which = limit.as_ref().map(|limit| format!(" {:?}", limit.key)).unwrap_or_default();
    told.summary = match cause {
        Cause::QueuePaused => format!("Its queue {:?} is paused.", task.queue),
        Cause::RateLimit => format!("As many tasks have started lately as the rate limit{which} lets."),
        Cause::QueueLimit => format!("Its queue {:?} runs as many tasks as it may.", task.queue),
        _ => format!("The places of the concurrency limit{which} are all taken."),
    };
    if let Some(FullLimit { limit, seconds, holders, others, waiting, next_at, .. }) = &limit {
        match seconds {
            Some(seconds) => told.details.push(format!("The limit is {limit} in {seconds} s.")),
            None => told.details.push(format!("The limit is {limit} at once.")),
        }
        told.details.extend(holders.iter().map(|holder| holds(*holder, holdings)));
        if *others > 0 {
            told.details.push(count(*others, "other holds it.", "others hold it."));
        }
        if *waiting > 0 {
            let (one, many) = ("task waits for it before this one.", "tasks wait for it before this one.");
            told.details.push(count(*waiting, one, many));
        }
        told.estimated_start = next_at.filter(|_| *waiting == 0);
    }
    if cause == Cause::QueuePaused {
        told.suggestion = Some(resume(&task.queue));
    }
    told.limit = limit;
}

/// What a holder of a limit does meanwhile.
fn holds(id: TaskId, holdings: &[Holding]) -> String {
    let Some(Holding { state, queue, kept, .. }) = holdings.iter().find(|holding| holding.id == id) else {
        return format!("Task {id} holds it.");
    };
    match (state, kept) {
        (State::Running, _) => format!("Task {id} holds it and runs."),
        (_, Some(Kept::Paused)) => {
            format!("Task {id} holds it; it is ready, but its queue {queue:?} is paused.")
        }
        (_, Some(Kept::Unserved)) => {
            format!("Task {id} holds it; it is ready, but no live worker serves its queue {queue:?}.")
        }
        (State::Ready, None) => format!("Task {id} holds it; it is ready and waits for a worker."),
        (State::Limited, None) => format!("Task {id} holds it; it waits for a rate limit."),
        _ => format!("Task {id} holds it; it is {state}."),
    }
}

/// What would let the holders of a limit go on, if none of them runs.
fn way_out(limit: &FullLimit, holdings: &[Holding]) -> Option<String> {
    if limit.others > 0 || holdings.iter().any(|holding| holding.state == State::Running) {
        return None;
    }
    let of = |kept: Kept| holdings.iter().find(|holding| holding.kept == Some(kept));
    if let Some(Holding { queue, .. }) = of(Kept::Paused) {
        return Some(resume(queue));
    }
    if let Some(Holding { queue, .. }) = of(Kept::Unserved) {
        return Some(start_worker(queue));
    }
    holdings.first().map(|holding| format!("taskloom explain {}", holding.id))
}

fn resume(queue: &str) -> String {
    format!("taskloom queue resume {queue}")
}

fn start_worker(queue: &str) -> String {
    format!("taskloom worker --server URL --token … --queues {queue}")
}

pub(super) fn no_worker(task: &Task, told: &mut Explanation) {
    let queue = &task.queue;
    told.cause = Cause::NoWorkerForQueue;
    told.summary = format!("No live worker serves the queue {queue:?}.");
    let start = start_worker(queue);
    told.details.push(format!("Start one: {start}"));
    told.suggestion = Some(start);
}

pub(super) fn no_handler(task: &Task, told: &mut Explanation) {
    told.cause = Cause::NoWorkerForHandler;
    told.summary = format!("No live worker on its queue knows the handler {:?}.", task.task);
    let rule = "A task waits for a worker that knows its handler: start one, or submit it to another queue.";
    told.details.push(rule.to_owned());
    let built_in = "The one that is suggested knows the handlers that come with Taskloom, no others.";
    told.details.push(built_in.to_owned());
    told.suggestion = Some(start_worker(&task.queue));
}

pub(super) fn in_line(workers: Serving, before: &Before, aging: Duration, told: &mut Explanation) {
    let Serving { knowing, slots, busy, .. } = workers;
    let run = if busy < slots { count(busy, "task", "tasks") } else { format!("all {slots}") };
    told.details.push(match knowing {
        1 => format!("The worker that serves its queue runs {run} of {slots} at once."),
        _ => format!("{knowing} workers that serve its queue run {run} of {slots} at once."),
    });
    if before.unknown > 0 {
        let some = if before.tasks + before.unknown > u64::from(HEAD) {
            format!("Of the first {HEAD} before it ")
        } else {
            "Before it ".to_owned()
        };
        let one = "task is of a handler that its workers do not know, and is passed over.";
        let many = "tasks are of handlers that its workers do not know, and are passed over.";
        told.details.push(some + &count(before.unknown, one, many));
    }
    if busy < slots && before.tasks == 0 && before.queues.is_empty() {
        told.cause = Cause::Starting;
        "A worker is free for it: it starts at any moment.".clone_into(&mut told.summary);
        return;
    }
    let more = if told.position_capped { "more than " } else { "" };
    let mut facts = Vec::new();
    if before.tasks > 0 {
        let tasks = count(before.tasks, "task of its queue is", "tasks of its queue are");
        facts.push(format!("{more}{tasks} before it"));
    }
    if !before.queues.is_empty() {
        let queues: Vec<String> = before.queues.iter().map(|queue| format!("{queue:?}")).collect();
        facts.push(format!("its workers serve {} first, where tasks wait", queues.join(", ")));
    }
    if facts.is_empty() {
        facts.push(match before.unknown {
            0 => "no task of its queue is before it".to_owned(),
            _ => "no task of its queue that its workers know is before it".to_owned(),
        });
    }
    let facts = facts.join(", and ");
    (told.cause, told.summary) = if busy < slots {
        (Cause::TasksBefore, format!("A worker is free, but {facts}."))
    } else {
        (Cause::WorkersBusy, format!("It waits for a free worker; {facts}."))
    };
    if !before.queues.is_empty() {
        told.details.push("When it starts cannot be told: that depends on those queues.".to_owned());
        let share = format!("One claim in eight looks first for what has waited for {} s.", aging.as_secs());
        told.details.push(share);
        return;
    }
    told.details.push(match told.estimated_start {
        Some(at) => format!("At the pace of the last minute it starts at about {at}."),
        None => "When it starts cannot be told: its queue has too little to go by.".to_owned(),
    });
}

pub(super) fn running(task: &Task, told: &mut Explanation) {
    told.details.push(format!("{:.0} % done.", task.progress));
    let worker = task.worker.as_deref().unwrap_or("a worker");
    if task.reason != Some(Reason::Cancelling) {
        told.cause = Cause::Running;
        told.summary = format!("{worker} runs it.");
        return;
    }
    told.cause = Cause::Cancelling;
    told.summary = format!("{worker} was asked to stop it and has not answered yet.");
    told.details.push("If it does not stop, cancel it with force.".to_owned());
    told.suggestion = Some(format!("taskloom cancel {} --force", task.id));
}

pub(super) fn ended(task: &Task, told: &mut Explanation) {
    told.cause = Cause::Ended;
    if task.state == State::Succeeded {
        "It succeeded.".clone_into(&mut told.summary);
        return;
    }
    if let Some(error) = &task.error {
        told.details.push(format!("{}: {}", error.kind, error.message));
    }
    let summary = match task.reason {
        Some(Reason::Cancelled) => "It was cancelled.",
        Some(Reason::Expired) => "It was not started before its expires_at.",
        Some(Reason::DependencyFailed) => "A task it depends on did not succeed.",
        Some(Reason::Fatal) => "Its handler failed with an error that no retry can mend.",
        Some(Reason::Timeout) => "Its last attempt ran into its time limit.",
        Some(Reason::Lost) => "Its worker was lost and no attempt is left.",
        Some(Reason::Poisoned) => "Its workers were lost again and again; it may be what kills them.",
        _ => "Its handler failed and no attempt is left.",
    };
    summary.clone_into(&mut told.summary);
    told.suggestion = Some(format!("taskloom retry {}", task.id));
}

/// How many attempts it has used, if any.
pub(super) fn attempts(task: &Task, told: &mut Explanation) {
    if task.attempt > 0 {
        told.details.push(format!("Attempt {} of {}.", task.attempt, task.max_attempts));
    }
}

/// A number before the word that suits it.
fn count(number: u64, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}
