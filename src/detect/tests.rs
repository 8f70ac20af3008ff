//! Rules against events, from the text of both.

use std::fmt::Write;
use std::io::Read as _;

use flate2::read::MultiGzDecoder;

use super::json::{Json, Keys};
use proptest::prelude::*;

use super::leaf::{Leaf, LeafTest};
use super::row::row_values;
use super::value::Values;
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

#[test]
fn why_names_what_stands_in_the_log_or_what_was_asked_for() {
    let rules = compile(&[
        "  s: {verb: [create, update], user.groups: DEV, requestObject.spec.hostPID: true}\n  \
         o: {objectRef.subresource: null}\n  n: {verb: get}\n  condition: s and o and not n",
        "  a: {hostPath: [/, /etc]}\n  b: {capabilities: SYS_ADMIN}\n  c: {containers.image: [b*, c*]}\n  \
         condition: a or b or c",
        "  s:\n    containers[any]:\n      image|startswith: [b, c]\n      \
         securityContext.capabilities[any]:\n        add: SYS_ADMIN\n      env: null\n  condition: s",
        "  s: {requestObject.spec.volumes.hostPath|exists: true, requestObject.data: null}\n  k: [busybox]\n  \
         condition: s and k",
    ]);
    let rules = rules.unwrap();
    let why = |rule: usize, event: &str| rules.why(rule, &frame(event), 0);
    assert_eq!(
        why(0, POD),
        [
            "verb = create",
            "user.groups = dev",
            "objectRef.subresource is absent",
            "requestObject.spec.hostPID = true",
        ]
    );
    assert_eq!(
        why(1, POD),
        [
            "hostPath = /",
            "capabilities = SYS_ADMIN",
            "containers.image = busybox"
        ]
    );
    assert_eq!(
        why(2, POD),
        [
            "containers[1]: image = busybox, env is absent, securityContext.capabilities[0].add = SYS_ADMIN"
        ]
    );
    assert_eq!(
        why(3, POD),
        [
            "keyword matches busybox",
            "requestObject.spec.volumes.hostPath = an object with path",
            "requestObject.data is absent",
        ]
    );
}

#[test]
fn why_tells_no_secret() {
    let rules = compile(&[
        "  s: {requestObject.data.config|contains: qwertz}\n  condition: s",
        "  s: {containers.args|contains: mysql}\n  condition: s",
        "  s:\n    containers[any]:\n      env[any]:\n        name: X\n        value|contains: qwertz\n  condition: s",
        "  s: {object.type: Opaque, object.immutable: true}\n  condition: s",
    ]);
    let rules = rules.unwrap();
    let body = r#"{"type":"Opaque","immutable":true,"data":{"config":"pin qwertz"},"spec":{"containers":[{"name":"a","args":["mysql -u root --password=qwertz"],"env":[{"name":"X","value":"qwertz"}]}]}}"#;
    let event = |resource: &str| {
        format!(
            r#"{{"verb":"create","objectRef":{{"resource":"{resource}"}},"requestObject":{body}}}"#
        )
    };
    let why = |rule: usize, resource: &str| rules.why(rule, &frame(&event(resource)), 0);
    assert_eq!(
        why(0, "configmaps"),
        ["requestObject.data.config matches qwertz"]
    );
    assert_eq!(
        why(1, "pods"),
        ["containers.args = mysql -u root --password=[redacted]"]
    );
    assert_eq!(
        why(2, "pods"),
        ["containers[0]: env[0].name = X, env[0].value as asked for"]
    );
    assert_eq!(
        why(3, "secrets"),
        ["object.type = Opaque", "object.immutable matches true"]
    );
}

