//! What ties findings, and what does not.

use super::*;
use crate::finding::{Actor, Confidence, Origin, RuleKind, RuleRef, Target};

const MINUTE: i64 = 60_000_000;

/// A finding of `severity` named `id`, `minute` minutes after the start, about `user` from `address`.
fn finding(id: &str, severity: Severity, minute: i64, user: &str, address: &str) -> Finding {
    let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    Finding {
        finding_id: id.to_owned(),
        incident_id: None,
        family: "discovery".to_owned(),
        severity,
        confidence: Confidence::High,
        rule: RuleRef {
            id: String::new(),
            name: "made-up".to_owned(),
            title: "Made up".to_owned(),
            kind: RuleKind::Sigma,
        },
        summary: String::new(),
        first_seen: Timestamp(minute * MINUTE),
        last_seen: Timestamp((minute + 1) * MINUTE),
        count: 1,
        recovered: 0,
        actor: Actor {
            username: some(user),
            ..Actor::default()
        },
        source: Origin {
            ips: some(address).into_iter().collect(),
            user_agents: Vec::new(),
        },
        target: Target::default(),
        attack: vec!["T1078".to_owned()],
        why: Vec::new(),
        next_steps: Vec::new(),
        blind_spots: Vec::new(),
        evidence_total: 1,
        evidence: Vec::new(),
        ties: Ties {
            usernames: some(user).into_iter().collect(),
            tactics: vec!["discovery".to_owned()],
            served: 1,
            ..Ties::default()
        },
    }
}

fn high(id: &str, minute: i64, user: &str, address: &str) -> Finding {
    finding(id, Severity::High, minute, user, address)
}

fn with(mut finding: Finding, change: impl FnOnce(&mut Finding)) -> Finding {
    change(&mut finding);
    finding
}

fn credential(finding: Finding, key: &str) -> Finding {
    with(finding, |finding| {
        finding.actor.credential_id = Some(key.to_owned());
        finding.ties.credentials = vec![key.to_owned()];
    })
}

fn tactic(finding: Finding, tactic: &str) -> Finding {
    with(finding, |finding| {
        finding.ties.tactics = vec![tactic.to_owned()];
    })
}

/// Asserts which findings are in one incident, as words of their ids.
fn check(findings: &[Finding], surroundings: &Surroundings, expected: &[&str]) {
    // The order they come in must not matter.
    for turn in 0..findings.len() {
        let mut findings = findings.to_vec();
        findings.rotate_left(turn);
        let incidents = tie(&mut findings, surroundings);
        let mut words: Vec<String> = incidents
            .iter()
            .map(|incident| incident.findings.join(" "))
            .collect();
        words.sort();
        assert_eq!(words, expected);
        for finding in &findings {
            let mut of_id = incidents
                .iter()
                .filter(|incident| Some(&incident.incident_id) == finding.incident_id.as_ref());
            let incident = of_id.next().map(|incident| &incident.findings);
            let is_in = incident.is_none_or(|ids| ids.contains(&finding.finding_id));
            assert!(is_in && of_id.next().is_none());
        }
    }
}

fn alone(findings: &[Finding], expected: &[&str]) {
    check(findings, &Surroundings::default(), expected);
}

#[test]
fn a_credential_ties_whatever_it_is_called_and_wherever_it_is() {
    let a = credential(high("a", 0, "system:node:n1", "10.0.0.1"), "X509SHA256=1");
    let b = credential(high("b", 9, "", "203.0.113.7"), "X509SHA256=1");
    let c = credential(high("c", 9, "", "203.0.113.8"), "X509SHA256=2");
    alone(&[a, b, c], &["a b", "c"]);
}

#[test]
fn a_name_ties_people_and_single_accounts() {
    for (name, ties) in [
        ("eve", true),
        ("system:serviceaccount:prod:web", true),
        (
            "system:serviceaccount:kube-system:replicaset-controller",
            false,
        ),
        ("system:kube-controller-manager", false),
        ("system:node:n1", false),
        ("system:anonymous", false),
        ("", false),
    ] {
        let expected: &[&str] = if ties { &["a b"] } else { &["a", "b"] };
        let two = [
            high("a", 0, name, "10.0.0.1"),
            high("b", 9, name, "10.0.0.2"),
        ];
        alone(&two, expected);
    }
}

#[test]
fn a_key_made_of_a_name_is_no_credential() {
    let key = "user:system:anonymous";
    let a = credential(high("a", 0, "system:anonymous", "10.0.0.1"), key);
    let b = credential(high("b", 0, "system:anonymous", "10.0.0.2"), key);
    alone(&[a, b], &["a", "b"]);
}

