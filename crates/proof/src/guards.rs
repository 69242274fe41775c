//! The store's guards, each of which can be taken away to see what goes wrong without it.

/// Declares the guards with what each does.
macro_rules! guards {
    ($($(#[doc = $doc:literal])+ $name:ident,)+) => {
        /// What keeps transactions from undoing each other's work. All are there unless one is taken away.
        #[allow(clippy::struct_excessive_bools, reason = "each is a switch of its own")]
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub struct Guards {
            $($(#[doc = $doc])+ pub $name: bool,)+
        }

        impl Guards {
            /// Every guard's name.
            pub const NAMES: &[&str] = &[$(stringify!($name)),+];

            /// All guards.
            pub const ALL: Self = Self { $($name: true),+ };

            /// All guards but those.
            ///
            /// # Panics
            ///
            /// If there is no guard of that name.
            #[must_use]
            pub fn without(names: &[&str]) -> Self {
                let mut guards = Self::ALL;
                for name in names {
                    match *name {
                        $(stringify!($name) => guards.$name = false,)+
                        other => panic!("no guard is called {other}"),
                    }
                }
                guards
            }
        }
    };
}

guards! {
    /// `task/claim`: the row is locked (`FOR UPDATE SKIP LOCKED`) from the look at `ready` until the commit.
    claim_locks_row,
    /// `task/sweep/promote`: the row is locked from the look at `scheduled` until the commit.
    promote_locks_row,
    /// `task/finish`: the row of a success is locked from the look at `running` until the commit.
    success_locks_row,
    /// `task/finish`: `WHERE id = ? AND epoch = ?` for the end of an attempt.
    finish_compares_epoch,
    /// `task/finish`: the same for a task that is given back.
    drain_compares_epoch,
    /// `task/beat`: the same for a heartbeat.
    beat_compares_epoch,
    /// `task/beat`: a lease is only lengthened, by `greatest` or `CASE`.
    beat_keeps_later_lease,
    /// `task/life::once`: a write that found no row starts the transaction again.
    write_finds_its_row,
    /// `task/life::leave`: a scheduled row leaves only with the epoch that was read.
    leave_scheduled_epoch,
    /// `task/life::leave`: the same of a ready row.
    leave_ready_epoch,
    /// `task/life::leave`: the same of a running row.
    leave_running_epoch,
    /// `task/life::leave`: a running row leaves only with the lease that was read.
    leave_running_lease,
    /// `task/life::leave`: a running row leaves only with the cancel flag that was read.
    leave_running_cancel,
    /// `task/life::leave`: a blocked row leaves only with the count of parents that was read.
    leave_blocked_count,
    /// `task/life::leave`: an outcome leaves only with the epoch that was read.
    leave_ended_epoch,
    /// `task/life::update`: a running row changes only with the epoch that was read.
    update_running_epoch,
    /// `task/life::update`: a running row changes only with the lease that was read.
    update_running_lease,
    /// `task/life::update`: a running row changes only with the cancel flag that was read.
    update_running_cancel,
    /// `task/life::update`: a blocked row changes only with the count of parents that was read.
    update_blocked_count,
    /// `task/step::release`: an edge counts once (`is_open = 1` when it is read and when it is closed).
    edge_counts_once,
    /// `task/step::release`: the child's row is locked before its count is read.
    release_locks_child,
    /// `task/step::carry_out`: a parent's end and what it means to its children are one commit.
    release_in_same_commit,
    /// `task/submit/parents::hold`: live parents stay as they are until the child is committed.
    submit_holds_parents,
    /// `task/submit/parents::ends`: a parent that came to live after the look for its row starts the submission again.
    submit_knows_whom_it_holds,
    /// `task/steer`: two changes of the same waiting task go one after the other.
    moves_go_one_by_one,
}
