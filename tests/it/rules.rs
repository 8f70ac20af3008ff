//! `kubescry rules` from outside, and what coverage promises.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use kubescry::detect::feed::{Reach, Verdict};
use kubescry::pipeline;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{RULES, kubescry, options, root, text};

#[track_caller]
fn run(arguments: &[&str], input: &str, code: i32) -> (String, String) {
    let output = kubescry(arguments, input.as_bytes());
    let (out, errors) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{out}{errors}");
    (out.to_owned(), errors.to_owned())
}

/// Returns the names in a list of rules.
#[track_caller]
fn listed(arguments: &[&str]) -> BTreeSet<String> {
    let arguments = [&["rules", "list", "--format", "json"], arguments].concat();
    let (out, _) = run(&arguments, "", 0);
    let rules: Vec<Value> = serde_json::from_str(&out).unwrap();
    let names = rules
        .iter()
        .map(|rule| rule["name"].as_str().unwrap().to_owned());
    names.collect()
}

/// Writes a rule file; returns its folder.
fn folder(rule: &str) -> TempDir {
    let folder = TempDir::new().unwrap();
    std::fs::create_dir(folder.path().join("detections")).unwrap();
    std::fs::write(folder.path().join("detections/secret-read.yml"), rule).unwrap();
    folder
}

/// Runs `rules explain` on the rule of a folder.
#[track_caller]
fn explain(rules: &TempDir, more: &[&str], events: &str, code: i32) -> (String, String) {
    let queries = rules.path().display().to_string();
    let arguments = ["rules", "explain", "secret-read", "--event", "-"];
    let arguments = [&arguments, more, &["--queries", &queries]].concat();
    run(&arguments, events, code)
}

const RULE: &str = "\
title: Somebody reads Secrets
name: secret-read
description: Somebody reads Secrets.
logsource: {product: kubernetes, service: audit}
tags: [attack.credential-access, attack.t1552.007]
detection:
  selection:
    objectRef.resource: secrets
    verb: [get, list]
  filter_name:
    objectRef.name: public
  condition: selection and not 1 of filter_*
falsepositives: [Many]
level: low
kubescry:
  next_steps: [Ask]
  tests:
    - expect: hit
      event: {verb: get, objectRef: {resource: secrets, name: a}}
    - expect: miss
      event: {verb: get, objectRef: {resource: secrets, name: public}}
";

#[test]
fn help_names_the_commands() {
    let (out, _) = run(&["rules", "--help"], "", 0);
    for command in ["list", "show", "check", "test", "explain", "coverage"] {
        assert!(out.contains(&format!("\n  {command} ")), "{command}: {out}");
    }
}

#[test]
fn lists_are_filtered() {
    let all = listed(&[]);
    assert_eq!(all.len(), RULES.0.rules.len());
    let anonymous = listed(&["--family", "Anonymous", "--level", "critical"]);
    assert!(anonymous.contains("anonymous-granted") && !anonymous.contains("anonymous-denied"));
    let tagged = listed(&["--tag", "t1078", "--kind", "sigma"]);
    assert!(
        tagged.contains("anonymous-resource-allowed") && !tagged.contains("masters-credential")
    );
    let said = |tag: &str| run(&["rules", "list", "--tag", tag], "", 2).1;
    assert!(said("T9999").contains("no rule has the tag `T9999`"));
    assert!(said("T1078.009").contains("hint: there are T1078"));
    assert!(said("persistance").contains("there are persistence"));
    assert!(said("zzz").contains("or a tactic: "));
    let none = [
        "rules", "list", "--tag", "t1078", "--family", "hygiene", "--level", "critical",
    ];
    let (_, said) = run(&none, "", 0);
    assert!(
        said.contains("no rule is all of what was asked for"),
        "{said}"
    );
    let (table, _) = run(&["rules", "list", "--kind", "correlation"], "", 0);
    assert!(table.starts_with("NAME "), "{table}");
    assert!(table.contains("\nanonymous-probing "), "{table}");
    let (_, errors) = run(&["rules", "list", "--family", "x"], "", 2);
    assert!(
        errors.contains("one of anonymous, system-masters"),
        "{errors}"
    );
    let (layer, _) = run(&["rules", "list", "--format", "navigator"], "", 0);
    let layer: Value = serde_json::from_str(&layer).unwrap();
    assert_eq!(layer["versions"]["layer"], "4.5");
}

