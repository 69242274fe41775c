//! Transactions as the store runs them across a network: statements, between which others commit.

use taskloom_model::{Action, Effect, ParentEnd, Start, start};

use crate::guards::Guards;
use crate::row::{End, RUNNING, Rel, Row, Seat, aged, instant};
use crate::scenario::{EDGES, Scenario, TASKS};
use crate::world::World;

/// What a worker says at the end of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// A result.
    Success,
    /// An error that another attempt may mend.
    Error,
    /// One that none can.
    Fatal,
    /// Again later.
    Snooze,
    /// It stopped because it was told to.
    Cancelled,
    /// The worker shuts down and gives the task back.
    Drain,
}

/// What a transaction is for. Tasks go by their place in the scenario.
#[allow(missing_docs, reason = "the fields say what they are")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Op {
    /// T1, of a child.
    Submit { task: usize },
    /// T2.
    Promote { task: usize },
    /// T3.
    Claim { task: usize },
    /// T4.
    Beat { task: usize, epoch: u8 },
    /// T5, T7, T9.
    Finish { task: usize, epoch: u8, kind: Kind },
    /// T6 by a user.
    Cancel { task: usize, force: bool },
    /// T6 by the expire loop.
    Expire { task: usize },
    /// T8.
    Reap { task: usize },
    /// T11.
    Retry { task: usize },
    /// T14: to the next step of time, or of something else than the time.
    Change { task: usize, later: bool },
    /// T13.
    Purge { task: usize },
}

/// How far a transaction is.
#[allow(missing_docs, reason = "the variants say what their fields are")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Stage {
    /// The message is on its way.
    Sent,
    /// It knows the time, and nothing else yet.
    Begun,
    /// It has read the row, and the state machine has decided upon that.
    Read { seen: Row },
    /// It has written its own row; children come next.
    Left { seen: Row },
    /// It has closed the edge and read the child.
    Child { seen: Row, child: Option<Row> },
    /// A submission has locked those parents that live (bits).
    Held { locked: u8 },
    /// It has read how its parents have ended.
    Ends { locked: u8, ends: [Option<End>; EDGES] },
}

/// A transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tx {
    /// What it is for.
    pub op: Op,
    /// The time that its caller gave it.
    pub now: Rel,
    /// How far it is.
    pub stage: Stage,
}

/// What a statement leads to.
pub(crate) enum Verdict {
    /// To the next one.
    Next(Stage),
    /// Somebody was first: all of it again.
    Conflict,
    /// To an end without a change.
    Refused,
    /// To the commit.
    Commit(Stage),
}

impl Op {
    /// The task.
    pub(crate) fn task(self) -> usize {
        match self {
            Self::Submit { task }
            | Self::Promote { task }
            | Self::Claim { task }
            | Self::Beat { task, .. }
            | Self::Finish { task, .. }
            | Self::Cancel { task, .. }
            | Self::Expire { task }
            | Self::Reap { task }
            | Self::Retry { task }
            | Self::Change { task, .. }
            | Self::Purge { task } => task,
        }
    }

    /// The epoch that a worker says.
    pub(crate) fn said_epoch(self) -> Option<u8> {
        match self {
            Self::Beat { epoch, .. } | Self::Finish { epoch, .. } => Some(epoch),
            _ => None,
        }
    }

    /// Whether it locks its row when it reads it.
    pub(crate) fn locks_at_once(self, guards: &Guards) -> bool {
        match self {
            Self::Claim { .. } => guards.claim_locks_row,
            Self::Promote { .. } => guards.promote_locks_row,
            Self::Finish { kind: Kind::Success, .. } => guards.success_locks_row,
            _ => false,
        }
    }
}

/// The lock of the row in which a task stands.
pub(crate) fn stands(task: usize) -> u8 {
    1 << task
}

/// The lock of its row in `tasks`.
fn asked(task: usize) -> u8 {
    1 << (task + TASKS)
}

