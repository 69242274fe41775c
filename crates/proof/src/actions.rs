//! What can happen next in a world, and the world after it.

use stateright::{Model, Property};

use crate::properties;
use crate::row::{PAST, READY, RUNNING, Rel, Row, Seat};
use crate::scenario::{Budget, Scenario};
use crate::transaction::{Kind, Op, Stage, Tx, Verdict};
use crate::world::{At, Handle, World};

/// One step of a world.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// Time passes.
    Time,
    /// A loop or a user begins.
    Begin(Op),
    /// A worker calls.
    Call(usize, Op),
    /// A worker calls, but its message arrives later, or never; the answer never.
    Lose(usize, Op),
    /// A worker no longer waits for the answer; its call goes on alone.
    GiveUp(usize),
    /// A worker's process dies.
    Crash(usize),
    /// A server's process dies: a transaction ends without a commit.
    Kill(At),
    /// The next statement of a transaction, and the commit after the last.
    Step(At),
}

impl Model for Scenario {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        self.policies.iter().map(|policy| World::new(self, *policy)).collect()
    }

    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        // What has gone wrong is found; what comes after it does not matter.
        if world.faults.any() {
            return;
        }
        Self::transactions(world, actions);
        if world.open() < self.open {
            self.calls(world, actions);
            self.begins(world, actions);
        }
        Self::mishaps(world, actions);
        actions.push(Action::Time);
    }

    fn next_state(&self, world: &World, action: Action) -> Option<World> {
        let after = match action {
            Action::Time => world.after_a_step_of_time()?,
            Action::Begin(op) => {
                let mut after = Self::spent(world, op)?;
                let at = At::Alone(0);
                after.put(at, Tx { op, now: 0, stage: Stage::Begun });
                let at = At::Alone(after.alone.len() - 1);
                self.advance(&after, at)?
            }
            Action::Call(worker, op) => {
                let mut after = Self::spent(world, op)?;
                after.workers[worker].say(op);
                after.put(At::Worker(worker), Tx { op, now: 0, stage: Stage::Begun });
                self.advance(&after, At::Worker(worker))?
            }
            Action::Lose(worker, op) => {
                let mut after = Self::spent(world, op)?;
                spend(&mut after.left, |left| &mut left.lose)?;
                after.workers[worker].say(op);
                after.alone.push(Tx { op, now: 0, stage: Stage::Sent });
                after
            }
            Action::GiveUp(worker) => {
                let mut after = world.clone();
                spend(&mut after.left, |left| &mut left.lose)?;
                after.alone.extend(after.workers[worker].call.take());
                after
            }
            Action::Crash(worker) => {
                let mut after = world.clone();
                spend(&mut after.left, |left| &mut left.crash)?;
                after.workers[worker].handle = None;
                after.alone.extend(after.workers[worker].call.take());
                after
            }
            Action::Kill(at) => {
                let mut after = world.clone();
                spend(&mut after.left, |left| &mut left.kill)?;
                after.take(at)?;
                after
            }
            Action::Step(at) => self.advance(world, at)?,
        };
        Some(after.in_order())
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties::all(self)
    }
}

/// Takes one from what may happen still.
fn spend(left: &mut Budget, one: impl Fn(&mut Budget) -> &mut u8) -> Option<()> {
    left.total = left.total.checked_sub(1)?;
    let place = one(left);
    *place = place.checked_sub(1)?;
    Some(())
}

impl crate::world::Worker {
    /// The worker has said how its attempt ended, and will say nothing else of it.
    fn say(&mut self, op: Op) {
        if let (Op::Finish { kind, .. }, Some(handle)) = (op, &mut self.handle) {
            handle.sent = Some(kind);
        }
    }

    fn hear(&mut self, op: Op, row: Option<Row>) {
        match (op, row.map(|row| (row.epoch, row.seat))) {
            (Op::Claim { task }, Some((epoch, Seat::Running { lease_until, deadline, cancel }))) => {
                let promised = until(lease_until, deadline).max(0);
                self.handle = Some(Handle { task, epoch, promised, cancel, sent: None });
            }
            (Op::Beat { .. }, Some((_, Seat::Running { lease_until, deadline, cancel }))) => {
                if let Some(handle) = &mut self.handle {
                    handle.promised = handle.promised.max(until(lease_until, deadline));
                    handle.cancel |= cancel;
                }
            }
            // It ended, or is no longer held: the handler is let go.
            (Op::Beat { .. } | Op::Finish { .. }, _) => self.handle = None,
            _ => {}
        }
    }
}

