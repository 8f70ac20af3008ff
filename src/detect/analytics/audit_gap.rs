//! `audit-gap`: an API server that stops telling, wholly or in part.
//!
//! Leases and kubelets keep every API server's log moving. So a silence much longer than the log's own pauses, a
//! stage or audit level that was there all along and is gone, or a rate that falls to almost nothing, means
//! that the log was turned off, thinned out or cut, or that the server was down. Which of them, the log itself
//! tells: requests that were received within a silence and end after it prove that the server was serving; a
//! new uid of the server's own client (kubernetes/apiserver `pkg/server/config.go`, one per process) says that
//! it was started anew. The ends of a log, and the seams of rotated files, are no gaps.
//!
//! A policy can leave out one class of requests alone, as those for Secrets. Such a class is rarer than stages and levels are,
//! so it is judged by its own pauses, and by whether those who sent such requests are there still.

mod class;
mod pulse;

use super::{Draft, MINUTE_US, counted, lasting};
use crate::detect::tally::Tally;
use crate::finding::{Confidence, Finding, Severity, Timestamp};
use crate::frame::Vocabulary;
use crate::rules::{Parameters, RuleError, RuleMeta};
use class::CLASSES;
pub use class::Class;
pub use pulse::{Beat, Pulse};
use pulse::{Bucket, KINDS, Silence};

/// The analytic.
#[derive(Clone)]
pub struct AuditGap {
    meta: RuleMeta,
    least_silence_us: i64,
    pause_factor: i64,
    least_events: u64,
    habit: usize,
    least_expected: u64,
    collapse_percent: u64,
    least_rate: u64,
    class_history_us: i64,
    class_silence_us: i64,
    class_pauses: i64,
    class_expected: u64,
}

/// Over how many buckets a rate is usual.
const USUAL: usize = 60;

impl AuditGap {
    /// Reads the parameters.
    ///
    /// # Errors
    /// When a parameter is missing or of a wrong type.
    pub fn new((meta, parameters): (&RuleMeta, &Parameters)) -> Result<Self, RuleError> {
        Ok(Self {
            meta: meta.clone(),
            least_silence_us: parameters.duration_us("least_silence")?,
            pause_factor: parameters.count("pause_factor")?.into(),
            least_events: parameters.count("least_events")?.into(),
            habit: parameters.count("habit")? as usize,
            least_expected: parameters.count("least_expected")?.into(),
            collapse_percent: parameters.count("collapse_percent")?.into(),
            least_rate: parameters.count("least_rate")?.into(),
            class_history_us: parameters.duration_us("class_history")?,
            class_silence_us: parameters.duration_us("class_silence")?,
            class_pauses: parameters.count("class_pauses")?.into(),
            class_expected: parameters.count("class_expected")?.into(),
        })
    }

    /// Draws the findings; of each server there is its name, as far as the log tells it, and its pulse. `is_there` says
    /// whether a user sent anything at a time or after it.
    pub fn findings(
        &self,
        servers: &[(String, &Pulse)],
        is_there: &dyn Fn(u32, i64) -> bool,
        vocabulary: &Vocabulary,
    ) -> Vec<Finding> {
        let mut findings = Vec::new();
        for (at, (name, pulse)) in servers.iter().enumerate() {
            // The order of such a log says nothing.
            if pulse.backward * 1000 > pulse.events {
                continue;
            }
            let others = |from: i64, to: i64| {
                let others = servers.iter().enumerate().filter(|(other, _)| *other != at);
                others
                    .filter(|(_, (_, pulse))| pulse.goes_on(from, to))
                    .count()
            };
            self.silences(name, pulse, &others, vocabulary, &mut findings);
            self.vanished(name, pulse, vocabulary, &mut findings);
            self.collapse(name, pulse, &others, vocabulary, &mut findings);
            for class in 0..CLASSES.len() {
                // Who asks another server now was led there.
                let course = |pulse: &Pulse| pulse.classes[class].last;
                let is_elsewhere = servers.iter().enumerate().any(|(other, (_, it))| {
                    other != at && course(it) > course(pulse) + self.class_silence_us
                });
                if !is_elsewhere {
                    findings.extend(self.left_out(name, pulse, class, is_there, vocabulary));
                }
            }
        }
        findings
    }

