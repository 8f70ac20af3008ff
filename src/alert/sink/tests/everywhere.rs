//! Hostile texts and planted secrets through every sink.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::receiver::{Fate, Receiver};
use super::{HOSTILE, alert};
use crate::alert::config::{Config, parse};
use crate::alert::sink::clock::tests::{FakeClock, LoadedDice};
use crate::alert::sink::clock::{Clock, SystemClock};
use crate::alert::sink::deliver::Status;
use crate::alert::sink::{Alert, DeadLetters, Event, Letter, Sinks};
use crate::finding::Severity;
use crate::report::clean::is_hidden;

/// One sink of each type that speaks HTTP to `port`, and those that write files in `folder`.
fn config(port: u16, folder: &Path) -> Config {
    let url = format!("url = \"http://127.0.0.1:{port}/planted-path?planted=query\"");
    let text = format!(
        "[[source]]\npath = \"x\"\n\
         [[sink]]\ntype = \"file\"\npath = \"out.jsonl\"\n\
         [[sink]]\ntype = \"file\"\nname = \"text\"\npath = \"out.txt\"\nformat = \"text\"\n\
         [[sink]]\ntype = \"webhook\"\n{url}\nsigning_env = \"SIGNING\"\nbearer_env = \"BEARER\"\n\
         [[sink]]\ntype = \"alertmanager\"\n{url}\nbearer_env = \"BEARER\"\n\
         [[sink]]\ntype = \"slack\"\nurl_env = \"URL\"\n\
         [[sink]]\ntype = \"teams\"\nurl_env = \"URL\"\n\
         [[sink]]\ntype = \"pagerduty\"\n{url}\nrouting_key_env = \"ROUTING\"\n\
         [[sink]]\ntype = \"ocsf\"\npath = \"ocsf.jsonl\"\n\
         [[sink]]\ntype = \"ocsf\"\nname = \"lake\"\n{url}\nbearer_env = \"BEARER\"\n\
         [[sink]]\ntype = \"email\"\nfrom = \"a@b.example\"\nto = [\"c@d.example\"]\nhost = \"127.0.0.1\"\nport = 9\n\
         username = \"u\"\npassword_env = \"PASSWORD\"\n\
         [[sink]]\ntype = \"prometheus\"\npath = \"k.prom\"\n\
         [[sink]]\ntype = \"exec\"\nprogram = \"/bin/cat\"\n\
         [[sink]]\ntype = \"syslog\"\nhost = \"127.0.0.1\"\nport = 9\ntransport = \"udp\"\n\
         [[sink]]\ntype = \"syslog\"\nname = \"cef\"\nhost = \"127.0.0.1\"\nport = 9\ntransport = \"udp\"\nformat = \"cef\"\n"
    );
    parse(&text, &folder.join("alert.toml")).unwrap_or_else(|errors| panic!("{errors}"))
}

fn environment(port: u16) -> impl Fn(&str) -> Option<String> {
    move |name| {
        Some(match name {
            "URL" => format!("http://127.0.0.1:{port}/planted-env"),
            other => format!("planted-{other}"),
        })
    }
}

/// Returns one sink of each type.
fn sinks(port: u16, folder: &Path) -> Sinks {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    Sinks::from_config(&config(port, folder), &environment(port), &clock).unwrap()
}

#[test]
fn hostile_texts_stay_texts_in_every_preview() {
    let folder = tempfile::tempdir().unwrap();
    let clock: Arc<dyn Clock> = Arc::new(FakeClock::new());
    let mut sinks = Sinks::from_config(&config(9, folder.path()), &environment(9), &clock).unwrap();
    let long = format!("{}<&>\"\n", "x".repeat(1_000_000));
    let plain = alert(Event::New, Severity::High, "jane");
    for text in HOSTILE.into_iter().chain([long.as_str()]) {
        let hostile = alert(Event::New, Severity::High, text);
        for entry in sinks.entries_mut() {
            let (shown, expected) = (entry.preview(&[&hostile]), entry.preview(&[&plain]));
            let name = entry.name().to_owned();
            assert_eq!(
                shown.lines().count(),
                expected.lines().count(),
                "{name}: {shown}"
            );
            assert!(
                !shown.chars().any(|c| c != '\n' && is_hidden(c)),
                "{name}: {shown}"
            );
            assert!(
                !shown.contains("hunter2") && !shown.contains("c2lnbmF0dXJl"),
                "{name}: {shown}"
            );
            if !matches!(name.as_str(), "file") {
                assert!(shown.len() < 512 * 1024, "{name}: {}", shown.len());
            }
        }
    }
}