#[test]
fn a_summary_quotes_no_secret() {
    let event = r#"{"verb":"create","objectRef":{"resource":"secrets"},"requestObject":{"type":"Opaque","data":{"x":"c2VjcmV0"}}}"#;
    let summary =
        "summary: '{object.data.x} {object.type} {responseObject.kind|verb} {object.spec}'";
    let rules = compile_with("  s: {verb: create}\n  condition: s", summary, &[]);
    let quotes = |event: &str| -> Vec<String> {
        let quotes = rules.quotes(0, &frame(event), 0);
        let texts = quotes.iter().map(|values| {
            let texts = values.iter().map(|value| &*value.text);
            texts.collect::<Vec<_>>().join(" ")
        });
        texts.collect()
    };
    assert_eq!(quotes(event), ["[redacted]", "Opaque", "create", ""]);
    let public = event.replace("secrets", "configmaps");
    assert_eq!(quotes(&public)[0], "c2VjcmV0");
    let list = r#""data":{"x":["--token","abc","-v","a\n b"]}"#;
    let list = public.replace(r#""data":{"x":"c2VjcmV0"}"#, list);
    assert_eq!(quotes(&list)[0], "--token [redacted] -v a b");
}

#[test]
fn what_a_summary_cannot_quote_is_told() {
    let told = |summary: &str| {
        let detection = "  s: {verb: get}\n  condition: s";
        let rule = rule(detection, 0).replace(
            "family: discovery",
            &format!("family: discovery, summary: '{summary}'"),
        );
        let set = RuleSet::from_files([("detections/r.yml".to_owned(), rule)]).unwrap();
        CompiledRules::compile(&set).map(drop).map_err(|errors| {
            let problem = &errors[0].problem;
            (problem.to_string(), problem.hint.clone())
        })
    };
    assert_eq!(told("{who} {object.spec.type|verb} {}"), Ok(()));
    let (what, hint) = told("{whoo} did").unwrap_err();
    assert!(what.contains("unknown field `whoo`"), "{what}");
    assert_eq!(hint.as_deref(), Some("did you mean `{who}`?"));
    let (what, hint) = told("{user.nam}").unwrap_err();
    assert!(what.contains("unknown field `user.nam`"), "{what}");
    assert_eq!(hint.as_deref(), Some("did you mean `username`?"));
}

/// Looks for the values of a field in the whole record; returns whether it stands there.
fn values_at<'a>(record: &Json<'a>, leaf: &Leaf, found: &mut Vec<Json<'a>>) -> bool {
    let path = match &leaf.field {
        Field::Column(column) if column.path().is_empty() => return false,
        Field::Record | Field::Derived(_) => return false,
        Field::Column(column) => column.path(),
        Field::Body(..) => &leaf.name,
    };
    let mut values = Vec::new();
    path::Path::parse(path).unwrap().find(record, &mut values);
    let is_column = leaf.field.column().is_some();
    let values = values.into_iter().cloned();
    found.extend(values.filter(|value| !is_column || value.as_text() != Some("")));
    true
}

/// Evaluates row by row, every test on its own and on the whole parsed record: no sets, no codes, no
/// order, no prefilter.
fn evaluate_slowly(rules: &CompiledRules, frame: &EventFrame, text: &str) -> Hits {
    let mut hits = Hits::new();
    for (row_idx, line) in text.lines().enumerate() {
        let record = Json::parse(line, &Keys::all());
        for (rule, compiled) in rules.rules.iter().enumerate() {
            let Some(compiled) = compiled else { continue };
            let holds = compiled.tree.holds(&mut |leaf_idx| {
                let leaf = &rules.leaves[*leaf_idx as usize];
                let mut found = Vec::new();
                assert!(!matches!(leaf.test, LeafTest::Related(..)));
                if values_at(&record, leaf, &mut found) {
                    leaf.test.matches(&Values::Found(found.iter().collect()))
                } else {
                    leaf.test
                        .matches(&row_values(frame, &leaf.field, row_idx).unwrap())
                }
            });
            if holds {
                let (row_idx, rule) = (
                    u32::try_from(row_idx).unwrap(),
                    u32::try_from(rule).unwrap(),
                );
                hits.push(Hit {
                    row_idx,
                    rule,
                    held_by: 0,
                });
            }
        }
    }
    hits
}

/// Selections that generated conditions are made of.
const SELECTIONS: &[&str] = &[
    "{verb: [get, list]}",
    "{verb|neq: get}",
    "{user.username: 'system:*'}",
    "{user.groups|contains: mast}",
    "{user.username: null, verb: get}",
    "{responseStatus.code|gte: 400}",
    "{responseStatus.code: null}",
    "{objectRef.resource: secrets}",
    "{objectRef.name|startswith: A}",
    "{requestURI|contains: Sec}",
    "{requestURI|re: '(?i)/seC[a-z]+k?$'}",
    "{requestURI: [/API, '/api/*/SECRETſ']}",
    "{actor: bob}",
    "{impersonatedUser.groups|contains: masters}",
    "{audit_id_is_uuid: false}",
    "{dry_run: true}",
    "{outcome: [ok, denied]}",
    "{peer_ip|cidr: 10.0.0.0/8}",
    "{is_masters: true}",
    "{requestObject.spec.hostPID: true}",
    "{requestObject.spec.containers.image|endswith: ':latest'}",
    "{requestObject.spec.hostPID|exists: false}",
    "{'requestObject.spec.containers[any]': {image: 'a:latest', privileged: true}}",
    "{'requestObject.spec.containers[all]': {privileged: true}}",
    "{annotations.a.b/c: x, requestObject.spec.hostPID: null}",
    "{annotations.authorization.k8s.io/decision: allow}",
    "[latest, forbid]",
];

