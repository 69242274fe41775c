//! Installing a missing server on Debian-like systems.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::command::run;
use crate::user::is_root;

/// `apt-get` on a slow line.
const AT_MOST: Duration = Duration::from_secs(600);

/// So long a failure is believed, so that not every test program waits for a network that is not there.
const FAILURE_LASTS: Duration = Duration::from_secs(600);

/// Asked by Debian's packages before they start a server: 101 forbids it.
const POLICY: &str = "/usr/sbin/policy-rc.d";

/// Installs a package, unless `found` says that another process just did.
pub(crate) fn install(package: &str, found: impl Fn() -> bool) -> Result<(), String> {
    if !Path::new("/etc/debian_version").exists() || crate::program::find(&["apt-get"], &[]).is_none() {
        return Err("only Debian-like systems let it be installed from here".to_owned());
    }
    if !is_root() {
        return Err("only root may install it".to_owned());
    }
    let file = |name: &str| std::env::temp_dir().join(format!("taskloom-testkit-{name}"));
    let lock = File::options()
        .write(true)
        .create(true)
        .truncate(false)
        .open(file("apt.lock"))
        .map_err(|error| format!("the lock of the installation cannot be made: {error}"))?;
    lock.lock().map_err(|error| format!("the lock of the installation cannot be taken: {error}"))?;
    if found() {
        return Ok(());
    }
    let failed = file(&format!("{package}.failed"));
    if let Some(why) = recent(&failed) {
        return Err(why);
    }
    let outcome = apt(package).map_err(|why| format!("{package} cannot be installed: {why}"));
    match &outcome {
        Ok(()) => drop(std::fs::remove_file(failed)),
        Err(why) => drop(std::fs::write(failed, why)),
    }
    outcome
}

fn recent(failed: &Path) -> Option<String> {
    let age = failed.metadata().ok()?.modified().ok()?.elapsed().ok()?;
    if age > FAILURE_LASTS {
        return None;
    }
    std::fs::read_to_string(failed).ok()
}

fn apt(package: &str) -> Result<(), String> {
    let _guard = Policy::forbid_starts()?;
    let apt = |arguments: &[&str]| {
        let mut command = Command::new("apt-get");
        command.args(["-q", "-o", "DPkg::Lock::Timeout=300", "-o", "Acquire::Retries=1"]).args(arguments);
        // The run level is a second guard: some packages look at it only.
        run(command.env("DEBIAN_FRONTEND", "noninteractive").env("RUNLEVEL", "1"), "", AT_MOST)
    };
    apt(&["update"])?;
    apt(&["install", "-y", "--no-install-recommends", package])?;
    Ok(())
}

/// Keeps packages from starting their servers on the usual ports. A policy that exists is somebody's decision and stays.
struct Policy(Option<PathBuf>);

impl Policy {
    fn forbid_starts() -> Result<Self, String> {
        let path = PathBuf::from(POLICY);
        if path.exists() {
            return Ok(Self(None));
        }
        let problem = |error: std::io::Error| format!("{POLICY} cannot be made: {error}");
        let guard = Self(Some(path.clone()));
        std::fs::write(
            &path,
            "#!/bin/sh\n# taskloom-testkit installs a package and removes this afterwards.\nexit 101\n",
        )
        .map_err(problem)?;
        #[cfg(unix)]
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755))
            .map_err(problem)?;
        Ok(guard)
    }
}

impl Drop for Policy {
    fn drop(&mut self) {
        if let Some(path) = &self.0 {
            let _ = std::fs::remove_file(path);
        }
    }
}