impl Tx {
    /// The same transaction one step of time later.
    pub(crate) fn aged(self) -> Self {
        if self.stage == Stage::Sent {
            return self;
        }
        let stage = match self.stage {
            Stage::Read { seen } => Stage::Read { seen: seen.aged() },
            Stage::Left { seen } => Stage::Left { seen: seen.aged() },
            Stage::Child { seen, child } => Stage::Child { seen: seen.aged(), child: child.map(Row::aged) },
            other => other,
        };
        Self { now: aged(self.now), stage, ..self }
    }

    /// The rows it has locked.
    pub(crate) fn locks(&self, guards: &Guards) -> u8 {
        let task = self.op.task();
        let place = match self.op {
            Op::Change { .. } if guards.moves_go_one_by_one && self.stage != Stage::Begun => asked(task),
            _ => 0,
        };
        place
            | match self.stage {
                Stage::Read { .. } if self.op.locks_at_once(guards) => stands(task),
                Stage::Left { .. } | Stage::Child { .. } if !guards.release_in_same_commit => 0,
                Stage::Child { child: Some(_), .. } if guards.release_locks_child => {
                    stands(task) | stands(CHILD)
                }
                Stage::Left { .. } | Stage::Child { .. } => stands(task),
                Stage::Held { locked } | Stage::Ends { locked, .. } => locked,
                _ => 0,
            }
    }
}

/// The task that is the child of every edge.
pub(crate) const CHILD: usize = 0;

impl Scenario {
    /// The next statement of a transaction, which is not among those under way in `world`. Nothing: it has to wait for a lock.
    pub(crate) fn statement(&self, world: &World, tx: &Tx) -> Option<Verdict> {
        let locks = world.locks(&self.guards);
        let task = tx.op.task();
        Some(match (tx.stage, tx.op) {
            (Stage::Sent | Stage::Begun, Op::Submit { task }) => {
                return self.hold_parents(world, task, locks);
            }
            (Stage::Sent | Stage::Begun, _) => return self.read(world, tx, locks),
            (Stage::Read { seen }, op) => {
                if !op.locks_at_once(&self.guards) && locks & stands(task) != 0 {
                    return None;
                }
                self.write(world, tx, seen)
            }
            (Stage::Left { seen }, _) => {
                // Without its lock the child is only read; the write still waits for whoever holds it.
                if locks & stands(CHILD) != 0 && self.guards.release_locks_child {
                    return None;
                }
                Verdict::Next(Stage::Child { seen, child: world.load(CHILD) })
            }
            (Stage::Child { child: Some(child), .. }, _) => {
                if locks & stands(CHILD) != 0 {
                    return None;
                }
                match self.released(world, tx) {
                    Some(after) if !world.finds(CHILD, child, is_update(child, after), &self.guards) => {
                        Verdict::Conflict
                    }
                    _ => Verdict::Commit(tx.stage),
                }
            }
            (Stage::Child { child: None, .. } | Stage::Ends { .. }, _) => Verdict::Commit(tx.stage),
            (Stage::Held { locked }, _) => self.read_ends(world, locked),
        })
    }

    /// Reads the row and asks the state machine.
    fn read(&self, world: &World, tx: &Tx, locks: u8) -> Option<Verdict> {
        let task = tx.op.task();
        let is_locked = locks & stands(task) != 0;
        if matches!(tx.op, Op::Change { .. }) && locks & asked(task) != 0 {
            return None;
        }
        if tx.op.locks_at_once(&self.guards) && is_locked {
            return match tx.op {
                // They skip what others hold.
                Op::Claim { .. } | Op::Promote { .. } => Some(Verdict::Refused),
                _ => None,
            };
        }
        let Some(seen) = world.load(task) else { return Some(Verdict::Refused) };
        // A claim looks into `ready` and a heartbeat into `running`, whatever stands elsewhere.
        let decision = self.decide(seen, world.tasks[task].expires_at, self.action(tx.op, seen), tx.now);
        Some(match decision {
            // What was found too late is revoked in a transaction of its own.
            Ok(step) if matches!(tx.op, Op::Claim { .. }) && step.rule != 3 => Verdict::Refused,
            Ok(_) => Verdict::Next(Stage::Read { seen }),
            Err(_) => Verdict::Refused,
        })
    }