#[test]
fn an_address_ties_unless_it_stands_for_many() {
    let two = [
        high("a", 0, "eve", "203.0.113.7"),
        high("b", 9, "mallory", "203.0.113.7"),
    ];
    alone(&two, &["a b"]);
    let gateway = Surroundings {
        common_addresses: BTreeSet::from(["203.0.113.7".to_owned()]),
        ..Surroundings::default()
    };
    check(&two, &gateway, &["a", "b"]);
}

#[test]
fn silence_ends_a_story() {
    let after = |minutes: i64| {
        [
            high("a", 0, "eve", "10.0.0.1"),
            high("b", 1 + minutes, "eve", "10.0.0.1"),
        ]
    };
    alone(&after(360), &["a b"]);
    alone(&after(361), &["a", "b"]);
    // A long finding spans the silence between two others.
    let long = with(high("c", 0, "eve", "10.0.0.1"), |finding| {
        finding.last_seen = Timestamp(700 * MINUTE);
    });
    let [a, b] = after(700);
    alone(&[a, b, long], &["a c b"]);
}

#[test]
fn a_finding_about_many_is_about_none_of_them() {
    let users = ["eve", "mallory", "bob", "carol"].map(str::to_owned);
    let crowd = |n: usize| {
        with(high("c", 0, "", ""), |finding| {
            finding.ties.usernames = users[..n].to_vec();
        })
    };
    let a = high("a", 0, "eve", "10.0.0.1");
    let b = high("b", 0, "mallory", "10.0.0.2");
    alone(&[a.clone(), b.clone(), crowd(3)], &["a b c"]);
    alone(&[a, b, crowd(4)], &["a", "b", "c"]);
}

#[test]
fn what_is_mild_hangs_under_an_incident_and_joins_none() {
    let a = high("a", 0, "eve", "10.0.0.1");
    let b = high("b", 0, "mallory", "10.0.0.2");
    let both = with(
        finding("m", Severity::Low, 1, "eve", "10.0.0.2"),
        |finding| {
            finding.source.ips.push("10.0.0.1".to_owned());
        },
    );
    // An actor proves more than an address.
    alone(&[a.clone(), b.clone(), both.clone()], &["a m", "b"]);
    let inventory = with(high("i", 1, "eve", "10.0.0.2"), |finding| {
        finding.ties.is_inventory = true;
        finding.last_seen = Timestamp(9000 * MINUTE);
    });
    let later = high("z", 8000, "eve", "10.0.0.9");
    alone(&[a, b, inventory.clone(), later], &["a i", "b", "z"]);
    // Alone they are nothing.
    let other = with(inventory.clone(), |finding| {
        finding.finding_id = "j".to_owned();
    });
    alone(&[both, inventory, other], &[]);
}

fn maker(user: &str, key: &str, peer: &str, minute: i64) -> Maker {
    Maker {
        username: user.to_owned(),
        credential: key.to_owned(),
        peer: peer.to_owned(),
        first: Timestamp(minute * MINUTE),
        last: Timestamp(minute * MINUTE),
    }
}

#[test]
fn what_rests_on_the_work_of_another_is_tied_to_it() {
    let check_with = |maker: Maker, expected: &[&str]| {
        let makers = BTreeMap::from([("ServiceAccount prod/x".to_owned(), vec![maker])]);
        let surroundings = Surroundings {
            makers,
            ..Surroundings::default()
        };
        let a = credential(high("a", 0, "eve", "203.0.113.7"), "X509SHA256=1");
        let account = "system:serviceaccount:prod:x";
        let b = with(high("b", 100, account, "10.1.0.9"), |finding| {
            finding.ties.rests_on = vec!["ServiceAccount prod/x".to_owned()];
        });
        check(&[a, b], &surroundings, expected);
    };
    check_with(maker("eve", "X509SHA256=1", "203.0.113.7", 50), &["a b"]);
    check_with(maker("eve", "user:eve", "203.0.113.7", 50), &["a b"]);
    // Somebody else, or the owner of a key that was stolen, at work at home.
    check_with(
        maker("mallory", "X509SHA256=2", "203.0.113.7", 50),
        &["a", "b"],
    );
    check_with(maker("eve", "X509SHA256=1", "10.9.0.1", 50), &["a", "b"]);
    // Made after it was used, or long before.
    check_with(
        maker("eve", "X509SHA256=1", "203.0.113.7", 150),
        &["a", "b"],
    );
    check_with(
        maker("eve", "X509SHA256=1", "203.0.113.7", -300),
        &["a", "b"],
    );
}

#[test]
fn uses_of_one_grant_belong_together_even_if_its_maker_did_nothing_else() {
    let grant = "ClusterRoleBinding open".to_owned();
    let surroundings = Surroundings {
        makers: BTreeMap::from([(
            grant.clone(),
            vec![maker("eve", "X509SHA256=1", "203.0.113.7", 0)],
        )]),
        ..Surroundings::default()
    };
    let used = |id: &str, address: &str| {
        with(high(id, 10, "system:anonymous", address), |finding| {
            finding.ties.rests_on = vec![grant.clone()];
        })
    };
    let two = [used("a", "198.51.100.1"), used("b", "198.51.100.2")];
    check(&two, &surroundings, &["a b"]);
    let tied_by = &tie(&mut two.to_vec(), &surroundings)[0].tied_by;
    assert_eq!(
        tied_by,
        &["ClusterRoleBinding open, which is the work of eve"]
    );
    alone(&two, &["a", "b"]);
}

