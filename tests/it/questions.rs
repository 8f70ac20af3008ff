//! Saved questions: each is asked of a recorded log, and its answer held against what that log says.
//!
//! The expected cells were counted in the JSON lines themselves, without SQL and without this program; those of the tables
//! `findings` and `credentials` rest on what was done while the log was recorded.

use std::ops::RangeBounds;

use serde_json::{Value, json};

use crate::support::{kubescry, root, text};

const ANONYMOUS: &str = "tests/logs/v1.36-full-anonymous.log.zst";
const BENIGN: &str = "tests/logs/v1.36-full-benign.log.zst";
const MASTERS: &str = "tests/logs/v1.36-full-system-masters.log.zst";
const REFUSED: &str = "tests/logs/v1.36-full-refused.log.zst";
const REUSE: &str = "tests/logs/v1.36-full-token-reuse.log.zst";
const SHARED: &str = "tests/logs/v1.36-full-shared-credentials.log.zst";
/// Without bodies.
const MASTERS_METADATA: &str = "sample-logs/v1.36/system-masters.log";
/// Without messages, ids of credentials and of issued tokens.
const MASTERS_OLD: &str = "tests/logs/v1.20-v1beta1-full-system-masters.log.zst";
const REUSE_OLD: &str = "sample-logs/v1.20/token-reuse.log.gz";

const BREAK_GLASS: &str =
    "X509SHA256=dcd1d2895229db1c797a79d4c2e5669b45931bb3c544ccf35431fda1b165cd2d";
const BOB: &str = "X509SHA256=08cc74479d022fa8d6a641fd82191f301aa93f4d02ce6f7b8d98e7bb7de0c4e1";
const DEPLOYER: &str = "JTI=c2c903f3-ac38-4acb-9eb7-39f2cf6b92e4";

/// Asks `question`; returns the rows and what was said beside them.
fn ask(question: &str, parameters: &[&str], log: &str) -> (Vec<Value>, String) {
    let mut arguments = vec!["query", question, log, "--format", "jsonl"];
    arguments.extend(parameters.iter().flat_map(|parameter| ["-p", parameter]));
    let output = kubescry(&arguments, b"");
    let said = text(&output.stderr).to_owned();
    assert_eq!(output.status.code(), Some(0), "`{question}` of {log}: {said}");
    let rows = text(&output.stdout).lines();
    (rows.map(|row| serde_json::from_str(row).unwrap()).collect(), said)
}

/// Asks `question` of `log`: the answer has so many rows, and among them, in this order, one with the cells of each
/// of `expected`.
fn check(
    question: &str,
    parameters: &[&str],
    log: &str,
    height: impl RangeBounds<usize>,
    expected: &[Value],
) {
    let (rows, said) = ask(question, parameters, log);
    let all = || rows.iter().map(|row| format!("{row}\n")).collect::<String>();
    assert!(
        height.contains(&rows.len()),
        "`{question}` of {log} has {} rows:\n{}{said}",
        rows.len(),
        all()
    );
    let mut rest = rows.iter();
    for cells in expected {
        let cells = cells.as_object().unwrap();
        let is_met = |row: &Value| cells.iter().all(|(column, cell)| row.get(column) == Some(cell));
        assert!(
            rest.any(is_met),
            "`{question}` of {log} has no {cells:?}, or not in this place:\n{}",
            all()
        );
    }
}

#[test]
fn who_deleted_or_changed_an_object() {
    let secret = &["resource=secrets", "namespace=default", "name=default-token-0"];
    let by = |ts: &str, verb: &str, username: &str| {
        json!({"ts": ts, "verb": verb, "username": username, "target": "the object", "code": 200})
    };
    let deletion = by("2026-11-22T04:55:57.524214Z", "delete", "kubernetes-admin");
    check("who-deleted", secret, REUSE, 3..=3, &[
        deletion.clone(),
        by("2026-11-22T04:55:56.553932Z", "patch", "system:apiserver"),
        by("2026-11-22T04:55:56.439993Z", "update", "system:kube-controller-manager"),
    ]);
    let mut only = secret.to_vec();
    only.push("deletions=yes");
    check("who-deleted", &only, REUSE, 1..=1, &[deletion]);
    // A deletion of all carries no name.
    let config = &["resource=configmaps", "namespace=billing", "name=settings"];
    check("who-deleted", config, BENIGN, 1..=1, &[json!({
        "verb": "deletecollection", "target": "all of its kind", "name": null,
        "username": "system:serviceaccount:kube-system:namespace-controller",
    })]);
}

