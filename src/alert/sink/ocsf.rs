//! Alerts as OCSF Detection Findings: see [`crate::report::ocsf`].
//!
//! `time` is the run; `finding_info.uid` is the alert's identity, the same for create, update and close.

use serde_json::Value;

use super::{Alert, Event};
use crate::report::ocsf::{Activity, Detection};

/// Returns the finding of `alert` as an object of class 2004.
pub(super) fn object(alert: &Alert) -> Value {
    let detection = Detection {
        finding: &alert.finding,
        activity: match alert.event {
            Event::New | Event::Summary => Activity::Create,
            Event::Update => Activity::Update,
            Event::Resolve => Activity::Close,
        },
        time: alert.run.at,
        uid: &alert.key,
        identity: &alert.identity(),
        cluster: Some(&alert.cluster),
    };
    let mut object = detection.object();
    object["unmapped"]["event"] = alert.event.as_str().into();
    if let Some(resolution) = alert.resolution {
        object["unmapped"]["resolution"] = resolution.as_str().into();
    }
    object
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::alert::sink::tests::alert;
    use crate::finding::Severity;

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
