//! What a watcher sees: a live bar on a terminal, plain lines elsewhere.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use taskloom_model::State;
use taskloom_protocol::{LogLevel, Task, TaskEvent};

use crate::output::{Output, Tone, brief, clip, plain};

/// Plain lines tell progress in steps of so many per cent, to keep logs short.
const STEP: f64 = 10.0;

/// Shows a task while it moves.
pub(crate) struct View {
    kind: Kind,
    seen: Option<(State, u32)>,
    told: f64,
    anything: bool,
}

enum Kind {
    Silent,
    Bar(ProgressBar, Output),
    Lines(Output),
}

impl View {
    /// A bar if somebody looks at stderr, else lines.
    pub(crate) fn new(out: Output) -> Self {
        let kind = if out.live { Kind::Bar(bar(out), out) } else { Kind::Lines(out) };
        Self { kind, ..Self::silent() }
    }

    /// Shows nothing.
    pub(crate) fn silent() -> Self {
        Self { kind: Kind::Silent, seen: None, told: 0.0, anything: false }
    }

    /// Whether the task has never been seen.
    pub(crate) fn saw_nothing(&self) -> bool {
        !self.anything
    }

    /// The task as it is now.
    pub(crate) fn snapshot(&mut self, task: &Task) {
        self.anything = true;
        self.state(task.state, task.reason.map(taskloom_model::Reason::name), task.attempt);
        self.progress(task.progress, task.progress_detail.as_ref().map(|json| json.get().to_owned()));
    }

    /// What happened to it.
    pub(crate) fn event(&mut self, event: &TaskEvent) {
        match event {
            TaskEvent::State { state, reason, attempt, .. } => {
                self.state(*state, reason.map(taskloom_model::Reason::name), *attempt);
            }
            TaskEvent::Progress { progress, detail } => {
                self.progress(*progress, detail.as_ref().map(ToString::to_string));
            }
            TaskEvent::Log { level, message, .. } => self.log(*level, message),
        }
    }

    /// The connection is gone and will be tried again.
    pub(crate) fn waiting(&mut self, why: &str) {
        let text = format!("{why}; trying again");
        match &self.kind {
            Kind::Silent => {}
            Kind::Bar(bar, _) => bar.set_message(clip(&text, 60)),
            Kind::Lines(out) => out.note(text),
        }
    }

    /// Takes the bar away.
    pub(crate) fn close(&self) {
        if let Kind::Bar(bar, _) = &self.kind {
            bar.finish_and_clear();
        }
    }

    fn state(&mut self, state: State, reason: Option<&str>, attempt: u32) {
        if self.seen.replace((state, attempt)) == Some((state, attempt)) {
            return;
        }
        let reason = reason.map(|reason| format!(" ({reason})")).unwrap_or_default();
        let attempt = if attempt > 1 { format!(", attempt {attempt}") } else { String::new() };
        match &self.kind {
            Kind::Silent => {}
            Kind::Bar(bar, _) => bar.set_prefix(format!("{state}{reason}{attempt}")),
            Kind::Lines(_) if state.is_terminal() => {}
            Kind::Lines(out) => out.note(format!("{state}{reason}{attempt}")),
        }
    }

    fn progress(&mut self, progress: f64, detail: Option<String>) {
        let text = detail.map(|detail| clip(&brief(&detail), 60)).unwrap_or_default();
        match &self.kind {
            Kind::Silent => {}
            Kind::Bar(bar, _) => {
                bar.set_position(progress.clamp(0.0, 100.0) as u64);
                bar.set_message(text);
            }
            Kind::Lines(out) => {
                if progress >= self.told + STEP || (progress >= 100.0 && self.told < 100.0) {
                    self.told = progress;
                    out.note(format!("{progress:.0}% {text}").trim_end());
                } else if progress < self.told {
                    self.told = progress;
                }
            }
        }
    }

    fn log(&self, level: LogLevel, message: &str) {
        let text = plain(message);
        match &self.kind {
            Kind::Silent => {}
            Kind::Bar(bar, out) => {
                let tone = match level {
                    LogLevel::Debug => Tone::Faint,
                    LogLevel::Info => Tone::Strong,
                    LogLevel::Warning => Tone::Warn,
                    LogLevel::Error => Tone::Bad,
                };
                bar.println(format!("{} {text}", out.paint_note(tone, level.name())));
            }
            Kind::Lines(out) => out.note(format!("{}: {text}", level.name())),
        }
    }
}

fn bar(out: Output) -> ProgressBar {
    let template = if out.err_color {
        "{spinner:.cyan} {prefix} {bar:30.cyan/black} {percent:>3}% {elapsed} {wide_msg}"
    } else {
        "{spinner} {prefix} {bar:30} {percent:>3}% {elapsed} {wide_msg}"
    };
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = ProgressBar::new(100).with_style(style);
    bar.enable_steady_tick(Duration::from_millis(120));
    bar
}
