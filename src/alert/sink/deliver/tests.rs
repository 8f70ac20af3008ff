//! The contract, with a clock and dice that the test decides.

use super::*;
use crate::alert::sink::clock::tests::{FakeClock, LoadedDice, START};
use crate::alert::sink::tests::{alert, many};
use crate::alert::sink::{Delivery, Event};

/// A sink that answers as told, call by call; the last answer holds for the rest.
struct Scripted {
    answers: Vec<Outcome>,
    calls: Vec<Vec<String>>,
}

impl Scripted {
    fn new(answers: &[Outcome]) -> Self {
        Self {
            answers: answers.to_vec(),
            calls: Vec::new(),
        }
    }
}

impl Sink for Scripted {
    fn name(&self) -> &'static str {
        "scripted"
    }

    fn send(&mut self, batch: &[&Alert], _deadline: Instant) -> Delivery {
        let answer = self.answers[self.calls.len().min(self.answers.len() - 1)].clone();
        self.calls
            .push(batch.iter().map(|alert| alert.key.clone()).collect());
        Delivery::all(batch.len(), answer)
    }

    fn preview(&self, _batch: &[&Alert]) -> String {
        String::new()
    }
}

fn retry(after_s: Option<u64>) -> Outcome {
    Outcome::Retry {
        after: after_s.map(Duration::from_secs),
        why: "busy".to_owned(),
    }
}

fn delivered(
    sink: &mut Scripted,
    policy: &Policy,
    alerts: &[Alert],
    clock: &FakeClock,
) -> Vec<Status> {
    let alerts: Vec<&Alert> = alerts.iter().collect();
    let mut arrived = Vec::new();
    let mut note = |taken: &[usize]| arrived.extend_from_slice(taken);
    let dice = &mut LoadedDice(0.0);
    let statuses = deliver(sink, policy, &alerts, clock, dice, &mut note);
    arrived.sort_unstable();
    let is_delivered = |idx: &usize| statuses[*idx] == Status::Delivered;
    let delivered: Vec<usize> = (0..alerts.len()).filter(is_delivered).collect();
    assert_eq!(arrived, delivered);
    statuses
}

#[test]
fn mild_findings_are_not_wanted() {
    let alerts = [Severity::Low, Severity::High].map(|severity| alert(Event::New, severity, "x"));
    let policy = Policy {
        min_severity: Severity::Medium,
        ..Policy::default()
    };
    let mut sink = Scripted::new(&[Outcome::Delivered]);
    let statuses = delivered(&mut sink, &policy, &alerts, &FakeClock::new());
    assert_eq!(statuses, [Status::NotWanted, Status::Delivered]);
}

#[test]
fn pauses_double_up_to_the_longest() {
    let policy = Policy {
        attempts: 6,
        backoff_first: Duration::from_secs(1),
        backoff_max: Duration::from_secs(8),
        ..Policy::default()
    };
    let (mut sink, clock) = (Scripted::new(&[retry(None)]), FakeClock::new());
    let statuses = delivered(&mut sink, &policy, &many(1), &clock);
    assert_eq!(
        statuses,
        [Status::Pending {
            not_before: None,
            why: "busy".to_owned()
        }]
    );
    assert_eq!(sink.calls.len(), 6);
    // Halves of 1, 2, 4, 8 and 8 seconds, since the dice fall on 0.
    assert_eq!(clock.slept(), Duration::from_millis(11_500));
}

#[test]
fn retry_after_holds_for_all() {
    let (mut sink, clock) = (
        Scripted::new(&[retry(Some(7)), Outcome::Delivered]),
        FakeClock::new(),
    );
    let statuses = delivered(&mut sink, &Policy::default(), &many(3), &clock);
    assert!(statuses.iter().all(|status| *status == Status::Delivered));
    assert_eq!(clock.slept(), Duration::from_secs(7));
}

#[test]
fn retry_after_behind_the_deadline_is_kept_for_a_later_run() {
    let (mut sink, clock) = (Scripted::new(&[retry(Some(3600))]), FakeClock::new());
    let statuses = delivered(&mut sink, &Policy::default(), &many(3), &clock);
    let not_before = Some(later(START, Duration::from_hours(1)));
    assert_eq!(
        statuses[0],
        Status::Pending {
            not_before,
            why: "busy".to_owned()
        }
    );
    assert_eq!(sink.calls.len(), 1);
    assert_eq!(clock.slept(), Duration::ZERO);
    assert!(statuses.iter().all(|status| *status == statuses[0]));
}

#[test]
fn rate_cap_spaces_calls_and_the_deadline_ends_them() {
    let policy = Policy {
        max_per_minute: Some(6),
        batch: 10,
        deadline: Duration::from_secs(25),
        ..Policy::default()
    };
    let (mut sink, clock) = (Scripted::new(&[Outcome::Delivered]), FakeClock::new());
    let statuses = delivered(&mut sink, &policy, &many(100), &clock);
    assert_eq!(sink.calls.len(), 3, "at 0, 10 and 20 seconds");
    let n_delivered = statuses
        .iter()
        .filter(|status| **status == Status::Delivered)
        .count();
    assert_eq!(n_delivered, 30);
    assert_eq!(clock.slept(), Duration::from_secs(20));
}

#[test]
fn a_refused_alert_takes_no_other_along() {
    let refused = Outcome::refused("the target answers 400");
    let answers = [
        refused.clone(),
        Outcome::Delivered,
        refused,
        Outcome::Delivered,
    ];
    let mut sink = Scripted::new(&answers);
    let policy = Policy {
        batch: 3,
        ..Policy::default()
    };
    let statuses = delivered(&mut sink, &policy, &many(3), &FakeClock::new());
    let dead = Status::Dead {
        why: "the target answers 400".to_owned(),
    };
    assert_eq!(statuses, [Status::Delivered, dead, Status::Delivered]);
    assert_eq!(
        sink.calls.iter().map(Vec::len).collect::<Vec<_>>(),
        [3, 1, 1, 1]
    );
}

#[test]
fn who_is_down_is_left_alone() {
    let mut sink = Scripted::new(&[retry(None)]);
    let policy = Policy {
        attempts: 3,
        ..Policy::default()
    };
    let statuses = delivered(&mut sink, &policy, &many(1000), &FakeClock::new());
    assert_eq!(sink.calls.len(), 6);
    assert!(
        statuses
            .iter()
            .all(|status| matches!(status, Status::Pending { .. }))
    );
}

#[test]
fn old_alerts_are_given_up() {
    let mut alerts = many(1);
    alerts[0].run.at = Timestamp(START.0 - 72 * 3_600_000_000);
    let mut sink = Scripted::new(&[retry(None)]);
    let statuses = delivered(&mut sink, &Policy::default(), &alerts, &FakeClock::new());
    assert_eq!(
        statuses,
        [Status::Dead {
            why: "given up by age: busy".to_owned()
        }]
    );
}

#[test]
fn same_clock_and_dice_give_the_same_run() {
    let once = || {
        let mut sink = Scripted::new(&[retry(None), retry(Some(1)), Outcome::Delivered]);
        let clock = FakeClock::new();
        let statuses = delivered(&mut sink, &Policy::default(), &many(20), &clock);
        (sink.calls, statuses, clock.slept())
    };
    assert_eq!(once(), once());
}
