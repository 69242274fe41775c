//! What `taskloom dev` says when it is ready.

use super::admin::{self, FirstPassword};
use crate::output::{Output, Tone};

/// What the banner tells of.
pub(crate) struct Ready<'a> {
    pub(crate) url: &'a str,
    pub(crate) docs: bool,
    pub(crate) data: &'a std::path::Path,
    pub(crate) first_password: &'a FirstPassword,
    /// Whether others than this machine reach it.
    pub(crate) open: bool,
}

/// Prints it.
pub(crate) fn print(ready: &Ready<'_>, out: Output) {
    let Ready { url, docs, data, first_password, open } = ready;
    let title = concat!("Taskloom ", env!("CARGO_PKG_VERSION"));
    let mut lines = vec![format!("{} is ready on {url}", out.paint(Tone::Strong, title))];
    if *docs {
        lines.push(format!("  docs    {url}/docs"));
        lines.push(format!("  redoc   {url}/redoc"));
    }
    lines.push(format!("  health  {url}/api/v1/health"));
    lines.push(format!("  data    {}", data.display()));
    if *open {
        lines.push(
            out.paint(Tone::Warn, "  It listens beyond this machine, without TLS: put a proxy in front."),
        );
    }
    lines.push(String::new());
    match first_password {
        FirstPassword::Generated(password) => {
            lines.push(format!(
                "User {}, password {}",
                admin::NAME,
                out.paint(Tone::Strong, password.expose())
            ));
            lines.push("Keep it: it is shown only now.".into());
            lines.push(String::new());
        }
        FirstPassword::FromEnvironment => {
            lines.push(format!("User {} was created with TASKLOOM_ADMIN_PASSWORD.", admin::NAME));
            lines.push(String::new());
        }
        FirstPassword::NotNeeded => {}
    }
    lines.push("Try, in another shell:".into());
    let taskloom = program();
    lines.push(format!("  {taskloom} login --server {url} --username {}", admin::NAME));
    lines.push(format!("  {taskloom} submit demo.sleep --kwarg seconds=5 --watch"));
    lines.push("Ctrl-C stops.".into());
    out.line(lines.join("\n"));
}

/// How this program is called from the directory it was started in: by its name if a shell would find it so.
fn program() -> String {
    let name = "taskloom".to_owned();
    let Ok(this) = std::env::current_exe() else { return name };
    let path = std::env::var_os("PATH").unwrap_or_default();
    if std::env::split_paths(&path).any(|dir| dir.join(&name).canonicalize().is_ok_and(|found| found == this))
    {
        return name;
    }
    let here = std::env::current_dir().unwrap_or_default();
    let shown = this.strip_prefix(&here).map_or(this.clone(), |below| std::path::Path::new(".").join(below));
    shown.display().to_string()
}
