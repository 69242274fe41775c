//! The only place that prints: results on stdout, everything else on stderr.

mod schedule;
mod table;
mod task;
mod text;

use std::io::{self, IsTerminal, Write};

use serde::Serialize;

pub(crate) use schedule::{describe_schedule, schedule_table, tick_table};
pub(crate) use table::Table;
pub(crate) use task::{age, describe_task, duration, task_table};
pub(crate) use text::{brief, clip, plain};

use crate::config::Environment;

/// Where and how to print.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::struct_excessive_bools, reason = "four independent facts about two streams")]
pub(crate) struct Output {
    /// Machine output instead of text for people.
    pub(crate) json: bool,
    /// Colours on stdout.
    pub(crate) color: bool,
    /// Colours on stderr.
    pub(crate) err_color: bool,
    /// Somebody looks at stderr.
    pub(crate) live: bool,
}

/// What a piece of text means; a terminal shows it in a colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    Good,
    Bad,
    Warn,
    Busy,
    Faint,
    Strong,
}

#[expect(clippy::unused_self, reason = "whoever prints was handed an Output")]
impl Output {
    /// Colours only on a terminal, and not with `NO_COLOR`.
    pub(crate) fn new(json: bool, environment: &Environment) -> Self {
        let wanted = environment.get("NO_COLOR").is_none() && environment.get("TERM") != Some("dumb");
        let live = io::stderr().is_terminal();
        Self { json, color: wanted && io::stdout().is_terminal(), err_color: wanted && live, live }
    }

    /// A line of the result.
    pub(crate) fn line(self, text: impl AsRef<str>) {
        print(&mut io::stdout().lock(), text.as_ref());
    }

    /// The result as one line of JSON.
    pub(crate) fn json(self, value: &impl Serialize) {
        match serde_json::to_string(value) {
            Ok(text) => self.line(text),
            Err(error) => self.note(format!("cannot write the answer as JSON: {error}")),
        }
    }

    /// A line about what is going on.
    pub(crate) fn note(self, text: impl AsRef<str>) {
        print(&mut io::stderr().lock(), text.as_ref());
    }

    /// `warning: …`
    pub(crate) fn warn(self, text: impl AsRef<str>) {
        self.note(format!("{} {}", paint(self.err_color, Tone::Warn, "warning:"), text.as_ref()));
    }

    /// `error: …`
    pub(crate) fn error(self, error: &dyn std::fmt::Display) {
        self.note(format!("{} {error}", paint(self.err_color, Tone::Bad, "error:")));
    }

    /// `text` in the colour of `tone`, for stdout.
    pub(crate) fn paint(self, tone: Tone, text: &str) -> String {
        paint(self.color, tone, text)
    }

    /// `text` in the colour of `tone`, for stderr.
    pub(crate) fn paint_note(self, tone: Tone, text: &str) -> String {
        paint(self.err_color, tone, text)
    }
}

/// Prints bytes as they are, such as a completion script.
pub(crate) fn raw(bytes: &[u8]) {
    finish(io::stdout().lock().write_all(bytes));
}

fn print(to: &mut impl Write, text: &str) {
    finish(writeln!(to, "{text}").and_then(|()| to.flush()));
}

/// A reader that left (`taskloom list | head`) is no error; a result that could not be written is one.
fn finish(result: io::Result<()>) {
    match result {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => std::process::exit(0),
        Err(error) => {
            let _ = writeln!(io::stderr(), "error: the output cannot be written: {error}");
            std::process::exit(1);
        }
    }
}

fn paint(color: bool, tone: Tone, text: &str) -> String {
    if !color {
        return text.to_owned();
    }
    let code = match tone {
        Tone::Good => "32",
        Tone::Bad => "31",
        Tone::Warn => "33",
        Tone::Busy => "36",
        Tone::Faint => "2",
        Tone::Strong => "1",
    };
    format!("\x1b[{code}m{text}\x1b[0m")
}
