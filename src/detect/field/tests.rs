//! What is promised.

use super::*;

#[track_caller]
fn check(name: &str, expected: Column) {
    assert_eq!(Field::resolve(name), Ok(Field::Column(expected)), "{name}");
}

#[track_caller]
fn check_body(name: &str, expected: Region, paths: &[&str]) {
    let Ok(Field::Body(region, found)) = Field::resolve(name) else {
        panic!("{name}")
    };
    assert_eq!(region, expected, "{name}");
    assert_eq!(
        found.iter().map(Path::to_string).collect::<Vec<_>>(),
        paths,
        "{name}"
    );
}

#[test]
fn columns_have_audit_paths_names_and_aliases() {
    check("user.username", Column::Username);
    check("username", Column::Username);
    check(
        "annotations.authorization.k8s.io/decision",
        Column::Decision,
    );
    check(
        r#"annotations["authorization.k8s.io/decision"]"#,
        Column::Decision,
    );
    check(
        r#"annotations\["authorization.k8s.io/decision"\]"#,
        Column::Decision,
    );
    check(
        "annotations.'authorization.k8s.io/reason'",
        Column::AuthzReason,
    );
    check(
        "user.extra.authentication.kubernetes.io/credential-id",
        Column::CredentialId,
    );
    check("decision", Column::Decision);
    check("reason", Column::Reason);
    check("peer.ip", Column::PeerIp);
    check("peer_ip", Column::PeerIp);
    check("apiGroup", Column::ApiGroup);
    check("is_masters", Column::IsMasters);
}

#[test]
fn other_fields_are_paths_into_a_region() {
    check_body("requestObject", Region::RequestObject, &[""]);
    check_body(
        "requestObject.spec.hostPID",
        Region::RequestObject,
        &["spec.hostPID"],
    );
    check_body(
        "annotations.pod-security.kubernetes.io/enforce",
        Region::Annotations,
        &["pod-security.kubernetes.io/enforce"],
    );
    check_body("user.extra.accessKeyId", Region::Extra, &["accessKeyId"]);
    check_body(
        "responseStatus.details.uid",
        Region::Whole,
        &["responseStatus.details.uid"],
    );
    let element = Field::Derived(Derived::Element(Column::UserGroups, -1));
    assert_eq!(Field::resolve("user.groups[-1]"), Ok(element));
    check_body(
        "pod.spec.hostNetwork",
        Region::Object,
        &[
            "spec.hostNetwork",
            "spec.template.spec.hostNetwork",
            "spec.jobTemplate.spec.template.spec.hostNetwork",
        ],
    );
    assert!(
        matches!(Field::resolve("containers.image"), Ok(Field::Body(_, paths)) if paths.len() == 9)
    );
    assert!(
        matches!(Field::resolve("steps.image"), Ok(Field::Body(_, paths)) if paths.len() == 18)
    );
}

#[test]
fn unknown_fields_are_errors_with_a_hint() {
    for (name, hint) in [
        ("objectRef.kind", Some("did you mean `objectRef.resource`?")),
        ("user.usrname", Some("did you mean `user.username`?")),
        (
            "objectref.resource",
            Some("did you mean `objectRef.resource`?"),
        ),
        ("CommandLine", None),
        ("responseStatus.banana", None),
    ] {
        let error = Field::resolve(name).unwrap_err();
        assert!(error.what.contains(name), "{error:?}");
        if hint.is_some() {
            assert_eq!(error.hint.as_deref(), hint, "{name}");
        }
    }
}
