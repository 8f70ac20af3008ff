//! The report of what was read.

use std::path::Path;

use kubescry::finding::Confidence;
use kubescry::pipeline::{Monitor, Options};
use kubescry::report::{Ingest, Summary};
use tempfile::TempDir;

use crate::support::{options, read, root, run};

/// An event of `user` at a minute of an hour, at stage `ResponseComplete`.
fn event(user: &str, verb: &str, minute: u32) -> String {
    let time = format!("2026-11-22T05:{minute:02}:00.000000Z");
    format!(
        concat!(
            r#"{{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","auditID":"{user}-{minute}","#,
            r#""stage":"ResponseComplete","requestURI":"/api/v1/pods","verb":"{verb}","user":{{"username":"{user}"}},"#,
            r#""sourceIPs":["10.0.0.1"],"userAgent":"kube-apiserver/v1.30.2 (linux/amd64)","#,
            r#""objectRef":{{"resource":"pods","apiVersion":"v1"}},"responseStatus":{{"metadata":{{}},"code":200}},"#,
            r#""requestReceivedTimestamp":"{time}","stageTimestamp":"{time}","#,
            r#""annotations":{{"authorization.k8s.io/decision":"allow","authorization.k8s.io/reason":"","#,
            r#""audit.k8s.io/truncated":"true"}}}}"#,
            "\n"
        ),
        user = user,
        verb = verb,
        minute = minute,
        time = time,
    )
}

fn summary(path: &Path) -> Summary {
    let summary = run(&options(&[path])).summary;
    assert!(summary.totals.adds_up(), "{:?}", summary.totals);
    summary
}

fn ingest_of(content: &str) -> Ingest {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("audit.log");
    std::fs::write(&path, content).unwrap();
    summary(&path).ingest
}

#[test]
fn silences_are_those_of_each_api_server() {
    let folder = TempDir::new().unwrap();
    for (server, minutes) in [("a", [0, 1, 31]), ("b", [10, 20, 30])] {
        let content: String = minutes.map(|minute| event(server, "get", minute)).concat();
        let folder = folder.path().join(server);
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("audit.log"), content).unwrap();
    }
    let servers = summary(folder.path()).ingest.api_servers;
    assert_eq!(servers.len(), 2);
    let a = servers
        .iter()
        .find(|server| server.name.contains("/a/"))
        .unwrap();
    assert_eq!((a.events, a.n_gaps), (3, 1));
    let gap = [a.gaps[0].from, a.gaps[0].to].map(|time| time.to_string());
    assert_eq!(
        gap,
        ["2026-11-22T05:01:00.000000Z", "2026-11-22T05:31:00.000000Z"]
    );
    let b = servers
        .iter()
        .find(|server| server.name.contains("/b/"))
        .unwrap();
    assert_eq!((b.events, b.n_gaps), (3, 0));
}

#[test]
fn the_log_is_described() {
    let content = [
        event("eks:node-manager", "create", 0),
        event("bob", "delete", 1),
        event("bob", "delete", 2),
    ];
    let ingest = ingest_of(&content.concat());
    assert_eq!(ingest.verbs.ranked(), [("delete", 2), ("create", 1)]);
    assert_eq!(ingest.levels.ranked(), [("Metadata", 3)]);
    assert_eq!(ingest.resource_levels["pods"].ranked(), [("Metadata", 3)]);
    assert_eq!(ingest.distribution.unwrap().name, "EKS");
    assert_eq!(ingest.version.unwrap().name, "v1.30.2");
    assert_eq!(
        (ingest.decision_percent, ingest.credential_id_percent),
        (100, 0)
    );
    assert_eq!(ingest.truncated, 3);
}

#[test]
fn a_log_without_reads_is_said_to_be_blind_to_them() {
    let blind = |verb: &str| {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("audit.log");
        std::fs::write(&path, event("bob", verb, 0)).unwrap();
        summary(&path)
            .blind
            .iter()
            .any(|text| text.starts_with("reads:"))
    };
    assert!(blind("create"));
    assert!(!blind("get"));
}

#[test]
fn bodies_of_secrets_are_noticed() {
    let path = root().join("tests/logs/v1.36-full-benign.log.zst");
    let found = summary(&path);
    assert!(found.ingest.secret_bodies > 0);
    assert!(
        found
            .notes
            .iter()
            .any(|note| note.contains("is itself a secret"))
    );
    assert_eq!(ingest_of(&event("bob", "get", 0)).secret_bodies, 0);
}

