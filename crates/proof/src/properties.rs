//! What must always be true, and what must sometimes be, so that the rest is not true of nothing.

use stateright::Property;

use crate::faults::Fault;
use crate::row::{BLOCKED, ENDED, End, RUNNING, Row, Seat};
use crate::scenario::Scenario;
use crate::transaction::{CHILD, Stage};
use crate::world::{Task, World};

type Always = fn(&Scenario, &World) -> bool;

/// The invariants of ARCHITECTURE.md.
const ALWAYS: &[(&str, Always)] = &[
    ("an acknowledged task stands in exactly one table until it is forgotten", stands_once),
    ("a terminal state changes only by a retry", |_, w| !w.faults.has(Fault::EndedChanged)),
    ("the epoch only rises", |_, w| !w.faults.has(Fault::EpochFell)),
    ("a worker's write counts only with the row's epoch", |_, w| !w.faults.has(Fault::StaleWrite)),
    ("a lease only gets longer", |_, w| !w.faults.has(Fault::LeaseShrank)),
    ("no task is taken from a worker whose lease holds", |_, w| !w.faults.has(Fault::ReapedInTime)),
    ("never two workers with the right to run a task", one_holder),
    ("no claim after a cancel", |_, w| !w.faults.has(Fault::ClaimAfterCancel)),
    ("a cancelled task only stops or succeeds", cancelled_stops),
    ("nothing expired starts", |_, w| !w.faults.has(Fault::ExpiredStarted)),
    ("claims stay within max_attempts plus refunds", claims_are_counted),
    ("deps_left is the number of open edges", deps_are_edges),
    ("no child waits for a parent that has ended", no_child_forgotten),
    ("a child never runs before its parents allow it", |_, w| !w.faults.has(Fault::ChildBeforeParent)),
    ("an acknowledged change is not lost", |_, w| !w.faults.has(Fault::ChangeLost)),
    ("only what has ended is forgotten", |_, w| !w.faults.has(Fault::LiveForgotten)),
    ("every task can still end", can_end),
];

pub(crate) fn all(scenario: &Scenario) -> Vec<Property<Scenario>> {
    let mut properties: Vec<Property<Scenario>> =
        ALWAYS.iter().map(|(name, holds)| Property::always(name, *holds)).collect();
    properties.extend(sometimes(scenario));
    properties
}

fn sometimes(scenario: &Scenario) -> Vec<Property<Scenario>> {
    let budget = scenario.budget;
    let mut all: Vec<(&'static str, bool, Always)> = vec![
        ("a task succeeds", true, |s, w| rows(s, w).any(|row| row.end() == Some(End::Succeeded))),
        ("an attempt follows another", true, |s, w| rows(s, w).any(|row| row.attempt > 1)),
        ("all tasks end", true, |s, w| s.tasks.iter().enumerate().all(|(task, _)| has_ended(w, task))),
        ("two transactions are open on one task", scenario.open > 1, |_, w| {
            let open: Vec<usize> =
                w.transactions().filter(|tx| tx.stage != Stage::Sent).map(|tx| tx.op.task()).collect();
            open.iter().enumerate().any(|(at, task)| open[..at].contains(task))
        }),
        ("a worker is lost", budget.crash > 0, |s, w| rows(s, w).any(|row| row.crashes > 0)),
        ("a worker believes in a lease that is over", true, |_, w| {
            w.workers.iter().filter_map(|worker| worker.handle).any(|handle| handle.promised == 0)
        }),
        ("a worker holds what another has ended", budget.total > 0, |_, w| {
            let mut handles = w.workers.iter().filter_map(|worker| worker.handle);
            handles.any(|held| w.load(held.task).is_none_or(|row| row.epoch != held.epoch))
        }),
        ("a task is cancelled while it runs", budget.cancel > 0, |s, w| {
            rows(s, w).any(|row| matches!(row.seat, Seat::Running { cancel: true, .. }))
        }),
        ("a success follows a cancel", budget.cancel > 0, |s, w| {
            let mut tasks = w.tasks.iter().take(s.tasks.len());
            tasks.any(|task| {
                task.is_cancelled && task.rows[ENDED].is_some_and(|row| row.end() == Some(End::Succeeded))
            })
        }),
        ("a task is retried by hand and ends again", budget.retry > 0, |s, w| {
            let mut tasks = w.tasks.iter().take(s.tasks.len());
            tasks.any(|task| task.is_forgiven && task.rows[ENDED].is_some())
        }),
        ("an attempt is given back", budget.drain > 0, |s, w| rows(s, w).any(|row| row.refunds > 0)),
        ("a task is forgotten", budget.purge > 0, |_, w| w.tasks.iter().any(|task| task.is_forgotten)),
    ];
    if !scenario.edges.is_empty() {
        all.push(("a child runs", true, |_, w| w.tasks[CHILD].rows[RUNNING].is_some()));
        all.push(("a parent fails", true, |s, w| {
            s.edges.iter().any(|edge| w.tasks[edge.0].has_ended && !w.tasks[edge.0].has_succeeded)
        }));
    }
    let wanted = all.into_iter().filter(|(_, applies, _)| *applies);
    wanted.map(|(name, _, holds)| Property::sometimes(name, holds)).collect()
}

