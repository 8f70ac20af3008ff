//! Stories that the recordings do not tell: ordinary work that looks like an attack, and attacks that
//! look like ordinary work. Events have the shape that kube-apiserver 1.36 writes.

use kubescry::finding::incident::Incident;
use kubescry::finding::{Finding, Severity};
use kubescry::pipeline::Scan;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{options, run};

/// A log in the making: events in the order of their time.
#[derive(Default)]
pub(crate) struct Story {
    pub(crate) events: Vec<(u64, Value)>,
}

/// Who asks: user, its groups and `extra`, address, agent.
#[derive(Clone)]
pub(crate) struct Client {
    pub(crate) user: Value,
    pub(crate) ip: &'static str,
    pub(crate) agent: &'static str,
}

pub(crate) fn person(name: &str, ip: &'static str) -> Client {
    let extra =
        json!({"authentication.kubernetes.io/credential-id": [format!("X509SHA256={name}")]});
    let user = json!({"username": name, "groups": ["dev", "system:authenticated"], "extra": extra});
    Client {
        user,
        ip,
        agent: "kubectl/v1.36.2 (linux/amd64) kubernetes/8e16b12",
    }
}

fn master(name: &str, fingerprint: &str, ip: &'static str) -> Client {
    let mut client = person(name, ip);
    client.user["groups"] = json!(["system:masters", "system:authenticated"]);
    client.user["extra"]["authentication.kubernetes.io/credential-id"][0] =
        json!(format!("X509SHA256={fingerprint}"));
    client
}

pub(crate) fn pod(account: &str, pod: &str, ip: &'static str) -> Client {
    let extra = json!({
        "authentication.kubernetes.io/credential-id": [format!("JTI={pod}")],
        "authentication.kubernetes.io/pod-name": [pod],
        "authentication.kubernetes.io/pod-uid": [format!("uid-{pod}")],
    });
    let username = format!("system:serviceaccount:prod:{account}");
    let user = json!({"username": username, "uid": format!("uid-{account}"), "extra": extra});
    Client {
        user,
        ip,
        agent: "app/1.0",
    }
}

pub(crate) fn nobody(ip: &'static str, agent: &'static str) -> Client {
    Client {
        user: json!({}),
        ip,
        agent,
    }
}

fn anonymous(ip: &'static str) -> Client {
    let user = json!({"username": "system:anonymous", "groups": ["system:unauthenticated"]});
    Client {
        user,
        ip,
        agent: "curl/8",
    }
}

impl Story {
    /// Starts with the Pod `web-1`, which asks for the same once a second.
    pub(crate) fn of_a_pod(seconds: u64, uri: &str) -> Self {
        let mut story = Self::default();
        let web = pod("web", "web-1", "10.1.0.7");
        for second in 0..seconds {
            story.request(second * 1000, &web, "list", uri, 200);
        }
        story
    }

    /// Deletes that Pod's ServiceAccount.
    fn delete_account(&mut self, millis: u64) {
        let account = "/api/v1/namespaces/prod/serviceaccounts/web";
        self.request(millis, &person("dev", "10.9.0.1"), "delete", account, 200);
    }

    /// Refuses that Pod's requests, once a second.
    fn refuse(&mut self, seconds: std::ops::Range<u64>) {
        for second in seconds {
            let late = nobody("10.1.0.7", "app/1.0");
            self.request(second * 1000, &late, "list", SECRETS, 401);
        }
    }

    /// Adds one request, `millis` after the start of the log.
    pub(crate) fn request(
        &mut self,
        millis: u64,
        client: &Client,
        verb: &str,
        uri: &str,
        code: u16,
    ) -> &mut Value {
        let at = 1_795_323_600_000_000 + i64::try_from(millis).unwrap() * 1000;
        let time = kubescry::finding::Timestamp(at).to_string();
        let refused = code == 401;
        let mut event = json!({
            "kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "Metadata",
            "auditID": format!("00000000-0000-4000-8000-{:012}", self.events.len()),
            "stage": if refused { "ResponseStarted" } else { "ResponseComplete" },
            "requestURI": uri, "verb": verb, "user": client.user,
            "sourceIPs": [client.ip], "userAgent": client.agent,
            "responseStatus": {"metadata": {}, "code": code},
            "requestReceivedTimestamp": time, "stageTimestamp": time,
        });
        if !refused {
            let decision = if code == 403 { "forbid" } else { "allow" };
            event["annotations"] = json!({"authorization.k8s.io/decision": decision});
        }
        let path = uri.split('?').next().unwrap();
        if let Some(rest) = path.strip_prefix("/api/v1/namespaces/") {
            let parts: Vec<&str> = rest.split('/').collect();
            let mut object = json!({"namespace": parts[0], "apiVersion": "v1"});
            for (key, part) in ["resource", "name", "subresource"].iter().zip(&parts[1..]) {
                object[*key] = json!(part);
            }
            event["objectRef"] = object;
        }
        self.events.push((millis, event));
        &mut self.events.last_mut().unwrap().1
    }

    pub(crate) fn findings(self) -> Vec<Finding> {
        self.scan().outcome.findings
    }

    fn incidents(self) -> Vec<Incident> {
        self.scan().outcome.incidents
    }

    /// Returns the log as it is written.
    pub(crate) fn lines(mut self) -> Vec<u8> {
        self.events.sort_by_key(|(millis, _)| *millis);
        let lines = self.events.iter().map(|(_, event)| format!("{event}\n"));
        lines.collect::<String>().into_bytes()
    }

    fn scan(self) -> Scan {
        let n_events = self.events.len() as u64;
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("audit.log");
        std::fs::write(&path, self.lines()).unwrap();
        let scan = run(&options(&[&path]));
        assert_eq!(scan.summary.totals.events, n_events);
        scan
    }

    /// Asserts that nothing of medium or higher is said.
    pub(crate) fn stays_calm(self) {
        let loud: Vec<String> = self
            .findings()
            .into_iter()
            .filter(|finding| finding.severity >= Severity::Medium)
            .map(|finding| {
                format!(
                    "{} [{}] {}",
                    finding.rule.name, finding.severity, finding.summary
                )
            })
            .collect();
        assert!(loud.is_empty(), "{loud:#?}");
    }

    /// Asserts that the rule says nothing.
    pub(crate) fn says_nothing_of(self, rule: &str) {
        let findings = self.findings();
        let found = findings.iter().find(|finding| finding.rule.name == rule);
        assert_eq!(found.map(|found| &found.summary), None);
    }

