//! Standard output: nothing is printed when nothing is new, so that cron mails only what matters.
//!
//! A line that was printed but not flushed does not count as delivered.

use std::io::Write;
use std::time::Instant;

use super::json::{line, object_with};
use super::{Alert, Delivery, Outcome, Sink, digest, ocsf};
use crate::alert::config::Format;
use crate::finding::Timestamp;

/// Prints alerts.
pub(super) struct Stdout {
    pub(super) name: String,
    pub(super) format: Format,
    pub(super) out: Box<dyn Write + Send>,
}

impl Sink for Stdout {
    fn name(&self) -> &str {
        &self.name
    }

    fn send(&mut self, batch: &[&Alert], _deadline: Instant) -> Delivery {
        let text = rendered(self.format, batch);
        let written = self
            .out
            .write_all(text.as_bytes())
            .and_then(|()| self.out.flush());
        let outcome = match written {
            Ok(()) => Outcome::Delivered,
            Err(error) => Outcome::retry(format!("standard output: {}", error.kind())),
        };
        Delivery::all(batch.len(), outcome)
    }

    fn preview(&self, batch: &[&Alert]) -> String {
        rendered(self.format, batch)
    }
}

/// Returns `batch` in `format`; an OCSF finding has the time of the run that made it.
pub(super) fn rendered(format: Format, batch: &[&Alert]) -> String {
    let lines = batch.iter().map(|alert| match format {
        Format::Jsonl => line(&object_with(alert, usize::MAX, usize::MAX)),
        Format::Ocsf => line(&ocsf::object(alert)),
        Format::Text => digest::block(alert),
    });
    lines.collect()
}

/// Returns the time of day of a moment of the log that may be out of any calendar, kept between 1970 and `now`.
pub(super) fn in_range(time: Timestamp, now: Timestamp) -> Timestamp {
    Timestamp(time.0.clamp(0, now.0.max(0)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::sink::Event;
    use crate::alert::sink::tests::alert;
    use crate::finding::Severity;

    #[test]
    fn text_is_for_people() {
        let alert = alert(Event::New, Severity::High, "jane");
        let text = rendered(Format::Text, &[&alert]);
        let expected = format!(
            "HIGH new: Token used after its service account was deleted (token-reused-after-deletion)\n\
             \x20 what    jane was used 12 times after its deletion, by jane.\n\
             \x20 who     jane\n\
             \x20 from    jane; jane; jane and 2 more\n\
             \x20 with    jane; jane; jane and 2 more\n\
             \x20 to      jane/jane/jane/jane\n\
             \x20 when    2026-11-22T05:01:02Z to 2026-11-22T05:44:10Z\n\
             \x20 count   12\n\
             \x20 why     jane; jane; jane and 2 more\n\
             \x20 next    jane; jane; jane and 2 more\n\
             \x20 proof   logs/audit.log:17, audit ID jane\n\
             \x20 cluster prod\n\
             \x20 finding 9b2c5f0e9b2c5f0e9b2c5f0e9b2c5f0e\n\
             \x20 key     {}\n",
            alert.key
        );
        assert_eq!(text, expected);
    }

    #[test]
    fn a_closed_pipe_delivers_nothing() {
        struct Closed;
        impl Write for Closed {
            fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
                Err(std::io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
        let name = "stdout".to_owned();
        let mut sink = Stdout {
            name,
            format: Format::Jsonl,
            out: Box::new(Closed),
        };
        let alert = alert(Event::New, Severity::High, "x");
        let delivery = sink.send(&[&alert], Instant::now());
        assert!(matches!(delivery.outcomes[..], [Outcome::Retry { .. }]));
    }
}