    /// Writes the task's own row.
    fn write(&self, world: &World, tx: &Tx, seen: Row) -> Verdict {
        let Some(after) = self.decided(world, tx.op, tx.now, seen) else { return Verdict::Refused };
        let task = tx.op.task();
        match tx.op {
            // One statement: what it says is true of the row as it is now.
            Op::Beat { .. } => match world.tasks[task].rows[RUNNING] {
                Some(row) if self.decide(row, None, self.action(tx.op, row), tx.now).is_ok() => {
                    Verdict::Commit(tx.stage)
                }
                _ => Verdict::Refused,
            },
            Op::Claim { .. } | Op::Promote { .. } | Op::Finish { kind: Kind::Success, .. } => {
                self.then_children(world, tx, seen, after)
            }
            _ if world.finds(task, seen, writes_in_place(tx.op, seen, after), &self.guards) => {
                self.then_children(world, tx, seen, after)
            }
            _ => Verdict::Conflict,
        }
    }

    /// To the children, if there are any that wait for this end.
    fn then_children(&self, world: &World, tx: &Tx, seen: Row, after: Option<Row>) -> Verdict {
        let ends = after.is_some_and(|row| row.end().is_some()) && seen.end().is_none();
        let has_edge = self.edge_of(tx.op.task()).is_some_and(|edge| {
            world.edges[edge].exists && (world.edges[edge].is_open || !self.guards.edge_counts_once)
        });
        if ends && has_edge { Verdict::Next(Stage::Left { seen }) } else { Verdict::Commit(tx.stage) }
    }

    /// The edge of which a task is the parent.
    pub(crate) fn edge_of(&self, parent: usize) -> Option<usize> {
        self.edges.iter().position(|edge| edge.0 == parent)
    }

    /// The row that the state machine wants instead of this one; nothing inside: it is forgotten.
    #[allow(clippy::option_option, reason = "it may refuse, and it may want no row")]
    pub(crate) fn decided(&self, world: &World, op: Op, now: Rel, seen: Row) -> Option<Option<Row>> {
        let expires_at = world.tasks[op.task()].expires_at;
        match self.decide(seen, expires_at, self.action(op, seen), now).ok()?.effect {
            Effect::Become(life) => Some(Some(Row::of(&life))),
            Effect::Forget => Some(None),
        }
    }

    /// What becomes of the child that a transaction has read; nothing: it no longer cares.
    pub(crate) fn released(&self, world: &World, tx: &Tx) -> Option<Row> {
        let Stage::Child { seen, child: Some(child) } = tx.stage else { return None };
        let end = self.decided(world, tx.op, tx.now, seen)??.end()?;
        let action = Action::ParentEnded(parent_end(end, world));
        match self.decide(child, None, action, tx.now).ok()?.effect {
            Effect::Become(life) => Some(Row::of(&life)),
            Effect::Forget => None,
        }
    }

    /// A submission locks the rows in which its parents stand, if they live.
    fn hold_parents(&self, world: &World, child: usize, locks: u8) -> Option<Verdict> {
        let mut locked = 0;
        for (parent, _) in self.edges.iter().filter(|edge| edge.1 == child) {
            if world.load(*parent).is_some_and(|row| row.end().is_none()) {
                if locks & stands(*parent) != 0 && self.guards.submit_holds_parents {
                    return None;
                }
                locked |= stands(*parent);
            }
        }
        let locked = if self.guards.submit_holds_parents { locked } else { 0 };
        Some(Verdict::Next(Stage::Held { locked }))
    }