#[test]
fn an_object_made_again_starts_another_life() {
    let account = &["resource=serviceaccounts", "namespace=dev", "name=shortlived2"];
    check("object-history", account, REUSE, 4..=4, &[
        json!({"verb": "create", "subresource": null, "life": 1, "code": 201}),
        json!({"verb": "create", "subresource": "token", "life": 1}),
        json!({"verb": "delete", "life": 1, "username": "kubernetes-admin", "code": 200}),
        json!({"verb": "create", "subresource": null, "life": 2, "code": 201}),
    ]);
    let deployment = &["resource=deployments", "namespace=dev", "name=svc-dev-1"];
    check("object-history", deployment, BENIGN, 9..=9, &[
        json!({"life": 0, "verb": "patch", "code": 404, "status_writes": 56}),
        json!({"life": 1, "verb": "create", "code": 201, "status_writes": 56}),
    ]);
    let mut with_status = deployment.to_vec();
    with_status.push("status=yes");
    check("object-history", &with_status, BENIGN, 65..=65, &[]);
}

#[test]
fn periods_differ() {
    let cut = &["a_to=2026-11-22T04:55:32Z", "b_from=2026-11-22T04:55:32Z"];
    let row = |change: &str, who: &str, verb: &str, resource: Value, before: u64, after: u64| {
        json!({
            "change": change, "who": who, "verb": verb, "resource": resource,
            "before_n": before, "after_n": after,
        })
    };
    check("period-diff", cut, ANONYMOUS, 41..=41, &[
        row("new", "system:node:*", "delete", json!("pods"), 0, 3),
        row("new", "kubernetes-admin", "create", json!("clusterrolebindings"), 0, 2),
        row("new", "system:anonymous", "get", json!("secrets"), 0, 1),
        row("less", "system:anonymous", "get", Value::Null, 41, 1),
        row("gone", "system:anonymous", "get", json!("configmaps"), 2, 0),
    ]);
}

#[test]
fn rights_were_given_and_taken() {
    let row = |verb: &str, name: &str, username: &str, granted: Value, subjects: Value| {
        json!({
            "verb": verb, "name": name, "username": username, "granted": granted,
            "subjects": subjects,
        })
    };
    check("rbac-changes", &[], MASTERS, 6..=6, &[
        row("create", "metrics-helper", "break-glass", json!("ClusterRole/cluster-admin"),
            json!("ServiceAccount/kube-system/metrics-helper")),
        row("create", "mallory-impersonator", "kubernetes-admin", json!("ClusterRole/impersonator"),
            json!("User/mallory")),
        json!({"verb": "create", "name": "m2", "username": "mallory", "imp_username": "nobody"}),
        row("delete", "m2", "mallory", Value::Null, Value::Null),
        row("delete", "mallory-impersonator", "kubernetes-admin", Value::Null, Value::Null),
        row("delete", "metrics-helper", "kubernetes-admin", Value::Null, Value::Null),
    ]);
    check("rbac-changes", &[], MASTERS_METADATA, 6..=6, &[
        row("create", "metrics-helper", "break-glass", json!("not logged"), Value::Null),
    ]);
    let (_, said) = ask("rbac-changes", &[], MASTERS_METADATA);
    assert!(said.contains("what bindings grant"), "{said}");
    let startup = "tests/logs/v1.36-full-startup.log.zst";
    check("rbac-changes", &[], startup, 35..=35, &[]);
    check("rbac-changes", &["startup=yes"], startup, 172..=172, &[json!({"username": "system:apiserver"})]);
}

