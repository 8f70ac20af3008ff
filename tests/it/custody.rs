//! Stories of how credentials are made, held and used up.

use kubescry::finding::Severity;
use serde_json::{Value, json};

use crate::stories::{Client, PODS, SECRETS, Story, nobody, person, pod};

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
    story.says_nothing_of("token-lineage-break");
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
    story.says_nothing_of("minted-tokens");
}

/// A watch of `client` that was open between two moments.
fn watch(story: &mut Story, client: &Client, open: std::ops::Range<u64>) {
    let from = story.request(open.start, client, "get", PODS, 200)["stageTimestamp"].clone();
    let event = story.request(open.end, client, "watch", PODS, 200);
    event["requestReceivedTimestamp"] = from;
}

#[test]
fn a_watch_that_outlasts_another_address_proves_two_holders() {
    let mut story = Story::default();
    watch(&mut story, &person("dev", "10.9.0.1"), 0..600_000);
    story.request(60_000, &person("dev", "192.0.2.7"), "list", SECRETS, 200);
    let found = story.raises("impossible-concurrency", Severity::High);
    assert_eq!(found.source.ips, ["10.9.0.1", "192.0.2.7"]);
    assert_eq!(found.count, 2);
    assert!(!found.summary.contains("is new"), "{}", found.summary);
}

#[test]
fn of_two_places_the_newcomer_is_named() {
    let mut story = Story::default();
    for minute in 0..120 {
        story.request(
            minute * 60_000,
            &person("dev", "10.9.0.1"),
            "list",
            PODS,
            200,
        );
    }
    watch(&mut story, &person("dev", "10.9.0.1"), 7_200_000..7_800_000);
    story.request(7_260_000, &person("dev", "192.0.2.7"), "list", SECRETS, 200);
    let found = story.raises("impossible-concurrency", Severity::High);
    let says = "; 10.9.0.1 is known since 2026-11-22T05:00:00.000000Z, 192.0.2.7 is new";
    assert!(found.summary.ends_with(says), "{}", found.summary);
}

#[test]
fn two_pods_of_one_node_are_no_gateway() {
    let mut story = Story::default();
    let [here, there] = ["10.244.1.22", "10.244.1.90"].map(|ip| pod("web", "web-1", ip));
    watch(&mut story, &here, 0..600_000);
    story.request(60_000, &there, "list", SECRETS, 200);
    // `pod-token-away` speaks of it, too.
    story.raises("impossible-concurrency", Severity::Informational);
}

#[test]
fn watches_that_a_laptop_leaves_behind_prove_nothing() {
    let mut story = Story::default();
    for informer in 0..8 {
        let open = informer * 100..145_000 + informer;
        watch(&mut story, &person("dev", "10.9.0.1"), open);
    }
    for second in 100..400 {
        story.request(
            second * 1000,
            &person("dev", "192.0.2.7"),
            "list",
            PODS,
            200,
        );
    }
    story.says_nothing_of("impossible-concurrency");
}

#[test]
fn a_watch_that_ends_by_its_timeout_proves_nothing_unless_it_is_opened_again() {
    let story = |again_at: Option<u64>| {
        let mut story = Story::default();
        let home = person("dev", "10.9.0.1");
        watch(&mut story, &home, 0..480_000);
        let (_, event) = story.events.last_mut().unwrap();
        event["requestURI"] = json!(format!("{PODS}?timeoutSeconds=480&watch=true"));
        story.request(60_000, &person("dev", "192.0.2.7"), "list", SECRETS, 200);
        if let Some(at) = again_at {
            watch(&mut story, &home, at..at + 400_000);
        }
        story
    };
    let rule = "impossible-concurrency";
    story(None).says_nothing_of(rule);
    // A laptop that comes back an hour later.
    story(Some(4_000_000)).says_nothing_of(rule);
    story(Some(481_000)).raises(rule, Severity::High);
}

#[test]
fn a_gateway_with_two_addresses_is_one_place() {
    let mut story = Story::default();
    watch(&mut story, &person("dev", "10.9.0.1"), 0..600_000);
    story.request(60_000, &person("dev", "10.9.0.2"), "list", SECRETS, 200);
    story.says_nothing_of("impossible-concurrency");
}

