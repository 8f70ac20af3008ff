use super::pulse::{BUCKETS, SILENCES};
use super::*;
use crate::detect::request::Sighting;
use crate::frame::NULL;
use crate::frame::vocabulary::known;

const SECOND: i64 = 1_000_000;

fn beat(second: i64) -> Beat {
    Beat {
        ts: second * SECOND,
        received: second * SECOND,
        stage: known::RESPONSE_COMPLETE,
        level: known::METADATA,
        file: 0,
        user: NULL,
        class: None,
    }
}

fn pulse(seconds: impl Iterator<Item = i64>) -> Pulse {
    let mut pulse = Pulse::default();
    for second in seconds {
        pulse.note(&beat(second), 900 * SECOND, Sighting::default);
    }
    pulse
}

fn findings(pulses: Vec<Pulse>) -> Vec<Finding> {
    findings_while(pulses, &|_, _| true)
}

fn findings_while(pulses: Vec<Pulse>, is_there: &dyn Fn(u32, i64) -> bool) -> Vec<Finding> {
    let rules = crate::rules::RuleSet::embedded().unwrap();
    let rule = &rules.rules[rules.find("audit-gap").unwrap()];
    let crate::rules::RuleBody::Analytic(parameters) = &rule.body else {
        panic!("it is an analytic");
    };
    let names = ["a", "b", "c"].map(str::to_owned);
    let servers: Vec<(String, Pulse)> = names.into_iter().zip(pulses).collect();
    let servers = servers.iter().map(|(name, pulse)| (name.clone(), pulse));
    let servers: Vec<(String, &Pulse)> = servers.collect();
    let gap = AuditGap::new((&rule.meta, parameters)).unwrap();
    gap.findings(&servers, is_there, &Vocabulary::new())
}

#[track_caller]
fn check(pulses: Vec<Pulse>, expected: &[(Severity, &str)]) {
    let findings = findings(pulses);
    let found: Vec<(Severity, &str)> = findings
        .iter()
        .map(|found| (found.severity, &*found.summary))
        .collect();
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for ((severity, summary), (expected, part)) in found.iter().zip(expected) {
        assert_eq!(
            (severity, summary.contains(part)),
            (expected, true),
            "{summary}"
        );
    }
}

/// Silent from second 5000 to 9000.
fn gap() -> impl Iterator<Item = i64> {
    (1..5000).chain(9000..10000)
}

#[test]
fn a_silence_weighs_what_the_log_says_of_it() {
    check(
        vec![pulse(gap())],
        &[(Severity::Low, "is silent for 66 min")],
    );
    check(
        vec![pulse(gap()), pulse(1..10000)],
        &[(Severity::Medium, "`a` is silent")],
    );
    check(vec![pulse((1..5000).chain(5850..10000))], &[]);
    check(vec![pulse(4990..5000), pulse(1..10000)], &[]);
}

#[test]
fn each_silence_is_a_finding_of_its_own_from_its_beginning_on() {
    let twice = (1..5000).chain(9000..12_000).chain(16_000..17_000);
    let findings = findings(vec![pulse(twice)]);
    let spans: Vec<(i64, i64)> = findings
        .iter()
        .map(|found| (found.first_seen.0 / SECOND, found.last_seen.0 / SECOND))
        .collect();
    assert_eq!(spans, [(4999, 9000), (11_999, 16_000)]);
    assert_ne!(findings[0].finding_id, findings[1].finding_id);
}

#[test]
fn requests_from_within_prove_that_the_server_served() {
    let mut pulse = pulse(gap());
    let late = Beat {
        received: 8000 * SECOND,
        ..beat(10001)
    };
    pulse.note(&late, 900 * SECOND, Sighting::default);
    check(vec![pulse], &[(Severity::High, "silent")]);
}

#[test]
fn a_server_that_was_started_anew_was_down() {
    let mut pulse = pulse(1..5000);
    pulse.note_process(1);
    for second in 9000..9100 {
        pulse.note(&beat(second), 900 * SECOND, Sighting::default);
        pulse.note_process(2);
    }
    let other = super::tests::pulse(1..10000);
    check(vec![pulse, other], &[(Severity::Low, "silent")]);
}

#[test]
fn silences_that_recur_are_a_habit() {
    let days = (0..6).flat_map(|day| (0..30_000).map(move |second| day * 86_400 + second));
    let findings = findings(vec![pulse(days)]);
    assert_eq!(findings.len(), 5);
    assert!(findings.iter().all(|found| found.severity == Severity::Low));
}

