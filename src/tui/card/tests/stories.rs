//! What is told in an order: incidents, objects, mints.

use super::*;

#[test]
fn incidents_list_their_findings_in_order_of_time() {
    let log = Log::sample("sample-logs/v1.36/system-masters.log");
    assert!(!log.results.incidents.is_empty());
    for incident in &*log.results.incidents {
        let card = log.card(&Pivot::Incident(incident.incident_id.clone()));
        let listed: BTreeSet<&str> = links(&card)
            .filter_map(|link| match link {
                Pivot::Finding(id) => Some(id.as_str()),
                _ => None,
            })
            .collect();
        let expected: BTreeSet<&str> = incident.findings.iter().map(String::as_str).collect();
        assert_eq!(listed, expected);
        let (_, steps) = section(&card, "Steps");
        let times: Vec<&str> = steps.iter().map(|step| &step[2..26]).collect();
        assert!(times.is_sorted(), "{steps:#?}");
    }
}

#[test]
fn objects_tell_their_lives() {
    let object = |resource: &str, namespace: &str, name: &str| {
        Pivot::Object(Object {
            resource: resource.to_owned(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        })
    };
    let log = Log::sample("sample-logs/v1.36/token-reuse.log.gz");
    let card = log.card(&object("serviceaccounts", "dev", "shortlived2"));
    let (_, lines) = section(&card, "What happened to it");
    let again: Vec<bool> = lines
        .iter()
        .map(|line| line.contains("created again"))
        .collect();
    assert_eq!(again, [false, false, false, true], "{lines:#?}");
    // What bodies say.
    let log = Log::sample("tests/logs/v1.36-full-system-masters.log.zst");
    let card = log.card(&object("clusterrolebindings", "", "metrics-helper"));
    let text = text(&card);
    assert!(text.contains("role ClusterRole/cluster-admin"), "{text}");
    assert!(
        text.contains("subjects ServiceAccount/kube-system/metrics-helper"),
        "{text}"
    );
    // Reads of a Secret are lines.
    let requests = requests(&log.snapshot);
    let read = requests.iter().find(|one| {
        one["resource"] == "secrets" && one["verb"] == "get" && !one["name"].is_empty()
    });
    let read = read.expect("somebody read a Secret");
    let card = log.card(&object("secrets", &read["namespace"], &read["name"]));
    let (_, lines) = section(&card, "What happened to it");
    assert!(
        lines.iter().any(|line| line.contains("  get  ")),
        "{lines:#?}"
    );
}

#[test]
fn a_circle_of_mints_ends() {
    let mut log = Log::sample("sample-logs/v1.36/anonymous.log");
    let credentials = [
        minted("JTI=a", "JTI=c", 3),
        minted("JTI=b", "JTI=a", 1),
        minted("JTI=c", "JTI=b", 2),
    ];
    log.results.credentials = credentials.to_vec().into();
    for key in ["JTI=a", "JTI=b", "JTI=c"] {
        let card = log.card(&Pivot::Credential(key.to_owned()));
        let circles = text(&card).matches("and so in a circle").count();
        assert_eq!(circles, 2, "{}", text(&card));
    }
    // One that made itself, chains and crowds.
    let mut many = vec![minted("JTI=self", "JTI=self", 1)];
    many.extend((1..5000).map(|at| minted(&format!("JTI={at}"), &format!("JTI={}", at - 1), at)));
    many.extend((0..5000).map(|at| minted(&format!("JTI=x{at}"), "JTI=crowd", at)));
    log.results.credentials = many.into();
    for key in ["JTI=self", "JTI=0", "JTI=4999", "JTI=crowd", "JTI=x1"] {
        let card = log.card(&Pivot::Credential(key.to_owned()));
        assert!(card.lines.len() < 300, "{key}: {}", card.lines.len());
    }
    let card = log.card(&Pivot::Credential("JTI=crowd".to_owned()));
    assert!(text(&card).contains("5000 of them, the first 20:"));
}

/// The page of a credential said how many more there are, and they could not be seen.
#[test]
fn all_credentials_that_one_minted_can_be_seen() {
    let mut log = Log::sample("sample-logs/v1.36/anonymous.log");
    let many = (0..30).map(|at| minted(&format!("JTI=x{at}"), "JTI=crowd", at));
    log.results.credentials = many.collect();
    let card = log.card(&Pivot::Credential("JTI=crowd".to_owned()));
    assert!(text(&card).contains("30 of them, the first 20: +10 more\n"));
    assert!(!text(&card).contains("JTI=x20 "));
    let all = links(&card).find(|link| matches!(link, Pivot::All(..)));
    let list = text(&log.card(all.expect("the rest is a link")));
    assert!(list.starts_with("30 credentials minted with JTI=crowd\n"));
    for at in 0..30 {
        assert!(
            list.contains(&format!("  JTI=x{at} of alice  never used\n")),
            "{list}"
        );
    }
}
