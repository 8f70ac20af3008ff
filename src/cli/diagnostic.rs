//! Errors, warnings and hints on standard error, in one form.
//!
//! Comes in: what happened, in lower case without a full stop, and what to try. Goes out:
//!
//! ```text
//! error: unknown field `objectRef.kind`
//!   --> queries/detections/discovery/secret_listing.yml:14:9
//! hint: did you mean `objectRef.resource`?
//! ```
//!
//! Messages may quote a log or a file name, so each passes [`clean`](crate::report::clean) and fills
//! one line. This is the only place that writes to standard error; a write that fails there is
//! dropped, for there is nowhere left to say so.

use std::ffi::OsStr;
use std::fmt::Display;
use std::io::{self, IsTerminal, Write};

use clap::ValueEnum;

use crate::redact::redact;
use crate::report::clean::clip;

/// Columns of a message before it is cut; more is a hostile file name, not an explanation.
const COLUMNS_MAX: usize = 2000;

/// Whether output is colored (`--color`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum ColorChoice {
    /// On a terminal, unless `NO_COLOR` is set or `TERM` is `dumb`
    #[default]
    Auto,
    /// Even into a file or a pipe
    Always,
    /// Not at all
    Never,
}

impl ColorChoice {
    /// Returns whether to color what goes to standard output.
    pub fn on_stdout(self) -> bool {
        self.applies_to(&io::stdout())
    }

    /// Returns whether to color what goes to standard error.
    pub fn on_stderr(self) -> bool {
        self.applies_to(&io::stderr())
    }

    fn applies_to(self, stream: &impl IsTerminal) -> bool {
        let variable = |name| std::env::var_os(name);
        self.decide(
            stream.is_terminal(),
            variable("NO_COLOR").as_deref(),
            variable("TERM").as_deref(),
        )
    }

    /// Decides from the facts; an empty `NO_COLOR` counts as unset (<https://no-color.org>).
    fn decide(self, is_terminal: bool, no_color: Option<&OsStr>, term: Option<&OsStr>) -> bool {
        match self {
            Self::Always => true,
            Self::Never => false,
            Self::Auto => {
                is_terminal
                    && no_color.is_none_or(OsStr::is_empty)
                    && term.is_none_or(|term| term != "dumb")
            }
        }
    }
}

/// How bad a diagnostic is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// What was asked for cannot be done.
    Error,
    /// It was done, but not all is well; `--quiet` drops it.
    Warning,
}

/// One message, with the place it is about and what to try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    level: Level,
    message: String,
    lines: Vec<String>,
    hint: Option<String>,
}

impl Diagnostic {
    /// Returns an error; with an `anyhow::Error`, format it as `{:#}` to name its causes.
    pub fn error(message: impl Display) -> Self {
        Self::new(Level::Error, &message)
    }

    /// Returns a warning.
    pub fn warning(message: impl Display) -> Self {
        Self::new(Level::Warning, &message)
    }

    /// Adds a line below the message, such as `  --> file:14:9` or the line it points to.
    #[must_use]
    pub fn line(mut self, line: impl Display) -> Self {
        self.lines.push(line.to_string());
        self
    }

    /// Adds what to try; the last one counts.
    #[must_use]
    pub fn hint(mut self, hint: impl Display) -> Self {
        self.hint = Some(hint.to_string());
        self
    }

    fn new(level: Level, message: &dyn Display) -> Self {
        Self {
            level,
            message: message.to_string(),
            lines: Vec::new(),
            hint: None,
        }
    }
}

/// Prints diagnostics as the command line asked for them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Printer {
    color: bool,
    quiet: bool,
}

impl Printer {
    /// Returns a printer to standard error; `quiet` drops warnings.
    pub fn new(color: ColorChoice, quiet: bool) -> Self {
        Self {
            color: color.on_stderr(),
            quiet,
        }
    }

    /// Prints `diagnostic`.
    pub fn print(&self, diagnostic: &Diagnostic) {
        // A closed standard error cannot be reported anywhere.
        let _ = self.write(diagnostic, &mut io::stderr().lock());
    }

    /// Prints an error that needs neither place nor hint.
    pub fn error(&self, message: impl Display) {
        self.print(&Diagnostic::error(message));
    }

    /// Prints a warning that needs neither place nor hint.
    pub fn warning(&self, message: impl Display) {
        self.print(&Diagnostic::warning(message));
    }

