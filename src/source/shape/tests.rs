//! What shapes look like.

use super::*;

const EVENT: &str = r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","auditID":"a","stage":"ResponseComplete","verb":"get"}"#;
const TEXT: &str = r#"{\"kind\":\"Event\",\"apiVersion\":\"audit.k8s.io/v1\",\"auditID\":\"a\"}"#;

/// `$E` in `input` stands for an event, `$T` for the text of one within a JSON string.
fn check(input: &str, expected: Option<Shape>) {
    let input = input.replace("$E", EVENT).replace("$T", TEXT);
    assert_eq!(sniff(input.as_bytes()), expected, "{input}");
}

#[test]
fn events_on_lines_are_fine() {
    check("$E\n$E\n", None);
    check("\u{feff}$E", None);
    check("\r\n\0\0\u{1e}$E\r\n", None);
    check(r#"{"auditID":"a","verb":"get"}"#, None);
    check(
        r#"{"log_type":"audit", "k8s_audit_level":"Metadata", "auditID" : "a","stage":"x"}"#,
        None,
    );
    check(
        r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","requestObject":{"items":[{"#,
        None,
    );
    check(
        r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","requestURI":"/api/v1/na"#,
        None,
    );
    check(&EVENT.replace('}', r#","x":["\"},{","#).repeat(900), None);
}

#[test]
fn damaged_first_line_condemns_no_file() {
    check("ce\":\"x\"}}\n$E\n", None);
    check("ce\":\"x\"}}$E\n", None);
    check("[{\"x\":1}}\n$E\n$E\n", None);
    check(
        "garbage\n\u{1}\n2024-01-01T00:00:00Z stdout F x\n$E\n",
        None,
    );
    check("{\"items\":1\n$E\n", None);
    check(&"\0".repeat(100_000), None);
    check(&format!("{}$E", "x\n".repeat(19)), None);
    check(&format!("{}$E", "x y\n".repeat(20)), None);
}

#[test]
fn json_around_events_is_named() {
    let list = r#"{"kind":"EventList","apiVersion":"audit.k8s.io/v1","metadata":{},"items":["#;
    check(&format!("{list}$E]}}"), Some(Shape::EventList));
    check(&format!("{list}$E,$E]}}\n{list}"), Some(Shape::EventList));
    check(
        "{\n \"kind\": \"EventList\",\n \"items\": [\n{\"auditID\"",
        Some(Shape::EventList),
    );
    check("[$E,$E]", Some(Shape::Array));
    check("[\n$E,\n$E\n]\n", Some(Shape::Array));
    check("[]", Some(Shape::Array));
    check(
        "{\n  \"kind\": \"Event\",\n  \"auditID\": \"a\"\n}\n",
        Some(Shape::Pretty),
    );
    check(
        r#"{"log":"$T\n","stream":"stdout","time":"x"}"#,
        Some(Shape::Docker),
    );
    check(
        r#"{"events":[{"message":"$T","ingestionTime":1}]}"#,
        Some(Shape::CloudWatch),
    );
    check(
        r#"{"messageType":"DATA_MESSAGE","logEvents":[]}"#,
        Some(Shape::CloudWatch),
    );
    check(
        r#"{"results":[[{"field":"@message","value":"$T"}]]}"#,
        Some(Shape::CloudWatch),
    );
    check(
        r#"{"records":[{"category":"kube-audit"}]}"#,
        Some(Shape::Azure),
    );
    check(
        r#"{"category":"kube-audit","properties":{"log":"$T\n"}}"#,
        Some(Shape::Azure),
    );
    check(r#"{"insertId":"x","protoPayload":{}}"#, Some(Shape::Gke));
    check(r#"[{"insertId":"x","protoPayload":{}}]"#, Some(Shape::Gke));
    check(
        r#"{"labels":{},"line":"$T","timestamp":"x"}"#,
        Some(Shape::Loki),
    );
    check(
        r#"{"status":"success","data":{"result":[{"values":[["1","$T"]]}]}}"#,
        Some(Shape::Loki),
    );
    check(
        r#"{"_index":"x","_source":{"message":"$T"}}"#,
        Some(Shape::Elastic),
    );
    check(r#"{"hits":{"total":1,"hits":[]}}"#, Some(Shape::Elastic));
    check(
        r#"{"kubernetes":{"audit":{"auditID":"a"}}}"#,
        Some(Shape::Elastic),
    );
    check(
        r#"{"preview":false,"result":{"_raw":"$T"}}"#,
        Some(Shape::Splunk),
    );
    check(r#"{"time":1,"host":"h","event":$E}"#, Some(Shape::Splunk));
    check(r#"{"resourceLogs":[]}"#, Some(Shape::Otlp));
    for field in ["MESSAGE", "message", "log", "audit", "event"] {
        let found = sniff(format!(r#"{{"@timestamp":"x","{field}":{EVENT}}}"#).as_bytes());
        assert!(
            matches!(found, Some(Shape::Wrapped { field: f, .. }) if f == field),
            "{found:?}"
        );
    }
}

#[test]
fn text_is_named() {
    check("2024-01-01T00:00:00.0Z stdout F $E", Some(Shape::Cri));
    check("2024-01-01T00:00:00.0Z stderr P $E", Some(Shape::Cri));
    check("node-1 $E", Some(Shape::Prefixed));
    check(
        "2024-05-01T10:00:00.000Z stream-1 $E",
        Some(Shape::Prefixed),
    );
    check(
        "<14>1 2024-05-01T10:00:00Z host app - - - $E",
        Some(Shape::Syslog),
    );
    check("Nov 22 05:10:25 host app: $E", Some(Shape::Syslog));
    check(
        "I1122 05:10:25.000000       1 main.go:1] x",
        Some(Shape::Klog),
    );
    check(
        "2017-03-21T03:57:09Z AUDIT: id=\"a\" ip=\"1\"",
        Some(Shape::LegacyText),
    );
    check("AUDIT: id=\"a\" ip=\"1\"", Some(Shape::LegacyText));
    check("hello\nworld\n", Some(Shape::UnknownText));
    check("é", Some(Shape::UnknownText));
    check("a\u{1}\u{2}\u{3}", Some(Shape::UnknownBinary));
    check("", Some(Shape::Empty));
    check("\r\n\n ", Some(Shape::Empty));
}

#[test]
fn look_alikes_are_named() {
    check(
        r#"{"kind":"Event","apiVersion":"v1","involvedObject":{}}"#,
        Some(Shape::CoreEvents),
    );
    check(
        r#"{"kind":"List","items":[{"involvedObject":{}}]}"#,
        Some(Shape::CoreEvents),
    );
    check(r#"{"kind":"PodList","items":[]}"#, Some(Shape::OtherJson));
    check(
        r#"{"auditID":"a","requestURI":"/v3","method":"GET"}"#,
        Some(Shape::Rancher),
    );
    check(r#"{"message":"hello"}"#, Some(Shape::OtherJson));
    check(
        r#"{"requestObject":{"auditID":"a"}}"#,
        Some(Shape::OtherJson),
    );
}

#[test]
fn any_bytes_are_survived() {
    let mut seed = 7_u32;
    for _ in 0..20_000 {
        let bytes: Vec<u8> = (0..40)
            .map(|_| {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                b"{}[]\":,\\ \n\0a<1>-I9\xff\xc3"[(seed >> 24) as usize % 20]
            })
            .collect();
        let shape = sniff(&bytes);
        assert!(shape.is_none_or(|shape| !shape.to_string().is_empty()));
    }
    for cut in 0..EVENT.len() {
        sniff(&EVENT.as_bytes()[..cut]);
    }
}

#[test]
fn every_shape_but_the_empty_one_has_advice() {
    assert_eq!(Shape::Empty.hint(), None);
    let hint = r#"convert it first: jq -c '.items[] | .kind="Event" | .apiVersion="audit.k8s.io/v1"' FILE | kubescry scan -"#;
    assert_eq!(Shape::EventList.hint().as_deref(), Some(hint));
    let unpack = "convert it first: xz -dc FILE | kubescry scan -";
    assert_eq!(
        foreign(b"\xfd7zXZ\0")
            .and_then(|shape| shape.hint())
            .as_deref(),
        Some(unpack)
    );
    assert!(Shape::UnknownText.hint().is_some());
}