    /// Asserts that the rule says something, and how bad it is.
    pub(crate) fn raises(self, rule: &str, severity: Severity) -> Finding {
        let findings = self.findings();
        let names: Vec<&str> = findings
            .iter()
            .map(|finding| finding.rule.name.as_str())
            .collect();
        let found = findings.iter().find(|finding| finding.rule.name == rule);
        let found = found.unwrap_or_else(|| panic!("{rule} is not among {names:?}"));
        assert_eq!(found.severity, severity, "{}", found.summary);
        found.clone()
    }
}

pub(crate) const SECRETS: &str = "/api/v1/namespaces/prod/secrets";
pub(crate) const PODS: &str = "/api/v1/namespaces/prod/pods";

#[test]
fn a_pod_that_drains_uses_its_token_rightly() {
    let mut story = Story::of_a_pod(400, PODS);
    story.request(
        50_000,
        &person("dev", "10.9.0.1"),
        "delete",
        &format!("{PODS}/web-1"),
        200,
    );
    let kubelet = Client {
        user: json!({"username": "system:node:n1"}),
        agent: "kubelet/v1.36.2 (linux/amd64) kubernetes/8e16b12",
        ..person("n1", "10.0.0.1")
    };
    story.request(401_000, &kubelet, "delete", &format!("{PODS}/web-1"), 200);
    story.stays_calm();
}

#[test]
fn deletions_that_delete_nothing_kill_nothing() {
    let mut story = Story::of_a_pod(400, PODS);
    let dev = person("dev", "10.9.0.1");
    let trial = story.request(
        50_500,
        &dev,
        "delete",
        "/api/v1/namespaces/prod/serviceaccounts/web",
        200,
    );
    trial["level"] = json!("Request");
    trial["requestObject"] = json!({"kind": "DeleteOptions", "dryRun": ["All"]});
    story.request(
        51_500,
        &dev,
        "deletecollection",
        &format!("{PODS}?labelSelector=app%3Dx"),
        200,
    );
    story.stays_calm();
}

#[test]
fn a_deleted_account_that_is_served_for_minutes_is_critical() {
    let mut story = Story::of_a_pod(400, SECRETS);
    story.delete_account(50_500);
    let found = story.raises("token-reuse-after-deletion", Severity::Critical);
    assert!(
        found
            .why
            .iter()
            .any(|why| why.contains("later than the grace")),
        "{:?}",
        found.why
    );
}

#[test]
fn an_account_that_a_restore_brings_back_is_no_proof_of_theft() {
    let story = |refused: std::ops::Range<u64>| {
        let mut story = Story::of_a_pod(50, SECRETS);
        story.delete_account(50_500);
        story.refuse(refused);
        let web = pod("web", "web-1", "10.1.0.7");
        for second in 300..400 {
            story.request(second * 1000, &web, "list", SECRETS, 200);
        }
        story
    };
    let rule = "token-reuse-after-deletion";
    let found = story(61..200).raises(rule, Severity::Medium);
    let said = found.why.join("\n");
    assert!(said.contains("refused until 2 min after"), "{said}");
    // Served by some servers and refused by others.
    story(61..320).raises(rule, Severity::Critical);
}

#[test]
fn a_bootstrap_token_made_again_is_another() {
    // What a joining node does: see whether its certificate is there.
    const REQUESTS: &str = "/apis/certificates.k8s.io/v1/certificatesigningrequests/node-csr-1";
    let mut story = Story::default();
    let node = Client {
        user: json!({"username": "system:bootstrap:abcdef", "groups": ["system:bootstrappers"]}),
        ip: "10.0.0.9",
        agent: "kubelet/v1.36.2",
    };
    let admin = person("dev", "10.9.0.1");
    let secret = "/api/v1/namespaces/kube-system/secrets/bootstrap-token-abcdef";
    story.request(0, &node, "get", REQUESTS, 200);
    story.request(1_000, &admin, "delete", secret, 200);
    story.request(300_000, &admin, "create", secret, 201);
    for second in 301..310 {
        story.request(second * 1000, &node, "get", REQUESTS, 200);
    }
    story.stays_calm();
}

#[test]
fn a_secret_that_an_apply_brings_back_is_another() {
    let secret = "/api/v1/namespaces/prod/secrets/web-token";
    let story = |code: u16| {
        let mut story = Story::default();
        let key = "authentication.k8s.io/legacy-token-manual-secret";
        let mut old = |second: u64, code: u16| {
            let user = json!({"username": "system:serviceaccount:prod:web", "uid": "uid-web"});
            let web = Client {
                user,
                ..pod("web", "web", "10.1.0.7")
            };
            let event = story.request(second * 1000, &web, "list", PODS, code);
            event["annotations"]["authentication.k8s.io/legacy-token"] =
                json!("system:serviceaccount:prod:web");
            event["annotations"][key] = json!("web-token");
        };
        (0..10).for_each(|second| old(second, 200));
        (300..310).for_each(|second| old(second, 200));
        let apply = format!("{secret}?fieldManager=argocd-controller&force=true");
        story.request(10_500, &person("dev", "10.9.0.1"), "delete", secret, 200);
        story.request(20_000, &person("ops", "10.9.0.2"), "patch", &apply, code);
        story
    };
    story(200).raises("token-reuse-after-deletion", Severity::Critical);
    story(201).says_nothing_of("token-reuse-after-deletion");
}

#[test]
fn a_container_whose_pod_was_deleted_by_force_has_a_last_breath() {
    let story = |first: u64, last: u64, ip| {
        let mut story = Story::of_a_pod(128, SECRETS);
        story.events.drain(..usize::try_from(first).unwrap());
        let web = format!("{PODS}/web-1?gracePeriodSeconds=0");
        story.request(120_500, &person("dev", "10.9.0.1"), "delete", &web, 200);
        story.refuse(130..last);
        story.request(128_500, &pod("web", "web-1", ip), "list", SECRETS, 200);
        story
    };
    let rule = "token-reuse-after-deletion";
    story(0, 150, "10.1.0.7").raises(rule, Severity::Low);
    // Too long for that, somebody else than the container, and a token that was hardly used before.
    story(0, 280, "10.1.0.7").raises(rule, Severity::Medium);
    story(0, 150, "192.0.2.7").raises(rule, Severity::Medium);
    story(100, 150, "10.1.0.7").raises(rule, Severity::Medium);
}

#[test]
fn refusals_after_a_deletion_are_tied_to_the_dead() {
    let mut story = Story::of_a_pod(50, SECRETS);
    story.delete_account(50_500);
    story.refuse(61..70);
    let found = story.raises("token-reuse-after-deletion", Severity::Medium);
    assert_eq!(
        found.actor.username.as_deref(),
        Some("system:serviceaccount:prod:web")
    );
    assert_eq!(found.count, 9);
}

