//! Schedules: with all guards, and without each.

use stateright::{Checker, HasDiscoveries, Model};
use taskloom_proof::tick::{Schedule, TickGuards};

fn schedule(guards: TickGuards) -> Schedule {
    Schedule { guards, crashes: 2, changes: 2, jumps: 1 }
}

#[test]
fn two_schedulers_fire_each_tick_once() {
    let checker = schedule(TickGuards::ALL).checker().threads(2).spawn_bfs().join();
    println!("schedule: {} states, {} deep", checker.unique_state_count(), checker.max_depth());
    checker.assert_properties();
}

#[test]
fn without_a_guard_a_tick_goes_wrong() {
    let all = TickGuards::ALL;
    let cases = [
        (
            "schedule_compares_version",
            TickGuards { schedule_compares_version: false, ..all },
            "a paused schedule does not fire",
        ),
        (
            "tick_is_primary_key",
            TickGuards { tick_is_primary_key: false, ..all },
            "a tick is decided about once",
        ),
        (
            "tick_with_its_task",
            TickGuards { tick_with_its_task: false, ..all },
            "a tick has a task if it fired, and one",
        ),
    ];
    for (guard, guards, rule) in cases {
        let checker = schedule(guards).checker().finish_when(HasDiscoveries::AnyFailures).spawn_bfs().join();
        let Some(path) = checker.discovery(rule) else { panic!("without {guard}: not {rule}") };
        println!("without {guard}: {rule}: {:?}", path.into_actions());
    }
}