    /// Says that a class of requests is gone, while those go on who sent them.
    fn left_out(
        &self,
        name: &str,
        pulse: &Pulse,
        class: usize,
        is_there: &dyn Fn(u32, i64) -> bool,
        vocabulary: &Vocabulary,
    ) -> Option<Finding> {
        let (course, what) = (&pulse.classes[class], CLASSES[class]);
        let lasted = course.last - course.first;
        let silence = pulse.last - course.last;
        let least_silence = course.longest_pause.saturating_mul(self.class_pauses);
        if lasted < self.class_history_us
            || silence < self.class_silence_us
            || silence < least_silence
        {
            return None;
        }
        // As many as before, by time and by events: a night is long, and nothing happens in it.
        let rest = pulse.events - course.until;
        let share = |part: u64, of: u64| {
            let expected = u128::from(course.count) * u128::from(part);
            expected.checked_div(of.into()).unwrap_or(0)
        };
        let by_time = share(silence.unsigned_abs(), lasted.unsigned_abs());
        let expected = by_time.min(share(rest, course.until));
        if expected < u128::from(self.class_expected) {
            return None;
        }
        // In the second half of the silence those must be there who sent half of the requests.
        let half = course.last + silence / 2;
        let there = course
            .users
            .iter()
            .filter(|&&(user, _)| is_there(user, half));
        let (n_there, sent) = there.fold((0, 0), |(n, sum), (_, count)| (n + 1, sum + count));
        if sent * 2 < course.count {
            return None;
        }
        let mut tally = Tally::spanning(course.last, pulse.last);
        tally.count = rest;
        let mut draft = self.draft(what, name, &tally);
        draft.severity = Severity::Medium;
        draft.summary = format!(
            "{} logs no more {what} from {} on, where it logged {} in {} before",
            server(name),
            Timestamp(course.last),
            course.count,
            lasting(lasted),
        );
        draft.why = vec![
            format!(
                "silence = {} (at least {}; the longest pause before was {})",
                lasting(silence),
                lasting(self.class_silence_us.max(least_silence)),
                lasting(course.longest_pause),
            ),
            format!("as many as before would be {expected}"),
            format!(
                "of {} who sent them, {n_there} go on, who sent {sent}",
                counted(course.users.len() as u64, "user"),
            ),
            "the audit policy was changed, or the log is thinned out on its way".to_owned(),
        ];
        let mut finding = draft.finish(vocabulary);
        finding.evidence_total = 0;
        Some(finding)
    }

    fn silences(
        &self,
        name: &str,
        pulse: &Pulse,
        others: &dyn Fn(i64, i64) -> usize,
        vocabulary: &Vocabulary,
        findings: &mut Vec<Finding>,
    ) {
        let usual = pulse.usual_pause();
        let expected = self
            .least_silence_us
            .max(usual.saturating_mul(self.pause_factor));
        let length = |silence: &Silence| silence.to - silence.from;
        let candidates: Vec<&Silence> = pulse
            .silences
            .iter()
            .filter(|silence| length(silence) >= expected && silence.before >= self.least_events)
            .collect();
        for silence in &candidates {
            let mut tally = Tally::spanning(silence.from, silence.to);
            tally.sightings = vec![silence.sighting.clone()];
            tally.count = 1;
            let going_on = others(silence.from, silence.to);
            let alike = candidates
                .iter()
                .filter(|other| length(other) * 2 >= length(silence))
                .count();
            let mut draft = self.draft("silence", name, &tally);
            draft.summary = format!(
                "{} is silent for {}, from {} to {}",
                server(name),
                lasting(length(silence)),
                Timestamp(silence.from),
                Timestamp(silence.to),
            );
            draft.why = vec![
                format!(
                    "silence = {} (at least {}; all but one in a thousand of its pauses are under {})",
                    lasting(length(silence)),
                    lasting(expected),
                    lasting(usual),
                ),
                format!("events before it = {}", silence.before),
            ];
            let (severity, confidence, reason) = if silence.is_seam {
                let severity = if silence.served > 0 {
                    Severity::Medium
                } else {
                    Severity::Low
                };
                let reason =
                    "it lies between two files: one of the set is missing, or was taken out";
                (severity, Confidence::Medium, reason)
            } else if alike >= self.habit {
                (
                    Severity::Low,
                    Confidence::Low,
                    "silences as long as this one recur",
                )
            } else if silence.served > 0 {
                (
                    Severity::High,
                    Confidence::High,
                    "the server was serving: requests received within the silence end after it",
                )
            } else if silence.restarted == Some(true) {
                let reason = "the server was started anew: it was down, or restarted without its audit log and back";
                (Severity::Low, Confidence::Medium, reason)
            } else if going_on > 0 {
                (
                    Severity::Medium,
                    Confidence::Medium,
                    "other API servers go on",
                )
            } else {
                (
                    Severity::Low,
                    Confidence::Low,
                    "nothing else was logged: all may have been down",
                )
            };
            (draft.severity, draft.confidence) = (severity, confidence);
            draft.why.push(reason.to_owned());
            if silence.served > 0 {
                draft.why.push(format!(
                    "requests from within that end after = {}",
                    silence.served
                ));
            }
            if silence.restarted == Some(false) {
                draft.why.push(
                    "it is the same process after as before, by the uid of its own client"
                        .to_owned(),
                );
            }
            if going_on > 0 {
                draft
                    .why
                    .push(format!("API servers that go on = {going_on}"));
            }
            findings.push(draft.finish(vocabulary));
        }
    }

