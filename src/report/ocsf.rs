//! OCSF 1.8.0, Detection Finding (class 2004), for lakes and SIEMs.
//!
//! The span of the requests is in `start_time` and `end_time`; all times are milliseconds since 1970.

use std::io::{self, Write};

use serde_json::{Map, Value, json};

use super::Summary;
use super::clean::clip;
use super::json::write_line;
use crate::finding::{Confidence, Finding, Severity, Timestamp};
use crate::redact::redact;

/// The version of the schema that the objects follow.
const VERSION: &str = "1.8.0";

/// Bytes of one text; longer ones are cut.
const TEXT_BYTES: usize = 8 * 1024;

/// Elements of one list.
const LIST: usize = 20;

/// Columns of the name of a technique.
const TECHNIQUE: usize = 20;

/// Columns of the name of a cluster.
const CLUSTER: usize = 255;

/// A finding as an event of the schema.
pub struct Detection<'a> {
    /// The finding, with its secrets or without.
    pub finding: &'a Finding,
    /// What happened to it.
    pub activity: Activity,
    /// When it was made.
    pub time: Timestamp,
    /// Identity of this event.
    pub uid: &'a str,
    /// Identity of the finding, the same in all events about it.
    pub identity: &'a str,
    /// Name of the cluster, if one is known.
    pub cluster: Option<&'a str>,
}

/// What happened to a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activity {
    /// It is new.
    Create,
    /// It goes on.
    Update,
    /// It is quiet.
    Close,
}

impl Activity {
    /// Returns `activity_id` and `status_id`.
    const fn ids(self) -> [u32; 2] {
        match self {
            Self::Create => [1, 1],
            Self::Update => [2, 2],
            Self::Close => [3, 4],
        }
    }
}

/// Writes one object per finding on a line of its own, in the order given.
///
/// A scan has no time of its own, so that the same log gives the same bytes: its findings are made where the log ends.
pub(super) fn write(
    findings: &[Finding],
    summary: &Summary,
    out: &mut dyn Write,
) -> io::Result<()> {
    for finding in findings {
        let detection = Detection {
            finding,
            activity: Activity::Create,
            time: summary.totals.last.unwrap_or(finding.last_seen),
            uid: &finding.finding_id,
            identity: &finding.finding_id,
            cluster: None,
        };
        write_line(&detection.object(), out)?;
    }
    Ok(())
}

impl Detection<'_> {
    /// Returns the event as an object of class 2004, without secrets.
    pub fn object(&self) -> Value {
        let finding = self.finding;
        let [activity, status] = self.activity.ids();
        let attacks = finding.attack.iter().take(LIST).map(|id| {
            let technique = json!({ "uid": clip(id.split('.').next().unwrap_or(id), TECHNIQUE) });
            if id.contains('.') {
                json!({ "technique": technique, "sub_technique": { "uid": clip(id, TECHNIQUE) } })
            } else {
                json!({ "technique": technique })
            }
        });
        let mut metadata = json!({
            "version": VERSION,
            "product": {
                "name": "kubescry",
                "vendor_name": "kubescry",
                "version": env!("CARGO_PKG_VERSION"),
            },
            "log_name": "audit.k8s.io/v1",
            "uid": self.uid,
        });
        if let Some(cluster) = self.cluster {
            metadata["tenant_uid"] = clip(cluster, CLUSTER).into();
        }
        json!({
            "activity_id": activity,
            "category_uid": 2,
            "class_uid": 2004,
            "type_uid": 200_400 + activity,
            "severity_id": severity(finding.severity),
            "severity": finding.severity.as_str(),
            "status_id": status,
            "confidence_id": confidence(finding.confidence),
            "is_alert": true,
            "time": millis(self.time),
            "start_time": millis(finding.first_seen),
            "end_time": millis(finding.last_seen),
            "count": finding.count,
            "message": text(&finding.summary),
            "metadata": metadata,
            "finding_info": {
                "uid": self.identity,
                "title": text(&finding.rule.title),
                "desc": text(&finding.summary),
                "types": [finding.family],
                "first_seen_time": millis(finding.first_seen),
                "last_seen_time": millis(finding.last_seen),
                "analytic": {
                    "type_id": 1,
                    "name": text(&finding.rule.name),
                    "uid": finding.rule.id,
                },
                "attacks": attacks.collect::<Vec<_>>(),
            },
            "remediation": { "desc": list(&finding.next_steps).join("\n") },
            "evidences": evidences(finding),
            "unmapped": {
                "finding_id": finding.finding_id,
                "why": list(&finding.why),
                "blind_spots": list(&finding.blind_spots),
            },
        })
    }
}

fn text(text: &str) -> String {
    redact(&text[..text.floor_char_boundary(TEXT_BYTES)]).into_owned()
}

fn list(texts: &[String]) -> Vec<String> {
    texts.iter().take(LIST).map(|item| text(item)).collect()
}

/// Returns the evidence: who, from where and to what, at least one of them as the schema demands, or nothing.
fn evidences(finding: &Finding) -> Vec<Value> {
    let mut evidence = Map::new();
    if let Some(username) = &finding.actor.username {
        let mut user = json!({ "name": text(username) });
        if let Some(credential) = &finding.actor.credential_id {
            user["credential_uid"] = text(credential).into();
        }
        evidence.insert("actor".to_owned(), json!({ "user": user }));
    }
    if let Some(ip) = finding.source.ips.first() {
        evidence.insert("src_endpoint".to_owned(), json!({ "ip": text(ip) }));
    }
    let target = &finding.target;
    if let Some(resource) = &target.resource {
        let mut object = json!({ "type": text(resource) });
        for (key, value) in [("name", &target.name), ("namespace", &target.namespace)] {
            if let Some(value) = value {
                object[key] = text(value).into();
            }
        }
        evidence.insert("resources".to_owned(), json!([object]));
    }
    if evidence.is_empty() {
        Vec::new()
    } else {
        vec![Value::Object(evidence)]
    }
}

const fn severity(severity: Severity) -> u8 {
    match severity {
        Severity::Informational => 1,
        Severity::Low => 2,
        Severity::Medium => 3,
        Severity::High => 4,
        Severity::Critical => 5,
    }
}

const fn confidence(confidence: Confidence) -> u8 {
    match confidence {
        Confidence::Low => 1,
        Confidence::Medium => 2,
        Confidence::High => 3,
    }
}

const fn millis(time: Timestamp) -> i64 {
    time.0.div_euclid(1000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::{finding, rendered, summary};
    use crate::report::{Format, Options};

    #[test]
    fn a_scan_makes_its_findings_where_the_log_ends() {
        let findings = [finding(Severity::High, "jane")];
        let written = rendered(Format::Ocsf, &findings, &summary(""), &Options::default());
        assert_eq!(written.lines().count(), 1);
        let object: Value = serde_json::from_str(&written).unwrap();
        assert_eq!(object["type_uid"], 200_401);
        assert_eq!(object["time"], 1_795_338_764_000_i64);
        assert_eq!(object["start_time"], 1_795_323_662_123_i64);
        assert_eq!(
            object["finding_info"]["uid"],
            findings[0].finding_id.as_str()
        );
        assert_eq!(object["evidences"][0]["actor"]["user"]["name"], "jane");
        assert_eq!(object["metadata"].get("tenant_uid"), None);
    }
}
