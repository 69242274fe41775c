//! Where the programs are.

use std::path::{Path, PathBuf};

use crate::install::install;

/// Looks for a program by any of its names, in `PATH` and then in other folders.
pub(crate) fn find(names: &[&str], elsewhere: &[PathBuf]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders: Vec<_> = std::env::split_paths(&path).chain(elsewhere.iter().cloned()).collect();
    names.iter().find_map(|name| folders.iter().map(|folder| folder.join(name)).find(|file| is_program(file)))
}

/// The same, but with an error that says what is missing.
pub(crate) fn need(names: &[&str], elsewhere: &[PathBuf]) -> Result<PathBuf, String> {
    find(names, elsewhere).ok_or_else(|| format!("{} is not installed", names.join(" or ")))
}

/// The same, but installs a package of Debian if the program is missing and that is possible.
pub(crate) fn need_or_install(
    names: &[&str],
    elsewhere: impl Fn() -> Vec<PathBuf>,
    package: &str,
) -> Result<PathBuf, String> {
    let search = || need(names, &elsewhere());
    search().or_else(|missing| {
        install(package, || search().is_ok()).map_err(|why| format!("{missing}, and {why}"))?;
        search()
    })
}

fn is_program(file: &Path) -> bool {
    #[cfg(unix)]
    let may_run = |data: &std::fs::Metadata| std::os::unix::fs::MetadataExt::mode(data) & 0o111 != 0;
    #[cfg(not(unix))]
    let may_run = |_: &std::fs::Metadata| true;
    std::fs::metadata(file).is_ok_and(|data| data.is_file() && may_run(&data))
}
