//! Texts that would harm, and what is not there.

use super::*;

#[test]
fn hostile_texts_are_shown_and_do_nothing() {
    let hostile = "\u{1b}[2J\u{202e}x\r\nwho alice\u{9b}31m";
    let event = |idx: usize| {
        serde_json::json!({
            "kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "Metadata",
            "auditID": format!("{hostile}{idx}"), "stage": "ResponseComplete",
            "requestURI": format!("/api/v1/{hostile}?fieldManager={hostile}"), "verb": "get",
            "user": {"username": hostile, "uid": hostile, "groups": [hostile],
                "extra": {"authentication.kubernetes.io/credential-id": [hostile]}},
            "impersonatedUser": {"username": hostile}, "sourceIPs": [hostile, hostile],
            "userAgent": hostile,
            "objectRef": {"resource": "secrets", "namespace": hostile, "name": hostile,
                "apiVersion": "v1"},
            "responseStatus": {"code": 200},
            "requestReceivedTimestamp": "2026-11-22T04:55:35.000000Z",
            "stageTimestamp": format!("2026-11-22T04:55:35.{idx:06}Z"),
            "annotations": {"authorization.k8s.io/decision": "allow",
                "authorization.k8s.io/reason": hostile},
        })
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.log");
    let lines: Vec<String> = (0..3).map(|idx| event(idx).to_string()).collect();
    std::fs::write(&path, lines.join("\n")).unwrap();
    let mut log = Log::read(&[path]);
    assert_eq!(requests(&log.snapshot).len(), 3);
    let mut findings: Vec<_> = crate::finding::Severity::ALL
        .iter()
        .map(|&severity| crate::report::tests::finding(severity, hostile))
        .collect();
    let incidents = crate::finding::incident::tie(&mut findings, &Surroundings::default());
    log.results.findings = findings.into();
    log.results.incidents = incidents.into();
    log.results.summary = crate::report::tests::summary(hostile).into();
    let texts = |document: &Document| {
        let parts = document.lines.iter().flat_map(|line| &line.parts);
        for text in parts.map(|part| &part.text).chain([&document.title]) {
            assert!(!text.chars().any(clean::is_hidden), "{text:?}");
        }
    };
    texts(&log.overview());
    let mut seen: HashSet<Pivot> = HashSet::new();
    let mut queue: VecDeque<Pivot> = links(&log.overview()).cloned().collect();
    queue.push_back(Pivot::Event(0));
    while let Some(pivot) = queue.pop_front() {
        if !seen.insert(pivot.clone()) {
            continue;
        }
        let card = log.card(&pivot);
        texts(&card);
        queue.extend(links(&card).cloned());
    }
    assert!(
        seen.contains(&Pivot::Identity(hostile.to_owned())),
        "{seen:?}"
    );
    assert!(
        seen.contains(&Pivot::Credential(hostile.to_owned())),
        "{seen:?}"
    );
    for row in credentials_rows(&log) {
        assert!(!row.owner.chars().any(clean::is_hidden));
    }
}

#[test]
fn what_is_stopped_or_missing_is_no_panic() {
    let log = Log::sample("sample-logs/v1.36/anonymous.log");
    let stop = AtomicBool::new(true);
    let alice = Pivot::Identity("alice".to_owned());
    assert_eq!(card(&alice, &log.sources(), &stop).unwrap(), None);
    let nothing = [
        alice,
        Pivot::Identity(String::new()),
        Pivot::Finding("x".to_owned()),
        Pivot::Incident("x".to_owned()),
        Pivot::Credential("x".to_owned()),
        Pivot::Address("x".to_owned()),
        Pivot::Object(Object::default()),
        Pivot::Event(u32::MAX),
        Pivot::Place(crate::tui::pivot::Place::default()),
        Pivot::Question("x".to_owned(), Vec::new()),
        Pivot::Value(Column::Name.into(), "x".to_owned()),
        Pivot::Value(Column::Name.into(), String::new()),
    ];
    for pivot in &nothing {
        assert!(!log.card(pivot).lines.is_empty());
    }
    let empty = Log::read(&[]);
    for pivot in &nothing {
        assert!(!empty.card(pivot).lines.is_empty());
    }
    assert!(!empty.overview().lines.is_empty());
}
