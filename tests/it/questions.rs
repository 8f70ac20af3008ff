//! Saved questions: each is asked of a recorded log, and its answer held against what that log says.
//!
//! The expected cells were counted in the JSON lines themselves, without SQL and without this program; those about
//! findings are compared with a scan.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::ops::RangeBounds;

use serde_json::{Value, json};

use crate::support::{kubescry, options, root, run, text};

const ANONYMOUS: &str = "tests/logs/v1.36-full-anonymous.log.zst";
const ANONYMOUS_METADATA: &str = "sample-logs/v1.36/anonymous.log";
const BENIGN: &str = "tests/logs/v1.36-full-benign.log.zst";
const MASTERS: &str = "tests/logs/v1.36-full-system-masters.log.zst";
const MASTERS_METADATA: &str = "sample-logs/v1.36/system-masters.log";
/// Without messages and ids of credentials.
const MASTERS_OLD: &str = "tests/logs/v1.20-v1beta1-full-system-masters.log.zst";
const REFUSED: &str = "tests/logs/v1.36-full-refused.log.zst";
const REUSE: &str = "tests/logs/v1.36-full-token-reuse.log.zst";
/// Without ids of issued tokens.
const REUSE_OLD: &str = "sample-logs/v1.20/token-reuse.log.gz";
const SHARED: &str = "tests/logs/v1.36-full-shared-credentials.log.zst";
const STARTUP: &str = "tests/logs/v1.36-full-startup.log.zst";

/// Asks `question`; returns the rows and what was said beside them.
fn ask(question: &str, parameters: &str, log: &str) -> (Vec<Value>, String) {
    let mut arguments = vec!["query", question, log, "--format", "jsonl"];
    arguments.extend(
        parameters
            .split_whitespace()
            .flat_map(|given| ["-p", given]),
    );
    let output = kubescry(&arguments, b"");
    let said = text(&output.stderr).to_owned();
    let code = output.status.code();
    assert_eq!(code, Some(0), "`{question}` of {log}: {said}");
    let rows = text(&output.stdout).lines();
    let rows = rows.map(|row| serde_json::from_str(row).unwrap());
    (rows.collect(), said)
}

#[test]
fn a_log_without_a_question_is_told_what_to_ask() {
    let output = kubescry(&["query", MASTERS_METADATA], b"");
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("no question in front of it"), "{said}");
    assert!(said.contains("kubescry query NAME"), "{said}");
}

#[test]
fn a_bare_count_is_called_so() {
    let header = |sql: &str| {
        let output = kubescry(&["query", sql, MASTERS_METADATA, "--format", "csv"], b"");
        text(&output.stdout).lines().next().unwrap().to_owned()
    };
    assert_eq!(header("SELECT count(*) FROM events"), "count");
    assert_eq!(
        header("SELECT verb, COUNT(*) FROM events GROUP BY verb"),
        "verb,count"
    );
    assert_eq!(header("SELECT count(*) AS len FROM events"), "len");
}

#[test]
fn what_polars_cannot_do_is_said_with_what_does_the_same() {
    let said = |sql: &str| {
        let output = kubescry(&["query", sql, MASTERS_METADATA, "--format", "csv"], b"");
        (
            output.status.code(),
            text(&output.stderr).to_owned(),
            text(&output.stdout).to_owned(),
        )
    };
    let cases = [
        (
            "SELECT COUNT(*) AS n FROM events WHERE ts >= '2026-11-22T04:55:36Z'",
            "SELECT COUNT(*) AS n FROM events WHERE ts >= '2026-11-22T04:55:36'",
            "written without a zone",
        ),
        (
            "SELECT verb, COUNT(*) FROM events GROUP BY verb ORDER BY COUNT(*)",
            "SELECT verb, COUNT(*) AS n FROM events GROUP BY verb ORDER BY n",
            "sort by its name",
        ),
        (
            "SELECT COUNT(*) FROM (SELECT verb FROM events UNION ALL SELECT verb FROM events)",
            "SELECT COUNT(verb) FROM (SELECT verb FROM events UNION ALL SELECT verb FROM events)",
            "COUNT(verb)",
        ),
        (
            "SELECT verb FROM events WHERE (verb, code) IN (('get', 200))",
            "SELECT verb FROM events WHERE verb = 'get' AND code = 200",
            "say it with AND and OR",
        ),
        (
            "SELECT verb FROM requests WHERE 'system:masters' = ANY(user_groups)",
            "SELECT verb FROM requests WHERE user_groups LIKE '%\"system:masters\"%'",
            "user_groups LIKE",
        ),
        (
            "SELECT verb FROM requests WHERE 'system:masters' IN (user_groups)",
            "WITH t AS (SELECT username, ARRAY_AGG(verb) AS verbs FROM requests GROUP BY username) \
             SELECT username FROM t WHERE 'get' = ANY(verbs)",
            "user_groups LIKE",
        ),
        (
            "SELECT max(code), min(code) FROM requests",
            "SELECT MAX(code) AS most, MIN(code) AS least FROM requests",
            "MAX(code) AS most",
        ),
        (
            "SELECT c.username FROM credentials c LEFT JOIN requests r \
             ON c.credential = r.credential AND r.verb = 'get'",
            "WITH got AS (SELECT * FROM requests WHERE verb = 'get') SELECT c.username FROM \
             credentials c LEFT JOIN got ON c.credential = got.credential",
            "WITH got AS",
        ),
        (
            "SELECT DATE_TRUNC('hour', ts) AS hour FROM requests",
            "SELECT STRFTIME(ts, '%Y-%m-%dT%H:00') AS hour, ms // 3600000 AS n FROM requests",
            "STRFTIME(ts, '%Y-%m-%dT%H:00') AS hour",
        ),
    ];
    for (wrong, right, hint) in cases {
        let (code, err, _) = said(wrong);
        assert!(code != Some(0) && err.contains(hint), "{wrong}: {err}");
        assert!(!err.contains("Ident"), "{err}");
        assert!(!err.contains("eprecat") && !err.contains(".alias"), "{err}");
        let (code, err, out) = said(right);
        assert_eq!(err, "", "{right}");
        assert!(code == Some(0) && out.lines().count() > 1, "{right}: {err}");
    }
}

