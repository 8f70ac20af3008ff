//! Log text for each kind of target: no secrets, nothing hidden, bounded, and escaped where the target has a syntax.
//!
//! Every text that a log may have chosen passes [`plain`] or [`words`] first; the other functions escape the result.
//! What is put into JSON needs no escape of its own: the serializer does it.

use serde_json::Value;

use crate::finding::Finding;
use crate::redact::redact;
use crate::report::clean::clean;

/// Bytes of one text in a JSON object that goes to a target with a limit; longer ones are cut with `…`.
pub const MAX_TEXT_BYTES: usize = 8 * 1024;

/// Bytes of a text that are looked at, before cleaning: it may make each of them six times as long.
const MAX_RAW_BYTES: usize = 64 * 1024;

/// Returns `text` without secrets and with everything hidden made visible, at most `max_chars` long.
///
/// Secrets are taken out before the cut, so that a cut never hides one from the patterns.
pub fn plain(text: &str, max_chars: usize) -> String {
    cut(&clean(&redact(head(text, MAX_RAW_BYTES))), max_chars)
}

/// Returns the words `plain` makes of an optional text; `-` stands for none.
pub fn words(text: Option<&str>, max_chars: usize) -> String {
    text.map_or_else(|| "-".to_owned(), |text| plain(text, max_chars))
}

/// Returns `text` with at most `max_chars` characters; `…` marks the cut and counts as one.
pub fn cut(text: &str, max_chars: usize) -> String {
    if text.chars().nth(max_chars).is_none() {
        return text.to_owned();
    }
    let mut out: String = text.chars().take(max_chars.saturating_sub(1)).collect();
    out.push('…');
    out
}

/// Returns the beginning of `text`, at most `max_bytes` long and whole characters only.
pub fn head(text: &str, max_bytes: usize) -> &str {
    &text[..text.floor_char_boundary(max_bytes)]
}

/// Returns `text` with the three characters that Slack's mark-up begins with as entities.
pub fn slack(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

/// Returns `text` for a field of the CEF header, where `\` and `|` need a backslash (CEF 25, "Header Information").
pub fn cef_header(text: &str) -> String {
    text.replace('\\', "\\\\").replace('|', "\\|")
}

/// Returns `text` for a value of the CEF extension, where `\` and `=` need a backslash.
pub fn cef_value(text: &str) -> String {
    text.replace('\\', "\\\\").replace('=', "\\=")
}

/// Returns `text` for a label value of the Prometheus text format (`\`, `"` and line feed).
pub fn prometheus_label(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

/// Returns `finding` as JSON without secrets, its texts at most `max_bytes` long, with at most `n_evidence` references.
///
/// Hidden characters stay as they are in the value; whoever writes it escapes them.
pub fn finding_value(finding: &Finding, max_bytes: usize, n_evidence: usize) -> Value {
    let mut finding = finding.clone();
    finding.evidence.truncate(n_evidence);
    for list in [
        &mut finding.why,
        &mut finding.next_steps,
        &mut finding.blind_spots,
    ] {
        list.truncate(MAX_LIST);
    }
    finding.source.ips.truncate(MAX_LIST);
    finding.source.user_agents.truncate(MAX_LIST);
    let value = serde_json::to_value(&finding).expect("a finding has only text keys");
    bounded(value, max_bytes)
}

/// Returns `finding` without secrets, otherwise whole.
pub(in crate::alert) fn redacted(finding: &Finding) -> Finding {
    let value = serde_json::to_value(finding).expect("a finding has only text keys");
    serde_json::from_value(bounded(value, usize::MAX)).expect("only texts are others")
}

/// Items of a list in JSON that goes to a target with a limit.
const MAX_LIST: usize = 50;

fn bounded(value: Value, max_bytes: usize) -> Value {
    match value {
        Value::String(text) => {
            // A secret that straddles the cut would no longer look like one: redact more than is kept.
            let wide = head(&text, max_bytes.saturating_mul(2));
            let safe = redact(wide);
            let kept = head(&safe, max_bytes);
            let is_cut = kept.len() < safe.len() || wide.len() < text.len();
            Value::String(if is_cut {
                format!("{kept}…")
            } else {
                kept.to_owned()
            })
        }
        Value::Array(items) => items
            .into_iter()
            .map(|item| bounded(item, max_bytes))
            .collect(),
        Value::Object(fields) => fields
            .into_iter()
            .map(|(key, value)| (key, bounded(value, max_bytes)))
            .collect(),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_are_marked_and_in_bounds() {
        fn check(text: &str, max_chars: usize, expected: &str) {
            assert_eq!(cut(text, max_chars), expected);
        }
        check("abc", 3, "abc");
        check("abcd", 3, "ab…");
        check("äöüß", 3, "äö…");
        check("", 0, "");
    }

    #[test]
    fn escapes_are_those_of_the_target() {
        assert_eq!(
            slack("<!channel> & <http://x|y>"),
            "&lt;!channel&gt; &amp; &lt;http://x|y&gt;"
        );
        assert_eq!(cef_header(r"a|b\c=d"), r"a\|b\\c=d");
        assert_eq!(cef_value(r"a|b\c=d"), r"a|b\\c\=d");
        assert_eq!(prometheus_label("a\"b\\c\nd"), r#"a\"b\\c\nd"#);
    }

    #[test]
    fn a_cut_does_not_save_a_secret() {
        for at in 0..60 {
            let text = format!(
                "{}password=planted-stem-{}",
                " ".repeat(at),
                "x".repeat(200)
            );
            let plain = plain(&text, 50);
            assert!(!plain.contains("planted"), "{plain}");
            let Value::String(bounded) = bounded(Value::String(text), 50) else {
                unreachable!()
            };
            assert!(!bounded.contains("planted"), "{bounded}");
        }
    }

    #[test]
    fn nothing_hidden_stays() {
        let plain = plain("a\n\u{1b}[2J\u{202e}b\0", 100);
        assert_eq!(plain, "a\\n\\u{1b}[2J\\u{202e}b\\u{0}");
    }
}