    /// Prints a line that is neither error nor warning; `quiet` drops it.
    pub fn note(&self, message: impl Display) {
        if !self.quiet {
            let text: String = message
                .to_string()
                .lines()
                .map(|line| shown(line) + "\n")
                .collect();
            // As of `print`.
            let _ = io::stderr().lock().write_all(text.as_bytes());
        }
    }

    fn write(self, diagnostic: &Diagnostic, out: &mut dyn Write) -> io::Result<()> {
        let (word, color) = match diagnostic.level {
            Level::Error => ("error", "\x1b[1;31m"),
            Level::Warning if self.quiet => return Ok(()),
            Level::Warning => ("warning", "\x1b[1;33m"),
        };
        // One write per diagnostic, so that two processes on one terminal do not mix lines.
        let mut text = String::new();
        self.push(&mut text, color, word, &diagnostic.message);
        for line in &diagnostic.lines {
            text += &shown(line);
            text.push('\n');
        }
        if let Some(hint) = &diagnostic.hint {
            self.push(&mut text, "\x1b[1;36m", "hint", hint);
        }
        out.write_all(text.as_bytes())
    }

    fn push(self, text: &mut String, color: &str, word: &str, message: &str) {
        let (on, off) = if self.color {
            (color, "\x1b[0m")
        } else {
            ("", "")
        };
        text.extend([on, word, ":", off, " ", &shown(message), "\n"]);
    }
}

fn shown(text: &str) -> String {
    clip(&redact(text), COLUMNS_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Printer = Printer {
        color: false,
        quiet: false,
    };

    fn check(printer: Printer, diagnostic: &Diagnostic, expected: &str) {
        let mut out = Vec::new();
        printer.write(diagnostic, &mut out).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn diagnostics_have_one_form() {
        check(
            PLAIN,
            &Diagnostic::error("unknown field `objectRef.kind`")
                .line("  --> queries/secret_listing.yml:14:9")
                .line("14 |         objectRef.kind: secrets")
                .hint("did you mean `objectRef.resource`?"),
            "error: unknown field `objectRef.kind`\n  --> queries/secret_listing.yml:14:9\n\
             14 |         objectRef.kind: secrets\nhint: did you mean `objectRef.resource`?\n",
        );
        let warning = Diagnostic::warning("skipped 3 lines").hint("see `--strict`");
        check(
            PLAIN,
            &warning,
            "warning: skipped 3 lines\nhint: see `--strict`\n",
        );
        check(
            Printer {
                quiet: true,
                ..PLAIN
            },
            &warning,
            "",
        );
        check(
            Printer {
                quiet: true,
                ..PLAIN
            },
            &Diagnostic::error("x"),
            "error: x\n",
        );
        check(
            Printer {
                color: true,
                ..PLAIN
            },
            &warning,
            "\x1b[1;33mwarning:\x1b[0m skipped 3 lines\n\x1b[1;36mhint:\x1b[0m see `--strict`\n",
        );
    }

    #[test]
    fn messages_are_cleaned() {
        check(
            PLAIN,
            &Diagnostic::error("cannot read `\u{1b}]0;x\u{7}\nerror: forged\u{202e}`")
                .line("\r?token=abc"),
            "error: cannot read `\\u{1b}]0;x\\u{7}\\nerror: forged\\u{202e}`\n\\r?token=[redacted]\n",
        );
        check(
            PLAIN,
            &Diagnostic::error("x".repeat(1 << 20)),
            &format!("error: {}…\n", "x".repeat(COLUMNS_MAX - 1)),
        );
    }

    #[test]
    fn color_follows_terminal_and_environment() {
        fn check(choice: ColorChoice, terminal: bool, no_color: &str, term: &str, expected: bool) {
            let (no_color, term) = (OsStr::new(no_color), OsStr::new(term));
            assert_eq!(
                choice.decide(terminal, Some(no_color), Some(term)),
                expected
            );
        }
        check(ColorChoice::Auto, true, "", "xterm", true);
        check(ColorChoice::Auto, false, "", "xterm", false);
        check(ColorChoice::Auto, true, "1", "xterm", false);
        check(ColorChoice::Auto, true, "", "dumb", false);
        check(ColorChoice::Always, false, "1", "dumb", true);
        check(ColorChoice::Never, true, "", "xterm", false);
        assert!(ColorChoice::Auto.decide(true, None, None));
    }
}