#[test]
fn workloads_reach_for_the_node() {
    check("risky-workloads", &[], BENIGN, 0..=0, &[]);
    let network = "tests/queries/host-network/hit.jsonl";
    check("risky-workloads", &[], network, 4..=4, &[
        json!({"username": "break-glass", "resource": "pods", "pod_flags": "hostNetwork", "n": 1}),
    ]);
    let capabilities = "tests/queries/dangerous-capabilities/hit.jsonl";
    check("risky-workloads", &["flag=caps:SYS_ADMIN"], capabilities, 2..=2, &[
        json!({"name": "sysadmin", "pod_flags": "caps:NET_ADMIN, caps:SYS_ADMIN"}),
        json!({"name": "web-1", "subresource": "ephemeralcontainers", "pod_images": "alpine"}),
    ]);
}

#[test]
fn an_identity_is_followed() {
    check("identity-timeline", &["who=mallory"], MASTERS, 23..=23, &[
        json!({"ts": "2026-11-22T04:55:37.350980Z", "code": 403, "uri": "/api?timeout=32s"}),
        json!({"ts": "2026-11-22T04:55:37.435131Z", "resource": "secrets", "code": 403,
            "agent_family": "python-requests", "session": "2026-11-22T04:55:37.435131Z"}),
        json!({"ts": "2026-11-22T04:55:37.549213Z", "resource": "secrets", "code": 200,
            "imp_username": "kubernetes-admin", "session": "2026-11-22T04:55:37.350980Z"}),
        json!({"ts": "2026-11-22T04:55:37.741174Z", "code": 404}),
    ]);
    // With a short gap, what comes after a pause is another session.
    check("identity-timeline", &["who=mallory", "gap=20ms"], MASTERS, 23..=23, &[
        json!({"ts": "2026-11-22T04:55:37.357958Z", "session": "2026-11-22T04:55:37.350980Z"}),
        json!({"ts": "2026-11-22T04:55:37.416197Z", "session": "2026-11-22T04:55:37.416197Z"}),
    ]);
    let who = &["who=system:serviceaccount:ci:deployer"];
    check("identity-profile", who, SHARED, 7..=7, &[
        json!({"verb": "list", "resource": "configmaps", "namespace": "prod", "n": 40}),
        json!({"verb": "list", "resource": "secrets", "namespace": null, "n": 14}),
        json!({"verb": "get", "resource": null, "n": 2}),
    ]);
}

#[test]
fn something_was_done_for_the_first_time() {
    let row = |ts: &str, actor: &str, new: &str, verb: &str, resource: &str| {
        json!({"first_time": ts, "actor": actor, "new": new, "verb": verb, "resource": resource})
    };
    check("first-seen", &["from=2026-11-22T04:55:32.5Z"], ANONYMOUS, 27..=27, &[
        row("2026-11-22T04:55:32.520587Z", "kubernetes-admin", "identity", "create",
            "clusterrolebindings"),
        row("2026-11-22T04:55:32.550986Z", "system:anonymous", "behaviour", "list", "secrets"),
        row("2026-11-22T04:55:32.776248Z", "system:anonymous", "behaviour", "delete", "daemonsets"),
        row("2026-11-22T04:55:33.868264Z", "kubernetes-admin", "identity", "delete",
            "clusterrolebindings"),
    ]);
    let anonymous = &["from=2026-11-22T04:55:32.5Z", "who=system:anonymous"];
    check("first-seen", anonymous, ANONYMOUS, 10..=10, &[]);
}

#[test]
fn credentials_have_places() {
    check("credential-use", &["who=bob"], SHARED, 2..=2, &[
        json!({"credential": BOB, "exact": "yes", "peer_ip": "127.0.2.12", "agent_family": "kubectl",
            "n": 20, "resources": 1}),
        json!({"credential": BOB, "exact": "yes", "peer_ip": "127.0.66.40", "agent_family": "curl",
            "n": 20, "resources": 3}),
    ]);
    check("credential-use", &["who=legacy-app"], SHARED, 4.., &[json!({"exact": "no"})]);
    check("shared-credential", &[], SHARED, 4..=4, &[
        json!({"credential": DEPLOYER, "exact": "yes", "address_switches": 62, "program_switches": 63,
            "addresses": 4, "programs": 5, "n": 109}),
        json!({"username": "legacy-app", "exact": "no", "address_switches": 59, "n": 63}),
        json!({"credential": BOB, "address_switches": 39, "program_switches": 39, "n": 40}),
        json!({"username": "system:serviceaccount:prod:app", "address_switches": 1, "n": 28}),
    ]);
    check("shared-credential", &["window=1ms"], SHARED, 0..=2, &[]);
    check("token-outside", &[], SHARED, 0..=0, &[]);
    let (_, said) = ask("token-outside", &[], SHARED);
    assert!(said.contains("public addresses"), "{said}");
    let own = &["class=loopback", "own=127.0.66.%"];
    check("token-outside", own, SHARED, 15..=15, &[
        json!({"credential": DEPLOYER, "peer_ip": "127.0.5.1", "agent_family": "Helm", "n": 60,
            "known_as": null}),
        json!({"credential": DEPLOYER, "peer_ip": "127.0.66.20", "n": 20, "known_as": "127.0.66.%"}),
    ]);
}

