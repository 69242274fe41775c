//! Takes tasks out of the tables of their phases, or changes them where they stand: many with one statement.
//!
//! What was decided holds for a row as it was read. So each statement names what its rows must still say, and tasks whose
//! rows say the same go together. Should a row have changed since (another transaction was first), nothing is done, and
//! the whole transaction has to look again.

use std::collections::BTreeMap;

use taskloom_model::{Life, Phase, TaskId, Ties, Timestamp};

use super::{Place, gate_place, ready};
use crate::error::{Result, StoreError};
use crate::sql::Param;
use crate::tx::Tx;

/// Where a task stands.
#[derive(Clone, Copy)]
pub(crate) struct Seat<'a> {
    pub(crate) id: TaskId,
    pub(crate) place: &'a Place,
    pub(crate) life: &'a Life,
    pub(crate) ties: Ties,
}

/// What the rows of tasks that go together must still say.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Guard {
    Blocked {
        deps_left: u32,
        epoch: u32,
    },
    Scheduled {
        epoch: u32,
    },
    /// One that has just passed to the next gate would have meant another decision.
    Limited {
        place: u32,
        epoch: u32,
    },
    /// A heartbeat or a cancel since would have meant another decision, a new tie more to follow from it.
    Running {
        lease_until: Timestamp,
        cancel: bool,
        ties: u32,
        epoch: u32,
    },
    Ended {
        epoch: u32,
    },
}

impl Guard {
    /// For rows whose key is the task's id; those of `ready` have another.
    fn of(seat: &Seat<'_>) -> Option<Self> {
        let epoch = seat.life.epoch;
        Some(match seat.life.phase {
            Phase::Blocked { deps_left, .. } => Self::Blocked { deps_left, epoch },
            Phase::Scheduled { .. } => Self::Scheduled { epoch },
            Phase::Limited(limit) => Self::Limited { place: gate_place(limit), epoch },
            Phase::Running { lease_until, cancel, .. } => {
                Self::Running { lease_until, cancel, ties: seat.ties.bits(), epoch }
            }
            Phase::Ended { .. } => Self::Ended { epoch },
            Phase::Ready => return None,
        })
    }

    fn table(&self) -> &'static str {
        match self {
            Self::Blocked { .. } => "blocked",
            Self::Scheduled { .. } => "scheduled",
            Self::Limited { .. } => "limited",
            Self::Running { .. } => "running",
            Self::Ended { .. } => "outcomes",
        }
    }

    /// The statement up to the ids that takes its rows away.
    fn delete(&self) -> (String, Vec<Param<'static>>) {
        let (condition, given) = self.condition();
        (format!("DELETE FROM {} WHERE {condition}", self.table()), given)
    }

    /// The condition that goes before the ids.
    fn condition(&self) -> (&'static str, Vec<Param<'static>>) {
        match *self {
            Self::Blocked { deps_left, epoch } => {
                ("deps_left = ? AND epoch = ? AND id", vec![deps_left.into(), epoch.into()])
            }
            Self::Scheduled { epoch } | Self::Ended { epoch } => ("epoch = ? AND id", vec![epoch.into()]),
            Self::Limited { place, epoch } => (
                "gate = (SELECT g.gate FROM task_gates g WHERE g.task_id = limited.id AND g.place = ?)
                 AND epoch = ? AND id",
                vec![place.into(), epoch.into()],
            ),
            Self::Running { lease_until, cancel, ties, epoch } => (
                "lease_until = ? AND cancel = ? AND ties = ? AND epoch = ? AND id",
                vec![lease_until.into(), cancel.into(), ties.into(), epoch.into()],
            ),
        }
    }
}