#[test]
fn a_client_that_gets_a_new_token_was_only_late() {
    let mut story = Story::of_a_pod(50, SECRETS);
    story.delete_account(50_500);
    story.refuse(61..70);
    let mut renewed = pod("web", "web-2", "10.1.0.7");
    renewed.user["uid"] = json!("another");
    for second in 71..80 {
        story.request(second * 1000, &renewed, "list", SECRETS, 200);
    }
    story.stays_calm();
}

#[test]
fn a_laptop_that_moves_is_no_sharing() {
    let mut story = Story::default();
    for second in 0..60 {
        let ip = if second < 30 { "10.9.0.1" } else { "192.0.2.7" };
        story.request(second * 1000, &person("dev", ip), "list", PODS, 200);
    }
    story.stays_calm();
}

#[test]
fn a_certificate_that_goes_back_and_forth_is_shared() {
    let mut story = Story::default();
    for second in 0..60 {
        let ip = if second % 5 == 0 {
            "10.9.0.1"
        } else {
            "192.0.2.7"
        };
        story.request(second * 1000, &person("dev", ip), "list", PODS, 200);
    }
    story.raises("shared-credential", Severity::High);
}

#[test]
fn two_platforms_behind_one_address_share_a_credential() {
    let mut story = Story::default();
    for second in 0..60 {
        let mut client = person("dev", "10.9.0.1");
        if second % 5 == 0 {
            client.agent = "kubectl/v1.36.2 (darwin/arm64) kubernetes/8e16b12";
        }
        story.request(second * 1000, &client, "list", PODS, 200);
    }
    story.raises("shared-credential", Severity::Medium);
}

#[test]
fn single_sign_on_is_not_one_credential() {
    let with = |name: &str, extra: Value| {
        let mut story = Story::default();
        for index in 0..20 {
            let ip = if index % 2 == 0 {
                "10.9.0.1"
            } else {
                "10.77.0.9"
            };
            let mut client = person(name, ip);
            client.user["extra"] = extra.clone();
            story.request(index * 10_000, &client, "list", PODS, 200);
        }
        story
    };
    let check = |name: &str, extra: Value, severity| {
        with(name, extra).raises("shared-credential", severity);
    };
    check("github:repo:corp/app", json!({}), Severity::Low);
    check("https://sso.example.com#eve", json!({}), Severity::Low);
    check("eve@example.com", json!({}), Severity::Low);
    let openshift = json!({"scopes.authorization.openshift.io": ["user:full"]});
    check("eve", openshift, Severity::Low);
    let entra = json!({"oid": ["2b6b4ed1-07a4-4a1c-9d6e-0b6c1f3a2b4d"]});
    check("eve", entra, Severity::Low);
    check("ci-bot", json!({}), Severity::High);
    let access_key = json!({"accessKeyId": ["AKIAIOSFODNN7EXAMPLE"]});
    check("eve", access_key, Severity::High);
}

#[test]
fn several_programs_of_one_laptop_are_no_sharing() {
    let mut story = Story::default();
    let programs = ["kubectl/v1.36.2 (linux/amd64)", "Helm/3.16.2", "k9s/v0.40"];
    for (second, agent) in (0..60).zip(programs.into_iter().cycle()) {
        let mut client = person("dev", "10.9.0.1");
        client.agent = agent;
        story.request(second * 1000, &client, "list", PODS, 200);
    }
    story.stays_calm();
}

#[test]
fn pods_have_a_token_each() {
    let mut story = Story::default();
    for second in 0..60 {
        story.request(
            second * 1000,
            &pod("web", "web-1", "10.1.0.7"),
            "list",
            PODS,
            200,
        );
        story.request(
            second * 1000,
            &pod("web", "web-2", "10.2.0.8"),
            "list",
            PODS,
            200,
        );
    }
    story.stays_calm();
}

#[test]
fn a_pods_token_elsewhere_is_stolen() {
    let mut story = Story::default();
    for second in 0..60 {
        story.request(
            second * 1000,
            &pod("web", "web-1", "10.1.0.7"),
            "list",
            PODS,
            200,
        );
    }
    let thief = Client {
        agent: "curl/8",
        ..pod("web", "web-1", "203.0.113.9")
    };
    story.request(30_500, &thief, "list", SECRETS, 200);
    let found = story.raises("pod-token-away", Severity::High);
    assert_eq!(found.source.ips, ["203.0.113.9"]);
}

/// A Pod that only watches, ten minutes at a time, and a thief on its node with the same program who asks once.
fn watcher(thief_at: u64) -> Story {
    let mut story = Story::default();
    let home = pod("web", "web-1", "10.244.1.22");
    for watch in 0..12 {
        let (from, until) = (watch * 600_000, (watch + 1) * 600_000 - 10);
        let begins = story.request(from, &nobody("10.9.9.9", "x/1"), "list", PODS, 401);
        let begins = begins["stageTimestamp"].clone();
        story.events.pop();
        let event = story.request(until, &home, "watch", PODS, 200);
        event["requestReceivedTimestamp"] = begins;
    }
    let thief = pod("web", "web-1", "10.244.1.90");
    story.request(thief_at, &thief, "list", SECRETS, 200);
    story
}

#[test]
fn a_pod_that_only_watches_is_at_home_where_it_watches() {
    // Also while its first watch is open, which is logged when it ends.
    for thief_at in [3_000_000, 60_000] {
        let found = watcher(thief_at).raises("pod-token-away", Severity::High);
        assert!(
            found.summary.contains("belongs at 10.244.1.22"),
            "{}",
            found.summary
        );
        assert_eq!(
            (found.count, &*found.source.ips),
            (1, &["10.244.1.90".to_owned()][..])
        );
    }
}

#[test]
fn a_pods_token_at_the_address_of_its_node_tells_of_the_node() {
    let mut story = Story::default();
    let with_node = |ip| {
        let mut client = pod("web", "web-1", ip);
        client.user["extra"]["authentication.kubernetes.io/node-name"] = json!(["n1"]);
        client
    };
    story.request(0, &kubelet("n1", "10.0.1.12"), "list", PODS, 200);
    for second in 1..60 {
        story.request(second * 1000, &with_node("10.244.1.22"), "list", PODS, 200);
    }
    let thief = Client {
        agent: "curl/8",
        ..with_node("10.0.1.12")
    };
    story.request(30_500, &thief, "list", SECRETS, 200);
    let found = story.raises("pod-token-away", Severity::High);
    let why = "10.0.1.12 = the node n1, on which the Pod runs";
    assert!(found.why.iter().any(|it| it == why), "{:?}", found.why);
    assert!(
        found.next_steps[1].contains("tokens of all Pods on it"),
        "{:?}",
        found.next_steps
    );
}

