//! Says on standard error what runs, so that standard output stays the report.

use std::io::{IsTerminal, Write};

/// The line that says what runs.
pub(crate) struct Progress {
    is_terminal: bool,
    reps: u32,
    rep: u32,
}

impl Progress {
    pub(crate) fn new(reps: u32) -> Self {
        Self { is_terminal: std::io::stderr().is_terminal(), reps, rep: 0 }
    }

    /// The next repetition begins.
    pub(crate) fn next_rep(&mut self) {
        self.rep += 1;
    }

    /// A step of the repetition begins.
    pub(crate) fn step(&self, what: &str) {
        let line = format!("bench {}/{}: {what}", self.rep, self.reps);
        write(&if self.is_terminal { format!("\r\x1b[K{line} …") } else { format!("{line}\n") });
    }
}

fn write(text: &str) {
    let mut stderr = std::io::stderr().lock();
    // Nobody may read it.
    let _ = stderr.write_all(text.as_bytes()).and_then(|()| stderr.flush());
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.is_terminal {
            write("\r\x1b[K");
        }
    }
}
