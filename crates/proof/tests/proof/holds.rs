//! With all guards nothing goes wrong, in any order of things.

use std::time::Instant;

use stateright::{Checker, Expectation, Model};
use taskloom_proof::Scenario;

use crate::worlds::{birth, clock, family, life, whole};

/// Walks the whole world: what must always hold holds, what must sometimes happen happens.
fn walk(scenario: Scenario) {
    let (name, open, mishaps) = (scenario.name, scenario.open, scenario.budget.total);
    let began = Instant::now();
    let checker = scenario.checker().threads(2).spawn_bfs().join();
    println!(
        "{name}, {open} transactions at once, {mishaps} mishaps: {} states, {} steps, {} deep, {:.1} s",
        checker.unique_state_count(),
        checker.state_count(),
        checker.max_depth(),
        began.elapsed().as_secs_f64(),
    );
    let found = checker.discoveries();
    for property in checker.model().properties() {
        let path = found.get(property.name);
        match property.expectation {
            Expectation::Always => {
                assert!(path.is_none(), "{name}: not always: {}: {path:?}", property.name);
            }
            _ => assert!(path.is_some(), "{name}: never seen: {}", property.name),
        }
    }
}

#[test]
fn one_task_lives_as_it_must() {
    walk(life(2, 2));
    walk(life(3, 1));
}

#[test]
fn time_runs_as_it_must() {
    walk(clock(2, 2));
}

#[test]
fn parents_that_end_together_release_their_child_once() {
    walk(family(2, 1));
}

#[test]
fn three_transactions_at_once_release_a_child_once() {
    walk(family(3, 1));
}

#[test]
fn a_child_submitted_at_any_time_is_not_forgotten() {
    walk(birth(3, 1));
    walk(birth(2, 2));
}

#[test]
fn two_workers_two_loops_two_tasks_and_an_edge() {
    walk(whole(2, 1));
}

/// Larger worlds, for whoever changes a guard: minutes, and some gigabytes of memory.
#[test]
#[ignore = "takes minutes: cargo test -p taskloom-proof --test proof -- --ignored --nocapture"]
fn the_same_with_more_of_everything() {
    walk(life(2, 3));
    walk(life(3, 2));
    walk(clock(3, 2));
    walk(family(2, 2));
    walk(birth(3, 2));
    walk(whole(1, 2));
    walk(whole(2, 2));
}