#[test]
fn somebody_took_on_another_name() {
    let row = |how: &str, username: &str, acted_as: Value, n: u64, denied: u64| {
        json!({"how": how, "username": username, "acted_as": acted_as, "n": n, "denied": denied})
    };
    let rancher = "system:serviceaccount:cattle-system:rancher";
    check("impersonation", &[], MASTERS, 9..=9, &[
        row("acted as", rancher, json!("bob"), 6, 0),
        row("acted as", rancher, json!("alice"), 6, 0),
        row("acted as", "mallory", json!("system:anonymous"), 1, 1),
        row("acted as", "mallory", json!("nobody"), 3, 0),
        row("acted as", "mallory", json!("kubernetes-admin"), 4, 0),
        row("refused", "mallory", Value::Null, 11, 11),
    ]);
    // A server that logs no messages tells a refused try by the missing decision.
    check("impersonation", &[], MASTERS_OLD, 1.., &[row("refused", "mallory", Value::Null, 11, 11)]);
    let row = |member: &str, username: &str, imp_username: Value, n: u64| {
        json!({"member": member, "username": username, "imp_username": imp_username, "n": n})
    };
    check("masters-use", &[], MASTERS, 9..=9, &[
        row("impersonated", "mallory", json!("nobody"), 3),
        row("impersonated", "mallory", json!("kubernetes-admin"), 4),
        row("own", "kubernetes-admin", Value::Null, 19),
        row("own", "break-glass", Value::Null, 11),
        json!({"username": "kubernetes-admin", "peer_ip": "127.0.66.30", "n": 2}),
        row("the API server itself", "system:apiserver", Value::Null, 2),
    ]);
}

#[test]
fn secrets_were_read() {
    let secret = &["namespace=prod", "name=db-credentials", "reach=no"];
    let by = |ts: &str, how: &str| json!({"ts": ts, "how": how, "username": "system:anonymous"});
    check("secret-readers", secret, ANONYMOUS, 3..=3, &[
        by("2026-11-22T04:55:32.550986Z", "list of the cluster"),
        by("2026-11-22T04:55:32.588982Z", "list of the cluster"),
        by("2026-11-22T04:55:32.632293Z", "the Secret"),
    ]);
    check("secret-readers", &["namespace=dev", "reach=no"], BENIGN, 19..=19, &[
        json!({"how": "list of the namespace", "username": "dev-1"}),
        json!({"how": "list of the namespace", "username": "bob"}),
    ]);
    check("secret-readers", &["namespace=dev"], BENIGN, 25..=25, &[
        json!({"how": "could: workload made", "username": "dev-1", "resource": "deployments"}),
        json!({"how": "could: shell in a Pod", "username": "dev-1",
            "ts": "2026-11-22T05:01:19.166316Z"}),
    ]);
    let row = |way: &str, namespace: Value, name: Value, n: u64| {
        json!({
            "way": way, "username": "system:anonymous", "namespace": namespace, "name": name, "n": n,
        })
    };
    check("exposed-credentials", &[], ANONYMOUS, 7..=7, &[
        row("Secret read", Value::Null, Value::Null, 2),
        row("Secret read", json!("prod"), json!("db-credentials"), 1),
        row("Secret read", json!("kube-system"), Value::Null, 1),
        // The policy of this log keeps bodies.
        row("value in this log", json!("prod"), json!("db-credentials"), 1),
        json!({"way": "value in this log", "username": "system:kube-controller-manager",
            "namespace": "kube-system", "name": "daemon-set-controller"}),
    ]);
    let metadata = "sample-logs/v1.36/anonymous.log";
    check("exposed-credentials", &[], metadata, 3..=3, &[json!({"way": "Secret read"})]);
}

