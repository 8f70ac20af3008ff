//! Tallies: requests that belong together, summed up to what one finding says of them.
//!
//! A session is a run of requests of one group with no pause longer than its gap. Sessions are the
//! same whatever order the requests come in.

use std::collections::BTreeSet;

use hashbrown::HashSet;
use serde::{Deserialize, Serialize};

use super::analytics::Context;
use super::request::{Request, Sighting, is_success, redacted};
use super::templates::Templates;
use super::view::argv;
use crate::finding::steps::Effect;
use crate::finding::{Actor, Origin, Target, Timestamp};
use crate::frame::vocabulary::known;
use crate::frame::{NULL, Vocabulary};
use crate::redact::redact_command;
use crate::rules::Habit;

/// How many distinct addresses, agents and objects a session names; it counts all.
const NAMED: usize = 64;

/// How many distinct commands a session names.
const COMMANDS: usize = 8;

/// What a finding needs to know of the requests behind it.
///
/// Memory: bounded, but for the evidence where the user asked for all of it.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Tally {
    /// When the first of the requests was received: known from the first stage that is logged, whichever ends the request.
    pub began: i64,
    /// Stage time of the earliest request.
    pub first: i64,
    /// Stage time of the latest request.
    pub last: i64,
    /// Requests.
    pub count: u64,
    /// Requests that were served.
    pub succeeded: u64,
    /// Requests that were refused, with 401 or 403.
    pub refused: u64,
    /// Requests that changed something, or were to.
    pub writes: u64,
    /// Those of them that surely changed nothing: refused ones, and dry runs.
    idle: u64,
    /// Requests whose events were found behind damage.
    pub recovered: u64,
    /// The earliest requests' places in the log, at most as many as asked for, in log order.
    pub sightings: Vec<Sighting>,
    /// By [`Of`].
    codes: [Codes; N_CODES],
    /// What the last request had of them, and whether it changed something: many are as the one before.
    #[serde(skip)]
    last_codes: Option<([u32; N_CODES], bool)>,
    /// Templates of which there was a request, so that another one has nothing new; whether they change something, and
    /// whether in a dry run.
    #[serde(skip)]
    templates: Templates<(bool, bool)>,
    names: BTreeSet<Box<str>>,
    unnamed: bool,
    commands: BTreeSet<Box<str>>,
    /// What the summary of the rule quotes: values, those that a condition is about first.
    quotes: Vec<BTreeSet<Quoted>>,
}

/// A value that a summary quotes; in the order in which they are named.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Quoted {
    /// Whether no condition of the rule is about it: it stands beside what is.
    pub is_beside: bool,
    /// Whether it begins with `system:`, as the names of what comes with a cluster do.
    pub is_of_system: bool,
    /// The value, without secrets.
    pub text: Box<str>,
}

/// What is said of requests by code, in the order of [`Request::tallied`].
#[derive(Clone, Copy)]
enum Of {
    Username,
    Impersonated,
    Credential,
    Kind,
    Peer,
    Agent,
    Verb,
    Resource,
    Subresource,
    Namespace,
    Reason,
}

const N_CODES: usize = Of::Reason as usize + 1;

/// What a tally takes of a request: kept while it is open whether the request is part of any.
#[derive(Clone, Serialize, Deserialize)]
pub struct Trace {
    at: Sighting,
    /// When the request began.
    began: i64,
    code: u32,
    is_recovered: bool,
    /// By [`Of`].
    codes: [u32; N_CODES],
    #[serde(serialize_with = "redacted")]
    name: Box<str>,
    /// Of exec, without secrets.
    command: Option<Box<str>>,
}

impl Trace {
    /// Takes it from a request.
    pub fn of(request: &Request<'_>) -> Self {
        Self {
            at: request.sighting(),
            began: request.began(),
            code: request.code,
            is_recovered: request.is_recovered,
            codes: *request.tallied(),
            name: request.name().into(),
            command: command(request),
        }
    }

    /// Returns the stage time.
    pub fn ts(&self) -> i64 {
        self.at.ts
    }

    /// Returns the credential.
    pub fn credential(&self) -> u32 {
        self.codes[Of::Credential as usize]
    }
}

/// Returns the command of exec, without secrets.
fn command(request: &Request<'_>) -> Option<Box<str>> {
    let is_exec = request.subresource() == known::EXEC;
    is_exec.then(|| redact_command(&argv(request.request_uri())).into())
}

