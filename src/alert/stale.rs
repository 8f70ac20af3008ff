//! Logs that stop: told once when a source has had no new event for `stale_after`, and again when events come.
//!
//! Comes in: how far the log of each source has come, in this run and before, and the time. Goes out: alerts like those of
//! findings, of the rule [`RULE`], and words for standard error. A pure step; what it remembers ([`Heard`]) is stored with
//! the rest of the run.
//!
//! Surprises: an event of the future counts as one of the time when it was read, so it neither hides a silence nor makes
//! one. A source that never had an event is silent since it was first looked at. The unit is a `[[source]]`, not a file:
//! names of files come and go, and which of them will not come again is nowhere in them. `audit-gap` is about silences
//! that have ended, by the times in the log.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::config::{Config, Silences, SourceConfig};
use super::sink::{Alert, Event, Resolution, Run, SourceMetrics};
use crate::finding::incident::Ties;
use crate::finding::words::lasting;
use crate::finding::{
    Actor, Confidence, Finding, Origin, RuleKind, RuleRef, Severity, Target, Timestamp, finding_id,
};

/// Name of the rule, for silences.
pub const RULE: &str = "stale-log";

/// Id of the rule.
pub const RULE_ID: &str = "89de4182-a822-591c-90d6-35989669dd25";

/// What it means that a log is not stale any more.
pub(super) const OVER: &str =
    "events come again; whether those of the time between came, too, `audit-gap` says";

/// What was heard of the sources, by cluster and path as the configuration has them.
pub(super) type Sources = BTreeMap<String, BTreeMap<String, Heard>>;

/// What was heard of one source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Heard {
    /// When it was first looked at, by the clock.
    since: Timestamp,
    /// Time of its newest event, or of the run that read that if the event is of the future.
    pub(super) newest: Option<Timestamp>,
    /// What was told of its silence; `None` if it has none, or nobody was told.
    pub(super) told: Option<Told>,
}

/// A silence that was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Told {
    /// The newest event then, or when the source was first looked at.
    from: Timestamp,
    /// When it was told, by the clock.
    pub(super) at: Timestamp,
}

/// What one run says of silences.
#[derive(Debug, Default)]
pub(super) struct Verdicts {
    pub(super) alerts: Vec<Alert>,
    /// What is missing, in words.
    pub(super) missing: Vec<String>,
    /// What a reader should know besides.
    pub(super) notes: Vec<String>,
}

/// Takes in that the log of a source has come to `reached`, if anything of it was read, at `now`.
pub(super) fn note(
    sources: &mut Sources,
    cluster: &str,
    path: &Path,
    reached: Option<Timestamp>,
    now: Timestamp,
) {
    let of_cluster = sources.entry(cluster.to_owned()).or_default();
    let heard = of_cluster.entry(shown(path)).or_insert(Heard {
        since: now,
        newest: None,
        told: None,
    });
    // The clock may have been put back.
    heard.since = heard.since.min(now);
    heard.newest = heard.newest.max(reached).map(|newest| newest.min(now));
}

/// Forgets sources that the configuration has no more.
pub(super) fn retain(sources: &mut Sources, config: &Config) {
    for (cluster, of_cluster) in sources.iter_mut() {
        of_cluster.retain(|path, _| configured(config, cluster, path).is_some());
    }
    sources.retain(|_, of_cluster| !of_cluster.is_empty());
}

/// Decides which silences have begun or ended, and remembers what is told.
pub(super) fn judge(
    sources: &mut Sources,
    config: &Config,
    silences: &Silences,
    run: &Run,
    now: Timestamp,
) -> Verdicts {
    let mut verdicts = Verdicts::default();
    for source in &config.sources {
        let (cluster, path) = (source.cluster.as_str(), shown(&source.path));
        let of_cluster = sources.get_mut(cluster);
        let Some(heard) = of_cluster.and_then(|of_cluster| of_cluster.get_mut(&path)) else {
            continue;
        };
        let Some(limit) = source.stale_after else {
            heard.told = None;
            continue;
        };
        let is_stale = heard.is_stale(limit, now);
        match heard.told {
            None if is_stale => {
                let finding = heard.finding(&path, limit, now);
                if silences.find(&finding, cluster, now).is_some() {
                    // It is told when the silence of the configuration ends, unless events have come until then.
                    continue;
                }
                verdicts.missing.push(format!(
                    "cluster `{cluster}`: {}; is auditing on, and does the log still come?",
                    finding.summary
                ));
                heard.told = Some(Told {
                    from: heard.from(),
                    at: now,
                });
                let alert = Alert::new(Event::New, finding, 0, cluster, run);
                verdicts.alerts.push(alert);
            }
            // Somebody may only have made `stale_after` longer.
            Some(told) if !is_stale && heard.from() > told.from => {
                let finding = heard.back(&path, told);
                let note = format!("cluster `{cluster}`: {}", finding.summary);
                verdicts.notes.push(note);
                heard.told = None;
                let alert = Alert::new(Event::Resolve, finding, 0, cluster, run)
                    .over(Some(Resolution::Resumed));
                verdicts.alerts.push(alert);
            }
            _ => {}
        }
    }
    verdicts
}

