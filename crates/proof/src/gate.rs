//! T15: a limit of one at once. Whoever ends gives its place to one who waits, and nobody waits before a free place.

use stateright::{Model, Property};

/// Tasks in a world: one has passed, one waits, one is submitted.
pub const TASKS: usize = 3;
/// So many may pass.
const MOST: u8 = 1;

/// What keeps the count right and the queue moving.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GateGuards {
    /// `task/gate`: the gate's row is locked by whoever counts.
    pub gate_is_locked: bool,
    /// `task/gate/admit::waiting`: those who wait are locked before they are let in.
    pub waiting_are_locked: bool,
    /// `task/gate/admit`: if there was room, but those who wait were locked by others, the sweep looks again.
    pub skipped_are_looked_at_again: bool,
}

impl GateGuards {
    /// All guards.
    pub const ALL: Self =
        Self { gate_is_locked: true, waiting_are_locked: true, skipped_are_looked_at_again: true };
}

/// A gate, and two transactions at once.
#[derive(Debug, Clone)]
pub struct Gate {
    /// The guards that are there.
    pub guards: GateGuards,
    /// Transactions that end without a commit.
    pub kills: u8,
}

/// Where a task stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Stand {
    /// It is not submitted yet.
    Unknown,
    /// In `limited`.
    Waits,
    /// In `ready` or `running`, with a permit.
    Passed,
    /// It has ended.
    Ended,
}

/// What a transaction at the gate is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum For {
    /// A task is submitted.
    Arrival(usize),
    /// A task ends, and gives its permit back.
    End(usize),
    /// The sweep.
    Sweep,
}

/// A transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Call {
    /// None.
    Idle,
    /// A submission of a child has locked its parent's row, which waits.
    Holds(usize),
    /// A cancel has taken the row out, and not committed.
    Cancels(usize),
    /// Its own row is written; the gate comes next.
    Written(For),
    /// It has read the gate and the first that waits.
    Counted {
        /// What it is for.
        why: For,
        /// Permits that are out, without the one it gives back.
        held: u8,
        /// Who is let in.
        admitted: Option<usize>,
    },
}

/// Everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct GateWorld {
    /// The tasks.
    pub tasks: [Stand; TASKS],
    /// What the gate's row says.
    pub held: u8,
    /// The sweep is to look at it.
    pub wakes: bool,
    /// Transactions.
    pub calls: [Call; 2],
    /// What may still go wrong.
    pub kills: u8,
    /// Somebody was let in who did not wait.
    pub let_in_twice: bool,
}

/// One step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GateAction {
    /// A transaction begins.
    Begin(usize, Call),
    /// Its next statement.
    Step(usize),
    /// It ends without a commit.
    Kill(usize),
}

impl Model for Gate {
    type State = GateWorld;
    type Action = GateAction;

    fn init_states(&self) -> Vec<GateWorld> {
        vec![GateWorld {
            tasks: [Stand::Passed, Stand::Waits, Stand::Unknown],
            held: 1,
            wakes: false,
            calls: [Call::Idle; 2],
            kills: self.kills,
            let_in_twice: false,
        }]
    }

    fn actions(&self, world: &GateWorld, actions: &mut Vec<GateAction>) {
        for call in 0..2 {
            if world.calls[call] != Call::Idle {
                actions.extend([GateAction::Step(call), GateAction::Kill(call)]);
                continue;
            }
            for (task, stand) in world.tasks.iter().enumerate().filter(|(task, _)| !world.is_locked(*task)) {
                let begin = |first| GateAction::Begin(call, first);
                match stand {
                    Stand::Unknown => actions.push(begin(Call::Written(For::Arrival(task)))),
                    Stand::Waits => actions.extend([begin(Call::Holds(task)), begin(Call::Cancels(task))]),
                    Stand::Passed => actions.push(begin(Call::Written(For::End(task)))),
                    Stand::Ended => {}
                }
            }
            if world.wakes {
                actions.push(GateAction::Begin(call, Call::Written(For::Sweep)));
            }
        }
    }

