//! Tells claimers which tasks are ready.
//!
//! The database is the queue and the only truth. What travels here are hints: a claim is guarded by the store, so a hint
//! too many is harmless, and every claimer also looks into the store by itself now and then, so a hint too few only costs
//! time. Therefore a [`Home`] of hints may forget everything, be slow or be away, and nothing is lost.
//!
//! | piece | what it does |
//! |---|---|
//! | [`Dispatcher`] | what the engine holds: this process's [`Bells`] and one [`Home`] |
//! | [`StoreHome`] | keeps no hints; names queues to other processes over a [`Wire`] of the store, if there is one |
//! | [`RedisHome`] | keeps the ids of ready tasks in Redis Streams; is also [`Fanout`], [`Counters`] and [`Shelf`] |
//! | [`Alone`] | [`Fanout`], [`Counters`] and [`Shelf`] of a process that has no others to talk to |
//!
//! Another home is another file in `home`; it implements [`Home`] and rings the [`Bells`] it was given.

mod bells;
mod buffer;
mod counters;
mod dispatcher;
mod fanout;
mod home;
mod shelf;

pub use bells::{Bells, Waiter, Wake};
pub use counters::Counters;
pub use dispatcher::Dispatcher;
pub use fanout::{Alone, Fanout};
pub use home::redis::{RedisConfigError, RedisHome, RedisOptions, UrlError};
pub use home::store::{StoreHome, Wire};
pub use home::{Home, Ready, Status, Ticket};
pub use shelf::Shelf;
