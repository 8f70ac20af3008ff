//! The engine: requests in log order to findings.
//!
//! Feeds every request to the ledger, the rules' sessions, the correlations and the analytics, and
//! draws the findings at the end. Nothing here depends on chunks, threads or the order of hash maps.

mod draw;

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};

use hashbrown::{Equivalent, HashMap, HashSet};
use serde::{Deserialize, Serialize};

use super::analytics::Context;
use super::analytics::anonymous_grant::AnonymousGrant;
use super::analytics::audit_gap::AuditGap;
use super::analytics::break_glass::BreakGlass;
use super::analytics::custody::Custody;
use super::analytics::escalation::Escalation;
use super::analytics::forwarded_address::ForwardedAddress;
use super::analytics::lives::Lives;
use super::analytics::machinery::Machinery;
use super::analytics::mass_deletion::MassDeletion;
use super::analytics::masters::Masters;
use super::analytics::new_behaviour::NewBehaviour;
use super::analytics::proven_grant::ProvenGrant;
use super::analytics::rates::Rates;
use super::analytics::rights_lost::RightsLost;
use super::analytics::role_grant::RoleGrant;
use super::analytics::role_widened::RoleWidened;
use super::analytics::shared_credential::SharedCredential;
use super::analytics::token_by_hand::TokenByHand;
use super::analytics::token_reuse::TokenReuse;
use super::analytics::unauthorized::{Metas, Unauthorized};
use super::compile::CompiledRules;
use super::correlate::Correlation;
use super::coverage::Coverage;
use super::evaluate::Hit;
use super::feed::{Fed, Judge};
use super::fold::{Folded, Hits, KeptHit, LONGEST_WAIT_US};
use super::habit;
use super::makers::Makers;
use super::request::Request;
use super::supply::Portion;
use super::tally::{Quoted, Sessions};
use crate::credential::{Deaths, Fates, Horizons, Ledger};
use crate::finding::credential::Credential;
use crate::finding::incident::Incident;
use crate::finding::{Excluded, Finding};
use crate::frame::{Column, EventFrame, Vocabulary};
use crate::memory::remembers;
use crate::rules::{Parameters, RuleBody, RuleError, RuleMeta, RuleSet};

/// Everything that is remembered between requests.
#[derive(Clone)]
pub struct Engine<'r> {
    rules: &'r RuleSet,
    compiled: &'r CompiledRules,
    vocabulary: &'r Vocabulary,
    evidence_limit: usize,
    is_at_rest: bool,
    groups: Vec<Vec<Column>>,
    silent: Vec<bool>,
    hits: HashMap<(u32, Box<[u32]>), HitGroup>,
    /// Hits that a list holds back if the log is of a distribution that it is for.
    withheld: HashMap<(u32, Box<[u32]>, u64), HitGroup>,
    /// Hits in namespaces of one's own, by rule and user.
    at_home: HashMap<(u32, u32), HitGroup>,
    /// Requests that a list held back, by rule and list.
    excluded: HashMap<(u32, u32), u64>,
    /// Rules that hit the request at hand.
    matched: Vec<u32>,
    correlations: Vec<Correlation>,
    /// By rule: the correlations that look at it, by their place in `correlations`.
    correlated: Vec<Vec<u32>>,
    /// Correlations that the request at hand is for, the first one on top.
    due: BinaryHeap<Reverse<u32>>,
    /// What the request at hand is grouped by: room that serves again.
    group: Vec<u32>,
    ledger: Ledger,
    deaths: Deaths,
    /// Kept only if credentials are to be listed.
    fates: Option<Fates>,
    makers: Makers,
    coverage: Coverage,
    anonymous_grant: AnonymousGrant,
    break_glass: BreakGlass,
    escalation: Escalation,
    forwarded_address: ForwardedAddress,
    audit_gap: AuditGap,
    custody: Custody,
    lives: Lives,
    machinery: Machinery,
    mass_deletion: MassDeletion,
    new_behaviour: NewBehaviour,
    rates: Rates,
    proven_grant: ProvenGrant,
    rights_lost: RightsLost,
    role_grant: RoleGrant,
    role_widened: RoleWidened,
    masters: Masters,
    shared_credential: SharedCredential,
    token_by_hand: TokenByHand,
    token_reuse: TokenReuse,
    unauthorized: Unauthorized,
    requests: u64,
    /// When the log begins, or what of it is still remembered.
    began: i64,
}

