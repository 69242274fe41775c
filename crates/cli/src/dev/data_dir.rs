//! The data directory: private, and held by one server at a time.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

use rand::Rng;
use serde::Serialize;

use crate::config::{Config, Database, Secret, parse_database_url};
use crate::credentials::{private_dir, private_file};
use crate::error::CliError;

/// Bytes of a generated secret key.
const SECRET_BYTES: usize = 32;

/// A data directory that nobody else uses as long as this lives.
#[derive(Debug)]
pub(crate) struct DataDir {
    path: PathBuf,
    _locks: [File; 2],
}

/// The database's file: where the configuration says, else in the data directory.
pub(crate) fn database_path(config: &Config, dir: &Path) -> Result<PathBuf, CliError> {
    if config.database.url.is_empty() {
        return Ok(dir.join("taskloom.db"));
    }
    let Database::Sqlite(path) = parse_database_url(config.database.url.expose())
        .map_err(|e| CliError::usage(format!("database.url: {e}")))?;
    Ok(path)
}

impl DataDir {
    /// Creates the directory if needed and takes it and the database's file for this process.
    ///
    /// # Errors
    /// Another process has it, or it cannot be created.
    pub(crate) fn take(path: &Path, database: &Path) -> Result<Self, CliError> {
        let failed =
            |e: io::Error| CliError::failed(format!("cannot use the data directory {}: {e}", path.display()));
        private_dir(path).map_err(failed)?;
        let path = path.canonicalize().map_err(failed)?;
        // The database as well: it may be another directory's.
        let mut beside = database.as_os_str().to_owned();
        beside.push(".lock");
        let locks = [lock(&path.join("taskloom.lock"), &path)?, lock(Path::new(&beside), database)?];
        Ok(Self { path, _locks: locks })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The configured secret key, else the one kept here, else a new one, kept from now on.
    pub(crate) fn secret_key(&self, configured: &Secret) -> Result<Secret, CliError> {
        if !configured.is_empty() {
            return Ok(configured.clone());
        }
        let path = self.path.join("secret_key");
        let failed = |e: io::Error| CliError::failed(format!("cannot use {}: {e}", path.display()));
        let mut file = private_file(&path, false).map_err(failed)?;
        let mut text = String::new();
        (&mut file).take(4096).read_to_string(&mut text).map_err(failed)?;
        if text.trim().is_empty() {
            text = generate_key();
            file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(failed)?;
        }
        if text.trim().len() < SECRET_BYTES {
            return Err(CliError::failed(format!("{} is too short to be a secret key", path.display()))
                .hint("remove it to get a new one; access tokens issued so far end then, logins go on"));
        }
        Ok(Secret::new(text.trim()))
    }

    /// Tells scripts where the server listens; the file appears whole.
    pub(crate) fn announce(&self, server: &impl Serialize) -> Result<(), CliError> {
        let path = self.path.join("server.json");
        let failed = |e: io::Error| CliError::failed(format!("cannot write {}: {e}", path.display()));
        let text = serde_json::to_vec(server).map_err(|e| failed(e.into()))?;
        let new = self.path.join("server.json.new");
        private_file(&new, true).and_then(|mut file| file.write_all(&text)).map_err(failed)?;
        std::fs::rename(&new, &path).map_err(failed)
    }

    /// The server is gone.
    pub(crate) fn withdraw(&self) {
        // Missing already is as good.
        let _ = std::fs::remove_file(self.path.join("server.json"));
    }
}

/// Takes a lock file; it holds our pid, for the message that others get.
fn lock(path: &Path, what: &Path) -> Result<File, CliError> {
    let failed = |e: io::Error| CliError::failed(format!("cannot use {}: {e}", path.display()));
    let mut file = private_file(path, false).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(std::fs::TryLockError::WouldBlock) => return Err(taken(&mut file, what)),
        Err(std::fs::TryLockError::Error(e)) => return Err(failed(e)),
    }
    file.set_len(0).and_then(|()| write!(file, "{}", std::process::id())).map_err(failed)?;
    Ok(file)
}

fn taken(file: &mut File, what: &Path) -> CliError {
    let mut pid = String::new();
    let read = file.rewind().and_then(|()| file.take(20).read_to_string(&mut pid));
    let who = match pid.trim() {
        pid if read.is_ok() && !pid.is_empty() && pid.bytes().all(|b| b.is_ascii_digit()) => {
            format!("process {pid}")
        }
        _ => "another process".into(),
    };
    CliError::failed(format!("{who} uses {} already", what.display()))
        .hint("stop that one first, or choose another directory with --data DIR")
}

fn generate_key() -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut bytes = [0_u8; SECRET_BYTES];
    rand::rng().fill_bytes(&mut bytes);
    let digit = |half: u8| char::from(DIGITS[usize::from(half)]);
    bytes.into_iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_may_have_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("data");
        let first = DataDir::take(&path, &path.join("taskloom.db")).unwrap();
        let second = DataDir::take(&path, &path.join("taskloom.db")).unwrap_err();
        assert!(second.message.contains(&format!("process {} uses", std::process::id())), "{second}");
        drop(first);
        DataDir::take(&path, &path.join("taskloom.db")).unwrap();
    }

    #[test]
    fn a_database_is_held_whoever_names_it() {
        let dir = tempfile::tempdir().unwrap();
        let (first, second) = (dir.path().join("a"), dir.path().join("b"));
        let _held = DataDir::take(&first, &first.join("taskloom.db")).unwrap();
        let error = DataDir::take(&second, &first.join("taskloom.db")).unwrap_err();
        assert!(error.message.contains("a/taskloom.db already"), "{error}");
    }

    #[test]
    fn the_secret_key_stays() {
        let dir = tempfile::tempdir().unwrap();
        let data = DataDir::take(dir.path(), &dir.path().join("taskloom.db")).unwrap();
        let first = data.secret_key(&Secret::new("")).unwrap();
        assert_eq!(first.expose().len(), 2 * SECRET_BYTES);
        assert_eq!(data.secret_key(&Secret::new("")).unwrap(), first);
        let own = Secret::new("0123456789abcdef0123456789abcdef");
        assert_eq!(data.secret_key(&own).unwrap(), own);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = std::fs::metadata(dir.path().join("secret_key")).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
    }
}
