//! Who is logged in where: one JSON file that only its owner can read.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::config::Environment;
use crate::error::CliError;

/// The logins, by the server's URL.
#[derive(Default, Serialize, Deserialize)]
pub(crate) struct Credentials {
    /// Where the last login went.
    #[serde(default)]
    pub(crate) default_server: Option<String>,
    /// The logins.
    #[serde(default)]
    pub(crate) servers: BTreeMap<String, Login>,
}

/// One login.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Login {
    pub(crate) username: String,
    pub(crate) access_token: String,
    pub(crate) refresh_token: String,
}

/// The file that keeps the credentials.
#[derive(Debug, Clone)]
pub(crate) struct CredentialsFile(PathBuf);

/// Held while the file is read and replaced, so that two commands cannot use one refresh token twice.
pub(crate) struct CredentialsLock {
    path: PathBuf,
    _lock: File,
}

impl CredentialsFile {
    /// `$XDG_CONFIG_HOME/taskloom/credentials.json`, else `~/.config/taskloom/credentials.json`.
    pub(crate) fn locate(environment: &Environment) -> Result<Self, CliError> {
        let absolute = |name| environment.get(name).map(PathBuf::from).filter(|path| path.is_absolute());
        absolute("XDG_CONFIG_HOME")
            .or_else(|| absolute("HOME").map(|home| home.join(".config")))
            .map(|base| Self(base.join("taskloom").join("credentials.json")))
            .ok_or_else(|| {
                CliError::failed("there is no place for credentials: neither HOME nor XDG_CONFIG_HOME is set")
                    .hint("set TASKLOOM_TOKEN instead of logging in")
            })
    }

    /// What the file says; empty if it is not there.
    pub(crate) fn read(&self) -> Result<Credentials, CliError> {
        read(&self.0)
    }

    /// Waits for other commands that change the file.
    pub(crate) fn lock(&self) -> Result<CredentialsLock, CliError> {
        let failed = |e: io::Error| CliError::failed(format!("cannot lock {}: {e}", self.0.display()));
        if let Some(dir) = self.0.parent() {
            private_dir(dir).map_err(failed)?;
        }
        let lock = private_file(&self.0.with_extension("lock"), false).map_err(failed)?;
        lock.lock().map_err(failed)?;
        Ok(CredentialsLock { path: self.0.clone(), _lock: lock })
    }
}

impl CredentialsLock {
    /// What the file says; empty if it is not there.
    pub(crate) fn read(&self) -> Result<Credentials, CliError> {
        read(&self.path)
    }

    /// Replaces the file as a whole.
    pub(crate) fn write(&self, credentials: &Credentials) -> Result<(), CliError> {
        let failed = |e: io::Error| CliError::failed(format!("cannot write {}: {e}", self.path.display()));
        let text = serde_json::to_vec_pretty(credentials).map_err(|e| failed(e.into()))?;
        let new = self.path.with_extension("new");
        let mut file = private_file(&new, true).map_err(failed)?;
        file.write_all(&text).and_then(|()| file.sync_all()).map_err(failed)?;
        fs::rename(&new, &self.path).map_err(failed)
    }
}

fn read(path: &Path) -> Result<Credentials, CliError> {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Credentials::default()),
        Err(e) => return Err(CliError::failed(format!("cannot read {}: {e}", path.display()))),
    };
    serde_json::from_slice(&text).map_err(|_| {
        CliError::failed(format!("{} is not a credentials file", path.display()))
            .hint("remove it and log in again")
    })
}

/// Creates a directory that only its owner can enter; one that is there stays as it is.
pub(crate) fn private_dir(path: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

/// Opens a file for writing that only its owner can read, creating it if needed.
pub(crate) fn private_file(path: &Path, truncate: bool) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(truncate);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(path)?;
    #[cfg(unix)]
    file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(dir: &tempfile::TempDir) -> CredentialsFile {
        let home = dir.path().display().to_string();
        CredentialsFile::locate(&Environment::from([("XDG_CONFIG_HOME", home.as_str())])).unwrap()
    }

    #[test]
    fn what_is_written_is_read_and_private() {
        let dir = tempfile::tempdir().unwrap();
        let file = file(&dir);
        assert!(file.read().unwrap().servers.is_empty());
        let login = Login { username: "a".into(), access_token: "b".into(), refresh_token: "c".into() };
        let mut credentials = Credentials::default();
        credentials.servers.insert("http://x".into(), login.clone());
        file.lock().unwrap().write(&credentials).unwrap();
        assert!(file.read().unwrap().servers["http://x"] == login);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(fs::metadata(&file.0).unwrap().permissions().mode() & 0o777, 0o600);
            assert_eq!(fs::metadata(file.0.parent().unwrap()).unwrap().permissions().mode() & 0o777, 0o700);
        }
    }

    #[test]
    fn a_broken_file_is_not_overwritten_silently() {
        let dir = tempfile::tempdir().unwrap();
        let file = file(&dir);
        let lock = file.lock().unwrap();
        fs::write(&file.0, "{").unwrap();
        assert!(lock.read().is_err());
    }
}