#[test]
fn events_behind_damage_are_counted_apart() {
    let cut = &event("bob", "get", 0)[..200];
    let content = format!("{cut}{}{}", event("eve", "get", 1), event("bob", "get", 2));
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("audit.log");
    std::fs::write(&path, content).unwrap();
    let totals = summary(&path).totals;
    assert_eq!((totals.events, totals.bad, totals.recovered), (2, 1, 1));
}

#[test]
fn a_finding_says_how_much_of_it_stands_behind_damage() {
    let masters = |minute| {
        let user = r#"{"username":"eve","groups":["system:masters"]}"#;
        event("eve", "get", minute).replace(r#"{"username":"eve"}"#, user)
    };
    let found = |content: &str| {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("audit.log");
        std::fs::write(&path, content).unwrap();
        let mut findings = run(&options(&[&path])).outcome.findings;
        findings.retain(|finding| finding.rule.name == "masters-credential");
        let finding = findings.pop().unwrap();
        let spots = finding.blind_spots.iter();
        let said = spots.filter(|text| text.contains("behind damage")).cloned();
        (
            (finding.count, finding.recovered, finding.is_recovered()),
            finding.confidence,
            said.collect::<Vec<_>>(),
        )
    };
    let cut = &event("bob", "get", 0)[..200];
    let forged = "found behind damage in the log, so who can cut the log could have forged that";
    assert_eq!(
        found(&format!("{cut}{}", masters(1))),
        (
            (1, 1, true),
            Confidence::Low,
            vec![format!("1 request: {forged}")]
        )
    );
    assert_eq!(
        found(&format!("{cut}{}{}", masters(1), masters(2))),
        (
            (2, 1, false),
            Confidence::High,
            vec![format!("1 of its 2 requests: {forged}")]
        )
    );
    assert_eq!(
        found(&masters(1)),
        ((1, 0, false), Confidence::High, vec![])
    );
}

#[test]
fn what_no_api_server_writes_is_counted_and_read() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("audit.log");
    let agent = |text: &[u8]| {
        let line = event("bob", "get", 1);
        let (before, behind) = line.split_once("kube-apiserver/v1").unwrap();
        [before.as_bytes(), text, behind.as_bytes()].concat()
    };
    let twice = event("bob", "get", 2).replace(r#""verb":"get""#, r#""verb":"list","verb":"get""#);
    let content = [
        event("bob", "get", 0).into_bytes(),
        agent(br"a\ud800"),
        agent(b"a\xff\xfe"),
        agent(b"{"),
        twice.into_bytes(),
        event("bob", "get", 3).replace(":200}", ":[]}").into_bytes(),
    ];
    std::fs::write(&path, content.concat()).unwrap();
    let found = summary(&path);
    assert_eq!((found.totals.events, found.totals.bad), (6, 0));
    assert_eq!(found.totals.odd, 4);
    let kinds = [
        ("with a repeated key", 1),
        ("with a value of a wrong type", 1),
        ("with bytes that are no UTF-8", 1),
        ("with half a surrogate pair", 1),
    ];
    assert_eq!(found.ingest.oddities.ranked(), kinds);
    assert!(
        found
            .notes
            .iter()
            .any(|note| note.starts_with("4 of 6 events written as no API server"))
    );
}

#[test]
fn a_stopped_scan_says_so() {
    let path = root().join("sample-logs/v1.36/anonymous.log");
    let monitor = Monitor::default();
    assert!(!monitor.stop());
    assert!(monitor.stop());
    let scan = run(&Options {
        monitor,
        ..options(&[&path])
    });
    assert!(scan.was_stopped);
    assert_eq!(scan.summary.totals.events, 0);
    let problem = &scan.summary.problems[0];
    assert!(problem.starts_with("stopped after 0 of "), "{problem}");
}

#[test]
fn a_log_that_is_out_of_order_is_put_in_order() {
    let notes = |minutes: &[u32]| {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("audit.log");
        let content: String = minutes
            .iter()
            .map(|&minute| event("a", "get", minute))
            .collect();
        std::fs::write(&path, content).unwrap();
        summary(&path).notes.join("\n")
    };
    assert!(notes(&[9, 8, 7, 6]).contains("4 of 4 events stood newest first"));
    let mixed = notes(&[0, 9, 1, 8, 2, 3, 10, 4]);
    assert!(mixed.contains("they were put in order"));
    assert!(!mixed.contains("behind later"));
    let late = notes(&[0, 1, 2, 9, 10, 11, 12, 4]);
    assert!(late.contains("1 of 8 requests stand more than a minute behind"));
    assert_eq!(notes(&[0, 1, 2, 3]).find("order"), None);
}

/// Exports hand events out newest first, or in no order at all: what is found must not depend on it.
#[test]
fn findings_do_not_depend_on_the_order_of_a_log() {
    let log = read(&root().join("sample-logs/v1.36/token-reuse.log.gz"));
    let log = String::from_utf8(log).unwrap();
    let lines: Vec<&str> = log.lines().collect();
    let found = |lines: &[&str], chunk_bytes: usize| {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("audit.log");
        std::fs::write(&path, lines.join("\n")).unwrap();
        let mut options = options(&[&path]);
        options.read.chunk_bytes = chunk_bytes;
        let findings = run(&options).outcome.findings;
        let told = findings
            .into_iter()
            .map(|it| (it.rule.name, it.severity, it.count, it.first_seen));
        told.collect::<Vec<_>>()
    };
    let expected = found(&lines, 1 << 18);
    assert!(expected.len() > 20);
    let newest_first: Vec<&str> = lines.iter().rev().copied().collect();
    // Steps that share no factor with their number lead through all of them.
    let n = lines.len() - usize::from(lines.len().is_multiple_of(1663));
    let shuffled = (0..n)
        .map(|at| lines[at * 1663 % n])
        .chain(lines[n..].iter().copied());
    let shuffled: Vec<&str> = shuffled.collect();
    for lines in [newest_first, shuffled] {
        for chunk_bytes in [1 << 18, 20_000] {
            assert_eq!(found(&lines, chunk_bytes), expected);
        }
    }
}

#[test]
fn logs_of_several_clusters_are_told_apart() {
    let accounts = ["job-controller", "node-controller", "endpoint-controller"];
    // A cluster gives its accounts uids of its own; `n_new` of them were made anew.
    let log = |uid: &str, n_new: usize| {
        let events = accounts.iter().enumerate().map(|(at, account)| {
            let user = format!("system:serviceaccount:kube-system:{account}");
            let uid = if at < n_new { "new" } else { uid };
            let with_uid = format!(r#""username":"{user}","uid":"{uid}-{account}""#);
            let event = event(&user, "get", u32::try_from(at).unwrap());
            event.replace(&format!(r#""username":"{user}""#), &with_uid)
        });
        events.collect::<String>()
    };
    let said = |one: &str, other: &str| {
        let folder = TempDir::new().unwrap();
        for (name, content) in [("a", one), ("b", other)] {
            let folder = folder.path().join(name);
            std::fs::create_dir(&folder).unwrap();
            std::fs::write(folder.join("audit.log"), content).unwrap();
        }
        let summary = summary(folder.path());
        let said = summary.ingest.several_clusters;
        let notes = summary.notes.join("\n");
        assert_eq!(
            notes.contains("scan each by itself"),
            said.is_some(),
            "{notes}"
        );
        said
    };
    assert_eq!(said(&log("a", 0), &log("a", 0)), None);
    assert_eq!(said(&log("a", 0), &log("a", 2)), None);
    let several = said(&log("a", 0), &log("b", 0)).unwrap();
    assert!(
        several.contains("3 ServiceAccounts of kube-system"),
        "{several}"
    );
    let wrapped = |cluster: &str, minute| {
        let event = event("alice", "get", minute);
        let group = format!("/aws/eks/{cluster}/cluster");
        let message = serde_json::json!({"id": "1", "timestamp": 1, "message": event.trim()});
        let record = serde_json::json!({
            "messageType": "DATA_MESSAGE", "owner": "1", "logGroup": group,
            "logStream": "kube-apiserver-audit-1", "subscriptionFilters": [], "logEvents": [message]
        });
        record.to_string()
    };
    assert_eq!(said(&wrapped("one", 1), &wrapped("one", 2)), None);
    assert_eq!(said(&wrapped("one", 1), &wrapped("ONE", 2)), None);
    let several = said(&wrapped("one", 1), &wrapped("two", 2)).unwrap();
    assert_eq!(several, "the log is of several clusters, `one` and `two`");
}
