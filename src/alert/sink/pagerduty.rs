//! `PagerDuty`, Events API v2: one event per alert.
//!
//! `dedup_key` is the alert's identity, so that updates and `resolve` reach the incident that `new` opened; `PagerDuty`
//! answers 202 when it has an event and 429 when there are too many. Limits: `summary` 1,024 and `dedup_key` 255
//! characters, 512 KB in all.

use std::sync::Arc;
use std::time::Instant;

use serde_json::{Value, json};

use super::clock::Clock;
use super::http::Http;
use super::json::{line, object_with};
use super::stdout::in_range;
use super::text::plain;
use super::{Alert, Delivery, Event, Sink};
use crate::alert::config::Secret;
use crate::finding::Severity;

/// Sends events to `PagerDuty`.
pub(super) struct PagerDuty {
    pub(super) name: String,
    pub(super) http: Http,
    pub(super) routing_key: Secret,
    pub(super) clock: Arc<dyn Clock>,
}

impl Sink for PagerDuty {
    fn name(&self) -> &str {
        &self.name
    }

    fn send(&mut self, batch: &[&Alert], deadline: Instant) -> Delivery {
        let outcomes = batch.iter().map(|alert| {
            let body = line(&self.payload(alert, self.routing_key.expose()));
            self.http.post(&body, &Vec::new(), deadline)
        });
        Delivery {
            outcomes: outcomes.collect(),
        }
    }

    fn preview(&self, batch: &[&Alert]) -> String {
        let shown = |alert: &&Alert| self.http.preview(&line(&self.payload(alert, "[redacted]")));
        batch.iter().map(shown).collect()
    }
}

impl PagerDuty {
    fn payload(&self, alert: &Alert, routing_key: &str) -> Value {
        let finding = &alert.finding;
        let action = if alert.event == Event::Resolve {
            "resolve"
        } else {
            "trigger"
        };
        let mut event = json!({
            "routing_key": routing_key,
            "event_action": action,
            "dedup_key": alert.identity(),
        });
        if alert.event == Event::Resolve {
            return event;
        }
        let resource = finding.target.resource.as_deref();
        event["client"] = "kubescry".into();
        event["payload"] = json!({
            "summary": plain(&format!("{}: {}", finding.rule.title, finding.summary), 1024),
            "source": plain(&alert.cluster, 255),
            "severity": severity(finding.severity),
            "timestamp": in_range(finding.last_seen, self.clock.wall()),
            "component": resource.map(|resource| plain(resource, 255)),
            "group": plain(&finding.family, 255),
            "class": plain(&finding.rule.name, 255),
            "custom_details": object_with(alert, 1024, 5),
        });
        event
    }
}

/// Returns the word of `PagerDuty`'s scale of four.
const fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical => "critical",
        Severity::High => "error",
        Severity::Medium => "warning",
        Severity::Low | Severity::Informational => "info",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::sink::clock::tests::FakeClock;
    use crate::alert::sink::tests::{HOSTILE, alert, local_http};

    fn sink() -> PagerDuty {
        PagerDuty {
            name: "pager".to_owned(),
            http: local_http(9),
            routing_key: Secret::new("planted"),
            clock: Arc::new(FakeClock::new()),
        }
    }

    #[test]
    fn events_are_the_documented_ones() {
        let new = alert(Event::New, Severity::High, "jane");
        let event = sink().payload(&new, "R");
        assert_eq!(event["routing_key"], "R");
        assert_eq!(event["event_action"], "trigger");
        assert_eq!(event["payload"]["severity"], "error");
        assert_eq!(event["payload"]["source"], "prod");
        assert_eq!(event["payload"]["timestamp"], "2026-11-22T05:44:10.000000Z");
        let resolve = Alert {
            event: Event::Resolve,
            ..new.clone()
        };
        let expected =
            json!({ "routing_key": "R", "event_action": "resolve", "dedup_key": new.identity() });
        assert_eq!(sink().payload(&resolve, "R"), expected);
    }

    #[test]
    fn limits_hold_for_any_text() {
        let long = "ü\"\n".repeat(300_000);
        for text in HOSTILE.into_iter().chain([long.as_str()]) {
            let event = sink().payload(&alert(Event::New, Severity::High, text), "R");
            assert!(event["dedup_key"].as_str().unwrap().len() <= 255);
            assert!(
                event["payload"]["summary"]
                    .as_str()
                    .unwrap()
                    .chars()
                    .count()
                    <= 1024
            );
            assert!(line(&event).len() < 512 * 1024);
        }
        let alert = alert(Event::New, Severity::High, "jane");
        assert!(!sink().preview(&[&alert]).contains("planted"));
    }
}