/// A person's portal that speaks for others for days, and then for a superuser.
fn portal(masters_at: &[u64]) -> Story {
    let mut story = Story::default();
    for hour in 0..72 {
        let is_master = masters_at.contains(&hour);
        let client = person("portal", "10.9.0.1");
        let event = story.request(hour * 3_600_000, &client, "list", PODS, 200);
        let groups = if is_master { "system:masters" } else { "dev" };
        event["impersonatedUser"] = json!({"username": "eve", "groups": [groups]});
    }
    story
}

#[test]
fn who_speaks_for_others_and_then_for_a_superuser_is_told() {
    let rule = "superuser-impersonated";
    let found = portal(&[70, 71]).raises(rule, Severity::Medium);
    assert_eq!(found.count, 2);
    portal(&[5, 70]).says_nothing_of(rule);
    portal(&[40]).says_nothing_of(rule);
}

#[test]
fn a_spray_is_known_by_its_path_whatever_its_programs_are_called() {
    let agents: Vec<String> = (0..60).map(|n| format!("Mozilla/5.0 ({n})")).collect();
    let addresses: Vec<String> = (0..60).map(|n| format!("45.{n}.{}.7", n * 3)).collect();
    let mut story = Story::of_a_pod(60, PODS);
    for (at, (agent, ip)) in (0..).zip(agents.iter().zip(&addresses)) {
        let guesser = nobody(ip.clone().leak(), agent.clone().leak());
        story.request(60_000 + at * 5000, &guesser, "get", "/api", 401);
    }
    story.raises("unauthorized-spray", Severity::Medium);
}

/// Tells of a program that is refused every two minutes for ten hours.
fn with_slow_refusals(ip: &'static str) -> Story {
    let mut story = Story::of_a_pod(60, PODS);
    for minute in 0..300 {
        let guesser = nobody(ip, "app/2.0");
        story.request(60_000 + minute * 120_000, &guesser, "get", "/api", 401);
    }
    story
}

#[test]
fn a_forgotten_job_is_no_patience() {
    let mut story = Story::of_a_pod(60, PODS);
    for hour in 0..240 {
        let job = nobody("203.0.113.9", "job/2.0");
        story.request(60_000 + hour * 3_600_000, &job, "get", "/api", 401);
    }
    story.raises("refused-credentials", Severity::Low);
}

#[test]
fn patience_is_no_excuse_for_strangers() {
    with_slow_refusals("203.0.113.9").raises("unauthorized-brute-force", Severity::Medium);
    with_slow_refusals("10.9.0.9").raises("refused-credentials", Severity::Low);
    let mut story = with_slow_refusals("203.0.113.9");
    let before = Client {
        agent: "app/2.0",
        ..person("ci", "203.0.113.9")
    };
    story.request(1000, &before, "get", "/api", 200);
    story.raises("refused-credentials", Severity::Low);
}

/// Returns the kubelet of a node, or who has its certificate, at an address.
fn kubelet(node: &str, ip: &'static str) -> Client {
    let mut client = person(&format!("system:node:{node}"), ip);
    client.user["groups"] = json!(["system:nodes", "system:authenticated"]);
    client.agent = "kubelet/v1.36.2 (linux/amd64) kubernetes/8e16b12";
    client
}

/// Tells of two nodes and somebody who has the certificate of the first one, too, now and then.
fn with_stolen_certificate(thief: &'static str) -> Story {
    let mut story = Story::default();
    for second in 0..120 {
        let first = if second % 5 == 4 { thief } else { "10.0.1.1" };
        story.request(
            second * 1000,
            &kubelet("node-1", first),
            "get",
            SECRETS,
            200,
        );
        story.request(
            second * 1000 + 500,
            &kubelet("node-2", "10.0.1.2"),
            "list",
            PODS,
            200,
        );
    }
    story
}

#[test]
fn a_nodes_certificate_vouches_for_no_other_place() {
    for thief in ["10.99.4.4", "10.0.1.2"] {
        with_stolen_certificate(thief).raises("shared-credential", Severity::High);
        let mut story = with_stolen_certificate(thief);
        for second in 0..120 {
            let ip = if second == 100 { thief } else { "10.1.0.7" };
            let holder = pod("web", "web-1", ip);
            story.request(second * 1000, &holder, "list", PODS, 200);
        }
        if thief != "10.0.1.2" {
            story.raises("pod-token-away", Severity::High);
        }
    }
    // A node that is also at an address of its own network, where no other node is.
    let story = with_stolen_certificate("10.0.1.100");
    story.raises("shared-credential", Severity::Low);
}

/// Returns a Pod that has the token of that number, at an address.
fn renewed(token: u64, ip: &'static str) -> Client {
    let mut client = pod("web", "web-1", ip);
    let extra = &mut client.user["extra"];
    extra["authentication.kubernetes.io/credential-id"][0] = json!(format!("JTI=web-1-{token}"));
    client
}

#[test]
fn a_pods_new_token_belongs_where_the_pod_is() {
    let mut story = Story::default();
    for minute in 0..240 {
        let client = renewed(minute / 60, "10.1.0.7");
        story.request(minute * 60_000, &client, "list", PODS, 200);
    }
    let thief = Client {
        agent: "curl/8",
        ..renewed(77, "203.0.113.9")
    };
    story.request(7_000_000, &thief, "list", SECRETS, 200);
    let found = story.raises("pod-token-away", Severity::High);
    let key = found.actor.credential_id.as_deref();
    assert_eq!(key, Some("JTI=web-1-77"));
    assert_eq!(
        (found.count, &*found.source.ips),
        (1, &["203.0.113.9".to_owned()][..])
    );
}

#[test]
fn a_pod_that_moved_is_at_home_there() {
    // Between two tokens, and in the middle of a token's hour, so that the next one is a stranger there, too.
    let between = (180, vec![60]);
    let within = (200, vec![40 + 60]);
    for (moves_at, expected) in [between, within] {
        let mut story = Story::default();
        for minute in 0..480 {
            let is_moved = minute >= moves_at;
            let ip = if is_moved { "10.1.0.99" } else { "10.1.0.7" };
            story.request(
                minute * 60_000,
                &renewed(minute / 60, ip),
                "list",
                PODS,
                200,
            );
        }
        let findings = story.findings();
        let away = findings
            .iter()
            .filter(|found| found.rule.name == "pod-token-away");
        let told = away.map(|found| {
            assert_eq!(found.severity, Severity::Low);
            found.count
        });
        assert_eq!(told.collect::<Vec<_>>(), expected);
    }
}

