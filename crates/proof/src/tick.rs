//! T12 by two schedulers: each tick is decided about once, whoever is first, whatever the clocks say.
//!
//! A scheduler reads the schedule in one transaction and writes what it decided in another: first the schedule's row under
//! the version it read, then the ticks with their tasks.

use stateright::{Model, Property};

/// Ticks in a world.
pub const TICKS: usize = 3;

/// What keeps schedulers apart.
#[allow(clippy::struct_excessive_bools, reason = "each is a switch of its own")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TickGuards {
    /// `schedule/fire::advance`: the schedule is written only under the version that was read.
    pub schedule_compares_version: bool,
    /// `ticks`: (schedule, tick) is its primary key.
    pub tick_is_primary_key: bool,
    /// `schedule/fire::fire_all`: a tick and its task are one commit.
    pub tick_with_its_task: bool,
}

impl TickGuards {
    /// All guards.
    pub const ALL: Self =
        Self { schedule_compares_version: true, tick_is_primary_key: true, tick_with_its_task: true };
}

/// A schedule with a few ticks and two schedulers.
#[derive(Debug, Clone)]
pub struct Schedule {
    /// The guards that are there.
    pub guards: TickGuards,
    /// Processes that may die.
    pub crashes: u8,
    /// Changes by users: of when it is next due, or a pause.
    pub changes: u8,
    /// How often a scheduler's clock may be a tick behind.
    pub jumps: u8,
}

/// What became of a tick.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Tick {
    /// Rows in `ticks` that say it fired.
    pub fired: u8,
    /// Rows that say it was skipped.
    pub skipped: u8,
    /// Its tasks.
    pub tasks: u8,
}

/// How far a scheduler is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scheduler {
    /// It waits.
    Idle,
    /// It has read the schedule and decided about the ticks up to there; only the last is not skipped.
    Decided {
        /// The version that was read.
        version: u8,
        /// The first tick.
        from: u8,
        /// The first tick that it leaves.
        to: u8,
    },
    /// It has written the schedule, which is locked, and nothing else.
    Advanced {
        /// The first tick.
        from: u8,
        /// The first tick that it leaves.
        to: u8,
    },
    /// Without [`TickGuards::tick_with_its_task`]: the ticks are committed, the task is to come.
    Owes {
        /// Its tick.
        tick: u8,
    },
}

/// Everything.
#[allow(clippy::struct_excessive_bools, reason = "an observer's notes")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ScheduleWorld {
    /// What became of each.
    pub ticks: [Tick; TICKS],
    /// The schedule's next tick; none while it is paused.
    pub next: Option<u8>,
    /// It rises with every change.
    pub version: u8,
    /// Ticks that have come.
    pub now: u8,
    /// The schedulers.
    pub schedulers: [Scheduler; 2],
    /// A user paused it, and knows that.
    pub is_paused: bool,
    /// It fired although it was paused.
    pub fired_paused: bool,
    /// A user moved it: ticks may be left out.
    pub was_moved: bool,
    /// A transaction found that somebody was first.
    pub was_second: bool,
    /// What may still go wrong.
    pub left: (u8, u8, u8),
}

/// One step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TickAction {
    /// The next tick comes.
    Time,
    /// A scheduler reads the schedule and decides; its clock may be a tick behind.
    Look(usize, bool),
    /// Its next statement.
    Step(usize),
    /// Its process dies.
    Crash(usize),
    /// A user changes when it is next due.
    Move(u8),
    /// A user pauses it.
    Pause,
}

impl Model for Schedule {
    type State = ScheduleWorld;
    type Action = TickAction;

    fn init_states(&self) -> Vec<ScheduleWorld> {
        vec![ScheduleWorld {
            ticks: [Tick::default(); TICKS],
            next: Some(0),
            version: 0,
            now: 0,
            schedulers: [Scheduler::Idle; 2],
            is_paused: false,
            fired_paused: false,
            was_moved: false,
            was_second: false,
            left: (self.crashes, self.changes, self.jumps),
        }]
    }

    fn actions(&self, world: &ScheduleWorld, actions: &mut Vec<TickAction>) {
        actions.push(TickAction::Time);
        for scheduler in 0..2 {
            actions.push(TickAction::Look(scheduler, false));
            actions.push(TickAction::Look(scheduler, true));
            actions.push(TickAction::Step(scheduler));
            actions.push(TickAction::Crash(scheduler));
        }
        actions.extend((0..=world.now).map(TickAction::Move));
        actions.push(TickAction::Pause);
    }