fn rows<'a>(scenario: &'a Scenario, world: &'a World) -> impl Iterator<Item = Row> + use<'a> {
    (0..scenario.tasks.len()).filter_map(|task| world.load(task))
}

fn has_ended(world: &World, task: usize) -> bool {
    world.load(task).is_some_and(|row| row.end().is_some())
}

fn stands_once(_: &Scenario, world: &World) -> bool {
    world.tasks.iter().all(|task| {
        let rows = task.rows.iter().flatten().count();
        rows == usize::from(task.is_known && !task.is_forgotten)
    })
}

fn one_holder(_: &Scenario, world: &World) -> bool {
    let mut handles = world.workers.iter().filter_map(|worker| worker.handle);
    let (Some(one), Some(other)) = (handles.next(), handles.next()) else { return true };
    let both_work = [one, other].iter().all(|handle| handle.promised > 0 && handle.sent.is_none());
    one.task != other.task || (one.epoch != other.epoch && !both_work)
}

fn cancelled_stops(_: &Scenario, world: &World) -> bool {
    world.tasks.iter().filter(|task| task.is_cancelled).all(|task| {
        task.rows.iter().flatten().all(|row| {
            matches!(
                row.seat,
                Seat::Running { cancel: true, .. } | Seat::Ended(End::Revoked | End::Succeeded)
            )
        })
    })
}

fn claims_are_counted(scenario: &Scenario, world: &World) -> bool {
    let counts = |task: &Task| {
        task.rows
            .iter()
            .flatten()
            .all(|row| row.attempt == task.claims && row.attempt <= scenario.max_attempts + row.refunds)
    };
    world.tasks.iter().all(counts)
}

fn open_edges(world: &World) -> usize {
    world.edges.iter().filter(|edge| edge.is_open).count()
}

fn deps_are_edges(_: &Scenario, world: &World) -> bool {
    match world.tasks[CHILD].rows[BLOCKED] {
        Some(Row { seat: Seat::Blocked { deps_left, .. }, .. }) => {
            usize::from(deps_left) == open_edges(world)
        }
        _ => true,
    }
}

fn no_child_forgotten(scenario: &Scenario, world: &World) -> bool {
    world.tasks[CHILD].rows[BLOCKED].is_none()
        || scenario.edges.iter().zip(&world.edges).all(|((parent, _), edge)| {
            !edge.is_open || world.load(*parent).is_some_and(|row| row.end().is_none())
        })
}

/// Asked where nothing is under way: a transaction that is can come to its end.
fn can_end(scenario: &Scenario, world: &World) -> bool {
    world.transactions().any(|tx| tx.stage != Stage::Sent) || world.faults.any() || scenario.can_end(world)
}