#[test]
fn an_incident_is_worse_than_its_parts_if_they_make_a_story() {
    let step =
        |id: &str, name: &str| tactic(finding(id, Severity::Medium, 0, "eve", "10.0.0.1"), name);
    let severity = |findings: &[Finding]| {
        let incident = &tie(&mut findings.to_vec(), &Surroundings::default())[0];
        (incident.severity, incident.raised.is_some())
    };
    let [a, b, c] = [
        step("a", "discovery"),
        step("b", "credential-access"),
        step("c", "persistence"),
    ];
    assert_eq!(severity(&[a.clone(), b.clone()]), (Severity::Medium, false));
    assert_eq!(
        severity(&[a.clone(), b.clone(), c.clone()]),
        (Severity::High, true)
    );
    let low = with(c.clone(), |finding| finding.severity = Severity::Low);
    assert_eq!(
        severity(&[a.clone(), b.clone(), low]),
        (Severity::Medium, false)
    );
    // Refused, then served.
    let refused = with(a.clone(), |finding| {
        (finding.ties.served, finding.ties.refused) = (0, 5);
    });
    let later = with(c, |finding| finding.last_seen = Timestamp(9 * MINUTE));
    assert_eq!(severity(&[refused.clone(), later]), (Severity::High, true));
    let earlier = with(b, |finding| finding.first_seen = Timestamp(-1));
    assert_eq!(
        severity(&[refused.clone(), earlier]),
        (Severity::Medium, false)
    );
    assert_eq!(severity(&[refused]), (Severity::Medium, false));
    let worst = with(a, |finding| finding.severity = Severity::Critical);
    assert_eq!(severity(&[worst]), (Severity::Critical, false));
}

#[test]
fn the_id_stays_when_others_join() {
    let id = |findings: &[Finding]| {
        let incidents = tie(&mut findings.to_vec(), &Surroundings::default());
        incidents[0].incident_id.clone()
    };
    let a = high("a", 0, "eve", "10.0.0.1");
    let before = id(std::slice::from_ref(&a));
    assert_eq!(before.len(), 32);
    let b = high("b", 60, "eve", "10.0.0.2");
    let critical = finding("c", Severity::Critical, 90, "eve", "10.0.0.2");
    let mild = finding("0", Severity::Low, -9, "eve", "10.0.0.1");
    assert_eq!(id(&[a.clone(), b.clone()]), before);
    assert_eq!(id(&[a, b.clone(), critical, mild]), before);
    assert_ne!(id(&[b]), before);
}

#[test]
fn a_title_says_who_from_where_what_and_how_much() {
    let steps = [
        "credential-access",
        "privilege-escalation",
        "command-and-control",
    ];
    let mut findings: Vec<Finding> = (0..)
        .zip(steps)
        .map(|(at, step)| {
            let one = high(&at.to_string(), at * 4, "eve", "203.0.113.7");
            tactic(credential(one, "X509SHA256=0123456789abcdef"), step)
        })
        .collect();
    let incident = &tie(&mut findings, &Surroundings::default())[0];
    assert_eq!(
        incident.title,
        "eve (X509SHA256=0123456789abc...) from 203.0.113.7: credential access, then privilege \
         escalation, then command and control; 3 findings within 9 min"
    );
    assert_eq!(
        incident.tactics,
        [
            "Credential Access",
            "Privilege Escalation",
            "Command and Control"
        ]
    );
    assert_eq!(
        incident.tied_by,
        ["credential X509SHA256=0123456789abcdef: 3 findings"]
    );
    assert_eq!(
        incident.raised.as_deref(),
        Some("raised from high to critical: it spans 3 tactics")
    );
}

#[test]
fn one_bad_thing_amid_busy_work_is_no_campaign() {
    use Severity::{Critical, High, Medium};
    let severity = |severities: [Severity; 3]| {
        let steps = ["credential-access", "persistence", "discovery"];
        let mut findings: Vec<Finding> = (0..)
            .zip(steps.into_iter().zip(severities))
            .map(|(at, (step, severity))| {
                let id = at.to_string();
                tactic(finding(&id, severity, at * 4, "eve", "10.0.0.1"), step)
            })
            .collect();
        tie(&mut findings, &Surroundings::default())[0].severity
    };
    assert_eq!(severity([High, Medium, Medium]), High);
    assert_eq!(severity([High, High, Medium]), Critical);
    assert_eq!(severity([Medium, Medium, Medium]), High);
}
