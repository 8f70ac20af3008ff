//! Results: what a scan came to, as the browser shows it. Cheap to clone, and empty as long as a log is read.

use std::sync::Arc;

use crate::finding::Finding;
use crate::finding::credential::Credential;
use crate::finding::incident::Incident;
use crate::report::Summary;

/// What a scan came to.
#[derive(Debug, Clone, Default)]
pub struct Results {
    /// The findings.
    pub findings: Arc<[Finding]>,
    /// The incidents, worst first.
    pub incidents: Arc<[Incident]>,
    /// The credentials.
    pub credentials: Arc<[Credential]>,
    /// What was read.
    pub summary: Arc<Summary>,
}

impl Results {
    /// Returns the finding of that id.
    pub fn finding(&self, id: &str) -> Option<&Finding> {
        self.findings
            .iter()
            .find(|finding| finding.finding_id == id)
    }

    /// Returns the incident of that id.
    pub fn incident(&self, id: &str) -> Option<&Incident> {
        self.incidents
            .iter()
            .find(|incident| incident.incident_id == id)
    }

    /// Returns the credential of that key.
    pub fn credential(&self, key: &str) -> Option<&Credential> {
        self.credentials
            .iter()
            .find(|credential| credential.credential == key)
    }
}