/// Returns what monitoring is told, by cluster and path.
pub(super) fn metrics(sources: &Sources, config: &Config, now: Timestamp) -> Vec<SourceMetrics> {
    let mut all = Vec::new();
    for (cluster, of_cluster) in sources {
        for (path, heard) in of_cluster {
            let source = configured(config, cluster, path);
            let limit = source.and_then(|source| source.stale_after);
            all.push(SourceMetrics {
                cluster: cluster.clone(),
                source: path.clone(),
                newest_event: heard.newest,
                is_stale: limit.map(|limit| heard.is_stale(limit, now)),
            });
        }
    }
    all
}

/// Returns the source that goes by this cluster and path.
fn configured<'c>(config: &'c Config, cluster: &str, path: &str) -> Option<&'c SourceConfig> {
    let mut sources = config.sources.iter();
    sources.find(|source| source.cluster == cluster && shown(&source.path) == path)
}

fn micros(limit: Duration) -> i64 {
    i64::try_from(limit.as_micros()).unwrap_or(i64::MAX)
}

/// Names a source, the same from wherever the configuration was named.
fn shown(path: &Path) -> String {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    path.to_string_lossy().into_owned()
}

impl Heard {
    /// Returns the time since which there is no event.
    fn from(&self) -> Timestamp {
        self.newest.unwrap_or(self.since)
    }

    fn is_stale(&self, limit: Duration, now: Timestamp) -> bool {
        now.0.saturating_sub(self.from().0) >= micros(limit)
    }

    /// Returns the finding that the source is silent.
    fn finding(&self, path: &str, limit: Duration, now: Timestamp) -> Finding {
        let from = self.from();
        let age = lasting(now.0.saturating_sub(from.0));
        let summary = match self.newest {
            Some(newest) => format!(
                "the newest event of `{path}` is of {newest}, {age} before this run: what has happened since is not seen"
            ),
            None => format!(
                "`{path}` has had no event since it was first looked at, at {from}, {age} before this run: nothing that has happened since is seen"
            ),
        };
        let limit = lasting(micros(limit));
        let why = format!("stale_after = {limit}, and the source has been silent for {age}");
        finding(path, from, summary, vec![why])
    }

    /// Returns the finding `told` as it is now that events come again.
    fn back(&self, path: &str, told: Told) -> Finding {
        let summary = format!(
            "`{path}` has events again, the newest of {}; at {} there was none after {}",
            self.from(),
            told.at,
            told.from
        );
        finding(path, told.from, summary, Vec::new())
    }
}

