//! Evaluation over columns against one row by row, of generated rules and events.

use std::fmt::Write;

use proptest::prelude::*;

use super::*;
use crate::detect::json::{Json, Keys};
use crate::detect::leaf::{Leaf, LeafTest};
use crate::detect::row::row_values;
use crate::detect::value::Values;

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
