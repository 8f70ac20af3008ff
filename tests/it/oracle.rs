//! The rules engine against `rsigma-eval`, an evaluator of Sigma that works event by event: the same rules and
//! events, the same matches. Where the two differ on purpose stands in [`DIFFERENCES`], and is shown.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use kubescry::detect::{CompiledRules, sample};
use kubescry::rules::RuleSet;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use rsigma_eval::event::JsonEvent;
use rsigma_eval::{CorrelationConfig, CorrelationEngine, Engine};
use serde_json::{Value, json};

use crate::support::{options, read, root};

fn rule(number: usize, detection: &str) -> String {
    format!(
        "title: T{number}\nid: 1b2c3d4e-0000-4000-8000-{number:012}\nname: r{number}\nlevel: low\n\
         sigma-version: 3\nlogsource: {{product: kubernetes, service: audit}}\n\
         detection:\n{detection}\n"
    )
}

/// Returns pairs of event and rule, by number, as both engines see them.
fn both(detections: &[String], events: &[Value]) -> [BTreeSet<(usize, usize)>; 2] {
    let rules: Vec<String> = detections
        .iter()
        .enumerate()
        .map(|(number, detection)| rule(number, detection))
        .collect();
    let files = (0..)
        .zip(&rules)
        .map(|(number, text): (usize, _)| (format!("detections/{number:05}.yml"), text));
    let set = RuleSet::from_files(files).unwrap_or_else(|errors| panic!("{errors:#?}"));
    let compiled = CompiledRules::compile(&set).unwrap_or_else(|errors| panic!("{errors:#?}"));
    let lines: Vec<String> = events.iter().map(ToString::to_string).collect();
    let frame = sample::frame_of("log", &lines.join("\n")).unwrap();
    assert_eq!(frame.height(), events.len());
    let hits = compiled.evaluate(&frame);
    let ours = hits
        .iter()
        .map(|hit| (hit.row_idx as usize, hit.rule as usize));

    let mut engine = Engine::new();
    for text in &rules {
        let collection = rsigma_parser::parse_sigma_yaml(text).unwrap();
        engine.add_collection(&collection).unwrap();
    }
    let mut theirs = BTreeSet::new();
    for (event, value) in events.iter().enumerate() {
        for result in engine.evaluate(&JsonEvent::borrow(value)) {
            let number = result.header.rule_title[1..].parse().unwrap();
            theirs.insert((event, number));
        }
    }
    [ours.collect(), theirs]
}

#[track_caller]
fn check(detections: &[String], events: &[Value]) {
    let [ours, theirs] = both(detections, events);
    let difference = ours.symmetric_difference(&theirs).next();
    if let Some(pair @ (event, rule)) = difference {
        let who = if ours.contains(pair) { "we" } else { "rsigma" };
        panic!(
            "only {who} match\n{}\non {}",
            detections[*rule], events[*event]
        );
    }
}

/// A detection, an event, and whether we match where `rsigma-eval` does the opposite; and why.
const DIFFERENCES: [(&str, &str, bool, &str); 7] = [
    (
        "  s: {annotations.authorization.k8s.io/decision: allow}\n  condition: s",
        r#"{"annotations": {"authorization.k8s.io/decision": "allow"}}"#,
        true,
        "a key with dots is found",
    ),
    (
        "  s: {'user.extra.scopes.io/x': a}\n  condition: s",
        r#"{"user": {"extra": {"scopes.io/x": ["a"]}}}"#,
        true,
        "a key with dots is found, below others too",
    ),
    (
        "  s: {user.username: null}\n  condition: s",
        r#"{"user": {"username": ""}}"#,
        true,
        "a column keeps null and empty no apart",
    ),
    (
        "  s: {user.groups|exists: false}\n  condition: s",
        r#"{"user": {"groups": []}}"#,
        true,
        "nor an empty list and none",
    ),
    (
        "  s: {requestObject.spec.x|exists: true}\n  condition: s",
        r#"{"requestObject": {"spec": {"x": null}}}"#,
        true,
        "what is null is present (modifiers appendix 2.1.0)",
    ),
    (
        "  s: {apiGroup: apps}\n  condition: s",
        r#"{"objectRef": {"apiGroup": "apps"}}"#,
        true,
        "names that public rules use are aliases",
    ),
    (
        "  s: [username]\n  condition: s",
        r#"{"user": {"username": "a"}}"#,
        true,
        "a keyword is looked for in the whole record, names of fields included",
    ),
];