    fn next_state(&self, world: &GateWorld, action: GateAction) -> Option<GateWorld> {
        let mut after = *world;
        match action {
            GateAction::Begin(call, first) => after.calls[call] = first,
            GateAction::Step(call) => self.step(&mut after, call)?,
            GateAction::Kill(call) => {
                after.kills = world.kills.checked_sub(1)?;
                after.calls[call] = Call::Idle;
            }
        }
        after.calls.sort_unstable();
        Some(after)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("no more pass than may", |_, w: &GateWorld| w.passed() <= MOST),
            Property::always("a gate counts its permits", |_, w: &GateWorld| w.held == w.passed()),
            Property::always("only who waits is let in", |_, w: &GateWorld| !w.let_in_twice),
            Property::always("nobody waits before a free place", |_, w: &GateWorld| {
                let rests = w.calls == [Call::Idle; 2];
                let waits = w.tasks.contains(&Stand::Waits);
                !rests || !waits || w.passed() >= MOST || w.wakes
            }),
            Property::sometimes("all end", |_, w: &GateWorld| w.tasks == [Stand::Ended; TASKS]),
            Property::sometimes("the sweep is needed", |_, w: &GateWorld| w.wakes),
        ]
    }
}

impl GateWorld {
    fn passed(&self) -> u8 {
        self.tasks.iter().filter(|stand| **stand == Stand::Passed).count() as u8
    }

    fn is_locked(&self, task: usize) -> bool {
        self.calls.iter().any(|call| match *call {
            Call::Holds(locked) | Call::Cancels(locked) => locked == task,
            Call::Written(why) => why.task() == Some(task),
            Call::Counted { why, admitted, .. } => why.task() == Some(task) || admitted == Some(task),
            Call::Idle => false,
        })
    }
}

impl For {
    fn task(self) -> Option<usize> {
        match self {
            Self::Arrival(task) | Self::End(task) => Some(task),
            Self::Sweep => None,
        }
    }
}

impl Gate {
    fn step(&self, world: &mut GateWorld, call: usize) -> Option<()> {
        match world.calls[call] {
            Call::Idle => return None,
            Call::Holds(_) => world.calls[call] = Call::Idle,
            Call::Cancels(task) => {
                // The row is found as it was read, or all of it is done again.
                if world.tasks[task] == Stand::Waits {
                    world.tasks[task] = Stand::Ended;
                }
                world.calls[call] = Call::Idle;
            }
            Call::Written(why) => {
                let counts = |call: &Call| matches!(call, Call::Counted { .. });
                (!self.guards.gate_is_locked || !world.calls.iter().any(counts)).then_some(())?;
                let held = world.held.saturating_sub(u8::from(matches!(why, For::End(_))));
                let admitted = (held < MOST).then(|| self.first(world, why)).flatten();
                world.calls[call] = Call::Counted { why, held, admitted };
            }
            Call::Counted { why, held, admitted } => {
                world.calls[call] = Call::Idle;
                match why {
                    For::Arrival(task) => world.tasks[task] = Stand::Waits,
                    For::End(task) => world.tasks[task] = Stand::Ended,
                    For::Sweep => {}
                }
                if let Some(task) = admitted {
                    world.let_in_twice |= world.tasks[task] != Stand::Waits;
                    world.tasks[task] = Stand::Passed;
                }
                let remain = world.tasks.contains(&Stand::Waits);
                let has_room = held + u8::from(admitted.is_some()) < MOST;
                world.held = held + u8::from(admitted.is_some());
                world.wakes = remain && has_room && self.guards.skipped_are_looked_at_again;
            }
        }
        Some(())
    }

    /// The first of those that wait, its own among them, without those that others have locked.
    fn first(&self, world: &GateWorld, why: For) -> Option<usize> {
        let own = if let For::Arrival(task) = why { Some(task) } else { None };
        let is_free = |task: &usize| !self.guards.waiting_are_locked || !world.is_locked(*task);
        let waiting = (0..TASKS).filter(|task| world.tasks[*task] == Stand::Waits);
        waiting.filter(is_free).chain(own).next()
    }
}