/// How long what has come to findings is remembered by who goes on and on, in microseconds of log time: what begins
/// again after it is another finding.
pub const KEPT_US: i64 = 30 * 86_400_000_000;

/// How long a Pod's token is remembered by its id once the Pod uses a newer one, in microseconds of log time. It may be good for
/// a year yet (kube-apiserver, `--service-account-extend-token-expiration`); where its Pod is at home stays known.
const REPLACED_US: i64 = 12 * 3_600_000_000;

/// How long the tokens of a Pod are remembered once it is gone, in microseconds of log time: API servers look for the Pod with
/// each request (kubernetes/kubernetes `pkg/serviceaccount/claims.go`), so they are refused, without a name.
const ORPHANED_US: i64 = 7 * 86_400_000_000;

/// The hits of one rule in one group.
#[derive(Clone, Serialize, Deserialize)]
struct HitGroup {
    sessions: Sessions,
    why: Vec<String>,
}

impl HitGroup {
    fn new(why: Vec<String>) -> Self {
        Self {
            sessions: Sessions::default(),
            why,
        }
    }
}

/// What it is read from that a hit rests on.
enum Ground<'h> {
    Row(&'h EventFrame, usize),
    Kept(&'h KeptHit),
}

impl Ground<'_> {
    fn why(&self, compiled: &CompiledRules, rule: u32) -> Vec<String> {
        match self {
            Self::Row(frame, row_idx) => compiled.why(rule as usize, frame, *row_idx),
            Self::Kept(hit) => hit.why.clone(),
        }
    }

    fn quotes(&self, compiled: &CompiledRules, rule: u32) -> Vec<Vec<Quoted>> {
        match self {
            Self::Row(frame, row_idx) => compiled.quotes(rule as usize, frame, *row_idx),
            Self::Kept(hit) => hit.quotes.clone(),
        }
    }
}

/// The key of a group of hits: to look for it costs no room. It has the hash of what it is equivalent to.
#[derive(Hash)]
struct HitKey<'k>(u32, &'k [u32]);

impl Equivalent<(u32, Box<[u32]>)> for HitKey<'_> {
    fn equivalent(&self, (rule, key): &(u32, Box<[u32]>)) -> bool {
        self.0 == *rule && *self.1 == **key
    }
}

remembers!(
    each Engine<'_>: [
        hits, withheld, at_home, excluded, ledger, deaths, fates, makers, lives, requests, began
    ],
    parts [
        correlations, coverage, anonymous_grant, break_glass, escalation, forwarded_address, custody,
        mass_deletion, new_behaviour, rates, proven_grant, rights_lost, role_grant, role_widened, masters, shared_credential,
        token_by_hand, token_reuse, unauthorized
    ],
    anew [
        rules, compiled, vocabulary, evidence_limit, is_at_rest, groups, silent, matched, correlated, due, group,
        audit_gap, machinery
    ]
);

/// The silence of what is one finding however long that is, in microseconds.
const ALWAYS_US: i64 = i64::MAX / 4;

/// Returns the silence after which a new finding of a rule starts, in microseconds.
fn gap(meta: &RuleMeta) -> i64 {
    if meta.once {
        ALWAYS_US
    } else {
        meta.session_gap_us
    }
}

/// What a scan comes to.
pub struct Outcome {
    /// All findings, worst first, then by time, then by id.
    pub findings: Vec<Finding>,
    /// What they come to, worst first.
    pub incidents: Vec<Incident>,
    /// What the log cannot show.
    pub blind: Vec<String>,
    /// What a reader should know of this log.
    pub notes: Vec<String>,
    /// How much of the log is out of order, if it matters.
    pub disorder: Option<String>,
    /// What lists held back.
    pub excluded: Vec<Excluded>,
    /// The credentials of the log, in the order of first use, if they were asked for.
    pub credentials: Vec<Credential>,
    /// Requests.
    pub requests: u64,
}

