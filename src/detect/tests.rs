//! Rules against events, from the text of both.

mod oracle;
mod told;

use std::io::Read as _;

use flate2::read::MultiGzDecoder;

use super::*;
use crate::frame::reading::Reading;
use crate::frame::{EventFrame, Vocabulary};
use crate::rules::RuleSet;

/// A Pod is created, as kube-apiserver 1.36 writes it.
const POD: &str = r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"RequestResponse","auditID":"a1","stage":"ResponseComplete","requestURI":"/api/v1/namespaces/dev/pods?fieldManager=kubectl","verb":"create","user":{"username":"alice","groups":["dev","system:authenticated"],"extra":{"authentication.kubernetes.io/credential-id":["X509SHA256=ab"],"scopes":["read","write"]}},"sourceIPs":["203.0.113.7","10.1.2.3"],"userAgent":"kubectl/v1.36","objectRef":{"resource":"pods","namespace":"dev","name":"p","apiVersion":"v1"},"responseStatus":{"metadata":{},"status":"Success","code":201},"requestObject":{"kind":"Pod","metadata":{"name":"p","labels":{"app.kubernetes.io/name":"x"}},"spec":{"hostPID":true,"serviceAccountName":"","containers":[{"name":"a","image":"nginx","securityContext":{"privileged":false}},{"name":"b","image":"busybox","securityContext":{"privileged":true,"capabilities":{"add":["SYS_ADMIN"]}}}],"initContainers":[{"name":"i","image":"alpine"}],"volumes":[{"hostPath":{"path":"/"}}]}},"requestReceivedTimestamp":"2026-11-22T04:55:27.649211Z","stageTimestamp":"2026-11-22T04:55:27.650970Z","annotations":{"authorization.k8s.io/decision":"allow","authorization.k8s.io/reason":"RBAC: allowed by ClusterRoleBinding \"b\"","pod-security.kubernetes.io/enforce-policy":"privileged:latest"}}"#;

/// A failed authentication: no user, no object.
const REFUSED: &str = r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","auditID":"a2","stage":"ResponseStarted","requestURI":"/api","verb":"get","user":{},"sourceIPs":["10.9.9.9"],"responseStatus":{"metadata":{},"status":"Failure","reason":"Unauthorized","code":401},"requestReceivedTimestamp":"2026-11-22T04:55:28.000000Z","stageTimestamp":"2026-11-22T04:55:28.000001Z"}"#;

/// An anonymous request to a resource, let through.
const ANONYMOUS: &str = r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","auditID":"a3","stage":"ResponseComplete","requestURI":"/api/v1/secrets","verb":"list","user":{"username":"system:anonymous","groups":["system:unauthenticated"]},"sourceIPs":["10.9.9.9"],"userAgent":"curl/8","objectRef":{"resource":"secrets","apiVersion":"v1"},"responseStatus":{"metadata":{},"code":200},"requestReceivedTimestamp":"2026-11-22T04:55:29.000000Z","stageTimestamp":"2026-11-22T04:55:29.000001Z","annotations":{"authorization.k8s.io/decision":"allow","authorization.k8s.io/reason":""}}"#;

fn frame(text: &str) -> EventFrame {
    sample::frame_of("audit.log", text).unwrap()
}

fn rule(detection: &str, number: usize) -> String {
    format!(
        "title: T\nid: 1b2c3d4e-0000-4000-8000-{number:012}\nname: r{number}\nlevel: low\n\
         sigma-version: 3\nlogsource: {{product: kubernetes, service: audit}}\n\
         kubescry: {{family: discovery}}\ndetection:\n{detection}\n"
    )
}

fn compile(detections: &[&str]) -> Result<CompiledRules, Vec<CompileError>> {
    CompiledRules::compile(&rule_set(detections))
}

