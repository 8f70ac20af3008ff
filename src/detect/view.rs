//! Views: what rules may ask of an event besides what stands in it.
//!
//! The object that a request wrote has the same shape whatever the verb: a rule on it need not know of
//! patches, of bodies that only the answer has, or of the three places where Pods are described.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use x509_cert::der::Decode;
use x509_cert::der::oid::ObjectIdentifier;
use x509_cert::request::CertReq;

use super::rbac::Grant;
use super::row::{column_values, text_of};
use super::value::{Number, Scalar, Values};
use crate::frame::{Column, EventFrame};

/// A value that follows from columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Derived {
    /// The binding that the authorizer's reason names.
    ReasonBinding,
    /// The role that it names.
    ReasonRole,
    /// The subject that it names.
    ReasonSubject,
    /// Command line of exec or attach, joined by blanks.
    ExecCommand,
    /// The same, by argument.
    ExecArgv,
    /// How long the request lasted.
    SessionSeconds,
}

impl Derived {
    /// All of them, as rules name them.
    pub const NAMES: [(&'static str, Self); 6] = [
        ("reason.binding", Self::ReasonBinding),
        ("reason.role", Self::ReasonRole),
        ("reason.subject", Self::ReasonSubject),
        ("exec.command", Self::ExecCommand),
        ("exec.argv", Self::ExecArgv),
        ("session.seconds", Self::SessionSeconds),
    ];

    /// Returns the coded column whose value alone decides.
    pub fn source(self) -> Option<Column> {
        match self {
            Self::ReasonBinding | Self::ReasonRole | Self::ReasonSubject => {
                Some(Column::AuthzReason)
            }
            Self::ExecCommand | Self::ExecArgv | Self::SessionSeconds => None,
        }
    }

    /// Returns the value where [`Self::source`] is `text`.
    pub fn of_text(self, text: &str) -> Values<'_> {
        let Some(grant) = Grant::parse(text) else {
            return Values::MISSING;
        };
        Values::Texts(vec![match self {
            Self::ReasonRole => Cow::Owned(grant.role),
            Self::ReasonSubject => Cow::Owned(grant.subject),
            _ => Cow::Borrowed(grant.binding),
        }])
    }

    /// Returns the value at a row.
    pub fn of_row(self, frame: &EventFrame, row_idx: usize) -> Values<'_> {
        if let Some(source) = self.source() {
            return self.of_text(frame.vocabulary().text(frame.code(source, row_idx)));
        }
        if self == Self::SessionSeconds {
            let [from, to] = [Column::Ts, Column::StageTs].map(|time| frame.times(time)[row_idx]);
            return seconds(from, to).map_or(Values::MISSING, |seconds| {
                Values::Single(Scalar::Number(Number::Float(seconds)))
            });
        }
        let Values::Single(Scalar::Text(subresource)) =
            column_values(frame, Column::Subresource, row_idx)
        else {
            return Values::MISSING;
        };
        let mut argv = match subresource {
            "exec" | "attach" => argv(frame.text(Column::RequestUri, row_idx)),
            _ => Vec::new(),
        };
        if self == Self::ExecCommand && !argv.is_empty() {
            argv = vec![argv.join(" ")];
        }
        Values::Texts(argv.into_iter().map(Cow::Owned).collect())
    }
}

/// Returns the seconds between two times in microseconds, of which 0 is null.
pub fn seconds(from: i64, to: i64) -> Option<f64> {
    #[expect(
        clippy::cast_precision_loss,
        reason = "microseconds of a request are far below 2^53"
    )]
    (from != 0 && to != 0).then(|| to.saturating_sub(from).max(0) as f64 / 1e6)
}

/// Returns the command of an exec or attach request: its URI repeats the key `command`.
pub fn argv(uri: &str) -> Vec<String> {
    let query = uri.split_once('?').map_or("", |(_, query)| query);
    form_urlencoded::parse(query.as_bytes())
        .filter(|(key, _)| key == "command")
        .map(|(_, value)| value.into_owned())
        .collect()
}