#[test]
fn shells_and_tunnels_were_opened() {
    check("interactive-access", &[], BENIGN, 4..=4, &[
        json!({"ts": "2026-11-22T05:01:19.166316Z", "username": "dev-1", "subresource": "exec",
            "code": 101, "seconds": 0.5, "asked": "command=ls&stdout=true"}),
        json!({"username": "bob", "name": "svc-dev-1-5f85bf9dd4-fkxsk"}),
    ]);
    check("interactive-access", &["who=bob"], BENIGN, 1..=1, &[]);
    check("interactive-access", &[], ANONYMOUS, 3..=3, &[
        json!({"subresource": "proxy", "resource": "nodes", "code": 403,
            "asked": "/api/v1/nodes/node-1/proxy/pods"}),
        json!({"subresource": "exec", "name": "web", "code": 403}),
        json!({"subresource": "proxy", "resource": "services"}),
    ]);
    // Newer clients come by WebSocket, whose verb is `get`.
    let exec = "tests/queries/pod-exec/hit.jsonl";
    check("interactive-access", &[], exec, 3..=3, &[json!({"verb": "get"}), json!({"verb": "create"})]);
}

#[test]
fn tokens_were_minted() {
    check("tokens-minted", &[], SHARED, 6..=6, &[
        json!({"service_account": "deployer", "issued_credential_id": DEPLOYER, "used": "yes",
            "minted_by": "kubernetes-admin", "uses": 109, "peers": 4, "other_peers": 109}),
        json!({"service_account": "app", "used": "yes", "uses": 28, "peers": 2}),
        json!({"service_account": "app", "used": "yes", "uses": 20, "peers": 1}),
    ]);
    check("tokens-minted", &["kubelets=yes"], SHARED, 7..=7, &[json!({"minted_by": "system:node:node-1"})]);
    check("tokens-minted", &[], REUSE_OLD, 1.., &[json!({"used": "cannot be told", "uses": null})]);
}

#[test]
fn somebody_knocks() {
    let row = |ip: &str, agent: &str, n: u64, paths: u64| {
        json!({"peer_ip": ip, "agent_family": agent, "n": n, "paths": paths})
    };
    check("auth-failures", &[], REFUSED, 14..=14, &[
        row("127.0.66.10", "python-requests", 450, 4),
        row("127.0.66.20", "Go-http-client", 60, 1),
        row("127.0.4.44", "fluent-bit", 44, 1),
        row("127.0.2.12", "kubectl", 5, 1),
    ]);
    check("auth-failures", &["min=1"], REFUSED, 36..=36, &[]);
    // Knocks come 2.5 seconds apart here, so each is a burst of its own if the gap is shorter.
    check("auth-failures", &["gap=1s", "min=5"], REFUSED, 4..=4, &[]);
    check("auth-failures", &[], MASTERS, 0..=0, &[]);
}

