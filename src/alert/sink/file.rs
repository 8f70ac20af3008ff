//! A file of lines, one per alert, appended and synced.

use std::path::PathBuf;
use std::time::Instant;

use super::append::{append, check};
use super::stdout::rendered;
use super::{Alert, Delivery, Outcome, Sink};
use crate::alert::config::Format;

/// Appends alerts to a file.
pub(super) struct FileSink {
    pub(super) name: String,
    pub(super) path: PathBuf,
    pub(super) format: Format,
}

impl Sink for FileSink {
    fn name(&self) -> &str {
        &self.name
    }

    fn send(&mut self, batch: &[&Alert], _deadline: Instant) -> Delivery {
        let outcome = match append(&self.path, &rendered(self.format, batch)) {
            Ok(()) => Outcome::Delivered,
            Err(error) => Outcome::retry(error.to_string()),
        };
        Delivery::all(batch.len(), outcome)
    }

    fn check(&self) -> Result<(), String> {
        check(&self.path).map_err(|error| error.to_string())
    }

    fn preview(&self, batch: &[&Alert]) -> String {
        rendered(self.format, batch)
    }
}