#[test]
fn a_rule_is_shown_in_words() {
    let (out, _) = run(&["rules", "show", "anonymous-probing"], "", 0);
    assert!(
        out.contains("  asks for  at least 6 different values of `requestURI`"),
        "{out}"
    );
    let (out, errors) = run(&["rules", "show", "anonymous-probin"], "", 2);
    assert!(out.is_empty());
    assert_eq!(
        errors,
        "error: there is no rule `anonymous-probin`\nhint: did you mean `anonymous-probing`?\n"
    );
}

#[test]
fn built_in_rules_have_no_errors() {
    let (out, errors) = run(&["rules", "check"], "", 0);
    assert!(out.contains(" rules: 0 errors, "), "{out}");
    for line in errors.lines().filter(|line| line.starts_with("warning: ")) {
        assert!(line.ends_with("has no test events"), "{line}");
    }
    run(&["rules", "test"], "", 0);
}

#[test]
fn wrong_rules_are_told_with_their_place() {
    let good = folder(RULE);
    let path = |folder: &TempDir| {
        folder
            .path()
            .join("detections/secret-read.yml")
            .display()
            .to_string()
    };
    let (out, errors) = run(&["rules", "check", "--strict", &path(&good)], "", 0);
    assert_eq!((&*out, &*errors), ("1 rule: 0 errors, 0 warnings\n", ""));

    let odd = RULE
        .replace("[get, list]", "[get, replace]")
        .replace("secrets\n", "secret\n");
    let odd = folder(&odd);
    let file = path(&odd);
    let (out, errors) = run(&["rules", "check", &file], "", 0);
    assert_eq!(out, "1 rule: 0 errors, 2 warnings\n");
    assert_eq!(
        errors,
        format!(
            "warning: `secret` is no resource of Kubernetes\n  --> {file}:8\nhint: did you mean `secrets`?\n\
             warning: `replace` is never the verb of an audit event\n  --> {file}:9\n\
             hint: a replacement is logged as `update`\n"
        )
    );
    run(&["rules", "check", "--strict", &file], "", 1);
    run(
        &[
            "rules",
            "check",
            "--strict",
            "--queries",
            &odd.path().display().to_string(),
        ],
        "",
        1,
    );

    let wrong = folder(&RULE.replace("objectRef.name", "objectRef.nam"));
    let file = path(&wrong);
    let (out, errors) = run(&["rules", "check", &file], "", 2);
    assert_eq!(out, "1 rule: 1 error, 0 warnings\n");
    assert_eq!(
        errors,
        format!(
            "error: unknown field `objectRef.nam`: an audit event has no such field\n  --> {file}:11\n\
             hint: did you mean `objectRef.name`?\n"
        )
    );
}

#[test]
fn test_events_may_stand_in_the_rule() {
    let good = folder(RULE);
    let queries = good.path().display().to_string();
    let arguments = ["rules", "test", "secret-read", "--queries", &queries];
    let (out, _) = run(&arguments, "", 0);
    assert_eq!(out, "1 passed, 0 failed, 0 without test events\n");
    let failing = folder(&RULE.replace("name: public}", "name: private}"));
    let queries = failing.path().display().to_string();
    let arguments = ["rules", "test", "secret-read", "--queries", &queries];
    let (out, _) = run(&arguments, "", 1);
    assert!(
        out.starts_with("FAIL  secret-read\n      `tests of "),
        "{out}"
    );
    assert!(
        out.contains("line 1: it matches\n0 passed, 1 failed"),
        "{out}"
    );
}

