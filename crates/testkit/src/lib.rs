//! Private database servers for tests and benchmarks: PostgreSQL, MariaDB (or MySQL) and Redis.
//!
//! Each server is made from the installed programs in a temporary folder, listens on a free port of 127.0.0.1 with a
//! random password, and is stopped with its folder removed as soon as its owner is dropped or its process ends, however
//! it ends. Servers that run already are never touched.
//!
//! ```no_run
//! let Some(postgres) = taskloom_testkit::postgres() else { return };
//! let url = postgres.fresh_database();
//! assert_eq!(postgres.psql(&url, "SELECT 1").unwrap(), "1");
//! ```
//!
//! What is missing is installed if that is possible (root, `apt-get`). Otherwise the tests that need it are skipped
//! loudly, and fail where the environment variable `CI` is `true`.

use std::sync::OnceLock;

mod command;
mod folder;
mod install;
mod mariadb;
mod port;
mod postgres;
mod program;
mod random;
mod redis;
mod skip;
mod supervisor;
mod tls;
mod user;

pub use mariadb::MariaDb;
pub use postgres::Postgres;
pub use redis::{Redis, RedisCluster, RedisSentinel};
pub use skip::or_skip;

/// How a server keeps what it is told. The default is quick and forgets when the machine (not the server) crashes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Settings {
    /// Settings for benchmarks: every commit is on the disk before it is answered, caches have 1 GiB. Redis appends to a
    /// file that is synchronised every second; without this Redis keeps nothing at all beyond its memory.
    pub durable: bool,
}

/// The PostgreSQL server that the tests of this process share, started on first use. `None` says that it cannot be had
/// and the test is to be skipped; see [`or_skip`].
pub fn postgres() -> Option<&'static Postgres> {
    static SHARED: OnceLock<Result<Postgres, String>> = OnceLock::new();
    or_skip("PostgreSQL", SHARED.get_or_init(Postgres::start).as_ref().map_err(Clone::clone))
}

/// The MariaDB (or MySQL) server that the tests of this process share, as [`postgres`].
pub fn mariadb() -> Option<&'static MariaDb> {
    static SHARED: OnceLock<Result<MariaDb, String>> = OnceLock::new();
    or_skip("MariaDB", SHARED.get_or_init(MariaDb::start).as_ref().map_err(Clone::clone))
}

/// The Redis server that the tests of this process share, as [`postgres`].
pub fn redis() -> Option<&'static Redis> {
    static SHARED: OnceLock<Result<Redis, String>> = OnceLock::new();
    or_skip("Redis", SHARED.get_or_init(Redis::start).as_ref().map_err(Clone::clone))
}
