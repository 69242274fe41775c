//! The invariants of ARCHITECTURE.md as queries: what must never be found.

use crate::Store;
use crate::error::Result;
use crate::row::first;
use crate::sql::params;

/// A broken invariant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The rule, in words.
    pub rule: &'static str,
    /// How many rows break it.
    pub rows: u64,
}

const RULES: &[(&str, &str)] = &[
    (
        "a task stands in exactly one of blocked, scheduled, limited, ready, running, outcomes",
        "SELECT count(*) FROM tasks t WHERE 1 <>
           (SELECT count(*) FROM blocked b WHERE b.id = t.id) + (SELECT count(*) FROM scheduled s WHERE s.id = t.id)
         + (SELECT count(*) FROM limited l WHERE l.id = t.id)
         + (SELECT count(*) FROM ready r WHERE r.queue = t.queue AND r.band = t.band AND r.id = t.id)
         + (SELECT count(*) FROM running n WHERE n.id = t.id) + (SELECT count(*) FROM outcomes o WHERE o.id = t.id)",
    ),
    (
        "no state without a task",
        "SELECT (SELECT count(*) FROM blocked s WHERE NOT EXISTS (SELECT 1 FROM tasks t WHERE t.id = s.id))
         + (SELECT count(*) FROM scheduled s WHERE NOT EXISTS (SELECT 1 FROM tasks t WHERE t.id = s.id))
         + (SELECT count(*) FROM limited s WHERE NOT EXISTS (SELECT 1 FROM tasks t WHERE t.id = s.id))
         + (SELECT count(*) FROM running s WHERE NOT EXISTS (SELECT 1 FROM tasks t WHERE t.id = s.id))
         + (SELECT count(*) FROM outcomes s WHERE NOT EXISTS (SELECT 1 FROM tasks t WHERE t.id = s.id))",
    ),
    (
        "a ready task stands where its queue and priority say",
        "SELECT count(*) FROM ready r LEFT JOIN tasks t ON t.id = r.id
         WHERE t.id IS NULL OR t.queue <> r.queue OR t.band <> r.band",
    ),
    (
        "a blocked task has as many open edges as it counts",
        "SELECT count(*) FROM blocked b WHERE b.deps_left <>
           (SELECT count(*) FROM edges e WHERE e.child_id = b.id AND e.is_open = 1)",
    ),
    (
        "no edge is open whose parent has ended",
        "SELECT count(*) FROM edges e JOIN outcomes o ON o.id = e.parent_id JOIN blocked b ON b.id = e.child_id
         WHERE e.is_open = 1",
    ),
    (
        "claims stay within max_attempts plus refunds",
        "SELECT count(*) FROM running n JOIN tasks t ON t.id = n.id WHERE n.attempt > t.max_attempts + n.refunds",
    ),
    (
        "a limit counts its permits",
        "SELECT (SELECT count(*) FROM gates g WHERE g.held <> (SELECT count(*) FROM permits p WHERE p.gate = g.gate))
         + (SELECT count(*) FROM queues q WHERE q.held <>
             (SELECT count(*) FROM permits p WHERE p.gate = concat('queue:', q.name)))",
    ),
    (
        "who holds a permit is ready or running, or waits for its time",
        "SELECT count(*) FROM permits p JOIN tasks t ON t.id = p.task_id
         WHERE NOT EXISTS (SELECT 1 FROM ready r WHERE r.queue = t.queue AND r.band = t.band AND r.id = t.id)
           AND NOT EXISTS (SELECT 1 FROM running n WHERE n.id = t.id)
           AND NOT EXISTS (SELECT 1 FROM limited l WHERE l.id = t.id AND l.gate LIKE 'rate:%')",
    ),
    (
        "an end that is no success says why",
        "SELECT count(*) FROM outcomes WHERE (state = 'succeeded') <> (reason IS NULL)",
    ),
    (
        "an attempt is in the history once",
        "SELECT count(*) FROM attempts a JOIN running n ON n.id = a.task_id WHERE a.epoch >= n.epoch",
    ),
];

impl Store {
    /// Checks every invariant; an empty answer is a healthy store.
    pub async fn check(&self) -> Result<Vec<Violation>> {
        self.scan(|tx| {
            Box::pin(async move {
                let mut found = Vec::new();
                for (rule, sql) in RULES {
                    let rows: u64 = tx.row(sql, params![], first).await?.unwrap_or_default();
                    if rows > 0 {
                        found.push(Violation { rule, rows });
                    }
                }
                Ok(found)
            })
        })
        .await
    }
}