#[test]
fn the_tokens_that_a_pod_gets_one_after_the_other_are_one_theft() {
    let mut story = Story::default();
    for minute in 0..240 {
        let client = renewed(minute / 60, "10.1.0.7");
        story.request(minute * 60_000, &client, "list", PODS, 200);
        if minute % 60 == 30 {
            let thief = Client {
                agent: "curl/8",
                ..renewed(minute / 60, "203.0.113.9")
            };
            story.request(minute * 60_000 + 7_000, &thief, "list", SECRETS, 200);
        }
    }
    let findings = story.findings();
    let away = |found: &&Finding| found.rule.name == "pod-token-away";
    let away: Vec<_> = findings.iter().filter(away).collect();
    let [found] = away[..] else {
        panic!("one Pod, one finding: {away:?}")
    };
    assert_eq!((found.severity, found.count), (Severity::High, 4));
    assert_eq!(found.ties.credentials.len(), 4);
    let twice = |found: &Finding| found.rule.name == "impossible-concurrency";
    assert!(!findings.iter().any(twice), "{findings:?}");
}

#[test]
fn a_program_that_passes_through_a_pod_is_no_part_of_it() {
    const PLACES: [&str; 4] = ["prod", "pay", "dev", "ops"];
    let with = |from: u64, step: u64, places: usize, writes: bool| {
        let mut story = Story::default();
        for minute in 0..60 {
            let own = Client {
                agent: "ingress/1",
                ..pod("web", "web-1", "10.1.0.7")
            };
            story.request(minute * 60_000, &own, "list", PODS, 200);
        }
        let other = Client {
            agent: "main/0",
            ..pod("web", "web-1", "10.1.0.7")
        };
        let places = PLACES.iter().take(places);
        for (at, place) in (0..).zip(places) {
            let path = format!("/api/v1/namespaces/{place}/secrets");
            story.request(from + at * step, &other, "list", &path, 200);
        }
        if writes {
            story.request(from, &other, "create", PODS, 201);
        }
        story
    };
    let rule = "pod-second-program";
    with(300_000, 8_000, 4, false).raises(rule, Severity::Medium);
    with(1_200_000, 8_000, 4, true).raises(rule, Severity::Medium);
    // With the Pod, as a part of it, now and then, and in few places.
    with(10_000, 8_000, 4, false).says_nothing_of(rule);
    with(300_000, 8_000, 4, true).says_nothing_of(rule);
    with(300_000, 600_000, 4, false).says_nothing_of(rule);
    with(300_000, 8_000, 2, false).says_nothing_of(rule);
}

#[test]
fn each_server_of_rke2_has_an_administrators_certificate() {
    let with = |servers: &[&str], admins: &[(&str, &str)]| {
        let mut story = Story::default();
        for (at, server) in (0..).zip(servers) {
            let supervisor = master("system:rke2-supervisor", server, "127.0.0.1");
            story.request(at, &supervisor, "list", PODS, 200);
        }
        // In turns, so that none takes over from another.
        for (at, (key, ip)) in (1_000..).zip(admins.iter().chain(admins)) {
            let ip: &'static str = Box::leak((*ip).to_owned().into_boxed_str());
            let admin = master("system:admin", key, ip);
            story.request(at, &admin, "list", PODS, 200);
        }
        let found = story.findings().into_iter();
        let second = found.filter(|found| found.rule.name == "masters-second-credential");
        let mut severities: Vec<_> = second.map(|found| found.severity).collect();
        severities.sort_unstable();
        severities
    };
    let [one, two] = [("a1", "127.0.0.1"), ("a2", "127.0.0.1")];
    let low = [Severity::Low];
    assert_eq!(with(&["s1", "s2"], &[one, two]), low);
    // More certificates than servers, another address, and servers of which nothing is known.
    let three = with(&["s1", "s2"], &[one, two, ("a3", "127.0.0.1")]);
    assert!(three.len() == 2 && three[1] > Severity::Low, "{three:?}");
    for found in [
        with(&["s1", "s2"], &[one, ("a2", "10.0.0.12")]),
        with(&["s1"], &[one, two]),
        with(&[], &[one, two]),
    ] {
        assert!(found.len() == 1 && found[0] > Severity::Low, "{found:?}");
    }
}

#[test]
fn a_renewed_certificate_is_no_second_one() {
    let mut story = Story::default();
    for second in 0..60 {
        let fingerprint = if second < 30 { "old" } else { "new" };
        let admin = master("kubernetes-admin", fingerprint, "10.9.0.1");
        story.request(second * 1000, &admin, "list", PODS, 200);
    }
    story.raises("masters-second-credential", Severity::Low);
}

/// An administrator whose certificate is of a group that is bound to `cluster-admin`, here and then there.
fn with_superuser(there: &'static str) -> Story {
    let reason = r#"RBAC: allowed by ClusterRoleBinding "kubeadm:cluster-admins" of ClusterRole "cluster-admin" to Group "kubeadm:cluster-admins""#;
    let mut story = Story::default();
    for (millis, ip) in [(0, "192.168.5.10"), (600_000, there)] {
        let event = story.request(millis, &person("carol", ip), "list", PODS, 200);
        event["annotations"]["authorization.k8s.io/reason"] = json!(reason);
    }
    story
}

#[test]
fn a_superuser_that_moves_inside_is_low_and_outside_high() {
    let rule = "superuser-new-source";
    with_superuser("203.0.113.9").raises(rule, Severity::High);
    with_superuser("192.168.9.77").raises(rule, Severity::Low);
    with_superuser("192.168.5.11").raises(rule, Severity::Low);
    with_superuser("192.168.5.10").says_nothing_of(rule);
}

#[test]
fn a_servers_own_supervisor_is_at_home_on_loopback_only() {
    let with = |peer| {
        let mut story = Story::default();
        story.request(
            0,
            &master("system:k3s-supervisor", "b", peer),
            "list",
            PODS,
            200,
        );
        story.request(
            1_000,
            &master("system:admin", "a", "192.168.5.10"),
            "list",
            PODS,
            200,
        );
        story
    };
    with("127.0.0.1").says_nothing_of("masters-second-credential");
    with("203.0.113.9").raises("masters-second-credential", Severity::High);
}

#[test]
fn a_kubelet_with_an_expired_certificate_is_no_brute_force() {
    let with = |node: &str| {
        let mut story = Story::default();
        let n1 = kubelet("n1", "10.0.0.1");
        // The policy leaves out what kubelets read and renew.
        story.request(0, &n1, "patch", "/api/v1/nodes/n1/status", 200);
        let refused = nobody(n1.ip, n1.agent);
        for index in 0..60 {
            let uri = match index % 3 {
                0 => format!("/api/v1/nodes/{node}?resourceVersion=0&timeout=10s"),
                1 => {
                    format!("/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/{node}")
                }
                _ => format!("/api/v1/pods?fieldSelector=spec.nodeName%3D{node}&limit=500"),
            };
            story.request(60_000 + index * 700, &refused, "get", &uri, 401);
        }
        story
    };
    with("n1").stays_calm();
    with("n2").raises("unauthorized-brute-force", Severity::Medium);
}

