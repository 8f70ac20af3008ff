//! Prometheus Alertmanager, API v2 (`POST /api/v2/alerts`).
//!
//! Labels are the identity of an alert there: only what never changes in the life of a finding is one, so that a finding
//! is one alert however often it is sent. What changes, and all log text, is in annotations. A client is expected to
//! repeat an alert while it lasts; a cron job does not, so `endsAt` lies `ends_after` ahead, by default behind the time
//! at which we would resolve it, and `resolve` sets it to now.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

use super::clock::{Clock, later};
use super::http::Http;
use super::json::line;
use super::stdout::in_range;
use super::text::{plain, words};
use super::webhook::authorization;
use super::{Alert, Delivery, Event, Sink};
use crate::alert::config::Secret;
use crate::alert::stale;

/// How long the alert of a log that has stopped lasts: it is told once, and only events end it. An end for want of a
/// repetition would say that the log goes on.
const STALE_ENDS_AFTER: Duration = Duration::from_hours(24 * 30);

/// Characters of an annotation.
const MAX_CHARS: usize = 1000;

/// Posts alerts to Alertmanager.
pub(super) struct Alertmanager {
    pub(super) name: String,
    pub(super) http: Http,
    pub(super) bearer: Option<Secret>,
    /// Labels of every alert, from the configuration.
    pub(super) labels: BTreeMap<String, String>,
    pub(super) ends_after: Duration,
    pub(super) generator_url: Option<String>,
    pub(super) clock: Arc<dyn Clock>,
}

impl Sink for Alertmanager {
    fn name(&self) -> &str {
        &self.name
    }

    fn send(&mut self, batch: &[&Alert], deadline: Instant) -> Delivery {
        let headers = authorization(self.bearer.as_ref()).into_iter().collect();
        let outcome = self
            .http
            .post(&line(&self.payload(batch)), &headers, deadline);
        Delivery::all(batch.len(), outcome)
    }

    fn preview(&self, batch: &[&Alert]) -> String {
        self.http.preview(&line(&self.payload(batch)))
    }
}

impl Alertmanager {
    fn payload(&self, batch: &[&Alert]) -> Value {
        let now = self.clock.wall();
        let alerts = batch.iter().map(|alert| {
            let finding = &alert.finding;
            let ends = match alert.event {
                Event::Resolve => now,
                _ if finding.rule.id == stale::RULE_ID => later(now, STALE_ENDS_AFTER),
                _ => later(now, self.ends_after),
            };
            let mut object = json!({
                "labels": self.labels(alert),
                "annotations": {
                    "summary": plain(&finding.summary, MAX_CHARS),
                    "title": plain(&finding.rule.title, MAX_CHARS),
                    "why": list(&finding.why),
                    "next_steps": list(&finding.next_steps),
                    "actor": words(finding.actor.username.as_deref(), MAX_CHARS),
                    "namespace": words(finding.target.namespace.as_deref(), MAX_CHARS),
                    "count": finding.count.to_string(),
                    "first_seen": finding.first_seen.to_string(),
                    "last_seen": finding.last_seen.to_string(),
                    "event": alert.event.as_str(),
                    "key": alert.key,
                },
                "startsAt": in_range(finding.first_seen, now),
                "endsAt": ends,
            });
            if let Some(resolution) = alert.resolution {
                object["annotations"]["resolution"] = resolution.as_str().into();
            }
            if let Some(url) = &self.generator_url {
                object["generatorURL"] = url.as_str().into();
            }
            object
        });
        alerts.collect()
    }

    /// Returns the labels of an alert; those of the configuration do not replace ours.
    fn labels(&self, alert: &Alert) -> Map<String, Value> {
        let finding = &alert.finding;
        let ours = [
            ("alertname", plain(&finding.rule.name, 100)),
            ("severity", finding.severity.as_str().to_owned()),
            ("family", plain(&finding.family, 100)),
            ("cluster", plain(&alert.cluster, 100)),
            ("finding_id", plain(&finding.finding_id, 64)),
        ];
        let ours = ours
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value));
        let given = self
            .labels
            .iter()
            .map(|(name, value)| (name.clone(), value.clone()));
        given
            .chain(ours)
            .map(|(name, value)| (name, Value::String(value)))
            .collect()
    }
}

