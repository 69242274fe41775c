//! `taskloom completions`

use clap::{Args, CommandFactory, ValueEnum};
use clap_complete::Shell;

use crate::args::Cli;
use crate::error::Exit;
use crate::output;

/// Print the completion script of a shell
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  taskloom completions bash > ~/.local/share/bash-completion/completions/taskloom\n  \
    taskloom completions zsh > \"${fpath[1]}/_taskloom\"\n  \
    taskloom completions fish > ~/.config/fish/completions/taskloom.fish"
)]
pub(crate) struct Completions {
    shell: KnownShell,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum KnownShell {
    Bash,
    Zsh,
    Fish,
}

impl Completions {
    pub(crate) fn run(self) -> Exit {
        let shell = match self.shell {
            KnownShell::Bash => Shell::Bash,
            KnownShell::Zsh => Shell::Zsh,
            KnownShell::Fish => Shell::Fish,
        };
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut Cli::command(), "taskloom", &mut script);
        output::raw(&script);
        Exit::Ok
    }
}