#[test]
fn a_program_that_retries_is_no_brute_force() {
    let mut story = Story::default();
    for attempt in 0..400 {
        story.request(
            attempt * 3000,
            &nobody("10.1.0.7", "fluent-bit/3.1"),
            "list",
            PODS,
            401,
        );
    }
    story.stays_calm();
}

#[test]
fn a_program_that_asks_a_few_paths_over_and_over_is_no_brute_force() {
    let kinds = ["pods", "services", "endpoints", "nodes", "ingresses"];
    let with = |n_rounds: u64, agents: [&'static str; 2]| {
        let mut story = Story::default();
        for round in 0..n_rounds {
            let late = nobody("10.1.0.7", agents[usize::from(round % 2 == 0)]);
            for (n, kind) in (0..).zip(kinds) {
                let uri = format!("/api/v1/namespaces/prod/{kind}");
                story.request(round * 120_000 + n * 900, &late, "list", &uri, 401);
            }
        }
        story
    };
    with(60, ["Prometheus/3.1"; 2]).raises("refused-credentials", Severity::Low);
    let found = with(60, ["curl/8", "app/2"]).raises("unauthorized-brute-force", Severity::Medium);
    assert_eq!(found.why[0], "401 in one session = 300 (at least 150)");
}

#[test]
fn informers_of_an_expired_operator_are_no_brute_force() {
    let mut story = Story::default();
    let operator = pod("operator", "operator-1", "10.1.0.7");
    for second in 0..100 {
        let uri = format!("/api/v1/namespaces/ns{}/pods", second % 15);
        let late = nobody("10.1.0.7", "app/1.0");
        story.request(second * 200, &operator, "list", &uri, 200);
        story.request(100_000 + second * 500, &late, "list", &uri, 401);
    }
    story.stays_calm();
}

#[test]
fn a_default_name_makes_no_grant_harmless() {
    let mut story = Story::default();
    let reason = r#"RBAC: allowed by ClusterRoleBinding "system:webhooks" of ClusterRole "cluster-admin" to User "system:anonymous""#;
    let event = story.request(0, &anonymous("203.0.113.9"), "list", SECRETS, 200);
    event["annotations"] =
        json!({"authorization.k8s.io/decision": "allow", "authorization.k8s.io/reason": reason});
    story.raises("anonymous-grant-in-use", Severity::Critical);
}

#[test]
fn a_credential_of_ones_own_excuses_no_guessing() {
    let mut story = Story::default();
    let uris = ["/api", "/apis", "/version", SECRETS];
    for attempt in 0..150 {
        let guess = nobody("203.0.113.9", "curl/8");
        let uri = uris[usize::try_from(attempt).unwrap() % uris.len()];
        story.request(attempt * 100, &guess, "get", uri, 401);
    }
    let mut own = person("mallory", "203.0.113.9");
    own.agent = "curl/8";
    story.request(16_000, &own, "list", PODS, 200);
    story.raises("unauthorized-brute-force", Severity::Medium);
}

#[test]
fn a_guess_that_fits_is_found_however_steady() {
    let mut story = Story::default();
    // One request without a credential must not make the guesser a known client.
    story.request(0, &anonymous("203.0.113.9"), "list", SECRETS, 403);
    for attempt in 1..450 {
        story.request(
            attempt * 500,
            &nobody("203.0.113.9", "curl/8"),
            "list",
            SECRETS,
            401,
        );
    }
    let mut bot = Client {
        agent: "curl/8",
        ..person("build-bot", "203.0.113.9")
    };
    bot.user["extra"] = json!({});
    story.request(226_000, &bot, "list", SECRETS, 200);
    let found = story.raises("unauthorized-then-success", Severity::High);
    assert_eq!(found.actor.username.as_deref(), Some("build-bot"));
}

#[test]
fn a_stray_date_costs_neither_memory_nor_findings() {
    let mut story = Story::default();
    for attempt in 0..300 {
        story.request(
            attempt * 100,
            &nobody("203.0.113.9", "curl/8"),
            "list",
            SECRETS,
            401,
        );
    }
    let stray = story.request(40_000, &person("dev", "10.9.0.1"), "list", PODS, 200);
    stray["requestReceivedTimestamp"] = json!("9999-01-01T00:00:00.000000Z");
    stray["stageTimestamp"] = json!("9999-01-01T00:00:00.000000Z");
    let timeless = story.request(41_000, &person("dev", "10.9.0.1"), "list", PODS, 200);
    timeless["requestReceivedTimestamp"] = json!("soon");
    timeless["stageTimestamp"] = json!(null);
    story.raises("unauthorized-brute-force", Severity::High);
}

#[test]
fn a_tampered_default_role_is_no_default() {
    let mut story = Story::default();
    let reason = r#"RBAC: allowed by ClusterRoleBinding "system:public-info-viewer" of ClusterRole "system:public-info-viewer" to Group "system:unauthenticated""#;
    let event = story.request(0, &anonymous("203.0.113.9"), "list", SECRETS, 200);
    event["annotations"]["authorization.k8s.io/reason"] = json!(reason);
    story.raises("anonymous-grant-in-use", Severity::Critical);
}

#[test]
fn keys_of_tokens_may_be_public() {
    let with = |uri: &str| {
        let mut story = Story::default();
        let reason = r#"RBAC: allowed by ClusterRoleBinding "federation" of ClusterRole "system:service-account-issuer-discovery" to Group "system:unauthenticated""#;
        let event = story.request(0, &anonymous("203.0.113.9"), "get", uri, 200);
        event["annotations"]["authorization.k8s.io/reason"] = json!(reason);
        story
    };
    with("/openid/v1/jwks").raises("anonymous-grant-in-use", Severity::Low);
    with(SECRETS).raises("anonymous-grant-in-use", Severity::Critical);
}

#[test]
fn a_grant_says_to_whom_and_no_secrets() {
    let mut story = Story::default();
    let uri = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/b";
    let subjects = [
        json!({"kind": "ServiceAccount", "namespace": "ci", "name": "bot"}),
        json!({"kind": "User", "name": "postgres://u:hunter22@db/x"}),
        json!({"kind": "User", "name": "{peers}"}),
    ];
    for (millis, subject) in (0..).step_by(1000).zip(subjects) {
        let event = story.request(millis, &person("dev", "10.9.0.1"), "create", uri, 201);
        event["level"] = json!("Request");
        event["objectRef"] = json!({"resource": "clusterrolebindings", "name": "b"});
        event["requestObject"] = json!({
            "roleRef": {"kind": "ClusterRole", "name": "cluster-admin"},
            "subjects": [subject],
        });
    }
    let findings = story.findings();
    let grant = findings
        .iter()
        .find(|finding| finding.rule.name == "cluster-admin-bound");
    let summary = &grant.expect("it is a grant").summary;
    // What a value says is no template.
    let told = "`dev` gave cluster-admin to postgres://u:[redacted]@db/x, {peers} and system:serviceaccount:ci:bot by";
    assert!(summary.starts_with(told), "{summary}");
}

