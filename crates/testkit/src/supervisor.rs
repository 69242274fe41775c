//! The keeper of one server: a small shell process that outlives this one just long enough to clean up.
//!
//! Destructors do not run in processes that are killed, nor for the statics in which tests share servers. The keeper
//! blocks on a pipe that only this process holds, so it learns of any end.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::folder;
use crate::user::User;

const SCRIPT: &str = include_str!("supervisor.sh");

/// So long a server may take until it answers.
const READY_WITHIN: Duration = Duration::from_secs(30);

/// So much of the log an error shows.
const TAIL_LINES: usize = 30;

/// What to keep, and how.
pub(crate) struct Server<'a> {
    /// Program and arguments.
    pub(crate) command: (PathBuf, Vec<String>),
    /// The signal at which it stops in order.
    pub(crate) stop: &'a str,
    /// The signal at which it stops at once; the data are not needed any more.
    pub(crate) end: &'a str,
    /// Shell commands that run in the folder after the server ended for good, before the folder is removed.
    pub(crate) last: &'a str,
}

/// A folder and the server that lives in it; both vanish when this is dropped or this process ends.
pub(crate) struct Supervisor {
    folder: PathBuf,
    user: Option<User>,
    keeper: Mutex<Keeper>,
}

struct Keeper {
    shell: Child,
    words: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Keeper {
    fn spawn(command: &mut Command) -> Result<Self, String> {
        let mut shell = command.spawn().map_err(|error| format!("/bin/sh cannot be started: {error}"))?;
        let (words, answers) = (shell.stdin.take(), shell.stdout.take().map(BufReader::new));
        Ok(Self { shell, words, answers: answers.ok_or("/bin/sh has no output")? })
    }
}

impl Supervisor {
    /// Makes the folder and its keeper; the server starts later. As root, everything in the folder runs as another user
    /// if one is named.
    pub(crate) fn new(
        name: &str,
        users: &[&str],
        server: impl FnOnce(&Path) -> Server<'static>,
    ) -> Result<Self, String> {
        let user = if users.is_empty() { None } else { User::instead_of_root(users)? };
        let folder = folder::create(name, user)?;
        let Server { command: (program, arguments), stop, end, last } = server(&folder);
        // Not as an argument, where it would fill every list of processes.
        let script = folder.join("supervisor.sh");
        let mut command = inside(&folder, user, Path::new("/bin/sh"));
        command
            .arg(&script)
            .args([&folder, &log(&folder)])
            .args([stop, end, last])
            .arg(program)
            .args(arguments);
        // In a process group of its own: what interrupts the tests, a terminal or a test runner, would also hit the
        // keeper. And with none of their outputs, for whose end a test runner may wait.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        match folder::write(&script, SCRIPT, user).and_then(|()| Keeper::spawn(&mut command)) {
            Ok(keeper) => Ok(Self { folder, user, keeper: Mutex::new(keeper) }),
            Err(why) => {
                let _ = std::fs::remove_dir_all(folder);
                Err(why)
            }
        }
    }

    /// The folder, as an absolute path.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Runs a program that prepares the server, in the folder and as the server's user, and gives what it said.
    pub(crate) fn prepare(&self, program: &Path, arguments: &[&str]) -> Result<String, String> {
        let quote = |word: &str| format!("'{}' ", word.replace('\'', r"'\''"));
        let words =
            std::iter::once(program.to_string_lossy()).chain(arguments.iter().map(|word| (*word).into()));
        self.write("prepare.sh", &words.map(|word| quote(&word)).collect::<String>())?;
        let outcome = self.tell("prepare");
        let said = std::fs::read(self.folder.join("prepare.log")).unwrap_or_default();
        let said = String::from_utf8_lossy(&said).trim().to_owned();
        outcome.map_err(|why| format!("{}: {why}\n{said}", program.display())).map(|()| said)
    }

    /// Writes a file of the folder that the server may change.
    pub(crate) fn write(&self, name: &str, text: &str) -> Result<PathBuf, String> {
        let path = self.folder.join(name);
        folder::write(&path, text, self.user)?;
        Ok(path)
    }

    /// Starts the server and waits until `ready` says that it answers.
    pub(crate) fn start(&self, ready: impl Fn() -> bool) -> Result<(), String> {
        let said = log(&self.folder).metadata().map_or(0, |data| data.len());
        self.tell("start")?;
        let deadline = Instant::now() + READY_WITHIN;
        let problem = loop {
            if ready() {
                return Ok(());
            }
            if !self.is_alive() {
                break "ended instead of starting".to_owned();
            }
            if Instant::now() > deadline {
                self.kill();
                break format!("did not answer within {} s", READY_WITHIN.as_secs());
            }
            std::thread::sleep(Duration::from_millis(10));
        };
        Err(format!("the server {problem}; its log ends with:\n{}", self.tail(said)))
    }

    /// Kills the server. The data stay.
    pub(crate) fn kill(&self) {
        self.demand("kill");
    }

    /// Stops the server in order; after half a minute it is killed. The data stay.
    pub(crate) fn stop(&self) {
        self.demand("stop");
    }

    /// Lets the server do nothing until [`Self::thaw`]; it keeps its connections.
    pub(crate) fn freeze(&self) {
        self.demand("freeze");
    }

    /// Lets the server go on.
    pub(crate) fn thaw(&self) {
        self.demand("thaw");
    }

    /// True if the server's process exists.
    pub(crate) fn is_alive(&self) -> bool {
        self.tell("alive").is_ok()
    }

    /// As [`Self::tell`]; a test cannot go on without.
    fn demand(&self, word: &str) {
        if let Err(why) = self.tell(word) {
            panic!("cannot {word} the server: {why}");
        }
    }

    fn tell(&self, word: &str) -> Result<(), String> {
        let mut keeper = self.keeper.lock().unwrap_or_else(PoisonError::into_inner);
        let mut answer = String::new();
        let words = keeper.words.as_mut().ok_or("its keeper ended")?;
        let told = writeln!(words, "{word}").and_then(|()| keeper.answers.read_line(&mut answer));
        told.map_err(|error| format!("its keeper ended: {error}"))?;
        match answer.trim_end() {
            "ok" => Ok(()),
            "" => Err("its keeper ended".to_owned()),
            why => Err(why.to_owned()),
        }
    }

    fn tail(&self, from: u64) -> String {
        let mut bytes = Vec::new();
        if let Ok(mut file) = File::open(log(&self.folder)) {
            let _ = file.seek(SeekFrom::Start(from)).and_then(|_| file.read_to_end(&mut bytes));
        }
        let text = String::from_utf8_lossy(&bytes);
        let lines: Vec<_> = text.lines().collect();
        lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        let keeper = self.keeper.get_mut().unwrap_or_else(PoisonError::into_inner);
        keeper.words = None;
        let _ = keeper.shell.wait();
        // Only there still if the keeper itself was killed.
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn log(folder: &Path) -> PathBuf {
    folder.join("server.log")
}

fn inside(folder: &Path, user: Option<User>, program: &Path) -> Command {
    let mut command = Command::new(program);
    // English messages: ports in use are recognised by them.
    command.current_dir(folder).env("HOME", folder).env("TMPDIR", folder).env("LC_ALL", "C");
    if let Some(user) = user {
        user.run_as(&mut command);
    }
    command
}