#[test]
fn rows_keep_their_numbers_and_their_nulls() {
    let sql = "SELECT CASE WHEN code > 0 THEN 6.7e-6 END AS a, 2.0 / 3 AS b FROM requests LIMIT 1";
    let nulls = "SELECT code AS n FROM events WHERE code IS NULL LIMIT 2";
    let check = |sql: &str, format: &str, expected: &str| {
        let output = kubescry(&["query", sql, MASTERS_METADATA, "--format", format], b"");
        assert_eq!(text(&output.stdout), expected);
    };
    check(sql, "csv", "a,b\r\n6.7e-6,0.6666666666666666\r\n");
    check(sql, "jsonl", "{\"a\":6.7e-6,\"b\":0.6666666666666666}\n");
    check(
        sql,
        "table",
        "      a      b\n-------  -----\n6.70e-6  0.667\n",
    );
    check(nulls, "csv", "n\r\n\"\"\r\n\"\"\r\n");
}

#[test]
fn parameters_are_told_once_and_exist() {
    let check = |arguments: &[&str], expected: &str| {
        let output = kubescry(&[&["query"], arguments].concat(), b"");
        let said = text(&output.stderr);
        assert!(
            output.status.code() == Some(2) && said.contains(expected),
            "{said}"
        );
    };
    check(&["auth-failures", "-p", "nope=1"], "no parameter `nope`");
    check(
        &[
            "auth-failures",
            "-p",
            "min=1",
            "-p",
            "min=2",
            MASTERS_METADATA,
        ],
        "`min` is told twice: `1` and `2`",
    );
    check(&["auth-failures", "-p", "min=x"], "`x` is no number");
}

/// What only the default of a parameter needs is not missed where something else was asked for.
#[test]
fn what_was_not_asked_for_is_not_lacking() {
    let (rows, said) = ask("token-outside", "class=loopback", MASTERS_METADATA);
    assert!(!rows.is_empty() && said.is_empty(), "{said}");
    let (rows, said) = ask("token-outside", "", MASTERS_METADATA);
    assert!(
        rows.is_empty() && said.contains("lacks public addresses"),
        "{said}"
    );
}

/// A question that is wrong keeps nobody from asking another one, and is told by its file.
#[test]
fn a_wrong_question_stops_itself_only() {
    let folder = tempfile::TempDir::new().unwrap();
    let questions = folder.path().join("questions");
    std::fs::create_dir(&questions).unwrap();
    let queries = folder.path().to_str().unwrap();
    let check = |arguments: &[&str], code: i32, expected: &[&str]| {
        let output = kubescry(&[arguments, &["--queries", queries]].concat(), b"");
        let said = format!("{}{}", text(&output.stdout), text(&output.stderr));
        assert_eq!(output.status.code(), Some(code), "{said}");
        for expected in expected {
            assert!(said.contains(expected), "no `{expected}` in {said}");
        }
    };
    let right = "-- title: Which verbs?\n-- group: platform\nSELECT DISTINCT verb FROM events";
    std::fs::write(questions.join("right.sql"), right).unwrap();
    check(&["rules", "check"], 0, &["0 rules, 1 question: 0 errors"]);
    std::fs::write(questions.join("mine.sql"), "-- title: Mine?\nSELECT 1").unwrap();
    let path = questions.join("mine.sql").display().to_string();
    let wrong = [&*path, "it has no group", "changes, identity, secrets"];
    check(&["query", "mine"], 2, &wrong);
    check(&["query"], 2, &wrong);
    check(&["rules", "check"], 2, &wrong);
    check(
        &["query", "right"],
        0,
        &["warning: ", "SELECT DISTINCT verb"],
    );
    check(
        &["query", "--skip-bad-rules"],
        0,
        &["warning: ", "Which verbs?"],
    );
}