#[test]
fn what_is_known_to_be_shared_is_said_once() {
    let mut story = Story::default();
    watch(&mut story, &person("dev", "10.9.0.1"), 0..600_000);
    for second in 1..30 {
        let ip = if second % 3 == 0 {
            "10.9.0.1"
        } else {
            "192.0.2.7"
        };
        story.request(second * 1000, &person("dev", ip), "list", SECRETS, 200);
    }
    story.raises("impossible-concurrency", Severity::Informational);
}

#[test]
fn a_secret_token_that_nobody_uses_is_listed() {
    let mut story = Story::default();
    let secret = "/api/v1/namespaces/prod/secrets/web-token";
    story.request(0, &person("dev", "10.9.0.1"), "create", secret, 201);
    let mut controller = person("kcm", "10.0.0.1");
    controller.user["username"] = json!("system:kube-controller-manager");
    story.request(20, &controller, "update", secret, 200);
    let found = story.raises("secret-token-lifecycle", Severity::Low);
    assert!(
        found.why[0].contains("never used in this log"),
        "{:?}",
        found.why
    );
    assert!(
        found.why[0].starts_with("Secret prod/web-token: made by dev"),
        "{:?}",
        found.why
    );
}

#[test]
fn a_secret_that_holds_no_token_is_no_token() {
    let mut story = Story::default();
    let secret = "/api/v1/namespaces/prod/secrets/password";
    story.request(0, &person("dev", "10.9.0.1"), "create", secret, 201);
    story.request(20, &person("dev", "10.9.0.1"), "update", secret, 200);
    story.says_nothing_of("secret-token-lifecycle");
}

#[test]
fn people_after_machines_are_no_mixed_use() {
    let mut story = Story::default();
    for second in 0..100 {
        let mut client = person("dev", "10.9.0.1");
        if second < 50 {
            client.agent = "python-requests/2.34.2";
        }
        story.request(second * 1000, &client, "list", PODS, 200);
    }
    story.says_nothing_of("mixed-use");
}

#[test]
fn a_tool_that_somebody_runs_at_their_desk_is_no_machine() {
    let with = |ip: &'static str, every: u64| {
        let mut story = Story::default();
        for second in 0..100 {
            let person = person("dev", "10.9.0.1");
            story.request(second * 1000, &person, "list", PODS, 200);
            let tool = Client {
                agent: "popeye/v0.22 (linux/amd64) kubernetes/$Format",
                ip,
                ..person
            };
            if second % every == 0 {
                story.request(second * 1000 + 1, &tool, "list", PODS, 200);
            }
        }
        story
    };
    with("10.9.0.1", 4).says_nothing_of("mixed-use");
    with("10.9.0.2", 4).raises("mixed-use", Severity::Low);
    let found = with("10.9.0.1", 1).raises("mixed-use", Severity::Low);
    assert!(
        found
            .why
            .iter()
            .any(|why| why.contains("address of the people"))
    );
}

#[test]
fn a_refusal_is_explained_by_what_its_program_had() {
    let mut story = Story::default();
    for second in 0..60 {
        story.request(second * 1000, &person("dev", "10.9.0.1"), "list", PODS, 200);
    }
    let late = nobody(
        "10.9.0.1",
        "kubectl/v1.36.2 (linux/amd64) kubernetes/8e16b12",
    );
    for second in 100..110 {
        story.request(second * 1000, &late, "list", PODS, 401);
    }
    let found = story.raises("refused-credentials", Severity::Low);
    assert!(
        found.summary.contains("an expired client certificate"),
        "{}",
        found.summary
    );
    assert!(found.next_steps[0].starts_with("Renew the certificate"));
}

#[test]
fn a_refusal_says_itself_what_was_wrong() {
    let mut story = Story::default();
    let client = nobody("10.9.0.1", "curl/8");
    for second in 0..5 {
        let event = story.request(second * 1000, &client, "list", PODS, 401);
        event["responseStatus"]["message"] =
            json!("Authentication failed, no credentials provided");
    }
    let found = story.raises("refused-credentials", Severity::Low);
    assert!(
        found.summary.contains("not a Bearer token"),
        "{}",
        found.summary
    );
}

#[test]
fn a_token_that_was_invalidated_names_its_secret() {
    let mut story = Story::default();
    let client = nobody("10.9.0.1", "curl/8");
    let event = story.request(0, &client, "list", PODS, 401);
    event["annotations"] =
        json!({"authentication.k8s.io/legacy-token-invalidated": "prod/old-token"});
    let found = story.raises("refused-credentials", Severity::Low);
    assert!(found.why[1].contains("prod/old-token"), "{:?}", found.why);
}

