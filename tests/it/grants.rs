//! Stories of roles that are written and given away.

use kubescry::finding::{Finding, Severity};
use serde_json::{Value, json};

use crate::stories::{Client, Story, person, pod};

const RULE: &str = "powerful-role-bound";

fn master() -> Client {
    let mut client = person("root", "10.9.0.1");
    client.user["groups"] = json!(["system:masters", "system:authenticated"]);
    client
}

/// A write to RBAC; `what` is `KIND NAME` or `KIND NAMESPACE/NAME`.
fn write(story: &mut Story, second: u64, client: &Client, verb: &str, what: &str, body: Value) {
    let (kind, name) = what.split_once(' ').unwrap();
    let resource = format!("{}s", kind.to_lowercase());
    let (namespace, name) = match name.split_once('/') {
        Some((namespace, name)) => (Some(namespace), name),
        None => (None, name),
    };
    let code = if verb == "create" { 201 } else { 200 };
    let uri = format!("/apis/rbac.authorization.k8s.io/v1/{resource}");
    let event = story.request(second * 1000, client, verb, &uri, code);
    event["level"] = json!("Request");
    event["objectRef"] = json!({"resource": resource, "namespace": namespace, "name": name});
    event["objectRef"]["apiGroup"] = json!("rbac.authorization.k8s.io");
    event["requestObject"] = body;
}

fn role(verbs: &[&str], group: &str, resources: &[&str]) -> Value {
    json!({"kind": "ClusterRole", "rules": [
        {"verbs": ["get"], "apiGroups": [""], "resources": ["configmaps"]},
        {"verbs": verbs, "apiGroups": [group], "resources": resources},
    ]})
}

fn binding(role: &str, subjects: &[Value]) -> Value {
    let (kind, name) = role.split_once(' ').unwrap();
    json!({"kind": "Binding", "roleRef": {"kind": kind, "name": name}, "subjects": subjects})
}

fn subject(kind: &str, name: &str) -> Value {
    match kind {
        "ServiceAccount" => json!({"kind": kind, "name": name, "namespace": "prod"}),
        _ => json!({"kind": kind, "name": name}),
    }
}

/// A role and its binding by `root`, a minute apart.
fn given(role: &Value, to: &[Value]) -> Story {
    let mut story = Story::default();
    write(
        &mut story,
        0,
        &master(),
        "create",
        "ClusterRole x",
        role.clone(),
    );
    let body = binding("ClusterRole x", to);
    write(
        &mut story,
        60,
        &master(),
        "create",
        "ClusterRoleBinding y",
        body,
    );
    story
}

fn all() -> Value {
    role(&["*"], "*", &["*"])
}

#[test]
fn everything_given_away_is_as_bad_as_cluster_admin() {
    let found = given(&all(), &[subject("User", "eve")]).raises(RULE, Severity::High);
    assert_eq!(
        found.summary,
        "`root` gave ClusterRole x to eve by ClusterRoleBinding y in all namespaces: it allows everything (* *)"
    );
    assert_eq!(
        found.target.resource.as_deref(),
        Some("clusterrolebindings")
    );
    assert_eq!((found.count, found.evidence.len()), (2, 2));
    let why = "ClusterRoleBinding y = ClusterRole x to eve, written 2026-11-22T05:01:00.000000Z by root; \
               the role allows everything (* *), written 2026-11-22T05:00:00.000000Z by root";
    assert_eq!(found.why, [why]);
    given(&all(), &[subject("ServiceAccount", "web")]).raises(RULE, Severity::High);
    given(&all(), &[subject("Group", "system:serviceaccounts")]).raises(RULE, Severity::Critical);
}

