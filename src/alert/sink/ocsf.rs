//! OCSF 1.8.0, Detection Finding (class 2004).
//!
//! `time` is when the finding was made, that is the run; the span of the requests is in `start_time` and `end_time`. All
//! times are milliseconds since 1970. `finding_info.uid` is the alert's identity, the same for create, update and close.

use serde_json::{Map, Value, json};

use super::text::{MAX_TEXT_BYTES, head, plain};
use super::{Alert, Event};
use crate::finding::{Confidence, Severity, Timestamp};
use crate::redact::redact;

/// The version of the schema that the objects follow.
const VERSION: &str = "1.8.0";

/// Returns the finding of `alert` as an object of class 2004.
pub(super) fn object(alert: &Alert) -> Value {
    let finding = &alert.finding;
    let (activity, status) = match alert.event {
        Event::New | Event::Summary => (1, 1),
        Event::Update => (2, 2),
        Event::Resolve => (3, 4),
    };
    let text = |text: &str| redact(head(text, MAX_TEXT_BYTES)).into_owned();
    let list = |texts: &[String]| {
        texts
            .iter()
            .take(20)
            .map(|item| text(item))
            .collect::<Vec<_>>()
    };
    let attacks: Vec<Value> = finding
        .attack
        .iter()
        .take(20)
        .map(|id| {
            let technique = json!({ "uid": plain(id.split('.').next().unwrap_or(id), 20) });
            if id.contains('.') {
                json!({ "technique": technique, "sub_technique": { "uid": plain(id, 20) } })
            } else {
                json!({ "technique": technique })
            }
        })
        .collect();
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
        "time": millis(alert.run.at),
        "start_time": millis(finding.first_seen),
        "end_time": millis(finding.last_seen),
        "count": finding.count,
        "message": text(&finding.summary),
        "metadata": {
            "version": VERSION,
            "product": {
                "name": "kubescry",
                "vendor_name": "kubescry",
                "version": env!("CARGO_PKG_VERSION"),
            },
            "log_name": "audit.k8s.io/v1",
            "uid": alert.key,
            "tenant_uid": plain(&alert.cluster, 255),
        },
        "finding_info": {
            "uid": alert.identity(),
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
            "attacks": attacks,
        },
        "remediation": { "desc": list(&finding.next_steps).join("\n") },
        "evidences": evidences(alert),
        "unmapped": {
            "finding_id": finding.finding_id,
            "event": alert.event.as_str(),
            "why": list(&finding.why),
            "blind_spots": list(&finding.blind_spots),
        },
    })
}

/// Returns the evidence: who, from where and to what, at least one of them as the schema demands, or nothing.
fn evidences(alert: &Alert) -> Vec<Value> {
    let finding = &alert.finding;
    let text = |text: &String| redact(head(text, MAX_TEXT_BYTES)).into_owned();
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
    use crate::alert::sink::tests::alert;

    #[test]
    fn required_and_recommended_keys_are_there() {
        let object = object(&alert(Event::Resolve, Severity::High, "jane"));
        for key in [
            "activity_id",
            "category_uid",
            "class_uid",
            "type_uid",
            "severity_id",
            "time",
            "metadata",
            "finding_info",
            "message",
            "evidences",
            "is_alert",
            "confidence_id",
            "status_id",
        ] {
            assert!(!object[key].is_null(), "{key}");
        }
        assert_eq!(object["type_uid"], 200_403);
        assert_eq!(object["status_id"], 4);
        assert_eq!(object["severity_id"], 4);
        assert_eq!(object["time"], 1_795_327_200_000_i64);
        assert_eq!(object["start_time"], 1_795_323_662_123_i64);
        assert_eq!(object["metadata"]["version"], "1.8.0");
        assert_eq!(
            object["finding_info"]["attacks"],
            json!([{ "technique": { "uid": "T1550" }, "sub_technique": { "uid": "T1550.001" } }])
        );
        assert_eq!(
            object["evidences"],
            json!([{
                "actor": { "user": { "name": "jane", "credential_uid": "jane" } },
                "src_endpoint": { "ip": "jane" },
                "resources": [{ "type": "jane", "name": "jane", "namespace": "jane" }],
            }])
        );
    }
}
