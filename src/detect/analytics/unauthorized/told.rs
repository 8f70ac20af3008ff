//! What refused logins come to: bursts, patience, successes, storms, sprays, and what is left over.

use std::collections::{BTreeMap, BTreeSet};

use hashbrown::HashMap;

use super::super::address::{is_public, network};
use super::super::custody::distinct;
use super::super::{Context, DAY_US, Draft, counted, lasting, listed, times};
use super::cause::Cause;
use super::session::{Session, merged, overlapping};
use super::{PATHS, Unauthorized};
use crate::credential::Ledger;
use crate::detect::tally::Tally;
use crate::finding::{Confidence, Finding, Severity};
use crate::frame::Vocabulary;

/// Says which sessions belong together, if the session can tell.
type Fingerprint = fn(&Session, &Vocabulary) -> Option<String>;

impl Unauthorized {
    pub(super) fn brute_force_finding(
        &self,
        session: &Session,
        vocabulary: &Vocabulary,
    ) -> Finding {
        let settings = &self.settings;
        let address = vocabulary.text(session.peer);
        let mut draft = Draft::new(&self.brute_force, vec![address.to_owned()], &session.tally);
        if session.peak >= settings.high_burst {
            draft.severity = Severity::High;
        }
        let within = lasting(settings.window_us);
        let lasted = lasting(session.tally.last - session.tally.first);
        let (count, peak) = (session.tally.count, session.peak);
        let is_dense = peak >= settings.burst;
        draft.summary = if is_dense {
            format!(
                "{address} was refused {count} times in {lasted}, {peak} of them within {within}"
            )
        } else {
            format!("{address} was refused {count} times in {lasted}, without a long pause")
        };
        draft.why = vec![
            if is_dense {
                format!("401 within {within} = {peak} (at least {})", settings.burst)
            } else {
                format!("401 in one session = {count} (at least {})", settings.total)
            },
            format!("distinct paths = {}", at_least(session.paths.len(), PATHS)),
            "class = brute force: neither a steady retry nor paths this client was served before"
                .to_owned(),
        ];
        draft.finish(vocabulary)
    }

    /// Returns whether somebody outside, who was never accepted, was refused very often within a day, however slowly: that
    /// an expired credential is retried is an excuse for those only who once had a good one.
    fn is_patient(&self, address: &str, sessions: &[&Session], ledger: &Ledger) -> bool {
        let is_stranger = |session: &&Session| {
            ledger.usernames_of(session.peer).is_empty()
                && session.hint.is_none()
                && !session.is_mostly_tied()
        };
        is_public(address)
            && sessions.iter().all(is_stranger)
            && most_in_a_day(sessions) >= self.settings.total
    }

    fn patient_finding(
        &self,
        address: &str,
        sessions: &[&Session],
        tally: &Tally,
        vocabulary: &Vocabulary,
    ) -> Finding {
        let mut draft = Draft::new(&self.brute_force, vec![address.to_owned()], tally);
        draft.confidence = Confidence::Medium;
        draft.summary = format!(
            "{address} was refused {} in {}, slowly, and never accepted in this log: somebody who guesses with patience, or a program with a credential that was never good here",
            times(tally.count),
            lasting(tally.last - tally.first),
        );
        let paths = sessions.iter().map(|session| session.paths.len()).max();
        draft.why = vec![
            format!(
                "401 from {address} = {} (at least {} in a day)",
                tally.count, self.settings.total
            ),
            format!(
                "distinct paths = {}",
                at_least(paths.unwrap_or_default(), PATHS)
            ),
            "the address is a public one, and nobody was accepted there".to_owned(),
        ];
        draft.finish(vocabulary)
    }

