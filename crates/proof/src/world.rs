//! The state of a small world: what is committed, who works, and what is under way.

use taskloom_model::ParentPolicy;

use crate::faults::Faults;
use crate::guards::Guards;
use crate::row::{PAST, Rel, Row, TABLES, aged};
use crate::scenario::{Budget, EDGES, Scenario, TASKS, WORKERS};
use crate::transaction::{Kind, Op, Stage, Tx};

/// A task: its rows, as committed, and what an observer remembers of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[allow(clippy::struct_excessive_bools, reason = "an observer's notes")]
pub struct Task {
    /// The row in each table of phases. Only a broken store has two.
    pub rows: [Option<Row>; TABLES],
    /// Revoked if it waits still then.
    pub expires_at: Option<Rel>,
    /// It was submitted, and the submission acknowledged.
    pub is_known: bool,
    /// It was forgotten (T13).
    pub is_forgotten: bool,
    /// A user cancelled it, and has not retried it since.
    pub is_cancelled: bool,
    /// A user retried it by hand: parents no longer matter.
    pub is_forgiven: bool,
    /// It has ended once.
    pub has_ended: bool,
    /// It has succeeded once.
    pub has_succeeded: bool,
    /// Claims that were committed.
    pub claims: u8,
    /// The highest epoch so far.
    pub top_epoch: u8,
}

/// What a worker knows of the task it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Handle {
    /// The task.
    pub task: usize,
    /// The epoch of its claim.
    pub epoch: u8,
    /// Its lease, as the store has last acknowledged it.
    pub promised: Rel,
    /// It has heard of a cancel.
    pub cancel: bool,
    /// The handler is done; the store may not know it yet.
    pub sent: Option<Kind>,
}

/// A worker with one slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, PartialOrd, Ord)]
pub struct Worker {
    /// What it runs.
    pub handle: Option<Handle>,
    /// The call whose answer it waits for.
    pub call: Option<Tx>,
}

/// A dependency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Edge {
    /// The child was submitted.
    pub exists: bool,
    /// It has not counted yet.
    pub is_open: bool,
}

/// Where a transaction stands: with the worker that waits for it, or alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum At {
    /// The call of a worker.
    Worker(usize),
    /// A loop's, a user's, or one whose worker is gone.
    Alone(usize),
}

/// Everything.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct World {
    /// The tasks.
    pub tasks: [Task; TASKS],
    /// The edges, as the scenario names them.
    pub edges: [Edge; EDGES],
    /// What children do when a parent fails.
    pub policy: ParentPolicy,
    /// The workers.
    pub workers: [Worker; WORKERS],
    /// Transactions that nobody waits for, sorted: who began them does not matter.
    pub alone: Vec<Tx>,
    /// What may still go wrong.
    pub left: Budget,
    /// What has gone wrong that must not.
    pub faults: Faults,
}

impl World {
    pub(crate) fn new(scenario: &Scenario, policy: ParentPolicy) -> Self {
        let mut tasks = [Task::default(); TASKS];
        for (task, plan) in tasks.iter_mut().zip(&scenario.tasks) {
            task.expires_at = plan.expires_at;
            if let Some(seat) = plan.seat {
                let row = Row { epoch: 0, attempt: 0, crashes: 0, refunds: 0, seat };
                task.rows[row.table()] = Some(row);
                task.is_known = true;
            }
        }
        let mut edges = [Edge::default(); EDGES];
        for (edge, (_, child)) in edges.iter_mut().zip(&scenario.edges) {
            let exists = tasks[*child].is_known;
            *edge = Edge { exists, is_open: exists };
        }
        Self {
            tasks,
            edges,
            policy,
            workers: [Worker::default(); WORKERS],
            alone: vec![],
            left: scenario.budget,
            faults: Faults::default(),
        }
    }

    /// Where the task stands, as one statement that joins the tables sees it.
    pub fn load(&self, task: usize) -> Option<Row> {
        self.tasks[task].rows.iter().flatten().next().copied()
    }

    /// All transactions under way.
    pub(crate) fn transactions(&self) -> impl Iterator<Item = &Tx> {
        self.workers.iter().filter_map(|worker| worker.call.as_ref()).chain(&self.alone)
    }

    /// How many hold a connection to the database; what is still on its way does not.
    pub(crate) fn open(&self) -> usize {
        self.transactions().filter(|tx| tx.stage != Stage::Sent).count()
    }

    /// The rows that transactions have locked.
    pub(crate) fn locks(&self, guards: &Guards) -> u8 {
        self.transactions().fold(0, |locks, tx| locks | tx.locks(guards))
    }

    pub(crate) fn has_open(&self, is_it: impl Fn(Op) -> bool) -> bool {
        self.transactions().any(|tx| is_it(tx.op))
    }

    pub(crate) fn take(&mut self, at: At) -> Option<Tx> {
        match at {
            At::Worker(number) => self.workers[number].call.take(),
            At::Alone(number) => (number < self.alone.len()).then(|| self.alone.remove(number)),
        }
    }

    pub(crate) fn put(&mut self, at: At, tx: Tx) {
        match at {
            At::Worker(number) => self.workers[number].call = Some(tx),
            At::Alone(_) => self.alone.push(tx),
        }
    }

    /// Time passes. Not while a transaction would get older than one step.
    pub(crate) fn after_a_step_of_time(&self) -> Option<Self> {
        if self.transactions().any(|tx| tx.stage != Stage::Sent && tx.now == PAST) {
            return None;
        }
        let mut world = self.clone();
        for task in &mut world.tasks {
            task.rows = task.rows.map(|row| row.map(Row::aged));
            task.expires_at = task.expires_at.map(aged);
        }
        for worker in &mut world.workers {
            if let Some(handle) = &mut worker.handle {
                // A lease that is over is over.
                handle.promised = aged(handle.promised).max(0);
            }
            worker.call = worker.call.map(Tx::aged);
        }
        for tx in &mut world.alone {
            *tx = tx.aged();
        }
        Some(world)
    }

    /// The same world, told apart only where it matters: which worker is which does not.
    pub(crate) fn in_order(mut self) -> Self {
        self.alone.sort_unstable();
        self.workers.sort_unstable();
        self
    }
}
