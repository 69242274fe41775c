//! ETags of earlier runs, a small file for each URL.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The files lie in 256 directories; each keeps so many of the newest.
const MAX_FILES: usize = 1_000;
const MAX_FILE_BYTES: u64 = 4 << 10;

/// What a server gave to recognise its answer by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Validators {
    pub(crate) etag: Option<String>,
    pub(crate) last_modified: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Entry {
    /// The task whose artifact holds the rows. Another attempt of that task must fetch them again.
    task: String,
    #[serde(flatten)]
    validators: Validators,
}

/// Remembers validators between tasks.
#[derive(Debug, Clone)]
pub(crate) struct Cache {
    dir: PathBuf,
    /// The running task.
    task: String,
    fingerprint: String,
}

/// Validators to remember once the rows are safe.
#[derive(Debug)]
pub(crate) struct Remembered {
    pub(crate) url: String,
    pub(crate) validators: Validators,
}

impl Cache {
    pub(crate) fn new(dir: &Path, task: String, fingerprint: &str) -> Self {
        Self { dir: dir.to_owned(), task, fingerprint: fingerprint.to_owned() }
    }

    /// What an earlier task learned about a URL; nothing if the file is missing or damaged.
    pub(crate) fn get(&self, url: &str) -> Option<Validators> {
        let path = self.path(url);
        if fs::metadata(&path).ok()?.len() > MAX_FILE_BYTES {
            return None;
        }
        let entry: Entry = serde_json::from_slice(&fs::read(path).ok()?).ok()?;
        (entry.task != self.task).then_some(entry.validators)
    }

    /// Remembers all of them. What is lost here is only fetched once more.
    pub(crate) fn put_all(&self, all: Vec<Remembered>) -> io::Result<()> {
        for Remembered { url, validators } in all {
            let path = self.path(&url);
            let entry = Entry { task: self.task.clone(), validators };
            write(&path, &serde_json::to_vec(&entry)?)?;
        }
        Ok(())
    }

    /// A hash, so that no URL, which may hold secrets, names a file; the fingerprint keeps tasks apart that make other rows
    /// of the same page or send other headers.
    fn path(&self, url: &str) -> PathBuf {
        let mut hash = Sha256::new();
        hash.update(self.fingerprint.as_bytes());
        hash.update([0]);
        hash.update(url.as_bytes());
        let hex = format!("{:x}", Bytes::copy_from_slice(&hash.finalize()));
        self.dir.join(&hex[..2]).join(format!("{}.json", &hex[2..]))
    }
}

fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    let dir = path.parent().unwrap_or(path);
    fs::create_dir_all(dir)?;
    let file = tempfile::NamedTempFile::new_in(dir)?;
    fs::write(file.path(), content)?;
    let is_new = !path.exists();
    file.persist(path).map_err(|e| e.error)?;
    if is_new { prune(dir) } else { Ok(()) }
}

/// Removes the oldest tenth of a directory that is full.
fn prune(dir: &Path) -> io::Result<()> {
    let files: Vec<_> = fs::read_dir(dir)?.filter_map(Result::ok).collect();
    if files.len() <= MAX_FILES {
        return Ok(());
    }
    let age =
        |file: &fs::DirEntry| file.metadata().and_then(|m| m.modified()).unwrap_or(SystemTime::UNIX_EPOCH);
    let mut aged: Vec<_> = files.into_iter().map(|file| (age(&file), file.path())).collect();
    aged.sort();
    for (_, path) in aged.into_iter().take(MAX_FILES / 10) {
        fs::remove_file(path)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remembered(url: &str) -> Remembered {
        let validators = Validators { etag: Some("\"1\"".into()), last_modified: None };
        Remembered { url: url.into(), validators }
    }

    #[test]
    fn other_tasks_see_what_was_kept_but_not_the_task_itself() {
        let dir = tempfile::tempdir().unwrap();
        let first = Cache::new(dir.path(), "first".into(), "f");
        assert_eq!(first.get("u"), None);
        first.put_all(vec![remembered("u")]).unwrap();
        assert_eq!(first.get("u"), None, "its rows may never have been stored");
        let second = Cache::new(dir.path(), "second".into(), "f");
        assert_eq!(second.get("u"), Some(remembered("u").validators));
        assert_eq!(second.get("v"), None);
        assert_eq!(Cache::new(dir.path(), "second".into(), "other rows").get("u"), None);
    }

    #[test]
    fn damaged_entries_are_as_good_as_none() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::new(dir.path(), "a".into(), "f");
        cache.put_all(vec![remembered("u")]).unwrap();
        for rubbish in ["", "{", "[]", &"x".repeat(5_000)] {
            fs::write(cache.path("u"), rubbish).unwrap();
            assert_eq!(Cache::new(dir.path(), "b".into(), "f").get("u"), None);
        }
    }

    #[test]
    fn a_full_directory_loses_its_oldest_files() {
        let dir = tempfile::tempdir().unwrap();
        for n in 0..=MAX_FILES {
            fs::write(dir.path().join(n.to_string()), "x").unwrap();
        }
        prune(dir.path()).unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), MAX_FILES + 1 - MAX_FILES / 10);
    }
}
