use std::sync::LazyLock;

use serde_json::{Value, json};

use crate::detect::CompiledRules;
use crate::finding::Timestamp;
use crate::finding::credential::{Credential, Ended, Minted, USES};
use crate::pipeline::{Options, scan_text};
use crate::rules::RuleSet;

static RULES: LazyLock<(RuleSet, CompiledRules)> = LazyLock::new(|| {
    let rules = RuleSet::embedded().unwrap();
    let compiled = CompiledRules::compile(&rules).unwrap();
    (rules, compiled)
});

fn at(second: i64) -> Timestamp {
    Timestamp(1_795_323_600_000_000 + second * 1_000_000)
}

/// A log in the making.
#[derive(Default)]
struct Log(Vec<Value>);

impl Log {
    /// Adds a request on an object `RESOURCE/NAME[/SUBRESOURCE]` in the namespace `prod`.
    fn request(&mut self, second: i64, user: &Value, verb: &str, object: &str) -> &mut Value {
        self.with(second, user, "10.0.0.1", verb, object, 200)
    }

    fn with(
        &mut self,
        second: i64,
        user: &Value,
        peer: &str,
        verb: &str,
        object: &str,
        code: u16,
    ) -> &mut Value {
        let time = at(second).to_string();
        let parts: Vec<&str> = object.split('/').collect();
        let mut object_ref = json!({"namespace": "prod", "apiVersion": "v1"});
        for (key, part) in ["resource", "name", "subresource"].iter().zip(&parts) {
            object_ref[*key] = json!(part);
        }
        self.0.push(json!({
            "kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "Metadata",
            "auditID": format!("00000000-0000-4000-8000-{:012}", self.0.len()),
            "stage": if code == 401 { "ResponseStarted" } else { "ResponseComplete" },
            "requestURI": format!("/api/v1/namespaces/prod/{object}"),
            "verb": verb, "user": user, "sourceIPs": [peer], "userAgent": "curl/8",
            "objectRef": object_ref, "responseStatus": {"metadata": {}, "code": code},
            "requestReceivedTimestamp": time, "stageTimestamp": time, "annotations": {},
        }));
        self.0.last_mut().unwrap()
    }

    /// Adds the request of a token for the ServiceAccount `web`.
    fn mint(&mut self, second: i64, user: &Value, id: &str) -> &mut Value {
        let event = self.request(second, user, "create", "serviceaccounts/web/token");
        event["annotations"]["authentication.kubernetes.io/issued-credential-id"] = json!(id);
        event
    }

    fn scan(&self, credentials: bool) -> Vec<Credential> {
        let lines: Vec<String> = self.0.iter().map(Value::to_string).collect();
        let options = Options {
            credentials,
            ..Options::default()
        };
        let (rules, compiled) = &*RULES;
        let scan = scan_text("log", &lines.join("\n"), &options, rules, compiled).unwrap();
        assert_eq!(scan.summary.totals.events, self.0.len() as u64);
        scan.outcome.credentials
    }

    fn credentials(&self) -> Vec<Credential> {
        self.scan(true)
    }

    fn credential(&self, key: &str) -> Credential {
        let all = self.credentials();
        let keys: Vec<&str> = all.iter().map(|of| of.credential.as_str()).collect();
        let found = all.iter().find(|of| of.credential == key);
        found
            .unwrap_or_else(|| panic!("{key} is not among {keys:?}"))
            .clone()
    }
}

fn user(name: &str, id: &str) -> Value {
    json!({
        "username": name, "groups": ["system:authenticated"],
        "extra": {"authentication.kubernetes.io/credential-id": [id]},
    })
}

fn dev() -> Value {
    user("dev", "X509SHA256=dev")
}

fn kubelet() -> Value {
    user("system:node:n1", "X509SHA256=n1")
}

/// Who holds a token of the ServiceAccount `web`.
fn web(id: &str) -> Value {
    let mut web = user("system:serviceaccount:prod:web", id);
    web["uid"] = json!("uid-web");
    web
}

fn ended(object: &str, by: &str, second: i64) -> Ended {
    Ended {
        object: object.to_owned(),
        at: at(second),
        by: by.to_owned(),
        is_gone: true,
        is_renewed: false,
    }
}

