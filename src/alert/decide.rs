//! Deciding: which findings are told, given what was told before.
//!
//! Comes in: the findings as of now, and what earlier runs decided. Goes out: one decision per finding that is new, is not
//! what it was, or is over. A finding is new once. It is told again when its severity has risen, when it comes from the
//! internet for the first time, when it counts ten times as many requests as when it was told last, or when it has grown and
//! `renotify_after` has passed; and it is over when the log has gone on for `resolve_after` without it, or when it is
//! withdrawn, since with what was read later it is none any more: each is told with its reason. What a first run took for the
//! everyday is told when it gets worse.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::sink::{Event, Resolution};
use crate::detect::analytics::address::is_public;
use crate::detect::engine::KEPT_US;
use crate::finding::{Finding, Severity, Timestamp};

/// How many times as many requests are worth telling again.
const GROWTH: u64 = 10;

/// What was decided of a finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decided {
    /// The finding as it was last.
    pub finding: Finding,
    /// What it was when it was decided last; `None` while a silence holds it back.
    pub known: Option<Known>,
    /// Whether it is over.
    pub is_resolved: bool,
    /// Whether it is no finding any more, since later requests explain what it was about.
    pub is_gone: bool,
    /// When it was last others than before, by the clock.
    pub changed: Timestamp,
}

impl Decided {
    /// Returns why it is over, if it is.
    pub(super) fn resolution(&self) -> Option<Resolution> {
        let why = if self.is_gone {
            Resolution::Withdrawn
        } else {
            Resolution::Quiet
        };
        self.is_resolved.then_some(why)
    }

    /// Returns whether the finding is what it was last.
    pub(super) fn is_as_before(&self, finding: &Finding) -> bool {
        !self.is_gone && self.finding.says_the_same_as(finding)
    }
}

/// A finding as it was when it was told, or was taken for the everyday.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    /// When, by the clock.
    pub at: Timestamp,
    /// How bad it was.
    pub severity: Severity,
    /// How many requests it counted.
    pub count: u64,
    /// Whether anybody was told.
    pub is_told: bool,
}

impl Known {
    fn of(finding: &Finding, now: Timestamp, is_told: bool) -> Self {
        Self {
            at: now,
            severity: finding.severity,
            count: finding.count,
            is_told,
        }
    }
}

/// Who is told of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Audience {
    /// Nobody; it is known from now on.
    Nobody,
    /// Lines for programs, which have every change of what they were told, and what an outage explains.
    Records,
    /// Everybody.
    All,
}

/// How decisions are made.
#[derive(Debug, Clone, Copy)]
pub struct Policy {
    /// The time by the clock.
    pub now: Timestamp,
    /// The end of the log, by its own time.
    pub log_end: Timestamp,
    /// When a finding that has grown is told again, in microseconds.
    pub renotify_after_us: i64,
    /// How long the log must go on without a finding until that is over, in microseconds.
    pub resolve_after_us: i64,
    /// Of a first run: findings milder than this are known from now on and not told. `None` is any other run.
    pub baseline: Option<Severity>,
    /// Whether the log was read from a later start than before, so that nothing follows from what is missing.
    pub is_partial: bool,
}

impl Policy {
    /// Returns how long the log has gone on without a finding; what lists things that were never used has no age.
    fn age_us(&self, finding: &Finding) -> i64 {
        match finding.last_seen.0 {
            0 => 0,
            last_seen => self.log_end.0.saturating_sub(last_seen),
        }
    }
}

/// What became of a finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// What it is now, to be kept.
    pub decided: Decided,
    /// What happened.
    pub event: Event,
    /// Of what is over: why.
    pub resolution: Option<Resolution>,
    /// Who is told.
    pub audience: Audience,
}

impl Decision {
    /// Returns whether a first run takes it for the everyday.
    pub(super) fn is_everyday(&self) -> bool {
        let is_known_untold = |known: Known| !known.is_told;
        self.event == Event::New && self.decided.known.is_some_and(is_known_untold)
    }

    /// Returns the number that tells this change from others of the same kind; a finding is new once.
    pub fn revision(&self) -> u64 {
        match self.event {
            Event::New => 0,
            _ => xxhash_rust::xxh3::xxh3_64(substance(&self.decided.finding).as_bytes()),
        }
    }
}

