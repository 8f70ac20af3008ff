//! A program of the user's: one JSON line per alert on its standard input, arguments from the configuration only.
//!
//! Exit code 0 is delivered, any other is tried again. The environment has `PATH`, `HOME`, the locale, and what
//! `pass_env` names.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::json::{line, object};
use super::{Alert, Delivery, Outcome, Sink, process};

/// Runs a program.
pub(super) struct Exec {
    pub(super) name: String,
    pub(super) program: PathBuf,
    pub(super) args: Vec<String>,
    pub(super) pass_env: Vec<String>,
    pub(super) timeout: Duration,
}

impl Sink for Exec {
    fn name(&self) -> &str {
        &self.name
    }

    fn send(&mut self, batch: &[&Alert], deadline: Instant) -> Delivery {
        let deadline = deadline.min(Instant::now() + self.timeout);
        let args = self.args.iter().map(String::as_str);
        let input = self.preview(batch);
        let ended = process::run(
            &self.program,
            args,
            &self.pass_env,
            input.as_bytes(),
            deadline,
        );
        let outcome = match ended {
            Ok(status) if status.success() => Outcome::Delivered,
            Ok(status) => Outcome::retry(format!(
                "`{}` {}",
                self.program.display(),
                process::ending(status)
            )),
            Err(why) => Outcome::retry(why),
        };
        Delivery::all(batch.len(), outcome)
    }

    fn preview(&self, batch: &[&Alert]) -> String {
        batch.iter().map(|alert| line(&object(alert))).collect()
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use crate::alert::sink::Event;
    use crate::alert::sink::tests::{HOSTILE, alert};
    use crate::finding::Severity;

    fn sink(script: &str) -> Exec {
        Exec {
            name: "exec".to_owned(),
            program: "/bin/sh".into(),
            args: vec!["-c".to_owned(), script.to_owned()],
            pass_env: Vec::new(),
            timeout: Duration::from_secs(1),
        }
    }

    fn outcome(script: &str, alerts: &[&Alert]) -> Outcome {
        let deadline = Instant::now() + Duration::from_secs(5);
        sink(script).send(alerts, deadline).outcomes.swap_remove(0)
    }

    #[test]
    fn exit_code_and_time_decide() {
        let alert = alert(Event::New, Severity::High, &"x".repeat(1_000_000));
        assert_eq!(
            outcome("exit 0", &[&alert]),
            Outcome::Delivered,
            "input may stay unread"
        );
        assert!(
            matches!(outcome("exit 3", &[&alert]), Outcome::Retry { why, .. }
            if why == "`/bin/sh` ended with exit code 3")
        );
        let start = Instant::now();
        assert!(matches!(
            outcome("sleep 20", &[&alert]),
            Outcome::Retry { .. }
        ));
        assert!(start.elapsed() < Duration::from_secs(4));
    }

    #[test]
    fn input_is_json_and_no_text_is_run() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("got");
        let script = format!("cat > {}", path.display());
        for text in HOSTILE
            .into_iter()
            .chain(["$(touch /tmp/owned)", "'; exit 7 #"])
        {
            let alert = alert(Event::New, Severity::High, text);
            assert_eq!(outcome(&script, &[&alert, &alert]), Outcome::Delivered);
            let got = std::fs::read_to_string(&path).unwrap();
            assert_eq!(got.lines().count(), 2);
            assert!(
                got.lines()
                    .all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok())
            );
        }
    }

    #[test]
    fn variables_of_others_are_not_passed() {
        let alert = alert(Event::New, Severity::High, "x");
        assert!(std::env::var_os("CARGO_MANIFEST_DIR").is_some());
        assert_eq!(
            outcome("test -z \"$CARGO_MANIFEST_DIR\"", &[&alert]),
            Outcome::Delivered
        );
    }
}