impl Scenario {
    /// The world with one less to happen, if the operation is among what is counted.
    fn spent(world: &World, op: Op) -> Option<World> {
        let mut after = world.clone();
        let is_repeated = world.workers.iter().any(|worker| {
            worker.handle.is_some_and(|handle| {
                matches!(op, Op::Finish { task, epoch, kind }
                    if handle.task == task && handle.epoch == epoch && handle.sent == Some(kind))
            })
        });
        let left = &mut after.left;
        match op {
            Op::Cancel { force: false, .. } => spend(left, |left| &mut left.cancel)?,
            Op::Cancel { .. } => spend(left, |left| &mut left.force)?,
            Op::Retry { .. } => spend(left, |left| &mut left.retry)?,
            Op::Change { .. } => spend(left, |left| &mut left.change)?,
            Op::Purge { .. } => spend(left, |left| &mut left.purge)?,
            Op::Finish { kind: Kind::Drain, .. } if !is_repeated => spend(left, |left| &mut left.drain)?,
            Op::Finish { kind: Kind::Snooze, .. } if !is_repeated => spend(left, |left| &mut left.snooze)?,
            _ => {}
        }
        Some(after)
    }

    /// Runs the next statement of a transaction.
    fn advance(&self, world: &World, at: At) -> Option<World> {
        let mut rest = world.clone();
        let mut tx = rest.take(at)?;
        if tx.stage == Stage::Sent && rest.open() >= self.open {
            return None;
        }
        loop {
            match self.statement(&rest, &tx)? {
                Verdict::Next(stage) => {
                    if let (Stage::Left { seen }, false) = (stage, self.guards.release_in_same_commit) {
                        let mut after = rest.clone();
                        if self.commit_own(&mut after, &tx, seen).is_ok() {
                            rest = after;
                        }
                    }
                    rest.put(at, Tx { stage, ..tx });
                    return Some(rest);
                }
                // The whole body runs again, with the time that it was given.
                Verdict::Conflict => {
                    tx.stage = Stage::Begun;
                    if self.statement(&rest, &tx).is_none() {
                        rest.put(at, tx);
                        return Some(rest);
                    }
                }
                Verdict::Refused => {
                    answer(&mut rest, at, tx.op, None);
                    return Some(rest);
                }
                Verdict::Commit(stage) => {
                    let mut after = rest.clone();
                    // A duplicate key undoes the transaction; the caller gets an error and may try again.
                    if self.commit(&mut after, &Tx { stage, ..tx }).is_err() {
                        return Some(rest);
                    }
                    let row = after.tasks[tx.op.task()].rows[RUNNING];
                    answer(&mut after, at, tx.op, row);
                    return Some(after);
                }
            }
        }
    }

    fn transactions(world: &World, actions: &mut Vec<Action>) {
        for (number, worker) in world.workers.iter().enumerate() {
            if worker.call.is_some() {
                actions.push(Action::Step(At::Worker(number)));
            }
        }
        for number in 0..world.alone.len() {
            if number == 0 || world.alone[number] != world.alone[number - 1] {
                actions.push(Action::Step(At::Alone(number)));
            }
        }
    }

    /// What workers may say.
    fn calls(&self, world: &World, actions: &mut Vec<Action>) {
        let may_lose = world.left.lose.min(world.left.total) > 0;
        for (number, worker) in world.workers.iter().enumerate().take(self.workers) {
            if worker.call.is_some() || (number > 0 && world.workers[number - 1] == *worker) {
                continue;
            }
            for op in self.wishes(world, worker.handle) {
                actions.push(Action::Call(number, op));
                if may_lose {
                    actions.push(Action::Lose(number, op));
                }
            }
        }
    }

