//! The databases that every test runs over.

use taskloom_store::{Store, StoreOptions, Synchronous};

/// A database to test on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Sqlite,
    Postgres,
    Mariadb,
}

/// A fresh database, with what has to outlive the test.
pub(crate) struct Home {
    pub(crate) options: StoreOptions,
    pub(crate) kind: Kind,
    _dir: Option<tempfile::TempDir>,
}

impl Home {
    /// A fresh database; nothing where its server cannot be had.
    pub(crate) fn fresh(kind: Kind) -> Option<Self> {
        let network = |url: String| StoreOptions::network(url.parse().unwrap());
        Some(match kind {
            Kind::Sqlite => {
                let dir = tempfile::tempdir().unwrap();
                let path = dir.path().join("t.db");
                let options = StoreOptions::Sqlite { path, synchronous: Synchronous::Normal };
                Self { options, kind, _dir: Some(dir) }
            }
            Kind::Postgres => {
                let url = taskloom_testkit::postgres()?.fresh_database();
                Self { options: network(url), kind, _dir: None }
            }
            Kind::Mariadb => {
                let url = taskloom_testkit::mariadb()?.fresh_database();
                Self { options: network(url), kind, _dir: None }
            }
        })
    }

    /// The store on it.
    pub(crate) async fn open(&self) -> Store {
        Store::open(&self.options).await.unwrap()
    }
}

/// `on_every_database! { name, … }`: runs each `async fn name(home: Home)` on every database.
macro_rules! on_every_database {
    ($($name:ident),+ $(,)?) => {
        mod sqlite { $crate::databases::tests! { Sqlite: $($name),+ } }
        mod postgres { $crate::databases::tests! { Postgres: $($name),+ } }
        mod mariadb { $crate::databases::tests! { Mariadb: $($name),+ } }
    };
}
pub(crate) use on_every_database;

macro_rules! tests {
    ($kind:ident: $($name:ident),+) => {
        $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            if let Some(home) = $crate::databases::Home::fresh($crate::databases::Kind::$kind) {
                super::$name(home).await;
            }
        })+
    };
}
pub(crate) use tests;
