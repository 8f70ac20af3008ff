//! What one identity does, judged over minutes and days: deletions, rates, habits, attempts.

use std::fmt::Write as _;
use std::path::PathBuf;

use kubescry::finding::{Finding, Severity};
use kubescry::pipeline::Options;
use kubescry::report::Summary;
use kubescry::source::ReadOptions;
use kubescry::trial::Trial;
use serde_json::json;
use tempfile::TempDir;

use crate::support::{RULES, options, root, run};

/// A log in the making: one line per request, as kube-apiserver 1.36 writes it at level Metadata.
#[derive(Default)]
struct Log {
    lines: Vec<(u64, String)>,
}

/// Who asks.
#[derive(Clone)]
struct Client {
    username: String,
    groups: Vec<&'static str>,
    credential: String,
    pod: Option<String>,
    imp_username: Option<&'static str>,
    ip: String,
    agent: &'static str,
}

/// What was found, and what a reader is told besides.
struct Told {
    findings: Vec<Finding>,
    summary: Summary,
}

const SECOND: u64 = 1000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

fn person(username: &str) -> Client {
    Client {
        username: username.to_owned(),
        groups: vec!["dev", "system:authenticated"],
        credential: format!("X509SHA256={username}"),
        pod: None,
        imp_username: None,
        ip: "10.9.0.1".to_owned(),
        agent: "kubectl/v1.36.2 (linux/amd64) kubernetes/8e16b12",
    }
}

fn account(namespace: &str, name: &str, agent: &'static str) -> Client {
    Client {
        username: format!("system:serviceaccount:{namespace}:{name}"),
        credential: format!("JTI={namespace}-{name}"),
        ip: "10.1.0.7".to_owned(),
        agent,
        ..person("")
    }
}

fn controller(name: &str) -> Client {
    account(
        "kube-system",
        name,
        "kube-controller-manager/v1.36.2 (linux/amd64)",
    )
}

impl Log {
    /// Adds one request `millis` after the start; `object` is `resource[.group][/subresource]`, then
    /// namespace, then name, with `-` for none.
    fn ask(&mut self, millis: u64, client: &Client, verb: &str, object: &str, code: u16) {
        self.say(millis, client, verb, object, code, "");
    }

