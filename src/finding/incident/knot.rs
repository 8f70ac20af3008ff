//! The joining: which findings are of one story, and what the story comes to.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use super::key::{Key, actors, credentials, is_id, keys, maker_keys};
use super::wording::{Lasts, NAMED, distinct, tactic_name, title};
use super::{Incident, Maker, Surroundings, WINDOW_US};
use crate::finding::words::{counted, listed};
use crate::finding::{Finding, Severity, Timestamp, finding_id};

/// From how many distinct tactics on an incident is worse than its worst finding.
const TACTICS_RAISE: usize = 3;

/// Findings, and which of them belong together.
pub(super) struct Knot<'a> {
    /// In order of appearance.
    findings: Vec<&'a Finding>,
    /// By finding: what it may share, sorted.
    keys: Vec<Vec<Key<'a>>>,
    /// By finding: another one of the same incident, in the end itself.
    parents: Vec<usize>,
    /// What brought two together that nothing had before.
    links: Vec<(Key<'a>, usize)>,
    surroundings: &'a Surroundings,
}

impl<'a> Knot<'a> {
    pub(super) fn new(findings: &'a [Finding], surroundings: &'a Surroundings) -> Self {
        let mut findings: Vec<&Finding> = findings.iter().collect();
        findings.sort_by_key(|finding| (finding.first_seen, &finding.finding_id));
        let keys = findings.iter().map(|finding| keys(finding, surroundings));
        Self {
            keys: keys.collect(),
            parents: (0..findings.len()).collect(),
            links: Vec::new(),
            findings,
            surroundings,
        }
    }

    /// Returns the incidents, worst first.
    pub(super) fn incidents(mut self) -> Vec<Incident> {
        let core: Vec<usize> = (0..self.findings.len())
            .filter(|&at| is_core(self.findings[at]))
            .collect();
        // What proves most comes first, so that the ties an incident names are the best there are.
        self.share(&core, |key| {
            matches!(key, Key::Credential(_) | Key::Actor(_))
        });
        self.rest_on(&core);
        self.share(&core, |key| matches!(key, Key::Address(_)));
        let mut members: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for &at in &core {
            members.entry(self.root(at)).or_default().push(at);
        }
        let mut groups: Vec<(Vec<usize>, Vec<usize>)> = members
            .into_values()
            .map(|core| (core, Vec::new()))
            .collect();
        self.hang(&mut groups);
        let mut incidents: Vec<Incident> = groups
            .iter()
            .map(|(core, mild)| self.incident(core, mild))
            .collect();
        incidents.sort_by(|a, b| {
            let key = |incident: &Incident| (Reverse(incident.severity), incident.first_seen);
            key(a)
                .cmp(&key(b))
                .then_with(|| a.incident_id.cmp(&b.incident_id))
        });
        incidents
    }

    fn root(&self, mut at: usize) -> usize {
        while self.parents[at] != at {
            at = self.parents[at];
        }
        at
    }

    /// Joins the incidents of two findings; the earlier finding stays the root.
    fn join(&mut self, one: usize, other: usize, key: Key<'a>) {
        let (one, other) = (self.root(one), self.root(other));
        if one != other {
            self.parents[one.max(other)] = one.min(other);
            self.links.push((key, one.min(other)));
        }
    }

