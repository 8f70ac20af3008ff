//! The common contract of all sinks: what passes, how often it is tried, and what becomes of the rest.
//!
//! Comes in: alerts from a committed outbox. Goes out: one [`Status`] per alert, from which the caller acknowledges.
//! Promised: no alert is dropped without a status; at most `attempts` calls per batch; nothing begins after the
//! deadline; a batch that the target refuses is sent again one by one, so that one alert takes no other along. Only an
//! alert that is refused `attempts` times by a target that takes others is given up before its time: who refuses all of
//! them may have been told a wrong address, and that can be mended. Deterministic under a given [`Clock`] and [`Dice`].
//!
//! Left out on purpose: order among alerts when some must be sent again; each has its key.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::clock::{Clock, Dice, later};
use super::{Alert, Event, Outcome, Sink};
use crate::finding::{Severity, Timestamp};

/// How a sink is fed; one per sink, from its keys in the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Findings milder than this are not for this sink.
    pub min_severity: Severity,
    /// Whether it is told that a finding is over.
    pub send_resolved: bool,
    /// Calls a minute at most; `None` is as many as there are.
    pub max_per_minute: Option<u32>,
    /// Alerts per call at most; at least 1.
    pub batch: usize,
    /// Calls per batch and run at most; at least 1.
    pub attempts: u32,
    /// Pause after the first failure; it doubles with each further one.
    pub backoff_first: Duration,
    /// Longest pause.
    pub backoff_max: Duration,
    /// Time for all of a run's alerts.
    pub deadline: Duration,
    /// Age from which an alert that could not be delivered, for whatever reason, is given up; `None` is never.
    pub give_up_after: Option<Duration>,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            min_severity: Severity::Low,
            send_resolved: true,
            max_per_minute: None,
            batch: 1,
            attempts: 5,
            backoff_first: Duration::from_millis(500),
            backoff_max: Duration::from_secs(30),
            deadline: Duration::from_mins(1),
            give_up_after: Some(Duration::from_hours(72)),
        }
    }
}

impl Policy {
    /// Returns whether an alert is for this sink.
    pub fn wants(&self, alert: &Alert) -> bool {
        alert.finding.severity >= self.min_severity
            && (self.send_resolved || alert.event != Event::Resolve)
    }
}

/// What became of an alert in this run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// The target has it.
    Delivered,
    /// Not for this sink; it is done with.
    NotWanted,
    /// It stays in the outbox; not to be sent before `not_before`.
    Pending {
        /// Wall-clock time before which the target does not want to hear of it.
        not_before: Option<Timestamp>,
        /// What went wrong, in words that hold no secret and no log text.
        why: String,
    },
    /// It will never be delivered, and belongs to the dead letters.
    Dead {
        /// Why not, as above.
        why: String,
    },
}

/// A batch that waits.
struct Waiting {
    /// Indices into the alerts.
    members: Vec<usize>,
    /// Calls made with it so far.
    n_tries: u32,
    /// Not before this.
    ready: Instant,
}

/// Delivers `alerts` to `sink`; returns what became of each, in the order given.
///
/// `arrived` hears behind each call which ones the target has taken, as indices into `alerts`.
pub fn deliver(
    sink: &mut dyn Sink,
    policy: &Policy,
    alerts: &[&Alert],
    clock: &dyn Clock,
    dice: &mut dyn Dice,
    arrived: &mut dyn FnMut(&[usize]),
) -> Vec<Status> {
    let start = clock.now();
    let mut work = Work {
        policy,
        alerts,
        statuses: vec![Status::NotWanted; alerts.len()],
        queue: BTreeMap::new(),
        n_queued: 0,
        end: start + policy.deadline,
        next_slot: start,
        asked_until: None,
        n_failed_in_a_row: 0,
        refused: Vec::new(),
        has_delivered: false,
    };
    let wanted: Vec<usize> = (0..alerts.len())
        .filter(|&idx| policy.wants(alerts[idx]))
        .collect();
    for members in wanted.chunks(policy.batch.max(1)) {
        let members = members.to_vec();
        work.push(Waiting {
            members,
            n_tries: 0,
            ready: start,
        });
    }
    while let Some(waiting) = work.next_ready(clock) {
        let begin = waiting.ready.max(work.next_slot).max(clock.now());
        if begin >= work.end {
            let (asked, why) = match work.asked_until.clone() {
                Some((until, why)) if work.next_slot >= work.end => (Some(until), why),
                _ => (None, "the time for this sink is over".to_owned()),
            };
            work.put_off(&waiting.members, asked, &why, clock);
            continue;
        }
        clock.sleep(begin.saturating_duration_since(clock.now()));
        if let Some(per_minute) = policy.max_per_minute {
            work.next_slot = clock.now() + Duration::from_mins(1) / per_minute.max(1);
        }
        let batch: Vec<&Alert> = waiting.members.iter().map(|&idx| alerts[idx]).collect();
        let outcomes = sink.send(&batch, work.end).outcomes;
        debug_assert_eq!(outcomes.len(), batch.len(), "one outcome per alert");
        let taken = waiting.members.iter().zip(&outcomes);
        let taken = taken.filter(|(_, outcome)| **outcome == Outcome::Delivered);
        let taken: Vec<usize> = taken.map(|(idx, _)| *idx).collect();
        if !taken.is_empty() {
            arrived(&taken);
        }
        work.settle(waiting, outcomes, clock, dice);
    }
    work.statuses
}

