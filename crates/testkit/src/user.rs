//! The user that a server runs as: PostgreSQL and MariaDB refuse to be root.

#[cfg(unix)]
pub(crate) use unix::User;

#[cfg(unix)]
mod unix {
    use std::os::unix::fs::{MetadataExt as _, chown};
    use std::os::unix::process::CommandExt as _;
    use std::path::Path;
    use std::process::Command;

    use crate::command::{USUAL, run};

    /// Somebody who is not root.
    #[derive(Clone, Copy)]
    pub(crate) struct User {
        uid: u32,
        gid: u32,
    }

    impl User {
        /// Whom a server has to become: nobody else unless this process is root, else the first of the names that there
        /// is, else `nobody`.
        pub(crate) fn instead_of_root(names: &[&str]) -> Result<Option<Self>, String> {
            if !is_root() {
                return Ok(None);
            }
            names
                .iter()
                .chain(&["nobody"])
                .find_map(|name| Some(Self { uid: id(&["-u", name])?, gid: id(&["-g", name])? }))
                .map(Some)
                .ok_or_else(|| {
                    format!("there is no user to run it as, neither {} nor nobody", names.join(" nor "))
                })
        }

        /// Lets a command run as this user, in no other group.
        pub(crate) fn run_as(self, command: &mut Command) {
            command.uid(self.uid).gid(self.gid);
        }

        /// Gives a file or folder to this user.
        pub(crate) fn own(self, path: &Path) -> Result<(), String> {
            chown(path, Some(self.uid), Some(self.gid))
                .map_err(|error| format!("{} cannot be given to user {}: {error}", path.display(), self.uid))
        }

        /// True if everybody may make and remove files here, so this user, too.
        pub(crate) fn may_write(path: &Path) -> bool {
            let allows =
                |path: &Path, bits| std::fs::metadata(path).is_ok_and(|data| data.mode() & bits == bits);
            allows(path, 0o003) && path.ancestors().all(|folder| allows(folder, 0o001))
        }
    }

    /// True if this process may do everything.
    pub(crate) fn is_root() -> bool {
        id(&["-u"]) == Some(0)
    }

    fn id(arguments: &[&str]) -> Option<u32> {
        run(Command::new("id").args(arguments), "", USUAL).ok()?.parse().ok()
    }
}

#[cfg(unix)]
pub(crate) use unix::is_root;

#[cfg(not(unix))]
pub(crate) use elsewhere::{User, is_root};

/// Systems where the servers do not run anyway: enough that what depends on this crate can be built.
#[cfg(not(unix))]
mod elsewhere {
    use std::path::Path;
    use std::process::Command;

    #[derive(Clone, Copy)]
    pub(crate) enum User {}

    impl User {
        pub(crate) fn instead_of_root(_names: &[&str]) -> Result<Option<Self>, String> {
            Err("this system is not supported".to_owned())
        }

        pub(crate) fn run_as(self, _command: &mut Command) {
            match self {}
        }

        pub(crate) fn own(self, _path: &Path) -> Result<(), String> {
            match self {}
        }

        pub(crate) fn may_write(_path: &Path) -> bool {
            false
        }
    }

    pub(crate) fn is_root() -> bool {
        false
    }
}
