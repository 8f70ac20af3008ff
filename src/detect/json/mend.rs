//! What the API server reads and `serde_json` does not, written so that both do.
//!
//! A patch is logged as its client wrote it (kubernetes/apiserver `pkg/audit/request.go`, `LogRequestPatch`), and Go reads half a
//! surrogate pair as U+FFFD (Go `encoding/json`, `unquote`). Were such a body no JSON to us, whoever writes one could hide all of
//! a patch from the rules. Numbers beyond those of 64 bits are refused by the server, but such a refusal is an event, too.

/// Returns `text` with U+FFFD for halves of surrogate pairs and the largest number for those beyond it; `None` if it has neither.
pub(super) fn mended(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let (mut mended, mut copied, mut at) = (String::new(), 0, 0);
    let mut is_string = false;
    while let Some(&byte) = bytes.get(at) {
        let (length, instead) = match byte {
            b'"' => {
                is_string = !is_string;
                (1, None)
            }
            b'\\' if is_string => escape(&bytes[at..]),
            b'-' | b'0'..=b'9' if !is_string => number(&text[at..]),
            _ => (1, None),
        };
        if let Some(instead) = instead {
            mended.push_str(&text[copied..at]);
            mended.push_str(instead);
            copied = at + length;
        }
        at += length;
    }
    (copied > 0).then(|| mended + &text[copied..])
}

/// Returns the length of the escape that `text` starts with, and what to write for it.
fn escape(text: &[u8]) -> (usize, Option<&'static str>) {
    let unit = |at: usize| {
        let digits = text.get(at..at + 6)?.strip_prefix(b"\\u")?;
        u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
    };
    match unit(0) {
        None => (2, None),
        Some(0xd800..=0xdbff) if matches!(unit(6), Some(0xdc00..=0xdfff)) => (12, None),
        Some(0xd800..=0xdfff) => (6, Some("\\ufffd")),
        Some(_) => (6, None),
    }
}

/// Returns the length of the number that `text` starts with, and what to write for it.
fn number(text: &str) -> (usize, Option<&'static str>) {
    let is_part = |byte: &u8| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E');
    let length = text.bytes().take_while(is_part).count();
    let value = text[..length].parse::<f64>().unwrap_or_default();
    let instead = match value {
        f64::INFINITY => Some("1.7976931348623157e308"),
        f64::NEG_INFINITY => Some("-1.7976931348623157e308"),
        _ => None,
    };
    (length, instead)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mends_what_go_reads_and_nothing_else() {
        for (text, expected) in [
            (r#"{"a":"\ud800"}"#, r#"{"a":"\ufffd"}"#),
            (r#"{"\uDC00x":1}"#, r#"{"\ufffdx":1}"#),
            (r#"["\ud83d\ud83d\ude00"]"#, r#"["\ufffd\ud83d\ude00"]"#),
            (r#"["\ud83d\n","é"]"#, r#"["\ufffd\n","é"]"#),
            (
                "[1e999,-1E+400,2]",
                "[1.7976931348623157e308,-1.7976931348623157e308,2]",
            ),
        ] {
            let mended = mended(text).unwrap();
            assert_eq!(mended, expected);
            assert!(serde_json::from_str::<serde_json::Value>(text).is_err());
            assert!(serde_json::from_str::<serde_json::Value>(&mended).is_ok());
        }
        for text in [
            r#"{"a":"\ud83d\ude00 1e999"}"#,
            r#"["\\ud800","\u12"]"#,
            r#"["\ud80"#,
            r#"["\"#,
            "[1e308,-]",
            "é1",
            "",
        ] {
            assert_eq!(mended(text), None, "{text}");
        }
    }
}
