//! Each guard taken away lets something go wrong that a walk finds.

use std::collections::BTreeSet;

use stateright::{Checker, Expectation, HasDiscoveries, Model};
use taskloom_proof::{Guards, Scenario};

use crate::worlds::{birth, clock, family, life};

const ONE_TABLE: &str = "an acknowledged task stands in exactly one table until it is forgotten";
const ENDED: &str = "a terminal state changes only by a retry";
const EPOCH: &str = "the epoch only rises";
const STALE: &str = "a worker's write counts only with the row's epoch";
const LEASE: &str = "a lease only gets longer";
const REAPED: &str = "no task is taken from a worker whose lease holds";
const CANCEL: &str = "a cancelled task only stops or succeeds";
const CLAIMS: &str = "claims stay within max_attempts plus refunds";
const DEPS: &str = "deps_left is the number of open edges";
const FORGOTTEN: &str = "no child waits for a parent that has ended";
const CHILD: &str = "a child never runs before its parents allow it";
const CHANGE: &str = "an acknowledged change is not lost";

/// Guards, the world in which they are missed, and one of the rules that break there.
fn missed() -> Vec<(&'static [&'static str], Scenario, &'static str)> {
    vec![
        (&["claim_locks_row"], life(2, 1), ONE_TABLE),
        (&["promote_locks_row"], life(2, 1), ONE_TABLE),
        (&["success_locks_row"], life(2, 1), ONE_TABLE),
        (&["finish_compares_epoch"], life(2, 2), STALE),
        (&["drain_compares_epoch"], life(2, 2), STALE),
        (&["beat_compares_epoch"], life(2, 2), STALE),
        (&["beat_keeps_later_lease"], life(2, 1), LEASE),
        (&["write_finds_its_row"], life(2, 1), ONE_TABLE),
        (&["leave_scheduled_epoch"], life(3, 2), EPOCH),
        (&["leave_ready_epoch"], life(3, 2), EPOCH),
        (&["leave_running_epoch"], life(3, 2), CLAIMS),
        (&["leave_running_lease"], life(2, 1), REAPED),
        (&["leave_running_cancel"], life(2, 1), CANCEL),
        (&["leave_blocked_count"], family(2, 1), DEPS),
        (&["leave_ended_epoch"], life(3, 3), ENDED),
        (&["update_running_lease"], life(2, 1), LEASE),
        // Each of the two is enough; one spares the other its repetitions.
        (&["release_locks_child", "update_blocked_count"], family(2, 1), DEPS),
        (&["edge_counts_once"], family(2, 1), CHILD),
        (&["release_in_same_commit"], family(2, 1), FORGOTTEN),
        (&["submit_holds_parents"], birth(2, 0), FORGOTTEN),
        (&["submit_knows_whom_it_holds"], birth(2, 1), FORGOTTEN),
        (&["moves_go_one_by_one"], clock(2, 2), CHANGE),
    ]
}

/// Guards of which another is enough, each with a world in which it would be missed if it were.
fn spare() -> Vec<(&'static str, Scenario)> {
    vec![
        ("update_running_epoch", life(2, 2)),
        ("update_running_cancel", life(2, 2)),
        ("update_blocked_count", family(2, 1)),
        ("release_locks_child", family(2, 1)),
    ]
}

/// The rules that break first, with the steps that lead there.
fn broken(scenario: Scenario) -> (Vec<(&'static str, Vec<String>)>, usize) {
    let checker = scenario.checker().finish_when(HasDiscoveries::AnyFailures).spawn_bfs().join();
    let always: BTreeSet<&str> = checker
        .model()
        .properties()
        .iter()
        .filter(|property| matches!(property.expectation, Expectation::Always))
        .map(|property| property.name)
        .collect();
    let paths = checker.discoveries().into_iter().filter(|(name, _)| always.contains(name));
    let steps = paths
        .map(|(name, path)| (name, path.into_actions().iter().map(|action| format!("{action:?}")).collect()));
    (steps.collect(), checker.unique_state_count())
}

#[test]
fn without_a_guard_something_goes_wrong() {
    for (guards, scenario, rule) in missed() {
        let name = scenario.name;
        let (found, states) = broken(scenario.without(guards));
        let steps = found.iter().find(|(name, _)| *name == rule).map(|(_, steps)| steps);
        let Some(steps) = steps else { panic!("without {guards:?} in {name}: {found:#?}, and not {rule}") };
        println!("without {} ({name}, {states} states): {rule}: {} steps", guards.join(" and "), steps.len());
        println!("    {}", steps.join("; "));
    }
}

#[test]
fn some_guards_are_spare() {
    for (guard, scenario) in spare() {
        let (found, states) = broken(scenario.without(&[guard]));
        println!("without {guard}: nothing in {states} states");
        assert!(found.is_empty(), "{guard} is missed after all: {found:#?}");
    }
}

#[test]
fn every_guard_is_tried() {
    let missed = missed();
    let tried: BTreeSet<&str> = missed
        .iter()
        .flat_map(|(guards, ..)| guards.iter().copied())
        .chain(spare().iter().map(|s| s.0))
        .collect();
    assert_eq!(tried, Guards::NAMES.iter().copied().collect());
}
