//! What must never happen in a commit. A world remembers it, so that a property of the state can tell.

/// A set of faults.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, PartialOrd, Ord)]
pub struct Faults(u16);

/// A rule that a commit has broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
pub enum Fault {
    /// The epoch fell.
    EpochFell = 1,
    /// A worker's write counted although it carried another epoch than the row.
    StaleWrite = 1 << 1,
    /// An ended task changed, and nobody had retried it.
    EndedChanged = 1 << 2,
    /// A claim after a cancel.
    ClaimAfterCancel = 1 << 3,
    /// A child began before its parents allowed it.
    ChildBeforeParent = 1 << 4,
    /// A task was taken from a worker whose lease held.
    ReapedInTime = 1 << 5,
    /// A lease became shorter.
    LeaseShrank = 1 << 6,
    /// An acknowledged change of a waiting task was overwritten by somebody who had not asked for that.
    ChangeLost = 1 << 7,
    /// A task began after its `expires_at`.
    ExpiredStarted = 1 << 8,
    /// A task that had not ended was forgotten.
    LiveForgotten = 1 << 9,
}

impl Faults {
    pub(crate) fn add_if(&mut self, broken: bool, fault: Fault) {
        if broken {
            self.0 |= fault as u16;
        }
    }

    /// Whether it is among them.
    pub fn has(self, fault: Fault) -> bool {
        self.0 & fault as u16 != 0
    }

    /// Whether there is any.
    pub fn any(self) -> bool {
        self.0 != 0
    }
}
