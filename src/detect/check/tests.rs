//! What is complained of, and what is not.

use super::*;
use crate::rules::RuleSet;

/// Returns what is said of a detection, with the line.
fn said(detection: &str, extension: &str) -> Vec<String> {
    let text = format!(
        "title: T\nname: t\nlogsource: {{product: kubernetes, service: audit}}\ndetection:\n{detection}\n{extension}"
    );
    let rules = RuleSet::from_files([("detections/t.yml", text)]).unwrap();
    let warnings = check(&rules.rules[0]);
    let said = warnings.iter().map(|warning| {
        let hint = warning
            .hint
            .as_deref()
            .map_or(String::new(), |hint| format!("; {hint}"));
        format!("{}: {}{hint}", warning.line.unwrap(), warning.what)
    });
    said.collect()
}

#[track_caller]
fn check_said(selection: &str, expected: &[&str]) {
    let said = said(&format!("  s:\n    {selection}\n  condition: s"), "");
    assert_eq!(said, expected);
}

#[test]
fn values_that_never_occur() {
    check_said(
        "verb: [get, replace]",
        &["6: `replace` is never the verb of an audit event; a replacement is logged as `update`"],
    );
    check_said(
        "verb:\n      - get\n      - creat",
        &["8: `creat` is never the verb of an audit event; did you mean `create`?"],
    );
    check_said("verb: [GET, post, deletecollection]", &[]);
    check_said("verb|startswith: del", &[]);
    check_said(
        "objectRef.resource: [pod, secrets]",
        &["6: `pod` is no resource of Kubernetes; did you mean `pods`?"],
    );
    check_said(
        "objectRef.resource: [Secrets, certificates, 'virtual*']",
        &[],
    );
    check_said(
        "objectRef.resource: pods/exec",
        &[
            "6: `pods/exec` is never a resource: the subresource is a field by itself; \
             test `objectRef.resource: pods` and `objectRef.subresource: exec`",
        ],
    );
    check_said(
        "responseStatus.code: ALLOW",
        &[
            "6: `ALLOW` is no HTTP status: `responseStatus.code` never has it; \
             test `annotations.authorization.k8s.io/decision: allow` (or `forbid`)",
        ],
    );
    check_said("responseStatus.code: [200, '403']", &[]);
    check_said(
        "annotations.authorization.k8s.io/decision: deny",
        &["6: `annotations.authorization.k8s.io/decision` is never `deny`; one of allow, forbid"],
    );
    check_said(
        "identity_kind: service-account",
        &["6: `identity_kind` is never `service-account`; \
             one of user, serviceaccount, node, component, anonymous, none"],
    );
    check_said("stage: ResponseComplete", &[]);
}

#[test]
fn conditions_that_never_hold() {
    let never = said(
        "  a: {verb: get, objectRef.resource: pods}\n  b: {verb: [create, update]}\n  condition: a and b",
        "",
    );
    assert_eq!(
        never,
        ["6: the rule never matches: `verb` cannot be `get` and `create` or `update` at once"]
    );
    let excluded = said(
        "  a: {verb: get}\n  filter: {verb: [get, list]}\n  condition: a and not filter",
        "",
    );
    assert_eq!(
        excluded,
        ["6: the rule never matches: it asks for `verb` `get` and excludes that"]
    );
    let may = "  a: {verb: [get, list]}\n  filter: {verb: get}\n  f2: {verb: list, user.username: a}\n  condition: a and not filter and not f2";
    assert!(said(may, "").is_empty());
    let either = "  a: {verb: get}\n  b: {verb: list}\n  condition: a or b";
    assert!(said(either, "").is_empty());
    let lists = "  a: {user.groups: a}\n  b: {user.groups: b}\n  condition: a and b";
    assert!(said(lists, "").is_empty());
    check_said(
        "verb|all: [get, list]",
        &["6: `verb` has one value and cannot have all of these; leave `all` out"],
    );
}

#[test]
fn stages_that_cannot_hold_what_is_asked() {
    check_said(
        "responseStatus.code: 401\n    stage: ResponseComplete",
        &[
            "7: the rule never matches: a 401 exists at stage ResponseStarted only; leave the stage out",
        ],
    );
    check_said(
        "stage: RequestReceived\n    responseStatus.code: 200",
        &[
            "6: the rule never matches: at stage RequestReceived there is no `responseStatus.code` yet",
        ],
    );
    check_said("stage: RequestReceived\n    responseStatus.code: null", &[]);
    let needs = said(
        "  s: {responseStatus.code: 401}\n  condition: s",
        "kubescry: {stages: [ResponseComplete, Complete]}",
    );
    assert_eq!(needs.len(), 2, "{needs:?}");
    assert!(
        needs[0].contains("there is no stage `Complete`"),
        "{needs:?}"
    );
    assert!(needs[1].contains("a 401 exists"), "{needs:?}");
}

#[test]
fn a_selection_that_no_condition_names_is_told() {
    let selections =
        "  s: {verb: get}\n  filter_main:\n    user.username: a\n  _part: {verb: list}";
    assert_eq!(
        said(&format!("{selections}\n  condition: s"), ""),
        ["6: no condition names the selection `filter_main`"]
    );
    let used = format!("{selections}\n  condition: s and not 1 of filter_*");
    assert_eq!(said(&used, ""), [""; 0]);
}
