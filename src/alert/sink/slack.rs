//! Slack, incoming webhook: one message per batch, the worst alerts in full and the number of the others.
//!
//! Limits: 50 blocks, 3,000 characters a text, and about 13,000 characters in all, past which Slack has been seen to
//! refuse a message (bolt-js issue 2509); one message a second. Log text is in `plain_text`, which knows no mark-up, and
//! has `&`, `<` and `>` as entities, so that it mentions nobody and links nowhere. Slack knows no keys: a message may
//! come twice, and shows the key of each alert.

use std::time::Instant;

use serde_json::{Value, json};

use super::http::Http;
use super::json::line;
use super::{Alert, Delivery, Sink, digest, text};

/// Alerts shown in full.
const MAX_SHOWN: usize = 10;

/// Characters of the header, after escapes; Slack takes so many.
const MAX_HEADER: usize = 150;

/// Characters of a section, after escapes; Slack takes 3,000.
const MAX_SECTION: usize = 2_900;

/// Characters of all sections together.
const MAX_TOTAL: usize = 12_000;

/// Posts messages to Slack.
pub(super) struct Slack {
    pub(super) name: String,
    pub(super) http: Http,
}

impl Sink for Slack {
    fn name(&self) -> &str {
        &self.name
    }

    fn send(&mut self, batch: &[&Alert], deadline: Instant) -> Delivery {
        let outcome = self
            .http
            .post(&line(&payload(batch)), &Vec::new(), deadline);
        Delivery::all(batch.len(), outcome)
    }

    fn preview(&self, batch: &[&Alert]) -> String {
        self.http.preview(&line(&payload(batch)))
    }
}

fn payload(batch: &[&Alert]) -> Value {
    let headline = digest::headline(batch);
    let section = |text: &str| json!({ "type": "section", "text": plain_text(text) });
    let mut blocks =
        vec![json!({ "type": "header", "text": plain_text(&escaped(&headline, MAX_HEADER)) })];
    let (mut used, mut n_shown) = (0, 0);
    for alert in digest::worst_first(batch).into_iter().take(MAX_SHOWN) {
        let text = section_text(alert);
        used += text.chars().count();
        if used > MAX_TOTAL {
            break;
        }
        blocks.push(section(&text));
        n_shown += 1;
    }
    let n_more = batch.len() - n_shown;
    if n_more > 0 {
        blocks.push(section(&format!(
            "and {n_more} more; `kubescry scan` lists all"
        )));
    }
    json!({
        "text": text::slack(&headline),
        "mrkdwn": false,
        "unfurl_links": false,
        "unfurl_media": false,
        "blocks": blocks,
    })
}

/// Returns as much of `text` as has at most `max_chars` characters with its escapes, and no half of one.
fn escaped(text: &str, max_chars: usize) -> String {
    let cuts = (0..=max_chars)
        .rev()
        .map(|length| text::slack(&text::cut(text, length)));
    let mut fitting = cuts.filter(|cut| cut.chars().count() <= max_chars);
    fitting.next().unwrap_or_default()
}

fn plain_text(text: &str) -> Value {
    json!({ "type": "plain_text", "text": text, "emoji": false })
}

/// Returns the escaped text of an alert; whole lines are left out, so that no entity is cut.
fn section_text(alert: &Alert) -> String {
    let block = digest::block(alert);
    let mut out = String::new();
    let mut n_chars = 0;
    for line in block.lines() {
        let line = text::slack(line);
        n_chars += line.chars().count() + 1;
        if n_chars > MAX_SECTION {
            // Even the first line fits: a title has at most some 500 characters.
            continue;
        }
        out.extend([line.as_str(), "\n"]);
    }
    out.truncate(out.trim_end().len());
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::sink::Event;
    use crate::alert::sink::tests::{HOSTILE, alert};
    use crate::finding::Severity;

    #[test]
    fn message_is_the_documented_one() {
        let alert = alert(Event::New, Severity::High, "jane");
        let payload = payload(&[&alert]);
        assert_eq!(
            payload["text"],
            "kubescry: 1 new, worst high, in prod: Token used after its service account was deleted"
        );
        assert_eq!(payload["blocks"][0]["type"], "header");
        assert_eq!(payload["blocks"][1]["text"]["type"], "plain_text");
        let text = payload["blocks"][1]["text"]["text"].as_str().unwrap();
        assert!(text.starts_with("HIGH new: Token used after"), "{text}");
        assert!(text.contains(&alert.key));
    }

    /// Slack formats, links and mentions in what is `mrkdwn`, which the text of a message is unless it says no; in any text
    /// the three characters that begin something are entities (Slack, "Formatting message text", escaping).
    #[test]
    fn no_text_of_a_log_or_a_rule_is_mark_up() {
        fn check(value: &Value) {
            match value {
                Value::String(text) => {
                    assert!(!text.contains(['<', '>']), "{text}");
                    let begins_entity = |(at, _): (usize, &str)| {
                        let rest = &text[at..];
                        ["&amp;", "&lt;", "&gt;"]
                            .iter()
                            .any(|it| rest.starts_with(it))
                    };
                    assert!(text.match_indices('&').all(begins_entity), "{text}");
                }
                Value::Array(items) => items.iter().for_each(check),
                Value::Object(fields) => {
                    assert_ne!(fields.get("type"), Some(&"mrkdwn".into()));
                    fields.values().for_each(check);
                }
                _ => {}
            }
        }
        let marks = "<!channel> <@U1> <#C1> <http://evil.example|x> *b* _i_ ~s~ `c` &lt; ";
        let long = marks.repeat(20);
        for text in HOSTILE.into_iter().chain([marks, long.as_str()]) {
            let mut alert = alert(Event::New, Severity::High, text);
            alert.finding.rule.title = text.to_owned();
            alert.cluster = text.to_owned();
            let payload = payload(&[&alert, &alert]);
            check(&payload);
            assert_eq!(payload["mrkdwn"], false);
            let header = payload["blocks"][0]["text"]["text"].as_str().unwrap();
            assert!(header.chars().count() <= 150);
        }
        // What is there is there.
        let mut alert = alert(Event::New, Severity::High, marks);
        alert.finding.actor.username = Some(marks.to_owned());
        let text = section_text(&alert);
        assert!(text.contains("&lt;!channel&gt; &lt;@U1&gt;"), "{text}");
        assert!(text.contains("*b* _i_ ~s~ `c` &amp;lt;"), "{text}");
    }

    #[test]
    fn limits_hold_for_any_text_and_number() {
        let long = "<&>".repeat(400_000);
        let texts = HOSTILE
            .into_iter()
            .chain([long.as_str(), "<!channel> <@U1> *b* `c` {{x}}"]);
        for text in texts {
            let alert = alert(Event::New, Severity::High, text);
            for n in [1, 10, 500] {
                let payload = payload(&vec![&alert; n]);
                let blocks = payload["blocks"].as_array().unwrap();
                assert!(blocks.len() <= 50);
                let mut total = 0;
                for block in blocks {
                    let text = block["text"]["text"].as_str().unwrap();
                    assert_eq!(block["text"]["type"], "plain_text");
                    assert!(!text.is_empty() && text.chars().count() <= 3000);
                    assert!(!text.contains(['<', '>']), "{text}");
                    total += text.chars().count();
                }
                assert!(total < 13_000, "{total}");
            }
        }
    }
}
