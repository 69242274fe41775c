//! How we know that no task is lost or run twice: a model of the store's transactions, walked exhaustively.
//!
//! Decisions are those of [`taskloom_model::next`], the function that the engine runs. What is modelled here is everything
//! around it: transactions that read, decide and write in separate steps while others do the same; the guards of the writes
//! ([`Guards`], each of which can be taken away); workers that crash, fall silent and repeat themselves; users; and time.
//! `docs/proof.md` says what is modelled and what is not.

mod actions;
mod commit;
mod faults;
mod guards;
mod properties;
mod row;
mod scenario;
mod transaction;
mod world;

pub mod gate;
pub mod keys;
pub mod tick;

pub use actions::Action;
pub use guards::Guards;
pub use scenario::{Budget, Plan, Scenario};
pub use transaction::{Kind, Op};
pub use world::World;
