//! `server.json`: where scripts read the address of a server.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::listen;
use crate::credentials::private_file;
use crate::error::CliError;

/// What scripts read.
#[derive(Serialize)]
struct ServerJson {
    url: String,
    host: String,
    port: u16,
    pid: u32,
    version: &'static str,
}

/// The file in a data directory; gone when this is dropped.
pub(super) struct Announcement(PathBuf);

impl Announcement {
    /// Removes what one that was killed left behind.
    pub(super) fn clear(dir: &Path) {
        // Missing already is as good.
        let _ = std::fs::remove_file(dir.join("server.json"));
    }

    /// Tells where the server listens; the file appears whole.
    pub(super) fn publish(dir: &Path, address: SocketAddr) -> Result<Self, CliError> {
        let path = dir.join("server.json");
        let failed = |e: io::Error| CliError::failed(format!("cannot write {}: {e}", path.display()));
        let (url, host) = (listen::url(address), address.ip().to_string());
        let (pid, version) = (std::process::id(), env!("CARGO_PKG_VERSION"));
        let server = ServerJson { url, host, port: address.port(), pid, version };
        let text = serde_json::to_vec(&server).map_err(|e| failed(e.into()))?;
        let new = dir.join("server.json.new");
        private_file(&new, true).and_then(|mut file| file.write_all(&text)).map_err(failed)?;
        std::fs::rename(&new, &path).map_err(failed)?;
        Ok(Self(path))
    }
}

impl Drop for Announcement {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}