struct Work<'a> {
    policy: &'a Policy,
    alerts: &'a [&'a Alert],
    statuses: Vec<Status>,
    /// By when they are ready, then by when they were put in.
    queue: BTreeMap<(Instant, u64), Waiting>,
    n_queued: u64,
    end: Instant,
    /// When the rate cap, or the target by `Retry-After`, lets the next call begin.
    next_slot: Instant,
    /// Until when the target last asked to be left alone, and in which words.
    asked_until: Option<(Timestamp, String)>,
    n_failed_in_a_row: u32,
    /// Single alerts that were refused, and why: whether it is their fault shows in what becomes of the others.
    refused: Vec<(Waiting, String)>,
    /// Whether the target has taken anything.
    has_delivered: bool,
}

impl Work<'_> {
    fn push(&mut self, waiting: Waiting) {
        self.queue.insert((waiting.ready, self.n_queued), waiting);
        self.n_queued += 1;
    }

    /// Takes the batch that is ready first; the earlier one among equals. What was refused comes last.
    fn next_ready(&mut self, clock: &dyn Clock) -> Option<Waiting> {
        if self.queue.is_empty() {
            for (waiting, why) in std::mem::take(&mut self.refused) {
                if !self.has_delivered || waiting.ready >= self.end {
                    self.put_off(&waiting.members, None, &why, clock);
                } else if waiting.n_tries >= self.policy.attempts.max(1) {
                    for idx in waiting.members {
                        self.statuses[idx] = Status::Dead { why: why.clone() };
                    }
                } else {
                    self.push(waiting);
                }
            }
        }
        self.queue.pop_first().map(|(_, waiting)| waiting)
    }

    fn settle(
        &mut self,
        waiting: Waiting,
        outcomes: Vec<Outcome>,
        clock: &dyn Clock,
        dice: &mut dyn Dice,
    ) {
        let n_tries = waiting.n_tries + 1;
        let is_single = waiting.members.len() == 1;
        let (mut again, mut asked, mut reason) = (Vec::new(), None::<Duration>, String::new());
        let (mut denied, mut singles, mut is_denied) = (Vec::new(), Vec::new(), false);
        for (idx, outcome) in waiting.members.into_iter().zip(outcomes) {
            match outcome {
                Outcome::Delivered => {
                    self.statuses[idx] = Status::Delivered;
                    self.has_delivered = true;
                }
                Outcome::Refused { why } if is_single => {
                    let waiting = Waiting {
                        members: vec![idx],
                        n_tries,
                        ready: clock.now() + self.backoff(n_tries, dice),
                    };
                    self.refused.push((waiting, why));
                }
                Outcome::Refused { .. } => singles.push(idx),
                Outcome::Denied { why } => {
                    // It may still be for what one of them holds, as with a firewall that reads along.
                    if is_single { &mut denied } else { &mut singles }.push(idx);
                    (is_denied, reason) = (true, why);
                }
                Outcome::Retry { after, why } => {
                    again.push(idx);
                    asked = asked.max(after);
                    reason = why;
                }
            }
        }
        for idx in singles {
            self.push(Waiting {
                members: vec![idx],
                n_tries: 0,
                ready: clock.now(),
            });
        }
        // Nothing is better in a moment.
        self.put_off(&denied, None, &reason, clock);
        if again.is_empty() && !is_denied {
            self.n_failed_in_a_row = 0;
            return;
        }
        self.n_failed_in_a_row += 1;
        let pause = self.backoff(n_tries, dice).max(asked.unwrap_or_default());
        let ready = clock.now() + pause;
        let until = asked.map(|asked| later(clock.wall(), asked));
        if let Some(until) = until {
            self.asked_until = Some((until, reason.clone()));
            // Who asks for a pause asks it of all.
            self.next_slot = self.next_slot.max(ready);
        }
        // Every further batch would fail the same way, and time is better spent on other sinks.
        let is_down = self.n_failed_in_a_row >= 2 * self.policy.attempts.max(1);
        if is_down {
            for waiting in std::mem::take(&mut self.queue).into_values() {
                self.put_off(&waiting.members, until, &reason, clock);
            }
        }
        if again.is_empty() {
            return;
        }
        if is_down || n_tries >= self.policy.attempts.max(1) || ready >= self.end {
            self.put_off(&again, until, &reason, clock);
        } else {
            self.push(Waiting {
                members: again,
                n_tries,
                ready,
            });
        }
    }

    /// Returns the pause after `n_tries` failures: half of it fixed, half by chance.
    fn backoff(&self, n_tries: u32, dice: &mut dyn Dice) -> Duration {
        let doubled = 1_u32.checked_shl(n_tries - 1).unwrap_or(u32::MAX);
        let full = self.policy.backoff_first.saturating_mul(doubled);
        full.min(self.policy.backoff_max)
            .mul_f64(0.5 + dice.roll() / 2.0)
    }

    /// Leaves alerts to a later run, or gives them up if they are too old.
    fn put_off(
        &mut self,
        members: &[usize],
        not_before: Option<Timestamp>,
        why: &str,
        clock: &dyn Clock,
    ) {
        let now = clock.wall();
        for &idx in members {
            let decided = self.alerts[idx].run.at;
            let is_too_old = |limit: Duration| later(decided, limit) <= now;
            self.statuses[idx] = if self.policy.give_up_after.is_some_and(is_too_old) {
                Status::Dead {
                    why: format!("given up by age: {why}"),
                }
            } else {
                Status::Pending {
                    not_before,
                    why: why.to_owned(),
                }
            };
        }
    }
}

#[cfg(test)]
mod tests;
