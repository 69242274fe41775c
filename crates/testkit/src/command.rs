//! Running a command to its end, which is bounded.

use std::io::{Read, Write as _};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Statements, set-up programs and the like.
pub(crate) const USUAL: Duration = Duration::from_secs(60);

/// One attempt of many to find out whether a server answers.
pub(crate) const PROBE: Duration = Duration::from_secs(5);

/// Feeds a command its input and gives what it wrote, without the last line end.
///
/// Errors hold all that the command said. One that takes longer than `at_most` is killed.
pub(crate) fn run(command: &mut Command, input: &str, at_most: Duration) -> Result<String, String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("{name} cannot be started: {error}"))?;
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let (status, output, complaints) = std::thread::scope(|scope| {
        // A command that ends before it has read everything is judged by its status.
        scope.spawn(move || stdin.map(|mut pipe| pipe.write_all(input.as_bytes())));
        let output = scope.spawn(move || read(stdout));
        let complaints = scope.spawn(move || read(stderr));
        let deadline = Instant::now() + at_most;
        let status = loop {
            match child.try_wait() {
                Ok(Some(status)) => break Ok(status),
                Ok(None) if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(2)),
                Ok(None) => {
                    let _ = child.kill();
                    let _ = child.wait();
                    break Err(format!("not done after {} s", at_most.as_secs()));
                }
                Err(error) => break Err(error.to_string()),
            }
        };
        (status, output.join().unwrap_or_default(), complaints.join().unwrap_or_default())
    });
    let outcome = match status {
        Ok(status) if status.success() => return Ok(output.trim_end_matches(['\r', '\n']).to_owned()),
        Ok(status) => status.to_string(),
        Err(why) => why,
    };
    Err(format!("{name}: {outcome}\n{complaints}{output}").trim_end().to_owned())
}

fn read(pipe: Option<impl Read>) -> String {
    let mut bytes = Vec::new();
    if let Some(mut pipe) = pipe {
        let _ = pipe.read_to_end(&mut bytes);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn input_goes_in_and_output_comes_out() {
        let long = "line\n".repeat(100_000);
        assert_eq!(run(&mut Command::new("cat"), &long, USUAL).unwrap(), long.trim_end());
    }

    #[test]
    fn errors_hold_what_was_said() {
        let why = run(Command::new("sh").args(["-c", "echo no >&2; exit 3"]), "", USUAL).unwrap_err();
        assert!(why.contains("exit status: 3") && why.ends_with("no"), "{why}");
    }

    #[test]
    fn what_does_not_end_is_killed() {
        let why = run(Command::new("sleep").arg("1000"), "", Duration::from_millis(10)).unwrap_err();
        assert!(why.contains("not done"), "{why}");
    }
}
