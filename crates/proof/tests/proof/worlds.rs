//! The small worlds. Each is small enough to be walked to its end, and holds what it is about.

use taskloom_model::ParentPolicy;
use taskloom_proof::{Budget, Kind, Plan, Scenario};

/// Nothing goes wrong.
const NOTHING: Budget = Budget {
    total: 0,
    crash: 0,
    lose: 0,
    kill: 0,
    cancel: 0,
    force: 0,
    retry: 0,
    drain: 0,
    snooze: 0,
    change: 0,
    purge: 0,
};

/// One task and all that can befall it, with so many transactions open at once and so many mishaps in all.
pub(crate) fn life(open: usize, total: u8) -> Scenario {
    let budget =
        Budget { total, crash: 1, lose: 1, cancel: 1, force: 1, retry: 2, drain: 1, purge: 1, ..NOTHING };
    Scenario { name: "life", open, budget, ..Scenario::default() }
}

/// One task with every kind of time: it waits, expires, runs into its limit, snoozes, and users move it.
pub(crate) fn clock(open: usize, total: u8) -> Scenario {
    Scenario {
        name: "clock",
        open,
        timeout: Some(2),
        tasks: vec![Plan { expires_at: Some(2), ..Plan::scheduled() }],
        ends: vec![Kind::Success, Kind::Error, Kind::Fatal],
        budget: Budget { total, crash: 1, lose: 2, cancel: 1, retry: 1, snooze: 1, change: 2, ..NOTHING },
        ..Scenario::default()
    }
}

/// A child of two parents, which may end at the same time.
pub(crate) fn family(open: usize, total: u8) -> Scenario {
    Scenario {
        name: "family",
        open,
        tasks: vec![Plan::blocked(2), Plan::ready(), Plan::ready()],
        edges: vec![(1, 0), (2, 0)],
        policies: ParentPolicy::ALL.to_vec(),
        max_attempts: 1,
        budget: Budget { total, kill: 1, cancel: 1, force: 1, retry: 1, change: 1, ..NOTHING },
        ..Scenario::default()
    }
}

/// A child that is submitted while its parent ends, and lives again.
pub(crate) fn birth(open: usize, total: u8) -> Scenario {
    Scenario {
        name: "birth",
        open,
        tasks: vec![Plan::later(), Plan::ready()],
        edges: vec![(1, 0)],
        policies: ParentPolicy::ALL.to_vec(),
        max_attempts: 1,
        budget: Budget { total, kill: 1, cancel: 1, force: 1, retry: 1, ..NOTHING },
        ..Scenario::default()
    }
}

/// Two tasks and the edge between them, two workers, and two of every loop.
pub(crate) fn whole(open: usize, total: u8) -> Scenario {
    Scenario {
        name: "whole",
        open,
        tasks: vec![Plan::blocked(1), Plan::scheduled()],
        edges: vec![(1, 0)],
        policies: ParentPolicy::ALL.to_vec(),
        budget: Budget { total, crash: 1, lose: 1, cancel: 1, force: 1, retry: 1, drain: 1, ..NOTHING },
        ..Scenario::default()
    }
}