/// Returns what a request wrote, of the texts of its two bodies; null if it wrote nothing.
///
/// Of a patch the patch alone, so that a rule names who set a thing and not who touched the object later.
pub(super) fn object(verb: &str, request: &str, response: &str) -> Value {
    match verb {
        "delete" | "deletecollection" => Value::Null,
        "patch" => match text_of(request) {
            Value::Array(operations) => patched(&operations),
            patch => patch,
        },
        _ => match text_of(response) {
            Value::Object(object) if object.get("kind").is_none_or(|kind| kind != "Status") => {
                Value::Object(object)
            }
            _ => text_of(request),
        },
    }
}

/// Elements of a list that a patch may number; what lies beyond is put at the end.
const PATCHED_LIST: usize = 256;

/// Returns the object that the operations of a JSON patch (RFC 6902) write into nothing.
///
/// What is removed becomes null, as a merge patch says it. `move`, `copy` and `test` name no value.
fn patched(operations: &[Value]) -> Value {
    let mut object = Value::Null;
    for operation in operations {
        let (Some(kind), Some(path)) = (operation["op"].as_str(), operation["path"].as_str())
        else {
            continue;
        };
        let value = match kind {
            "add" | "replace" => operation["value"].clone(),
            "remove" => Value::Null,
            _ => continue,
        };
        let keys = path.split('/').skip(1);
        let keys: Vec<String> = keys
            .map(|key| key.replace("~1", "/").replace("~0", "~"))
            .collect();
        set(&mut object, &keys, value);
    }
    trim(&mut object);
    object
}

/// Puts `value` where `keys` lead, making what is missing on the way.
fn set(place: &mut Value, keys: &[String], value: Value) {
    let Some((key, rest)) = keys.split_first() else {
        *place = value;
        return;
    };
    let position = match key.as_str() {
        "-" => Some(usize::MAX),
        key => key.parse().ok(),
    };
    if let (Some(position), Value::Null | Value::Array(_)) = (position, &place) {
        if place.is_null() {
            *place = Value::Array(Vec::new());
        }
        let elements = place.as_array_mut().expect("it is a list");
        let position = if position < PATCHED_LIST {
            position
        } else {
            elements.len()
        };
        if elements.len() <= position {
            elements.resize(position + 1, Value::Null);
        }
        set(&mut elements[position], rest, value);
        return;
    }
    if !place.is_object() {
        *place = Value::Object(Map::new());
    }
    let members = place.as_object_mut().expect("it is an object");
    set(
        members.entry(key.as_str()).or_insert(Value::Null),
        rest,
        value,
    );
}

/// Takes the elements out of lists that no operation filled.
fn trim(value: &mut Value) {
    match value {
        Value::Array(elements) => {
            elements.retain(|element| !element.is_null());
            elements.iter_mut().for_each(trim);
        }
        Value::Object(members) => members.values_mut().for_each(trim),
        _ => {}
    }
}

/// Returns the subjects of a binding by the names that they have as users or groups.
pub(super) fn subjects(object: &Value, namespace: &str) -> Value {
    let subjects = object["subjects"].as_array().into_iter().flatten();
    subjects
        .filter_map(|subject| {
            let name = subject["name"].as_str()?;
            let is_account = subject["kind"] == "ServiceAccount";
            let namespace = subject["namespace"].as_str().unwrap_or(namespace);
            Some(if is_account {
                json!(format!("system:serviceaccount:{namespace}:{name}"))
            } else {
                json!(name)
            })
        })
        .collect()
}