/// Returns a finding about the silence of a source since `from`, which is a part of its identity.
fn finding(path: &str, from: Timestamp, summary: String, why: Vec<String>) -> Finding {
    Finding {
        finding_id: finding_id(RULE_ID, &[path], from),
        incident_id: None,
        family: "integrity".to_owned(),
        // Whatever comes behind it, no other rule can say.
        severity: Severity::High,
        confidence: Confidence::High,
        rule: RuleRef {
            id: RULE_ID.to_owned(),
            name: RULE.to_owned(),
            title: "An audit log has stopped".to_owned(),
            kind: RuleKind::Analytic,
        },
        summary,
        first_seen: from,
        last_seen: from,
        count: 1,
        recovered: 0,
        actor: Actor::default(),
        source: Origin::default(),
        target: Target::default(),
        attack: vec!["T1562.008".to_owned()],
        why,
        next_steps: [
            "See whether the API server still writes its log: the newest file, the space on its disk, --audit-log-path and --audit-policy-file in its manifest",
            "Check the way from there to here: shipper, rotation, and whether `path` of the [[source]] still is where the log goes",
            "If somebody changed the flags or the policy, treat it as an attack: ask who was on the node, and look for the time since in etcd, load balancers and other API servers",
        ]
        .map(str::to_owned)
        .to_vec(),
        blind_spots: vec![
            "A source with several logs in it counts as silent only when all of them are: give each API server a [[source]] of its own".to_owned(),
        ],
        evidence_total: 0,
        evidence: Vec::new(),
        ties: Ties::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::config::{parse, parse_silences};
    use crate::alert::sink::tests::run;

    const MINUTE: i64 = 60_000_000;
    const HOUR: i64 = 60 * MINUTE;

    /// Some time of the year 2026.
    const START: i64 = 1_795_327_200_000_000;

    fn config(more: &str) -> Config {
        let text = format!("[[source]]\npath = \"/logs\"\n{more}");
        parse(&text, Path::new("/etc/alert.toml")).unwrap()
    }

    /// Runs at minutes, each with the minute that the log has come to if it was read; says what was told, by minute.
    fn told(
        config: &Config,
        silences: &Silences,
        runs: &[(i64, Option<i64>)],
    ) -> Vec<(i64, Event)> {
        let mut sources = Sources::new();
        let mut told = Vec::new();
        for &(at, reached) in runs {
            let minute = |minute: i64| Timestamp(START + minute * MINUTE);
            let path = &config.sources[0].path;
            note(
                &mut sources,
                "default",
                path,
                reached.map(minute),
                minute(at),
            );
            let verdicts = judge(&mut sources, config, silences, &run(), minute(at));
            assert_eq!(
                verdicts.alerts.len(),
                verdicts.missing.len() + verdicts.notes.len()
            );
            told.extend(verdicts.alerts.iter().map(|alert| (at, alert.event)));
            // As if by the next run.
            let json = serde_json::to_string(&sources).unwrap();
            sources = serde_json::from_str(&json).unwrap();
        }
        told
    }

    #[track_caller]
    fn check(runs: &[(i64, Option<i64>)], expected: &[(i64, Event)]) {
        let config = config("stale_after = \"1h\"\n");
        assert_eq!(told(&config, &Silences::default(), runs), expected);
    }

    use Event::{New, Resolve};

    #[test]
    fn a_silence_is_told_once_and_its_end_once() {
        check(
            &[
                (0, Some(0)),
                (50, Some(49)),
                (108, None),
                (109, None),
                (200, None),
                (210, Some(209)),
                (220, None),
                (269, None),
            ],
            &[(109, New), (210, Resolve), (269, New)],
        );
    }

    #[test]
    fn runs_that_read_what_has_come_meanwhile_tell_nothing() {
        // Nobody ran it for a week.
        check(&[(0, Some(0)), (10_000, Some(9_999))], &[]);
    }

    #[test]
    fn a_log_that_lags_is_silent_until_it_is_fresh() {
        check(
            &[(0, Some(0)), (70, Some(5)), (80, Some(15)), (90, Some(89))],
            &[(70, New), (90, Resolve)],
        );
    }

    #[test]
    fn events_of_the_future_neither_hide_nor_make_a_silence() {
        let far = 4_000_000_000;
        check(&[(0, Some(far)), (59, None), (60, None)], &[(60, New)]);
        check(
            &[
                (0, Some(0)),
                (50, Some(far)),
                (100, Some(far)),
                (150, Some(far)),
            ],
            &[],
        );
    }

    #[test]
    fn a_clock_that_is_put_back_makes_no_silence() {
        check(
            &[
                (1_000, Some(1_000)),
                (0, None),
                (10, Some(10)),
                (69, None),
                (70, None),
            ],
            &[(70, New)],
        );
    }

    #[test]
    fn a_source_without_any_event_is_silent_since_the_first_look() {
        check(
            &[(0, None), (59, None), (60, None), (70, None)],
            &[(60, New)],
        );
    }

    #[test]
    fn without_the_key_nothing_is_told() {
        let quiet = [(0, Some(0)), (100_000, None)];
        assert_eq!(told(&config(""), &Silences::default(), &quiet), []);
    }

    #[test]
    fn a_silence_of_the_configuration_holds_it_back_until_it_ends() {
        let text =
            "[[silence]]\nrule = \"stale-*\"\nuntil = 2026-11-22T08:00:00Z\nreason = \"moved\"\n";
        let silences = parse_silences(text, Path::new("silences.toml")).unwrap();
        let runs = [
            (0, Some(0)),
            (70, None),
            (119, None),
            (120, None),
            (130, None),
        ];
        let config = config("stale_after = \"1h\"\n");
        assert_eq!(told(&config, &silences, &runs), [(120, New)]);
    }

    #[test]
    fn both_changes_are_of_one_finding_and_another_silence_is_another() {
        let config = config("stale_after = \"1h\"\n");
        let mut sources = Sources::new();
        let mut alerts = Vec::new();
        for (at, reached) in [(0, Some(0)), (1, None), (2, Some(2)), (3, None)] {
            let at = Timestamp(START + at * HOUR);
            let reached = reached.map(|hours: i64| Timestamp(START + hours * HOUR));
            note(&mut sources, "default", Path::new("/logs"), reached, at);
            let silences = Silences::default();
            alerts.extend(judge(&mut sources, &config, &silences, &run(), at).alerts);
        }
        let [first, over, second] = &alerts[..] else {
            panic!("{alerts:?}")
        };
        assert_eq!(first.identity(), over.identity());
        assert_ne!(first.key, over.key);
        assert_ne!(first.identity(), second.identity());
        assert_eq!(
            first.finding.summary,
            "the newest event of `/logs` is of 2026-11-22T06:00:00.000000Z, 60 min before this run: what has happened since is not seen"
        );
        retain(
            &mut sources,
            &parse("[[source]]\npath = \"/other\"\n", Path::new("x")).unwrap(),
        );
        assert_eq!(sources, Sources::new());
    }
}