#[test]
fn the_nameless_tried_and_got() {
    check("anonymous", &[], ANONYMOUS, 53..=53, &[
        json!({"outcome": "ok", "usual": "no", "path": "/api/v1/secrets", "n": 2, "peers": 2}),
        json!({"outcome": "ok", "usual": "no", "path": "/.well-known/openid-configuration", "n": 1}),
        json!({"outcome": "ok", "usual": "yes", "path": "/healthz", "n": 7, "peers": 3}),
        json!({"outcome": "ok", "usual": "yes", "resource": "configmaps", "n": 2}),
        json!({"outcome": "denied", "usual": "no", "path": "/api/v1/secrets", "n": 6}),
    ]);
    let admin = "RBAC: allowed by ClusterRoleBinding \"anonymous-admin\" of ClusterRole \
                 \"cluster-admin\" to User \"system:anonymous\"";
    let row = |verb: &str, what: &str, ns: &str, denied: u64, allowed: u64| {
        json!({
            "verb": verb, "what": what, "ns": ns, "denied_n": denied, "allowed_n": allowed,
            "before": 0, "actor": "system:anonymous", "allowed_by": admin,
        })
    };
    check("denied-then-allowed", &[], ANONYMOUS, 8..=8, &[
        row("get", "/api", "", 2, 1),
        row("list", "secrets", "", 6, 2),
        row("list", "secrets", "kube-system", 1, 1),
        row("create", "pods", "default", 1, 1),
    ]);
    check("reconnaissance", &[], ANONYMOUS, 1..=1, &[
        json!({"actor": "system:anonymous", "peer_ip": "127.0.66.77", "kinds": 8, "n": 16}),
    ]);
    check("reconnaissance", &["kinds=7"], ANONYMOUS, 2..=2, &[
        json!({"peer_ip": "127.0.66.77"}),
        json!({"peer_ip": "127.0.66.10", "agent_family": "curl", "kinds": 7, "n": 31}),
    ]);
}

#[test]
fn what_a_credential_touched() {
    let credential = format!("credential={BREAK_GLASS}");
    let row = |what: &str, verb: &str, resource: &str, n: u64| {
        json!({"what": what, "verb": verb, "resource": resource, "n": n})
    };
    let expected = [
        row("1 changed rights", "create", "clusterrolebindings", 1),
        json!({"what": "2 read Secrets", "namespace": "kube-system", "n": 1}),
        row("3 made credentials", "create", "certificatesigningrequests", 1),
        row("3 made credentials", "update", "certificatesigningrequests", 1),
        row("5 changed", "delete", "certificatesigningrequests", 1),
        row("5 changed", "create", "serviceaccounts", 1),
        row("6 looked", "get", "certificatesigningrequests", 4),
        row("6 looked", "create", "selfsubjectreviews", 1),
        row("8 failed", "delete", "certificatesigningrequests", 1),
    ];
    check("blast-radius", &[&credential], MASTERS, 13..=13, &expected);
    check("blast-radius", &["who=break-glass"], MASTERS, 13..=13, &expected);
    check("blast-radius", &["ip=127.0.66.20"], MASTERS, 13..=13, &expected);
    check("blast-radius", &[], MASTERS, 0..=0, &[]);
}

#[test]
fn distrust_spreads() {
    let row = |how: &str, gained: &str| json!({"how": how, "gained": gained});
    check("distrust", &["who=mallory"], MASTERS, 7..=7, &[
        json!({"how": "acted in system:masters as", "gained": "kubernetes-admin", "n": 4, "later": 12,
            "since": "2026-11-22T04:55:37.453643Z"}),
        row("read the Secret of", "Secret */*"),
        row("acted in system:masters as", "nobody"),
        row("changed rights", "clusterrolebindings m2: ClusterRole/cluster-admin to User/mallory"),
        row("acted as", "system:serviceaccount:argocd:argocd-application-controller"),
    ]);
    check("distrust", &["who=kubernetes-admin"], SHARED, 3..=3, &[
        json!({"how": "minted a token of", "gained": "system:serviceaccount:ci:deployer", "n": 1,
            "later": 109}),
        json!({"how": "ran a workload as", "gained": "system:serviceaccount:prod:app", "n": 2}),
        json!({"how": "minted a token of", "gained": "system:serviceaccount:prod:app", "n": 5}),
    ]);
    check("distrust", &["who=bob"], BENIGN, 1.., &[
        row("got a shell in", "Pod dev/svc-dev-1-5f85bf9dd4-fkxsk"),
    ]);
}

#[test]
fn what_the_log_can_tell() {
    check("coverage", &[], ANONYMOUS, 19..=19, &[
        json!({"resource": "(paths)", "level": "RequestResponse", "events": 93, "started": 1}),
        json!({"resource": "pods", "events": 75, "received": 37, "complete": 37, "bodies": 75}),
        json!({"resource": "clusterrolebindings", "events": 14, "writes": 8}),
    ]);
    check("silences", &[], BENIGN, 0..=0, &[]);
    check("silences", &["gap=900ms"], BENIGN, 5..=5, &[
        json!({"silent_from": "2026-11-22T05:03:43.820907Z",
            "silent_to": "2026-11-22T05:03:44.726281Z", "seconds": 0.9}),
    ]);
}