fn list(texts: &[String]) -> String {
    let texts: Vec<String> = texts.iter().take(5).map(|text| plain(text, 200)).collect();
    texts.join("\n")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::alert::sink::clock::tests::FakeClock;
    use crate::alert::sink::tests::{HOSTILE, alert, local_http, run};
    use crate::finding::{Severity, Timestamp};

    fn sink() -> Alertmanager {
        Alertmanager {
            name: "alertmanager".to_owned(),
            http: local_http(9),
            bearer: None,
            labels: [("team", "security"), ("severity", "forged")]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into(),
            ends_after: Duration::from_mins(30),
            generator_url: Some("https://wiki.example.com/".to_owned()),
            clock: Arc::new(FakeClock::new()),
        }
    }

    #[test]
    fn alert_is_the_documented_one() {
        let alert = alert(Event::New, Severity::High, "jane");
        let mut payload = sink().payload(&[&alert]);
        assert_eq!(payload[0]["annotations"]["actor"], "jane");
        payload[0]["annotations"] = Value::Null;
        let expected = json!([{
            "labels": {
                "alertname": "token-reused-after-deletion",
                "severity": "high",
                "family": "token-reuse",
                "cluster": "prod",
                "finding_id": "9b2c5f0e9b2c5f0e9b2c5f0e9b2c5f0e",
                "team": "security",
            },
            "annotations": null,
            "startsAt": "2026-11-22T05:01:02.123456Z",
            "endsAt": "2026-11-22T06:30:00.000000Z",
            "generatorURL": "https://wiki.example.com/",
        }]);
        assert_eq!(payload, expected);
        let resolve = Alert {
            event: Event::Resolve,
            ..alert
        };
        assert_eq!(
            sink().payload(&[&resolve])[0]["endsAt"],
            "2026-11-22T06:00:00.000000Z"
        );
    }

    #[test]
    fn a_log_that_has_stopped_is_not_said_to_go_on() {
        let mut alert = alert(Event::New, Severity::High, "jane");
        stale::RULE_ID.clone_into(&mut alert.finding.rule.id);
        let ends = |alert: &Alert| sink().payload(&[alert])[0]["endsAt"].clone();
        assert_eq!(ends(&alert), "2026-12-22T06:00:00.000000Z");
        alert.event = Event::Resolve;
        assert_eq!(ends(&alert), "2026-11-22T06:00:00.000000Z");
    }

    #[test]
    fn a_finding_is_one_alert_however_it_changes() {
        let mut labels = BTreeSet::new();
        for (count, text) in (0..100).zip(HOSTILE.iter().cycle()) {
            let mut finding = alert(Event::New, Severity::High, text).finding;
            finding.count = count;
            finding.last_seen = Timestamp(finding.last_seen.0 + i64::try_from(count).unwrap());
            let alert = Alert::new(Event::Update, finding, count, "prod", &run());
            labels.insert(sink().payload(&[&alert])[0]["labels"].to_string());
        }
        assert_eq!(labels.len(), 1, "{labels:?}");
    }

    #[test]
    fn times_out_of_the_calendar_are_kept_in_it() {
        for first_seen in [i64::MIN, -1, 253_402_300_799_000_000, i64::MAX] {
            let mut alert = alert(Event::New, Severity::High, "jane");
            alert.finding.first_seen = Timestamp(first_seen);
            let payload = sink().payload(&[&alert]);
            let starts = payload[0]["startsAt"].as_str().unwrap();
            assert!(
                ("1970-01-01T00:00:00.000000Z"..="2026-11-22T06:00:00.000000Z").contains(&starts)
            );
        }
    }
}