    fn next_state(&self, world: &ScheduleWorld, action: TickAction) -> Option<ScheduleWorld> {
        let mut after = *world;
        match action {
            TickAction::Time => after.now = (usize::from(world.now) < TICKS).then_some(world.now + 1)?,
            TickAction::Look(number, behind) => {
                if world.schedulers[number] != Scheduler::Idle {
                    return None;
                }
                after.left.2 = world.left.2.checked_sub(u8::from(behind))?;
                let (from, to) = (world.next?, world.now.saturating_sub(u8::from(behind)));
                (from < to).then_some(())?;
                after.schedulers[number] = Scheduler::Decided { version: world.version, from, to };
            }
            TickAction::Step(number) => self.step(&mut after, number)?,
            TickAction::Crash(number) => {
                (world.schedulers[number] != Scheduler::Idle).then_some(())?;
                after.left.0 = world.left.0.checked_sub(1)?;
                after.schedulers[number] = Scheduler::Idle;
            }
            TickAction::Move(to) => {
                world.change(&mut after)?;
                (after.next, after.was_moved) = (Some(to), true);
            }
            TickAction::Pause => {
                world.change(&mut after)?;
                (after.next, after.is_paused, after.was_moved) = (None, true, true);
            }
        }
        after.schedulers.sort_unstable();
        Some(after)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("a tick is decided about once", |_, w: &ScheduleWorld| {
                w.ticks.iter().all(|tick| tick.fired + tick.skipped <= 1)
            }),
            Property::always("a tick has a task if it fired, and one", |_, w: &ScheduleWorld| {
                w.ticks.iter().all(|tick| tick.tasks == tick.fired)
            }),
            Property::always("no tick is passed over", |_, w: &ScheduleWorld| {
                let passed = w.next.map_or(0, usize::from);
                w.was_moved || w.ticks.iter().take(passed).all(|tick| tick.fired + tick.skipped == 1)
            }),
            Property::always("a paused schedule does not fire", |_, w: &ScheduleWorld| !w.fired_paused),
            Property::sometimes("a tick fires", |_, w: &ScheduleWorld| w.ticks.iter().any(|t| t.fired > 0)),
            Property::sometimes("a tick is skipped", |_, w: &ScheduleWorld| {
                w.ticks.iter().any(|tick| tick.skipped > 0)
            }),
            Property::sometimes("all ticks are decided about", |_, w: &ScheduleWorld| {
                w.ticks.iter().all(|tick| tick.fired + tick.skipped > 0)
            }),
            Property::sometimes("a scheduler comes second", |_, w: &ScheduleWorld| w.was_second),
        ]
    }
}

impl ScheduleWorld {
    fn is_locked(&self) -> bool {
        self.schedulers.iter().any(|scheduler| matches!(scheduler, Scheduler::Advanced { .. }))
    }

    /// A user's change, which raises the version.
    fn change(&self, after: &mut Self) -> Option<()> {
        (!self.is_locked() && !self.is_paused).then_some(())?;
        after.left.1 = self.left.1.checked_sub(1)?;
        after.version += 1;
        Some(())
    }
}

impl Schedule {
    fn step(&self, world: &mut ScheduleWorld, number: usize) -> Option<()> {
        match world.schedulers[number] {
            Scheduler::Idle => return None,
            Scheduler::Decided { version, from, to } => {
                (!world.is_locked()).then_some(())?;
                // It has gone, or has another next tick: somebody was first.
                let finds = world.version == version && world.next.is_some();
                if finds || !self.guards.schedule_compares_version {
                    world.schedulers[number] = Scheduler::Advanced { from, to };
                } else {
                    world.was_second = true;
                    world.schedulers[number] = Scheduler::Idle;
                }
            }
            Scheduler::Advanced { from, to } => {
                world.schedulers[number] = Scheduler::Idle;
                let mut ticks = world.ticks.iter().take(usize::from(to)).skip(usize::from(from));
                if self.guards.tick_is_primary_key && ticks.any(|tick| tick.fired + tick.skipped > 0) {
                    // All of it is undone.
                    world.was_second = true;
                    return Some(());
                }
                for tick in from..to {
                    let is_last = tick + 1 == to;
                    let written = &mut world.ticks[usize::from(tick)];
                    written.fired += u8::from(is_last);
                    written.skipped += u8::from(!is_last);
                    if is_last && self.guards.tick_with_its_task {
                        written.tasks += 1;
                    }
                }
                if !self.guards.tick_with_its_task {
                    world.schedulers[number] = Scheduler::Owes { tick: to - 1 };
                }
                world.fired_paused |= world.is_paused;
                world.next = (!world.is_paused).then_some(to);
                world.version += 1;
            }
            Scheduler::Owes { tick } => {
                world.ticks[usize::from(tick)].tasks += 1;
                world.schedulers[number] = Scheduler::Idle;
            }
        }
        Some(())
    }
}
