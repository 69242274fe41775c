//! What a commit changes, and what an observer notes about it.

use crate::faults::Fault;
use crate::row::{ENDED, End, PAST, RUNNING, Row, Seat};
use crate::scenario::{EDGES, Scenario};
use crate::transaction::{CHILD, Kind, Op, Stage, Tx, is_as_read, writes_in_place};
use crate::world::World;

/// A row was there already, and its primary key refuses a second.
pub(crate) struct Duplicate;

impl Scenario {
    /// Makes the transaction's writes visible, all or none.
    pub(crate) fn commit(&self, world: &mut World, tx: &Tx) -> Result<(), Duplicate> {
        match tx.stage {
            Stage::Ends { ends, .. } => self.commit_child(world, tx, ends),
            Stage::Read { seen } => self.commit_own(world, tx, seen),
            Stage::Child { seen, .. } => {
                if self.guards.release_in_same_commit {
                    self.commit_own(world, tx, seen)?;
                }
                self.commit_release(world, tx)
            }
            _ => Ok(()),
        }
    }

    /// T1: the child and its edges.
    fn commit_child(&self, world: &mut World, tx: &Tx, ends: [Option<End>; EDGES]) -> Result<(), Duplicate> {
        let row = self.born(world, ends, tx.now);
        let task = tx.op.task();
        enter(world, task, row)?;
        world.tasks[task].is_known = true;
        for (number, _) in self.edges.iter().enumerate() {
            world.edges[number].exists = true;
            world.edges[number].is_open = ends[number].is_none();
        }
        self.note_end(world, task, row);
        Ok(())
    }

    /// The task's own row.
    pub(crate) fn commit_own(&self, world: &mut World, tx: &Tx, seen: Row) -> Result<(), Duplicate> {
        let Some(after) = self.decided(world, tx.op, tx.now, seen) else { return Ok(()) };
        let task = tx.op.task();
        let before = world.load(task);
        let faults = world.faults;
        self.note_faults(world, tx, seen, after);
        let written = self.write_own(world, tx, seen, after);
        if written.is_err() {
            world.faults = faults;
            return Err(Duplicate);
        }
        self.note(world, tx, before, after);
        Ok(())
    }

    fn write_own(&self, world: &mut World, tx: &Tx, seen: Row, after: Option<Row>) -> Result<(), Duplicate> {
        let task = tx.op.task();
        if let Op::Beat { .. } = tx.op {
            self.renew(world, task, after);
            return Ok(());
        }
        if let (true, Some(after)) = (writes_in_place(tx.op, seen, after), after) {
            self.update(world, task, seen, after);
            return Ok(());
        }
        self.leave(world, tx.op, seen);
        if let Some(after) = after {
            return enter(world, task, after);
        }
        world.tasks[task].is_forgotten = true;
        Ok(())
    }

    /// T4, one statement: the lease and nothing else.
    fn renew(&self, world: &mut World, task: usize, after: Option<Row>) {
        let Some(Row { seat: Seat::Running { lease_until: until, .. }, .. }) = after else { return };
        if let Some(row) = &mut world.tasks[task].rows[RUNNING]
            && let Seat::Running { lease_until, .. } = &mut row.seat
        {
            let fell = until < *lease_until;
            if self.guards.beat_keeps_later_lease {
                *lease_until = until.max(*lease_until);
            } else {
                *lease_until = until;
                world.faults.add_if(fell, Fault::LeaseShrank);
            }
        }
    }

    /// A row changes within its table.
    fn update(&self, world: &mut World, task: usize, seen: Row, after: Row) {
        let Some(row) = &mut world.tasks[task].rows[seen.table()] else { return };
        if !is_as_read(*row, seen, true, &self.guards) {
            return;
        }
        match (&mut row.seat, after.seat) {
            (
                Seat::Running { lease_until, cancel, .. },
                Seat::Running { lease_until: until, cancel: wanted, .. },
            ) => {
                let shrinks = until < *lease_until;
                (*lease_until, *cancel) = (until, wanted);
                world.faults.add_if(shrinks, Fault::LeaseShrank);
            }
            (seat, wanted) => *seat = wanted,
        }
    }

    /// The row leaves its table, if it is found there.
    fn leave(&self, world: &mut World, op: Op, seen: Row) {
        let row = &mut world.tasks[op.task()].rows[seen.table()];
        // These delete by key alone: their lock is the guard.
        let by_key =
            matches!(op, Op::Claim { .. } | Op::Promote { .. } | Op::Finish { kind: Kind::Success, .. });
        if row.is_some_and(|row| by_key || is_as_read(row, seen, false, &self.guards)) {
            *row = None;
        }
    }

    /// T10: the edge and the child.
    fn commit_release(&self, world: &mut World, tx: &Tx) -> Result<(), Duplicate> {
        let Some(edge) = self.edge_of(tx.op.task()) else { return Ok(()) };
        if !world.edges[edge].is_open && self.guards.edge_counts_once {
            return Ok(());
        }
        world.edges[edge].is_open = false;
        let (Some(after), Stage::Child { child: Some(child), .. }) = (self.released(world, tx), tx.stage)
        else {
            return Ok(());
        };
        if child.table() == after.table() {
            self.update(world, CHILD, child, after);
        } else {
            let row = &mut world.tasks[CHILD].rows[child.table()];
            if row.is_some_and(|row| is_as_read(row, child, false, &self.guards)) {
                *row = None;
            }
            enter(world, CHILD, after)?;
        }
        self.note_end(world, CHILD, after);
        Ok(())
    }

