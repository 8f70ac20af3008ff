//! The family `unauthorized-spike`: refused credentials, counted as requests and told apart by cause.
//!
//! A 401 exists only at stage `ResponseStarted` and names nobody (kubernetes/apiserver
//! `pkg/endpoints/filters/authn_audit.go`), so all there is to go by is address, program, path and time.
//! The 401s of one address without a long pause are a session. A session is a **brute force** if many
//! fall into one window; unless it is a **retry loop**: one program asking the same one or two paths at
//! a steady pace, or paths that it was served before. Several quiet sessions that share a network, or
//! program and path, are a **spray**; sessions of clients that were served before or are again after are
//! a **rotation**, or an **outage** of the authenticator if most clients are among them. What is left is
//! one low finding per address.

use std::collections::VecDeque;
use std::net::IpAddr;

use hashbrown::HashMap;

use super::{Context, Draft, counted, lasting, listed};
use crate::credential::Ledger;
use crate::detect::request::Request;
use crate::detect::tally::Tally;
use crate::finding::{Confidence, Finding, Severity};
use crate::frame::Vocabulary;
use crate::rules::{Parameters, RuleError, RuleMeta};

/// The rules that share this state.
pub struct Metas<'a> {
    /// Many refusals from one address.
    pub brute_force: (&'a RuleMeta, &'a Parameters),
    /// Few refusals each from many addresses.
    pub spray: (&'a RuleMeta, &'a Parameters),
    /// An accepted credential right after refusals.
    pub then_success: (&'a RuleMeta, &'a Parameters),
    /// Refusals of known clients, many at once.
    pub storm: (&'a RuleMeta, &'a Parameters),
    /// All other refusals, per address.
    pub refused: &'a RuleMeta,
    /// More refusals in a minute than the log's other minutes let expect.
    pub rate: (&'a RuleMeta, &'a Parameters),
}

/// State of the analytics.
pub struct Unauthorized {
    brute_force: RuleMeta,
    spray: RuleMeta,
    then_success: RuleMeta,
    storm: RuleMeta,
    refused: RuleMeta,
    rate: RuleMeta,
    settings: Settings,
    open: HashMap<u32, Session>,
    closed: Vec<Session>,
    minutes: HashMap<i64, u64>,
    first: i64,
    last: i64,
}

struct Settings {
    pause_us: i64,
    window_us: i64,
    burst: usize,
    high_burst: usize,
    steady: f64,
    spray_window_us: i64,
    spray_peers: usize,
    spray_requests: u64,
    success_window_us: i64,
    storm_peers: usize,
    outage_share: f64,
    rate_minutes: usize,
    rate_score: f64,
    rate_least: u64,
}

/// The 401s of one address without a long pause.
struct Session {
    peer: u32,
    tally: Tally,
    agents: Vec<u32>,
    paths: Vec<Box<str>>,
    window: VecDeque<i64>,
    peak: usize,
    /// On a path that the same client was served before.
    known_paths: u64,
    /// Who was served before at this address by the same program.
    known_users: Vec<u32>,
    gaps: Gaps,
    recovered: bool,
    newcomers: Vec<u32>,
    success: Option<Tally>,
}

/// Running mean and variance of the pauses between refusals (Welford 1962).
#[derive(Default)]
struct Gaps {
    count: f64,
    mean: f64,
    squares: f64,
}

impl Gaps {
    fn add(&mut self, gap: f64) {
        self.count += 1.0;
        let delta = gap - self.mean;
        self.mean += delta / self.count;
        self.squares += delta * (gap - self.mean);
    }

    /// Returns the standard deviation over the mean; none below ten pauses.
    fn variation(&self) -> Option<f64> {
        (self.count >= 10.0 && self.mean > 0.0)
            .then(|| (self.squares / self.count).sqrt() / self.mean)
    }
}

/// How many distinct paths a session remembers.
const PATHS: usize = 16;

/// How many minutes a finding of the rate names.
const MINUTE_US: i64 = 60_000_000;