#[test]
fn a_stage_that_was_always_there_is_missed() {
    let mut pulse = pulse(1..4000);
    for second in 1..8000 {
        let stage = if second < 4000 {
            known::REQUEST_RECEIVED
        } else {
            known::RESPONSE_COMPLETE
        };
        let beat = Beat {
            stage,
            ..beat(4000 + second)
        };
        pulse.note(&beat, 900 * SECOND, Sighting::default);
    }
    // It came only late, and so it was not always there.
    check(vec![pulse], &[]);
    let mut pulse = Pulse::default();
    for second in 1..8000 {
        let received = Beat {
            stage: known::REQUEST_RECEIVED,
            ..beat(second)
        };
        if second < 4000 {
            pulse.note(&received, 900 * SECOND, Sighting::default);
        }
        pulse.note(&beat(second), 900 * SECOND, Sighting::default);
    }
    check(
        vec![pulse],
        &[(Severity::Medium, "no more stage RequestReceived")],
    );
}

#[test]
fn a_rate_that_collapses_is_said_where_others_go_on() {
    let busy = || (1..20_000).flat_map(|second| [second, second]);
    let slow = (1..9000)
        .flat_map(|second| [second, second])
        .chain((150..330).map(|minute| minute * 60));
    check(
        vec![pulse(slow), pulse(busy())],
        &[(Severity::Medium, "where 120 in 60 s were usual")],
    );
}

#[test]
fn a_pulse_keeps_to_its_bounds() {
    let minutes = i64::try_from(BUCKETS).unwrap() * 3;
    let pulse = pulse((0..minutes).map(|minute| minute * 60 + 10));
    assert!(pulse.buckets.len() <= BUCKETS);
    assert_eq!(pulse.width_us, 4 * MINUTE_US);
    let total: u64 = pulse.buckets.iter().map(|bucket| bucket.total).sum();
    assert_eq!(total, pulse.events);
    let silent = super::tests::pulse((0..100).map(|hour| hour * hour * 3600));
    assert_eq!(silent.silences.len(), SILENCES);
}

#[test]
fn a_stray_date_is_no_silence() {
    let seconds = (1..1000).chain([10_000_000]).chain(1000..2000);
    let pulse = pulse(seconds);
    assert!(pulse.silences.is_empty());
    assert_eq!(pulse.last, 1999 * SECOND);
    assert_eq!(pulse.backward, 1);
}

#[test]
fn one_old_date_hides_no_silence() {
    let seconds = (1..1000).chain(9000..9500).chain([1]).chain(9500..9999);
    let pulse = pulse(seconds);
    assert_eq!(pulse.silences.len(), 1);
    assert_eq!(pulse.silences[0].from, 999 * SECOND);
    assert_eq!(pulse.last, 9998 * SECOND);
    assert_eq!(pulse.backward, 1);
}

#[test]
fn usual_pauses_are_those_of_the_log() {
    let pulse = pulse((1..5000).chain([9000]));
    let usual = pulse.usual_pause();
    assert!((SECOND..3 * SECOND).contains(&usual), "{usual}");
    assert!(pulse.goes_on(100 * SECOND, 4000 * SECOND));
    assert!(!pulse.goes_on(5100 * SECOND, 8900 * SECOND));
}

/// One event in ten seconds for 24 hours, of which one in ten minutes is for a Secret until an hour.
fn secrets_until(hour: i64) -> Pulse {
    let mut pulse = Pulse::default();
    for second in (0..86_400).step_by(10) {
        let is_secret = second % 600 == 0 && second < hour * 3600;
        let beat = Beat {
            class: is_secret.then_some(Class::Secrets),
            user: 7,
            ..beat(second)
        };
        pulse.note(&beat, 900 * SECOND, Sighting::default);
    }
    pulse
}

#[test]
fn a_class_of_requests_that_was_steady_is_missed() {
    let gone = &[(Severity::Medium, "logs no more requests for Secrets")];
    check(vec![secrets_until(15)], gone);
    check(vec![secrets_until(24)], &[]);
    // Too short a silence, and too short a history.
    check(vec![secrets_until(22)], &[]);
    check(vec![secrets_until(11)], &[]);
    // They ask another server now, or are gone themselves.
    check(vec![secrets_until(15), secrets_until(24)], &[]);
    let findings = findings_while(vec![secrets_until(15)], &|_, _| false);
    assert!(findings.is_empty(), "{findings:#?}");
}