    /// Joins findings that share a key of the chosen kinds without too much silence between them.
    fn share(&mut self, core: &[usize], chosen: impl Fn(&Key<'_>) -> bool) {
        let mut holders: BTreeMap<Key<'a>, Vec<usize>> = BTreeMap::new();
        for &at in core {
            for &key in self.keys[at].iter().filter(|key| chosen(key)) {
                holders.entry(key).or_default().push(at);
            }
        }
        for (key, holders) in holders {
            let mut latest = holders[0];
            for &at in &holders[1..] {
                if gap(span(self.findings[latest]), span(self.findings[at])) <= WINDOW_US {
                    self.join(latest, at, key);
                }
                if self.findings[at].last_seen > self.findings[latest].last_seen {
                    latest = at;
                }
            }
        }
    }

    /// Joins what rests on an object with what its maker did, and with what rests on it too.
    fn rest_on(&mut self, core: &[usize]) {
        let mut users: BTreeMap<&'a str, Vec<usize>> = BTreeMap::new();
        for &at in core {
            for object in &self.findings[at].ties.rests_on {
                users.entry(object).or_default().push(at);
            }
        }
        for (object, users) in users {
            for maker in self.makers_of(object) {
                let made = (maker.first, maker.last);
                let keys_of_maker = maker_keys(maker, self.surroundings);
                let rests = |at: usize| {
                    let used = span(self.findings[at]);
                    maker.first <= used.1 && gap(made, used) <= WINDOW_US
                };
                let users: Vec<usize> = users.iter().copied().filter(|&at| rests(at)).collect();
                // From another address it may be somebody else: a stolen key did not do its owner's work.
                let makes = |at: usize| {
                    gap(made, span(self.findings[at])) <= WINDOW_US
                        && self.findings[at].source.ips.contains(&maker.peer)
                        && keys_of_maker.iter().any(|key| self.keys[at].contains(key))
                };
                let of_maker = core.iter().copied().filter(|&at| makes(at));
                let together: Vec<usize> = users.iter().copied().chain(of_maker).collect();
                if users.is_empty() {
                    continue;
                }
                for &at in &together[1..] {
                    self.join(together[0], at, Key::Object(object));
                }
            }
        }
    }

    fn makers_of(&self, object: &str) -> &'a [Maker] {
        self.surroundings
            .makers
            .get(object)
            .map_or(&[], Vec::as_slice)
    }

    /// Hangs what is mild, or an inventory, under the incident it has most in common with.
    fn hang(&self, groups: &mut [(Vec<usize>, Vec<usize>)]) {
        let mut holders: BTreeMap<Key<'a>, BTreeSet<usize>> = BTreeMap::new();
        for (group, (core, _)) in groups.iter().enumerate() {
            for &at in core {
                for &key in &self.keys[at] {
                    holders.entry(key).or_default().insert(group);
                }
            }
        }
        for at in (0..self.findings.len()).filter(|&at| !is_core(self.findings[at])) {
            if self.findings[at].ties.usernames.len() > 1 {
                continue;
            }
            let near = |&group: &usize| {
                let (first, last) = self.span(&groups[group].0);
                gap((first, last), span(self.findings[at])) <= WINDOW_US
            };
            let held = self.keys[at].iter().filter_map(|key| holders.get(key));
            // Groups are in the order of their first findings.
            if let Some(group) = held.flatten().copied().find(near) {
                groups[group].1.push(at);
            }
        }
    }

    /// Returns first and last time of these findings.
    fn span(&self, core: &[usize]) -> (Timestamp, Timestamp) {
        let spans = core.iter().map(|&at| span(self.findings[at]));
        spans
            .reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))
            .expect("an incident has a finding")
    }

    fn incident(&self, core: &[usize], mild: &[usize]) -> Incident {
        let of_core = || core.iter().map(|&at| self.findings[at]);
        let mut all: Vec<usize> = core.iter().chain(mild).copied().collect();
        all.sort_unstable();
        let all: Vec<&Finding> = all.iter().map(|&at| self.findings[at]).collect();
        let (first_seen, last_seen) = self.span(core);
        let worst = of_core().map(|finding| finding.severity).max();
        let worst = worst.expect("an incident has a finding");
        let raised =
            reason_to_raise(&of_core().collect::<Vec<_>>()).filter(|_| worst < Severity::Critical);
        let severity = if raised.is_some() {
            worse(worst)
        } else {
            worst
        };
        let actors = distinct(of_core().flat_map(actors));
        let credentials = distinct(of_core().flat_map(credentials).filter(|key| is_id(key)));
        let common = &self.surroundings.common_addresses;
        let addresses = distinct(
            of_core()
                .flat_map(|finding| &finding.source.ips)
                .map(|ip| &**ip),
        );
        let (passing, own): (Vec<String>, Vec<String>) = addresses
            .into_iter()
            .partition(|address| common.contains(address));
        let from = if own.is_empty() { &passing } else { &own };
        let tactics = distinct(
            all.iter()
                .filter(|finding| finding.is_step())
                .filter_map(|finding| tactic(finding)),
        );
        let attack: BTreeSet<&String> = of_core().flat_map(|finding| &finding.attack).collect();
        let title = title(
            &actors,
            &credentials,
            from,
            &tactics,
            all.len(),
            &Lasts {
                micros: last_seen.0.saturating_sub(first_seen.0),
                of_all: all.iter().all(|finding| {
                    finding.first_seen >= first_seen && finding.last_seen <= last_seen
                }),
            },
        );
        Incident {
            incident_id: finding_id(
                "incident",
                &[&self.findings[core[0]].finding_id],
                Timestamp(0),
            ),
            severity,
            title,
            first_seen,
            last_seen,
            actors,
            credentials,
            source_ips: [own, passing].concat(),
            tactics: tactics.iter().map(|tactic| tactic_name(tactic)).collect(),
            attack: attack.into_iter().cloned().collect(),
            tied_by: self.tied_by(core),
            raised: raised.map(|why| format!("raised from {worst} to {severity}: {why}")),
            findings: all
                .iter()
                .map(|finding| finding.finding_id.clone())
                .collect(),
        }
    }

    /// Says what holds these findings together.
    fn tied_by(&self, core: &[usize]) -> Vec<String> {
        let root = self.root(core[0]);
        let links = self.links.iter().filter(|(_, at)| self.root(*at) == root);
        let keys: BTreeSet<Key<'a>> = links.map(|&(key, _)| key).collect();
        let says = |key: Key<'a>| {
            let holders = core.iter().filter(|&&at| self.keys[at].contains(&key));
            let holders = counted(holders.count() as u64, "finding");
            match key {
                Key::Credential(id) => format!("credential {id}: {holders}"),
                Key::Actor(name) => format!("actor {name}: {holders}"),
                Key::Address(address) => format!("address {address}: {holders}"),
                Key::Object(object) => {
                    let makers = self
                        .makers_of(object)
                        .iter()
                        .map(|maker| maker.username.clone());
                    let makers: BTreeSet<String> = makers.collect();
                    let makers: Vec<String> = makers.into_iter().collect();
                    format!("{object}, which is the work of {}", listed(&makers))
                }
            }
        };
        keys.into_iter().take(NAMED).map(says).collect()
    }
}

