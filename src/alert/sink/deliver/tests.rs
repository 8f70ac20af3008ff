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

/// A sink that gives one answer to whatever holds one of some alerts, and takes the rest.
struct Picky {
    others: Outcome,
    keys: Vec<String>,
    n_calls: usize,
}

impl Sink for Picky {
    fn name(&self) -> &'static str {
        "picky"
    }

    fn send(&mut self, batch: &[&Alert], _deadline: Instant) -> Delivery {
        self.n_calls += 1;
        let is_not_liked = batch.iter().any(|alert| self.keys.contains(&alert.key));
        let answer = if is_not_liked {
            self.others.clone()
        } else {
            Outcome::Delivered
        };
        Delivery::all(batch.len(), answer)
    }

    fn preview(&self, _batch: &[&Alert]) -> String {
        String::new()
    }
}

/// Delivers `alerts` to a sink that gives `answer` to the first `n_disliked`; returns the statuses and the number of calls.
fn picked(alerts: &[Alert], answer: Outcome, n_disliked: usize) -> (Vec<Status>, usize) {
    let keys = alerts.iter().take(n_disliked);
    let mut sink = Picky {
        others: answer,
        keys: keys.map(|alert| alert.key.clone()).collect(),
        n_calls: 0,
    };
    let policy = Policy {
        batch: 3,
        attempts: 4,
        ..Policy::default()
    };
    let alerts: Vec<&Alert> = alerts.iter().collect();
    let (clock, dice) = (FakeClock::new(), &mut LoadedDice(0.0));
    let statuses = deliver(&mut sink, &policy, &alerts, &clock, dice, &mut |_| {});
    (statuses, sink.n_calls)
}

fn pending(why: &str) -> Status {
    Status::Pending {
        not_before: None,
        why: why.to_owned(),
    }
}

fn dead(why: &str) -> Status {
    Status::Dead {
        why: why.to_owned(),
    }
}

#[test]
fn a_refused_alert_takes_no_other_along() {
    let (statuses, n_calls) = picked(&many(3), Outcome::refused("the target answers 400"), 1);
    let expected = [
        dead("the target answers 400"),
        Status::Delivered,
        Status::Delivered,
    ];
    assert_eq!(statuses, expected);
    assert_eq!(n_calls, 1 + 3 + 3, "all, one by one, and the refused again");
}

#[test]
fn who_refuses_all_may_be_the_wrong_one() {
    let (statuses, n_calls) = picked(&many(6), Outcome::refused("the target answers 400"), 6);
    assert_eq!(statuses, vec![pending("the target answers 400"); 6]);
    assert_eq!(n_calls, 2 + 6);
    let mut old = many(2);
    old[1].run.at = Timestamp(START.0 - 72 * 3_600_000_000);
    let (statuses, _) = picked(&old, Outcome::refused("no"), 2);
    assert_eq!(statuses, [pending("no"), dead("given up by age: no")]);
}

#[test]
fn who_denies_all_is_left_alone_and_nothing_is_given_up() {
    let (statuses, n_calls) = picked(&many(1000), Outcome::denied("401"), 1000);
    assert_eq!(statuses, vec![pending("401"); 1000]);
    assert_eq!(n_calls, 8, "twice as many as `attempts`");
    // A firewall that does not like one of them.
    let (statuses, _) = picked(&many(6), Outcome::denied("403"), 1);
    assert_eq!(statuses[0], pending("403"));
    assert_eq!(statuses[1..], vec![Status::Delivered; 5]);
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
