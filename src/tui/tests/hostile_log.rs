//! A log in which everything that a client may choose is hostile.

use std::sync::LazyLock;

use serde_json::{Value, json};

use super::*;

/// What clients write into what they may choose.
pub(super) const TEXTS: [&str; 22] = [
    "\u{1b}]52;c;cm0gLXJmIC8K\u{7}",
    "\u{1b}]8;;http://evil.example\u{1b}\\click\u{1b}]8;;\u{1b}\\",
    "\u{1b}[2J\u{1b}[31mred\u{1b}[0m",
    "\u{9b}31m\u{9d}0;title\u{9c}",
    "user\u{202e}nimda\u{202c}",
    "\u{2066}isolated\u{2069}\u{200f}",
    "ad\u{200b}min\u{feff}\u{2060}",
    "a\0b",
    "\u{7f}\u{8}\u{8}\u{8}",
    "two\nlines\r\nand\ttabs",
    "שלום עולם مرحبا",
    "日本語のユーザー名前とても長い",
    "👩\u{200d}👩\u{200d}👧\u{200d}👦 🇺🇳 👍🏽 1\u{fe0f}\u{20e3}",
    "'; DROP TABLE events; --",
    "x' OR 'a' = 'a",
    "(a+)+$[\\",
    ".*",
    "=HYPERLINK(\"http://evil.example\")",
    "<script>alert(1)</script>",
    "| markdown | `code` ](http://evil.example)",
    "\u{301}\u{301}mark first",
    "ก\u{e49}ำ ﷽ \u{1100}\u{1161}\u{11a8}",
];

/// Secrets that a client wrote where they are logged.
pub(super) const TOKEN: &str = "abcdefghijklmnopqrstuvwxyz0123456789";
pub(super) const JWT: &str = "eyJhbGciOiJSUzI1NiIsImtpZCI6IjEyMyJ9.eyJzdWIiOiJhbGljZSIsImV4cCI6MTc5NTMyM30.c2lnbmF0dXJlc2lnbmF0dXJl";

fn event(number: usize, text: &str, change: impl FnOnce(&mut Value)) -> String {
    let mut event = json!({
        "kind": "Event",
        "apiVersion": "audit.k8s.io/v1",
        "level": "RequestResponse",
        "auditID": format!("{number}-{text}"),
        "stage": "ResponseComplete",
        "requestURI": format!("/api/v1/namespaces/{text}/secrets/{text}?access_token={TOKEN}&fieldManager={text}"),
        "verb": "get",
        "user": {
            "username": text,
            "uid": text,
            "groups": [text, "system:authenticated"],
            "extra": {"authentication.kubernetes.io/credential-id": [format!("JTI={text}")], text: [text]},
        },
        "impersonatedUser": {"username": text, "groups": [text]},
        "sourceIPs": [text, format!("10.0.0.{}", number % 250)],
        "userAgent": text,
        "objectRef": {"resource": "secrets", "namespace": text, "name": text, "apiVersion": "v1"},
        "responseStatus": {"metadata": {}, "code": 403, "reason": text, "message": text},
        "requestObject": {"data": {text: text, "token": JWT}, "note": format!("Authorization: Bearer {TOKEN}")},
        "requestReceivedTimestamp": format!("2026-11-22T04:{:02}:{:02}.000000Z", number / 60, number % 60),
        "stageTimestamp": format!("2026-11-22T04:{:02}:{:02}.100000Z", number / 60, number % 60),
        "annotations": {"authorization.k8s.io/decision": "forbid", "authorization.k8s.io/reason": text, text: text},
    });
    change(&mut event);
    event.to_string()
}

/// Returns a log in which everything that a client may choose is hostile.
pub(super) fn log() -> Log {
    static LOG: LazyLock<Log> = LazyLock::new(|| {
        let flood = format!("e{}", "\u{301}".repeat(5000));
        let long = "long ".repeat(2000);
        Log::text(&lines_of(TEXTS.into_iter().chain([&*flood, &*long])))
    });
    LOG.clone()
}

pub(super) fn lines_of<'t>(texts: impl Iterator<Item = &'t str>) -> String {
    let mut lines = String::new();
    let mut number = 0;
    let mut add = |line: String| {
        lines.push_str(&line);
        lines.push('\n');
    };
    for text in texts {
        add(event(number, text, |_| {}));
        // Something that rules find.
        add(event(number + 1, text, |event| {
            event["verb"] = json!("create");
            event["responseStatus"] = json!({"code": 201});
            event["annotations"]["authorization.k8s.io/decision"] = json!("allow");
            event["requestURI"] = json!("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings");
            event["objectRef"] = json!({
                "resource": "clusterrolebindings",
                "name": text,
                "apiGroup": "rbac.authorization.k8s.io",
                "apiVersion": "v1",
            });
            event["requestObject"] = json!({
                "metadata": {"name": text},
                "roleRef": {"kind": "ClusterRole", "name": "cluster-admin"},
                "subjects": [{"kind": "User", "name": text}],
            });
        }));
        number += 2;
    }
    lines
}