#[test]
fn how_bad_it_is_follows_from_what_is_given_to_whom() {
    let escalation = role(
        &["escalate"],
        "rbac.authorization.k8s.io",
        &["clusterroles"],
    );
    let acting = role(&["impersonate"], "", &["users"]);
    let shells = role(&["create"], "", &["pods/exec"]);
    let secrets = role(&["get", "list"], "", &["secrets"]);
    let person = subject("User", "eve");
    let all = subject("Group", "system:authenticated");
    for (role, to, severity) in [
        (&escalation, &person, Severity::High),
        (&escalation, &all, Severity::Critical),
        (&acting, &person, Severity::Medium),
        (&shells, &person, Severity::Medium),
        (
            &shells,
            &subject("ServiceAccount", "default"),
            Severity::Medium,
        ),
        (&secrets, &person, Severity::Medium),
        (&secrets, &all, Severity::High),
    ] {
        given(role, std::slice::from_ref(to)).raises(RULE, severity);
    }
    let named = json!({"rules": [
        {"verbs": ["get"], "apiGroups": [""], "resources": ["secrets"], "resourceNames": ["tls"]},
    ]});
    given(&named, &[person]).says_nothing_of(RULE);
}

#[test]
fn a_binding_and_its_low_twin_are_told_once() {
    let findings = given(&all(), &[subject("User", "eve")]).findings();
    let is_twin = |found: &Finding| found.rule.name == "cluster-role-bound";
    assert!(!findings.iter().any(is_twin));
    let harmless = role(&["get"], "", &["pods"]);
    given(&harmless, &[subject("User", "eve")]).raises("cluster-role-bound", Severity::Low);
}

#[test]
fn a_role_that_is_widened_is_a_grant_to_whoever_holds_it() {
    let ops = || person("ops", "10.9.0.2");
    let with = |verb: &str, body: Value| {
        let mut story = given(&role(&["get"], "", &["pods"]), &[subject("Group", "dev")]);
        write(&mut story, 90_000, &ops(), verb, "ClusterRole x", body);
        story
    };
    let patch = json!([{"op": "add", "path": "/rules/-", "value": {
        "verbs": ["*"], "apiGroups": ["*"], "resources": ["*"],
    }}]);
    for (verb, body) in [
        ("update", all()),
        ("patch", json!({"rules": all()["rules"]})),
        ("patch", patch),
    ] {
        let found = with(verb, body).raises(RULE, Severity::High);
        assert_eq!(found.actor.username.as_deref(), Some("ops"));
        assert_eq!(
            found.summary,
            "`ops` gave ClusterRole x rights that dev has by ClusterRoleBinding y: everything (* *)"
        );
    }
    for body in [
        json!({"metadata": {"labels": {"a": "b"}}}),
        json!({"rules": []}),
    ] {
        with("patch", body).says_nothing_of(RULE);
    }
}

#[test]
fn what_is_written_again_is_told_once() {
    let mut story = given(&all(), &[subject("User", "eve")]);
    for second in [600, 1200] {
        write(
            &mut story,
            second,
            &master(),
            "update",
            "ClusterRole x",
            all(),
        );
        let body = binding("ClusterRole x", &[subject("User", "eve")]);
        write(
            &mut story,
            second + 1,
            &master(),
            "update",
            "ClusterRoleBinding y",
            body,
        );
    }
    assert_eq!(story.raises(RULE, Severity::High).count, 2);
}

#[test]
fn what_is_applied_again_may_be_as_it_was() {
    let with = |[role_verb, verb]: [&str; 2]| {
        let mut story = Story::default();
        write(&mut story, 0, &master(), role_verb, "ClusterRole x", all());
        let body = binding("ClusterRole x", &[subject("User", "eve")]);
        write(
            &mut story,
            60,
            &master(),
            verb,
            "ClusterRoleBinding y",
            body,
        );
        story
    };
    for [role, binding] in [["patch", "patch"], ["update", "update"]] {
        with([role, binding]).raises(RULE, Severity::Low);
        with(["create", binding]).raises(RULE, Severity::High);
        with([role, "create"]).raises(RULE, Severity::High);
    }
}