#[test]
fn what_a_rule_is_about_is_named_first() {
    let mut story = Story::default();
    let uri = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/b";
    let event = story.request(0, &person("dev", "10.9.0.1"), "create", uri, 201);
    let account = |number: usize| json!({"kind": "ServiceAccount", "namespace": "a", "name": format!("bot{number:02}")});
    let mut subjects: Vec<Value> = (0..20).map(account).collect();
    subjects.push(json!({"kind": "Group", "name": "system:authenticated"}));
    event["level"] = json!("Request");
    event["objectRef"] = json!({"resource": "clusterrolebindings", "name": "b"});
    event["requestObject"] = json!({
        "roleRef": {"kind": "ClusterRole", "name": "edit"},
        "subjects": subjects,
    });
    let found = story.raises("everybody-made-admin", Severity::Critical);
    let named = "edit to system:authenticated, system:serviceaccount:a:bot00, system:serviceaccount:a:bot01 and 18 more";
    assert!(found.summary.contains(named), "{}", found.summary);
}

/// Eve, who acts as the group that may everything: bad enough for an incident.
fn eve(story: &mut Story, ip: &'static str) -> Client {
    let eve = person("eve", ip);
    for millis in [1_000, 2_000] {
        let event = story.request(millis, &eve, "list", SECRETS, 200);
        event["impersonatedUser"] = json!({"username": "eve", "groups": ["system:masters"]});
    }
    eve
}

/// Asserts that what these two did is one incident, and that nothing else is.
fn are_one(incidents: &[Incident], one: &str, other: &str) -> String {
    let both = incidents
        .iter()
        .find(|incident| incident.actors.iter().any(|actor| actor == one));
    let both = both.unwrap_or_else(|| panic!("{incidents:#?}"));
    let mut actors: Vec<&str> = both.actors.iter().map(String::as_str).collect();
    actors.sort_unstable();
    assert_eq!(actors, [one, other], "{incidents:#?}");
    both.tied_by.join("\n")
}

const WEB: &str = "system:serviceaccount:prod:web";

#[test]
fn a_token_goes_away_with_who_was_in_its_pod() {
    let mut story = Story::of_a_pod(100, PODS);
    let eve = eve(&mut story, "203.0.113.7");
    story.request(30_500, &eve, "create", &format!("{PODS}/web-1/exec"), 101);
    let away = pod("web", "web-1", "198.51.100.9");
    for second in 40..50 {
        story.request(second * 1000 + 500, &away, "list", SECRETS, 200);
    }
    let tied_by = are_one(&story.incidents(), "eve", WEB);
    assert!(
        tied_by.contains("Pod prod/web-1, which is the work of eve"),
        "{tied_by}"
    );
}

#[test]
fn a_minted_token_is_its_minters() {
    let mut story = Story::of_a_pod(100, PODS);
    let mint = |story: &mut Story, client: &Client, millis| {
        let uri = "/api/v1/namespaces/prod/serviceaccounts/web/token";
        let event = story.request(millis, client, "create", uri, 201);
        let id = json!("JTI=web-2");
        event["annotations"]["authentication.kubernetes.io/issued-credential-id"] = id;
    };
    let away = |story: &mut Story| {
        let [home, away] = ["10.1.0.8", "198.51.100.9"].map(|ip| pod("web", "web-2", ip));
        for millis in [35_500, 55_500] {
            story.request(millis, &home, "list", PODS, 200);
        }
        for second in 40..50 {
            story.request(second * 1000 + 500, &away, "list", SECRETS, 200);
        }
    };
    let eve_there = eve(&mut story, "203.0.113.7");
    mint(&mut story, &eve_there, 30_500);
    away(&mut story);
    let tied_by = are_one(&story.incidents(), "eve", WEB);
    assert!(
        tied_by.contains("token JTI=web-2, which is the work of eve"),
        "{tied_by}"
    );
    // Minted at home by whose key was stolen, and by a node in its daily work: two stories.
    let kubelet = Client {
        user: json!({"username": "system:node:n1"}),
        ..person("n1", "203.0.113.7")
    };
    for minter in [person("eve", "10.9.0.1"), kubelet] {
        let mut story = Story::of_a_pod(100, PODS);
        eve(&mut story, "203.0.113.7");
        mint(&mut story, &minter, 30_500);
        away(&mut story);
        let incidents = story.incidents();
        let of_eve = incidents
            .iter()
            .filter(|incident| incident.actors == ["eve"]);
        assert_eq!(of_eve.count(), 1, "{incidents:#?}");
    }
}

#[test]
fn an_address_of_many_ties_nothing() {
    let crowd = |n: u64| {
        let mut story = Story::default();
        for at in 0..n {
            let user = person(&format!("user-{at}"), "203.0.113.7");
            story.request(at, &user, "list", PODS, 200);
        }
        eve(&mut story, "203.0.113.7");
        let mallory = person("mallory", "203.0.113.7");
        for millis in [61_000, 62_000] {
            let event = story.request(millis, &mallory, "list", SECRETS, 200);
            event["impersonatedUser"] = json!({"username": "x", "groups": ["system:masters"]});
        }
        story.incidents()
    };
    assert!(are_one(&crowd(2), "eve", "mallory").contains("address 203.0.113.7"));
    let apart = crowd(12);
    let actors: Vec<_> = apart
        .iter()
        .map(|incident| incident.actors.join(" "))
        .collect();
    assert_eq!(actors, ["eve", "mallory"], "{apart:#?}");
}