fn rule_set(detections: &[&str]) -> RuleSet {
    let files = detections.iter().enumerate().map(|(number, detection)| {
        (
            format!("detections/{number:03}.yml"),
            rule(detection, number),
        )
    });
    RuleSet::from_files(files).unwrap_or_else(|errors| panic!("{errors:#?}"))
}

/// Evaluates the selection `body` (block style, or flow style in braces) on one event.
#[track_caller]
fn check(event: &str, body: &str, expected: bool) {
    check_rule(event, &format!("  s: {body}\n  condition: s"), expected);
}

#[track_caller]
fn check_rule(event: &str, detection: &str, expected: bool) {
    let rules = compile(&[detection]).unwrap_or_else(|errors| panic!("{errors:#?}"));
    let hits = rules.evaluate(&frame(event));
    assert_eq!(!hits.is_empty(), expected, "{detection}");
}

#[track_caller]
fn check_error(detection: &str, what: &str, hint: Option<&str>) {
    let errors = compile(&[detection])
        .err()
        .unwrap_or_else(|| panic!("{detection} compiles"));
    assert!(errors[0].to_string().contains(what), "{errors:#?}");
    if hint.is_some() {
        assert_eq!(errors[0].problem.hint.as_deref(), hint);
    }
}

#[test]
fn columns_of_every_type() {
    check(POD, "{user.username: ALICE}", true);
    check(POD, "{user.groups: dev}", true);
    check(POD, "{user.groups|contains|all: [DEV, auth]}", true);
    check(POD, "{sourceIPs|cidr: 203.0.113.0/24}", true);
    check(POD, "{peer.ip: 203.0.113.7}", false);
    check(POD, "{responseStatus.code: '201'}", true);
    check(POD, "{responseStatus.code|gte: 400}", false);
    check(POD, "{requestURI|contains: FIELDMANAGER}", true);
    check(POD, "{objectRef.name: P, auditID|startswith: a}", true);
    check(POD, "{is_masters: false, length|gt: 100, line: 1}", true);
    check(
        POD,
        "{requestReceivedTimestamp|startswith: '2026-11-22T04:55:27.649211Z'}",
        true,
    );
    check(
        POD,
        "{outcome: ok, identity.kind: user, credential_kind: x509}",
        true,
    );
    check(
        POD,
        "{objectRef|exists: true, impersonatedUser|exists: false}",
        true,
    );
}

#[test]
fn what_an_event_lacks_is_no_match_and_not_is_safe() {
    check(REFUSED, "{user.username: '*'}", false);
    check(REFUSED, "{user.username: null}", true);
    check(REFUSED, "{user.username: ''}", true);
    check(REFUSED, "{user.username|neq: alice}", true);
    check(REFUSED, "{user.username|exists: false}", true);
    check(REFUSED, "{requestObject.spec.hostPID|neq: true}", true);
    check(REFUSED, "{requestObject.spec.hostPID: true}", false);
    check(
        REFUSED,
        "{responseStatus.code|lt: 500, objectRef.name: null}",
        true,
    );
    check_rule(
        REFUSED,
        "  s: {objectRef.resource: pods}\n  condition: not s",
        true,
    );
    check_rule(
        POD,
        "  s: {requestObject.spec.hostPID: true}\n  condition: not s",
        false,
    );
}

#[test]
fn bodies_annotations_and_extra() {
    check(POD, "{requestObject.spec.hostPID: true}", true);
    check(POD, "{requestObject.spec.hostPID: 'true'}", true);
    check(
        POD,
        "{requestObject.metadata.labels.app.kubernetes.io/name: X}",
        true,
    );
    check(POD, "{requestObject.spec.serviceAccountName: ''}", true);
    check(POD, "{requestObject.spec.serviceAccountName: null}", false);
    check(POD, "{requestObject.spec.containers.image: BusyBox}", true);
    check(
        POD,
        "{'requestObject.spec.containers[0].image': busybox}",
        false,
    );
    check(POD, "{containers.image: alpine}", true);
    check(POD, "{hostPath: /, capabilities|contains: sys_}", true);
    check(POD, "{pod.spec.hostPID: true}", true);
    check(
        POD,
        "{annotations.pod-security.kubernetes.io/enforce-policy|startswith: privileged}",
        true,
    );
    check(POD, "{user.extra.scopes: write}", true);
    check(POD, "{responseStatus.status: success}", true);
    check(
        POD,
        "{responseObject|exists: false, requestObject|exists: true}",
        true,
    );
    check(POD, "{user.username|fieldref: objectRef.name}", false);
    check(
        POD,
        "{objectRef.name|fieldref: requestObject.metadata.name}",
        true,
    );
    check(
        POD,
        "{requestURI|fieldref|contains: objectRef.namespace}",
        true,
    );
}

