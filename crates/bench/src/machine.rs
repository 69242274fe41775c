//! What the figures depend on: the machine, the file system, the build.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;
use std::time::Instant;

use serde::Serialize;
use taskloom_store::{Store, Synchronous};

use crate::BenchError;
use crate::args::{BenchArgs, Durability};
use crate::figure::System;
use crate::stats::Latencies;

/// Where and how the figures were made.
#[derive(Debug, Clone, Serialize)]
pub struct Machine {
    /// Taskloom's version.
    pub taskloom: &'static str,
    /// Whether this is an optimised build; figures of another mean nothing.
    pub is_release: bool,
    /// Processors that this process may use.
    pub cores: usize,
    /// The processor's name.
    pub processor: String,
    /// The operating system and its version.
    pub system: String,
    /// Memory in GiB.
    pub memory_gib: f64,
    /// What the store runs on, with the settings that say how durable a commit is.
    pub database: String,
    /// What hands out the work: `store` or `redis`.
    pub dispatch: &'static str,
    /// The median time to write 4 KiB and flush them, in ms.
    pub flush_ms: f64,
}

impl Machine {
    /// Looks at the machine; `dir` is on the file system in question and takes a few small files.
    pub(crate) async fn look(dir: &Path, args: &BenchArgs) -> Result<Self, BenchError> {
        let database = match &args.database_url {
            Some(url) => url.0.describe().await?,
            None => sqlite(dir, args.synchronous)?,
        };
        Ok(Self {
            taskloom: env!("CARGO_PKG_VERSION"),
            is_release: !cfg!(debug_assertions),
            cores: std::thread::available_parallelism()?.get(),
            processor: after_colon("/proc/cpuinfo", "model name")
                .unwrap_or_else(|| std::env::consts::ARCH.into()),
            system: format!("{} {}", std::env::consts::OS, line("/proc/sys/kernel/osrelease")),
            memory_gib: memory_gib(),
            database,
            dispatch: if args.redis_url.is_some() { "redis" } else { "store" },
            flush_ms: flush_ms(dir)?,
        })
    }
}

impl Machine {
    /// What was measured on it.
    pub(crate) fn system_measured(&self) -> System {
        match self.database.split(' ').next() {
            Some("PostgreSQL") if self.dispatch == "redis" => System::Redis,
            Some("PostgreSQL") => System::Postgres,
            Some("SQLite") => System::Sqlite,
            _ => System::Mysql,
        }
    }
}

/// SQLite's version and settings.
fn sqlite(dir: &Path, durability: Durability) -> Result<String, BenchError> {
    let header = header(dir)?;
    let version = u32::from_be_bytes([header[96], header[97], header[98], header[99]]);
    let page_size = match u16::from_be_bytes([header[16], header[17]]) {
        1 => 65_536,
        bytes => u32::from(bytes),
    };
    let journal = if header[18] == 2 { "WAL" } else { "rollback" };
    let (major, minor, patch) = (version / 1_000_000, version / 1_000 % 1_000, version % 1_000);
    let word = durability.word().to_uppercase();
    Ok(format!("SQLite {major}.{minor}.{patch}, {journal}, pages of {page_size} bytes, synchronous={word}"))
}

/// The head of a new database: it says more than the library would without a connection.
/// Source: <https://www.sqlite.org/fileformat2.html>, section 1.3.
fn header(dir: &Path) -> Result<[u8; 100], BenchError> {
    let path = dir.join("look.db");
    drop(Store::open_file(&path, Synchronous::Full)?);
    let mut header = [0; 100];
    File::open(&path)?.read_exact(&mut header)?;
    std::fs::remove_file(&path)?;
    Ok(header)
}

fn flush_ms(dir: &Path) -> io::Result<f64> {
    let path = dir.join("flush");
    let mut file = File::create(&path)?;
    let block = [7; 4096];
    let mut nanos = Vec::with_capacity(100);
    for _ in 0..100 {
        let start = Instant::now();
        file.write_all(&block)?;
        file.sync_data()?;
        nanos.push(u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX));
    }
    std::fs::remove_file(&path)?;
    Ok(Latencies::new(nanos).ms(0.5))
}

fn line(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default().trim().to_owned()
}

fn after_colon(path: &str, key: &str) -> Option<String> {
    let text = std::fs::read_to_string(path).ok()?;
    let (_, value) = text.lines().find(|line| line.starts_with(key))?.split_once(':')?;
    Some(value.trim().to_owned())
}

fn memory_gib() -> f64 {
    let kib =
        after_colon("/proc/meminfo", "MemTotal").and_then(|text| text.split(' ').next()?.parse::<f64>().ok());
    kib.unwrap_or_default() / f64::from(1 << 20)
}
