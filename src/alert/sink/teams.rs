//! Microsoft Teams, a Workflows URL ("When a Teams webhook request is received"): one Adaptive Card 1.4 per batch.
//!
//! Limit: about 28 KB a message. Log text is in `TextRun`s, which know no Markdown; a `TextBlock` would render links.

use std::time::Instant;

use serde_json::{Value, json};

use super::http::Http;
use super::json::line;
use super::{Alert, Delivery, Sink, digest};

/// Bytes of the whole message; Teams takes about 28 KB.
const MAX_BYTES: usize = 24 * 1024;

/// Alerts shown in full.
const MAX_SHOWN: usize = 10;

/// Posts cards to Teams.
pub(super) struct Teams {
    pub(super) name: String,
    pub(super) http: Http,
}

impl Sink for Teams {
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
    let mut items = vec![paragraph(&digest::headline(batch), true)];
    let mut n_bytes = 1024 + line(&items[0]).len();
    let mut n_shown = 0;
    for alert in digest::worst_first(batch).into_iter().take(MAX_SHOWN) {
        let mut shown = vec![paragraph(&digest::title(alert), true)];
        let facts = digest::facts(alert).into_iter();
        shown.extend(facts.map(|(label, text)| paragraph(&format!("{label}: {text}"), false)));
        n_bytes += shown.iter().map(|item| line(item).len()).sum::<usize>();
        if n_bytes > MAX_BYTES {
            break;
        }
        items.append(&mut shown);
        n_shown += 1;
    }
    let n_more = batch.len() - n_shown;
    if n_more > 0 {
        items.push(paragraph(
            &format!("and {n_more} more; kubescry scan lists all"),
            false,
        ));
    }
    json!({
        "type": "message",
        "attachments": [{
            "contentType": "application/vnd.microsoft.card.adaptive",
            "contentUrl": null,
            "content": {
                "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
                "type": "AdaptiveCard",
                "version": "1.4",
                "body": items,
            },
        }],
    })
}

fn paragraph(text: &str, is_bold: bool) -> Value {
    let weight = if is_bold { "Bolder" } else { "Default" };
    json!({
        "type": "RichTextBlock",
        "inlines": [{ "type": "TextRun", "text": text, "weight": weight }],
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::sink::Event;
    use crate::alert::sink::tests::{HOSTILE, alert};
    use crate::finding::Severity;

    #[test]
    fn card_is_the_documented_one() {
        let alert = alert(Event::New, Severity::High, "jane");
        let payload = payload(&[&alert]);
        let content = &payload["attachments"][0]["content"];
        assert_eq!(content["type"], "AdaptiveCard");
        let text = &content["body"][0]["inlines"][0]["text"];
        assert_eq!(
            *text,
            "kubescry: 1 new, worst high, in prod: Token used after its service account was deleted"
        );
    }

    #[test]
    fn limit_holds_and_no_text_is_markdown() {
        let long = "監\"\u{1}".repeat(300_000);
        for text in HOSTILE
            .into_iter()
            .chain([long.as_str(), "[x](http://y) **b**"])
        {
            let alert = alert(Event::New, Severity::High, text);
            for n in [1, 10, 500] {
                let payload = payload(&vec![&alert; n]);
                let json = line(&payload);
                assert!(json.len() <= 28 * 1024, "{}", json.len());
                assert!(!json.contains("TextBlock\",\"text"));
                let body = payload["attachments"][0]["content"]["body"]
                    .as_array()
                    .unwrap();
                assert!(body.len() > 2, "at least one alert is shown");
            }
        }
    }
}