/// Distinct codes in order of appearance, null included.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Codes(Vec<u32>);

impl Codes {
    fn add(&mut self, code: u32) {
        if self.0.last() != Some(&code) && self.0.len() < NAMED && !self.0.contains(&code) {
            self.0.push(code);
        }
    }

    fn texts(&self, vocabulary: &Vocabulary) -> Vec<String> {
        let mut texts: Vec<String> = self
            .0
            .iter()
            .filter(|&&code| code != NULL)
            .map(|&code| vocabulary.text(code).to_owned())
            .collect();
        texts.sort_unstable();
        texts
    }

    fn only(&self, vocabulary: &Vocabulary) -> Option<String> {
        match self.0[..] {
            [code] if code != NULL => Some(vocabulary.text(code).to_owned()),
            _ => None,
        }
    }
}

impl Tally {
    /// Starts with nothing: `first` is after `last` until a request is added.
    pub fn empty() -> Self {
        Self {
            began: i64::MAX,
            first: i64::MAX,
            last: i64::MIN,
            ..Self::default()
        }
    }

    /// Starts with no request, from `first` to `last`: of what is counted otherwise.
    pub fn spanning(first: i64, last: i64) -> Self {
        Self {
            began: first,
            first,
            last,
            ..Self::default()
        }
    }

    /// Starts with one request.
    pub fn new(request: &Request<'_>, context: &Context<'_>) -> Self {
        let mut tally = Self::empty();
        tally.add(request, context);
        tally
    }

    /// Adds one request.
    pub fn add(&mut self, request: &Request<'_>, context: &Context<'_>) {
        let vocabulary = context.vocabulary;
        self.count(request.began(), request.ts, request.code);
        self.recovered += u64::from(request.is_recovered);
        if self.sightings.len() < context.evidence_limit {
            self.sightings.push(request.sighting());
        }
        if let Some((is_write, is_dry_run)) = self.templates.get(request.template) {
            self.count_write(is_write, is_dry_run, request.code);
            return;
        }
        let is_write = self.add_codes(request.tallied(), vocabulary);
        let is_dry_run = is_write && request.is_dry_run(vocabulary);
        self.count_write(is_write, is_dry_run, request.code);
        self.add_name(request.name());
        // Taking secrets out of one is slow.
        if self.commands.len() < COMMANDS {
            self.commands.extend(command(request));
        }
        let answer = (is_write, is_dry_run);
        self.templates.insert(request.template, answer);
    }

    /// Adds one request by what was kept of it.
    pub fn add_trace(&mut self, trace: Trace, context: &Context<'_>) {
        let vocabulary = context.vocabulary;
        self.count(trace.began, trace.at.ts, trace.code);
        self.recovered += u64::from(trace.is_recovered);
        let is_write = self.add_codes(&trace.codes, vocabulary);
        // Whether it was a dry run is not kept: too dear for what is seldom asked.
        self.count_write(is_write, false, trace.code);
        self.add_name(&trace.name);
        if self.sightings.len() < context.evidence_limit {
            self.sightings.push(trace.at);
        }
        if self.commands.len() < COMMANDS {
            self.commands.extend(trace.command);
        }
    }

    fn count(&mut self, began: i64, ts: i64, code: u32) {
        self.began = self.began.min(began);
        self.first = self.first.min(ts);
        self.last = self.last.max(ts);
        self.count += 1;
        self.succeeded += u64::from(is_success(code));
        self.refused += u64::from(code == 401 || code == 403);
    }

    fn count_write(&mut self, is_write: bool, is_dry_run: bool, code: u32) {
        self.writes += u64::from(is_write);
        let is_idle = (400..500).contains(&code) || (is_dry_run && is_success(code));
        self.idle += u64::from(is_write && is_idle);
    }

    fn add_name(&mut self, name: &str) {
        if name.is_empty() {
            self.unnamed = true;
        } else if self.names.len() < NAMED && !self.names.contains(name) {
            self.names.insert(name.into());
        }
    }