impl Unauthorized {
    /// Reads the parameters.
    ///
    /// # Errors
    /// When a parameter is missing or of a wrong type.
    pub fn new(metas: &Metas<'_>) -> Result<Self, RuleError> {
        let (brute, spray, success, storm, rate) = (
            metas.brute_force.1,
            metas.spray.1,
            metas.then_success.1,
            metas.storm.1,
            metas.rate.1,
        );
        Ok(Self {
            brute_force: metas.brute_force.0.clone(),
            spray: metas.spray.0.clone(),
            then_success: metas.then_success.0.clone(),
            storm: metas.storm.0.clone(),
            refused: metas.refused.clone(),
            rate: metas.rate.0.clone(),
            settings: Settings {
                pause_us: brute.duration_us("pause")?,
                window_us: brute.duration_us("window")?,
                burst: brute.number("least_refused")? as usize,
                high_burst: brute.number("high_refused")? as usize,
                steady: brute.number("steady_variation")?,
                spray_window_us: spray.duration_us("window")?,
                spray_peers: spray.number("least_addresses")? as usize,
                spray_requests: spray.number("least_refused")? as u64,
                success_window_us: success.duration_us("window")?,
                storm_peers: storm.number("least_addresses")? as usize,
                outage_share: storm.number("outage_share")?,
                rate_minutes: rate.number("least_minutes")? as usize,
                rate_score: rate.number("least_score")?,
                rate_least: rate.number("least_refused")? as u64,
            },
            open: HashMap::new(),
            closed: Vec::new(),
            minutes: HashMap::new(),
            first: i64::MAX,
            last: i64::MIN,
        })
    }

    /// Takes in one request; the ledger must not hold it yet. `tied` says that the refused credential
    /// is known to be a deleted one: that is no guess.
    pub fn observe(
        &mut self,
        request: &Request<'_>,
        context: &Context<'_>,
        ledger: &Ledger,
        tied: bool,
    ) {
        self.first = self.first.min(request.ts);
        self.last = self.last.max(request.ts);
        if request.code == 401 {
            self.observe_refused(request, context, ledger, tied);
        } else if request.authenticated() && !self.open.is_empty() {
            self.observe_accepted(request, context, ledger);
        }
    }

    fn observe_refused(
        &mut self,
        request: &Request<'_>,
        context: &Context<'_>,
        ledger: &Ledger,
        tied: bool,
    ) {
        let Context {
            vocabulary,
            evidence_limit,
        } = *context;
        *self
            .minutes
            .entry(request.ts.div_euclid(MINUTE_US))
            .or_default() += 1;
        let peer = request.peer_ip();
        let paused = |session: &Session| request.ts - session.tally.last > self.settings.pause_us;
        if self.open.get(&peer).is_some_and(paused) {
            self.closed.extend(self.open.remove(&peer));
        }
        let session = self.open.entry(peer).or_insert_with(|| Session {
            peer,
            tally: Tally::empty(),
            agents: Vec::new(),
            paths: Vec::new(),
            window: VecDeque::new(),
            peak: 0,
            known_paths: 0,
            known_users: Vec::new(),
            gaps: Gaps::default(),
            recovered: false,
            newcomers: Vec::new(),
            success: None,
        });
        if session.tally.count > 0 {
            session
                .gaps
                .add((request.ts - session.tally.last).max(0) as f64);
        }
        session.tally.add(request, vocabulary, evidence_limit);
        session.recovered = false;
        let agent = request.user_agent();
        if !session.agents.contains(&agent) {
            session.agents.push(agent);
        }
        let path = request.path();
        if session.paths.len() < PATHS && !session.paths.iter().any(|known| **known == *path) {
            session.paths.push(path.into());
        }
        let mut served_before = false;
        for entry in ledger.of_client(peer, agent) {
            if !session.known_users.contains(&entry.username) {
                session.known_users.push(entry.username);
            }
            served_before |= entry
                .uses
                .iter()
                .any(|used| used.peer == peer && used.agent == agent && used.asked_for(path));
        }
        session.known_paths += u64::from(served_before);
        if !tied {
            session.window.push_back(request.ts);
        }
        while session
            .window
            .front()
            .is_some_and(|&ts| ts < request.ts - self.settings.window_us)
        {
            session.window.pop_front();
        }
        session.peak = session.peak.max(session.window.len());
    }

    fn observe_accepted(&mut self, request: &Request<'_>, context: &Context<'_>, ledger: &Ledger) {
        let Context {
            vocabulary,
            evidence_limit,
        } = *context;
        let peer = request.peer_ip();
        let Some(session) = self.open.get_mut(&peer) else {
            return;
        };
        let in_time = request.ts - session.tally.last <= self.settings.success_window_us;
        if !in_time || request.received < session.tally.first {
            return;
        }
        if vocabulary.text(request.identity_kind()) == "anonymous"
            || !session.agents.contains(&request.user_agent())
        {
            return;
        }
        session.recovered = true;
        let username = request.username();
        if !session.newcomers.contains(&username) {
            if ledger.usernames_of(peer).contains(&username) {
                return;
            }
            session.newcomers.push(username);
        }
        session
            .success
            .get_or_insert_with(Tally::empty)
            .add(request, vocabulary, evidence_limit);
    }