#[test]
fn hostile_texts_arrive_as_values_over_http() {
    let receiver = Receiver::start(|_| Fate::Fine);
    let folder = tempfile::tempdir().unwrap();
    let mut sinks = sinks(receiver.port, folder.path());
    let alerts: Vec<Alert> = HOSTILE
        .iter()
        .map(|text| alert(Event::New, Severity::Critical, text))
        .collect();
    for alert in &alerts {
        for name in [
            "webhook",
            "alertmanager",
            "slack",
            "teams",
            "pagerduty",
            "lake",
        ] {
            let entry = sinks.get_mut(name).unwrap();
            // A rate cap would make the test wait.
            let statuses = entry.deliver(&[alert], &FakeNow, &mut LoadedDice(0.0), &mut |_| {});
            assert_eq!(statuses, [Status::Delivered], "{name}");
        }
    }
    let requests = receiver.requests();
    assert_eq!(requests.len(), 6 * HOSTILE.len());
    for (head, body) in requests {
        assert!(
            !head
                .iter()
                .any(|line| line.to_lowercase().contains("injected")),
            "{head:?}"
        );
        serde_json::from_str::<serde_json::Value>(&body).unwrap();
        assert!(!body.contains("hunter2"), "{body}");
        let has_key = head
            .iter()
            .any(|line| line.starts_with("idempotency-key: "));
        assert_eq!(
            has_key,
            head.iter().any(|line| line.starts_with("webhook-id: "))
        );
    }
}

/// The clock of the machine, but for pauses.
struct FakeNow;

impl Clock for FakeNow {
    fn now(&self) -> Instant {
        Instant::now()
    }
    fn wall(&self) -> crate::finding::Timestamp {
        SystemClock.wall()
    }
    fn sleep(&self, _: Duration) {}
}

#[test]
fn planted_secrets_are_in_nothing_that_is_shown_or_kept() {
    let folder = tempfile::tempdir().unwrap();
    let receiver = Receiver::start(|call| {
        if call % 2 == 0 {
            Fate::Unavailable
        } else {
            Fate::Cut
        }
    });
    let port = receiver.port;
    let config = config(port, folder.path());
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let mut sinks = Sinks::from_config(&config, &environment(port), &clock).unwrap();
    let mut shown = vec![
        format!("{config:?}"),
        format!("{config:#?}"),
        format!("{sinks:?}"),
    ];
    let letters = DeadLetters::new(folder.path().join("dead.jsonl"));
    let alert = alert(Event::New, Severity::Critical, "jane");
    for entry in sinks.entries_mut() {
        shown.push(entry.preview(&[&alert]));
        let statuses = entry.deliver(&[&alert], &FakeNow, &mut LoadedDice(0.0), &mut |_| {});
        let why = format!("{:?}", statuses[0]);
        let letter = Letter {
            alert: Some(&alert),
            key: &alert.key,
            text: "",
            why: &why,
        };
        letters.add(entry.name(), &[letter], &SystemClock).unwrap();
        shown.push(why);
    }
    let mut broken = config.clone();
    for sink in &mut broken.sinks {
        sink.name = format!("{}-2", sink.name);
    }
    // Without an environment every secret is missing; with a bad URL it is refused.
    for environment in [(|_| None) as fn(&str) -> Option<String>, |_| {
        Some("planted://x@y".to_owned())
    }] {
        let errors = Sinks::from_config(&broken, &environment, &clock).unwrap_err();
        shown.extend(errors.iter().map(|error| format!("{error} {error:?}")));
    }
    for entry in std::fs::read_dir(folder.path()).unwrap().flatten() {
        shown.push(std::fs::read_to_string(entry.path()).unwrap());
    }
    assert!(receiver.calls() > 20, "the secrets were used");
    let sent = format!("{:?}", receiver.requests());
    for used in [
        "Bearer planted-BEARER",
        "planted-ROUTING",
        "POST /planted-env",
        "webhook-signature: v1,",
    ] {
        assert!(sent.contains(used), "{used} was sent");
    }
    for text in &shown {
        assert!(!text.contains("planted"), "{text}");
    }
    println!("{} texts without the planted stem", shown.len());
}

#[test]
fn nothing_is_printed_when_nothing_is_new() {
    let folder = tempfile::tempdir().unwrap();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let mut sinks = Sinks::from_config(&config(9, folder.path()), &environment(9), &clock).unwrap();
    for entry in sinks.entries_mut() {
        assert!(
            entry
                .deliver(&[], &SystemClock, &mut LoadedDice(0.0), &mut |_| {})
                .is_empty()
        );
        assert_eq!(entry.preview(&[]), "");
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    assert!(
        sinks
            .finish(&crate::alert::sink::Metrics::default())
            .is_empty()
    );
    assert!(
        folder.path().join("k.prom").exists(),
        "metrics are written always"
    );
}

#[test]
fn samples_go_out_whatever_their_severity() {
    let receiver = Receiver::start(|_| Fate::Fine);
    let folder = tempfile::tempdir().unwrap();
    let mut sinks = sinks(receiver.port, folder.path());
    let sample = Alert::sample("prod", &super::run());
    for name in ["webhook", "slack", "teams", "pagerduty", "file"] {
        let entry = sinks.get_mut(name).unwrap();
        assert_eq!(
            entry.test(&sample, &FakeNow, &mut LoadedDice(0.0)),
            Status::Delivered,
            "{name}"
        );
    }
    assert_eq!(receiver.calls(), 4);
    assert!(sinks.get_mut("nobody").is_none());
}