#[test]
fn escapes_in_a_body_do_not_hide_a_key() {
    let patched = POD.replace("hostPID", r"host\u0050ID");
    check(&patched, "{requestObject.spec.hostPID: true}", true);
    let slash = POD.replace("app.kubernetes.io/name", r"app.kubernetes.io\/name");
    check(
        &slash,
        "{requestObject.metadata.labels.app.kubernetes.io/name: x}",
        true,
    );
}

/// A binding to the own account, by JSON patch.
const PATCH: &str = r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Request","auditID":"a4","stage":"ResponseComplete","requestURI":"/apis/rbac.authorization.k8s.io/v1/namespaces/dev/rolebindings/b","verb":"patch","user":{"username":"system:serviceaccount:dev:app"},"sourceIPs":["10.9.9.9"],"objectRef":{"resource":"rolebindings","namespace":"dev","name":"b","apiGroup":"rbac.authorization.k8s.io"},"responseStatus":{"metadata":{},"code":200},"requestObject":[{"op":"add","path":"/subjects/-","value":{"kind":"ServiceAccount","name":"app"}},{"op":"add","path":"/metadata/labels/pod-security.kubernetes.io~1enforce","value":"privileged"}],"requestReceivedTimestamp":"2026-11-22T04:55:30.000000Z","stageTimestamp":"2026-11-22T04:56:00.500000Z","annotations":{"authorization.k8s.io/decision":"allow","authorization.k8s.io/reason":"RBAC: allowed by RoleBinding \"b/dev\" of ClusterRole \"cluster-admin\" to ServiceAccount \"app/dev\""}}"#;

#[test]
fn views_of_what_was_written() {
    check(PATCH, "{binding.subjects|fieldref: user.username}", true);
    check(POD, "{binding.subjects|fieldref: user.username}", false);
    check(PATCH, "{object.subjects.name: app}", true);
    check(
        PATCH,
        "{object.metadata.labels.pod-security.kubernetes.io/enforce: privileged}",
        true,
    );
    check(POD, "{object.spec.hostPID: true, object.kind: pod}", true);
    let answered = POD.replace(
        r#","requestReceivedTimestamp""#,
        r#","responseObject":{"kind":"Pod","spec":{"hostPID":false}},"requestReceivedTimestamp""#,
    );
    check(&answered, "{object.spec.hostPID: true}", false);
    check(&answered, "{requestObject.spec.hostPID: true}", true);
    check(
        &answered.replace("create", "delete"),
        "{object|exists: true}",
        false,
    );
    check(
        POD,
        "{'containers[any]': {image: busybox, securityContext.privileged: true}}",
        true,
    );
    check(
        POD,
        "{'containers[any]': {image: nginx, securityContext.privileged: true}}",
        false,
    );
    check(
        PATCH,
        "{reason.role: 'ClusterRole cluster-admin', reason.binding: b/dev}",
        true,
    );
    check(PATCH, "{reason.subject|startswith: serviceaccount}", true);
    check(POD, "{reason.role|exists: true}", false);
    check(
        PATCH,
        "{session.seconds|gt: 30, session.seconds|lt: 31}",
        true,
    );
}