    /// Adds the codes of a request; returns whether it changed something.
    fn add_codes(&mut self, codes: &[u32; N_CODES], vocabulary: &Vocabulary) -> bool {
        if let Some((last, is_write)) = &self.last_codes
            && last == codes
        {
            return *is_write;
        }
        for (known, &code) in self.codes.iter_mut().zip(codes) {
            known.add(code);
        }
        let [verb, resource] =
            [Of::Verb, Of::Resource].map(|it| vocabulary.text(codes[it as usize]));
        let is_write = is_change(verb, resource);
        self.last_codes = Some((*codes, is_write));
        is_write
    }

    /// Returns whether any of the first `n_quotes` quotes has room for more values.
    pub fn has_room_for_quotes(&self, n_quotes: usize) -> bool {
        let is_full = |quote: usize| self.quotes.get(quote).is_some_and(|it| it.len() >= NAMED);
        !(0..n_quotes).all(is_full)
    }

    /// Adds what a request says where the summary quotes it.
    pub fn quote(&mut self, quotes: Vec<Vec<Quoted>>) {
        self.quotes.resize_with(quotes.len(), BTreeSet::new);
        for (known, values) in self.quotes.iter_mut().zip(quotes) {
            known.extend(values);
            while known.len() > NAMED {
                known.pop_last();
            }
        }
    }

    fn of(&self, what: Of) -> &Codes {
        &self.codes[what as usize]
    }