    /// Draws the findings; `tied` counts per address the refusals that another finding explains.
    pub fn finish(
        mut self,
        context: &Context<'_>,
        ledger: &Ledger,
        tied: &HashMap<u32, u64>,
    ) -> Vec<Finding> {
        let vocabulary = context.vocabulary;
        let mut sessions = std::mem::take(&mut self.closed);
        sessions.extend(self.open.drain().map(|(_, session)| session));
        sessions.sort_by(|a, b| {
            let key = |session: &Session| {
                (
                    session.tally.first,
                    vocabulary.text(session.peer).to_owned(),
                )
            };
            key(a).cmp(&key(b))
        });
        let mut findings = Vec::new();
        let mut quiet = Vec::new();
        for session in sessions {
            if self.settings.is_burst(&session) {
                findings.push(self.brute_force_finding(&session, vocabulary));
                if let Some(success) = &session.success {
                    findings.push(self.success_finding(&session, success, context));
                }
                continue;
            }
            quiet.push(session);
        }
        let quiet = self.storms(quiet, context, ledger, &mut findings);
        let quiet = self.sprays(quiet, context, &mut findings);
        self.left_over(quiet, context, ledger, tied, &mut findings);
        self.rate(context, &mut findings);
        findings
    }

    fn brute_force_finding(&self, session: &Session, vocabulary: &Vocabulary) -> Finding {
        let settings = &self.settings;
        let address = vocabulary.text(session.peer);
        let mut draft = Draft::new(&self.brute_force, vec![address.to_owned()], &session.tally);
        if session.peak >= settings.high_burst {
            draft.severity = Severity::High;
        }
        draft.summary = format!(
            "{address} was refused {} times in {}, {} of them within {}",
            session.tally.count,
            lasting(session.tally.last - session.tally.first),
            session.peak,
            lasting(settings.window_us),
        );
        draft.why = vec![
            format!(
                "401 within {} = {} (at least {})",
                lasting(settings.window_us),
                session.peak,
                settings.burst
            ),
            format!("distinct paths = {}", at_least(session.paths.len(), PATHS)),
            "class = brute force: neither a steady retry nor paths this client was served before"
                .to_owned(),
        ];
        draft.finish(vocabulary)
    }

    fn success_finding(
        &self,
        session: &Session,
        success: &Tally,
        context: &Context<'_>,
    ) -> Finding {
        let Context {
            vocabulary,
            evidence_limit,
        } = *context;
        let address = vocabulary.text(session.peer);
        let mut tally = success.clone();
        tally.merge(
            session.tally.clone(),
            evidence_limit
                .saturating_sub(success.evidence.len())
                .max(success.evidence.len()),
        );
        // The success matters most: it comes first, and what room is left shows the refusals.
        let mut evidence = success.evidence.clone();
        evidence.extend(session.tally.evidence.iter().cloned());
        evidence.truncate(evidence_limit);
        evidence.sort_by_key(|evidence| evidence.ts);
        tally.evidence = evidence;
        let users = listed(&success.usernames(vocabulary));
        let mut draft = Draft::new(&self.then_success, vec![address.to_owned()], &tally);
        draft.window_start = session.tally.first;
        draft.summary = format!(
            "after {} refusals {address} was let in as `{users}`, who had not come from there before: {}",
            session.tally.count,
            counted(success.count, "request"),
        );
        draft.why = vec![
            format!("401 from {address} = {}", session.tally.count),
            format!(
                "first accepted {} after the last refusal",
                lasting((success.first - session.tally.last).max(0))
            ),
            format!("`{users}` is new at this address, with the same program"),
        ];
        let mut finding = draft.finish(vocabulary);
        finding.actor = success.actor(vocabulary);
        finding
    }

    /// Takes out clients that were served before or are again: many at once are one finding.
    fn storms(
        &self,
        sessions: Vec<Session>,
        context: &Context<'_>,
        ledger: &Ledger,
        findings: &mut Vec<Finding>,
    ) -> Vec<Session> {
        let (known, unknown): (Vec<Session>, Vec<Session>) = sessions
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
            let outage = group.len() as f64 >= self.settings.outage_share * all as f64;
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
        left.sort_by_key(|session| (session.tally.first, session.peer));
        left
    }

