//! Schedules and their ticks.

mod due;
mod fire;
mod list;
mod prune;
mod row;
mod run;
mod ticks;

pub use fire::{Decided, Decision, Firing};
pub use list::ScheduleFilter;
pub use row::ScheduleRow;
pub use ticks::TickRow;
