//! Workers that know only some handlers.

use std::collections::HashSet;
use std::sync::Arc;

use taskloom_model::Priority;
use taskloom_store::{ClaimSpec, Hint, NewTask, Store, Submission, SubmitOutcome};
use uuid::Uuid;

use crate::databases::{Home, on_every_database};
use crate::support::{at, claim_of, new_task, plain, register, worker};

on_every_database! {
    tasks_that_nobody_knows_hide_no_others,
}

async fn fill(store: &Store, count: usize, handler: &str, priority: Priority) -> Vec<Uuid> {
    let task = |_| NewTask { handler: handler.into(), priority, ..new_task(&plain(), None) };
    let tasks: Vec<NewTask> = (0..count).map(task).collect();
    for some in tasks.chunks(2_500) {
        let submission = Submission { tasks: some.to_vec().into(), idempotency: None, now: at(1) };
        let SubmitOutcome::Done { made, .. } = store.task_submit(submission).await.unwrap() else {
            panic!("not done")
        };
        let lives = made.iter().filter_map(|made| made.life());
        let ready: Vec<_> = some.iter().zip(lives).map(|(task, life)| task.arrival(&life)).collect();
        store.note_ready(&ready);
    }
    tasks.into_iter().map(|task| task.id).collect()
}

fn spec(limit: u32) -> ClaimSpec {
    let handlers: HashSet<String> = ["demo.echo".to_owned()].into();
    ClaimSpec { handlers: Arc::new(handlers), ..claim_of(worker(0), limit, at(2)) }
}

/// What a worker gets that asks until nothing more is to be looked at, and how often it asked.
async fn all(store: &Store) -> (Vec<Uuid>, usize) {
    let (mut got, mut asked) = (Vec::new(), 0);
    loop {
        let claims = store.task_claim(spec(2)).await.unwrap();
        let mut more = !claims.claimed.is_empty();
        got.extend(claims.claimed.iter().map(|task| task.id));
        if claims.passed_by && claims.claimed.is_empty() {
            let further = store.task_further(&spec(2)).await.unwrap();
            let hints: Arc<[Hint]> = further.hints.into();
            more = further.more || !hints.is_empty();
            if !hints.is_empty() {
                let claims = store.task_claim(ClaimSpec { hints, ..spec(2) }).await.unwrap();
                got.extend(claims.claimed.iter().map(|task| task.id));
            }
        }
        asked += 1;
        if !more {
            return (got, asked);
        }
        assert!(asked < 100, "{got:?}");
    }
}

async fn tasks_that_nobody_knows_hide_no_others(home: Home) {
    let store = home.open().await;
    register(&store).await;
    // More than one call looks at.
    fill(&store, 21_000, "no.such", Priority::Normal).await;
    let known = fill(&store, 3, "demo.echo", Priority::Normal).await;
    assert_eq!(all(&store).await.0, known);

    // Those that come later stand behind what was walked, and are found at once.
    let known = fill(&store, 3, "demo.echo", Priority::Normal).await;
    let (got, asked) = all(&store).await;
    assert!(got == known && asked <= 4, "{got:?} after {asked}");

    // So are those that come to stand before it.
    fill(&store, 300, "no.such", Priority::High).await;
    let known = fill(&store, 3, "demo.echo", Priority::High).await;
    let (got, asked) = all(&store).await;
    assert!(got == known, "{got:?} after {asked}");
    assert_eq!(store.check().await.unwrap(), vec![]);
}