#[test]
fn subjects_that_a_patch_adds_are_given_what_the_role_allows() {
    let mut story = given(&all(), &[]);
    let patch = json!([{"op": "add", "path": "/subjects/-", "value": subject("User", "eve")}]);
    let name = "ClusterRoleBinding y";
    write(&mut story, 120, &master(), "patch", name, patch);
    let found = story.raises(RULE, Severity::High);
    assert!(found.summary.contains("to eve by"), "{}", found.summary);
}

#[test]
fn a_binding_reaches_as_far_as_its_namespace() {
    let with = |role: &str, place: &str, to: &Value| {
        let mut story = Story::default();
        let what = match role {
            "Role x" => format!("Role {place}/x"),
            _ => role.to_owned(),
        };
        write(&mut story, 0, &master(), "create", &what, all());
        let body = binding(role, std::slice::from_ref(to));
        let name = format!("RoleBinding {place}/y");
        write(&mut story, 60, &master(), "create", &name, body);
        story
    };
    let [person, program] = [subject("User", "eve"), subject("ServiceAccount", "web")];
    with("Role x", "prod", &person).raises(RULE, Severity::Low);
    with("ClusterRole x", "prod", &person).raises(RULE, Severity::Low);
    with("Role x", "kube-system", &person).raises(RULE, Severity::High);
    with("Role x", "prod", &program).says_nothing_of(RULE);
    let mut story = Story::default();
    write(&mut story, 0, &master(), "create", "Role test/x", all());
    let body = binding("Role x", &[person]);
    write(
        &mut story,
        60,
        &master(),
        "create",
        "RoleBinding prod/y",
        body,
    );
    story.says_nothing_of(RULE);
}

#[test]
fn everyday_work_gives_nothing_away() {
    let mut argo = pod("argocd-application-controller", "argo-1", "10.1.0.9");
    argo.user["username"] = json!("system:serviceaccount:argocd:argocd-application-controller");
    let by = |client: &Client, to: Value| {
        let mut story = Story::default();
        write(&mut story, 0, client, "create", "ClusterRole x", all());
        let body = binding("ClusterRole x", &[to]);
        write(
            &mut story,
            60,
            client,
            "create",
            "ClusterRoleBinding y",
            body,
        );
        story
    };
    let eve = || subject("User", "eve");
    by(&argo, eve()).says_nothing_of(RULE);
    argo.agent = "curl/8";
    by(&argo, eve()).raises(RULE, Severity::High);
    // Others say so: a grant to oneself, to a superuser, of a platform by its installer.
    by(&master(), subject("User", "root")).says_nothing_of(RULE);
    by(&master(), subject("Group", "system:masters")).says_nothing_of(RULE);
    let flux =
        json!({"kind": "ServiceAccount", "namespace": "flux-system", "name": "helm-controller"});
    by(&master(), flux.clone()).says_nothing_of(RULE);
    by(&person("dev", "10.9.0.2"), flux).raises(RULE, Severity::High);

    let mut story = given(&all(), &[]);
    write(
        &mut story,
        61,
        &master(),
        "delete",
        "ClusterRole x",
        Value::Null,
    );
    let body = binding("ClusterRole x", &[eve()]);
    write(
        &mut story,
        62,
        &master(),
        "update",
        "ClusterRoleBinding y",
        body,
    );
    story.says_nothing_of(RULE);
}