/// Returns what has changed, in the order of `findings`; then, by id, what is no finding any more.
pub fn decide<'f>(
    known: &BTreeMap<String, Decided>,
    findings: impl IntoIterator<Item = &'f Finding>,
    policy: &Policy,
) -> Vec<Decision> {
    let mut decisions = Vec::new();
    let mut seen = BTreeSet::new();
    for finding in findings {
        seen.insert(&finding.finding_id);
        decisions.extend(match known.get(&finding.finding_id) {
            None => Some(first(finding, policy)),
            Some(before) => next(before, finding, policy),
        });
    }
    if !policy.is_partial {
        // What later requests explain otherwise is none any more.
        let gone = known
            .iter()
            .filter(|(id, before)| !seen.contains(id) && !before.is_resolved);
        decisions.extend(gone.map(|(_, before)| {
            let mut decision = resolved(before.clone(), policy);
            decision.decided.is_gone = true;
            decision.resolution = Some(Resolution::Withdrawn);
            if policy.age_us(&before.finding) >= KEPT_US {
                // It is not another one, but so old that detection has forgotten it.
                decision.audience = Audience::Nobody;
                decision.resolution = Some(Resolution::Quiet);
            }
            decision
        }));
    }
    decisions
}

fn first(finding: &Finding, policy: &Policy) -> Decision {
    let is_told = policy
        .baseline
        .is_none_or(|least| finding.severity >= least);
    Decision {
        decided: Decided {
            finding: finding.clone(),
            known: Some(Known::of(finding, policy.now, is_told)),
            is_resolved: false,
            is_gone: false,
            changed: policy.now,
        },
        event: Event::New,
        resolution: None,
        audience: if is_told {
            Audience::All
        } else {
            Audience::Nobody
        },
    }
}

fn next(before: &Decided, finding: &Finding, policy: &Policy) -> Option<Decision> {
    if before.is_as_before(finding) {
        let is_over = !before.is_resolved && policy.age_us(finding) >= policy.resolve_after_us;
        return is_over.then(|| resolved(before.clone(), policy));
    }
    let Some(known) = before.known else {
        // Silenced until now.
        return Some(Decision {
            event: Event::New,
            ..first(finding, policy)
        });
    };
    let has_grown = finding.count > before.finding.count;
    let is_outside = |finding: &Finding| finding.source.ips.iter().any(|ip| is_public(ip));
    let is_worse = finding.severity > known.severity
        || finding.count >= known.count.saturating_mul(GROWTH)
        || (is_outside(finding) && !is_outside(&before.finding));
    let is_due = policy.now.0.saturating_sub(known.at.0) >= policy.renotify_after_us;
    let is_back = has_grown && before.is_resolved;
    let is_told = is_worse || (known.is_told && (is_back || (has_grown && is_due)));
    Some(Decision {
        decided: Decided {
            finding: finding.clone(),
            known: Some(if is_told {
                Known::of(finding, policy.now, true)
            } else {
                known
            }),
            is_resolved: before.is_resolved && !before.is_gone && !has_grown && !is_told,
            is_gone: false,
            changed: policy.now,
        },
        event: if known.is_told {
            Event::Update
        } else {
            Event::New
        },
        resolution: None,
        audience: match (is_told, known.is_told) {
            (true, _) => Audience::All,
            (false, true) => Audience::Records,
            (false, false) => Audience::Nobody,
        },
    })
}

/// Returns what tells apart findings of which one does not [say the same](Finding::says_the_same_as) as the other.
fn substance(finding: &Finding) -> String {
    let mut finding = finding.clone();
    finding.incident_id = None;
    finding.evidence.clear();
    serde_json::to_string(&finding).expect("findings are JSON")
}

