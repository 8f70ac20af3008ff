//! How credentials are made, held and used up: test events of the analytics, and stories of them.

use kubescry::finding::Severity;
use kubescry::trial::Trial;
use serde_json::json;

use crate::stories::{Client, PODS, SECRETS, Story, person, pod};
use crate::support::{RULES, root};

#[test]
fn logs_of_the_analytics_give_findings_and_near_misses_none() {
    let (rules, compiled) = &*RULES;
    let folder = root().join("tests/queries");
    for name in ["audit-gap", "minted-tokens", "token-lineage-break"] {
        let rule = rules.find(name).unwrap();
        let trial = Trial::find(rules, rule, std::slice::from_ref(&folder));
        assert!(trial.hit.is_some() && trial.miss.is_some(), "{name}");
        assert_eq!(
            trial.run(rules, compiled).unwrap(),
            Vec::<String>::new(),
            "{name}"
        );
    }
}

/// A person's `kubectl create token web`, and a client that has it.
fn mint(story: &mut Story, millis: u64, id: &str, ip: &'static str) -> Client {
    let token = "/api/v1/namespaces/prod/serviceaccounts/web/token";
    let event = story.request(millis, &person("dev", "10.9.0.1"), "create", token, 201);
    event["annotations"]["authentication.kubernetes.io/issued-credential-id"] = json!(id);
    let extra = json!({"authentication.kubernetes.io/credential-id": [id]});
    let user =
        json!({"username": "system:serviceaccount:prod:web", "uid": "uid-web", "extra": extra});
    Client {
        user,
        ip,
        agent: "curl/8",
    }
}

#[test]
fn a_token_away_from_its_account_broke_its_lineage() {
    let mut story = Story::of_a_pod(30, PODS);
    let holder = mint(&mut story, 5_500, "JTI=minted", "203.0.113.9");
    story.request(9_500, &holder, "list", SECRETS, 200);
    let found = story.raises("token-lineage-break", Severity::Medium);
    assert_eq!(
        found.actor.username.as_deref(),
        Some("system:serviceaccount:prod:web")
    );
    assert_eq!(found.source.ips, ["203.0.113.9"]);
    assert!(
        found.summary.contains("`dev` minted for prod/web"),
        "{}",
        found.summary
    );
    assert_eq!(found.count, 2);
}

#[test]
fn a_token_with_its_minter_or_its_account_is_at_home() {
    let mut story = Story::of_a_pod(30, PODS);
    let minter = mint(&mut story, 5_500, "JTI=minted", "10.9.0.1");
    story.request(9_500, &minter, "list", SECRETS, 200);
    let beside = Client {
        ip: "10.1.0.7",
        ..minter
    };
    story.request(9_700, &beside, "list", SECRETS, 200);
    story.is_silent_on("token-lineage-break");
}

#[test]
fn a_token_handed_over_is_only_listed() {
    let mut story = Story::default();
    let ci = mint(&mut story, 0, "JTI=minted", "198.51.100.7");
    for second in 1..20 {
        story.request(second * 1000, &ci, "list", PODS, 200);
    }
    let findings = story.findings();
    let names: Vec<&str> = findings.iter().map(|found| &*found.rule.name).collect();
    assert!(names.contains(&"minted-tokens"), "{names:?}");
    assert!(!names.contains(&"token-lineage-break"), "{names:?}");
}

#[test]
fn kubelets_mint_for_their_pods() {
    let mut story = Story::default();
    let token = "/api/v1/namespaces/prod/serviceaccounts/web/token";
    let mut kubelet = person("n1", "10.0.0.1");
    kubelet.user["username"] = json!("system:node:n1");
    let event = story.request(0, &kubelet, "create", token, 201);
    event["annotations"]["authentication.kubernetes.io/issued-credential-id"] = json!("JTI=web-1");
    story.request(1_000, &pod("web", "web-1", "10.1.0.7"), "list", PODS, 200);
    story.is_silent_on("minted-tokens");
}