#[test]
fn differences_are_as_they_are_written_down() {
    for (detection, event, we_match, why) in DIFFERENCES {
        let event = serde_json::from_str(event).unwrap();
        let [ours, theirs] = both(&[detection.to_owned()], &[event]);
        assert_eq!(ours.is_empty(), !we_match, "{why}");
        assert_ne!(ours, theirs, "{why}: no difference any more");
    }
}

/// Fields that both engines find, and values they may be compared with.
const FIELDS: [(&str, &[&str]); 12] = [
    ("verb", &["get", "list", "GET", "c*", "'*'", "null"]),
    (
        "user.username",
        &["alice", "'system:*'", "bo?", "'*:*'", "null", "ALICE"],
    ),
    ("user.groups", &["dev", "system:masters", "'*masters'"]),
    ("objectRef.resource", &["pods", "secrets", "'?ods'", "null"]),
    ("objectRef.name", &["a", "A", "'*b*'", "'a\\*'"]),
    ("requestURI", &["/api", "'/api*'", "'*\\?*'", "'*x=1'"]),
    ("responseStatus.code", &["200", "403", "'200'", "null"]),
    (
        "requestObject.spec.hostPID",
        &["true", "false", "'true'", "null"],
    ),
    ("requestObject.spec.n", &["1", "1.5", "'1'", "2"]),
    ("requestObject.spec.list", &["a", "b", "'*'", "1"]),
    (
        "requestObject.spec.containers.image",
        &["nginx", "'*:latest'", "b?sybox"],
    ),
    ("sourceIPs", &["10.0.0.1", "'10.*'"]),
];

fn value_of(field: usize) -> impl Strategy<Value = String> {
    prop::sample::select(FIELDS[field].1).prop_map(str::to_owned)
}

fn item() -> impl Strategy<Value = String> {
    let plain = (0..FIELDS.len()).prop_flat_map(|field| {
        let name = FIELDS[field].0;
        let one = value_of(field).prop_map(move |value| format!("{name}: {value}"));
        let values = prop::collection::vec(value_of(field), 2..5);
        let many = values.prop_filter("null stands alone", |values| {
            values.iter().all(|value| value != "null")
        });
        let many = many.prop_map(move |values| format!("{name}: [{}]", values.join(", ")));
        prop_oneof![one, many]
    });
    let fixed = prop::sample::select(vec![
        "user.username|contains: [li, bo, ste, xx, yy]",
        "user.username|startswith: sys",
        "user.username|endswith: [e, b]",
        "user.username|cased: Alice",
        "user.username|re: '^(al|b)i?'",
        "user.username|re|i: '^AL'",
        "user.groups|contains|all: [sys, mast]",
        "user.groups|exists: true",
        "objectRef.resource|exists: false",
        "objectRef.name|fieldref: user.username",
        "responseStatus.code|gte: 400",
        "responseStatus.code|lt: 300",
        "requestObject.spec.n|gt: 1",
        "requestObject.spec.n|lte: 1.5",
        "requestObject.spec.hostPID|exists: true",
        "requestObject.spec.hostPID|exists: false",
        "sourceIPs|cidr: [10.0.0.0/24, 'fd00::/8']",
        "verb|neq: get",
        "objectRef.name|base64: foobar",
        "objectRef.name|wide|base64: ab",
        "requestReceivedTimestamp|minute: 55",
        "'requestObject.spec.containers[any]': {image: nginx, privileged: true}",
        "'requestObject.spec.containers[all]': {privileged: true}",
        "'requestObject.spec.containers[all_or_empty]': {privileged: true}",
        "'requestObject.spec.containers[none]': {image|endswith: ':latest'}",
        "'requestObject.spec.containers[0].image': nginx",
        "'requestObject.spec.list[any]': a",
    ]);
    prop_oneof![2 => plain, 3 => fixed.prop_map(str::to_owned)]
}

fn selection() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec(item(), 1..3).prop_map(|mut items| {
        // One item a field: YAML has no double keys.
        let mut seen = BTreeSet::new();
        items.retain(|item| seen.insert(item.split(": ").next().map(str::to_owned)));
        items
    })
}