/// Public rules for Kubernetes name some fields as no audit event does.
#[test]
fn habits_of_public_rules() {
    check(POD, "{hostPath: '*'}", true);
    check(POD, "{capabilities: '*'}", true);
    check(
        PATCH,
        "{apiGroup: rbac.authorization.k8s.io, verb: [patch, replace]}",
        true,
    );
    check(
        ANONYMOUS,
        "{responseStatus.code: ALLOW, requestURI|contains: /secrets}",
        true,
    );
    check(REFUSED, "{responseStatus.code: ALLOW}", false);
    check(REFUSED, "{responseStatus.code: [401, 403]}", true);
}

#[test]
fn commands_of_exec() {
    let exec = POD
        .replace(
            "pods?fieldManager=kubectl",
            "pods/p/exec?command=sh&command=-c&command=cat+%2Fetc",
        )
        .replace(
            r#""resource":"pods","#,
            r#""resource":"pods","subresource":"exec","#,
        );
    check(&exec, "{exec.command: 'sh -c cat /etc'}", true);
    check(
        &exec,
        "{exec.argv: '-c', exec.command|contains: '/etc'}",
        true,
    );
    check(POD, "{exec.command|exists: true}", false);
}

/// Compiles one rule with other files.
fn compile_with(detection: &str, extension: &str, files: &[(&str, &str)]) -> CompiledRules {
    let rule = rule(detection, 0).replace(
        "family: discovery",
        &format!("family: discovery, {extension}"),
    );
    let files = files
        .iter()
        .map(|(path, text)| ((*path).to_owned(), (*text).to_owned()));
    let files = files.chain([("detections/r.yml".to_owned(), rule)]);
    let set = RuleSet::from_files(files).unwrap_or_else(|errors| panic!("{errors:#?}"));
    CompiledRules::compile(&set).unwrap_or_else(|errors| panic!("{errors:#?}"))
}

#[test]
fn a_list_holds_back_and_a_filter_drops() {
    let text = [POD, ANONYMOUS].join("\n");
    let excluded = |rules: &CompiledRules| -> Vec<u64> {
        let hits = rules.evaluate(&frame(&text));
        hits.iter().map(|hit| hit.held_by).collect()
    };
    let detection = "  s: {verb: '*'}\n  condition: s";
    let list = "name: l\ntitle: L\nentries:\n- because: b\n  user.username: alice\n  verb: create\n  objectRef.resource: pods\n";
    let rules = compile_with(detection, "exclude: [l]", &[("lists/l.yml", list)]);
    assert_eq!(excluded(&rules), [1, 0]);
    let list = list.replace("objectRef.resource: pods", "pod.spec.hostPID: true");
    let rules = compile_with(detection, "exclude: [l]", &[("lists/l.yml", &list)]);
    assert_eq!(excluded(&rules), [1, 0], "by a body");
    // A list of one distribution holds nothing back that the rule itself does not match.
    let detection = "  s: {pod.spec.hostIPC: true}\n  condition: s";
    let list = list.replace("title: L", "title: L\nprofiles: [EKS]");
    let rules = compile_with(detection, "exclude: [l]", &[("lists/l.yml", &list)]);
    assert_eq!(excluded(&rules), [0_u64; 0]);
    let detection = "  s: {verb: '*'}\n  condition: s";
    let filter = "title: F\nlogsource: {product: kubernetes}\nfilter:\n  rules: [r0]\n  s: {user.username: alice}\n  condition: not s\n";
    let rules = compile_with(detection, "exclude: []", &[("detections/f.yml", filter)]);
    assert_eq!(excluded(&rules), [0]);
}

#[test]
fn placeholders_stand_for_lists() {
    let list = "name: l\ntitle: L\nplaceholders: {admins: [alice, 'bob*']}\n";
    let detection = "  s: {user.username|expand: '%admins%'}\n  condition: s";
    let rules = compile_with(detection, "exclude: []", &[("lists/l.yml", list)]);
    assert_eq!(rules.evaluate(&frame(POD)).len(), 1);
    check_error(
        detection,
        "nothing is known for the placeholder `%admins%`",
        None,
    );
}