fn resolved(before: Decided, policy: &Policy) -> Decision {
    let is_told = before.known.is_some_and(|known| known.is_told);
    Decision {
        event: Event::Resolve,
        resolution: Some(Resolution::Quiet),
        audience: if is_told {
            Audience::All
        } else {
            Audience::Nobody
        },
        decided: Decided {
            is_resolved: true,
            changed: policy.now,
            ..before
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::sink::tests::alert;

    const HOUR: i64 = 3_600_000_000;

    fn finding(count: u64, severity: Severity) -> Finding {
        let mut finding = alert(Event::New, severity, "jane").finding;
        finding.count = count;
        finding.last_seen = Timestamp(finding.first_seen.0 + i64::try_from(count).unwrap());
        finding
    }

    fn policy(hours: i64) -> Policy {
        let end = finding(0, Severity::Low).last_seen.0;
        Policy {
            now: Timestamp(hours * HOUR),
            log_end: Timestamp(end + hours * HOUR),
            renotify_after_us: 24 * HOUR,
            resolve_after_us: 48 * HOUR,
            baseline: None,
            is_partial: false,
        }
    }

    /// Decides about one finding at hours of a log; says who was told of what.
    fn check(first: &Policy, story: &[(i64, u64, Severity)], expected: &[(Event, Audience)]) {
        let mut known = BTreeMap::new();
        let mut told = Vec::new();
        for (at, &(hours, count, severity)) in story.iter().enumerate() {
            let policy = if at == 0 { *first } else { policy(hours) };
            for decision in decide(&known, &[finding(count, severity)], &policy) {
                told.push((decision.event, decision.audience));
                let id = decision.decided.finding.finding_id.clone();
                known.insert(id, decision.decided);
            }
        }
        assert_eq!(told, expected, "{story:?}");
    }

    #[test]
    fn a_finding_is_told_once_and_again_by_rule() {
        use Audience::{All, Nobody, Records};
        use Event::{New, Resolve, Update};
        use Severity::{High, Low};
        check(&policy(0), &[(0, 1, Low), (1, 1, Low)], &[(New, All)]);
        let grown = [
            (0, 1, Low),
            (1, 2, Low),
            (2, 10, Low),
            (3, 11, Low),
            (26, 12, Low),
        ];
        check(
            &policy(0),
            &grown,
            &[
                (New, All),
                (Update, Records),
                (Update, All),
                (Update, Records),
                (Update, All),
            ],
        );
        check(
            &policy(0),
            &[(0, 1, Low), (1, 1, High)],
            &[(New, All), (Update, All)],
        );
        let over = [
            (0, 1, Low),
            (47, 1, Low),
            (49, 1, Low),
            (50, 1, Low),
            (51, 2, Low),
        ];
        check(
            &policy(0),
            &over,
            &[(New, All), (Resolve, All), (Update, All)],
        );
        let baseline = Policy {
            baseline: Some(High),
            ..policy(0)
        };
        check(&baseline, &[(0, 1, High)], &[(New, All)]);
        let quiet = [
            (0, 2, Low),
            (30, 3, Low),
            (99, 3, Low),
            (100, 3, High),
            (101, 4, High),
        ];
        check(
            &baseline,
            &quiet,
            &[
                (New, Nobody),
                (New, Nobody),
                (Resolve, Nobody),
                (New, All),
                (Update, Records),
            ],
        );
    }

    #[test]
    fn the_first_address_of_the_internet_is_told() {
        let with = |count, ip: &str| {
            let mut finding = finding(count, Severity::High);
            finding.source.ips = vec![ip.to_owned()];
            finding
        };
        let new = decide(&BTreeMap::new(), &[with(1, "10.0.0.7")], &policy(0)).remove(0);
        let id = new.decided.finding.finding_id.clone();
        let mut known = BTreeMap::from([(id.clone(), new.decided)]);
        let mut told = |count, ip| {
            let decision = decide(&known, &[with(count, ip)], &policy(1)).remove(0);
            known.insert(id.clone(), decision.decided);
            decision.audience
        };
        assert_eq!(told(2, "10.0.0.8"), Audience::Records);
        assert_eq!(told(3, "203.0.113.9"), Audience::All);
        assert_eq!(told(4, "203.0.113.10"), Audience::Records);
    }

    #[test]
    fn what_is_explained_otherwise_is_over_unless_the_log_is_cut() {
        let mut known = BTreeMap::new();
        let new = decide(&known, &[finding(1, Severity::High)], &policy(0)).remove(0);
        known.insert(new.decided.finding.finding_id.clone(), new.decided);
        let gone = decide(&known, &[], &policy(1));
        assert_eq!(
            (gone[0].event, gone[0].resolution, gone[0].audience),
            (Event::Resolve, Some(Resolution::Withdrawn), Audience::All)
        );
        assert_eq!(gone[0].decided.resolution(), Some(Resolution::Withdrawn));
        let quiet = decide(&known, &[finding(1, Severity::High)], &policy(49));
        assert_eq!(quiet[0].resolution, Some(Resolution::Quiet));
        assert_eq!(quiet[0].decided.resolution(), Some(Resolution::Quiet));
        let mut back = known.clone();
        back.insert(
            gone[0].decided.finding.finding_id.clone(),
            gone[0].decided.clone(),
        );
        let back = decide(&back, &[finding(1, Severity::High)], &policy(2));
        assert_eq!(
            (back[0].event, back[0].audience, back[0].decided.is_resolved),
            (Event::Update, Audience::Records, false)
        );
        let partial = Policy {
            is_partial: true,
            ..policy(1)
        };
        assert_eq!(decide(&known, &[], &partial), []);
    }

    #[test]
    fn revisions_tell_changes_apart() {
        let of = |count| {
            let known = BTreeMap::new();
            let mut decision =
                decide(&known, &[finding(count, Severity::High)], &policy(0)).remove(0);
            assert_eq!(decision.revision(), 0);
            decision.event = Event::Update;
            decision.revision()
        };
        assert_eq!(of(1), of(1));
        assert_ne!(of(1), of(2));
    }
}