    /// Adds single requests of which no more is known than their place.
    pub fn add_sightings<'s>(
        &mut self,
        sightings: impl Iterator<Item = &'s Sighting>,
        context: &Context<'_>,
    ) {
        for sighting in sightings {
            self.began = self.began.min(sighting.ts);
            self.first = self.first.min(sighting.ts);
            self.last = self.last.max(sighting.ts);
            self.count += 1;
            self.sightings.push(sighting.clone());
        }
        self.sightings
            .sort_by(|a, b| (a.ts, &a.audit_id).cmp(&(b.ts, &b.audit_id)));
        self.sightings.truncate(context.evidence_limit);
    }

    /// Adds all of another tally, which is the later one.
    pub fn merge(&mut self, other: Self, context: &Context<'_>) {
        self.began = self.began.min(other.began);
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
        self.count += other.count;
        self.succeeded += other.succeeded;
        self.refused += other.refused;
        self.writes += other.writes;
        self.idle += other.idle;
        self.recovered += other.recovered;
        self.sightings.extend(other.sightings);
        self.sightings.sort_by_key(|sighting| sighting.ts);
        self.sightings.truncate(context.evidence_limit);
        for (mine, theirs) in self.codes.iter_mut().zip(other.codes) {
            theirs.0.into_iter().for_each(|code| mine.add(code));
        }
        self.unnamed |= other.unnamed;
        self.commands.extend(other.commands);
        while self.commands.len() > COMMANDS {
            self.commands.pop_last();
        }
        let n_quotes = self.quotes.len().max(other.quotes.len());
        self.quotes.resize_with(n_quotes, BTreeSet::new);
        for (mine, theirs) in self.quotes.iter_mut().zip(other.quotes) {
            mine.extend(theirs);
            while mine.len() > NAMED {
                mine.pop_last();
            }
        }
        self.names.extend(other.names);
        while self.names.len() > NAMED {
            self.names.pop_last();
        }
    }

    /// Returns who it was, as far as it was one.
    pub fn actor(&self, vocabulary: &Vocabulary) -> Actor {
        Actor {
            username: self.of(Of::Username).only(vocabulary),
            kind: self.of(Of::Kind).only(vocabulary),
            credential_id: self.of(Of::Credential).only(vocabulary),
            impersonated: self.of(Of::Impersonated).only(vocabulary),
        }
    }

    /// Returns where it came from.
    pub fn origin(&self, vocabulary: &Vocabulary) -> Origin {
        Origin {
            ips: self.peers(vocabulary),
            user_agents: self.of(Of::Agent).texts(vocabulary),
        }
    }

    /// Returns the addresses, sorted.
    pub fn peers(&self, vocabulary: &Vocabulary) -> Vec<String> {
        self.of(Of::Peer).texts(vocabulary)
    }

    /// Returns the resources, sorted.
    pub fn resources(&self, vocabulary: &Vocabulary) -> Vec<String> {
        self.of(Of::Resource).texts(vocabulary)
    }

    /// Returns the verbs, sorted.
    pub fn verbs(&self, vocabulary: &Vocabulary) -> Vec<String> {
        self.of(Of::Verb).texts(vocabulary)
    }

    /// Returns the user names, sorted.
    pub fn usernames(&self, vocabulary: &Vocabulary) -> Vec<String> {
        self.of(Of::Username).texts(vocabulary)
    }

    /// Returns the keys of the credentials, sorted.
    pub fn credentials(&self, vocabulary: &Vocabulary) -> Vec<String> {
        self.of(Of::Credential).texts(vocabulary)
    }

    /// Returns the impersonated names, sorted.
    pub fn impersonated(&self, vocabulary: &Vocabulary) -> Vec<String> {
        self.of(Of::Impersonated).texts(vocabulary)
    }

    /// Returns the impersonated names, sorted, if there was one in each of the requests.
    pub fn always_impersonated(&self, vocabulary: &Vocabulary) -> Vec<String> {
        let names = self.of(Of::Impersonated);
        if names.0.contains(&NULL) {
            return Vec::new();
        }
        names.texts(vocabulary)
    }

    /// Returns the authorizer's reasons, sorted.
    pub fn authz_reasons(&self, vocabulary: &Vocabulary) -> Vec<String> {
        self.of(Of::Reason).texts(vocabulary)
    }

    /// Returns the names of objects, sorted.
    pub fn names(&self) -> Vec<String> {
        self.names.iter().map(ToString::to_string).collect()
    }

    /// Returns whether all requests were on objects that `known` has, with those who made them.
    pub fn is_all_among(&self, known: &HashSet<(String, String)>, vocabulary: &Vocabulary) -> bool {
        let users = self.usernames(vocabulary);
        let is_known = |name: &String| {
            let mut users = users.iter();
            users.any(|user| known.contains(&(user.clone(), name.clone())))
        };
        let is_told = !self.unnamed && self.names.len() < NAMED;
        is_told && !self.names.is_empty() && self.names().iter().all(is_known)
    }

    /// Returns the namespaces, sorted.
    pub fn namespaces(&self, vocabulary: &Vocabulary) -> Vec<String> {
        self.of(Of::Namespace).texts(vocabulary)
    }

    /// Returns what must be the same of requests that are a habit: from where, who, with what, what; the objects by name or by
    /// kind, and the commands.
    pub fn likeness(&self, habit: Habit, vocabulary: &Vocabulary) -> Vec<Vec<String>> {
        let alike = [
            Of::Peer,
            Of::Username,
            Of::Impersonated,
            Of::Agent,
            Of::Verb,
            Of::Resource,
            Of::Subresource,
            Of::Namespace,
        ];
        let mut likeness: Vec<_> = alike.map(|what| self.of(what).texts(vocabulary)).into();
        likeness.push(self.commands());
        if habit == Habit::Names {
            likeness.push(self.names());
        }
        likeness
    }

    /// Returns whether a request was for no namespace.
    pub fn is_cluster_wide(&self) -> bool {
        self.of(Of::Namespace).0.contains(&NULL)
    }

    /// Returns the user agents, sorted.
    pub fn agents(&self, vocabulary: &Vocabulary) -> Vec<String> {
        self.of(Of::Agent).texts(vocabulary)
    }

    /// Returns the commands of exec, sorted.
    pub fn commands(&self) -> Vec<String> {
        self.commands.iter().map(ToString::to_string).collect()
    }

    /// Returns the values of a quote of the summary, what matters first.
    pub fn quoted(&self, quote: usize) -> Vec<String> {
        let values = self.quotes.get(quote).into_iter().flatten();
        values.map(|value| value.text.to_string()).collect()
    }

    /// Returns what it was done to; what differs is left out.
    pub fn target(&self, vocabulary: &Vocabulary) -> Target {
        let mut names = self.names.iter();
        let name = match (names.next(), names.next(), self.unnamed) {
            (Some(name), None, false) => Some(name.to_string()),
            _ => None,
        };
        Target {
            resource: self.of(Of::Resource).only(vocabulary),
            subresource: self.of(Of::Subresource).only(vocabulary),
            namespace: self.of(Of::Namespace).only(vocabulary),
            name,
        }
    }

    /// Returns whether all requests were found behind damage.
    pub fn is_recovered(&self) -> bool {
        self.recovered > 0 && self.recovered == self.count
    }

    /// Returns what came of it: nothing, if all of it was refused or a dry run.
    pub fn effect(&self) -> Effect {
        let is_idle = self.count > 0 && self.idle == self.count;
        let is_of_part = self.of(Of::Subresource).0.iter().any(|&code| code != NULL);
        if !is_idle || is_of_part {
            return Effect::Some;
        }
        let verbs = &self.of(Of::Verb).0;
        if verbs.iter().all(|&verb| verb == known::CREATE) {
            return Effect::NotMade;
        }
        let changes = [known::CREATE, known::UPDATE, known::PATCH];
        if verbs.iter().all(|verb| changes.contains(verb)) {
            return Effect::NotChanged;
        }
        Effect::Some
    }

    /// Returns when the requests began and when the last of them ended.
    pub fn span(&self) -> (Timestamp, Timestamp) {
        (Timestamp(self.began), Timestamp(self.last))
    }
}

