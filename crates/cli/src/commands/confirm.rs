//! Asking before something is lost, or done to many.

use std::io::{self, BufRead, IsTerminal, Read, Write};

use crate::error::CliError;
use crate::output::Output;

/// Whether whoever sits at the terminal says yes.
///
/// # Errors
/// Nobody sits there: then `--yes` has to say it.
pub(super) fn confirm(question: &str, out: Output) -> Result<bool, CliError> {
    if !io::stdin().is_terminal() {
        return Err(CliError::usage("nobody is there to ask").hint("--yes does it without asking"));
    }
    let failed = |e: io::Error| CliError::failed(format!("cannot ask: {e}"));
    let mut terminal = io::stderr().lock();
    write!(terminal, "{question} [y/N] ").and_then(|()| terminal.flush()).map_err(failed)?;
    drop(terminal);
    let mut answer = String::new();
    io::stdin().lock().take(1_024).read_line(&mut answer).map_err(failed)?;
    let is_yes = matches!(answer.trim().to_lowercase().as_str(), "y" | "yes");
    if !is_yes {
        out.note("nothing was done");
    }
    Ok(is_yes)
}
