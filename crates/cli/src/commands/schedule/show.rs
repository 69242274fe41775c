//! Asking before something is lost.

use std::io::{self, BufRead, IsTerminal};

use crate::error::CliError;
use crate::output::{Output, plain};

/// Asks on the terminal; without one somebody has to say `--yes`.
pub(super) fn confirm(what: &str, out: Output) -> Result<bool, CliError> {
    let stdin = io::stdin();
    if !stdin.is_terminal() {
        return Err(CliError::usage("nobody can be asked here: say --yes"));
    }
    out.note(format!("{}? [y/N]", plain(what)));
    let mut answer = String::new();
    stdin
        .lock()
        .read_line(&mut answer)
        .map_err(|e| CliError::failed(format!("cannot read the answer: {e}")))?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