#[test]
fn lists_are_told_to_be_text() {
    let output = kubescry(&["query", "--schema"], b"");
    let schema = text(&output.stdout);
    assert!(
        schema.contains("user_groups           Its groups, as a JSON list.\n"),
        "{schema}"
    );
    assert!(
        schema.contains("peers                 Addresses, as a JSON list.\n"),
        "{schema}"
    );
}

/// Asks `question` of `log`: the answer has so many rows, and among them, in this order, one that meets each line of
/// `expected`, which holds cells as `column=value; column=value`, without a value for null.
fn check(
    question: &str,
    parameters: &str,
    log: &str,
    height: impl RangeBounds<usize>,
    expected: &str,
) {
    let (rows, said) = ask(question, parameters, log);
    let all: Vec<String> = rows.iter().map(Value::to_string).collect();
    let all = format!(
        "`{question} {parameters}` of {log}, {} rows:\n{}\n",
        all.len(),
        all.join("\n")
    );
    assert!(height.contains(&rows.len()), "{all}{said}");
    let is_met = |row: &Value, cell: &str| {
        let (column, value) = cell.split_once('=').unwrap();
        match row.get(column).unwrap() {
            Value::Null => value.is_empty(),
            Value::String(cell) => cell == value,
            cell => format!("{cell}") == value,
        }
    };
    let mut rest = rows.iter();
    for line in expected
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
    {
        let mut cells = line.split("; ");
        let is_there = rest.any(|row| cells.clone().all(|cell| is_met(row, cell)));
        assert!(
            is_there,
            "not there, or not in this place: {:?}\n{all}{said}",
            cells.next()
        );
    }
}

#[test]
fn findings_are_told_by_who_and_when() {
    let log = root().join(MASTERS);
    let found = run(&options(&[&log])).outcome.findings;
    let mut by_who: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for finding in &found {
        let who = finding.actor.username.as_deref();
        let (count, worst) = by_who.entry(who.unwrap_or("(nobody named)")).or_default();
        *count += 1;
        *worst = (*worst).max(finding.severity as usize);
    }
    let (rows, said) = ask("worst-actors", "", MASTERS);
    assert_eq!(rows.len(), by_who.len(), "{said}");
    for row in &rows {
        let (count, worst) = by_who[row["who"].as_str().unwrap()];
        assert_eq!(row["findings"], json!(count), "{row}");
        assert_eq!(row["worst_rank"], json!(worst), "{row}");
    }
    assert!(rows.is_sorted_by_key(|row| Reverse(row["worst_rank"].as_u64())));
    let worst = "who=break-glass; worst=critical; incidents=1";
    check("worst-actors", "rank=4", MASTERS, 1.., worst);

    let in_incidents = found.iter().filter(|finding| finding.incident_id.is_some());
    let (rows, said) = ask("incident-timeline", "rank=0", MASTERS);
    assert_eq!(rows.len(), in_incidents.count(), "{said}");
    let id = rows[0]["incident_id"].as_str().unwrap();
    let (rows, _) = ask(
        "incident-timeline",
        &format!("incident={}", &id[..8]),
        MASTERS,
    );
    assert_eq!(rows[0]["after_s"], json!(0.0));
    assert!(rows.iter().all(|row| row["incident_id"] == id));
    assert!(rows.is_sorted_by_key(|row| row["first_seen"].to_string()));
}

#[test]
fn every_question_is_asked_here() {
    let this = include_str!("questions.rs");
    let folder = root().join("queries/questions");
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let name = path.file_stem().unwrap().to_string_lossy();
        assert!(
            this.contains(&format!("(\"{name}\",")),
            "nobody asks `{name}`"
        );
    }
}

/// Each question, its parameters, the log, how many rows there are, and some of them.
#[rustfmt::skip] // A table reads better as written.
mod cases {
    use super::*;