    /// A submission reads how its parents have ended.
    fn read_ends(&self, world: &World, locked: u8) -> Verdict {
        let mut ends = [None; EDGES];
        for (end, (parent, _)) in ends.iter_mut().zip(&self.edges) {
            let Some(row) = world.load(*parent) else { return Verdict::Refused };
            *end = row.end();
            let is_held = locked & stands(*parent) != 0;
            let must_be = self.guards.submit_holds_parents && self.guards.submit_knows_whom_it_holds;
            if end.is_none() && !is_held && must_be {
                return Verdict::Conflict;
            }
        }
        Verdict::Next(Stage::Ends { locked, ends })
    }

    /// The row of a child whose parents have ended like this.
    pub(crate) fn born(&self, world: &World, ends: [Option<End>; EDGES], now: Rel) -> Row {
        let deps_left = self.edges.len() as u32;
        let mut row = Row::of(&start(Start { deps_left, ..Start::default() }, instant(now)));
        for end in ends.iter().flatten() {
            let action = Action::ParentEnded(parent_end(*end, world));
            if let Ok(step) = self.decide(row, None, action, now)
                && let Effect::Become(life) = step.effect
            {
                row = Row::of(&life);
            }
        }
        row
    }
}

fn parent_end(end: End, world: &World) -> ParentEnd {
    if end == End::Succeeded { ParentEnd::Satisfied } else { ParentEnd::Broken(world.policy) }
}

/// Whether a step stays within its table.
fn is_update(seen: Row, after: Row) -> bool {
    seen.table() == after.table()
}

/// Whether the operation updates its row. A change of a waiting task takes it out and puts it in again.
pub(crate) fn writes_in_place(op: Op, seen: Row, after: Option<Row>) -> bool {
    !matches!(op, Op::Change { .. }) && after.is_some_and(|after| is_update(seen, after))
}

impl World {
    /// Whether the guarded write of this row finds it as it was read.
    pub(crate) fn finds(&self, task: usize, seen: Row, in_place: bool, guards: &Guards) -> bool {
        let row = self.tasks[task].rows[seen.table()];
        !guards.write_finds_its_row || row.is_some_and(|row| is_as_read(row, seen, in_place, guards))
    }
}

/// The `WHERE` of `task/life::leave`, or of `task/life::update` for a write in place.
pub(crate) fn is_as_read(row: Row, seen: Row, in_place: bool, guards: &Guards) -> bool {
    let same_epoch = row.epoch == seen.epoch;
    match (row.seat, seen.seat) {
        (Seat::Blocked { deps_left, .. }, Seat::Blocked { deps_left: was, .. }) => {
            let compares = if in_place { guards.update_blocked_count } else { guards.leave_blocked_count };
            !compares || deps_left == was
        }
        (Seat::Scheduled { .. }, Seat::Scheduled { .. }) => !guards.leave_scheduled_epoch || same_epoch,
        // Its gate stands for the phase: no operation moves a task between gates yet.
        (Seat::Limited { by_rate }, Seat::Limited { by_rate: was }) => same_epoch && by_rate == was,
        (Seat::Ready, Seat::Ready) => !guards.leave_ready_epoch || same_epoch,
        (
            Seat::Running { lease_until, cancel, .. },
            Seat::Running { lease_until: was_until, cancel: was_cancel, .. },
        ) => {
            let (by_epoch, by_lease, by_cancel) = if in_place {
                (guards.update_running_epoch, guards.update_running_lease, guards.update_running_cancel)
            } else {
                (guards.leave_running_epoch, guards.leave_running_lease, guards.leave_running_cancel)
            };
            (!by_epoch || same_epoch)
                && (!by_lease || lease_until == was_until)
                && (!by_cancel || cancel == was_cancel)
        }
        (Seat::Ended(_), Seat::Ended(_)) => !guards.leave_ended_epoch || same_epoch,
        _ => false,
    }
}