fn event() -> impl Strategy<Value = String> {
    let pick = |texts: &'static [&'static str]| prop::sample::select(texts);
    (
        pick(&[r#""get""#, r#""list""#, r#""create""#]),
        pick(&[
            "{}",
            r#"{"username":"bob","groups":["dev","System:Masters"]}"#,
            r#"{"username":"System:anonymous","groups":[]}"#,
            r#"{"username":"admin","groups":["system:masters"]}"#,
            r#"{"username":"admin"},"impersonatedUser":{"username":"bob","groups":["system:masters"]}"#,
            r#"{"username":"bob"},"impersonatedUser":{"groups":["dev"]}"#,
        ]),
        pick(&["", r#","responseStatus":{"code":200}"#, r#","responseStatus":{"code":403}"#]),
        pick(&["", r#","objectRef":{"resource":"secrets","name":"abc"}"#, r#","objectRef":{"resource":"pods"}"#]),
        pick(&["/api", "/api/v1/SECRETS", "/api/v1/SECRET\u{17f}", "/api/v1/pods?dryRun=All", "/api/v1/secret\u{212a}"]),
        pick(&[r#"["1.1.1.1"]"#, r#"["1.1.1.1","10.0.0.1"]"#]),
        pick(&[
            "",
            r#","requestObject":{}"#,
            r#","requestObject":{"spec":{"hostPID":true,"containers":[{"image":"a:latest"},{"privileged":true}]}}"#,
            r#","requestObject":{"spec":{"host\u0050ID":"TRUE","containers":[{"image":"a:latest","privileged":true}]}}"#,
            r#","requestObject":{"spec":{"hostPID":null,"containers":[]}}"#,
        ]),
        pick(&["", r#","annotations":{"authorization.k8s.io/decision":"allow"}"#, r#","annotations":{"x":"latest"}"#, r#","annotations":{"a.b/c":"X","authorization.k8s.io/decision":"forbid"}"#]),
    )
        .prop_map(|(verb, user, status, object, uri, ips, body, annotations)| {
            format!(
                r#"{{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Request","auditID":"x","stage":"ResponseComplete","requestURI":"{uri}","verb":{verb},"user":{user},"sourceIPs":{ips}{object}{status}{body},"requestReceivedTimestamp":"2026-11-22T04:55:28.000000Z","stageTimestamp":"2026-11-22T04:55:28.000001Z"{annotations}}}"#
            )
        })
}

fn condition() -> impl Strategy<Value = String> {
    let leaf = (0..SELECTIONS.len()).prop_map(|selection| format!("s{selection:02}"));
    leaf.prop_recursive(4, 16, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 2..4)
                .prop_map(|parts| format!("({})", parts.join(" and "))),
            prop::collection::vec(inner.clone(), 2..4)
                .prop_map(|parts| format!("({})", parts.join(" or "))),
            inner.prop_map(|part| format!("not {part}")),
            (2..4_u32, 0..2_u32).prop_map(|(n, ten)| format!("{n} of s{ten}*")),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn evaluating_by_class_is_evaluating_row_by_row(
        events in prop::collection::vec(event(), 1..150),
        conditions in prop::collection::vec(condition(), 1..5),
    ) {
        let mut named = String::new();
        for (number, selection) in SELECTIONS.iter().enumerate() {
            writeln!(named, "  s{number:02}: {selection}").unwrap();
        }
        let detections: Vec<_> =
            conditions.iter().map(|condition| format!("{named}  condition: {condition}")).collect();
        let detections: Vec<_> = detections.iter().map(String::as_str).collect();
        let rules = compile(&detections).unwrap_or_else(|errors| panic!("{errors:#?}"));
        let text = events.join("\n");
        let frame = frame(&text);
        let hits = rules.evaluate(&frame);
        prop_assert_eq!(&hits, &evaluate_slowly(&rules, &frame, &text));
        prop_assert_eq!(&hits, &rules.evaluate(&frame));
        let set = rule_set(&detections);
        for (rule, _) in detections.iter().enumerate() {
            let outline = outline::Outline::new(&set, rule).unwrap().unwrap();
            for row_idx in 0..frame.height().min(20) {
                let is_hit =
                    hits.iter().any(|hit| (hit.row_idx as usize, hit.rule as usize) == (row_idx, rule));
                prop_assert_eq!(outline.explain(&frame, row_idx).is_match, is_hit);
            }
        }
    }
}