impl<'r> Engine<'r> {
    /// Prepares the rules' state.
    ///
    /// # Errors
    /// When a rule groups by something that requests do not carry, a correlation is of a type that is
    /// not supported, or an analytic's parameters are missing or wrong.
    pub fn new(
        rules: &'r RuleSet,
        compiled: &'r CompiledRules,
        vocabulary: &'r Vocabulary,
        evidence_limit: usize,
    ) -> Result<Self, RuleError> {
        let groups = rules
            .rules
            .iter()
            .map(|rule| {
                let mut columns = columns(&rule.meta, &rule.meta.group_by)?;
                columns.extend(habit::columns(rule.meta.habit));
                Ok(columns)
            })
            .collect::<Result<_, RuleError>>()?;
        let indices = rules.correlations_in_order();
        let correlations: Vec<Correlation> = indices
            .into_iter()
            .map(|index| Correlation::new(index, &rules.rules[index], rules))
            .collect::<Result<_, _>>()?;
        let mut silent = vec![false; rules.rules.len()];
        for rule in &rules.rules {
            if let RuleBody::Correlation(correlation) = &rule.body
                && !correlation.generate
            {
                for base in rule.bases() {
                    silent[position(rules, &rule.meta, base)?] = true;
                }
            }
        }
        let mut correlated = vec![Vec::new(); rules.rules.len()];
        for (place, correlation) in (0..).zip(&correlations) {
            for &base in correlation.bases() {
                correlated[base as usize].push(place);
            }
        }
        let analytic = |name: &str| analytic(rules, name);
        let meta = |name: &str| analytic(name).map(|(meta, _)| meta);
        let (grant_meta, grant_parameters) = analytic("anonymous-grant-in-use")?;
        let (reuse_meta, reuse_parameters) = analytic("token-reuse-after-deletion")?;
        Ok(Self {
            rules,
            compiled,
            vocabulary,
            evidence_limit,
            is_at_rest: false,
            groups,
            silent,
            hits: HashMap::new(),
            withheld: HashMap::new(),
            at_home: HashMap::new(),
            excluded: HashMap::new(),
            matched: Vec::new(),
            correlations,
            correlated,
            due: BinaryHeap::new(),
            group: Vec::new(),
            ledger: Ledger::default(),
            deaths: Deaths::default(),
            fates: None,
            makers: Makers::default(),
            coverage: Coverage::new(meta("unauthorized-blind")?, rules)?,
            anonymous_grant: AnonymousGrant::new(grant_meta, grant_parameters)?,
            forwarded_address: ForwardedAddress::new(analytic("forwarded-address-forged")?)?,
            audit_gap: AuditGap::new(analytic("audit-gap")?)?,
            custody: Custody::new(&analytic, vocabulary)?,
            break_glass: BreakGlass::new(analytic("break-glass-session")?)?,
            escalation: Escalation::new(analytic("escalation-attempts")?, vocabulary)?,
            lives: Lives::default(),
            machinery: Machinery::default(),
            mass_deletion: MassDeletion::new(analytic("mass-deletion")?, vocabulary)?,
            new_behaviour: NewBehaviour::new(analytic("new-behaviour")?, vocabulary)?,
            rates: Rates::new(
                analytic("denied-rate")?,
                analytic("secret-read-rate")?,
                vocabulary,
            )?,
            proven_grant: ProvenGrant::new(analytic("cluster-admin-proven")?)?,
            rights_lost: RightsLost::new(analytic("rights-taken-away")?)?,
            role_grant: RoleGrant::new(analytic("powerful-role-bound")?, vocabulary)?,
            role_widened: RoleWidened::new(meta("builtin-role-widened")?, vocabulary),
            masters: Masters::new(
                meta("masters-credential")?,
                meta("masters-second-credential")?,
                analytic("masters-new-source")?,
                meta("superuser-new-source")?,
            )?,
            shared_credential: SharedCredential::new(
                analytic("shared-credential")?,
                analytic("pod-token-away")?,
            )?,
            token_by_hand: TokenByHand::new(analytic("program-token-by-hand")?)?,
            token_reuse: TokenReuse::new(reuse_meta, reuse_parameters)?,
            unauthorized: Unauthorized::new(&Metas {
                brute_force: analytic("unauthorized-brute-force")?,
                spray: analytic("unauthorized-spray")?,
                then_success: analytic("unauthorized-then-success")?,
                storm: analytic("unauthorized-storm")?,
                refused: meta("refused-credentials")?,
                rate: analytic("unauthorized-rate")?,
            })?,
            requests: 0,
            began: i64::MAX,
        })
    }

    /// Has the credentials listed in the end; to be called before the first request.
    pub fn list_credentials(&mut self) {
        self.fates = Some(Fates::default());
    }

