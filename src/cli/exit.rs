//! Exit codes and their promise, in one place.

use std::process::ExitCode;

/// How a run of the program ended; scripts rely on the numbers.
///
/// When several apply, the greatest wins: a gap in what was read weighs more than a finding in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Exit {
    /// Done, and nothing known is missing. A closed pipe is success, too.
    Done = 0,
    /// Done, with findings at or over `--fail-on`; only if that was asked for.
    Findings = 1,
    /// Wrong usage, configuration or rule; nothing was read.
    Usage = 2,
    /// Done, but something known is missing: an unreadable file, a cut stream, a limit that was
    /// hit, or more bad lines than `--max-bad` allows.
    Partial = 3,
    /// Nothing could be read.
    Unreadable = 4,
    /// An alert could not be delivered; it is kept for the next run.
    Undelivered = 5,
    /// A bug in the program, such as counters that do not add up.
    Internal = 70,
    /// Stopped by an interrupt, as shells report it (128 + SIGINT).
    Interrupted = 130,
}

impl Exit {
    /// Returns the number the process exits with.
    pub const fn code(self) -> u8 {
        self as u8
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_the_promised_ones() {
        fn check(exit: Exit, expected: u8) {
            assert_eq!(exit.code(), expected);
            assert_eq!(ExitCode::from(exit), ExitCode::from(expected));
        }
        check(Exit::Done, 0);
        check(Exit::Findings, 1);
        check(Exit::Usage, 2);
        check(Exit::Partial, 3);
        check(Exit::Unreadable, 4);
        check(Exit::Undelivered, 5);
        check(Exit::Internal, 70);
        check(Exit::Interrupted, 130);
    }

    #[test]
    fn missing_input_outweighs_findings() {
        assert_eq!(Exit::Findings.max(Exit::Partial), Exit::Partial);
        assert_eq!(Exit::Done.max(Exit::Findings), Exit::Findings);
    }
}