    /// What must not happen.
    fn note_faults(&self, world: &mut World, tx: &Tx, seen: Row, after: Option<Row>) {
        let number = tx.op.task();
        let task = world.tasks[number];
        let current = world.load(number);
        let mut faults = world.faults;
        if let Some(epoch) = tx.op.said_epoch() {
            let held = task.rows[RUNNING].map(|row| row.epoch);
            faults.add_if(held != Some(epoch), Fault::StaleWrite);
        }
        let has_ended = task.rows[ENDED].is_some();
        match tx.op {
            Op::Retry { .. } => {}
            Op::Purge { .. } => faults.add_if(!has_ended, Fault::LiveForgotten),
            _ => faults.add_if(has_ended, Fault::EndedChanged),
        }
        if let (Op::Retry { .. }, Some(row)) = (tx.op, task.rows[ENDED]) {
            faults.add_if(row.epoch != seen.epoch, Fault::EndedChanged);
        }
        if let Op::Claim { .. } = tx.op {
            faults.add_if(task.is_cancelled, Fault::ClaimAfterCancel);
            faults.add_if(task.expires_at.is_some_and(|at| at <= tx.now), Fault::ExpiredStarted);
            faults.add_if(number == CHILD && !self.may_begin(world), Fault::ChildBeforeParent);
        }
        if let Op::Reap { .. } = tx.op {
            let holds = |epoch| {
                let handles = world.workers.iter().filter_map(|worker| worker.handle);
                let mut held = handles.filter(|handle| handle.task == number && handle.epoch == epoch);
                held.any(|handle| handle.promised > 0)
            };
            let over_time =
                matches!(seen.seat, Seat::Running { deadline: Some(deadline), .. } if deadline <= tx.now);
            faults.add_if(!over_time && holds(seen.epoch), Fault::ReapedInTime);
        }
        if let (Op::Change { later: false, .. }, Some(current), Some(after)) = (tx.op, current, after) {
            faults.add_if(waits_until(current) != waits_until(after), Fault::ChangeLost);
        }
        // A write in place leaves the epoch alone.
        if let (Some(after), false) = (after, writes_in_place(tx.op, seen, after)) {
            faults.add_if(after.epoch < task.top_epoch, Fault::EpochFell);
        }
        world.faults = faults;
    }

    /// Whether the child may begin.
    fn may_begin(&self, world: &World) -> bool {
        let runs_anyway = world.policy == taskloom_model::ParentPolicy::Run;
        let allows = |parent: usize| {
            let parent = world.tasks[parent];
            parent.has_succeeded || (runs_anyway && parent.has_ended)
        };
        world.tasks[CHILD].is_forgiven || self.edges.iter().all(|(parent, _)| allows(*parent))
    }

    /// What an observer remembers.
    fn note(&self, world: &mut World, tx: &Tx, before: Option<Row>, after: Option<Row>) {
        let number = tx.op.task();
        let task = &mut world.tasks[number];
        match tx.op {
            Op::Claim { .. } => task.claims += 1,
            Op::Cancel { force, .. } => {
                task.is_cancelled = true;
                if let (true, Some(before)) = (force, before) {
                    Self::take_back_promises(world, number, before.epoch);
                }
            }
            Op::Retry { .. } => {
                task.is_cancelled = false;
                task.is_forgiven = true;
                task.expires_at = None;
                for (edge, (_, child)) in world.edges.iter_mut().zip(&self.edges) {
                    if *child == number {
                        edge.is_open = false;
                    }
                }
            }
            _ => {}
        }
        if let Some(after) = after {
            let task = &mut world.tasks[number];
            task.top_epoch = task.top_epoch.max(after.epoch);
            self.note_end(world, number, after);
        }
    }

    /// Whoever cancels by force means the worker too.
    fn take_back_promises(world: &mut World, task: usize, epoch: u8) {
        for handle in world.workers.iter_mut().filter_map(|worker| worker.handle.as_mut()) {
            if handle.task == task && handle.epoch == epoch {
                handle.promised = 0;
            }
        }
    }

    /// Whether and how it has ended, as far as its child minds.
    fn note_end(&self, world: &mut World, task: usize, row: Row) {
        if let (Some(end), Some(_)) = (row.end(), self.edge_of(task)) {
            world.tasks[task].has_ended = true;
            world.tasks[task].has_succeeded |= end == End::Succeeded;
        }
    }
}

/// Puts the row into the table of its seat.
fn enter(world: &mut World, task: usize, row: Row) -> Result<(), Duplicate> {
    let place = &mut world.tasks[task].rows[row.table()];
    if place.is_some() {
        return Err(Duplicate);
    }
    *place = Some(row);
    Ok(())
}

fn waits_until(row: Row) -> Option<i8> {
    match row.seat {
        Seat::Scheduled { run_at } => Some(run_at.max(PAST)),
        Seat::Blocked { run_at, .. } => run_at,
        _ => None,
    }
}