    pub(super) fn success_finding(
        &self,
        session: &Session,
        success: &Tally,
        burst: bool,
        context: &Context<'_>,
    ) -> Finding {
        let Context {
            vocabulary,
            evidence_limit,
        } = *context;
        let address = vocabulary.text(session.peer);
        let mut tally = success.clone();
        tally.merge(session.tally.clone(), context);
        // The success matters most: it comes first, and what room is left shows the refusals.
        let mut sightings = success.sightings.clone();
        sightings.extend(session.tally.sightings.iter().cloned());
        sightings.truncate(evidence_limit);
        sightings.sort_by_key(|sighting| sighting.ts);
        tally.sightings = sightings;
        let users = listed(&success.usernames(vocabulary));
        let mut draft = Draft::new(&self.then_success, vec![address.to_owned()], &tally);
        if !burst {
            draft.severity = Severity::Medium;
            draft.confidence = Confidence::Low;
        }
        draft.window_start = session.tally.began;
        draft.summary = format!(
            "after {} refusals {address} was let in as `{users}`, who had not come from there before in this log: {}",
            session.tally.count,
            counted(success.count, "request"),
        );
        draft.why = vec![
            format!("401 from {address} = {}", session.tally.count),
            format!(
                "first accepted {} after the last refusal",
                lasting(session.until_success)
            ),
            format!("`{users}` is new at this address, with the same program"),
        ];
        let mut finding = draft.finish(vocabulary);
        finding.actor = success.actor(vocabulary);
        finding
    }