#[test]
fn tests_of_one_element() {
    let block = |image, privileged| {
        format!(
            "\n    containers[any]:\n      image: {image}\n      securityContext.privileged: {privileged}"
        )
    };
    check(POD, &block("busybox", true), true);
    check(POD, &block("nginx", true), false);
    check(
        POD,
        "{containers.image: nginx, containers.securityContext.privileged: true}",
        true,
    );
    check(POD, "{'user.groups[all]|contains': e}", true);
    check(POD, "{'user.groups[none]': dev}", false);
    check(
        POD,
        "{'requestObject.spec.volumes[all].hostPath.path': /}",
        true,
    );
    check(
        POD,
        "{'requestObject.spec.ephemeralContainers[none].name': x}",
        true,
    );
    check(
        POD,
        "\n    containers[any]:\n      image: {name: b}\n      other: {image: nginx}\n      \
         condition: image and not other",
        true,
    );
}

#[test]
fn conditions() {
    let named = "  a_1: {verb: create}\n  a_2: {verb: delete}\n  a_3: {requestObject.spec.hostPID: true}\n  _x: {verb: get}\n  condition: ";
    for (condition, expected) in [
        ("a_1 and a_3", true),
        ("a_1 and a_2 or a_3", true),
        ("a_1 and (a_2 or not a_3)", false),
        ("1 of a_*", true),
        ("all of a_*", false),
        ("2 of a_*", true),
        ("3 of a_*", false),
        ("9 of a_*", false),
        ("not all of them", true),
        ("not 2 of them", false),
        ("[a_2, a_3]", true),
    ] {
        check_rule(POD, &format!("{named}{condition}"), expected);
    }
}

#[test]
fn keywords_are_contained_in_the_record() {
    check(POD, "[nonsense, SERVICEACCOUNTNAME]", true);
    check(POD, "[busybox*sys_admin]", true);
    check(REFUSED, "[busybox]", false);
    check(POD, "{'|all': [busybox, nonsense]}", false);
}

#[test]
fn what_cannot_be_compiled_is_refused_with_its_place() {
    let hint = "did you mean `objectRef.resource`?";
    check_error(
        "  s: {objectRef.kind: pods}\n  condition: s",
        "line 9)",
        Some(hint),
    );
    check_error(
        "  s: {user.groups|expand: '%x%'}\n  condition: s",
        "nothing is known for the placeholder",
        None,
    );
    check_error(
        "  s: {verb|all: get}\n  condition: s",
        "`all` needs several values",
        None,
    );
    check_error("  s: {verb: get}\n  condition: t", "names `t`", None);
    check_error(
        "  s: {verb: get}\n  condition: 1 of t_*",
        "names `t_*`",
        None,
    );
    check_error(
        "  s: {verb: get}\n  timeframe: 5m\n  condition: s",
        "obsolete",
        None,
    );
}

#[test]
fn group_by_and_requires_name_columns() {
    let text = rule("  s: {verb: get}\n  condition: s", 1)
        .replace("{family", "{requires: [decison], family");
    let set = RuleSet::from_files([("detections/a.yml", text)]).unwrap();
    let errors = CompiledRules::compile(&set).err().unwrap();
    assert!(
        errors[0]
            .to_string()
            .contains("there is no column `decison`"),
        "{errors:?}"
    );
}

#[test]
fn equal_tests_of_different_rules_are_one_leaf() {
    let rules = compile(&[
        "  s: {verb: get, user.username: a}\n  condition: s",
        "  s: {username: a, verb|neq: get}\n  condition: s",
    ]);
    assert_eq!(rules.unwrap().leaves.len(), 2);
}

