//! The family `unauthorized-spike`: refused credentials, counted as requests and told apart by cause.
//!
//! A 401 exists only at stage `ResponseStarted` and names nobody (kubernetes/apiserver
//! `pkg/endpoints/filters/authn_audit.go`), so all there is to go by is address, program, path and time.
//! The 401s of one address without a long pause are a session. A session is a **brute force** if many
//! fall into one window; unless it is a **retry loop**: one program asking the same one or two paths at
//! a steady pace, or paths that it was served before. Several quiet sessions that share a network, or
//! program and path, are a **spray**, and so are those of a network of the internet where nobody
//! was ever let in, however far apart; sessions of clients that were served before or are again after are
//! a **rotation**, or an **outage** of the authenticator if most clients are among them. What is left is
//! one low finding per address.

mod cause;
mod rate;
mod session;
mod told;

use std::collections::VecDeque;

use hashbrown::HashMap;

use super::{Context, MINUTE_US};
use crate::credential::Ledger;
use crate::detect::request::Request;
use crate::detect::tally::Tally;
use crate::finding::Finding;
use crate::memory::remembers;
use crate::rules::{Parameters, RuleError, RuleMeta};
use cause::Hint;
use session::{Gaps, Session};

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
#[derive(Clone)]
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

remembers!(
    Unauthorized: [open, closed, minutes, first, last],
    anew [brute_force, spray, then_success, storm, refused, rate, settings]
);

#[derive(Clone)]
struct Settings {
    pause_us: i64,
    window_us: i64,
    burst: usize,
    high_burst: usize,
    total: u64,
    steady: f64,
    spray_window_us: i64,
    spray_peers: usize,
    spray_requests: u64,
    slow_pause_us: i64,
    slow_peers: usize,
    slow_requests: u64,
    success_window_us: i64,
    success_refused: u64,
    storm_peers: usize,
    outage_percent: usize,
    rate_minutes: usize,
    rate_score: f64,
    rate_least: u64,
}

/// How many distinct paths and agents a session remembers; clients choose both.
const PATHS: usize = 16;
const AGENTS: usize = 64;

/// Credentials that can be guessed: what is signed (tokens, certificates) cannot.
const GUESSABLE: [&str; 2] = ["unknown", "bootstrap-token"];

/// Programs that retry pause at least this long, on average.
const RETRY_PAUSE_US: f64 = 2e6;