    /// Says which stage or level was there all along and then no more.
    fn vanished(
        &self,
        name: &str,
        pulse: &Pulse,
        vocabulary: &Vocabulary,
        findings: &mut Vec<Finding>,
    ) {
        let buckets = &pulse.buckets;
        for (kind, (_, what)) in KINDS.iter().enumerate() {
            let has = |bucket: &&Bucket| bucket.by_kind[kind] > 0;
            let Some(last) = buckets.iter().rposition(|bucket| has(&bucket)) else {
                continue;
            };
            // The bucket in which it ends belongs to neither side.
            let (before, after) = (&buckets[..last], &buckets[last + 1..]);
            let sum = |part: &[Bucket]| part.iter().map(|bucket| bucket.total).sum::<u64>();
            let of_kind: u64 = before.iter().map(|bucket| bucket.by_kind[kind]).sum();
            let (total, rest) = (sum(before), sum(after));
            let steady = before.iter().filter(has).count() * 10 >= before.len() * 9;
            let long = |part: &[Bucket]| match part {
                [first, .., last] => {
                    last.start + pulse.width_us - first.start >= self.least_silence_us
                }
                _ => false,
            };
            let expected = (u128::from(of_kind) * u128::from(rest))
                .checked_div(total.into())
                .unwrap_or(0);
            if !steady
                || !long(before)
                || !long(after)
                || expected < u128::from(self.least_expected)
            {
                continue;
            }
            let mut tally = Tally::spanning(after[0].start, pulse.last);
            tally.count = rest;
            let mut draft = self.draft(what, name, &tally);
            draft.severity = Severity::Medium;
            draft.summary = format!(
                "{} logs no more {what} from {} on, where it logged {of_kind} in {} before",
                server(name),
                Timestamp(after[0].start),
                counted(total, "event"),
            );
            draft.why = vec![
                format!(
                    "{what}: in {} of {} stretches of {} before, in none of {} after",
                    before.iter().filter(has).count(),
                    before.len(),
                    lasting(pulse.width_us),
                    after.len(),
                ),
                format!("as many as before would be {expected} of {rest}"),
                "the audit policy was changed, or the log is thinned out on its way".to_owned(),
            ];
            let mut finding = draft.finish(vocabulary);
            finding.evidence_total = 0;
            findings.push(finding);
        }
    }

    /// Says where the rate falls to almost nothing, and stays there.
    fn collapse(
        &self,
        name: &str,
        pulse: &Pulse,
        others: &dyn Fn(i64, i64) -> usize,
        vocabulary: &Vocabulary,
        findings: &mut Vec<Finding>,
    ) {
        let width = pulse.width_us;
        let mut at = USUAL;
        while at < pulse.buckets.len() {
            let mut usual: Vec<u64> = pulse.buckets[at - USUAL..at]
                .iter()
                .map(|bucket| bucket.total)
                .collect();
            usual.sort_unstable();
            let usual = usual[USUAL / 2];
            let is_low = |bucket: &&Bucket| bucket.total * 100 < usual * self.collapse_percent;
            let run = &pulse.buckets[at..];
            let run = &run[..run.iter().take_while(is_low).count()];
            let (Some(first), Some(last)) = (run.first(), run.last()) else {
                at += 1;
                continue;
            };
            let (from, to) = (first.start, last.start + width);
            let per_minute = usual / (width / MINUTE_US).unsigned_abs().max(1);
            at += run.len();
            // The last stretch of a log may be cut short.
            if to - from < self.least_silence_us.max(width * 2) || per_minute < self.least_rate {
                continue;
            }
            let left = pulse.events_between(from, to);
            let going_on = others(from, to);
            let mut tally = Tally::spanning(from, to - 1);
            tally.count = left;
            let mut draft = self.draft("rate", name, &tally);
            let alone = going_on == 0;
            draft.severity = if alone {
                Severity::Low
            } else {
                Severity::Medium
            };
            draft.confidence = if alone {
                Confidence::Low
            } else {
                Confidence::Medium
            };
            draft.summary = format!(
                "{} logs {} in {} from {} on, where {usual} in {} were usual",
                server(name),
                counted(left, "event"),
                lasting(to - from),
                Timestamp(from),
                lasting(width),
            );
            draft.why = vec![
                format!(
                    "rate < {} % of the median of the {USUAL} stretches before, for {}",
                    self.collapse_percent,
                    lasting(to - from),
                ),
                if alone {
                    "there is no other API server to compare with: the cluster may have come to rest".to_owned()
                } else {
                    format!("API servers that go on = {going_on}")
                },
            ];
            let mut finding = draft.finish(vocabulary);
            finding.evidence_total = 0;
            findings.push(finding);
        }
    }

    fn draft<'d>(&'d self, what: &str, name: &str, tally: &'d Tally) -> Draft<'d> {
        Draft::new(&self.meta, vec![what.to_owned(), name.to_owned()], tally)
    }
}

/// Names a server; without a name it is the one whose log the evidence stands in.
fn server(name: &str) -> String {
    if name.is_empty() {
        "the API server of this log".to_owned()
    } else {
        format!("API server `{name}`")
    }
}

#[cfg(test)]
mod tests;