    /// Takes out quiet sessions that belong together by network, or by program and path.
    fn sprays(
        &self,
        sessions: Vec<Session>,
        context: &Context<'_>,
        findings: &mut Vec<Finding>,
    ) -> Vec<Session> {
        let vocabulary = context.vocabulary;
        let mut left = sessions;
        type Fingerprint = fn(&Session, &Vocabulary) -> Option<String>;
        let fingerprints: [(&str, Fingerprint); 2] = [
            ("network", |session, vocabulary| {
                network(vocabulary.text(session.peer))
            }),
            ("program and path", |session, vocabulary| {
                match (&session.agents[..], &session.paths[..]) {
                    ([agent], [path]) => Some(format!("{} {path}", vocabulary.text(*agent))),
                    _ => None,
                }
            }),
        ];
        for (what, fingerprint) in fingerprints {
            let mut groups: std::collections::BTreeMap<String, Vec<Session>> = Default::default();
            let mut rest = Vec::new();
            for session in left {
                let suspect = !session.is_known_client() && !self.settings.is_retry_loop(&session);
                match fingerprint(&session, vocabulary).filter(|_| suspect) {
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

    /// One low finding per address for whatever has no better name.
    fn left_over(
        &self,
        sessions: Vec<Session>,
        context: &Context<'_>,
        ledger: &Ledger,
        tied: &HashMap<u32, u64>,
        findings: &mut Vec<Finding>,
    ) {
        let vocabulary = context.vocabulary;
        let mut by_peer: HashMap<u32, Vec<Session>> = HashMap::new();
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
            let mut users: Vec<String> = sessions
                .iter()
                .flat_map(|session| &session.known_users)
                .map(|&user| vocabulary.text(user).to_owned())
                .collect();
            users.sort_unstable();
            users.dedup();
            let looping = sessions.iter().any(Session::repeats_itself);
            let recovered = sessions.iter().all(|session| session.recovered);
            let cause = if recovered {
                "renewed since: the same program was accepted afterwards"
            } else if looping {
                "an expired or deleted credential that its program keeps retrying"
            } else {
                "unknown: expired, deleted, forged, meant for another audience, or of an unknown CA all look the same"
            };
            let mut draft = Draft::new(&self.refused, vec![address.to_owned()], &tally);
            if recovered {
                draft.severity = Severity::Informational;
            }
            draft.summary = format!(
                "{address} was refused {} in {}; likely cause: {cause}",
                if tally.count == 1 {
                    "once".to_owned()
                } else {
                    format!("{} times", tally.count)
                },
                lasting(tally.last - tally.first),
            );
            draft.why = vec![format!("401 from {address} = {}", tally.count)];
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
            findings.push(draft.finish(vocabulary));
        }
    }

    /// Compares each minute with the log's own: robust z by median and MAD (Iglewicz and Hoaglin 1993).
    fn rate(&self, context: &Context<'_>, findings: &mut Vec<Finding>) {
        if self.minutes.is_empty() {
            return;
        }
        let (from, to) = (
            self.first.div_euclid(MINUTE_US),
            self.last.div_euclid(MINUTE_US),
        );
        let span = usize::try_from(to - from + 1).unwrap_or(0);
        if span < self.settings.rate_minutes {
            return;
        }
        // Minutes without a 401 count too: those are most.
        let mut counts: Vec<u64> = self.minutes.values().copied().collect();
        counts.sort_unstable();
        let zeros = span - counts.len().min(span);
        let quantile = |values: &[f64]| median(values, zeros);
        let values: Vec<f64> = counts.iter().map(|&count| count as f64).collect();
        let middle = quantile(&values);
        let mut deviations: Vec<f64> = values.iter().map(|value| (value - middle).abs()).collect();
        deviations.extend(std::iter::repeat_n(middle, zeros));
        deviations.sort_by(f64::total_cmp);
        let deviation = median(&deviations, 0).max(1.0).max(middle.sqrt());
        let mut minutes: Vec<(i64, u64)> = self
            .minutes
            .iter()
            .map(|(&at, &count)| (at, count))
            .collect();
        minutes.sort_unstable();
        let high: Vec<(i64, u64)> = minutes
            .into_iter()
            .filter(|&(_, count)| {
                let score = 0.6745 * (count as f64 - middle) / deviation;
                count >= self.settings.rate_least && score >= self.settings.rate_score
            })
            .collect();
        let Some(&(first, _)) = high.first() else {
            return;
        };
        let (worst, count) = high
            .iter()
            .copied()
            .max_by_key(|&(at, count)| (count, -at))
            .expect("not empty");
        let mut tally = Tally::empty();
        tally.first = first * MINUTE_US;
        tally.last = (high.last().expect("not empty").0 + 1) * MINUTE_US - 1;
        tally.count = high.iter().map(|&(_, count)| count).sum();
        let mut draft = Draft::new(&self.rate, vec![], &tally);
        draft.summary = format!(
            "{} of {span} minutes have far more refusals than the rest; the worst, from {}, has {count} where {middle} is usual",
            high.len(),
            crate::finding::Timestamp(worst * MINUTE_US),
        );
        draft.why = vec![
            format!("median of {span} minutes = {middle}, MAD (floored) = {deviation:.1}"),
            format!(
                "robust z >= {} and 401 in a minute >= {}",
                self.settings.rate_score, self.settings.rate_least
            ),
        ];
        draft.blind_spots.push("a rate has no single requests as evidence; the other findings of this family name them".to_owned());
        let mut finding = draft.finish(context.vocabulary);
        finding.evidence_total = 0;
        findings.push(finding);
    }
}

impl Settings {
    fn is_burst(&self, session: &Session) -> bool {
        session.peak >= self.burst && !self.is_retry_loop(session)
    }

    /// One program, the same path or two, at a steady pace or as it was served before; not too fast.
    fn is_retry_loop(&self, session: &Session) -> bool {
        let served_before = session.known_paths * 5 >= session.tally.count * 4;
        let steady = session
            .gaps
            .variation()
            .is_some_and(|variation| variation <= self.steady);
        session.repeats_itself() && session.peak < self.high_burst && (served_before || steady)
    }
}

impl Session {
    /// One program asks the same path or two over and over.
    fn repeats_itself(&self) -> bool {
        self.agents.len() == 1 && self.paths.len() <= 2 && self.tally.count >= 5
    }

    fn is_known_client(&self) -> bool {
        self.recovered || self.known_paths * 2 > self.tally.count
    }
}

/// Returns the median of sorted `values` with `zeros` more zeros before them.
fn median(values: &[f64], zeros: usize) -> f64 {
    let length = values.len() + zeros;
    let at = |index: usize| index.checked_sub(zeros).map_or(0.0, |index| values[index]);
    match length {
        0 => 0.0,
        _ if length % 2 == 1 => at(length / 2),
        _ => f64::midpoint(at(length / 2 - 1), at(length / 2)),
    }
}

/// Splits sessions into runs in which each starts at most `window_us` after the one before it ended.
fn overlapping(mut sessions: Vec<Session>, window_us: i64) -> Vec<Vec<Session>> {
    sessions.sort_by_key(|session| session.tally.first);
    let mut runs: Vec<Vec<Session>> = Vec::new();
    let mut end = i64::MIN;
    for session in sessions {
        let (first, last) = (session.tally.first, session.tally.last);
        match runs
            .last_mut()
            .filter(|_| first <= end.saturating_add(window_us))
        {
            Some(run) => run.push(session),
            None => runs.push(vec![session]),
        }
        end = end.max(last);
    }
    runs
}

fn merged(sessions: &[Session], context: &Context<'_>) -> Tally {
    let mut all = Tally::empty();
    for session in sessions {
        all.merge(session.tally.clone(), context.evidence_limit);
    }
    all
}

/// Returns the /24 (IPv4) or /48 (IPv6) of an address.
fn network(address: &str) -> Option<String> {
    match address.parse().ok()? {
        IpAddr::V4(address) => {
            let [a, b, c, _] = address.octets();
            Some(format!("{a}.{b}.{c}.0/24"))
        }
        IpAddr::V6(address) => {
            let [a, b, c, ..] = address.segments();
            Some(format!("{a:x}:{b:x}:{c:x}::/48"))
        }
    }
}

fn at_least(count: usize, limit: usize) -> String {
    if count < limit {
        count.to_string()
    } else {
        format!("{limit} or more")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_count_the_empty_minutes() {
        assert!((median(&[1.0, 2.0, 3.0], 0) - 2.0).abs() < 1e-9);
        assert!((median(&[1.0, 2.0, 3.0], 4) - 0.0).abs() < 1e-9);
        assert!((median(&[2.0, 4.0], 0) - 3.0).abs() < 1e-9);
    }

    #[test]
    fn networks_are_cut_by_family() {
        assert_eq!(network("10.1.2.3").as_deref(), Some("10.1.2.0/24"));
        assert_eq!(
            network("2001:db8:7:8::1").as_deref(),
            Some("2001:db8:7::/48")
        );
        assert_eq!(network("private"), None);
    }

    #[test]
    fn steady_pauses_vary_little() {
        let mut steady = Gaps::default();
        let mut wild = Gaps::default();
        for index in 0..20 {
            steady.add(100.0 + f64::from(index % 2));
            wild.add(if index % 2 == 0 { 1.0 } else { 400.0 });
        }
        assert!(steady.variation().unwrap() < 0.1);
        assert!(wild.variation().unwrap() > 0.9);
    }
}