/// Returns common name and organizations that a certificate signing request asks for; null if its request is
/// no PKCS #10 (RFC 2986) in PEM.
pub(super) fn csr(object: &Value) -> Value {
    const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");
    const ORGANIZATION: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.10");
    let read = || {
        let pem = STANDARD.decode(object["spec"]["request"].as_str()?).ok()?;
        let pem = String::from_utf8(pem).ok()?;
        let lines = pem.lines().map(str::trim);
        let der: String = lines.filter(|line| !line.starts_with("-----")).collect();
        CertReq::from_der(&STANDARD.decode(der).ok()?).ok()
    };
    let Some(request) = read() else {
        return Value::Null;
    };
    let named = |kind: ObjectIdentifier| -> Vec<String> {
        let parts = request.info.subject.iter();
        parts
            .filter(|attribute| attribute.oid == kind)
            .map(|attribute| String::from_utf8_lossy(attribute.value.value()).into_owned())
            .collect()
    };
    json!({"common_name": named(COMMON_NAME), "organizations": named(ORGANIZATION)})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(verb: &str, request: &Value, response: &Value, expected: &Value) {
        let object = object(verb, &request.to_string(), &response.to_string());
        assert_eq!(object, *expected);
    }

    #[test]
    fn an_object_is_what_was_written() {
        let [small, large] = [
            json!({"spec": 1}),
            json!({"kind": "Pod", "spec": 1, "status": 2}),
        ];
        let refused = json!({"kind": "Status", "code": 403});
        check("create", &small, &large, &large);
        check("create", &small, &refused, &small);
        check("update", &small, &Value::Null, &small);
        check("patch", &small, &large, &small);
        check("delete", &small, &large, &Value::Null);
    }

    #[test]
    fn json_patches_become_objects() {
        let patch = json!([
            {"op": "test", "path": "/spec/x", "value": 1},
            {"op": "add", "path": "/spec/template/spec/containers/1/securityContext", "value": {"privileged": true}},
            {"op": "replace", "path": "/spec/template/spec/containers/1/image", "value": "x"},
            {"op": "add", "path": "/subjects/-", "value": {"kind": "User", "name": "eve"}},
            {"op": "remove", "path": "/metadata/labels/a~1b~0c"},
            {"op": "add", "path": "/data/7", "value": "seven"},
        ]);
        let expected = json!({
            "spec": {"template": {"spec": {"containers": [{"securityContext": {"privileged": true}, "image": "x"}]}}},
            "subjects": [{"kind": "User", "name": "eve"}],
            "metadata": {"labels": {"a/b~c": null}},
            "data": ["seven"],
        });
        check("patch", &patch, &Value::Null, &expected);
        let far = json!([{"op": "add", "path": "/a/999999999", "value": 1}]);
        check("patch", &far, &Value::Null, &json!({"a": [1]}));
        check(
            "patch",
            &json!([{"op": "add", "path": "", "value": {"a": 1}}, 7]),
            &Value::Null,
            &json!({"a": 1}),
        );
    }

    #[test]
    fn subjects_have_the_names_of_users() {
        let object = json!({"subjects": [
            {"kind": "User", "name": "alice"},
            {"kind": "ServiceAccount", "name": "app", "namespace": "prod"},
            {"kind": "ServiceAccount", "name": "app"},
            {"kind": "Group"},
        ]});
        let names = json!([
            "alice",
            "system:serviceaccount:prod:app",
            "system:serviceaccount:here:app"
        ]);
        assert_eq!(subjects(&object, "here"), names);
        assert_eq!(subjects(&Value::Null, "here"), json!([]));
    }

    #[test]
    fn commands_are_decoded() {
        let uri = "/api/v1/namespaces/a/pods/b/exec?command=sh&command=-c&command=cat+%2Fetc%2Fpasswd&container=c";
        assert_eq!(argv(uri), ["sh", "-c", "cat /etc/passwd"]);
        assert!(argv("/api").is_empty());
    }

    /// `openssl req -new -newkey ed25519 -nodes -subj /O=system:masters/O=dev/CN=eve | base64 -w0`
    const REQUEST: &str = "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURSBSRVFVRVNULS0tLS0KTUlHME1HZ0NBUUF3TlRFWE1CVUdBMVVFQ2d3T2MzbHpkR1Z0T20xaGMzUmxjbk14RERBS0JnTlZCQW9NQTJSbApkakVNTUFvR0ExVUVBd3dEWlhabE1Db3dCUVlESzJWd0F5RUFNWU5mc09QZ1ZPMXk2d3NtU0YrVGVkMVcvQTVmCjVCK1JsNmwzeGhKdFNHdWdBREFGQmdNclpYQURRUUNxZ2xZLzhjZzdJbE9KWjQ1ZEtJQWhSZGFaUmVKaXBGbU4KR2tJODNJR2ZyZEo2S0JFUllGS296VVp2djgyWTg5bnFKUUIzdzNXY3JrSjcwYy91emlJQQotLS0tLUVORCBDRVJUSUZJQ0FURSBSRVFVRVNULS0tLS0K";

    #[test]
    fn the_subject_of_a_signing_request_is_read() {
        let object = json!({"spec": {"request": REQUEST}});
        let expected = json!({"common_name": ["eve"], "organizations": ["system:masters", "dev"]});
        assert_eq!(csr(&object), expected);
        assert_eq!(csr(&json!({"spec": {"request": "AAAA"}})), Value::Null);
    }
}