#[test]
fn many_stolen_tokens_make_no_gateway() {
    let steal = |n_at_home: usize| {
        let mut story = Story::default();
        let names: Vec<String> = (0..16).map(|n| format!("app{n}")).collect();
        for (n, name) in names.iter().enumerate() {
            let home: &str = Box::leak(format!("10.1.0.{}", 10 + n).into_boxed_str());
            let at = n as u64 * 1000;
            story.request(at, &pod(name, name, home), "list", PODS, 200);
        }
        // Some Pods that were never seen elsewhere: a gateway of theirs.
        for n in 0..n_at_home {
            let name = format!("inner{n}");
            let at = 20_000 + n as u64 * 1000;
            story.request(at, &pod(&name, &name, "10.0.9.200"), "list", PODS, 200);
        }
        for (n, name) in names.iter().enumerate() {
            let other = Client {
                agent: "other/2.0",
                ..pod(name, name, "10.0.9.200")
            };
            story.request(60_000 + n as u64 * 1000, &other, "list", SECRETS, 200);
        }
        let findings = story.findings().into_iter();
        let away = findings.filter(|finding| finding.rule.name == "pod-token-away");
        let severities: Vec<Severity> = away.map(|finding| finding.severity).collect();
        assert_eq!(severities.len(), 16);
        severities
    };
    assert!(steal(0).iter().all(|severity| *severity == Severity::High));
    assert!(steal(16).iter().all(|severity| *severity == Severity::Low));
    // The same program, and never back: the Pod may have moved, but nobody moves a tool.
    let moved = |agent: &'static str| {
        let mut story = Story::default();
        let home = Client {
            agent,
            ..pod("web", "web-1", "10.1.0.7")
        };
        story.request(0, &home, "list", PODS, 200);
        let away = Client {
            ip: "10.1.0.8",
            ..home
        };
        story.request(60_000, &away, "list", SECRETS, 200);
        story
    };
    moved("app/1.0").raises("pod-token-away", Severity::Low);
    moved("curl/8.5.0").raises("pod-token-away", Severity::High);
}

#[test]
fn a_nodes_second_certificate_vouches_for_no_place() {
    let mut story = Story::default();
    let node = |fingerprint: &str, ip| {
        let mut node = person("system:node:n1", ip);
        node.user["groups"] = json!(["system:nodes", "system:authenticated"]);
        node.user["extra"]["authentication.kubernetes.io/credential-id"][0] =
            json!(format!("X509SHA256={fingerprint}"));
        node.agent = "kubelet/v1.36.2 (linux/amd64) kubernetes/8e16b12";
        node
    };
    story.request(0, &node("own", "10.0.0.1"), "get", PODS, 200);
    story.request(1_000, &pod("web", "web-1", "10.1.0.7"), "list", PODS, 200);
    story.request(2_000, &node("rogue", "10.9.9.9"), "get", SECRETS, 403);
    story.request(3_000, &node("rogue", "10.9.9.9"), "get", PODS, 200);
    for second in 4..8 {
        let away = pod("web", "web-1", "10.9.9.9");
        story.request(second * 1_000, &away, "list", SECRETS, 200);
        let home = pod("web", "web-1", "10.1.0.7");
        story.request(second * 1_000 + 500, &home, "list", PODS, 200);
    }
    story.request(60_000, &node("own", "10.0.0.1"), "get", PODS, 200);
    let findings = story.findings();
    for rule in ["pod-token-away", "node-in-two-places"] {
        let found = findings.iter().find(|finding| finding.rule.name == rule);
        assert_eq!(
            found.map(|found| found.severity),
            Some(Severity::High),
            "{rule}"
        );
    }
}

#[test]
fn a_network_that_guesses_slowly_is_told() {
    const ADDRESSES: [&str; 10] = [
        "198.51.100.10",
        "198.51.100.11",
        "198.51.100.12",
        "198.51.100.13",
        "198.51.100.14",
        "198.51.100.15",
        "198.51.100.16",
        "198.51.100.17",
        "198.51.100.18",
        "198.51.100.19",
    ];
    const MINUTE: u64 = 60_000;
    const SPRAY: &str = "unauthorized-spray";
    let guess = |n: usize| {
        let mut story = Story::default();
        let home = person("ann", "10.9.0.1");
        story.request(0, &home, "list", PODS, 200);
        for (at, ip) in (1..).zip(ADDRESSES.into_iter().cycle().take(n)) {
            let stranger = nobody(ip, "kubectl/v1.28.2 (linux/amd64) kubernetes/89a4ea3");
            story.request(at * 4 * MINUTE, &stranger, "get", "/api", 401);
        }
        story
    };
    guess(28).raises(SPRAY, Severity::Medium);
    guess(12).says_nothing_of(SPRAY);
    // Somebody who is new gets in from there: no excuse. Somebody who is known elsewhere may live there.
    let let_in = |name: &str, millis: u64| {
        let mut story = guess(28);
        story.request(millis, &person(name, "198.51.100.30"), "list", PODS, 200);
        story
    };
    let found = let_in("eve", 130 * MINUTE).raises(SPRAY, Severity::Medium);
    assert!(
        found.why.iter().any(|why| why.ends_with("eve")),
        "{:?}",
        found.why
    );
    let_in("ann", 130 * MINUTE).raises(SPRAY, Severity::Low);
    let_in("ann", MINUTE).says_nothing_of(SPRAY);
}

const MINTED: &str = "/api/v1/namespaces/prod/serviceaccounts/db/token";
const MINT: &str = "token-requested-by-service-account";
const HOUR: u64 = 3_600_000;

/// A program that mints a token every six hours for three days, from `from` hours on.
fn broker(from: u64) -> Story {
    let mut story = Story::of_a_pod(1, PODS);
    let broker = pod("broker", "broker-1", "10.1.0.9");
    for at in 0..12 {
        story.request((from + 6 * at) * HOUR, &broker, "create", MINTED, 201);
    }
    story
}

/// Returns how bad each of the findings on tokens is, and how many requests it is about.
fn mints(story: Story) -> Vec<(Severity, u64)> {
    let findings = story.findings().into_iter();
    let mints = findings.filter(|finding| finding.rule.name == MINT);
    let mut said: Vec<_> = mints.map(|it| (it.severity, it.count)).collect();
    said.sort_unstable();
    said
}

#[test]
fn a_habit_as_old_as_the_log_is_one_low_finding() {
    assert_eq!(mints(broker(1)), [(Severity::Low, 12)]);
}

#[test]
fn a_habit_that_begins_later_is_one_finding_of_full_weight() {
    assert_eq!(mints(broker(30)), [(Severity::Medium, 12)]);
}

#[test]
fn what_is_new_is_no_part_of_a_habit() {
    let thief = pod("broker", "broker-1", "10.1.0.66");
    let mut program = pod("broker", "broker-1", "10.1.0.9");
    program.agent = "kubectl/v1.36.2";
    let other = "/api/v1/namespaces/prod/serviceaccounts/admin/token";
    let broker_itself = pod("broker", "broker-1", "10.1.0.9");
    for (client, uri) in [(thief, MINTED), (program, MINTED), (broker_itself, other)] {
        let mut story = broker(1);
        story.request(50 * HOUR, &client, "create", uri, 201);
        assert_eq!(mints(story), [(Severity::Low, 12), (Severity::Medium, 1)]);
    }
}