/// Returns whether a finding is one that ties, and so is worth an incident.
fn is_core(finding: &Finding) -> bool {
    finding.severity >= Severity::Medium && !finding.ties.is_inventory
}

fn span(finding: &Finding) -> (Timestamp, Timestamp) {
    (finding.first_seen, finding.last_seen)
}

/// Returns the time between two spans in microseconds; 0 if they meet.
fn gap(one: (Timestamp, Timestamp), other: (Timestamp, Timestamp)) -> i64 {
    let after = one.0.0.max(other.0.0);
    after.saturating_sub(one.1.0.min(other.1.0)).max(0)
}

/// Returns the foremost tactic of a finding: it is one step, however many its rule may serve.
fn tactic(finding: &Finding) -> Option<&str> {
    finding.ties.tactics.first().map(String::as_str)
}

/// Says why an incident is worse than its worst finding, if it is.
fn reason_to_raise(core: &[&Finding]) -> Option<String> {
    let tactics_from = |least: Severity| -> BTreeSet<&str> {
        let findings = core.iter().filter(|finding| finding.severity >= least);
        findings.filter_map(|finding| tactic(finding)).collect()
    };
    let tactics = tactics_from(Severity::Medium).len();
    // One bad thing amid an administrator's busy day is no campaign.
    let tactics_of_bad = tactics_from(Severity::High).len();
    if tactics >= TACTICS_RAISE && tactics_of_bad != 1 {
        return Some(format!("it spans {tactics} tactics"));
    }
    // A dead credential that is refused is no attempt, but the cluster doing its work.
    let failed = |finding: &&&Finding| {
        let ties = &finding.ties;
        ties.refused > 0 && ties.served == 0 && finding.family != "token-reuse"
    };
    let failed: Vec<_> = core.iter().filter(failed).collect();
    // The same identity after the same kind of thing: any other request that was served is no success of this one.
    let is_success = |served: &&&Finding| {
        let is_attempt = |attempt: &&&Finding| {
            attempt.first_seen <= served.first_seen
                && attempt.actor.username.is_some()
                && attempt.actor.username == served.actor.username
                && (attempt.family == served.family
                    || attempt.target.resource.is_some()
                        && attempt.target.resource == served.target.resource)
        };
        let is_guess = served.rule.name == "unauthorized-then-success";
        served.ties.served > 0
            && (is_guess || failed.iter().copied().any(|attempt| is_attempt(&attempt)))
    };
    core.iter()
        .any(|finding| is_success(&finding))
        .then(|| "it was refused at first and then let through".to_owned())
}

fn worse(severity: Severity) -> Severity {
    let above = Severity::ALL.into_iter().find(|&above| above > severity);
    above.unwrap_or(severity)
}