/// Takes tasks out of the tables of their phases, where they stand as their lives say.
pub(crate) async fn leave(tx: &mut Tx, seats: &[Seat<'_>]) -> Result<()> {
    let mut together: BTreeMap<Guard, Vec<TaskId>> = BTreeMap::new();
    let mut ready: BTreeMap<(&str, u32), Vec<(i64, TaskId)>> = BTreeMap::new();
    for seat in seats {
        let Seat { id, place, life, .. } = *seat;
        match Guard::of(seat) {
            Some(guard) => together.entry(guard).or_default().push(id),
            None => ready.entry((&place.queue, life.epoch)).or_default().push((place.band, id)),
        }
    }
    for ((queue, epoch), places) in ready {
        let gone = ready::leave(tx, queue, epoch, &places).await?;
        all(gone, places.len(), tx)?;
    }
    for (guard, ids) in together {
        let (sql, given) = guard.delete();
        let gone = tx.exec_in(&sql, &given, &ids).await?;
        all(gone, ids.len(), tx)?;
    }
    Ok(())
}

/// What changes of a task within its phase.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Change {
    Blocked { deps_left: u32, run_at: Option<Timestamp> },
    Running { lease_until: Timestamp, cancel: bool },
}

impl Change {
    fn to(life: &Life) -> Result<Self> {
        match life.phase {
            Phase::Blocked { deps_left, run_at } => Ok(Self::Blocked { deps_left, run_at }),
            Phase::Running { lease_until, cancel, .. } => Ok(Self::Running { lease_until, cancel }),
            _ => Err(no_such_change()),
        }
    }

    fn assignment(&self) -> (&'static str, Vec<Param<'static>>) {
        match *self {
            Self::Blocked { deps_left, run_at } => {
                ("deps_left = ?, run_at = ?", vec![deps_left.into(), run_at.into()])
            }
            Self::Running { lease_until, cancel } => {
                ("lease_until = ?, cancel = ?", vec![lease_until.into(), cancel.into()])
            }
        }
    }
}

fn no_such_change() -> StoreError {
    StoreError::Sql("a step within a phase that has none".into())
}

/// Writes what changed within the phases of tasks: where they stand, and their lives now.
pub(crate) async fn update(tx: &mut Tx, seats: &[(Seat<'_>, Life)]) -> Result<()> {
    let mut together: BTreeMap<(Guard, Change), Vec<TaskId>> = BTreeMap::new();
    for (seat, after) in seats {
        let guard = Guard::of(seat).ok_or_else(no_such_change)?;
        together.entry((guard, Change::to(after)?)).or_default().push(seat.id);
    }
    for ((guard, change), ids) in together {
        let ((assignment, mut given), (condition, guards)) = (change.assignment(), guard.condition());
        given.extend(guards);
        let sql = format!("UPDATE {} SET {assignment} WHERE {condition}", guard.table());
        let changed = tx.exec_in(&sql, &given, &ids).await?;
        all(changed, ids.len(), tx)?;
    }
    Ok(())
}

/// The guards' verdict: every row, or another transaction was first.
pub(super) fn all(rows: u64, tasks: usize, tx: &Tx) -> Result<()> {
    match rows {
        rows if rows == tasks as u64 => Ok(()),
        rows if rows < tasks as u64 && tx.is_shared() => {
            Err(StoreError::Conflict("a task had moved on".into()))
        }
        _ => Err(StoreError::Sql(format!("{tasks} tasks stood {rows} times in their table"))),
    }
}

#[cfg(test)]
mod tests {
    use taskloom_model::Timestamp;

    use super::Guard;
    use crate::sql::Param;

    #[tokio::test(flavor = "multi_thread")]
    async fn many_tasks_leave_by_their_keys() {
        let (epoch, now) = (0, Timestamp::MIN);
        for guard in [
            Guard::Blocked { deps_left: 1, epoch },
            Guard::Scheduled { epoch },
            Guard::Limited { place: 0, epoch },
            Guard::Running { lease_until: now, cancel: false, ties: 0, epoch },
            Guard::Ended { epoch },
        ] {
            let (sql, given) = guard.delete();
            let values: Vec<String> = given.iter().map(literal).chain(vec![ID.to_owned(); 4]).collect();
            // It refuses any way but an index.
            let _ = crate::postgres::plan(&format!("{sql} IN (?, ?, ?, ?)"), &values.join(", ")).await;
        }
    }

    const ID: &str = "'00000000-0000-0000-0000-000000000001'";

    fn literal(param: &Param<'_>) -> String {
        match param {
            Param::Int(number) => number.to_string(),
            other => panic!("{other:?}"),
        }
    }
}