    /// Takes out clients that were served before or are again: many at once are one finding.
    pub(super) fn storms<'s>(
        &self,
        sessions: Vec<&'s Session>,
        context: &Context<'_>,
        ledger: &Ledger,
        findings: &mut Vec<Finding>,
    ) -> Vec<&'s Session> {
        let (known, unknown): (Vec<&Session>, Vec<&Session>) = sessions
            .into_iter()
            .partition(|session| session.is_known_client());
        let mut left = unknown;
        for group in overlapping(known, self.settings.spray_window_us) {
            if group.len() < self.settings.storm_peers {
                left.extend(group);
                continue;
            }
            let vocabulary = context.vocabulary;
            let tally = merged(&group, context);
            let recovered = group.iter().filter(|session| session.recovered).count();
            let all = ledger.peers();
            let outage = group.len() * 100 >= self.settings.outage_percent * all;
            let mut draft = Draft::new(&self.storm, vec![], &tally);
            let class = if outage {
                "authenticator outage"
            } else {
                "rotation storm"
            };
            draft.summary = format!(
                "{} known clients were refused at once ({}, {}); {recovered} of them were accepted again: {class}",
                group.len(),
                counted(tally.count, "request"),
                lasting(tally.last - tally.first),
            );
            draft.why = vec![
                format!("refused addresses = {} of {all}", group.len()),
                format!("class = {class}: these clients were served before or after"),
            ];
            findings.push(draft.finish(vocabulary));
        }
        left.sort_by_key(|session| session.tally.first);
        left
    }

    /// Takes out quiet sessions that belong together by network, or by program and path.
    pub(super) fn sprays<'s>(
        &self,
        sessions: Vec<&'s Session>,
        context: &Context<'_>,
        findings: &mut Vec<Finding>,
    ) -> Vec<&'s Session> {
        let vocabulary = context.vocabulary;
        let mut left = sessions;
        let fingerprints: [(&str, Fingerprint); 3] = [
            ("network", |session, vocabulary| {
                network(vocabulary.text(session.peer))
            }),
            ("program and path", |session, vocabulary| {
                match (&session.agents[..], &session.paths[..]) {
                    ([agent], [path]) => Some(format!("{} {path}", vocabulary.text(*agent))),
                    _ => None,
                }
            }),
            // Outside, programs may go by any name.
            ("path", |session, vocabulary| match &session.paths[..] {
                [path] if is_public(vocabulary.text(session.peer)) => Some(path.to_string()),
                _ => None,
            }),
        ];
        for (what, fingerprint) in fingerprints {
            let mut groups: BTreeMap<String, Vec<&Session>> = BTreeMap::new();
            let mut rest = Vec::new();
            for session in left {
                let suspect = !session.is_known_client() && !self.settings.is_retry_loop(session);
                match fingerprint(session, vocabulary).filter(|_| suspect) {
                    Some(key) => groups.entry(key).or_default().push(session),
                    None => rest.push(session),
                }
            }
            for (key, group) in groups {
                for group in overlapping(group, self.settings.spray_window_us) {
                    let total: u64 = group.iter().map(|session| session.tally.count).sum();
                    if group.len() < self.settings.spray_peers
                        || total < self.settings.spray_requests
                    {
                        rest.extend(group);
                        continue;
                    }
                    let tally = merged(&group, context);
                    let mut draft =
                        Draft::new(&self.spray, vec![what.to_owned(), key.clone()], &tally);
                    draft.summary = format!(
                        "{} addresses with the same {what} ({key}) were refused {total} times in {}, {} at most each",
                        group.len(),
                        lasting(tally.last - tally.first),
                        group
                            .iter()
                            .map(|session| session.tally.count)
                            .max()
                            .unwrap_or(0),
                    );
                    draft.why = vec![
                        format!("addresses = {} (at least {})", group.len(), self.settings.spray_peers),
                        format!("401 = {total} (at least {})", self.settings.spray_requests),
                        "class = spray, slow drip: none of the addresses was served by the same program before or after"
                            .to_owned(),
                    ];
                    findings.push(draft.finish(vocabulary));
                }
            }
            left = rest;
        }
        left
    }

    /// Takes out sessions of strangers from one network of the internet, however far apart they are: many addresses, each
    /// refused seldom. A network where somebody was let in before is that of clients whose credentials ended.
    pub(super) fn slow_sprays<'s>(
        &self,
        sessions: Vec<&'s Session>,
        context: &Context<'_>,
        ledger: &Ledger,
        findings: &mut Vec<Finding>,
    ) -> Vec<&'s Session> {
        let vocabulary = context.vocabulary;
        let mut groups: BTreeMap<String, Vec<&Session>> = BTreeMap::new();
        let mut left = Vec::new();
        for session in sessions {
            let address = vocabulary.text(session.peer);
            let is_stranger = is_public(address)
                && session.hint.is_none()
                && !session.is_mostly_tied()
                && ledger.usernames_of(session.peer).is_empty();
            match network(address).filter(|_| is_stranger) {
                Some(network) => groups.entry(network).or_default().push(session),
                None => left.push(session),
            }
        }
        let mut guests: Option<BTreeMap<String, Vec<(i64, u32)>>> = None;
        for (network, group) in groups {
            for group in overlapping(group, self.settings.slow_pause_us) {
                let addresses: BTreeSet<&str> =
                    (group.iter().map(|session| vocabulary.text(session.peer))).collect();
                let total: u64 = group.iter().map(|session| session.tally.count).sum();
                let is_much = addresses.len() >= self.settings.slow_peers
                    && total >= self.settings.slow_requests;
                if !is_much {
                    left.extend(group);
                    continue;
                }
                let guests = guests.get_or_insert_with(|| guests_by_network(ledger, vocabulary));
                let guests = guests.get(&network).map_or(&[][..], Vec::as_slice);
                let first = group.iter().map(|session| session.tally.began).min();
                if guests.iter().any(|&(since, _)| Some(since) < first) {
                    left.extend(group);
                    continue;
                }
                let tally = merged(&group, context);
                let key = vec!["slow".to_owned(), network.clone()];
                let mut draft = Draft::new(&self.spray, key, &tally);
                draft.summary = format!(
                    "{} addresses of {network} were refused {total} times in {}, and nobody had been let in from there",
                    addresses.len(),
                    lasting(tally.last - tally.first),
                );
                draft.why = vec![
                    format!("addresses = {} (at least {})", addresses.len(), self.settings.slow_peers),
                    format!("401 = {total} (at least {})", self.settings.slow_requests),
                    "class = spray, slow: a network of the internet, and none of the addresses was ever served".to_owned(),
                ];
                if !guests.is_empty() {
                    let users = distinct(guests.iter().map(|&(_, user)| user), vocabulary);
                    draft
                        .why
                        .push(format!("let in from there afterwards: {}", listed(&users)));
                    let was_elsewhere = |&(since, user): &(i64, u32)| {
                        let mut entries = ledger.of_username(user);
                        entries.any(|entry| entry.first < since)
                    };
                    if guests.iter().any(was_elsewhere) {
                        draft.severity = Severity::Low;
                        draft
                            .why
                            .push("somebody who was known before is at home there".to_owned());
                    }
                }
                findings.push(draft.finish(vocabulary));
            }
        }
        left.sort_by_key(|session| session.tally.first);
        left
    }

    /// One low finding per address for whatever has no better name.
    pub(super) fn left_over(
        &self,
        sessions: Vec<&Session>,
        context: &Context<'_>,
        ledger: &Ledger,
        tied: &HashMap<u32, u64>,
        findings: &mut Vec<Finding>,
    ) {
        let vocabulary = context.vocabulary;
        let mut by_peer: HashMap<u32, Vec<&Session>> = HashMap::new();
        for session in sessions {
            by_peer.entry(session.peer).or_default().push(session);
        }
        for (peer, mut sessions) in by_peer {
            sessions.sort_by_key(|session| session.tally.first);
            let tally = merged(&sessions, context);
            if tied.get(&peer).is_some_and(|&tied| tied >= tally.count) {
                continue;
            }
            let address = vocabulary.text(peer);
            if self.is_patient(address, &sessions, ledger) {
                findings.push(self.patient_finding(address, &sessions, &tally, vocabulary));
                continue;
            }
            let mut users: Vec<String> = sessions
                .iter()
                .flat_map(|session| &session.known_users)
                .map(|&user| vocabulary.text(user).to_owned())
                .collect();
            users.sort_unstable();
            users.dedup();
            let recovered = sessions.iter().all(|session| session.recovered);
            let cause = Cause::of(&sessions, ledger, vocabulary);
            let mut draft = Draft::new(&self.refused, vec![address.to_owned()], &tally);
            if recovered {
                draft.severity = Severity::Informational;
            }
            let within = match tally.count {
                1 => String::new(),
                _ => format!(" in {}", lasting(tally.last - tally.first)),
            };
            draft.summary = format!(
                "{address} was refused {}{within}; likely cause: {}",
                times(tally.count),
                cause.what,
            );
            draft.why = vec![format!("401 from {address} = {}", tally.count)];
            draft.why.extend(cause.why);
            if !users.is_empty() {
                draft.why.push(format!(
                    "accepted before from this address with the same program: {}",
                    listed(&users)
                ));
                draft.confidence = if users.len() == 1 {
                    Confidence::Medium
                } else {
                    Confidence::Low
                };
            } else if !ledger.usernames_of(peer).is_empty() {
                draft
                    .why
                    .push("the address is known, the program is not".to_owned());
            }
            let mut finding = draft.finish(vocabulary);
            finding
                .next_steps
                .splice(0..0, cause.remedy.map(str::to_owned));
            findings.push(finding);
        }
    }
}