#[test]
fn what_a_program_is_installed_with_is_told_of_its_role() {
    let shells = role(&["create"], "", &["pods/exec"]);
    let secrets = role(&["get"], "", &["secrets"]);
    let escalation = role(&["bind"], "rbac.authorization.k8s.io", &["clusterroles"]);
    let by = |client: &Client, role: &Value| {
        let mut story = Story::default();
        for (second, name) in [(0, "a"), (100, "b")] {
            let what = format!("ClusterRole {name}");
            write(&mut story, second, &master(), "create", &what, role.clone());
            let body = binding(&what, &[subject("ServiceAccount", name)]);
            let name = format!("ClusterRoleBinding {name}");
            write(&mut story, second + 1, client, "create", &name, body);
        }
        story
    };
    for role in [&shells, &secrets, &escalation] {
        by(&master(), role).says_nothing_of(RULE);
    }
    let ops = person("ops", "10.9.0.2");
    by(&ops, &escalation).raises(RULE, Severity::Medium);
    let findings = by(&ops, &shells).findings();
    let of_rule = findings.iter().filter(|found| found.rule.name == RULE);
    let [found] = &of_rule.collect::<Vec<_>>()[..] else {
        panic!("one finding");
    };
    assert_eq!((found.severity, found.count), (Severity::Low, 4));
    assert_eq!(
        found.summary,
        "`ops` gave programs, or somebody in a namespace, roles that reach far by 2 bindings \
         (ClusterRoleBinding a and ClusterRoleBinding b): shells in Pods (create pods/exec)"
    );
}

#[test]
fn a_binding_whose_name_the_server_made_up_is_known_by_it() {
    let mut story = Story::default();
    let uri = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings";
    let mut body = binding("ClusterRole cluster-admin", &[subject("User", "eve")]);
    body["metadata"] = json!({"generateName": "temp-"});
    let made = story.request(0, &person("dev", "10.9.0.1"), "create", uri, 201);
    made["level"] = json!("RequestResponse");
    made["objectRef"] =
        json!({"resource": "clusterrolebindings", "apiGroup": "rbac.authorization.k8s.io"});
    made["requestObject"] = body.clone();
    body["metadata"]["name"] = json!("temp-x7k2p");
    made["responseObject"] = body;
    let gone = story.request(60_000, &person("dev", "10.9.0.1"), "delete", uri, 200);
    gone["objectRef"] = json!({
        "resource": "clusterrolebindings", "name": "temp-x7k2p", "apiGroup": "rbac.authorization.k8s.io"
    });
    story.raises("grant-revoked", Severity::High);
}

#[test]
fn what_is_granted_in_a_namespace_of_ones_own_weighs_less() {
    const RULE: &str = "default-account-granted";
    const HOUR: u64 = 3600;
    let tester = pod("ci", "runner", "10.1.0.7");
    let grant = |story: &mut Story, second: u64, namespace: &str| {
        let account = json!({"kind": "ServiceAccount", "name": "default", "namespace": namespace});
        let body = binding("ClusterRole admin", &[account]);
        let name = format!("RoleBinding {namespace}/e2e");
        write(story, second, &tester, "create", &name, body);
    };
    let make = |story: &mut Story, second: u64, client: &Client, namespace: &str| {
        let event = story.request(second * 1000, client, "create", "/api/v1/namespaces", 201);
        event["objectRef"] =
            json!({"resource": "namespaces", "namespace": namespace, "name": namespace});
    };
    let mut own = Story::default();
    for (hour, namespace) in (0..).zip(["e2e-1", "e2e-2", "e2e-3"]) {
        make(&mut own, hour * HOUR, &tester, namespace);
        grant(&mut own, hour * HOUR + 5, namespace);
    }
    let found = own.raises(RULE, Severity::Low);
    assert_eq!(found.count, 3);
    let why = "in 3 namespaces that the same user had made within a day: nothing there is older";
    assert!(found.why.iter().any(|it| it == why), "{:?}", found.why);

    // Made long ago, made by somebody else, made anew by somebody else since, and not seen made.
    for makers in [
        &[(&tester, 0)][..],
        &[(&master(), 25)],
        &[(&tester, 24), (&master(), 25)],
        &[],
    ] {
        let mut story = Story::default();
        for &(maker, hour) in makers {
            make(&mut story, hour * HOUR, maker, "shop");
        }
        grant(&mut story, 26 * HOUR, "shop");
        story.raises(RULE, Severity::High);
    }
}
