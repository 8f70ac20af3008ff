//! Counts, held against the kept events one by one.

use super::*;

#[test]
fn counts_are_those_of_the_events() {
    for name in LOGS {
        let log = Log::sample(name);
        let all = requests(&log.snapshot);
        let by = |field: &str| {
            let mut by: BTreeMap<&str, Vec<&Request>> = BTreeMap::new();
            for request in all.iter().filter(|request| !request[field].is_empty()) {
                by.entry(&request[field]).or_default().push(request);
            }
            by
        };
        for (user, requests) in by("username") {
            let card = log.card(&Pivot::Identity(user.to_owned()));
            assert_eq!(number(&card, "requests"), requests.len(), "{user}");
            let addresses = distinct(&requests, &["peer_ip"]).len();
            assert_eq!(section(&card, "Addresses").0, addresses, "{user}");
            let credentials = distinct(&requests, &["credential", "credential_kind"]).len();
            assert_eq!(section(&card, "Credentials").0, credentials, "{user}");
            let grid = section(&card, "Resources and verbs");
            assert_eq!(grid.0, distinct(&requests, &["resource"]).len(), "{user}");
            let total = grid.1.last().unwrap().split_whitespace();
            let total: usize = total.filter_map(|word| word.parse::<usize>().ok()).sum();
            assert_eq!(total, requests.len(), "{user}");
        }
        for (key, requests) in by("credential") {
            let card = log.card(&Pivot::Credential(key.to_owned()));
            assert_eq!(number(&card, "requests"), requests.len(), "{key}");
            let uses = distinct(&requests, &["peer_ip", "user_agent"]).len();
            assert_eq!(section(&card, "Where it was used").0, uses, "{key}");
            let issued = requests
                .iter()
                .filter(|one| !one["issued_credential_id"].is_empty());
            let issued: BTreeSet<&str> = issued
                .map(|one| one["issued_credential_id"].as_str())
                .collect();
            assert_eq!(
                section(&card, "What was minted with it").0,
                issued.len(),
                "{key}"
            );
        }
        for (address, requests) in by("peer_ip") {
            let card = log.card(&Pivot::Address(address.to_owned()));
            assert_eq!(number(&card, "requests"), requests.len(), "{address}");
            let mut users = distinct(&requests, &["username"]);
            let nameless = users.remove(&vec![""]);
            assert_eq!(section(&card, "Identities").0, users.len(), "{address}");
            assert_eq!(text(&card).contains("\nnameless"), nameless, "{address}");
        }
        for (agent, requests) in by("user_agent") {
            let card = log.card(&Pivot::Value(Column::UserAgent.into(), agent.to_owned()));
            assert_eq!(number(&card, "requests"), requests.len(), "{agent}");
        }
    }
}

#[test]
fn objects_have_all_their_requests() {
    for name in LOGS {
        let log = Log::sample(name);
        let all = requests(&log.snapshot);
        let mut objects: BTreeSet<(&str, &str, &str)> = BTreeSet::new();
        for request in all.iter().filter(|request| !request["name"].is_empty()) {
            objects.insert((
                &request["resource"],
                &request["namespace"],
                &request["name"],
            ));
        }
        for (resource, namespace, name) in objects {
            let is_it = |request: &&Request| {
                let of_all = request["verb"] == "deletecollection" && request["name"].is_empty();
                request["resource"] == resource
                    && (namespace.is_empty() || request["namespace"] == namespace)
                    && (request["name"] == name || of_all)
            };
            let requests: Vec<&Request> = all.iter().filter(is_it).collect();
            let card = log.card(&Pivot::Object(Object {
                resource: resource.to_owned(),
                namespace: namespace.to_owned(),
                name: name.to_owned(),
            }));
            let what = format!("{resource} {namespace}/{name}");
            assert_eq!(number(&card, "requests"), requests.len(), "{what}");
            let reads = |request: &&&Request| {
                matches!(&*request["verb"], "get" | "list" | "watch")
                    && matches!(&*request["subresource"], "" | "status" | "scale")
                    && resource != "secrets"
            };
            let status = |request: &&&Request| {
                !matches!(&*request["verb"], "get" | "list" | "watch")
                    && matches!(&*request["subresource"], "status" | "finalize")
            };
            let hidden =
                requests.iter().filter(reads).count() + requests.iter().filter(status).count();
            let listed = section(&card, "What happened to it").0;
            assert_eq!(listed, requests.len() - hidden, "{what}");
        }
    }
}

#[test]
fn uses_after_the_end_are_counted_and_listed() {
    let mut log = Log::sample("sample-logs/v1.36/token-reuse.log.gz");
    let all = requests(&log.snapshot);
    let mut credentials = log.results.credentials.to_vec();
    credentials.sort_by_key(|one| std::cmp::Reverse(one.requests));
    let busy = credentials[0].credential.clone();
    let of_busy: Vec<&Request> = all.iter().filter(|one| one["credential"] == busy).collect();
    let received = |request: &Request| {
        let time = chrono::DateTime::parse_from_rfc3339(&request["ts"]).unwrap();
        time.timestamp_micros()
    };
    let mut times: Vec<i64> = of_busy.iter().map(|request| received(request)).collect();
    times.sort_unstable();
    let end = times[times.len() / 2];
    let after = times.iter().filter(|&&time| time > end).count();
    assert!(after > 20, "{after}");
    credentials[0].ended = Some(Ended {
        object: "ServiceAccount prod/web".to_owned(),
        at: Timestamp(end),
        by: "alice".to_owned(),
        is_gone: true,
        is_renewed: false,
    });
    credentials[0].uses_after_end = 7;
    credentials[0].last_use_after_end = Some(Timestamp(times[times.len() - 1]));
    log.results.credentials = credentials.into();
    let card = log.card(&Pivot::Credential(busy.clone()));
    let (count, lines) = section(&card, "Requests after the end");
    assert_eq!(count, after);
    assert_eq!(
        lines.len(),
        1 + 20 + 1,
        "a note, the first, and how many more"
    );
    assert_eq!(lines[21], format!("+{} more", after - 20));
    assert!(text(&card).contains("ServiceAccount prod/web was deleted"));
    let rows = credentials_rows(&log);
    assert!(rows[0].is_undead);
    assert_eq!(rows[0].pivot, Pivot::Credential(busy));
}

#[test]
fn what_is_new_is_what_came_late() {
    let log = Log::sample("sample-logs/v1.36/token-reuse.log.gz");
    let totals = &log.results.summary.totals;
    let (from, to) = (totals.first.unwrap().0, totals.last.unwrap().0);
    let late = from + (to - from) / 4 * 3;
    let all = requests(&log.snapshot);
    let users: BTreeSet<&str> = all.iter().map(|one| one["username"].as_str()).collect();
    let mut n_new = 0;
    for user in users.into_iter().filter(|user| !user.is_empty()) {
        let mut firsts: BTreeMap<[&str; 3], i64> = BTreeMap::new();
        for one in all.iter().filter(|one| one["username"] == user) {
            let action = ["verb", "resource", "subresource"].map(|field| one[field].as_str());
            let first = firsts.entry(action).or_insert(i64::MAX);
            *first = (*first).min(time(one));
        }
        let new = firsts.values().filter(|&&first| first >= late).count();
        let card = log.card(&Pivot::Identity(user.to_owned()));
        assert_eq!(section(&card, "Done for the first time").0, new, "{user}");
        n_new += new;
    }
    assert!(n_new > 0);
}
