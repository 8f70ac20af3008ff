//! Results: what a scan found, as views share it.

use std::sync::Arc;

use crate::finding::Finding;
use crate::finding::credential::Credential;
use crate::finding::incident::Incident;
use crate::report::Summary;

/// What a scan found, or has found so far.
#[derive(Debug, Clone, Default)]
pub struct Results {
    /// Findings, worst first.
    pub findings: Arc<[Finding]>,
    /// Incidents, worst first.
    pub incidents: Arc<[Incident]>,
    /// Credentials, by first use.
    pub credentials: Arc<[Credential]>,
    /// What was read.
    pub summary: Arc<Summary>,
}

impl Results {
    /// Returns the finding of that id.
    pub fn finding(&self, id: &str) -> Option<&Finding> {
        self.findings.iter().find(|finding| finding.finding_id == id)
    }
}
