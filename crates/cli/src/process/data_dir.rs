//! The data directory: private, and held by one server at a time.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

use rand::Rng;
use taskloom_store::StoreOptions;

use crate::config::Secret;
use crate::credentials::{private_dir, private_file};
use crate::error::CliError;

/// Bytes of a generated secret key.
const SECRET_BYTES: usize = 32;

/// A data directory that nobody else uses as long as this lives.
#[derive(Debug)]
pub(crate) struct DataDir {
    path: PathBuf,
    _locks: Vec<File>,
}

impl DataDir {
    /// Creates the directory if needed and takes it, and the database's file if that is what it is, for this process.
    ///
    /// # Errors
    /// Another process has it, or it cannot be created.
    pub(crate) fn take(path: &Path, database: &StoreOptions) -> Result<Self, CliError> {
        let failed =
            |e: io::Error| CliError::failed(format!("cannot use the data directory {}: {e}", path.display()));
        private_dir(path).map_err(failed)?;
        let path = path.canonicalize().map_err(failed)?;
        let hint = "stop that one first, or choose another directory with --data DIR";
        let mut locks = vec![lock(&path.join("taskloom.lock"), &path, hint)?];
        if let StoreOptions::Sqlite { path: database, .. } = database {
            // It may be another directory's.
            locks.push(lock_database(database)?);
        }
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
}

/// Takes a database's file for this process.
pub(crate) fn lock_database(database: &Path) -> Result<File, CliError> {
    let mut beside = database.as_os_str().to_owned();
    beside.push(".lock");
    lock(Path::new(&beside), database, "stop that one first")
}

/// Takes a lock file; it holds our pid, for the message that others get. `hint` is for who finds it taken.
fn lock(path: &Path, what: &Path, hint: &str) -> Result<File, CliError> {
    let failed = |e: io::Error| CliError::failed(format!("cannot use {}: {e}", path.display()));
    let mut file = private_file(path, false).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(std::fs::TryLockError::WouldBlock) => return Err(taken(&mut file, what).hint(hint)),
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
        let database = StoreOptions::sqlite(path.join("taskloom.db"));
        let first = DataDir::take(&path, &database).unwrap();
        let second = DataDir::take(&path, &database).unwrap_err();
        assert!(second.message.contains(&format!("process {} uses", std::process::id())), "{second}");
        drop(first);
        DataDir::take(&path, &database).unwrap();
    }

    #[test]
    fn a_server_across_a_network_is_not_locked() {
        let dir = tempfile::tempdir().unwrap();
        let database = StoreOptions::network("postgres://u:p@db/t".parse().unwrap());
        let _first = DataDir::take(&dir.path().join("a"), &database).unwrap();
        DataDir::take(&dir.path().join("b"), &database).unwrap();
    }

    #[test]
    fn a_database_is_held_whoever_names_it() {
        let dir = tempfile::tempdir().unwrap();
        let (first, second) = (dir.path().join("a"), dir.path().join("b"));
        let database = StoreOptions::sqlite(first.join("taskloom.db"));
        let _held = DataDir::take(&first, &database).unwrap();
        let error = DataDir::take(&second, &database).unwrap_err();
        assert!(error.message.contains("a/taskloom.db already"), "{error}");
    }

    #[test]
    fn the_secret_key_stays() {
        let dir = tempfile::tempdir().unwrap();
        let data = DataDir::take(dir.path(), &StoreOptions::sqlite(dir.path().join("taskloom.db"))).unwrap();
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
