//! The temporary folder of one server.

use std::path::{Path, PathBuf};

use crate::user::User;

/// Makes a folder that only its owner sees. The caller has to remove it.
pub(crate) fn create(name: &str, owner: Option<User>) -> Result<PathBuf, String> {
    let home = match owner {
        None => std::env::temp_dir(),
        // The owner also has to remove the folder, even if this process was killed.
        Some(_) => [std::env::temp_dir(), PathBuf::from("/tmp"), PathBuf::from("/var/tmp")]
            .into_iter()
            .find(|home| User::may_write(home))
            .ok_or("no temporary folder is open to all users")?,
    };
    let folder = tempfile::Builder::new()
        .prefix(&format!("taskloom-{name}-"))
        .tempdir_in(&home)
        .map_err(|error| format!("no folder can be made in {}: {error}", home.display()))?;
    if let Some(owner) = owner {
        owner.own(folder.path())?;
    }
    // Programs that are started inside it know it by this name only.
    let path = folder.keep();
    Ok(path.canonicalize().unwrap_or(path))
}

/// Writes a file that its owner (and root) may change.
pub(crate) fn write(path: &Path, text: &str, owner: Option<User>) -> Result<(), String> {
    std::fs::write(path, text).map_err(|error| format!("{} cannot be written: {error}", path.display()))?;
    owner.map_or(Ok(()), |owner| owner.own(path))
}
