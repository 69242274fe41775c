//! T1 by clients that repeat themselves: an idempotency key makes one submission of many, a unique key one live task.
//!
//! Two clients send the same request, or the same client sends it twice because it heard no answer. Each goes through the
//! statements of `task/submit`; the holder of the unique key may end and be retried by hand meanwhile.

use stateright::{Model, Property};

/// Tasks in a world at most: two submissions, each done again once.
pub const MADE: usize = 4;

/// What keeps submissions apart.
#[allow(clippy::struct_excessive_bools, reason = "each is a switch of its own")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyGuards {
    /// `idempotency`: (user, key) is its primary key, and whoever comes second looks again.
    pub idempotency_is_primary_key: bool,
    /// `task/submit/unique_key`: the key's row is locked before its holder is looked at.
    pub unique_key_is_locked: bool,
    /// `unique_keys`: (user, key) is its primary key, and whoever comes second looks again.
    pub unique_key_is_primary_key: bool,
    /// `task/step::regain_unique_key`: a retry by hand takes the key back.
    pub retry_regains_key: bool,
}

impl KeyGuards {
    /// All guards.
    pub const ALL: Self = Self {
        idempotency_is_primary_key: true,
        unique_key_is_locked: true,
        unique_key_is_primary_key: true,
        retry_regains_key: true,
    };
}

/// Submissions of one request under one key.
#[derive(Debug, Clone)]
pub struct Keys {
    /// The guards that are there.
    pub guards: KeyGuards,
    /// The client sends an idempotency key.
    pub idempotent: bool,
    /// The task has a unique key.
    pub unique: bool,
    /// Answers that get lost.
    pub lost: u8,
    /// Retries by hand.
    pub retries: u8,
}

/// A task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Made {
    /// It has not ended.
    Lives,
    /// It has.
    Ended,
}

/// How far a submission is, or a retry by hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Call {
    /// The client has heard of this task, or nothing yet.
    Rests(Option<u8>),
    /// It has found no earlier submission.
    New,
    /// It has looked at the unique key: free, or held by this task, which has ended.
    Free {
        /// The holder that is to be replaced; none: the key's row is to be inserted.
        holder: Option<u8>,
    },
    /// A retry of this task has looked at its unique key, and found it free.
    Retries {
        /// The task.
        task: u8,
        /// As with a submission.
        holder: Option<u8>,
    },
}

/// Everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyWorld {
    /// The tasks, in the order in which they were made.
    pub tasks: [Option<Made>; MADE],
    /// What the idempotency key leads to.
    pub remembered: Option<u8>,
    /// Submissions that were made under it.
    pub submissions: u8,
    /// What the unique key leads to.
    pub holder: Option<u8>,
    /// Two clients, and a user who retries.
    pub calls: [Call; 3],
    /// An answer named a task that was made before.
    pub was_repeated: bool,
    /// What may still happen: lost answers, retries.
    pub left: (u8, u8),
}

/// One step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyAction {
    /// A client sends the request; it may have sent it before.
    Send(usize),
    /// Its next statement; the answer may get lost.
    Step(usize, bool),
    /// A task ends.
    End(u8),
    /// A user retries a task by hand.
    Retry(u8),
}

/// The user among the calls.
const USER: usize = 2;

impl Model for Keys {
    type State = KeyWorld;
    type Action = KeyAction;

    fn init_states(&self) -> Vec<KeyWorld> {
        vec![KeyWorld {
            tasks: [None; MADE],
            remembered: None,
            submissions: 0,
            holder: None,
            calls: [Call::Rests(None); 3],
            was_repeated: false,
            left: (self.lost, self.retries),
        }]
    }

    fn actions(&self, world: &KeyWorld, actions: &mut Vec<KeyAction>) {
        for call in 0..world.calls.len() {
            actions.extend([
                KeyAction::Send(call),
                KeyAction::Step(call, false),
                KeyAction::Step(call, true),
            ]);
        }
        for task in 0..MADE as u8 {
            actions.extend([KeyAction::End(task), KeyAction::Retry(task)]);
        }
    }

