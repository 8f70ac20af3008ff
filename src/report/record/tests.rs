//! Which parts of a record go, and what stays.

use std::path::Path;

use proptest::prelude::*;
use serde_json::Value;

use super::*;

const JWT: &str = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJrdWJlIn0.c2lnbmF0dXJl_-x";

#[track_caller]
fn check(record: &str, expected: &str) {
    let redacted = redacted_record(record);
    assert_eq!(redacted, expected);
    assert_eq!(
        redacted_record(&redacted),
        expected,
        "a second pass changes nothing"
    );
}

fn unchanged(record: &str) {
    check(record, record);
}

#[test]
fn bodies_of_secrets_keep_their_keys_only() {
    check(
        r#"{"objectRef":{"resource":"secrets"}, "requestObject":{"data":{"a":"eA==","n":null,"e":""},"stringData":{"b":"y"},"type":"Opaque"}}"#,
        r#"{"objectRef":{"resource":"secrets"}, "requestObject":{"data":{"a":"[redacted]","n":null,"e":""},"stringData":{"b":"[redacted]"},"type":"Opaque"}}"#,
    );
    // The body may come first, and what is known of it may be its kind alone.
    check(
        r#"{"responseObject":{"data":{"a":"eA=="}},"objectRef":{"namespace":"x","resource":"secrets"}}"#,
        r#"{"responseObject":{"data":{"a":"[redacted]"}},"objectRef":{"namespace":"x","resource":"secrets"}}"#,
    );
    check(
        r#"{"kind":"List","items":[{"data":{"a":"eA=="},"kind":"Secret"},{"kind":"ConfigMap","data":{"a":"b"}}]}"#,
        r#"{"kind":"List","items":[{"data":{"a":"[redacted]"},"kind":"Secret"},{"kind":"ConfigMap","data":{"a":"b"}}]}"#,
    );
    check(
        r#"{"kind":"SecretList","items":[{"data":{"a":"eA=="}},{"data":"x"},{"data":[1,true,{"c":"d"}]}]}"#,
        r#"{"kind":"SecretList","items":[{"data":{"a":"[redacted]"}},{"data":"[redacted]"},{"data":["[redacted]","[redacted]",{"c":"[redacted]"}]}]}"#,
    );
    check(
        r#"{"requestURI":"/api/v1/namespaces/a/secrets/b?x=y","responseObject":{"Data":{"a":"eA=="}}}"#,
        r#"{"requestURI":"/api/v1/namespaces/a/secrets/b?x=y","responseObject":{"Data":{"a":"[redacted]"}}}"#,
    );
    check(
        r#"{"objectRef.resource":"secrets","requestObject.data.key":"eA=="}"#,
        r#"{"objectRef.resource":"secrets","requestObject.data.key":"[redacted]"}"#,
    );
    check(
        r#"{"response":{"@type":"core.k8s.io/v1.Secret","data":{"a":"eA=="}}}"#,
        r#"{"response":{"@type":"core.k8s.io/v1.Secret","data":{"a":"[redacted]"}}}"#,
    );
    unchanged(r#"{"objectRef":{"resource":"configmaps"},"requestObject":{"data":{"a":"b"}}}"#);
}

#[test]
fn patches_and_applied_configurations_of_secrets_are_hidden() {
    check(
        r#"{"objectRef":{"resource":"secrets"},"requestObject":[{"op":"replace","path":"/data/a","value":"eA=="},{"value":{"a":"eA=="},"path":"/data","op":"add"}]}"#,
        r#"{"objectRef":{"resource":"secrets"},"requestObject":[{"op":"replace","path":"/data/a","value":"[redacted]"},{"value":{"a":"[redacted]"},"path":"/data","op":"add"}]}"#,
    );
    check(
        r#"{"kind":"Secret","metadata":{"annotations":{"kubectl.kubernetes.io/last-applied-configuration":"{\"data\":{\"a\":\"eA==\"}}"}}}"#,
        r#"{"kind":"Secret","metadata":{"annotations":{"kubectl.kubernetes.io/last-applied-configuration":"[redacted]"}}}"#,
    );
    check(
        r#"{"kind":"List","metadata":{"annotations":{"kubectl.kubernetes.io/last-applied-configuration":"{\"kind\":\"Secret\",\"data\":{\"a\":\"eA==\"}}"}}}"#,
        r#"{"kind":"List","metadata":{"annotations":{"kubectl.kubernetes.io/last-applied-configuration":"{\"kind\":\"Secret\",\"data\":{\"a\":\"[redacted]\"}}"}}}"#,
    );
}

#[test]
fn tokens_are_hidden() {
    check(
        r#"{"objectRef":{"resource":"serviceaccounts","subresource":"token"},"responseObject":{"kind":"TokenRequest","spec":{"audiences":["a"]},"status":{"token":"opaque","expirationTimestamp":"2026"}}}"#,
        r#"{"objectRef":{"resource":"serviceaccounts","subresource":"token"},"responseObject":{"kind":"TokenRequest","spec":{"audiences":["a"]},"status":{"token":"[redacted]","expirationTimestamp":"2026"}}}"#,
    );
    check(
        r#"{"kind":"TokenReview","spec":{"token":"opaque"},"status":{"user":{"username":"u"}}}"#,
        r#"{"kind":"TokenReview","spec":{"token":"[redacted]"},"status":{"user":{"username":"u"}}}"#,
    );
    let with = |token: &str| format!(r#"{{"userAgent":"x {token}","n":1.0e1}}"#);
    check(&with(JWT), &with(REDACTED));
    unchanged(
        r#"{"annotations":{"authentication.k8s.io/legacy-token":"system:serviceaccount:a:b"}}"#,
    );
}

#[test]
fn telling_names_and_arguments_are_hidden() {
    check(
        r#"{"env":[{"name":"DB_PASSWORD","value":"hunter2"},{"value":"hunter2","name":"apiKey"},{"name":"LEVEL","value":"info"}],"dbPassword":"hunter2","tokenSecret":["a"],"secret":{"secretName":"x"}}"#,
        r#"{"env":[{"name":"DB_PASSWORD","value":"[redacted]"},{"value":"[redacted]","name":"apiKey"},{"name":"LEVEL","value":"info"}],"dbPassword":"[redacted]","tokenSecret":["[redacted]"],"secret":{"secretName":"x"}}"#,
    );
    check(
        r#"{"env":[{"name":"db_pass","value":"hunter2"},{"name":"COMPASS","value":"north"}],"pass":"hunter2","auth":"dTpw","key":"a","author":"bob"}"#,
        r#"{"env":[{"name":"db_pass","value":"[redacted]"},{"name":"COMPASS","value":"north"}],"pass":"[redacted]","auth":"[redacted]","key":"a","author":"bob"}"#,
    );
    check(
        r#"{"command":["mysql","-phunter2","--token","abc","-h","db"],"args":["--password=x",1,"--token","b"]}"#,
        r#"{"command":["mysql","-p[redacted]","--token","[redacted]","-h","db"],"args":["--password=[redacted]",1,"--token","b"]}"#,
    );
    check(
        r#"{"requestURI":"/api/v1/namespaces/a/pods/b/exec?command=mysql&command=-phunter2"}"#,
        r#"{"requestURI":"/api/v1/namespaces/a/pods/b/exec?command=mysql&command=-p[redacted]"}"#,
    );
}

#[test]
fn records_in_their_envelopes_are_treated_too() {
    let event = r#"{"objectRef":{"resource":"secrets"},"requestObject":{"data":{"a":"eA=="}}}"#;
    let hidden = event.replace("eA==", REDACTED);
    let (mut wrapped, mut expected) = (event.to_owned(), hidden.clone());
    for _ in 0..NESTING_MAX {
        let wrap = |text: &str| serde_json::json!({"log": text}).to_string();
        (wrapped, expected) = (wrap(&wrapped), wrap(&expected));
        check(&wrapped, &expected);
    }
    let deeper = serde_json::json!({"log": wrapped}).to_string();
    assert!(!redacted_record(&deeper).contains("eA=="));
    check(&format!("<14>1 - {event}"), &format!("<14>1 - {hidden}"));
    check(&format!("{event}{event}\n"), &format!("{hidden}{hidden}\n"));
}

#[test]
fn what_breaks_off_shows_no_secret() {
    let event = format!(
        r#"{{"auditID":"x","objectRef":{{"resource":"secrets"}},"requestObject":{{"data":{{"a":"c2VjcmV0","b":"{JWT}"}}}}}}"#
    );
    for end in 0..event.len() {
        let cut = &event[..end];
        let redacted = redacted_record(cut);
        assert!(
            !redacted.contains("c2Vj") && !redacted.contains("eyJ"),
            "{cut}: {redacted}"
        );
        let doubled = redacted_record(&format!("x,\"{}", cut.replace('"', "\"\"")));
        assert!(
            !doubled.contains("c2Vj") && !doubled.contains("eyJ"),
            "{cut}: {doubled}"
        );
    }
    unchanged("");
    unchanged("no JSON {at all}");
    unchanged(r#"{"message":"broken"#);
    check(&format!("{{\"a\":\"{JWT}"), "{\"a\":\"[redacted]");
}

#[test]
fn depth_and_length_cost_no_stack_and_linear_time() {
    for part in [
        "[",
        "{\"a\":",
        "{\"data\":[",
        "{\"kind\":\"Secret\",\"data\":[",
        "{\"",
        "{}",
        "\\",
    ] {
        let text = part.repeat((1 << 20) / part.len());
        redacted_record(&text);
        redacted_record(&serde_json::to_string(&text).unwrap());
    }
    let deep = format!("{}\"x\"{}", "[".repeat(10_000), "]".repeat(10_000));
    unchanged(&deep);
}

/// The secrets in the bodies of `event`: what the text of each must not hold.
fn secrets(event: &Value) -> Vec<String> {
    fn of_body(body: &Value, found: &mut Vec<String>) {
        let items = body["items"].as_array().into_iter().flatten();
        for object in items.chain([body]) {
            let parts = [&object["data"], &object["stringData"]];
            let values = parts.iter().filter_map(|part| part.as_object());
            found.extend(values.flat_map(|part| part.values()).filter_map(text_of));
            let annotations = &object["metadata"]["annotations"];
            found.extend(text_of(&annotations[LAST_APPLIED]));
        }
    }
    fn text_of(value: &Value) -> Option<String> {
        value.as_str().map(str::to_owned)
    }
    let mut found = Vec::new();
    for body in ["requestObject", "responseObject"].map(|body| &event[body]) {
        match event["objectRef"]["resource"].as_str() {
            Some("secrets") => of_body(body, &mut found),
            _ => found.extend(
                [
                    text_of(&body["status"]["token"]),
                    text_of(&body["spec"]["token"]),
                ]
                .into_iter()
                .flatten(),
            ),
        }
    }
    found.retain(|secret| secret.len() >= 6);
    found
}

#[test]
fn no_secret_of_a_recorded_log_is_left() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/logs");
    let (mut n_secrets, mut n_events) = (0, 0);
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if !path.to_string_lossy().contains("full") {
            continue;
        }
        let log = zstd::stream::decode_all(std::fs::File::open(&path).unwrap()).unwrap();
        let log = String::from_utf8(log).unwrap();
        let is_of_interest = |line: &&str| {
            let names = ["secrets", "oken", "exec"];
            names.iter().any(|name| line.contains(name))
        };
        for (nth, line) in log
            .lines()
            .enumerate()
            .filter(|(_, line)| is_of_interest(line))
        {
            let event: Value = serde_json::from_str(line).unwrap();
            let secrets = secrets(&event);
            // The others are many, and alike.
            if secrets.is_empty() && nth % 20 > 0 {
                continue;
            }
            let redacted = redacted_record(line);
            // How every token of Kubernetes begins, as it is and in base64.
            for head in ["eyJhbGciOi", "ZXlKaGJHY2lPa"] {
                assert!(!redacted.contains(head), "{}: {redacted}", path.display());
            }
            for secret in &secrets {
                assert!(
                    !redacted.contains(secret.as_str()),
                    "{}: {secret}",
                    path.display()
                );
            }
            let after: Value = serde_json::from_str(&redacted).expect("JSON stays JSON");
            let keep = |event: &Value| {
                ["auditID", "verb", "user", "objectRef", "stage"].map(|it| event[it].clone())
            };
            assert_eq!(keep(&event), keep(&after));
            n_secrets += secrets.len();
            n_events += 1;
        }
    }
    assert!(
        n_secrets > 2000 && n_events > 500,
        "{n_secrets} in {n_events}"
    );
}

fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[ -~é\u{202e}\n]{0,12}".prop_map(Value::from),
        Just(Value::from("Secret")),
        Just(Value::from("{\"kind\":\"Secret\",\"data\":{\"a\":\"b\"}}")),
    ];
    leaf.prop_recursive(5, 60, 6, |inner| {
        let key = prop_oneof![
            "[a-z\"\\\\]{0,4}",
            prop::sample::select(vec![
                "kind", "data", "token", "value", "name", "command", "op", "path"
            ])
            .prop_map(str::to_owned),
        ];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(key, inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// Whether both have the same keys and lengths.
fn same_shape(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same_shape(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len()
                && a.iter()
                    .zip(b)
                    .all(|((a_key, a), (b_key, b))| a_key == b_key && same_shape(a, b))
        }
        (a, b) => !a.is_array() && !a.is_object() && !b.is_array() && !b.is_object(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn json_stays_json_of_the_same_shape(value in json(), is_pretty in any::<bool>()) {
        let text = if is_pretty {
            serde_json::to_string_pretty(&value).unwrap()
        } else {
            value.to_string()
        };
        let redacted = redacted_record(&text);
        let after: Value = serde_json::from_str(&redacted).expect("JSON stays JSON");
        prop_assert!(same_shape(&value, &after), "{} {}", text, redacted);
        prop_assert_eq!(redacted_record(&redacted), redacted);
    }

    #[test]
    fn any_text_is_taken(text in any::<String>()) {
        redacted_record(&text);
    }
}