#[test]
fn the_platform_team_asks() {
    check("least-privilege", &["who=alice"], BENIGN, 36..=36, &[
        json!({"namespace": "dev", "what": "deployments", "subresource": "scale", "verb": "patch",
            "only_name": "svc-alice", "n": 3}),
        json!({"namespace": "dev", "what": "deployments", "verb": "create", "only_name": null}),
        json!({"namespace": "dev", "what": "configmaps", "verb": "get", "only_name": "nothing-6"}),
        json!({"namespace": "dev", "what": "configmaps", "verb": "patch", "also": "create"}),
    ]);
    let rancher = &["who=system:serviceaccount:cattle-system:rancher"];
    check("least-privilege", rancher, BENIGN, 1..=1, &[
        json!({"what": "users", "verb": "impersonate", "names": 3, "n": 24}),
    ]);
    check("bindings-used", &[], ANONYMOUS, 8..=8, &[
        json!({"binding": "system:public-info-viewer", "n": 24, "writes": 0}),
        json!({"binding_kind": "ClusterRoleBinding", "binding": "anonymous-admin",
            "role_kind": "ClusterRole", "role": "cluster-admin", "subject": "User system:anonymous",
            "n": 13}),
        json!({"binding_kind": "RoleBinding", "role_kind": "Role", "n": 2,
            "binding": "kubeadm:bootstrap-signer-clusterinfo/kube-public"}),
    ]);
    check("bindings-used", &["role=cluster-admin"], ANONYMOUS, 1..=1, &[]);
    check("api-hogs", &[], BENIGN, 50..=50, &[
        json!({"actor": "system:serviceaccount:kube-system:deployment-controller", "verb": "update",
            "resource": "deployments", "subresource": "status", "n": 191, "total_s": 0.899}),
        json!({"actor": "system:serviceaccount:monitoring:prometheus", "n": 12, "total_s": 0.79}),
    ]);
    check("api-hogs", &["top=1000"], BENIGN, 263..=263, &[]);
    check("deprecated-apis", &[], BENIGN, 2..=2, &[
        json!({"actor": "legacy-app", "resource": "endpoints", "n": 9, "writes": 0}),
        json!({"actor": "system:serviceaccount:kube-system:namespace-controller", "n": 2}),
    ]);
    check("noise", &["top=3"], ANONYMOUS, 3..=3, &[
        json!({"resource": "pods", "verb": "list", "identity_kind": "node", "events": 32,
            "bytes": 261_759, "percent_bytes": 38.04}),
        json!({"resource": "clusterrolebindings", "verb": "list", "bytes": 55_103}),
        json!({"resource": null, "verb": "get", "identity_kind": "anonymous", "events": 85}),
    ]);
}

#[test]
fn an_address_has_a_history() {
    check("address-history", &["ip=127.0.66.10"], ANONYMOUS, 2..=2, &[
        json!({"seen_as": "connection", "username": "system:anonymous", "agent_family": "curl",
            "n": 35}),
        json!({"seen_as": "connection", "agent_family": "python-requests", "n": 6}),
    ]);
    // One that stands only in the middle of a chain, where the client wrote it.
    check("address-history", &["ip=10.0.0.9"], ANONYMOUS, 1..=1, &[json!({"seen_as": "claimed", "n": 1})]);
    check("address-history", &["ip=127.0.66.30"], MASTERS, 5..=5, &[
        json!({"username": "kubernetes-admin"}),
        json!({"username": "helper"}),
        json!({"username": "system:kube-controller-manager", "writes": 1}),
        json!({"username": null, "refused_logins": 2}),
    ]);
}

#[test]
fn every_question_is_asked_here() {
    let this = include_str!("questions.rs");
    let folder = std::fs::read_dir(root().join("queries/questions")).unwrap();
    for file in folder {
        let path = file.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        let is_asked = ["check(", "ask("].iter().any(|call| this.contains(&format!("{call}\"{name}\"")));
        assert!(is_asked, "nobody asks `{name}`");
    }
}
