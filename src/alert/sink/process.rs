//! A program that reads from standard input: no shell, fixed arguments, a clean environment, bounded time.

use std::io::Write;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// Variables that a program gets of ours, if they are set; others may hold secrets of other sinks.
const PASSED: [&str; 6] = ["PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR"];

/// How often an end is looked for.
const POLL: Duration = Duration::from_millis(5);

/// Runs `program` with `args`, gives it `input`, and returns how it ended; its output is dropped.
///
/// A program that does not read its input is no error. At `deadline` it is killed.
///
/// # Errors
/// When it cannot be started, or does not end in time; in words that name the program only.
pub(super) fn run<'a>(
    program: &Path,
    args: impl IntoIterator<Item = &'a str>,
    variables: &[String],
    input: &[u8],
    deadline: Instant,
) -> Result<ExitStatus, String> {
    let mut command = Command::new(program);
    command
        .args(args)
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let passed = PASSED
        .into_iter()
        .chain(variables.iter().map(String::as_str));
    for name in passed {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    let shown = program.display();
    let mut child = command
        .spawn()
        .map_err(|error| format!("cannot run `{shown}`: {}", error.kind()))?;
    let mut stdin = child.stdin.take().expect("standard input is a pipe");
    let input = input.to_vec();
    // Left behind if something that the program started keeps the pipe open and does not read.
    std::thread::spawn(move || stdin.write_all(&input).ok());
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Ok(status),
            Ok(None) if Instant::now() < deadline => std::thread::sleep(POLL),
            Ok(None) => {
                child.kill().ok();
                child.wait().ok();
                return Err(format!("`{shown}` did not end in time and was killed"));
            }
            Err(error) => return Err(format!("cannot wait for `{shown}`: {}", error.kind())),
        }
    }
}

/// Returns how a program ended, in words.
pub(super) fn ending(status: ExitStatus) -> String {
    status.code().map_or_else(
        || "ended by a signal".to_owned(),
        |code| format!("ended with exit code {code}"),
    )
}