#[test]
fn a_token_that_outlives_its_account() {
    let mut log = Log::default();
    log.mint(0, &dev(), "JTI=t1");
    for second in [10, 20] {
        log.request(second, &web("JTI=t1"), "list", "pods");
    }
    log.request(30, &dev(), "delete", "serviceaccounts/web");
    // The API server may remember it at 35, and no more at 60.
    for second in [35, 60, 90] {
        log.request(second, &web("JTI=t1"), "list", "secrets");
    }
    let all = log.credentials();
    let keys: Vec<&str> = all.iter().map(|of| of.credential.as_str()).collect();
    assert_eq!(keys, ["X509SHA256=dev", "JTI=t1"]);
    let [owner, token] = &all[..] else {
        unreachable!()
    };
    assert_eq!(token.credential_kind, "unbound-token");
    assert_eq!(token.username, "system:serviceaccount:prod:web");
    assert_eq!(token.identity_kind, "serviceaccount");
    assert_eq!(token.user_uid.as_deref(), Some("uid-web"));
    assert_eq!(token.token_pod, None);
    assert_eq!(
        (token.first_use, token.last_use, token.requests),
        (Some(at(10)), Some(at(90)), 5)
    );
    let minted = Minted {
        by: "dev".to_owned(),
        with: "X509SHA256=dev".to_owned(),
        at: at(0),
    };
    assert_eq!(token.minted, Some(minted));
    assert_eq!(
        token.ended,
        Some(ended("ServiceAccount prod/web", "dev", 30))
    );
    assert_eq!(token.uses_after_end, 2);
    assert_eq!(token.last_use_after_end, Some(at(90)));
    let tokens: Vec<&Credential> = owner.minted_with(&all).collect();
    assert_eq!(tokens, [token]);
}

#[test]
fn a_token_that_is_never_used_is_listed_last() {
    let mut log = Log::default();
    log.mint(0, &dev(), "JTI=idle");
    log.mint(1, &dev(), "JTI=held");
    log.request(5, &web("JTI=held"), "list", "pods");
    let token = log.credential("JTI=idle");
    assert_eq!(log.credentials().last(), Some(&token));
    assert_eq!(
        (token.first_use, token.last_use, token.requests),
        (None, None, 0)
    );
    assert_eq!(token.credential_kind, "unknown");
    assert_eq!(token.username, "system:serviceaccount:prod:web");
    assert_eq!(token.minted.unwrap().at, at(0));
    assert_eq!(token.ended, None);
    // A namespace goes with all that is in it.
    log.request(9, &dev(), "deletecollection", "serviceaccounts");
    let of_account = Some(ended("ServiceAccount prod/web", "dev", 9));
    assert_eq!(log.credential("JTI=idle").ended, of_account);
    let of_all = Some(ended("every ServiceAccount in prod", "dev", 9));
    assert_eq!(log.credential("JTI=held").ended, of_all);
}

#[test]
fn a_token_that_comes_up_after_its_account_went() {
    let mut log = Log::default();
    log.mint(0, &dev(), "JTI=kept");
    log.request(10, &dev(), "delete", "serviceaccounts/web");
    log.request(15, &web("JTI=kept"), "list", "pods");
    log.request(60, &web("JTI=kept"), "list", "pods");
    let token = log.credential("JTI=kept");
    assert_eq!(
        token.ended,
        Some(ended("ServiceAccount prod/web", "dev", 10))
    );
    assert_eq!((token.requests, token.uses_after_end), (2, 1));
}

#[test]
fn a_trial_run_ends_nothing() {
    let mut log = Log::default();
    log.mint(0, &dev(), "JTI=idle");
    let event = log.request(10, &dev(), "delete", "serviceaccounts/web");
    event["level"] = json!("Request");
    event["requestObject"] = json!({"kind": "DeleteOptions", "dryRun": ["All"]});
    assert_eq!(log.credential("JTI=idle").ended, None);
}

#[test]
fn a_bound_token_lives_until_its_kubelet_deletes_the_pod() {
    let mut log = Log::default();
    log.mint(0, &kubelet(), "JTI=pod");
    let mut holder = web("JTI=pod");
    holder["extra"]["authentication.kubernetes.io/pod-name"] = json!(["web-1"]);
    holder["extra"]["authentication.kubernetes.io/pod-uid"] = json!(["uid-web-1"]);
    log.request(10, &holder, "list", "pods");
    log.request(30, &dev(), "delete", "pods/web-1");
    log.request(50, &holder, "list", "pods");
    let token = log.credential("JTI=pod");
    assert_eq!(token.credential_kind, "bound-token");
    assert_eq!(token.token_pod.as_deref(), Some("web-1"));
    assert_eq!(token.minted.unwrap().by, "system:node:n1");
    let draining = Ended {
        is_gone: false,
        ..ended("Pod prod/web-1", "dev", 30)
    };
    assert_eq!((token.ended, token.uses_after_end), (Some(draining), 0));
    log.request(60, &kubelet(), "delete", "pods/web-1");
    log.request(65, &holder, "list", "pods");
    log.request(80, &holder, "list", "pods");
    let token = log.credential("JTI=pod");
    assert_eq!(
        token.ended,
        Some(ended("Pod prod/web-1", "system:node:n1", 60))
    );
    assert_eq!(
        (token.uses_after_end, token.last_use_after_end),
        (1, Some(at(80)))
    );
}