fn detection() -> impl Strategy<Value = String> {
    let condition = prop::sample::select(vec![
        "sel_a",
        "not sel_a",
        "sel_a and sel_b",
        "sel_a or not sel_b",
        "1 of sel_*",
        "all of sel_*",
        "not 1 of sel_*",
        "all of them",
        "sel_a and not (sel_b or other)",
    ]);
    (selection(), selection(), selection(), condition).prop_map(|(a, b, other, condition)| {
        let mut text = String::new();
        for (name, items) in [("sel_a", a), ("sel_b", b), ("other", other)] {
            let _ = writeln!(text, "  {name}:");
            for item in items {
                let _ = writeln!(text, "    {item}");
            }
        }
        let _ = write!(text, "  condition: {condition}");
        text
    })
}

fn event() -> impl Strategy<Value = Value> {
    let pick = |values: Vec<Value>| prop::sample::select(values);
    let user = pick(vec![
        json!({}),
        json!({"username": "alice", "groups": ["dev"]}),
        json!({"username": "Alice"}),
        json!({"username": "bob", "groups": ["system:masters", "dev"]}),
        json!({"username": "system:node:a"}),
    ]);
    let object = pick(vec![
        Value::Null,
        json!({"resource": "pods", "name": "a"}),
        json!({"resource": "secrets"}),
        json!({"resource": "pods", "name": "alice"}),
        json!({"resource": "pods", "name": "Zm9vYmFy"}),
        json!({"resource": "pods", "name": "YQBiAA=="}),
    ]);
    let code = pick(vec![
        Value::Null,
        json!(200),
        json!(201),
        json!(403),
        json!(500),
    ]);
    let body = pick(vec![
        Value::Null,
        json!({"spec": {"hostPID": true, "n": 1, "list": ["a", "b"]}}),
        json!({"spec": {"n": 1.5, "list": []}}),
        json!({"spec": {"hostPID": false, "n": "1", "list": [1]}}),
        json!({"spec": {"containers": [{"image": "nginx", "privileged": true}, {"image": "busybox"}]}}),
        json!({"spec": {"containers": [{"image": "nginx:latest", "privileged": true}]}}),
        json!({"spec": {"containers": []}}),
    ]);
    let verb = pick(vec![json!("get"), json!("list"), json!("create")]);
    let uri = pick(vec![
        json!("/api"),
        json!("/api/v1/pods?x=1"),
        json!("/healthz"),
    ]);
    let time = pick(vec![
        json!("2026-11-22T04:55:27.649211Z"),
        json!("2026-11-22T03:00:00.000000Z"),
    ]);
    let addresses = pick(vec![
        json!(["10.0.0.1"]),
        json!(["203.0.113.7", "10.0.0.9"]),
        json!(["fd00::1"]),
    ]);
    (verb, uri, user, addresses, object, code, body, time).prop_map(
        |(verb, uri, user, addresses, object, code, body, time)| {
            let mut event = json!({
                "kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "Request", "auditID": "x",
                "stage": "ResponseComplete", "requestURI": uri, "verb": verb, "user": user,
                "sourceIPs": addresses, "requestReceivedTimestamp": time, "stageTimestamp": time,
            });
            let parts = [("objectRef", object), ("requestObject", body)];
            for (key, value) in parts.into_iter().filter(|(_, value)| !value.is_null()) {
                event[key] = value;
            }
            if !code.is_null() {
                event["responseStatus"] = json!({"code": code});
            }
            event
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn generated_rules_match_as_in_the_oracle(
        detections in prop::collection::vec(detection(), 1..40),
        events in prop::collection::vec(event(), 1..40),
    ) {
        check(&detections, &events);
    }
}

#[test]
fn recorded_events_match_as_in_the_oracle() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let detections: Vec<String> = (0..200)
        .map(|_| detection().new_tree(&mut runner).unwrap().current())
        .collect();
    for log in [
        "sample-logs/v1.36/anonymous.log",
        "tests/logs/v1.36-full-token-reuse.log.zst",
    ] {
        let log = read(&root().join(log));
        let lines = std::str::from_utf8(&log).unwrap().lines().take(400);
        let events: Vec<Value> = lines
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        check(&detections, &events);
    }
}

/// Correlations over rules `reads` and `writes`, by user.
const CORRELATIONS: [&str; 10] = [
    "{type: event_count, rules: [reads], group-by: [user.username], timespan: 10s, condition: {gte: 4}}",
    "{type: event_count, rules: [reads, writes], group-by: [user.username], timespan: 5s, condition: {gt: 3}}",
    "{type: value_count, rules: [reads], group-by: [user.username], timespan: 10s, condition: {field: objectRef.name, gte: 3}}",
    "{type: value_count, rules: [reads], group-by: [user.username, objectRef.resource], timespan: 8s, condition: {field: objectRef.name, gte: 2}}",
    "{type: temporal, rules: [reads, writes], group-by: [user.username], timespan: 3s, condition: {gte: 2}}",
    "{type: temporal_ordered, rules: [reads, writes], group-by: [user.username], timespan: 3s, condition: {gte: 2}}",
    "{type: value_sum, rules: [reads], group-by: [user.username], timespan: 6s, condition: {field: responseStatus.code, gte: 1100}}",
    "{type: value_avg, rules: [reads], group-by: [user.username], timespan: 6s, condition: {field: responseStatus.code, gte: 390}}",
    "{type: value_median, rules: [reads], group-by: [user.username], timespan: 6s, condition: {field: responseStatus.code, gte: 403}}",
    "{type: event_count, rules: [reads], group-by: [user.username], timespan: 10s, condition: {gte: 3, lte: 100}}",
];

/// Requests: seconds after the last one, user, verb, name, code.
type Step = (u32, usize, bool, usize, usize);

fn correlated(steps: &[Step]) -> [BTreeSet<(usize, String)>; 2] {
    let folder = tempfile::tempdir().unwrap();
    let base = |name: &str, verb: &str, number: usize| {
        rule(number, &format!("  s: {{verb: {verb}}}\n  condition: s"))
            .replace(&format!("name: r{number}"), &format!("name: {name}"))
    };
    let mut texts = vec![base("reads", "get", 900), base("writes", "create", 901)];
    for (number, correlation) in CORRELATIONS.iter().enumerate() {
        texts.push(format!(
            "title: C{number}\nid: 1b2c3d4e-0000-4000-9000-{number:012}\nname: c{number}\nlevel: low\n\
             correlation: {correlation}\n"
        ));
    }
    let text = texts.join("---\n");
    std::fs::write(folder.path().join("rules.yml"), &text).unwrap();

    let mut engine = CorrelationEngine::new(CorrelationConfig::default());
    let collection = rsigma_parser::parse_sigma_yaml(&text).unwrap();
    assert!(collection.errors.is_empty(), "{:?}", collection.errors);
    engine.add_collection(&collection).unwrap();
    let mut theirs = BTreeSet::new();
    let mut lines = String::new();
    let mut second = 0;
    for (at, &(pause, user, is_read, name, code)) in steps.iter().enumerate() {
        second += i64::from(pause);
        let time = format!(
            "2026-11-22T04:{:02}:{:02}.000000Z",
            second / 60,
            second % 60
        );
        let (user, code) = (["alice", "bob"][user], [200, 403, 500][code]);
        let event = json!({
            "kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "Metadata",
            "auditID": format!("a{at}"), "stage": "ResponseComplete", "requestURI": "/api/v1/x",
            "verb": if is_read { "get" } else { "create" }, "user": {"username": user},
            "sourceIPs": ["10.0.0.1"], "objectRef": {"resource": "configmaps", "name": format!("n{name}")},
            "responseStatus": {"code": code},
            "requestReceivedTimestamp": time, "stageTimestamp": time,
        });
        for result in engine.process_event_at(&JsonEvent::borrow(&event), second) {
            if let Some(number) = result.header.rule_title.strip_prefix('C') {
                theirs.insert((number.parse().unwrap(), user.to_owned()));
            }
        }
        let _ = writeln!(lines, "{event}");
    }
    let log = folder.path().join("audit.log");
    std::fs::write(&log, lines).unwrap();
    let loaded = RuleSet::load(&[folder.path()]).unwrap();
    let bad = [loaded.bad, loaded.conflicts].concat();
    assert!(bad.is_empty(), "{bad:#?}");
    let rules = loaded.set;
    let compiled = CompiledRules::compile(&rules).unwrap_or_else(|errors| panic!("{errors:#?}"));
    let scan = kubescry::pipeline::scan(&options(&[&log]), &rules, &compiled).unwrap();
    let ours = scan.outcome.findings.iter().filter_map(|found| {
        let number = found.rule.title.strip_prefix('C')?.parse().ok()?;
        Some((number, found.actor.username.clone()?))
    });
    [ours.collect(), theirs]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn correlations_hold_as_in_the_oracle(
        steps in prop::collection::vec((1..4_u32, 0..2_usize, any::<bool>(), 0..4_usize, 0..3_usize), 1..60),
    ) {
        let [ours, theirs] = correlated(&steps);
        prop_assert_eq!(ours, theirs);
    }
}