    /// Has no request looked at from now on: for those who want the events and no findings.
    pub fn rest(&mut self) {
        self.is_at_rest = true;
    }

    /// Notes what the events of a frame can tell at all.
    pub fn note_coverage(&mut self, portion: Portion) {
        self.coverage.note(portion);
    }

    /// Says which rules the log can feed; `unseen` are fields in bodies that no event has, if somebody looked.
    pub fn feed(&self, unseen: &BTreeSet<String>) -> Vec<Fed> {
        let supply = self.coverage.supply();
        Judge::new(self.rules, self.compiled, self.vocabulary, supply, unseen).judge()
    }

    /// Forgets what no request from `before` on has to do with, if those that wait for their end are answered within
    /// [`LONGEST_WAIT_US`].
    ///
    /// `found` is what it came to so far: what findings speak of stays known.
    pub fn forget(&mut self, before: i64, found: &[Finding]) {
        let unfinished_before = before.saturating_sub(LONGEST_WAIT_US);
        let over_before = before.saturating_sub(KEPT_US);
        self.began = self.began.max(over_before);
        for correlation in &mut self.correlations {
            correlation.forget_episodes(over_before);
            correlation.forget(before, unfinished_before);
        }
        self.hits
            .retain(|_, group| group.sessions.forget(over_before));
        self.withheld
            .retain(|_, group| group.sessions.forget(over_before));
        self.at_home
            .retain(|_, group| group.sessions.forget(over_before));
        self.unauthorized.forget(over_before);
        self.token_reuse.forget(over_before);
        let replaced = before.saturating_sub(REPLACED_US);
        self.token_by_hand.forget(over_before, replaced);
        self.custody.forget(over_before, replaced);
        self.proven_grant.forget(over_before);
        self.rights_lost.forget(over_before);
        self.role_grant.forget(over_before);
        self.role_widened.forget(over_before);
        let needed = self.spoken_of(found);
        // A request may have been open for a day before it shows in a finding.
        let over = over_before.saturating_sub(LONGEST_WAIT_US);
        let horizons = Horizons {
            replaced,
            orphaned: before.saturating_sub(ORPHANED_US),
            over,
        };
        self.ledger
            .forget(horizons, &self.deaths, &needed, self.vocabulary);
        // The list of credentials speaks of all of them.
        if self.fates.is_none() {
            let needed: HashSet<usize> = self.token_reuse.deaths().collect();
            self.deaths.forget(horizons.orphaned, &needed);
        }
        self.shared_credential
            .forget(over_before, replaced, &self.ledger);
    }

    /// Returns the credentials that findings speak of, those to come included.
    fn spoken_of(&self, found: &[Finding]) -> HashSet<u32> {
        let keys = found.iter().flat_map(|finding| {
            let key = finding.actor.credential_id.iter();
            key.chain(&finding.ties.credentials)
        });
        keys.filter_map(|key| self.vocabulary.find(key))
            .chain(self.token_reuse.credentials())
            .chain(self.custody.credentials())
            .chain(self.shared_credential.credentials())
            .collect()
    }

