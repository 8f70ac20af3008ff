//! What files look like.

use super::*;

const EVENT: &str =
    r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","auditID":"a","user":{"groups":["b"]}}"#;
const LIST: &str = r#"{"kind":"EventList","apiVersion":"audit.k8s.io/v1","metadata":{},"items":["#;

/// `$E` in `head` stands for an event, `$L` for the start of a list.
fn check(head: &str, is_all: bool, expected: Framing) {
    let head = head.replace("$E", EVENT).replace("$L", LIST);
    let found = Framing::detect(head.as_bytes(), is_all);
    assert_eq!(found, expected, "{head:.300}");
}

#[test]
fn whole_values_on_lines_are_lines() {
    for head in [
        "",
        "\n\0\0\n",
        "$E\n$E\n",
        "$E",
        "$L$E,$E]}\n$L$E]}\n",
        "$L$E]}",
        "[$E,$E]\n",
        "\u{feff}\u{1e}$E\n\u{1e}$E\n",
        "$E\r\n$E\r\n",
        "text\nmore text\n",
        "2026-11-22T05:10:25Z $E\n",
        "[2026-11-22T05:10:25Z] INFO audit: $E\n$E\n",
        "[m0]$E\n",
        "[m0] text\n[m0] $L$E]}\n",
    ] {
        check(head, true, Framing::Lines);
        check(&format!("{head}\n"), false, Framing::Lines);
    }
}

#[test]
fn damaged_first_line_changes_nothing() {
    for head in [
        "ce\":\"x\"}}\n$E\n",
        "{\"a\":\"b\n$E\n",
        "{\"a\":{\"b\":1,\n$E\n",
        "{\"a\":\n$E\n$E\n",
        "{\"a\":[\n$E\n$E\n",
        "$E$\n$E\n",
        "{\"a\":",
    ] {
        check(head, true, Framing::Lines);
    }
    let pretty = "{\n  \"a\": 1\n}\n";
    check(&format!("cut\n{pretty}"), true, Framing::Documents);
    check(&format!("{{\"a\": \"\n{pretty}"), true, Framing::Documents);
}

#[test]
fn values_over_lines_are_documents() {
    for head in [
        "{\n  \"kind\": \"Event\"\n}\n",
        "[\n$E,\n$E\n]\n",
        "[$E,\n$E]\n",
        "$E$E$E",
        "$E $E\n",
        "$L\n$E,\n$E]}\n",
        "{\"events\":[\n",
    ] {
        check(head, false, Framing::Documents);
    }
    check("$L$E,$E,", false, Framing::Documents);
    check("{\"records\":[$E,", false, Framing::Documents);
    check("[$E,$E", false, Framing::Documents);
}

#[test]
fn documents_may_have_words_before_them() {
    let pretty = "{\n  \"a\": {}\n}\n";
    check(
        &format!("2026-11-22T05:00:00 stream {pretty}"),
        true,
        Framing::Documents,
    );
    check(&format!("host: {pretty}"), false, Framing::Documents);
    // Whose words could be a part of something else, it is none.
    check(&format!("\"a\" {pretty}"), true, Framing::Lines);
    check(
        &format!("{}{pretty}", "a ".repeat(300)),
        true,
        Framing::Lines,
    );
    check("text {\n$E\n", true, Framing::Lines);
}

#[test]
fn messages_with_lengths_share_a_line() {
    let message = "<134>1 2026-11-22T05:00:00Z h a - - - {\"a\":1}";
    let counted = format!("{} {message}", message.len());
    check(&counted.repeat(2), true, Framing::Documents);
    check(&format!("{counted}\n").repeat(2), true, Framing::Lines);
    check(&format!("9{counted}").repeat(2), true, Framing::Lines);
}

#[test]
fn tables_have_a_header() {
    check("@timestamp,@message\n1,\"{\"\n", true, Framing::Csv);
    check(
        "\u{feff}\"TimeGenerated [UTC]\",\"log_s\"\r\n",
        true,
        Framing::Csv,
    );
    check("_raw\n\"{}\"\n", true, Framing::Csv);
    check("AuditId;RequestUri;Verb", true, Framing::Csv);
    check("host,message\n", true, Framing::Csv);
    check("message\n$E\n", true, Framing::Lines);
    check("a,b\n", true, Framing::Lines);
    check("\"a\" \"b\",message,\n{}\n", true, Framing::Lines);
}

#[test]
fn container_logs_have_parts() {
    check(
        "2026-11-22T05:10:25.6Z stdout F $E\n",
        true,
        Framing::Partial,
    );
    check(
        "\nx\n2026-11-22T05:10:25.6Z stderr P x\n",
        true,
        Framing::Partial,
    );
    check(
        r#"{"log":"{}\n","stream":"stdout","time":"2026-11-22T05:10:25Z"}"#,
        true,
        Framing::Partial,
    );
    check(r#"{"log":"{}\n","kubernetes":{}}"#, true, Framing::Lines);
}

#[test]
fn what_is_told_by_the_first_lines_is_told_by_all() {
    let pretty = "{\n  \"a\": 1\n}\n";
    let texts = [
        "$E\n$E\n",
        "\n\n$E\r\n$E\r\n",
        "{\"a\":\"b\n$E\n",
        "{\"a\":[\n$E\n$E\n",
        "[\n$E,\n$E\n]\n",
        "$E $E\n",
        "$L\n$E,\n$E]}\n",
        "message\n$E\n",
        "host,message\n1,2\n",
        "x\n2026-11-22T05:10:25.6Z stderr P x\n",
        pretty,
    ];
    for text in texts.map(|text| text.replace("$E", EVENT).replace("$L", LIST)) {
        let text = text.as_bytes();
        let mut is_sure = false;
        for end in 0..=text.len() {
            is_sure = Framing::is_sure(&text[..end]);
            if is_sure {
                let expected = Framing::detect(text, false);
                assert_eq!(Framing::detect(&text[..end], false), expected);
                assert_eq!(Framing::detect(text, true), expected);
            }
        }
        assert!(is_sure, "{}", String::from_utf8_lossy(text));
    }
    // Lines of anything may stand before the first that tells.
    assert!(!Framing::is_sure("text\n".repeat(LINES_MAX - 1).as_bytes()));
    assert!(Framing::is_sure("text\n".repeat(LINES_MAX).as_bytes()));
}