    #[test]
    fn somebody_deleted_or_changed_an_object() {
        let secret = "resource=secrets namespace=default name=default-token-0";
        check("who-deleted", secret, REUSE, 3..=3, "
            ts=2026-11-22T04:55:57.524214Z; verb=delete; username=kubernetes-admin; target=the object
            ts=2026-11-22T04:55:56.553932Z; verb=patch; username=system:apiserver; code=200
            ts=2026-11-22T04:55:56.439993Z; verb=update; username=system:kube-controller-manager
        ");
        let only = format!("{secret} deletions=yes");
        check("who-deleted", &only, REUSE, 1..=1, "verb=delete");
        // A deletion of all carries no name.
        let config = "resource=configmaps namespace=billing name=settings";
        check("who-deleted", config, BENIGN, 1..=1, "
            verb=deletecollection; target=all of its kind; name=; code=200
        ");
    }

    #[test]
    fn an_object_made_again_starts_another_life() {
        let account = "resource=serviceaccounts namespace=dev name=shortlived2";
        check("object-history", account, REUSE, 4..=4, "
            verb=create; subresource=; life=1; code=201
            verb=create; subresource=token; life=1
            verb=delete; life=1; username=kubernetes-admin; code=200
            verb=create; subresource=; life=2; code=201
        ");
        let deployment = "resource=deployments namespace=dev name=svc-dev-1";
        check("object-history", deployment, BENIGN, 9..=9, "
            life=0; verb=patch; code=404; status_writes=56
            life=1; verb=create; code=201; status_writes=56
        ");
        let with_status = format!("{deployment} status=yes");
        check("object-history", &with_status, BENIGN, 65..=65, "");
    }

    #[test]
    fn periods_differ() {
        let cut = "a_to=2026-11-22T04:55:32Z b_from=2026-11-22T04:55:32Z";
        check("period-diff", cut, ANONYMOUS, 41..=41, "
            change=new; who=system:node:*; verb=delete; resource=pods; before_n=0; after_n=3
            change=new; who=kubernetes-admin; verb=create; resource=clusterrolebindings; after_n=2
            change=new; who=system:anonymous; verb=get; resource=secrets; before_n=0; after_n=1
            change=less; who=system:anonymous; verb=get; resource=; before_n=41; after_n=1
            change=gone; who=system:anonymous; verb=get; resource=configmaps; before_n=2; after_n=0
        ");
    }

    #[test]
    fn rights_were_given_and_taken() {
        check("rbac-changes", "", MASTERS, 6..=6, "
            name=metrics-helper; username=break-glass; granted=ClusterRole/cluster-admin; \
                subjects=ServiceAccount/kube-system/metrics-helper
            name=mallory-impersonator; granted=ClusterRole/impersonator; subjects=User/mallory
            verb=create; name=m2; username=mallory; imp_username=nobody
            verb=delete; name=m2; username=mallory; granted=
            verb=delete; name=mallory-impersonator; username=kubernetes-admin
            verb=delete; name=metrics-helper; username=kubernetes-admin
        ");
        check("rbac-changes", "", MASTERS_METADATA, 6..=6, "
            name=metrics-helper; username=break-glass; granted=not logged; subjects=
        ");
        check("rbac-changes", "", STARTUP, 35..=35, "");
        check("rbac-changes", "startup=yes", STARTUP, 172..=172, "username=system:apiserver");
    }

    #[test]
    fn workloads_reach_for_the_node() {
        check("risky-workloads", "", BENIGN, 0..=0, "");
        let network = "tests/queries/host-network/hit.jsonl";
        check("risky-workloads", "", network, 4..=4, "
            username=break-glass; resource=pods; pod_flags=hostNetwork; n=1
        ");
        let capabilities = "tests/queries/dangerous-capabilities/hit.jsonl";
        check("risky-workloads", "flag=caps:SYS_ADMIN", capabilities, 2..=2, "
            name=sysadmin; pod_flags=caps:NET_ADMIN, caps:SYS_ADMIN
            name=web-1; subresource=ephemeralcontainers; pod_images=alpine
        ");
    }

    #[test]
    fn an_identity_is_followed() {
        check("identity-timeline", "who=mallory", MASTERS, 23..=23, "
            ts=2026-11-22T04:55:37.350980Z; code=403; uri=/api?timeout=32s
            ts=2026-11-22T04:55:37.435131Z; resource=secrets; session=2026-11-22T04:55:37.435131Z; \
                agent_family=python-requests
            ts=2026-11-22T04:55:37.549213Z; resource=secrets; session=2026-11-22T04:55:37.350980Z; \
                imp_username=kubernetes-admin; code=200
            ts=2026-11-22T04:55:37.741174Z; code=404
        ");
        // With a short gap, what comes after a pause is another session.
        check("identity-timeline", "who=mallory gap=20ms", MASTERS, 23..=23, "
            ts=2026-11-22T04:55:37.357958Z; session=2026-11-22T04:55:37.350980Z
            ts=2026-11-22T04:55:37.416197Z; session=2026-11-22T04:55:37.416197Z
        ");
        let who = "who=system:serviceaccount:ci:deployer";
        check("identity-profile", who, SHARED, 7..=7, "
            verb=list; resource=configmaps; namespace=prod; n=40
            verb=list; resource=secrets; namespace=; n=14
            verb=get; resource=; n=2
        ");
    }

    #[test]
    fn something_was_done_for_the_first_time() {
        check("first-seen", "from=2026-11-22T04:55:32.5Z", ANONYMOUS, 27..=27, "
            first_time=2026-11-22T04:55:32.520587Z; actor=kubernetes-admin; new=identity; verb=create
            first_time=2026-11-22T04:55:32.550986Z; actor=system:anonymous; new=behaviour; verb=list; \
                resource=secrets
            first_time=2026-11-22T04:55:32.776248Z; actor=system:anonymous; resource=daemonsets
            first_time=2026-11-22T04:55:33.868264Z; actor=kubernetes-admin; verb=delete
        ");
        let anonymous = "from=2026-11-22T04:55:32.5Z who=system:anonymous";
        check("first-seen", anonymous, ANONYMOUS, 10..=10, "");
    }

    #[test]
    fn credentials_come_from_places() {
        check("credential-use", "who=bob", SHARED, 2..=2, "
            exact=yes; peer_ip=127.0.2.12; agent_family=kubectl; n=20; resources=1
            exact=yes; peer_ip=127.0.66.40; agent_family=curl; n=20; resources=3
        ");
        check("credential-use", "who=legacy-app", SHARED, 4..=4, "exact=no");
        check("shared-credential", "", SHARED, 4..=4, "
            username=system:serviceaccount:ci:deployer; exact=yes; address_switches=62; \
                program_switches=63; addresses=4; programs=5; n=109; \
                credential=JTI=c2c903f3-ac38-4acb-9eb7-39f2cf6b92e4
            username=legacy-app; exact=no; address_switches=59; program_switches=60; n=63
            username=bob; exact=yes; address_switches=39; program_switches=39; n=40
            username=system:serviceaccount:prod:app; address_switches=1; program_switches=3; n=28
        ");
        check("token-outside", "", SHARED, 0..=0, "");
        let (_, said) = ask("token-outside", "", SHARED);
        assert!(
            said.contains("public addresses: the log has none"),
            "{said}"
        );
        check("token-outside", "class=loopback own=127.0.66.%", SHARED, 15..=15, "
            peer_ip=127.0.5.1; agent_family=Helm; n=60; known_as=
            peer_ip=127.0.66.20; agent_family=python-requests; n=20; known_as=127.0.66.%
        ");
    }

    #[test]
    fn somebody_took_on_another_name() {
        check("impersonation", "", MASTERS, 9..=9, "
            how=acted as; username=system:serviceaccount:cattle-system:rancher; acted_as=bob; n=6
            how=acted as; username=system:serviceaccount:cattle-system:rancher; acted_as=alice; n=6
            how=acted as; username=mallory; acted_as=system:anonymous; n=1; denied=1
            how=acted as; username=mallory; acted_as=nobody; n=3; denied=0
            how=acted as; username=mallory; acted_as=kubernetes-admin; n=4
            how=refused; username=mallory; acted_as=; n=11; denied=11
        ");
        // A server that logs no messages tells a refused try by the missing decision.
        check("impersonation", "", MASTERS_OLD, 1.., "how=refused; username=mallory; n=11; a_message=");
        check("masters-use", "", MASTERS, 9..=9, "
            member=impersonated; username=mallory; imp_username=nobody; n=3
            member=impersonated; username=mallory; imp_username=kubernetes-admin; n=4
            member=own; username=kubernetes-admin; peer_ip=127.0.1.1; n=19
            member=own; username=break-glass; n=11
            member=own; username=kubernetes-admin; peer_ip=127.0.66.30; n=2
            member=the API server itself; username=system:apiserver; n=2
        ");
    }

    #[test]
    fn secrets_were_read() {
        let secret = "namespace=prod name=db-credentials reach=no";
        check("secret-readers", secret, ANONYMOUS, 3..=3, "
            ts=2026-11-22T04:55:32.550986Z; how=list of the cluster; username=system:anonymous
            ts=2026-11-22T04:55:32.588982Z; how=list of the cluster
            ts=2026-11-22T04:55:32.632293Z; how=the Secret; verb=get
        ");
        check("secret-readers", "namespace=dev reach=no", BENIGN, 19..=19, "
            how=list of the namespace; username=dev-1
            how=list of the namespace; username=bob
        ");
        check("secret-readers", "namespace=dev", BENIGN, 25..=25, "
            how=could: workload made; username=dev-1; resource=deployments
            how=could: shell in a Pod; username=dev-1; ts=2026-11-22T05:01:19.166316Z
        ");
        check("exposed-credentials", "", ANONYMOUS, 7..=7, "
            way=Secret read; username=system:anonymous; namespace=; name=; n=2
            way=Secret read; namespace=prod; name=db-credentials; n=1
            way=Secret read; namespace=kube-system; name=; n=1
            way=value in this log; namespace=prod; name=db-credentials; n=1
            way=value in this log; namespace=kube-system; name=daemon-set-controller
        ");
        check("exposed-credentials", "", ANONYMOUS_METADATA, 3..=3, "way=Secret read; n=2");
    }

    #[test]
    fn shells_and_tunnels_were_opened() {
        check("interactive-access", "", BENIGN, 4..=4, "
            ts=2026-11-22T05:01:19.166316Z; username=dev-1; subresource=exec; code=101; seconds=0.5; \
                asked=command=ls&stdout=true
            username=bob; name=svc-dev-1-5f85bf9dd4-fkxsk
        ");
        check("interactive-access", "who=bob", BENIGN, 1..=1, "");
        check("interactive-access", "", ANONYMOUS, 3..=3, "
            subresource=proxy; resource=nodes; code=403; asked=/api/v1/nodes/node-1/proxy/pods
            subresource=exec; name=web; code=403
            subresource=proxy; resource=services
        ");
        // Newer clients come by WebSocket, whose verb is `get`.
        let exec = "tests/queries/pod-exec/hit.jsonl";
        check("interactive-access", "", exec, 3..=3, "
            verb=get
            verb=create
        ");
    }

    #[test]
    fn tokens_were_minted() {
        check("tokens-minted", "", SHARED, 6..=6, "
            service_account=deployer; minted_by=kubernetes-admin; used=yes; uses=109; peers=4; \
                other_peers=109; issued_credential_id=JTI=c2c903f3-ac38-4acb-9eb7-39f2cf6b92e4
            service_account=app; used=yes; uses=28; peers=2
            service_account=app; used=yes; uses=20; peers=1
        ");
        check("tokens-minted", "kubelets=yes", SHARED, 7..=7, "minted_by=system:node:node-1");
        check("tokens-minted", "", REUSE_OLD, 5..=5, "used=cannot be told; uses=");
    }

    #[test]
    fn somebody_knocks() {
        check("auth-failures", "", REFUSED, 14..=14, "
            peer_ip=127.0.66.10; agent_family=python-requests; n=450; paths=4
            peer_ip=127.0.66.20; agent_family=Go-http-client; n=60; paths=1
            peer_ip=127.0.4.44; agent_family=fluent-bit; n=44; paths=1
            peer_ip=127.0.2.12; agent_family=kubectl; n=5; paths=1
        ");
        check("auth-failures", "min=1", REFUSED, 36..=36, "");
        // The slow ones come seconds apart, so each knock is a burst of its own.
        check("auth-failures", "gap=1s", REFUSED, 4..=4, "");
        check("auth-failures", "", MASTERS, 0..=0, "");
    }

    #[test]
    fn the_nameless_tried_and_got() {
        check("anonymous", "", ANONYMOUS, 53..=53, "
            outcome=ok; usual=no; path=/api/v1/secrets; n=2; peers=2
            outcome=ok; usual=no; path=/.well-known/openid-configuration; n=1
            outcome=ok; usual=yes; path=/healthz; n=7; peers=3
            outcome=ok; usual=yes; resource=configmaps; n=2
            outcome=denied; usual=no; path=/api/v1/secrets; n=6
        ");
        check("denied-then-allowed", "", ANONYMOUS, 8..=8, "
            verb=get; what=/api; ns=; denied_n=2; allowed_n=1; before=0; actor=system:anonymous
            verb=list; what=secrets; ns=; denied_n=6; allowed_n=2; allowed_by=RBAC: allowed by \
                ClusterRoleBinding \"anonymous-admin\" of ClusterRole \"cluster-admin\" to User \
                \"system:anonymous\"
            verb=list; what=secrets; ns=kube-system; denied_n=1; allowed_n=1
            verb=create; what=pods; ns=default; denied_n=1; allowed_n=1
        ");
        check("reconnaissance", "", ANONYMOUS, 1..=1, "
            actor=system:anonymous; peer_ip=127.0.66.77; kinds=8; n=16
        ");
        check("reconnaissance", "kinds=7", ANONYMOUS, 2..=2, "
            peer_ip=127.0.66.77
            peer_ip=127.0.66.10; agent_family=curl; kinds=7; n=31
        ");
    }

    #[test]
    fn a_credential_touched_things() {
        let certificate = "X509SHA256=dcd1d2895229db1c797a79d4c2e5669b45931bb3c544ccf35431fda1b165cd2d";
        let by_credential = format!("credential={certificate}");
        for asked_by in [&*by_credential, "who=break-glass", "ip=127.0.66.20"] {
            check("blast-radius", asked_by, MASTERS, 13..=13, "
                what=1 changed rights; verb=create; resource=clusterrolebindings; n=1
                what=2 read Secrets; verb=list; namespace=kube-system; n=1
                what=3 made credentials; verb=create; resource=certificatesigningrequests; n=1
                what=3 made credentials; verb=update; resource=certificatesigningrequests; n=1
                what=5 changed; verb=create; resource=serviceaccounts; n=1
                what=5 changed; verb=delete; resource=certificatesigningrequests; n=1
                what=6 looked; verb=get; resource=certificatesigningrequests; n=4
                what=6 looked; verb=create; resource=selfsubjectreviews; n=1
                what=8 failed; verb=delete; resource=certificatesigningrequests; n=1
            ");
        }
        let output = kubescry(&["query", "blast-radius", MASTERS], b"");
        assert_eq!(output.status.code(), Some(2));
        let error = "error: `blast-radius` must be told one of `credential`, `who`, `ip`";
        assert!(text(&output.stderr).contains(error));
    }

    #[test]
    fn a_value_that_does_not_occur_is_told() {
        for (question, parameter, expected) in [
            ("blast-radius", "who=break-glas", "no event has `break-glas` in `username` or `imp_username`; did you mean `break-glass`?"),
            ("who-deleted", "resource=clusterrolebinding", "no event has `clusterrolebinding` in `resource`; did you mean `clusterrolebindings`?"),
            ("address-history", "ip=203.0.113.77", "no event has `203.0.113.77` in `peer_ip`\n"),
            ("who-deleted", "resource=nodes", "nothing in it answers"),
        ] {
            let (rows, said) = ask(question, parameter, MASTERS);
            assert!(rows.is_empty());
            assert!(said.contains(expected), "{parameter}: {said}");
        }
    }

    #[test]
    fn distrust_spreads() {
        check("distrust", "who=mallory", MASTERS, 7..=7, "
            how=acted in system:masters as; gained=kubernetes-admin; n=4; later=12; \
                since=2026-11-22T04:55:37.453643Z
            how=read the Secret of; gained=Secret */*
            how=acted in system:masters as; gained=nobody
            how=changed rights; \
                gained=clusterrolebindings m2: ClusterRole/cluster-admin to User/mallory
            how=acted as; gained=system:serviceaccount:argocd:argocd-application-controller
        ");
        check("distrust", "who=kubernetes-admin", SHARED, 3..=3, "
            how=minted a token of; gained=system:serviceaccount:ci:deployer; n=1; later=109
            how=ran a workload as; gained=system:serviceaccount:prod:app; n=2
            how=minted a token of; gained=system:serviceaccount:prod:app; n=5; later=108
        ");
        check("distrust", "who=bob", BENIGN, 4..=4, "
            how=got a shell in; gained=Pod dev/svc-dev-1-5f85bf9dd4-fkxsk
        ");
    }

    #[test]
    fn the_log_says_what_it_can_tell() {
        check("coverage", "", ANONYMOUS, 19..=19, "
            resource=(paths); level=RequestResponse; events=93; started=1
            resource=pods; events=75; received=37; complete=37; bodies=75
            resource=clusterrolebindings; events=14; writes=8
        ");
        check("silences", "", BENIGN, 0..=0, "");
        check("silences", "gap=900ms", BENIGN, 5..=5, "
            silent_from=2026-11-22T05:03:43.820907Z; silent_to=2026-11-22T05:03:44.726281Z; seconds=0.9
        ");
    }

    #[test]
    fn the_platform_team_asks() {
        check("least-privilege", "who=alice", BENIGN, 36..=36, "
            namespace=dev; what=deployments; subresource=scale; verb=patch; only_name=svc-alice; n=3
            namespace=dev; what=deployments; verb=create; only_name=
            namespace=dev; what=configmaps; verb=get; only_name=nothing-6
            namespace=dev; what=configmaps; verb=patch; also=create
        ");
        let rancher = "who=system:serviceaccount:cattle-system:rancher";
        check("least-privilege", rancher, BENIGN, 1..=1, "what=users; verb=impersonate; names=3; n=24");
        check("bindings-used", "", ANONYMOUS, 8..=8, "
            binding=system:public-info-viewer; n=24; writes=0
            binding_kind=ClusterRoleBinding; binding=anonymous-admin; role_kind=ClusterRole; \
                role=cluster-admin; subject=User system:anonymous; n=13
            binding_kind=RoleBinding; binding=kubeadm:bootstrap-signer-clusterinfo/kube-public; \
                role_kind=Role; n=2
        ");
        check("bindings-used", "role=cluster-admin", ANONYMOUS, 1..=1, "");
        check("api-hogs", "", BENIGN, 50..=50, "
            actor=system:serviceaccount:kube-system:deployment-controller; n=191; total_s=0.899
            actor=system:serviceaccount:monitoring:prometheus; n=12; total_s=0.79
        ");
        check("api-hogs", "top=1000", BENIGN, 263..=263, "");
        check("deprecated-apis", "", BENIGN, 2..=2, "
            actor=legacy-app; resource=endpoints; n=9; writes=0
            actor=system:serviceaccount:kube-system:namespace-controller; n=2
        ");
        check("noise", "top=3", ANONYMOUS, 3..=3, "
            resource=pods; verb=list; identity_kind=node; events=32; bytes=261759; percent_bytes=38.04
            resource=clusterrolebindings; verb=list; identity_kind=anonymous; bytes=55103
            resource=; verb=get; identity_kind=anonymous; events=85; bytes=51278
        ");
    }

    #[test]
    fn an_address_has_a_history() {
        check("address-history", "ip=127.0.66.10", ANONYMOUS, 2..=2, "
            seen_as=connection; username=system:anonymous; agent_family=curl; n=35
            seen_as=connection; agent_family=python-requests; n=6
        ");
        // One that stands only in the middle of a chain, where the client wrote it.
        check("address-history", "ip=10.0.0.9", ANONYMOUS, 1..=1, "seen_as=claimed; n=1");
        check("address-history", "ip=127.0.66.30", MASTERS, 5..=5, "
            username=kubernetes-admin; n=2
            username=helper; n=2
            username=system:kube-controller-manager; writes=1
            username=; refused_logins=2
        ");
    }

    #[test]
    fn credentials_outlive_their_objects() {
        // The server remembers a checked token for ten seconds, which is how long it went on serving these.
        check("token-after-delete", "", REUSE, 15..=15, "
            sure=certain; username=system:bootstrap:zzzzzz; n=188; served=188; \
                ended_object=Secret kube-system/bootstrap-token-zzzzzz; ended_by=kubernetes-admin
            sure=certain; username=system:serviceaccount:dev:shortlived2; n=174; served=174; \
                ended_at=2026-11-22T04:57:02.723160Z
            sure=certain; username=system:serviceaccount:dev:shortlived3; n=173; \
                ended_object=Pod dev/victim
            sure=certain; n=172; ended_object=Secret default/default-token-1; a_peer=127.0.66.10
            sure=likely; n=27; served=0; ended_object=ServiceAccount dev/shortlived; unexplained=
            sure=likely; n=10; served=0; ended_object=Secret default/default-token-2
        ");
        check("token-after-delete", "from=2026-11-22T04:57:30Z", REUSE, 2..=2, "
            sure=certain; username=system:bootstrap:zzzzzz
            sure=likely; username=system:bootstrap:zzzzzz
        ");
        check("token-after-delete", "", BENIGN, 0..=0, "");
        check("long-lived-credentials", "", REUSE, 4..=4, "
            username=system:serviceaccount:default:default; credential_kind=legacy-token
        ");
        check("long-lived-credentials", "kinds=no", REUSE, 0..=0, "");
        check("long-lived-credentials", "age=5s kinds=no", REUSE, 10.., "");
    }

    #[test]
    fn credentials_have_holders_and_makers() {
        check("credential-inventory", "", SHARED, 13.., "
            username=system:serviceaccount:prod:app; credential_kind=unbound-token; credentials=3; \
                requests=60; most_peers=1; minted_in_log=3
            username=system:serviceaccount:prod:app; credential_kind=bound-token; credentials=3; \
                requests=48; most_peers=2; minted_in_log=3
        ");
        check("credential-inventory", "kind=x509", SHARED, 7..=7, "
            username=bob; credentials=1; requests=40; most_peers=2; most_agents=2
        ");
        check("credential-lineage", "", SHARED, 6..=6, "
            username=system:serviceaccount:ci:deployer; minted_by=kubernetes-admin; \
                parent_kind=x509; requests=109; n_peers=4
            username=system:serviceaccount:prod:app; requests=28; n_peers=2
        ");
        check("credential-lineage", "nodes=yes", SHARED, 7..=7, "minted_by=system:node:node-1");
        let deployer = "credential=JTI=c2c903f3-ac38-4acb-9eb7-39f2cf6b92e4";
        check("credential-lineage", deployer, SHARED, 1..=1, "parent_minted_by=");
    }
}
