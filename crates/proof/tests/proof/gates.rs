//! Limits: with all guards, and without each.

use stateright::{Checker, HasDiscoveries, Model};
use taskloom_proof::gate::{Gate, GateGuards};

#[test]
fn a_gate_lets_in_one_after_the_other() {
    let checker = Gate { guards: GateGuards::ALL, kills: 2 }.checker().spawn_bfs().join();
    println!("gate: {} states, {} deep", checker.unique_state_count(), checker.max_depth());
    checker.assert_properties();
}

#[test]
fn without_a_guard_a_gate_goes_wrong() {
    let all = GateGuards::ALL;
    let cases = [
        ("gate_is_locked", GateGuards { gate_is_locked: false, ..all }, "a gate counts its permits"),
        ("waiting_are_locked", GateGuards { waiting_are_locked: false, ..all }, "only who waits is let in"),
        (
            "skipped_are_looked_at_again",
            GateGuards { skipped_are_looked_at_again: false, ..all },
            "nobody waits before a free place",
        ),
    ];
    for (guard, guards, rule) in cases {
        let gate = Gate { guards, kills: 1 };
        let checker = gate.checker().finish_when(HasDiscoveries::AnyFailures).spawn_bfs().join();
        let found = checker.discoveries();
        let Some(path) = found.get(rule) else { panic!("without {guard}: {found:?}, not {rule}") };
        println!("without {guard}: {rule}: {:?}", path.clone().into_actions());
    }
}