    fn next_state(&self, world: &KeyWorld, action: KeyAction) -> Option<KeyWorld> {
        let mut after = *world;
        match action {
            KeyAction::Send(call) => {
                (call != USER && world.calls[call] == Call::Rests(None)).then_some(())?;
                match world.remembered.filter(|_| self.idempotent) {
                    Some(task) => {
                        after.was_repeated = true;
                        after.answer(call, task, false)?;
                    }
                    None => after.calls[call] = Call::New,
                }
            }
            KeyAction::Step(call, is_lost) => self.step(&mut after, call, is_lost)?,
            KeyAction::End(task) => {
                let made = &mut after.tasks[usize::from(task)];
                (*made == Some(Made::Lives)).then_some(())?;
                *made = Some(Made::Ended);
            }
            KeyAction::Retry(task) => {
                let ended = world.tasks[usize::from(task)] == Some(Made::Ended);
                (ended && world.calls[USER] == Call::Rests(None)).then_some(())?;
                after.left.1 = world.left.1.checked_sub(1)?;
                if self.unique && self.guards.retry_regains_key {
                    (!self.is_locked(world)).then_some(())?;
                    if world.holder.is_some_and(|holder| world.lives(holder)) {
                        return Some(after);
                    }
                }
                after.calls[USER] = Call::Retries { task, holder: world.holder };
            }
        }
        Some(after)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut properties = vec![
            Property::always("an idempotency key makes one submission", |k: &Self, w: &KeyWorld| {
                !k.idempotent || w.submissions <= 1
            }),
            Property::always("a unique key has one live task", |k: &Self, w: &KeyWorld| {
                !k.unique || w.tasks.iter().filter(|made| **made == Some(Made::Lives)).count() <= 1
            }),
            Property::always("an acknowledged task exists", |_, w: &KeyWorld| {
                let mut heard = w.calls.iter().filter_map(|call| match call {
                    Call::Rests(task) => *task,
                    _ => None,
                });
                heard.all(|task| w.tasks[usize::from(task)].is_some())
            }),
            Property::sometimes(
                "both hear of one task",
                |_, w: &KeyWorld| matches!(w.calls, [Call::Rests(Some(one)), Call::Rests(Some(other)), _] if one == other),
            ),
            Property::sometimes("a repeated request is recognized", |_, w: &KeyWorld| w.was_repeated),
        ];
        if !self.idempotent {
            properties.push(Property::sometimes("an ended task frees its key", |_, w: &KeyWorld| {
                w.tasks[0] == Some(Made::Ended) && w.tasks[1] == Some(Made::Lives)
            }));
        }
        properties
    }
}

impl KeyWorld {
    fn lives(&self, task: u8) -> bool {
        self.tasks[usize::from(task)] == Some(Made::Lives)
    }

    /// The client hears of the task, or of nothing: then it asks again.
    fn answer(&mut self, call: usize, task: u8, is_lost: bool) -> Option<()> {
        self.left.0 = self.left.0.checked_sub(u8::from(is_lost))?;
        self.calls[call] = Call::Rests((!is_lost).then_some(task));
        Some(())
    }
}

impl Keys {
    /// Whether somebody has locked the row of the unique key. One that does not exist yet cannot be locked.
    fn is_locked(&self, world: &KeyWorld) -> bool {
        let locks = |call: &Call| {
            matches!(call, Call::Free { holder: Some(_) } | Call::Retries { holder: Some(_), .. })
        };
        self.unique && self.guards.unique_key_is_locked && world.calls.iter().any(locks)
    }

    fn step(&self, world: &mut KeyWorld, call: usize, is_lost: bool) -> Option<()> {
        match world.calls[call] {
            Call::Rests(_) => None,
            Call::New => {
                (!is_lost && !self.is_locked(world)).then_some(())?;
                if let Some(task) = world.holder.filter(|holder| self.unique && world.lives(*holder)) {
                    world.was_repeated = true;
                    return self.remember(world, call, task, is_lost);
                }
                world.calls[call] = Call::Free { holder: world.holder };
                Some(())
            }
            Call::Free { holder } => {
                if self.unique && !self.may_take(world, holder) {
                    // Somebody was first: the whole body runs again, from the look at what was submitted before.
                    world.calls[call] = Call::Rests(None);
                    return (!is_lost).then_some(());
                }
                if self.is_second(world) {
                    world.calls[call] = Call::Rests(None);
                    return (!is_lost).then_some(());
                }
                let task = world.tasks.iter().position(Option::is_none)?;
                world.tasks[task] = Some(Made::Lives);
                if self.unique {
                    world.holder = Some(task as u8);
                }
                world.submissions += 1;
                self.remember(world, call, task as u8, is_lost)
            }
            Call::Retries { task, holder } => {
                world.calls[call] = Call::Rests(None);
                (!is_lost).then_some(())?;
                if self.unique && self.guards.retry_regains_key {
                    if !self.may_take(world, holder) {
                        return Some(());
                    }
                    world.holder = Some(task);
                }
                // The outcome leaves under its epoch: of two retries one finds it.
                if world.tasks[usize::from(task)] == Some(Made::Ended) {
                    world.tasks[usize::from(task)] = Some(Made::Lives);
                }
                Some(())
            }
        }
    }

    /// Whether the write to `unique_keys` succeeds: an insert only where there is no row.
    fn may_take(&self, world: &KeyWorld, holder: Option<u8>) -> bool {
        holder.is_some() || world.holder.is_none() || !self.guards.unique_key_is_primary_key
    }

    fn is_second(&self, world: &KeyWorld) -> bool {
        self.idempotent && self.guards.idempotency_is_primary_key && world.remembered.is_some()
    }

    /// Writes down what the request led to, with the rest of the transaction.
    fn remember(&self, world: &mut KeyWorld, call: usize, task: u8, is_lost: bool) -> Option<()> {
        if self.idempotent {
            if self.is_second(world) {
                world.calls[call] = Call::Rests(None);
                return (!is_lost).then_some(());
            }
            world.remembered = Some(task);
        }
        world.answer(call, task, is_lost)
    }
}