/// Returns who was let in from which network of the internet, and since when.
fn guests_by_network(
    ledger: &Ledger,
    vocabulary: &Vocabulary,
) -> BTreeMap<String, Vec<(i64, u32)>> {
    let mut guests: BTreeMap<String, Vec<(i64, u32)>> = BTreeMap::new();
    for entry in ledger.entries() {
        for used in &entry.uses {
            let address = vocabulary.text(used.peer);
            if let Some(network) = network(address).filter(|_| is_public(address)) {
                let guest = (used.first, entry.username);
                guests.entry(network).or_default().push(guest);
            }
        }
    }
    guests
}

/// Returns the most refusals of a day in sessions, which are in order; those of a longer one are spread evenly over it.
fn most_in_a_day(sessions: &[&Session]) -> u64 {
    let of_a_day = |session: &Session| {
        let Tally {
            first, last, count, ..
        } = session.tally;
        let lasted = u128::from(last.abs_diff(first));
        let day = u128::from(DAY_US.unsigned_abs());
        let share = u128::from(count) * day / lasted.max(day);
        u64::try_from(share).unwrap_or(count)
    };
    let (mut most, mut sum, mut from) = (0, 0, 0);
    for session in sessions {
        sum += of_a_day(session);
        while sessions[from].tally.first < session.tally.first.saturating_sub(DAY_US) {
            sum -= of_a_day(sessions[from]);
            from += 1;
        }
        most = most.max(sum);
    }
    most
}

fn at_least(count: usize, limit: usize) -> String {
    if count < limit {
        count.to_string()
    } else {
        format!("{limit} or more")
    }
}