#[test]
fn an_explanation_says_what_the_event_holds() {
    let rules = folder(RULE);
    let hit = r#"{"verb":"get","level":"Metadata","auditID":"a1","stage":"ResponseComplete","user":{"username":"eve"},"objectRef":{"resource":"secrets","namespace":"dev","name":"db"},"responseStatus":{"code":200}}"#;
    let (out, _) = explain(&rules, &[], hit, 0);
    assert_eq!(
        out,
        "  event     -:1, audit ID a1
            get secrets dev/db by eve, stage ResponseComplete, level Metadata, code 200
  rule      secret-read: it matches
  [x] all of
      [x] selection
          [x] objectRef.resource: secrets; the event has secrets
          [x] verb: [get, list]; the event has get
      [x] not
          [ ] 1 of filter_*
              [ ] filter_name
                  [ ] objectRef.name: public; the event has db
"
    );
    let events = format!("{hit}\n{}\n", hit.replace("\"get\"", "\"delete\""));
    let (out, _) = explain(&rules, &["--line", "2"], &events, 0);
    assert!(out.contains("  event     -:2, audit ID a1\n"), "{out}");
    assert!(
        out.contains("secret-read: it does not match\n  [ ] all of\n"),
        "{out}"
    );
    assert!(
        out.contains("[ ] verb: [get, list]; the event has delete\n"),
        "{out}"
    );
    let (_, errors) = explain(&rules, &["--line", "7"], &events, 4);
    assert_eq!(errors, "error: no record of `-` starts at line 7\n");
    let (_, errors) = explain(&rules, &[], "nonsense\n", 4);
    assert!(
        errors.starts_with("error: `-`, line 1, is not an audit event: "),
        "{errors}"
    );
}

#[test]
fn explanations_hide_what_is_secret_and_what_acts() {
    let rule = RULE
        .replace(
            "    objectRef.resource: secrets\n",
            "    exec.command|contains: psql\n",
        )
        .replace("    verb: [get, list]\n", "    user.username: eve\n");
    let rules = folder(rule.split("  tests:").next().unwrap());
    let event = r#"{"verb":"get","user":{"username":"eve\u001b[2J"},"requestURI":"/api/v1/namespaces/a/pods/b/exec?command=psql&command=--password&command=hunter2","objectRef":{"resource":"pods","subresource":"exec"}}"#;
    let (out, _) = explain(&rules, &[], event, 0);
    assert!(out.contains("psql --password [redacted]"), "{out}");
    assert!(!out.contains("hunter2") && !out.contains('\u{1b}'), "{out}");
}

#[test]
fn correlations_and_analytics_are_not_about_one_event() {
    let event =
        r#"{"verb":"get","user":{"username":"system:anonymous"},"responseStatus":{"code":403}}"#;
    let (out, _) = run(
        &["rules", "explain", "anonymous-probing", "--event", "-"],
        event,
        0,
    );
    assert!(out.contains("one event does not decide it"), "{out}");
    assert!(out.contains("anonymous-denied: it matches"), "{out}");
    let (out, _) = run(
        &["rules", "explain", "shared-credential", "--event", "-"],
        event,
        0,
    );
    assert!(out.contains("an analytic is about a whole log"), "{out}");
}

#[test]
fn coverage_says_what_a_log_cannot_feed() {
    let coverage = |log: &str| -> Value {
        let (out, _) = run(&["rules", "coverage", "--format", "json", log], "", 0);
        serde_json::from_str(&out).unwrap()
    };
    let verdict = |coverage: &Value, name: &str| -> String {
        let rules = coverage["rules"].as_array().unwrap();
        let rule = rules.iter().find(|rule| rule["rule"] == name).unwrap();
        format!("{} {}", rule["verdict"], rule["lacks"]).replace('"', "")
    };
    let bare = coverage("sample-logs/v1.36/anonymous.log");
    assert_eq!(
        verdict(&bare, "anonymous-granted"),
        "no_bodies [clusterrolebindings]"
    );
    assert_eq!(
        verdict(&bare, "anonymous-resource-allowed"),
        "can_fire null"
    );
    assert_eq!(verdict(&bare, "pod-log-read"), "no_events [pods/log (get)]");
    let full = coverage("tests/logs/v1.36-full-anonymous.log.zst");
    assert_eq!(verdict(&full, "anonymous-granted"), "can_fire null");
    let (out, _) = run(
        &["rules", "coverage", "sample-logs/v1.36/anonymous.log"],
        "",
        0,
    );
    assert!(out.contains("\nBodies are missing\n"), "{out}");
    assert!(
        out.contains("\n  anonymous-granted: no bodies for clusterrolebindings\n"),
        "{out}"
    );
    run(&["rules", "coverage", "no-such-file"], "", 4);
}