#[test]
fn hits_come_by_row_then_by_rule() {
    let text = format!("{POD}\n{REFUSED}\n{ANONYMOUS}\n");
    let rules = compile(&[
        "  s: {responseStatus.code|exists: true}\n  condition: s",
        "  s: {requestObject.spec.hostPID: true}\n  condition: s or t\n  t: {verb: list}",
    ]);
    let rules = rules.unwrap();
    for _ in 0..2 {
        let hits = rules.evaluate(&frame(&text));
        let hits: Vec<_> = hits.iter().map(|hit| (hit.row_idx, hit.rule)).collect();
        assert_eq!(hits, [(0, 0), (0, 1), (1, 0), (2, 0), (2, 1)]);
    }
    assert!(rules.evaluate(&frame("")).is_empty());
}

#[test]
fn embedded_rules_compile_and_fire() {
    let set = RuleSet::embedded().unwrap_or_else(|errors| panic!("{errors:#?}"));
    let rules = CompiledRules::compile(&set).unwrap_or_else(|errors| panic!("{errors:#?}"));
    let text = format!("{POD}\n{REFUSED}\n{ANONYMOUS}\n");
    let rule = set.find("anonymous-resource-allowed").unwrap();
    let frame = frame(&text);
    let hits = rules.evaluate(&frame);
    let rows: Vec<_> = hits
        .iter()
        .filter(|hit| hit.rule as usize == rule)
        .map(|hit| hit.row_idx)
        .collect();
    assert_eq!(rows, [2]);
    assert_eq!(
        rules.why(rule, &frame, 2),
        [
            "user.groups = system:unauthenticated",
            "user.username = system:anonymous",
            "objectRef.resource = secrets",
            "annotations.authorization.k8s.io/decision = allow"
        ]
    );
}

#[test]
fn what_is_known_of_a_template_is_what_each_row_says() {
    let of_rows = [
        "  s: {auditID|startswith: [\"0\", \"5\", a]}\n  condition: s",
        "  s: {verb: [get, list, update], session.seconds|gte: 0.002}\n  condition: s",
        "  s: [\"58.1\", \"59.2\"]\n  t: {objectRef.resource: leases}\n  condition: s and not t",
        "  s: {verb: update}\n  t: {stageTimestamp|re: \"[02468]Z$\"}\n  condition: s and t",
        "  s: {user.username|startswith: \"system:\", audit_id_is_uuid: true}\n  condition: s",
        "  s: {line|lte: 40}\n  condition: s",
        "  s: {annotations_text|contains: kube-scheduler}\n  condition: s",
    ];
    let of_rows = compile(&of_rows).unwrap();
    let all = CompiledRules::compile(&RuleSet::embedded().unwrap()).unwrap();
    let vocabulary = Vocabulary::new();
    let [mut known, mut read] = [(); 2].map(|()| Reading::new(&vocabulary));
    let (mut n_rows, mut n_of_templates, mut n_hits) = (0, 0, 0);
    for name in ["benign", "token-reuse", "shared-credentials"] {
        let path = format!("sample-logs/v1.36/{name}.log.gz");
        let mut log = String::new();
        MultiGzDecoder::new(std::fs::File::open(path).unwrap())
            .read_to_string(&mut log)
            .unwrap();
        for lines in log.lines().collect::<Vec<_>>().chunks(300) {
            let frames = [known.chunk(lines, true), read.chunk(lines, false)];
            let rows = 0..frames[0].height();
            n_rows += rows.len();
            n_of_templates += rows
                .filter(|&row_idx| frames[0].detail(row_idx).template != 0)
                .count();
            for rules in [&of_rows, &all] {
                let [hits, expected] = frames.each_ref().map(|frame| rules.evaluate(frame));
                assert_eq!(hits, expected);
                n_hits += hits.len();
            }
        }
    }
    assert!(n_of_templates > n_rows / 4, "{n_of_templates} of {n_rows}");
    assert!(n_hits > n_rows / 4, "{n_hits} of {n_rows}");
}