/// Returns whether a request with this verb on this resource changes something: reviews are created, and asked a question by that
/// (`authentication.k8s.io` and `authorization.k8s.io`).
pub fn is_change(verb: &str, resource: &str) -> bool {
    is_write(verb) && !REVIEWS.contains(&resource)
}

/// What is created and never kept.
const REVIEWS: [&str; 6] = [
    "tokenreviews",
    "selfsubjectreviews",
    "subjectaccessreviews",
    "localsubjectaccessreviews",
    "selfsubjectaccessreviews",
    "selfsubjectrulesreviews",
];

/// Returns whether the verb changes something.
pub fn is_write(verb: &str) -> bool {
    matches!(
        verb,
        "create" | "update" | "patch" | "delete" | "deletecollection"
    )
}

/// The sessions of one group, in order of time.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Sessions(Vec<Tally>);

impl Sessions {
    /// Adds a request to the session it belongs to, or starts one; joins two that it bridges. Returns its session.
    pub fn add(&mut self, request: &Request<'_>, gap_us: i64, context: &Context<'_>) -> &mut Tally {
        let began = request.began();
        let at = self
            .0
            .partition_point(|session| session.began - gap_us <= request.ts);
        // Sessions before `at` start early enough; the last of them is the only candidate.
        let open = at.checked_sub(1);
        let Some(mut open) = open.filter(|&open| began <= self.0[open].last + gap_us) else {
            self.0.insert(at, Tally::new(request, context));
            return &mut self.0[at];
        };
        self.0[open].add(request, context);
        // What lasts long may begin in sessions before.
        while open > 0 && began <= self.0[open - 1].last + gap_us {
            let next = self.0.remove(open);
            open -= 1;
            self.0[open].merge(next, context);
        }
        let is_bridged = |next: &Tally| next.began - gap_us <= self.0[open].last;
        if self.0.get(open + 1).is_some_and(is_bridged) {
            let next = self.0.remove(open + 1);
            self.0[open].merge(next, context);
        }
        &mut self.0[open]
    }

    /// Adds all sessions of another group, and joins what they bridge.
    pub fn join(&mut self, other: Self, gap_us: i64, context: &Context<'_>) {
        let mut all = std::mem::take(&mut self.0);
        all.extend(other.0);
        all.sort_by_key(|session| session.began);
        for session in all {
            match self
                .0
                .last_mut()
                .filter(|last| session.began <= last.last + gap_us)
            {
                Some(last) => last.merge(session, context),
                None => self.0.push(session),
            }
        }
    }

    /// Forgets the sessions that ended before a time; returns whether there are others.
    pub fn forget(&mut self, before: i64) -> bool {
        self.0.retain(|session| session.last >= before);
        !self.0.is_empty()
    }

    /// Returns the stage time of the latest request.
    pub fn last(&self) -> Option<i64> {
        self.0.iter().map(|session| session.last).max()
    }

    /// Returns the requests of all sessions.
    pub fn count(&self) -> u64 {
        self.0.iter().map(|session| session.count).sum()
    }

    /// Returns when the first session began.
    pub fn began(&self) -> Option<i64> {
        self.0.first().map(|session| session.began)
    }

    /// Takes sessions in order of time.
    pub fn from_tallies(sessions: Vec<Tally>) -> Self {
        Self(sessions)
    }

    /// Returns all sessions as one.
    pub fn into_one(self, context: &Context<'_>) -> Tally {
        let mut one = Tally::empty();
        for session in self.0 {
            one.merge(session, context);
        }
        one
    }

    /// Returns the sessions in order of time.
    pub fn into_tallies(self) -> Vec<Tally> {
        self.0
    }
}