#[test]
fn the_body_of_a_token_request_says_what_it_is_bound_to() {
    let check = |body: Value, kind: &str, pod: Option<&str>| {
        let mut log = Log::default();
        let event = log.mint(0, &dev(), "JTI=idle");
        event["level"] = json!("Request");
        event["requestObject"] = body;
        let token = log.credential("JTI=idle");
        assert_eq!(token.credential_kind, kind);
        assert_eq!(token.token_pod.as_deref(), pod);
    };
    let bound = json!({"kind": "TokenRequest", "spec": {"boundObjectRef": {"kind": "Pod", "name": "web-1"}}});
    check(bound, "bound-token", Some("web-1"));
    let secret = json!({"spec": {"boundObjectRef": {"kind": "Secret", "name": "x"}}});
    check(secret, "bound-token", None);
    check(
        json!({"spec": {"boundObjectRef": null}}),
        "unbound-token",
        None,
    );
    check(json!("odd"), "unknown", None);
}

#[test]
fn a_certificate_has_no_end() {
    let mut log = Log::default();
    log.request(0, &dev(), "list", "pods");
    log.with(5, &dev(), "192.0.2.7", "list", "secrets", 403);
    let certificate = log.credential("X509SHA256=dev");
    assert_eq!(certificate.credential_kind, "x509");
    assert_eq!(certificate.identity_kind, "user");
    assert_eq!((certificate.minted, certificate.ended), (None, None));
    assert_eq!((certificate.requests, certificate.more_uses), (2, 0));
    let peers: Vec<_> = certificate
        .uses
        .iter()
        .map(|used| (used.peer.as_deref(), used.first, used.requests))
        .collect();
    assert_eq!(
        peers,
        [(Some("10.0.0.1"), at(0), 1), (Some("192.0.2.7"), at(5), 1)]
    );
    assert_eq!(certificate.uses[0].user_agent.as_deref(), Some("curl/8"));
}

#[test]
fn a_secret_that_is_made_again_has_a_token_of_the_same_key() {
    let mut holder = web("");
    holder["extra"] = json!({});
    let list = |log: &mut Log, second| {
        let event = log.request(second, &holder, "list", "pods");
        event["annotations"] = json!({
            "authentication.k8s.io/legacy-token": "system:serviceaccount:prod:web",
            "authentication.k8s.io/legacy-token-manual-secret": "web-token",
        });
    };
    let mut log = Log::default();
    list(&mut log, 0);
    log.request(10, &dev(), "delete", "secrets/web-token");
    list(&mut log, 40);
    let token = log.credential("secret:prod/web-token");
    assert_eq!(token.credential_kind, "legacy-token");
    assert_eq!(token.ended, Some(ended("Secret prod/web-token", "dev", 10)));
    assert_eq!((token.uses_after_end, token.minted), (1, None));
    log.request(50, &dev(), "create", "secrets/web-token");
    list(&mut log, 90);
    let token = log.credential("secret:prod/web-token");
    assert!(token.ended.unwrap().is_renewed);
    assert_eq!((token.uses_after_end, token.requests), (1, 3));
}

#[test]
fn places_without_end_are_counted() {
    let mut log = Log::default();
    for number in 0..70 {
        let peer = format!("10.0.0.{number}");
        log.with(number, &dev(), &peer, "list", "pods", 200);
    }
    let certificate = log.credential("X509SHA256=dev");
    assert_eq!((certificate.uses.len(), certificate.more_uses), (USES, 6));
    assert_eq!(certificate.uses[1].peer.as_deref(), Some("10.0.0.1"));
    assert_eq!(certificate.requests, 70);
}

#[test]
fn what_is_refused_is_not_known() {
    let mut log = Log::default();
    log.with(0, &json!({}), "192.0.2.7", "list", "pods", 401);
    assert_eq!(log.credentials(), []);
}

#[test]
fn nobody_asks_for_nothing() {
    let mut log = Log::default();
    log.mint(0, &dev(), "JTI=t1");
    assert_eq!(log.scan(false), []);
    let all = log.credentials();
    assert_eq!(all.len(), 2);
    let text = serde_json::to_string(&all).unwrap();
    assert_eq!(serde_json::from_str::<Vec<Credential>>(&text).unwrap(), all);
}