#[test]
fn a_node_moves_in_once_and_is_not_abroad_then() {
    let node = |ip| {
        let user = json!({"username": "system:node:n1", "groups": ["system:nodes"]});
        let agent = "kubelet/v1.36.2";
        Client { user, ip, agent }
    };
    let with = |places: [(&'static str, u64); 2]| {
        let mut story = Story::default();
        let places = places.iter().flat_map(|&(ip, n)| (0..n).map(move |_| ip));
        for (second, ip) in (0..).zip(places) {
            story.request(second * 10_000, &node(ip), "get", PODS, 200);
        }
        story
    };
    let found =
        with([("10.0.3.1", 20), ("198.51.100.77", 1)]).raises("node-from-internet", Severity::High);
    assert_eq!(found.source.ips, ["198.51.100.77"]);
    with([("198.51.100.77", 1), ("10.0.3.1", 20)]).raises("node-from-internet", Severity::High);
    with([("203.0.113.4", 5), ("10.0.3.1", 2)]).says_nothing_of("node-from-internet");
    with([("203.0.113.4", 5), ("203.0.113.5", 2)]).says_nothing_of("node-from-internet");
}

/// The annotations of a request that a binding of ClusterRole `of` for the whole cluster lets through.
fn reason(of: &str) -> Value {
    let reason =
        format!("RBAC: allowed by ClusterRoleBinding \"x\" of ClusterRole \"{of}\" to User \"y\"");
    json!({"authorization.k8s.io/decision": "allow", "authorization.k8s.io/reason": reason})
}

#[test]
fn a_token_of_a_superuser_is_a_rise_for_whoever_is_none() {
    let with = |account: &str, minter: &str| {
        let mut story = Story::default();
        let web = pod("web", "web-1", "10.1.0.7");
        story.request(0, &web, "list", SECRETS, 200)["annotations"] = reason(account);
        let dev = person("dev", "10.9.0.1");
        story.request(1_000, &dev, "list", PODS, 200)["annotations"] = reason(minter);
        mint(&mut story, 5_500, "JTI=minted", "10.9.0.1");
        story
    };
    let found = with("cluster-admin", "edit").raises("superuser-token-minted", Severity::High);
    assert_eq!(found.actor.username.as_deref(), Some("dev"));
    with("cluster-admin", "cluster-admin").says_nothing_of("superuser-token-minted");
    with("edit", "view").says_nothing_of("superuser-token-minted");
}

#[test]
fn a_pod_of_a_superuser_is_a_rise_for_whoever_is_none() {
    let named = json!({"serviceAccountName": "web", "containers": []});
    let with = |writer: &Client, rights: &str, verb: &str, code: u16, body: Value| {
        let mut story = Story::default();
        let web = pod("web", "web-1", "10.1.0.7");
        story.request(0, &web, "list", SECRETS, 200)["annotations"] = reason("cluster-admin");
        story.request(1_000, writer, "list", PODS, 200)["annotations"] = reason(rights);
        let jobs = "/apis/batch/v1/namespaces/prod/jobs/backup";
        let event = story.request(2_000, writer, verb, jobs, code);
        event["level"] = json!("Request");
        event["objectRef"] = json!({"resource": "jobs", "namespace": "prod", "name": "backup"});
        event["requestObject"] = body;
        story
    };
    let job = |spec: &Value| json!({"kind": "Job", "spec": {"template": {"spec": spec}}});
    let dev = person("dev", "10.9.0.1");
    let found = with(&dev, "edit", "create", 201, job(&named))
        .raises("pod-runs-as-superuser", Severity::Medium);
    assert_eq!(found.actor.username.as_deref(), Some("dev"));
    assert!(
        found.summary.contains("system:serviceaccount:prod:web"),
        "{}",
        found.summary
    );
    let patch =
        json!([{"op": "add", "path": "/spec/template/spec/serviceAccountName", "value": "web"}]);
    with(&dev, "edit", "patch", 200, patch).raises("pod-runs-as-superuser", Severity::Medium);

    let hand = Client {
        agent: "kubectl/v1.36.2",
        ..pod("app", "app-1", "10.1.0.8")
    };
    with(&hand, "edit", "create", 201, job(&named))
        .raises("pod-runs-as-superuser", Severity::Medium);

    let other = json!({"serviceAccountName": "app", "containers": []});
    let pipeline = pod("app", "app-1", "10.1.0.8");
    for (writer, rights, verb, code, spec) in [
        (&dev, "cluster-admin", "create", 201, &named),
        (&dev, "edit", "create", 403, &named),
        (&dev, "edit", "create", 201, &other),
        (&dev, "edit", "create", 201, &json!({"containers": []})),
        (&dev, "edit", "patch", 200, &named),
        (&pipeline, "edit", "create", 201, &named),
    ] {
        with(writer, rights, verb, code, job(spec)).says_nothing_of("pod-runs-as-superuser");
    }
}

#[test]
fn a_workload_that_is_moved_under_a_superuser_is_a_rise_however_it_is_written() {
    let deployment = |account: Option<&str>| {
        let spec = json!({"serviceAccountName": account, "containers": []});
        json!({"kind": "Deployment", "spec": {"template": {"spec": spec}}})
    };
    let with = |before: Option<Value>, verb: &str, now: Value| {
        let mut story = Story::default();
        let web = pod("web", "web-1", "10.1.0.7");
        let dev = person("dev", "10.9.0.1");
        story.request(0, &web, "list", SECRETS, 200)["annotations"] = reason("cluster-admin");
        story.request(1_000, &dev, "list", PODS, 200)["annotations"] = reason("edit");
        let pipeline = pod("app", "app-1", "10.1.0.8");
        let writes = [
            before.map(|body| (2_000, &pipeline, "create", 201, body)),
            Some((3_000, &dev, verb, 200, now)),
        ];
        for (millis, client, verb, code, body) in writes.into_iter().flatten() {
            let shop = "/apis/apps/v1/namespaces/prod/deployments/shop";
            let event = story.request(millis, client, verb, shop, code);
            event["level"] = json!("Request");
            event["objectRef"] =
                json!({"resource": "deployments", "namespace": "prod", "name": "shop"});
            event["requestObject"] = body;
        }
        story
    };
    for verb in ["update", "patch"] {
        for before in [Some("app"), None] {
            with(Some(deployment(before)), verb, deployment(Some("web")))
                .raises("pod-runs-as-superuser", Severity::Medium);
        }
        for (before, now) in [
            (Some(deployment(Some("web"))), Some("web")),
            (Some(deployment(Some("web"))), None),
            (Some(deployment(Some("app"))), Some("app")),
            (None, Some("web")),
        ] {
            with(before, verb, deployment(now)).says_nothing_of("pod-runs-as-superuser");
        }
    }
}

#[test]
fn nodes_that_change_their_endpoint_together_are_not_stolen() {
    let mut story = Story::default();
    for (name, home, abroad) in [
        ("system:node:n1", "10.0.3.1", "198.51.100.77"),
        ("system:node:n2", "10.0.3.2", "198.51.100.78"),
    ] {
        for (millis, ip) in [(0, home), (10_000, abroad)] {
            let user = json!({"username": name, "groups": ["system:nodes"]});
            let agent = "kubelet/v1.36.2";
            story.request(millis, &Client { user, ip, agent }, "get", PODS, 200);
        }
    }
    story.raises("node-from-internet", Severity::Low);
}

/// What the ClusterRoleBinding `binding` of `cluster-admin` lets a client do.
fn superuser(story: &mut Story, millis: u64, client: &Client, uri: &str, binding: &str) {
    let event = story.request(millis, client, "list", uri, 200);
    let user = client.user["username"].as_str().unwrap();
    event["annotations"]["authorization.k8s.io/reason"] = json!(format!(
        "RBAC: allowed by ClusterRoleBinding \"{binding}\" of ClusterRole \"cluster-admin\" to User \"{user}\""
    ));
}

#[test]
fn who_became_a_superuser_by_a_token_was_none_before() {
    let rise = |since: u64| {
        let mut story = Story::default();
        let dev = person("dev", "10.9.0.1");
        superuser(&mut story, since, &dev, SECRETS, "of-dev");
        let token = mint(&mut story, 10_000, "JTI=minted", "10.9.0.1");
        superuser(&mut story, 20_000, &token, SECRETS, "of-web");
        story
    };
    let found = rise(30_000).raises("superuser-token-minted", Severity::High);
    assert_eq!(found.actor.username.as_deref(), Some("dev"));
    rise(5_000).says_nothing_of("superuser-token-minted");
}

#[test]
fn a_secret_with_the_token_of_a_superuser_is_a_rise() {
    let rise = |maker: &Client, since: u64| {
        let mut story = Story::default();
        let secret = "/api/v1/namespaces/prod/secrets/kept";
        superuser(
            &mut story,
            since,
            &person("admin", "10.9.0.2"),
            SECRETS,
            "of-admin",
        );
        story.request(10_000, maker, "create", secret, 201);
        let mut controller = person("system:kube-controller-manager", "10.0.0.1");
        controller.agent = "kube-controller-manager/v1.36.2";
        story.request(10_100, &controller, "update", secret, 200);
        let holder = Client {
            user: json!({"username": "system:serviceaccount:prod:web", "uid": "uid-web"}),
            ip: "203.0.113.9",
            agent: "app/1.0",
        };
        let event = story.request(20_000, &holder, "list", SECRETS, 200);
        event["annotations"]["authentication.k8s.io/legacy-token"] =
            json!("system:serviceaccount:prod:web");
        event["annotations"]["authentication.k8s.io/legacy-token-manual-secret"] = json!("kept");
        event["annotations"]["authorization.k8s.io/reason"] = json!(
            "RBAC: allowed by ClusterRoleBinding \"of-web\" of ClusterRole \"cluster-admin\" to ServiceAccount \"web/prod\""
        );
        story
    };
    let found =
        rise(&person("dev", "10.9.0.1"), 0).raises("superuser-token-minted", Severity::High);
    assert_eq!(found.actor.username.as_deref(), Some("dev"));
    assert!(found.summary.contains("`prod/kept`"), "{}", found.summary);
    rise(&person("admin", "10.9.0.2"), 0).says_nothing_of("superuser-token-minted");
}

/// A controller manager at an address, with its own program's name.
fn controller_manager(ip: &'static str) -> Client {
    Client {
        agent: "kube-controller-manager/v1.36.2 (linux/amd64) kubernetes/8e16b12",
        ..person("system:kube-controller-manager", ip)
    }
}

#[test]
fn who_works_between_two_renewals_of_the_leader_is_another() {
    const LOCK: &str = "/api/v1/namespaces/kube-system/endpoints/kube-controller-manager";
    let token = "/api/v1/namespaces/kube-system/serviceaccounts/root-ca-cert-publisher/token";
    let reviews = "/api/v1/namespaces/kube-system/tokenreviews";
    let (first, second) = (
        controller_manager("10.0.0.1"),
        controller_manager("10.0.0.2"),
    );
    // The first leads until `until`, in seconds; the second then, if it takes over.
    let lead = |until: u64, takes_over: bool, work: &str| {
        let mut story = Story::default();
        for at in (0..120).step_by(2) {
            let leader = if at < until { &first } else { &second };
            if at < until || takes_over {
                story.request(at * 1000, leader, "update", LOCK, 200);
            }
        }
        story.request(60_500, &second, "create", work, 201);
        story
    };
    let found = lead(120, false, token).raises("component-in-two-places", Severity::High);
    assert_eq!(found.source.ips, ["10.0.0.2"]);
    assert_eq!(found.count, 1);
    lead(60, true, token).says_nothing_of("component-in-two-places");
    lead(60, false, token).says_nothing_of("component-in-two-places");
    lead(120, false, reviews).says_nothing_of("component-in-two-places");
}

/// Asks for Pods with the token of the Secret `kept`.
fn ask_with_secret_token(story: &mut Story, at: u64, client: &Client) {
    let event = story.request(at, client, "list", PODS, 200);
    event["annotations"]["authentication.k8s.io/legacy-token"] =
        json!("system:serviceaccount:prod:web");
    event["annotations"]["authentication.k8s.io/legacy-token-manual-secret"] = json!("kept");
}

#[test]
fn who_read_the_secret_of_a_token_is_named_when_it_comes_up_elsewhere() {
    let holder = |ip: &'static str, agent: &'static str| Client {
        user: json!({"username": "system:serviceaccount:prod:web", "uid": "uid-web"}),
        ip,
        agent,
    };
    let secret = "/api/v1/namespaces/prod/secrets/kept";
    // The holder asks for `seconds`; somebody reads the Secret, and the token comes up at `ip`.
    let take = |reader: &Client, uri: &str, seconds: u64, ip, agent| {
        let mut story = Story::default();
        for at in 0..seconds {
            ask_with_secret_token(&mut story, at * 1000, &holder("10.1.0.7", "app/1.0"));
        }
        story.request(10_500, reader, "get", uri, 200);
        ask_with_secret_token(&mut story, 20_500, &holder(ip, agent));
        story
    };
    let dev = person("dev", "10.9.0.1");
    let found =
        take(&dev, secret, 120, "10.9.0.1", "app/1.0").raises("secret-token-taken", Severity::High);
    assert_eq!(found.actor.username.as_deref(), Some("dev"));
    take(&dev, SECRETS, 120, "10.9.0.1", "app/1.0").raises("secret-token-taken", Severity::High);
    take(&dev, secret, 120, "10.9.0.5", "kubectl/v1.36")
        .raises("secret-token-taken", Severity::Medium);
    take(&dev, secret, 120, "203.0.113.9", "curl/8").raises("secret-token-taken", Severity::High);
    // A further Pod of the same program; a holder that moved; who cannot have known it.
    take(&dev, secret, 120, "10.1.0.8", "app/1.0").says_nothing_of("secret-token-taken");
    take(&dev, secret, 15, "10.9.0.5", "curl/8").says_nothing_of("secret-token-taken");
    take(&dev, SECRETS, 120, "10.9.0.5", "curl/8").says_nothing_of("secret-token-taken");
    let mut node = person("system:node:n1", "10.0.0.1");
    node.user["groups"] = json!(["system:nodes", "system:authenticated"]);
    take(&node, secret, 120, "203.0.113.9", "curl/8").says_nothing_of("secret-token-taken");
}

/// A Pod that is bound to a node.
fn pod_on(node: &str, name: &str, ip: &'static str, agent: &'static str) -> Client {
    let mut client = Client {
        agent,
        ..pod(name, name, ip)
    };
    client.user["extra"]["authentication.kubernetes.io/node-name"] = json!([node]);
    client
}

#[test]
fn pods_of_several_nodes_with_two_addresses_each_are_masqueraded() {
    let ask = |nodes: &[(&str, &'static str, &'static str)], agent| {
        let mut story = Story::default();
        for (n, &(node, outer, inner)) in nodes.iter().enumerate() {
            for name in ["csi", "operator"] {
                let name = format!("{name}-{n}");
                for second in 0..20 {
                    let at = second * 1000 + n as u64;
                    let is_inner = second % 2 == 1 && name.starts_with("csi");
                    let (ip, agent) = if is_inner {
                        (inner, agent)
                    } else {
                        (outer, "csi/1")
                    };
                    story.request(at, &pod_on(node, &name, ip, agent), "list", PODS, 200);
                }
            }
        }
        story
    };
    let two = [
        ("n1", "10.0.0.1", "10.244.1.7"),
        ("n2", "10.0.0.2", "10.244.2.7"),
    ];
    ask(&two, "sidecar/1").says_nothing_of("pod-token-away");
    ask(&two, "curl/8").raises("pod-token-away", Severity::High);
    ask(&two[..1], "sidecar/1").raises("pod-token-away", Severity::High);
}

#[test]
fn a_second_token_at_the_nodes_address_alone_is_anothers() {
    let story = |with_first: bool| {
        let mut node = person("system:node:n1", "10.0.0.1");
        node.user["groups"] = json!(["system:nodes", "system:authenticated"]);
        let mut story = Story::default();
        story.request(0, &node, "get", PODS, 200);
        let mut second = pod("web", "web-1", "10.0.0.1");
        second.user["extra"]["authentication.kubernetes.io/credential-id"] = json!(["JTI=minted"]);
        for at in 1..90 {
            let home = pod("web", "web-1", "10.1.0.7");
            story.request(at * 1000, &home, "list", PODS, 200);
            // Behind the node some of the time, and so its next token is, too.
            if with_first && at % 9 == 0 {
                let home = pod("web", "web-1", "10.0.0.1");
                story.request(at * 1000 + 300, &home, "list", PODS, 200);
            }
        }
        story.request(20_500, &second, "list", SECRETS, 200);
        story
    };
    story(false).raises("pod-token-away", Severity::High);
    story(true).says_nothing_of("pod-token-away");
}