#[test]
fn a_scan_says_how_many_rules_a_log_can_feed() {
    let folder = TempDir::new().unwrap();
    let stats = folder.path().join("stats.json");
    let log = "sample-logs/v1.36/anonymous.log";
    let stats_path = stats.display().to_string();
    let (out, _) = run(&["scan", log, "--stats", &stats_path], "", 0);
    assert!(out.contains(" can fire, "), "{out}");
    let stats: Value = serde_json::from_slice(&std::fs::read(stats).unwrap()).unwrap();
    let counts = stats["coverage"].as_object().unwrap();
    let sum: u64 = counts.values().map(|count| count.as_u64().unwrap()).sum();
    assert_eq!(sum, RULES.0.rules.len() as u64);
}

/// What fires can fire: no verdict may say that a rule lacks anything that has found something.
#[test]
fn rules_that_fire_lack_nothing() {
    let (rules, compiled) = &*RULES;
    for entry in std::fs::read_dir(root().join("tests/logs")).unwrap() {
        let log = entry.unwrap().path();
        let options = options(&[Path::new(&log)]);
        let scan = pipeline::survey(&options, rules, compiled).unwrap();
        assert_eq!(
            Reach::of(&scan.fed).can_fire + lacking(&scan),
            rules.rules.len() as u64
        );
        for finding in &scan.outcome.findings {
            let fed = scan
                .fed
                .iter()
                .find(|fed| fed.rule == finding.rule.name)
                .unwrap();
            assert_eq!(
                fed.verdict,
                Verdict::CanFire,
                "{}: {}",
                log.display(),
                fed.rule
            );
        }
    }
}

fn lacking(scan: &pipeline::Scan) -> u64 {
    let lacking = scan
        .fed
        .iter()
        .filter(|fed| fed.verdict != Verdict::CanFire);
    lacking.count() as u64
}

#[test]
fn each_episode_of_a_correlation_says_its_own_figure() {
    let rules = format!(
        "{RULE}---\ntitle: Many reads\nname: many-reads\nlevel: low\n\
         correlation: {{type: event_count, rules: [secret-read], group-by: [user.username], \
         timespan: 1m, condition: {{gte: 3}}}}\n"
    );
    let folder = folder(&rules);
    // The larger burst is the first, and an hour before the smaller one.
    let bursts = [(4, 0..5), (5, 0..3)];
    let times = bursts.map(|(hour, seconds)| seconds.map(move |second| (hour, second)));
    let mut lines = String::new();
    for (hour, second) in times.into_iter().flatten() {
        let time = format!("2026-11-22T0{hour}:00:0{second}.000000Z");
        let event = json!({
            "kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "Metadata",
            "auditID": format!("{hour}-{second}"), "stage": "ResponseComplete",
            "requestURI": "/api/v1/namespaces/a/secrets/b", "verb": "get",
            "user": {"username": "alice"}, "sourceIPs": ["10.0.0.1"],
            "objectRef": {"resource": "secrets", "namespace": "a", "name": "b"},
            "responseStatus": {"code": 200},
            "requestReceivedTimestamp": time, "stageTimestamp": time,
        });
        let _ = writeln!(lines, "{event}");
    }
    let queries = folder.path().display().to_string();
    let arguments = ["scan", "-", "--format", "jsonl", "--queries", &queries];
    let (out, _) = run(&arguments, &lines, 0);
    let findings = out
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let of_rule = findings.filter(|finding| finding["rule"]["name"] == "many-reads");
    let figures: Vec<String> = of_rule
        .map(|finding| finding["why"][1].to_string())
        .collect();
    let expected = ["5", "3"].map(|n| format!("\"requests within 60 s = up to {n}\""));
    assert_eq!(figures, expected);
}

