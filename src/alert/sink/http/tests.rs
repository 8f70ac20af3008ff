//! What answers mean.

use super::*;

#[test]
fn status_decides() {
    fn check(status: u16, expected: &str) {
        let outcome = meaning(status, None);
        let found = match outcome {
            Outcome::Delivered => "delivered",
            Outcome::Retry { .. } => "retry",
            Outcome::Denied { .. } => "denied",
            Outcome::Refused { .. } => "refused",
        };
        assert_eq!(found, expected, "{status}");
    }
    for (statuses, expected) in [
        (&[200, 201, 202, 204][..], "delivered"),
        (&[408, 425, 429, 500, 502, 503, 504, 599], "retry"),
        (
            &[301, 302, 307, 308, 401, 402, 403, 404, 405, 407, 410, 415],
            "denied",
        ),
        (&[400, 409, 413, 422], "refused"),
    ] {
        for status in statuses {
            check(*status, expected);
        }
    }
}

#[test]
fn retry_after_is_seconds_or_a_date() {
    assert_eq!(retry_after("120"), Some(Duration::from_mins(2)));
    assert_eq!(retry_after(" 0 "), Some(Duration::ZERO));
    assert_eq!(retry_after("99999999999"), Some(MAX_RETRY_AFTER));
    assert_eq!(
        retry_after("Wed, 21 Oct 2015 07:28:00 GMT"),
        Some(Duration::ZERO)
    );
    assert_eq!(
        retry_after("Fri, 31 Dec 9999 23:59:59 GMT"),
        Some(MAX_RETRY_AFTER)
    );
    for text in ["", "soon", "-1", "1.5"] {
        assert_eq!(retry_after(text), None, "{text}");
    }
}

#[test]
fn urls_are_shown_without_their_secrets() {
    let config =
        crate::alert::sink::tests::http_config("https://hooks.example.com:8443/planted?x=planted");
    let http = Http::new(&config, &|_| None).unwrap();
    assert_eq!(http.shown, "https://hooks.example.com:8443");
    assert_eq!(
        format!("{http:?}"),
        "Http { url: \"https://hooks.example.com:8443\", .. }"
    );
}

#[test]
fn ca_files_must_hold_certificates() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ca.pem");
    let mut config = crate::alert::sink::tests::http_config("https://hooks.example.com/");
    config.ca_file = Some(path.clone());
    assert!(
        Http::new(&config, &|_| None)
            .unwrap_err()
            .contains("cannot be read")
    );
    std::fs::write(&path, "nothing").unwrap();
    assert!(
        Http::new(&config, &|_| None)
            .unwrap_err()
            .contains("holds no certificate")
    );
}