impl Unauthorized {
    /// Forgets the sessions that ended before a time.
    pub fn forget(&mut self, before: i64) {
        self.closed.retain(|session| session.tally.last >= before);
        self.open.retain(|_, session| session.tally.last >= before);
    }

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
                burst: brute.count("least_refused")? as usize,
                high_burst: brute.count("high_refused")? as usize,
                total: brute.count("total_refused")?.into(),
                steady: brute.number("steady_variation")?,
                spray_window_us: spray.duration_us("window")?,
                spray_peers: spray.count("least_addresses")? as usize,
                spray_requests: spray.count("least_refused")?.into(),
                slow_pause_us: spray.duration_us("slow_pause")?,
                slow_peers: spray.count("slow_addresses")? as usize,
                slow_requests: spray.count("slow_refused")?.into(),
                success_window_us: success.duration_us("window")?,
                success_refused: success.count("least_refused")?.into(),
                storm_peers: storm.count("least_addresses")? as usize,
                outage_percent: storm.count("outage_percent")? as usize,
                rate_minutes: rate.count("least_minutes")? as usize,
                rate_score: rate.number("least_score")?,
                rate_least: rate.count("least_refused")?.into(),
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
        // Without a time there is neither session nor rate.
        if request.ts == 0 {
            return;
        }
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
        let vocabulary = context.vocabulary;
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
            tied: 0,
            hint: None,
            known_users: Vec::new(),
            gaps: Gaps::default(),
            recovered: false,
            newcomers: Vec::new(),
            until_success: 0,
            success: None,
        });
        if session.tally.count > 0 {
            session.gaps.add(request.ts - session.tally.last);
        }
        session.tally.add(request, context);
        session.recovered = false;
        let agent = request.user_agent();
        if session.agents.len() < AGENTS && !session.agents.contains(&agent) {
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
            let username = vocabulary.text(entry.username);
            let node = username.strip_prefix("system:node:");
            served_before |= node.is_some_and(|node| is_about_node(request.request_uri(), node));
            served_before |= entry
                .uses
                .iter()
                .any(|used| used.peer == peer && used.agent == agent && used.was_served(path));
        }
        session.known_paths += u64::from(served_before);
        session.tied += u64::from(tied);
        session.hint = session.hint.or_else(|| Hint::of(request, vocabulary));
        session.window.push_back(request.ts);
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
        let vocabulary = context.vocabulary;
        let peer = request.peer_ip();
        let Some(session) = self.open.get_mut(&peer) else {
            return;
        };
        let in_time = request.ts - session.tally.last <= self.settings.success_window_us;
        if !in_time || request.received < session.tally.first {
            return;
        }
        if !session.agents.contains(&request.user_agent()) {
            return;
        }
        let username = request.username();
        let guessable = GUESSABLE.contains(&vocabulary.text(request.credential_kind()));
        let known = ledger.usernames_of(peer).contains(&username);
        let newcomer = session.newcomers.contains(&username);
        if !guessable || (known && !newcomer) {
            // After many refusals, who was never served here by this program proves nothing of those who were
            // refused: an attacker may well hold a credential of his own.
            session.recovered |= session.tally.count < self.settings.success_refused
                || session.known_users.contains(&username)
                || session.repeats_itself()
                || session.looks_on(vocabulary);
            return;
        }
        if !newcomer {
            if session.newcomers.is_empty() {
                session.until_success = request.ts - session.tally.last;
            }
            session.newcomers.push(username);
        }
        session
            .success
            .get_or_insert_with(Tally::empty)
            .add(request, context);
    }

    /// Draws the findings; `tied` counts per address the refusals that another finding explains.
    pub fn finish(
        self,
        context: &Context<'_>,
        ledger: &Ledger,
        tied: &HashMap<u32, u64>,
    ) -> Vec<Finding> {
        let vocabulary = context.vocabulary;
        let mut sessions: Vec<&Session> = self.closed.iter().chain(self.open.values()).collect();
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
            let burst = self.settings.is_burst(session);
            if burst {
                findings.push(self.brute_force_finding(session, vocabulary));
            }
            if let Some(success) = &session.success
                && session.tally.count >= self.settings.success_refused
                && (burst || !session.is_known_client())
            {
                findings.push(self.success_finding(session, success, burst, context));
            }
            if !burst {
                quiet.push(session);
            }
        }
        let quiet = self.storms(quiet, context, ledger, &mut findings);
        let quiet = self.sprays(quiet, context, &mut findings);
        let quiet = self.slow_sprays(quiet, context, ledger, &mut findings);
        self.left_over(quiet, context, ledger, tied, &mut findings);
        self.rate(context.vocabulary, &mut findings);
        findings
    }
}

impl Settings {
    /// Many at once, or very many in all by what is no program in a loop.
    fn is_burst(&self, session: &Session) -> bool {
        let is_loop = session.repeats_itself() || session.goes_round();
        let many = session.peak >= self.burst || (session.tally.count >= self.total && !is_loop);
        // No excuse is good enough for so many at once.
        let excused = session.peak < self.high_burst
            && (session.recovered || session.is_mostly_tied() || self.is_retry_loop(session));
        many && !excused
    }

    /// Paths that this client was served before; or the same one or two at a steady pace.
    fn is_retry_loop(&self, session: &Session) -> bool {
        let served_before = session.known_paths * 5 >= session.tally.count * 4;
        let variation = session.gaps.variation();
        let steady = variation.is_some_and(|variation| variation <= self.steady)
            && session.gaps.mean >= RETRY_PAUSE_US;
        served_before || (steady && session.repeats_itself())
    }
}

/// Returns whether a request is for what is named as a node: the kubelet's own object, lease or Pods, all of which policies
/// for kubelets often leave out of the log when they are served.
fn is_about_node(uri: &str, node: &str) -> bool {
    let (path, query) = uri.split_once('?').unwrap_or((uri, ""));
    let selected = form_urlencoded::parse(query.as_bytes())
        .filter(|(key, _)| key == "fieldSelector")
        .any(|(_, value)| {
            let value = value.rsplit('=').next().unwrap_or_default();
            value == node
        });
    selected || path.split('/').any(|part| part == node)
}