    /// The same, with the message of the response.
    fn say(
        &mut self,
        millis: u64,
        client: &Client,
        verb: &str,
        object: &str,
        code: u16,
        message: &str,
    ) {
        let mut words = object.split(' ').map(|word| word.trim_matches('-'));
        let (what, namespace, rest) = (
            words.next().unwrap(),
            words.next().unwrap_or(""),
            words.next().unwrap_or(""),
        );
        let (name, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (resource, subresource) = what.split_once('/').unwrap_or((what, ""));
        let (resource, group) = resource.split_once('.').unwrap_or((resource, ""));
        let at = 1_795_323_600_000_000 + i64::try_from(millis).unwrap() * 1000;
        let time = kubescry::finding::Timestamp(at).to_string();
        let mut uri = String::from("/api/v1");
        for (prefix, part) in [
            ("/namespaces/", namespace),
            ("/", resource),
            ("/", name),
            ("?", query),
        ] {
            if !part.is_empty() {
                write!(uri, "{prefix}{part}").unwrap();
            }
        }
        let mut object = json!({"resource": resource, "apiVersion": "v1"});
        for (key, value) in [
            ("namespace", namespace),
            ("name", name),
            ("subresource", subresource),
            ("apiGroup", group),
        ] {
            if !value.is_empty() {
                object[key] = json!(value);
            }
        }
        let mut extra = json!({"authentication.kubernetes.io/credential-id": [client.credential]});
        if let Some(pod) = &client.pod {
            extra["authentication.kubernetes.io/pod-name"] = json!([pod]);
        }
        let decision = if code == 403 && message.is_empty() {
            "forbid"
        } else {
            "allow"
        };
        let mut event = json!({
            "kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "Metadata",
            "auditID": format!("00000000-0000-4000-8000-{:012}", self.lines.len()),
            "stage": "ResponseComplete", "requestURI": uri, "verb": verb,
            "user": {"username": client.username, "groups": client.groups, "extra": extra},
            "sourceIPs": [client.ip], "userAgent": client.agent, "objectRef": object,
            "responseStatus": {"metadata": {}, "code": code},
            "requestReceivedTimestamp": time, "stageTimestamp": time,
            "annotations": {"authorization.k8s.io/decision": decision, "authorization.k8s.io/reason": ""},
        });
        if !message.is_empty() {
            event["responseStatus"]["message"] = json!(message);
        }
        if let Some(other) = client.imp_username {
            event["impersonatedUser"] = json!({"username": other});
        }
        self.lines.push((millis, event.to_string()));
    }

    /// Writes the log into a folder.
    fn write(&mut self, folder: &TempDir) -> PathBuf {
        self.lines.sort_by_key(|(millis, _)| *millis);
        let lines: Vec<&str> = self.lines.iter().map(|(_, line)| line.as_str()).collect();
        let path = folder.path().join("audit.log");
        std::fs::write(&path, lines.join("\n") + "\n").unwrap();
        path
    }

    fn told(mut self) -> Told {
        let folder = TempDir::new().unwrap();
        let path = self.write(&folder);
        let scan = run(&Options {
            evidence_limit: 20,
            ..options(&[&path])
        });
        assert_eq!(scan.summary.totals.events, self.lines.len() as u64);
        Told {
            findings: scan.outcome.findings,
            summary: scan.summary,
        }
    }

    /// Returns what the rule says.
    fn findings(self, rule: &str) -> Vec<Finding> {
        let mut findings = self.told().findings;
        findings.retain(|found| found.rule.name == rule);
        findings
    }

    /// Asserts that the rule says one thing, and how bad it is.
    fn raises(self, rule: &str, severity: Severity) -> Finding {
        let findings = self.findings(rule);
        let said: Vec<&str> = findings
            .iter()
            .map(|found| found.summary.as_str())
            .collect();
        assert_eq!(findings.len(), 1, "{rule}: {said:#?}");
        let found = &findings[0];
        assert_eq!(
            found.severity, severity,
            "{} {:#?}",
            found.summary, found.why
        );
        found.clone()
    }

    /// Asserts that the rule says nothing of that severity or higher.
    fn stays_below(self, rule: &str, severity: Severity) {
        let findings = self.findings(rule);
        let loud = findings.iter().filter(|found| found.severity >= severity);
        let loud: Vec<&str> = loud.map(|found| found.summary.as_str()).collect();
        assert!(loud.is_empty(), "{loud:#?}");
    }
}

const DELETION: &str = "mass-deletion";

#[test]
fn test_events_give_findings_and_near_misses_none() {
    let (rules, compiled) = &*RULES;
    let folder = root().join("tests/queries");
    for name in [DELETION, DENIED, SECRETS, NEW, ATTEMPTS, GLASS] {
        let rule = rules.find(name).unwrap();
        let trial = Trial::find(rules, rule, std::slice::from_ref(&folder));
        assert!(!trial.hit.is_empty() && !trial.miss.is_empty(), "{name}");
        let wrong = trial.run(rules, compiled).unwrap();
        assert_eq!(wrong, Vec::<String>::new(), "{name}");
    }
}

#[test]
fn a_wiped_cluster_is_critical() {
    let mut log = Log::default();
    let mallory = person("mallory");
    for namespace in 0..30 {
        for (kind, n) in [
            ("deployments", 4),
            ("secrets", 6),
            ("persistentvolumeclaims", 2),
        ] {
            for index in 0..n {
                let object = format!("{kind} ns{namespace} x{index}");
                log.ask(
                    namespace * 2000 + index * 10,
                    &mallory,
                    "delete",
                    &object,
                    200,
                );
            }
        }
    }
    let found = log.raises(DELETION, Severity::Critical);
    assert_eq!(found.count, 360);
    assert_eq!(
        found.summary,
        "`mallory` deleted 360 times, within 58 s: secrets 180, deployments 120, \
         persistentvolumeclaims 60, in 30 namespaces"
    );
}

#[test]
fn namespaces_weigh_more_than_what_is_counted() {
    let mut log = Log::default();
    for index in 0..3 {
        let object = format!("namespaces ns{index} ns{index}");
        log.ask(index * MINUTE, &person("mallory"), "delete", &object, 200);
    }
    log.raises(DELETION, Severity::Medium);
}

#[test]
fn slow_deletions_are_not_mass() {
    let mut log = Log::default();
    for index in 0..500 {
        let object = format!("configmaps ns{index} x");
        log.ask(index * MINUTE, &person("dev"), "delete", &object, 200);
    }
    log.stays_below(DELETION, Severity::Informational);
}

#[test]
fn an_uninstalled_application_is_said_for_information() {
    let mut log = Log::default();
    let kinds = [
        "deployments",
        "services",
        "configmaps",
        "secrets",
        "serviceaccounts",
        "roles",
    ];
    for (index, kind) in (0..60).zip(kinds.into_iter().cycle()) {
        let object = format!("{kind} monitoring x{index}");
        log.ask(index * 100, &person("dev"), "delete", &object, 200);
    }
    for index in 0..10 {
        let object = format!("clusterroles - x{index}");
        log.ask(7000 + index, &person("dev"), "delete", &object, 200);
    }
    log.raises(DELETION, Severity::Informational);
}

#[test]
fn all_of_one_kind_is_no_application() {
    let mut log = Log::default();
    for index in 0..60 {
        let object = format!("secrets prod x{index}");
        log.ask(index * 100, &person("mallory"), "delete", &object, 200);
    }
    log.raises(DELETION, Severity::Medium);
}

#[test]
fn tests_delete_what_they_made() {
    let mut log = Log::default();
    let bot = account("ci", "runner", "e2e/1.0");
    for index in 0..40 {
        let (namespace, object) = (
            format!("namespaces - t{index}"),
            format!("secrets t{index} x"),
        );
        let at = index * 10 * SECOND;
        log.ask(at, &bot, "create", &namespace, 201);
        log.ask(at + 1, &bot, "create", &object, 201);
        log.ask(at + HOUR, &bot, "delete", &object, 200);
        log.ask(
            at + HOUR + 1,
            &bot,
            "delete",
            &format!("namespaces t{index} t{index}"),
            200,
        );
        // The server chooses the names of these.
        log.ask(at + 2, &bot, "create", "configmaps ci", 201);
        log.ask(
            at + HOUR,
            &bot,
            "delete",
            &format!("configmaps ci c{index}"),
            200,
        );
    }
    log.stays_below(DELETION, Severity::Informational);
}

#[test]
fn what_was_only_pretended_counts_neither_way() {
    let mut log = Log::default();
    let dev = person("dev");
    for index in 0..200 {
        let object = format!("secrets ns{index} x?dryRun=All");
        log.ask(index * 100, &dev, "delete", &object, 200);
    }
    // A body would take the place of the query, and this level shows that there was none.
    let mut shown = Log::default();
    for (millis, line) in &log.lines {
        let line = line.replace(r#""level":"Metadata""#, r#""level":"Request""#);
        shown.lines.push((*millis, line));
    }
    shown.stays_below(DELETION, Severity::Informational);
    log.raises(DELETION, Severity::High);

    let mut log = Log::default();
    for index in 0..200 {
        let object = format!("secrets ns{index} x");
        log.ask(
            index * 100,
            &dev,
            "create",
            &format!("{object}?dryRun=All"),
            201,
        );
        log.ask(index * 100 + 50, &dev, "delete", &object, 200);
    }
    log.raises(DELETION, Severity::High);
}

#[test]
fn consequences_are_nobodys_deed() {
    let mut log = Log::default();
    log.ask(0, &person("dev"), "delete", "namespaces shop shop", 200);
    let kubelet = Client {
        username: "system:node:n1".to_owned(),
        agent: "kubelet/v1.36.2",
        ..person("")
    };
    for index in 0..300 {
        let at = 5000 + index * 10;
        let kind = format!("kind{index} shop");
        log.ask(
            at,
            &controller("namespace-controller"),
            "deletecollection",
            &kind,
            200,
        );
        let pod = format!("pods shop p{index}");
        log.ask(at, &kubelet, "delete", &pod, 200);
        log.ask(
            at,
            &controller("generic-garbage-collector"),
            "delete",
            &pod,
            200,
        );
        log.ask(
            at,
            &controller("ttl-after-finished-controller"),
            "delete",
            &format!("jobs ns{index} j"),
            200,
        );
    }
    log.stays_below(DELETION, Severity::Informational);
}

#[test]
fn a_controllers_name_without_its_program_is_no_excuse() {
    let mut log = Log::default();
    let thief = Client {
        agent: "curl/8",
        ..controller("generic-garbage-collector")
    };
    for index in 0..100 {
        log.ask(
            index * 100,
            &thief,
            "delete",
            &format!("deployments ns{index} x"),
            200,
        );
    }
    log.raises(DELETION, Severity::Medium);
}

#[test]
fn one_object_that_does_not_go_is_one() {
    let mut log = Log::default();
    for second in 0..600 {
        log.ask(
            second * SECOND,
            &account("ops", "op", "op/1"),
            "delete",
            "persistentvolumeclaims db data-0",
            200,
        );
    }
    log.stays_below(DELETION, Severity::Informational);
}

#[test]
fn refused_deletions_are_tried_ones() {
    let mut log = Log::default();
    for index in 0..60 {
        let object = format!("secrets ns{index} x");
        log.ask(index * 100, &person("mallory"), "delete", &object, 403);
    }
    let found = log.raises(DELETION, Severity::Low);
    assert!(
        found
            .summary
            .contains("tried to delete 60 times and was refused"),
        "{}",
        found.summary
    );
}

#[test]
fn a_nightly_clean_up_becomes_routine_and_more_than_it_does_not() {
    let cleaner = account("ci", "cleaner", "cleaner/1");
    let nights_of = |before: u64, last: u64, days: u64| {
        let mut log = Log::default();
        log.ask(0, &cleaner, "list", "configmaps preview", 200);
        log.ask(days * DAY, &cleaner, "create", "configmaps preview y", 201);
        for night in 0..5 {
            for index in 0..if night == 4 { last } else { 60 } {
                let object = format!("configmaps preview{index} x{night}");
                let at = (before + night) * DAY + HOUR + index * SECOND / 2;
                log.ask(at, &cleaner, "delete", &object, 200);
            }
        }
        let mut findings = log.findings(DELETION);
        findings.sort_by_key(|found| found.first_seen);
        findings
            .iter()
            .map(|found| found.severity)
            .collect::<Vec<_>>()
    };
    let nights = |before: u64, last: u64| nights_of(before, last, before + 5);
    let (medium, low) = (Severity::Medium, Severity::Low);
    assert_eq!(nights(2, 60), [medium, medium, low, low, low]);
    assert_eq!(
        nights(2, 600),
        [medium, medium, low, low, Severity::Critical]
    );
    // As old as the log, nobody saw it begin.
    assert_eq!(nights(0, 60), [low; 5]);
    assert_eq!(nights(0, 600), [low, low, low, low, Severity::Critical]);
    // It is over and done with.
    assert_eq!(nights_of(0, 60, 12), [medium, medium, low, low, low]);
}

const DENIED: &str = "denied-rate";
const SECRETS: &str = "secret-read-rate";

/// Somebody who lists Pods every minute for so long.
fn at_work(log: &mut Log, client: &Client, from: u64, to: u64) {
    for minute in from / MINUTE..to / MINUTE {
        log.ask(minute * MINUTE, client, "list", "pods prod", 200);
    }
}

/// So many different Secrets, one every two seconds.
fn reads(log: &mut Log, client: &Client, at: u64, count: u64, code: u16) {
    for index in 0..count {
        let secret = format!("secrets ns{} s{index}", index % 7);
        log.ask(at + index * 2 * SECOND, client, "get", &secret, code);
    }
}

#[test]
fn somebody_who_never_read_secrets_reads_many() {
    let mut log = Log::default();
    let web = account("prod", "web", "app/1.0");
    at_work(&mut log, &web, 0, 5 * HOUR);
    reads(&mut log, &web, 4 * HOUR, 60, 200);
    let found = log.raises(SECRETS, Severity::Medium);
    assert_eq!(
        found.summary,
        "`system:serviceaccount:prod:web` read Secrets 60 times within 5 min, where it had not at all: \
         get of 60 different objects"
    );
    assert!(
        found
            .why
            .contains(&"baseline = 48 buckets with requests of this identity".to_owned()),
        "{:#?}",
        found.why
    );
}

#[test]
fn the_edge_of_a_bucket_cuts_no_burst() {
    let mut log = Log::default();
    let web = account("prod", "web", "app/1.0");
    at_work(&mut log, &web, 0, 5 * HOUR);
    // The log starts at a full hour less 200 seconds.
    for index in 0..32 {
        log.ask(
            4 * HOUR + 184_000 + index * SECOND,
            &web,
            "get",
            &format!("secrets ns s{index}"),
            200,
        );
    }
    log.raises(SECRETS, Severity::Medium);
}

#[test]
fn a_history_that_comes_later_serves_too() {
    let mut log = Log::default();
    let web = account("prod", "web", "app/1.0");
    at_work(&mut log, &web, 0, 6 * HOUR);
    reads(&mut log, &web, 10 * MINUTE, 60, 200);
    log.raises(SECRETS, Severity::Medium);
}

#[test]
fn who_reads_as_much_as_ever_is_calm() {
    let mut log = Log::default();
    let operator = account("ops", "operator", "operator/1.0");
    for minute in 0..10 * 60 {
        let count = 8 + minute * 7 % 13;
        reads(
            &mut log,
            &operator,
            minute * MINUTE,
            if minute == 400 { 25 } else { count },
            200,
        );
    }
    log.stays_below(SECRETS, Severity::Informational);
}

#[test]
fn a_busy_reader_is_judged_by_its_median() {
    let mut log = Log::default();
    let operator = account("ops", "operator", "operator/1.0");
    for minute in 0..10 * 60 {
        reads(&mut log, &operator, minute * MINUTE, 3, 200);
    }
    for index in 0..290 {
        log.ask(
            8 * HOUR + index * SECOND,
            &operator,
            "get",
            &format!("secrets ns s{index}"),
            200,
        );
    }
    let found = log.raises(SECRETS, Severity::Medium);
    assert!(
        found
            .why
            .iter()
            .any(|why| why.starts_with("robust z-score = ")),
        "{:#?}",
        found.why
    );
}

#[test]
fn a_daily_burst_is_a_rhythm() {
    let bursts = |days: &[u64], last: u64| {
        let mut log = Log::default();
        let backup = account("ops", "backup", "velero/1");
        for hour in 0..5 * 24 {
            log.ask(hour * HOUR + 7 * MINUTE, &backup, "list", "pods prod", 200);
            log.ask(hour * HOUR + 37 * MINUTE, &backup, "list", "pods prod", 200);
        }
        for &day in days {
            reads(&mut log, &backup, day * DAY + 2 * HOUR, 100, 200);
        }
        for index in 0..last {
            let at = 4 * DAY + 2 * HOUR + index * 100_000 / last;
            log.ask(at, &backup, "get", &format!("secrets ns s{index}"), 200);
        }
        log
    };
    bursts(&[0, 1, 2, 3], 100).stays_below(SECRETS, Severity::Informational);
    bursts(&[1, 2], 110).stays_below(SECRETS, Severity::Informational);
    bursts(&[3], 100).stays_below(SECRETS, Severity::Medium);
    bursts(&[], 100).raises(SECRETS, Severity::Medium);
    bursts(&[0, 1, 2, 3], 500).raises(SECRETS, Severity::Medium);
}

#[test]
fn an_attack_does_not_teach_the_baseline() {
    let mut log = Log::default();
    let web = account("prod", "web", "app/1.0");
    at_work(&mut log, &web, 0, 12 * HOUR);
    for at in [4 * HOUR, 7 * HOUR, 10 * HOUR] {
        reads(&mut log, &web, at, 400, 200);
    }
    assert_eq!(log.findings(SECRETS).len(), 3);
}

#[test]
fn a_short_log_knows_only_what_is_too_much_for_anybody() {
    let log = |count| {
        let mut log = Log::default();
        for index in 0..count {
            log.ask(
                index * 500,
                &person("dev"),
                "get",
                &format!("secrets ns s{index}"),
                200,
            );
        }
        log
    };
    log(200).stays_below(SECRETS, Severity::Informational);
    let found = log(400).raises(SECRETS, Severity::Medium);
    assert!(
        found
            .why
            .iter()
            .any(|why| why.contains("history is too short")),
        "{:#?}",
        found.why
    );
}

#[test]
fn refusals_are_compared_with_ones_own() {
    let mut log = Log::default();
    let (dev, noisy) = (person("dev"), account("ops", "noisy", "noisy/1"));
    at_work(&mut log, &dev, 0, 5 * HOUR);
    for second in 0..5 * HOUR / SECOND {
        // As many for this one all the time.
        log.ask(second * SECOND, &noisy, "list", "nodes", 403);
    }
    reads(&mut log, &dev, 4 * HOUR, 50, 403);
    let found = log.raises(DENIED, Severity::Medium);
    assert_eq!(found.actor.username.as_deref(), Some("dev"));
}

#[test]
fn a_program_that_lost_its_role_is_low() {
    let mut log = Log::default();
    let web = account("prod", "web", "app/1.0");
    at_work(&mut log, &web, 0, 5 * HOUR);
    for second in 0..HOUR / SECOND {
        log.ask(
            4 * HOUR + second * SECOND,
            &web,
            "list",
            "configmaps prod",
            403,
        );
    }
    log.raises(DENIED, Severity::Low);
}

const NEW: &str = "new-behaviour";

/// A Pod that asks for the same every three minutes, up to the end of so many days.
fn days_of_a_pod(log: &mut Log, days: u64) -> Client {
    let web = Client {
        pod: Some("web-6cf79fdc55-hsl8s".to_owned()),
        ..account("prod", "web", "app/1.0")
    };
    for at in (0..days * DAY / MINUTE).step_by(3) {
        log.ask(at * MINUTE, &web, "list", "configmaps prod", 200);
    }
    web
}

/// A person who lists Pods in two namespaces, at work eight hours a day.
fn days_of_a_person(log: &mut Log, days: u64) -> Client {
    let dev = person("dev");
    for day in 0..days {
        for minute in 0..8 * 60 {
            let at = minute * MINUTE;
            log.ask(day * DAY + at, &dev, "list", "pods prod", 200);
            log.ask(day * DAY + at + 1, &dev, "list", "pods test", 200);
        }
    }
    dev
}

#[test]
fn a_pod_reads_secrets_for_the_first_time() {
    let mut log = Log::default();
    let web = days_of_a_pod(&mut log, 4);
    for index in 0..5 {
        log.ask(4 * DAY + index, &web, "get", "secrets prod db", 200);
    }
    let found = log.raises(NEW, Severity::Medium);
    assert_eq!(
        found.summary,
        "`system:serviceaccount:prod:web` did what it had not in 4 d and 1920 requests: get secrets"
    );
    assert_eq!(found.count, 5);
}

#[test]
fn the_first_days_are_history() {
    let mut log = Log::default();
    let web = days_of_a_pod(&mut log, 4);
    log.ask(DAY, &web, "get", "secrets prod db", 200);
    log.ask(4 * DAY, &web, "get", "secrets prod db", 200);
    log.stays_below(NEW, Severity::Informational);
}

#[test]
fn what_is_refused_or_does_not_matter_is_no_behaviour() {
    let mut log = Log::default();
    let web = days_of_a_pod(&mut log, 4);
    log.ask(4 * DAY, &web, "get", "secrets prod db", 403);
    log.ask(4 * DAY, &web, "list", "endpoints prod", 200);
    log.stays_below(NEW, Severity::Informational);
}

#[test]
fn a_new_version_may_do_new_things_and_no_other_pod() {
    let change = |workload: &str, secret: &str| {
        let mut log = Log::default();
        let web = days_of_a_pod(&mut log, 4);
        let workload = format!("deployments prod {workload}");
        log.ask(
            4 * DAY - 20 * MINUTE,
            &person("dev"),
            "patch",
            &workload,
            200,
        );
        log.ask(4 * DAY, &web, "get", secret, 200);
        log
    };
    change("web", "secrets prod db").stays_below(NEW, Severity::Informational);
    change("api", "secrets prod db").raises(NEW, Severity::Medium);
    // It explains nothing elsewhere.
    let elsewhere = change("web", "secrets billing db").raises(NEW, Severity::Medium);
    assert!(elsewhere.summary.ends_with(": namespace billing"));
}

/// An operator that after days of watching makes Pods, a second after `author` wrote the object that says so.
fn at_the_word_of(author: &Client, object: &str, elsewhere: bool) -> Log {
    let mut log = Log::default();
    let kind = "databases.example.org";
    let mut operator = account("dbs", "operator", "operator/1.0");
    log.ask(0, &operator, "watch", kind, 200);
    for at in (0..4 * DAY / MINUTE).step_by(3) {
        log.ask(at * MINUTE, &operator, "get", "configmaps dbs", 200);
    }
    log.ask(4 * DAY, author, "create", object, 201);
    if elsewhere {
        "10.1.0.99".clone_into(&mut operator.ip);
    }
    log.ask(4 * DAY + SECOND, &operator, "create", "secrets prod a", 201);
    log
}

#[test]
fn an_operator_acts_on_somebodys_word() {
    let admin = Client {
        groups: vec!["system:masters"],
        ..person("root1")
    };
    let dev = person("dev");
    let object = "databases.example.org prod a";
    let found = at_the_word_of(&dev, object, false).raises(NEW, Severity::Medium);
    let word = "on the word of `dev`, who wrote databases prod/a";
    assert!(found.summary.ends_with(word), "{}", found.summary);
    assert!(found.next_steps[0].starts_with("See who wrote"));
    assert!(
        found.why.iter().all(|why| !why.contains("bits")),
        "{:?}",
        found.why
    );
    at_the_word_of(&admin, object, false).raises(NEW, Severity::Low);
    // It does not explain what is done from elsewhere, in another namespace, or upon what the operator never looked at.
    at_the_word_of(&admin, object, true).raises(NEW, Severity::Medium);
    for other in ["databases.example.org test a", "queues.example.org prod a"] {
        let found = at_the_word_of(&admin, other, false).raises(NEW, Severity::Medium);
        assert!(!found.summary.contains("word"), "{}", found.summary);
    }
}

#[test]
fn the_namespace_of_an_account_is_never_new_for_it() {
    let mut log = Log::default();
    let operator = account("dbs", "operator", "operator/1.0");
    for at in (0..4 * DAY / MINUTE).step_by(3) {
        log.ask(at * MINUTE, &operator, "create", "pods prod", 201);
    }
    log.ask(4 * DAY, &operator, "create", "pods dbs", 201);
    log.stays_below(NEW, Severity::Informational);
}

#[test]
fn who_asks_seldom_is_news_by_what_and_whence_together() {
    let with = |n_requests: u64, ip: &str| {
        let mut log = Log::default();
        let ci = person("ci");
        for index in 0..n_requests {
            let at = index * 4 * DAY / n_requests;
            log.ask(at, &ci, "list", "pods prod", 200);
        }
        let there = Client {
            ip: ip.to_owned(),
            ..ci
        };
        log.ask(4 * DAY, &there, "get", "secrets prod db", 200);
        log
    };
    let (home, away) = ("10.9.0.1", "203.0.113.9");
    with(60, home).stays_below(NEW, Severity::Informational);
    with(60, away).raises(NEW, Severity::Low);
    with(400, home).raises(NEW, Severity::Low);
    with(400, away).raises(NEW, Severity::Medium);
}

#[test]
fn secrets_read_at_night_from_a_network_of_the_internet() {
    let with = |home: &str, ip: &str, at: u64| {
        let mut log = Log::default();
        let dev = Client {
            ip: home.to_owned(),
            ..person("dev")
        };
        for day in 0..3 {
            for index in 0..24 {
                let at = day * DAY + index * 20 * MINUTE;
                log.ask(at, &dev, "list", "pods prod", 200);
            }
        }
        let away = Client {
            ip: ip.to_owned(),
            ..dev
        };
        log.ask(3 * DAY + at, &away, "get", "secrets prod db", 200);
        log
    };
    let night = 16 * HOUR;
    with("10.9.0.1", "203.0.113.9", night).raises(NEW, Severity::Medium);
    with("198.51.100.7", "203.0.113.9", night).raises(NEW, Severity::Medium);
    // One of the three alone, or two of them.
    with("10.9.0.1", "203.0.113.9", 4 * HOUR).raises(NEW, Severity::Low);
    with("10.9.0.1", "10.8.0.9", night).raises(NEW, Severity::Low);
    with("203.0.113.7", "203.0.113.9", night).raises(NEW, Severity::Low);
}

#[test]
fn a_kubelet_is_new_only_elsewhere() {
    let with = |ip: &str| {
        let mut log = Log::default();
        let kubelet = Client {
            username: "system:node:n1".to_owned(),
            ip: "10.0.0.1".to_owned(),
            agent: "kubelet/v1.36.2",
            ..person("")
        };
        for index in 0..2000 {
            log.ask(
                index * 3 * MINUTE,
                &kubelet,
                "patch",
                "nodes/status - n1",
                200,
            );
        }
        let there = Client {
            ip: ip.to_owned(),
            ..kubelet
        };
        log.ask(5 * DAY, &there, "get", "secrets prod db", 200);
        log
    };
    with("10.0.0.1").stays_below(NEW, Severity::Informational);
    with("203.0.113.9").raises(NEW, Severity::Medium);
}

#[test]
fn a_person_with_a_new_program_from_elsewhere() {
    let mut log = Log::default();
    let dev = days_of_a_person(&mut log, 4);
    let thief = Client {
        ip: "203.0.113.9".to_owned(),
        agent: "curl/8.5",
        ..dev
    };
    log.ask(4 * DAY, &thief, "list", "pods kube-system", 200);
    log.ask(
        4 * DAY + SECOND,
        &thief,
        "get",
        "pods/exec kube-system etcd",
        101,
    );
    let found = log.raises(NEW, Severity::Medium);
    assert_eq!(
        found.summary,
        "`dev` did what it had not in 4 d and 3840 requests: get pods/exec; namespace kube-system; \
         address 203.0.113.9; program curl"
    );
}

#[test]
fn who_does_new_things_all_the_time_is_no_news() {
    let mut log = Log::default();
    let admin = person("admin");
    for index in 0..1000 {
        let object = format!("kind{} ns{} x", index / 10, index / 10);
        log.ask(index * 5 * MINUTE, &admin, "get", &object, 200);
    }
    log.ask(1000 * 5 * MINUTE, &admin, "patch", "clusterroles - x", 200);
    log.stays_below(NEW, Severity::Informational);
}

#[test]
fn new_news_of_a_person_alone_is_low() {
    let mut log = Log::default();
    let dev = days_of_a_person(&mut log, 4);
    log.ask(4 * DAY, &dev, "delete", "pods prod web-1", 200);
    log.raises(NEW, Severity::Low);
}

#[test]
fn somebody_wakes_up_and_writes() {
    let mut log = Log::default();
    let dev = days_of_a_person(&mut log, 3);
    log.ask(0, &dev, "patch", "configmaps prod x", 200);
    let there = person("other");
    for day in 0..40 {
        log.ask(day * DAY, &there, "list", "pods prod", 200);
    }
    log.ask(30 * DAY, &dev, "list", "pods prod", 200);
    log.ask(30 * DAY + HOUR, &dev, "patch", "configmaps prod x", 200);
    log.ask(30 * DAY + 2 * HOUR, &dev, "patch", "configmaps prod x", 200);
    let found = log.raises(NEW, Severity::Low);
    assert!(
        found.summary.contains("writes after a silence of 27 d"),
        "{}",
        found.summary
    );
}

#[test]
fn what_goes_on_at_home_is_no_part_of_what_is_new_elsewhere() {
    let mut log = Log::default();
    let dev = days_of_a_person(&mut log, 3);
    for day in 0..3 {
        log.ask(day * DAY + HOUR, &dev, "patch", "configmaps prod x", 200);
    }
    let there = Client {
        ip: "203.0.113.9".to_owned(),
        ..dev.clone()
    };
    log.ask(3 * DAY, &there, "patch", "configmaps prod x", 200);
    for minute in 1..5 {
        log.ask(
            3 * DAY + minute * MINUTE,
            &dev,
            "patch",
            "configmaps prod x",
            200,
        );
    }
    log.ask(
        3 * DAY + 5 * MINUTE,
        &there,
        "patch",
        "configmaps prod x",
        200,
    );
    let found = log.findings(NEW).remove(0);
    assert_eq!(
        (found.count, &found.source.ips[..]),
        (2, &[there.ip][..]),
        "{}",
        found.summary
    );
}

#[test]
fn a_new_target_of_impersonation() {
    let mut log = Log::default();
    let dev = days_of_a_person(&mut log, 3);
    let other = Client {
        imp_username: Some("boss"),
        ..dev
    };
    log.ask(3 * DAY, &other, "list", "pods prod", 200);
    let found = log.raises(NEW, Severity::Low);
    assert!(
        found.summary.ends_with("impersonates boss"),
        "{}",
        found.summary
    );
}

#[test]
fn a_short_log_says_that_nothing_was_new() {
    let mut log = Log::default();
    days_of_a_pod(&mut log, 1);
    let told = log.told();
    let notes = &told.summary.notes;
    assert!(
        notes
            .iter()
            .any(|note| note.contains("new behaviour of identities was not judged")),
        "{notes:?}"
    );
}

const ATTEMPTS: &str = "escalation-attempts";
const GRANT: &str = "rolebindings.rbac.authorization.k8s.io \"x\" is forbidden: user \"dev\" is attempting to grant RBAC permissions not currently held:";
const POD: &str = "pods \"p\" is forbidden: violates PodSecurity \"baseline:latest\": privileged";
const QUOTA: &str = "pods \"p\" is forbidden: exceeded quota: small";
const TERMINATING: &str =
    "unable to create new content in namespace x because it is being terminated";
const WEBHOOK: &str = "admission webhook \"validate.kyverno.svc\" denied the request: no";

#[test]
fn one_refusal_is_a_mistake_and_different_ones_are_attempts() {
    let attempts = |refusals: &[(&str, &str)]| {
        let mut log = Log::default();
        for (minute, (object, message)) in (0..).zip(refusals) {
            log.say(
                minute * MINUTE,
                &person("dev"),
                "create",
                object,
                403,
                message,
            );
        }
        log
    };
    let (grant, pod) = (("rolebindings dev x", GRANT), ("pods dev p", POD));
    attempts(&[grant]).stays_below(ATTEMPTS, Severity::Informational);
    attempts(&[pod, pod, ("pods dev q", POD), ("pods dev r", POD)])
        .stays_below(ATTEMPTS, Severity::Informational);
    attempts(&[
        grant,
        ("pods dev p", QUOTA),
        ("configmaps x c", TERMINATING),
    ])
    .stays_below(ATTEMPTS, Severity::Informational);
    attempts(&[("pods/exec dev p", "pods \"p\" is forbidden: "), grant])
        .stays_below(ATTEMPTS, Severity::Informational);
    attempts(&[grant, pod]).raises(ATTEMPTS, Severity::Medium);
    attempts(&[
        grant,
        ("clusterrolebindings - y", GRANT),
        ("roles dev z", GRANT),
    ])
    .raises(ATTEMPTS, Severity::Medium);
}

#[test]
fn what_works_after_a_refusal_is_its_sequel() {
    let sequel = |object: &str, message: &str, verb: &str, then: &str| {
        let mut log = Log::default();
        let dev = person("dev");
        log.say(0, &dev, "create", object, 403, message);
        log.ask(5 * MINUTE, &dev, verb, then, 200);
        log
    };
    let found = sequel(
        "clusterrolebindings - x",
        GRANT,
        "create",
        "rolebindings dev x",
    )
    .raises(ATTEMPTS, Severity::Medium);
    assert_eq!(
        found.summary,
        "`dev` was allowed and still refused once in 5 min, by RBAC's escalation check; then it could create \
         rolebindings x in namespace dev, 5 min later"
    );
    sequel("pods dev p", POD, "create", "pods prod p").raises(ATTEMPTS, Severity::Medium);
    sequel("pods dev p", POD, "patch", "namespaces dev dev").raises(ATTEMPTS, Severity::Medium);
    sequel(
        "pods dev p",
        WEBHOOK,
        "update",
        "validatingwebhookconfigurations - kyverno",
    )
    .raises(ATTEMPTS, Severity::Medium);
    // The Pod was put right, and other work.
    sequel("pods dev p", POD, "create", "pods dev p")
        .stays_below(ATTEMPTS, Severity::Informational);
    sequel("pods dev p", POD, "create", "pods prod q")
        .stays_below(ATTEMPTS, Severity::Informational);
    sequel("pods dev p", WEBHOOK, "patch", "namespaces x x")
        .stays_below(ATTEMPTS, Severity::Informational);
}

#[test]
fn controllers_that_may_not_make_pods_attempt_nothing() {
    let mut log = Log::default();
    for second in 0..100 {
        let (message, what) = if second % 2 == 0 {
            (POD, "pods dev")
        } else {
            (WEBHOOK, "pods prod")
        };
        log.say(
            second * SECOND,
            &controller("replicaset-controller"),
            "create",
            what,
            403,
            message,
        );
    }
    log.stays_below(ATTEMPTS, Severity::Informational);
}

const GLASS: &str = "break-glass-session";

#[test]
fn each_use_of_a_break_glass_account_is_said() {
    let mut log = Log::default();
    let admin = Client {
        groups: vec!["system:masters"],
        ..person("kubernetes-super-admin")
    };
    log.ask(0, &admin, "list", "pods prod", 200);
    log.ask(20 * MINUTE, &admin, "patch", "deployments prod web", 200);
    let review = "selfsubjectaccessreviews.authorization.k8s.io";
    log.ask(21 * MINUTE, &admin, "create", review, 201);
    log.ask(25 * MINUTE, &admin, "delete", "secrets prod db", 403);
    log.ask(3 * HOUR, &admin, "get", "nodes - n1", 200);
    log.ask(
        3 * HOUR,
        &person("kubernetes-admin"),
        "get",
        "nodes - n1",
        200,
    );
    let mut findings = log.findings(GLASS);
    findings.sort_by_key(|found| found.first_seen);
    assert_eq!(findings.len(), 2);
    assert_eq!(
        findings[0].summary,
        "`kubernetes-super-admin` was used for 25 min from 10.9.0.1 with kubectl/v1.36.2 (linux/amd64) \
         kubernetes/8e16b12: 4 requests, 2 of them changes"
    );
    let changed: Vec<&String> = findings[0]
        .why
        .iter()
        .filter(|why| why.starts_with("changed"))
        .collect();
    assert_eq!(
        changed,
        [
            "changed: patch deployments prod/web",
            "changed: delete secrets prod/db, not done"
        ]
    );
}

#[test]
fn threads_change_nothing_about_behaviour() {
    let mut log = Log::default();
    let web = days_of_a_pod(&mut log, 4);
    let dev = days_of_a_person(&mut log, 4);
    for index in 0..60 {
        let at = 4 * DAY + index * SECOND;
        log.ask(
            at,
            &web,
            "get",
            &format!("secrets ns{} s{index}", index % 5),
            200,
        );
        log.ask(
            at,
            &dev,
            "delete",
            &format!("secrets ns{} s{index}", index % 5),
            200,
        );
        log.ask(
            at,
            &dev,
            "get",
            &format!("secrets ns{} s{index}", index % 5),
            403,
        );
    }
    log.say(
        4 * DAY,
        &dev,
        "create",
        "clusterrolebindings - x",
        403,
        GRANT,
    );
    log.say(4 * DAY, &dev, "create", "pods dev p", 403, POD);
    log.ask(
        4 * DAY,
        &person("kubernetes-super-admin"),
        "patch",
        "nodes - n1",
        200,
    );
    let folder = TempDir::new().unwrap();
    let path = log.write(&folder);
    let with = |threads| {
        let read = ReadOptions {
            chunk_bytes: 50_000,
            ..ReadOptions::default()
        };
        let findings = run(&Options {
            threads,
            read,
            ..options(&[&path])
        });
        let findings = findings.outcome.findings;
        for name in [DELETION, DENIED, SECRETS, NEW, ATTEMPTS, GLASS] {
            assert!(
                findings.iter().any(|found| found.rule.name == name),
                "{name}"
            );
        }
        serde_json::to_string(&findings).unwrap()
    };
    assert_eq!(with(1), with(2));
    assert_eq!(with(1), with(7));
}

#[test]
fn who_acts_for_another_is_told_with_both_names() {
    let list = |others: &[Option<&'static str>]| {
        let mut log = Log::default();
        for (&imp_username, at) in others.iter().zip(0..) {
            let dev = Client {
                imp_username,
                ..person("dev")
            };
            log.ask(at * SECOND, &dev, "list", "secrets", 200);
        }
        log.findings("secrets-listed-cluster-wide")
            .remove(0)
            .summary
    };
    let both = "`dev` as `boss` read all Secrets";
    assert!(list(&[Some("boss"); 2]).starts_with(both));
    // Of those that were not, it would not be true.
    assert!(list(&[Some("boss"), None]).starts_with("`dev` read all"));
}

#[test]
fn who_made_the_pod_of_a_token_is_named() {
    let mut log = Log::default();
    let carol = person("carol");
    let web = Client {
        pod: Some("web-1".to_owned()),
        ..account("prod", "web", "curl/8.5.0")
    };
    log.ask(0, &carol, "create", "pods prod web-1", 201);
    log.ask(MINUTE, &web, "list", "secrets", 200);
    let found = log.findings("secrets-listed-cluster-wide").remove(0);
    let named = "`carol` made or entered Pod prod/web-1, which the credential is of, from 10.9.0.1";
    let is_named = |why: &String| why.starts_with(named);
    assert!(found.why.iter().any(is_named), "{:#?}", found.why);
}
