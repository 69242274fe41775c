//! Submissions under a key: with all guards, and without each.

use stateright::{Checker, HasDiscoveries, Model};
use taskloom_proof::keys::{KeyGuards, Keys};

fn idempotent(guards: KeyGuards) -> Keys {
    Keys { guards, idempotent: true, unique: false, lost: 2, retries: 0 }
}

fn unique(guards: KeyGuards) -> Keys {
    Keys { guards, idempotent: false, unique: true, lost: 2, retries: 2 }
}

#[test]
fn a_key_makes_one_of_many() {
    for (name, keys) in [
        ("idempotent", idempotent(KeyGuards::ALL)),
        ("unique", unique(KeyGuards::ALL)),
        ("both", Keys { unique: true, retries: 2, ..idempotent(KeyGuards::ALL) }),
    ] {
        let checker = keys.checker().spawn_bfs().join();
        println!("{name}: {} states, {} deep", checker.unique_state_count(), checker.max_depth());
        checker.assert_properties();
    }
}

#[test]
fn without_a_guard_a_key_makes_two() {
    let (all, twice, two) =
        (KeyGuards::ALL, "an idempotency key makes one submission", "a unique key has one live task");
    let cases = [
        (
            "idempotency_is_primary_key",
            idempotent(KeyGuards { idempotency_is_primary_key: false, ..all }),
            twice,
        ),
        ("unique_key_is_locked", unique(KeyGuards { unique_key_is_locked: false, ..all }), two),
        ("unique_key_is_primary_key", unique(KeyGuards { unique_key_is_primary_key: false, ..all }), two),
        ("retry_regains_key", unique(KeyGuards { retry_regains_key: false, ..all }), two),
    ];
    for (guard, keys, rule) in cases {
        let checker = keys.checker().finish_when(HasDiscoveries::AnyFailures).spawn_bfs().join();
        let Some(path) = checker.discovery(rule) else { panic!("without {guard}: not {rule}") };
        println!("without {guard}: {rule}: {:?}", path.into_actions());
    }
}
