//! Several processes on one database: the real program, real servers, and what happens when parts of it are killed.
#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

mod away;
#[path = "../survival/client.rs"]
#[allow(dead_code, reason = "the tests of survival use all of it")]
mod client;
mod cluster;
mod commands;
mod dev;
mod killed;
mod process;
mod refused;
mod together;

/// Runs each of these on PostgreSQL with Redis and on MariaDB without.
#[macro_export]
macro_rules! on_each_database {
    ($($test:ident)+) => {$(
        mod $test {
            use $crate::cluster::Cluster;

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn on_postgres_with_redis() {
                if let Some(cluster) = Cluster::on_postgres_with_redis() {
                    super::$test(cluster).await;
                }
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn on_mariadb_without_redis() {
                if let Some(cluster) = Cluster::on_mariadb() {
                    super::$test(cluster).await;
                }
            }
        }
    )+};
}