    fn wishes(&self, world: &World, handle: Option<Handle>) -> Vec<Op> {
        let Some(Handle { task, epoch, promised, cancel, sent }) = handle else {
            let is_free = |task: &usize| world.tasks[*task].rows[READY].is_some();
            return (0..self.tasks.len()).filter(is_free).map(|task| Op::Claim { task }).collect();
        };
        let finish = |kind| Op::Finish { task, epoch, kind };
        if let Some(kind) = sent {
            return vec![finish(kind)];
        }
        let mut ops: Vec<Op> = self.ends.iter().copied().map(finish).collect();
        if world.left.drain > 0 {
            ops.push(finish(Kind::Drain));
        }
        if world.left.snooze > 0 {
            ops.push(finish(Kind::Snooze));
        }
        if cancel {
            ops.push(finish(Kind::Cancelled));
        }
        let row = world.tasks[task].rows[RUNNING];
        let is_told = row.is_some_and(|row| {
            row.epoch == epoch && matches!(row.seat, Seat::Running { cancel: asked, .. } if asked == cancel)
        });
        // A heartbeat that neither renews nor brings news changes nothing.
        if promised < 1 || !is_told {
            ops.push(Op::Beat { task, epoch });
        }
        ops
    }

    /// What loops and users may begin.
    fn begins(&self, world: &World, actions: &mut Vec<Action>) {
        let left = &world.left;
        for task in 0..self.tasks.len() {
            let Some(row) = world.load(task) else {
                if !world.tasks[task].is_known && !world.has_open(|op| op == Op::Submit { task }) {
                    actions.push(Action::Begin(Op::Submit { task }));
                }
                continue;
            };
            let mut begin = |is_left: bool, op: Op| {
                let action = self.action(op, row);
                if is_left && self.decide(row, world.tasks[task].expires_at, action, 0).is_ok() {
                    actions.push(Action::Begin(op));
                }
            };
            begin(true, Op::Promote { task });
            begin(true, Op::Reap { task });
            begin(world.tasks[task].expires_at.is_some(), Op::Expire { task });
            begin(left.cancel > 0, Op::Cancel { task, force: false });
            begin(left.force > 0, Op::Cancel { task, force: true });
            begin(left.retry > 0, Op::Retry { task });
            begin(left.change > 0, Op::Change { task, later: false });
            begin(left.change > 0, Op::Change { task, later: true });
            begin(left.purge > 0, Op::Purge { task });
        }
    }

    fn mishaps(world: &World, actions: &mut Vec<Action>) {
        if world.left.total == 0 {
            return;
        }
        for (number, worker) in world.workers.iter().enumerate() {
            if worker.call.is_some() && world.left.lose > 0 {
                actions.push(Action::GiveUp(number));
            }
            if (worker.handle.is_some() || worker.call.is_some()) && world.left.crash > 0 {
                actions.push(Action::Crash(number));
            }
        }
        if world.left.kill > 0 {
            actions.extend((0..world.alone.len()).map(|number| Action::Kill(At::Alone(number))));
        }
    }

    /// Whether this world can still come to rest: without further mishaps, some course of things ends every task.
    pub(crate) fn can_end(&self, world: &World) -> bool {
        let mut world = World { left: Budget::default(), ..world.clone() };
        for _ in 0..80 {
            let rows = (0..self.tasks.len()).filter_map(|task| world.load(task));
            if rows.clone().all(|row| row.end().is_some()) {
                return true;
            }
            let Some(next) = self.toward_the_end(&world) else { return false };
            world = next;
        }
        false
    }

    fn toward_the_end(&self, world: &World) -> Option<World> {
        let mut actions = Vec::new();
        Self::transactions(world, &mut actions);
        // Messages on their way may stay there.
        actions.retain(
            |action| !matches!(action, Action::Step(At::Alone(at)) if world.alone[*at].stage == Stage::Sent),
        );
        self.calls(world, &mut actions);
        actions.retain(|action| !matches!(action, Action::Call(_, Op::Beat { .. })));
        let mut begins = Vec::new();
        self.begins(world, &mut begins);
        actions
            .extend(begins.into_iter().filter(|action| !matches!(action, Action::Begin(Op::Submit { .. }))));
        actions.push(Action::Time);
        actions.into_iter().find_map(|action| self.next_state(world, action).filter(|after| after != world))
    }
}

/// Until when a worker may run a task: it stops by itself at the attempt's time limit.
fn until(lease_until: Rel, deadline: Option<Rel>) -> Rel {
    deadline.map_or(lease_until, |deadline| deadline.min(lease_until))
}

/// The caller hears the answer, if it is a worker that waits for it. `row` is the row of `running` after a commit.
fn answer(world: &mut World, at: At, op: Op, row: Option<Row>) {
    if let At::Worker(number) = at {
        world.workers[number].hear(op, row);
        debug_assert!(world.workers[number].handle.is_none_or(|handle| handle.promised > PAST));
    }
}