    /// Takes in one request.
    pub fn observe(&mut self, folded: &Folded<'_>) {
        if self.is_at_rest {
            return;
        }
        let request = &folded.request;
        let context = Context {
            vocabulary: self.vocabulary,
            evidence_limit: self.evidence_limit,
        };
        self.requests += 1;
        // What never got its final stage comes last, with a time long past: no clue to an order.
        let in_order = matches!(folded.hits, Hits::Row(..));
        if in_order {
            self.began = self.began.min(request.ts);
        }
        self.coverage.observe(request, in_order);
        // Before the ledger knows of the request: the question is whether the client is new.
        if in_order {
            let tied = self
                .token_reuse
                .observe(request, &context, &self.ledger, &mut self.deaths);
            self.unauthorized
                .observe(request, &context, &self.ledger, tied);
        }
        if request.authenticated() {
            self.ledger.enter(request);
            self.masters.observe(request, &context);
            self.token_by_hand.observe(request, &context);
            if in_order {
                self.shared_credential.observe(request, &context);
            }
        }
        if let Some(fates) = &mut self.fates {
            let body = || folded.bodies()[0];
            fates.observe(request, body, in_order, &self.deaths, self.vocabulary);
        }
        self.anonymous_grant.observe(request, &context);
        self.forwarded_address.observe(request, &context);
        self.custody
            .observe(folded, &context, &self.ledger, &self.deaths);
        self.break_glass.observe(request, &context);
        if in_order {
            self.escalation.observe(request, &self.machinery, &context);
            self.mass_deletion
                .observe(request, &self.machinery, &context);
            self.proven_grant.observe(folded, &context);
            self.rights_lost.observe(request, &context);
            self.role_grant.observe(folded, &self.machinery, &context);
            self.role_widened
                .observe(request, &self.machinery, &context);
            let past = self.lives.live(request);
            self.rates
                .observe(request, &past, &self.machinery, &context);
            self.new_behaviour
                .observe(request, &past, &self.lives, &self.machinery, &context);
        }
        self.deaths.note(request, &self.ledger, self.vocabulary);
        self.makers.observe(request, self.vocabulary);
        self.matched.clear();
        match &folded.hits {
            Hits::Row(hits, frame, row) => {
                let ground = Ground::Row(frame, *row);
                for hit in *hits {
                    self.hit(hit.rule, hit.held_by, request, &context, &ground);
                }
            }
            Hits::Kept(hits) => {
                for hit in hits {
                    let ground = Ground::Kept(hit);
                    self.hit(hit.rule, hit.held_by, request, &context, &ground);
                }
            }
        }
        if !self.matched.is_empty() {
            self.correlate(request, in_order, &context);
        }
    }

    /// Takes in that `rule` hits a request; what met its conditions is asked for the first of a group only.
    fn hit(
        &mut self,
        rule: u32,
        held_by: u64,
        request: &Request<'_>,
        context: &Context<'_>,
        ground: &Ground<'_>,
    ) {
        let vocabulary = context.vocabulary;
        let compiled = self.compiled;
        if let Some(list) = self.excluding(rule, held_by) {
            *self.excluded.entry((rule, list)).or_default() += 1;
            return;
        }
        let meta = &self.rules.rules[rule as usize].meta;
        let is_at_home =
            held_by == 0 && meta.own_namespace && self.makers.made_namespace(request, vocabulary);
        if held_by == 0 && !is_at_home {
            self.matched.push(rule);
        }
        if held_by == 0 && self.silent[rule as usize] {
            return; // Others say what it comes to.
        }
        let codes = codes(request, &self.groups[rule as usize], vocabulary);
        self.group.clear();
        self.group.extend(codes);
        let quotes = self.has_habits(rule).then(|| ground.quotes(compiled, rule));
        let said = quotes.as_deref();
        let said = said.and_then(|quotes| habit::said(quotes, vocabulary));
        self.group.extend(said);
        let group = if is_at_home {
            let group = self.at_home.entry((rule, request.username()));
            group.or_insert_with(|| HitGroup::new(ground.why(compiled, rule)))
        } else if held_by == 0 {
            if let Some(group) = self.hits.get_mut(&HitKey(rule, &self.group)) {
                group
            } else {
                let group = self.hits.entry((rule, (*self.group).into()));
                group.or_insert_with(|| HitGroup::new(ground.why(compiled, rule)))
            }
        } else {
            let group = self.withheld.entry((rule, (*self.group).into(), held_by));
            group.or_insert_with(|| HitGroup::new(ground.why(compiled, rule)))
        };
        let gap = if is_at_home { ALWAYS_US } else { gap(meta) };
        let tally = group.sessions.add(request, gap, context);
        if tally.has_room_for_quotes(compiled.n_quotes(rule as usize)) {
            tally.quote(quotes.unwrap_or_else(|| ground.quotes(compiled, rule)));
        }
    }

    /// Feeds the rules that hit a request to the correlations, and those that hold then to others.
    fn correlate(&mut self, request: &Request<'_>, in_order: bool, context: &Context<'_>) {
        let of_rule = |rule: &u32| self.correlated[*rule as usize].iter();
        let due = self.matched.iter().flat_map(of_rule);
        self.due.extend(due.copied().map(Reverse));
        let mut last = None;
        // Those that look at others come behind them.
        while let Some(Reverse(place)) = self.due.pop() {
            if last.replace(place) == Some(place) {
                continue;
            }
            let correlation = &mut self.correlations[place as usize];
            if correlation.observe(&self.matched, request, in_order, context) {
                let rule = correlation.rule;
                self.matched
                    .push(u32::try_from(rule).expect("fewer than 2^32 rules"));
                let due = self.correlated[rule].iter();
                self.due.extend(due.copied().map(Reverse));
            }
        }
    }