#[test]
fn a_temporal_correlation_without_a_condition_asks_for_all_its_rules() {
    let base = |name: &str, verb: &str| {
        format!(
            "title: {name}\nname: {name}\nlogsource: {{product: kubernetes}}\n\
             detection: {{s: {{verb: {verb}, user.username: alice}}, condition: s}}\n---\n"
        )
    };
    let rules = [
        base("b-get", "get"),
        base("b-list", "list"),
        "title: Both\nname: both\nlevel: low\ncorrelation: {type: temporal, rules: [b-get, b-list], \
         group-by: [user.username], timespan: 1m}\n"
            .to_owned(),
    ];
    let folder = folder(&rules.concat());
    let queries = folder.path().display().to_string();
    let both = |verbs: &[&str]| {
        let lines = verbs.iter().enumerate().map(|(second, verb)| {
            let time = format!("2026-11-22T04:00:0{second}.000000Z");
            let event = json!({
                "kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "Metadata",
                "auditID": format!("{second}"), "stage": "ResponseComplete", "verb": verb,
                "requestURI": "/api/v1/namespaces/a/pods", "user": {"username": "alice"},
                "objectRef": {"resource": "pods", "namespace": "a"}, "responseStatus": {"code": 200},
                "requestReceivedTimestamp": time, "stageTimestamp": time,
            });
            format!("{event}\n")
        });
        let arguments = ["scan", "-", "--format", "jsonl", "--queries", &queries];
        let (out, _) = run(&arguments, &lines.collect::<String>(), 0);
        out.contains(r#""name":"both""#)
    };
    assert!(!both(&["get", "get"]));
    assert!(both(&["get", "list"]));
}

#[test]
fn what_was_only_tried_is_not_to_be_deleted() {
    let rule = "title: Pod wanted\nname: pod-wanted\nlogsource: {product: kubernetes}\n\
                detection: {s: {verb: create, objectRef.resource: pods}, condition: s}\n\
                kubescry: {next_steps: ['Delete it: kubectl -n NAMESPACE delete pod NAME']}\n";
    let folder = folder(rule);
    let queries = folder.path().display().to_string();
    let step = |code: Option<u16>, query: &str| {
        let event = json!({
            "kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "Metadata",
            "auditID": "1", "stage": "ResponseComplete", "verb": "create",
            "requestURI": format!("/api/v1/namespaces/a/pods{query}"), "user": {"username": "alice"},
            "objectRef": {"resource": "pods", "namespace": "a", "name": "b"},
            "responseStatus": {"code": code},
            "requestReceivedTimestamp": "2026-11-22T04:00:00.000000Z",
            "stageTimestamp": "2026-11-22T04:00:00.000000Z",
        });
        let arguments = ["scan", "-", "--format", "jsonl", "--queries", &queries];
        let (out, _) = run(&arguments, &format!("{event}\n"), 0);
        let findings = out.lines();
        let mut findings = findings.map(|line| serde_json::from_str::<Value>(line).unwrap());
        let found = findings.find(|finding| finding["rule"]["name"] == "pod-wanted");
        found.unwrap()["next_steps"][0].as_str().unwrap().to_owned()
    };
    let verify = "Nothing was made: see that it is not there, or was there before: \
                  kubectl -n a get pod b -o yaml";
    for code in [403, 409, 422] {
        assert_eq!(step(Some(code), ""), verify, "{code}");
    }
    assert_eq!(step(Some(201), "?dryRun=All"), verify);
    // Without an answer nobody knows.
    for code in [Some(201), Some(504), None] {
        assert_eq!(
            step(code, ""),
            "Delete it: kubectl -n a delete pod b",
            "{code:?}"
        );
    }
}

#[test]
fn a_place_without_rules_is_no_folder_of_rules() {
    let empty = tempfile::TempDir::new().unwrap();
    let log = "sample-logs/v1.36/anonymous.log";
    for place in [empty.path().to_str().unwrap(), log] {
        let (_, errors) = run(&["scan", log, "--queries", place], "", 2);
        assert!(
            errors.contains("there are no rules and no questions in here"),
            "{errors}"
        );
    }
}