    /// Returns the list that holds a hit back whatever the distribution is.
    fn excluding(&self, rule: u32, held_by: u64) -> Option<u32> {
        let lists = self.compiled.lists_of(rule as usize);
        let first = *lists.get(held_by.trailing_zeros() as usize)?;
        let is_of_all = self.rules.lists[first as usize].profiles.is_empty();
        is_of_all.then_some(first)
    }

    /// Keeps a hit of a row that goes, with what it rests on if anybody will ask for that.
    pub fn kept(&self, hit: Hit, frame: &EventFrame, request: &Request<'_>) -> KeptHit {
        let Hit { rule, held_by, .. } = hit;
        let is_silent = held_by == 0 && self.silent[rule as usize];
        let is_told = !is_silent && self.excluding(rule, held_by).is_none();
        let ground = Ground::Row(frame, hit.row_idx as usize);
        let mut kept = KeptHit {
            rule,
            held_by,
            why: Vec::new(),
            quotes: Vec::new(),
        };
        if is_told {
            kept.quotes = ground.quotes(self.compiled, rule);
            if !self.is_known(hit, request, &kept.quotes) {
                kept.why = ground.why(self.compiled, rule);
            }
        }
        kept
    }

    /// Returns whether a hit is in a group that will stay known as long as the request may wait for its end.
    fn is_known(&self, hit: Hit, request: &Request<'_>, quotes: &[Vec<Quoted>]) -> bool {
        let columns = &self.groups[hit.rule as usize];
        let mut group = key(request, columns, self.vocabulary).into_vec();
        if self.has_habits(hit.rule) {
            group.extend(habit::said(quotes, self.vocabulary));
        }
        let group = self.hits.get(&HitKey(hit.rule, &group));
        let is_recent = |group: &HitGroup| {
            group.sessions.last() >= Some(request.ts.saturating_sub(LONGEST_WAIT_US))
        };
        hit.held_by == 0 && group.is_some_and(is_recent)
    }

    fn has_habits(&self, rule: u32) -> bool {
        self.rules.rules[rule as usize].meta.habit.is_some()
    }

    /// Returns how many findings single events gave so far.
    pub fn groups(&self) -> u64 {
        self.hits.len() as u64
    }
}

pub(super) fn key(
    request: &Request<'_>,
    columns: &[Column],
    vocabulary: &Vocabulary,
) -> Box<[u32]> {
    codes(request, columns, vocabulary).collect()
}

fn codes(
    request: &Request<'_>,
    columns: &[Column],
    vocabulary: &Vocabulary,
) -> impl Iterator<Item = u32> {
    let columns = columns.iter();
    columns.map(|&column| request.code_of(column, vocabulary))
}

/// Resolves the columns that a rule groups by, by column name or audit path.
pub(super) fn columns(meta: &RuleMeta, names: &[String]) -> Result<Vec<Column>, RuleError> {
    let column = |name: &String| {
        Column::by_name(name)
            .or_else(|| Column::by_path(name))
            .filter(|&column| Request::carries(column))
            .ok_or_else(|| {
                RuleError::at(
                    &meta.path,
                    &meta.text,
                    name,
                    format!("cannot group by `{name}`"),
                )
            })
    };
    names.iter().map(column).collect()
}

pub(super) fn position(
    rules: &RuleSet,
    meta: &RuleMeta,
    reference: &str,
) -> Result<usize, RuleError> {
    rules.find(reference).ok_or_else(|| {
        let what = format!("no rule has the name or id `{reference}`");
        RuleError::at(&meta.path, &meta.text, reference, what)
    })
}

fn analytic<'r>(
    rules: &'r RuleSet,
    name: &str,
) -> Result<(&'r RuleMeta, &'r Parameters), RuleError> {
    rules
        .rules
        .iter()
        .find_map(|rule| match &rule.body {
            RuleBody::Analytic(parameters) if rule.meta.name == name => {
                Some((&rule.meta, parameters))
            }
            _ => None,
        })
        .ok_or_else(|| {
            RuleError::at(
                "analytics",
                "",
                "",
                format!("there is no analytic named `{name}`"),
            )
        })
}
