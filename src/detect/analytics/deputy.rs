//! `deputy-grant-used`, `deputy-secret-copied`: a custom resource by which somebody has a controller do what he may not.
//!
//! Whoever may write a custom resource may do what its controller does for it, with the controller's rights. The log shows
//! the writer, and soon after it the controller, and nothing that ties the two; what does is the gain: the writer is allowed
//! by a binding, or reads Secrets in a namespace of his, that the controller made within minutes of what he wrote. Who may
//! do everything gains nothing, so a write that was allowed for that reason is none to look at.

use std::collections::VecDeque;

use hashbrown::HashMap;
use serde::{Deserialize, Serialize};

use super::{Context, Draft, begins, counted, lasting, listed};
use crate::detect::rbac::{Grant, Reasons};
use crate::detect::request::Request;
use crate::detect::tally::Tally;
use crate::finding::{Finding, Severity};
use crate::frame::derived::service_account;
use crate::frame::vocabulary::known;
use crate::frame::{NULL, Vocabulary};
use crate::memory::remembers;
use crate::rules::{Parameters, RuleError, RuleMeta};

/// State of the analytics.
#[derive(Clone)]
pub struct Deputy {
    grant: RuleMeta,
    secret: RuleMeta,
    window_us: i64,
    spell_us: i64,
    by_hand: Vec<String>,
    copiers: Vec<String>,
    /// The latest custom resources that may have been written for a gain, in order of arrival.
    asks: VecDeque<Ask>,
    /// By name: `ClusterRoleBindings` that were made soon after one.
    bindings: HashMap<Box<str>, Made>,
    /// Those who may have asked for one of them.
    askers: Vec<u32>,
    /// By the `ServiceAccount` that reads, and namespace: when it first read Secrets there.
    reads: HashMap<(u32, u32), i64>,
    /// By who made it, and namespace: Secrets that were made soon after one.
    copies: HashMap<(u32, u32), Made>,
    /// What a reason says, by its code.
    reasons: Reasons<Reason>,
    /// Whether an API group is one of custom resources, by its code.
    groups: HashMap<u32, bool>,
    /// The last one that is none.
    built_in: u32,
}

remembers!(
    Deputy: [asks, bindings, askers, reads, copies],
    anew [grant, secret, window_us, spell_us, by_hand, copiers, reasons, groups, built_in]
);

/// A custom resource that somebody wrote.
#[derive(Clone, Serialize, Deserialize)]
struct Ask {
    user: u32,
    group: u32,
    resource: u32,
    ts: i64,
    tally: Tally,
}

/// What a controller made soon after.
#[derive(Clone, Serialize, Deserialize)]
struct Made {
    by: u32,
    ts: i64,
    tally: Tally,
    /// Where the Secrets were read that it may be copies of.
    from: u32,
    /// By whom it may have been asked for; of each the latest write before.
    asks: Vec<Ask>,
    /// Requests that gained by it, by user.
    gains: HashMap<u32, Tally>,
}

/// What a reason of the authorizer says.
#[derive(Clone, Default)]
enum Reason {
    /// By a `ClusterRoleBinding` of that name; whether it allows everything.
    Everywhere(Box<str>, bool),
    /// By a `RoleBinding`.
    Namespace,
    /// RBAC did not write it.
    #[default]
    Other,
}

/// Custom resources, and what was made after one, that are remembered at once.
const ASKS: usize = 256;
const MADE: usize = 1024;

/// Pairs of reader and namespace that are remembered. Of further ones nobody knows whether they are the first.
const READS: usize = 65_536;

impl Deputy {
    /// Reads the parameters.
    ///
    /// # Errors
    /// When a parameter is missing or of a wrong type.
    pub fn new(
        (grant, parameters): (&RuleMeta, &Parameters),
        (secret, of_secrets): (&RuleMeta, &Parameters),
    ) -> Result<Self, RuleError> {
        Ok(Self {
            grant: grant.clone(),
            secret: secret.clone(),
            window_us: parameters.duration_us("window")?,
            spell_us: of_secrets.duration_us("spell")?,
            by_hand: parameters.strings("by_hand")?,
            copiers: of_secrets.strings("copiers")?,
            asks: VecDeque::new(),
            bindings: HashMap::new(),
            askers: Vec::new(),
            reads: HashMap::new(),
            copies: HashMap::new(),
            reasons: Reasons::default(),
            groups: HashMap::new(),
            built_in: NULL,
        })
    }

    /// Forgets what ended before a time, and readers whose first read is as long ago as `gone`.
    pub fn forget(&mut self, before: i64, gone: i64) {
        self.asks.retain(|ask| ask.ts >= before);
        self.bindings.retain(|_, made| made.ts >= before);
        let asks = || self.bindings.values().flat_map(|made| &made.asks);
        self.askers
            .retain(|&user| asks().any(|ask| ask.user == user));
        self.copies.retain(|_, made| made.ts >= before);
        if self.reads.len() * 2 > READS {
            self.reads.retain(|_, first| *first >= gone);
        }
    }

    /// Takes in a request whose credential was accepted.
    pub fn observe(&mut self, request: &Request<'_>, context: &Context<'_>) {
        let is_secret = request.resource() == known::SECRETS;
        let is_write = matches!(request.verb(), known::CREATE | known::UPDATE | known::PATCH);
        let is_idle = !is_secret && !is_write && self.bindings.is_empty();
        if is_idle || !request.succeeded() || request.imp_username() != NULL {
            return;
        }
        if !self.bindings.is_empty() && self.askers.contains(&request.username()) {
            self.observe_gain(request, context);
        }
        if is_secret {
            self.observe_secret(request, context);
        } else if is_write && request.subresource() == NULL {
            if request.resource() == known::CLUSTER_ROLE_BINDINGS {
                self.observe_binding(request, context);
            } else {
                self.observe_ask(request, context);
            }
        }
    }

    /// Takes in a custom resource that somebody wrote who may not do everything.
    fn observe_ask(&mut self, request: &Request<'_>, context: &Context<'_>) {
        let vocabulary = context.vocabulary;
        let is_candidate = matches!(
            request.identity_kind(),
            known::USER | known::SERVICE_ACCOUNT
        );
        let group = request.api_group();
        // Leases and the like come in runs.
        if !is_candidate || group == NULL || group == self.built_in {
            return;
        }
        let is_custom = self.groups.entry(group).or_insert_with(|| {
            let name = vocabulary.text(group);
            name.contains('.') && !name.ends_with(".k8s.io")
        });
        if !*is_custom {
            self.built_in = group;
            return;
        }
        if !self.is_hand(request, vocabulary) {
            return;
        }
        let may_do_all = request.is_masters
            || matches!(
                self.reasons.of(request, vocabulary, Reason::of),
                Reason::Everywhere(_, true)
            );
        if may_do_all || request.is_dry_run(vocabulary) {
            return;
        }
        while self.asks.len() >= ASKS {
            self.asks.pop_front();
        }
        self.asks.push_back(Ask {
            user: request.username(),
            group,
            resource: request.resource(),
            ts: request.began(),
            tally: Tally::new(request, context),
        });
    }

    /// Returns whether it is a person, or a `ServiceAccount` that looks as if it was used by hand.
    fn is_hand(&self, request: &Request<'_>, vocabulary: &Vocabulary) -> bool {
        match request.identity_kind() {
            known::USER => !vocabulary.text(request.username()).starts_with("system:"),
            known::SERVICE_ACCOUNT => begins(vocabulary.text(request.user_agent()), &self.by_hand),
            _ => false,
        }
    }

    /// Takes in a binding that a program made.
    fn observe_binding(&mut self, request: &Request<'_>, context: &Context<'_>) {
        if self.asks.is_empty() || !request.made() || request.name().is_empty() {
            return;
        }
        let asks = self.asks_before(request, context.vocabulary);
        if !asks.is_empty() && self.bindings.len() < MADE {
            for ask in &asks {
                if !self.askers.contains(&ask.user) {
                    self.askers.push(ask.user);
                }
            }
            let made = Made::new(request, NULL, asks, context);
            self.bindings.insert(request.name().into(), made);
        }
    }

    /// Returns who may have asked the maker of an object for it: what others wrote by hand shortly before.
    fn asks_before(&self, request: &Request<'_>, vocabulary: &Vocabulary) -> Vec<Ask> {
        let maker = request.username();
        let is_program = request.identity_kind() == known::SERVICE_ACCOUNT
            || vocabulary.text(maker).starts_with("system:");
        if !is_program || self.is_hand(request, vocabulary) {
            return Vec::new();
        }
        let since = request.began().saturating_sub(self.window_us);
        let recent = self
            .asks
            .iter()
            .filter(|ask| ask.user != maker && (since..=request.ts).contains(&ask.ts));
        let mut latest: Vec<Ask> = Vec::new();
        for ask in recent {
            latest.retain(|other| other.user != ask.user);
            latest.push(ask.clone());
        }
        latest
    }

    /// Takes in a request that may have been allowed by a binding made for the purpose.
    fn observe_gain(&mut self, request: &Request<'_>, context: &Context<'_>) {
        let reason = self.reasons.of(request, context.vocabulary, Reason::of);
        if let Reason::Everywhere(binding, _) = reason
            && let Some(made) = self.bindings.get_mut(binding)
        {
            made.gain(request, context);
        }
    }

    /// Takes in a request for Secrets.
    fn observe_secret(&mut self, request: &Request<'_>, context: &Context<'_>) {
        let namespace = request.namespace();
        if namespace == NULL || request.subresource() != NULL {
            return;
        }
        let vocabulary = context.vocabulary;
        let verb = vocabulary.text(request.verb());
        let maker = request.username();
        let is_read = matches!(verb, "get" | "list");
        if is_read && !self.copies.is_empty() && self.is_hand(request, vocabulary) {
            let reason = self.reasons.of(request, vocabulary, Reason::of);
            if !matches!(reason, Reason::Namespace) {
                return;
            }
            let here = self
                .copies
                .iter_mut()
                .filter(|((_, to), _)| *to == namespace);
            here.for_each(|(_, made)| made.gain(request, context));
            return;
        }
        if request.identity_kind() != known::SERVICE_ACCOUNT {
            return;
        }
        if is_read {
            if self.reads.len() < READS {
                let first = self.reads.entry((maker, namespace)).or_insert(i64::MAX);
                *first = request.began().min(*first);
            }
        } else if request.made() && !self.asks.is_empty() {
            self.observe_copy(request, context);
        }
    }

    /// Takes in a Secret that a program made, if it may be one of another namespace.
    fn observe_copy(&mut self, request: &Request<'_>, context: &Context<'_>) {
        let vocabulary = context.vocabulary;
        let (maker, to) = (request.username(), request.namespace());
        let home = service_account(vocabulary.text(maker)).map(|(namespace, _)| namespace);
        if home == Some(vocabulary.text(to)) {
            return;
        }
        let mut asks = self.asks_before(request, vocabulary);
        let known = self.copies.get_mut(&(maker, to));
        let is_of_known = |made: &&mut Made| request.ts - made.ts <= self.spell_us;
        if let Some(made) = known.filter(is_of_known) {
            made.tally.add(request, context);
            asks.retain(|ask| made.asks.iter().all(|known| known.user != ask.user));
        }
        if asks.is_empty() {
            return;
        }
        // Where it first came after somebody asked, and not for its own keys.
        let reads = self.reads.iter();
        let sources = reads.filter(|&(&(reader, from), first)| {
            reader == maker
                && from != to
                && home != Some(vocabulary.text(from))
                && (0..=self.spell_us).contains(&(request.ts - first))
        });
        let latest = sources.max_by_key(|&(&(_, from), first)| (first, vocabulary.text(from)));
        let Some((&(_, from), &read)) = latest else {
            return;
        };
        let has_asked = |user: u32| {
            let mut asks = self.asks.iter();
            asks.any(|ask| ask.user == user && (0..=self.window_us).contains(&(read - ask.ts)))
        };
        asks.retain(|ask| has_asked(ask.user));
        if asks.is_empty() {
            return;
        }
        let is_full = self.copies.len() >= MADE;
        match self.copies.get_mut(&(maker, to)) {
            Some(made) if request.ts - made.ts <= self.spell_us => made.asks.extend(asks),
            // What came of an earlier one stays told.
            Some(made) if !made.gains.is_empty() => {}
            None if is_full => {}
            _ => {
                let made = Made::new(request, from, asks, context);
                self.copies.insert((maker, to), made);
            }
        }
    }

    /// Draws the findings: one for each writer and binding, and one for each writer and namespace.
    pub fn finish(self, context: &Context<'_>) -> Vec<Finding> {
        let mut findings = Vec::new();
        for (name, made) in &self.bindings {
            for (ask, gain) in made.gains() {
                findings.push(self.grant_finding(name, made, (ask, gain), context));
            }
        }
        for (&(_, to), made) in &self.copies {
            for (ask, gain) in made.gains() {
                findings.push(self.secret_finding(to, made, (ask, gain), context));
            }
        }
        findings
    }

    fn grant_finding(
        &self,
        name: &str,
        made: &Made,
        (ask, gain): (&Ask, &Tally),
        context: &Context<'_>,
    ) -> Finding {
        let vocabulary = context.vocabulary;
        let [user, by] = [ask.user, made.by].map(|code| vocabulary.text(code).to_owned());
        let tally = ask.story(made, gain, context);
        let mut draft = Draft::new(&self.grant, vec![user.clone(), name.to_owned()], &tally);
        let reasons = gain.authz_reasons(vocabulary);
        let mut grants = reasons.iter().filter_map(|reason| Grant::parse(reason));
        if !grants.any(|grant| matches!(Reason::of(&grant), Reason::Everywhere(_, true))) {
            draft.severity = Severity::Medium;
        }
        draft.summary = format!(
            "`{user}` wrote {}, and within {} `{by}` made the binding {name}, by which `{user}` was allowed then: {} ({} of {}) from {}",
            ask.kind(vocabulary),
            lasting(made.ts - ask.ts),
            counted(gain.count, "request"),
            listed(&gain.verbs(vocabulary)),
            listed(&gain.resources(vocabulary)),
            listed(&gain.peers(vocabulary)),
        );
        draft.why = vec![
            format!("authorization.k8s.io/reason names the ClusterRoleBinding {name}"),
            format!(
                "made by {by}, {} after what {user} wrote",
                lasting(made.ts - ask.ts)
            ),
        ];
        let mut finding = draft.finish(vocabulary);
        finding.actor = gain.actor(vocabulary);
        finding
    }

    fn secret_finding(
        &self,
        to: u32,
        made: &Made,
        (ask, gain): (&Ask, &Tally),
        context: &Context<'_>,
    ) -> Finding {
        let vocabulary = context.vocabulary;
        let [user, by, from, to, group] = [ask.user, made.by, made.from, to, ask.group]
            .map(|code| vocabulary.text(code).to_owned());
        let tally = ask.story(made, gain, context);
        let group_key = vec![user.clone(), by.clone(), to.clone()];
        let mut draft = Draft::new(&self.secret, group_key, &tally);
        if !self.copiers.contains(&group) {
            draft.severity = Severity::Low;
            draft.why.push(format!(
                "controllers of {group} make Secrets for what they do"
            ));
        }
        draft.summary = format!(
            "`{user}` wrote {}, then `{by}` read Secrets in {from} for the first time and made {} in {to} ({}), where `{user}` read: {} from {}",
            ask.kind(vocabulary),
            counted(made.tally.count, "Secret"),
            listed(&made.tally.names()),
            counted(gain.count, "request"),
            listed(&gain.peers(vocabulary)),
        );
        draft.why.extend([
            format!("read in {from}, made in {to}, both by {by} after what {user} wrote"),
            format!("{user} was allowed to read in {to} by a RoleBinding, which holds there alone"),
        ]);
        let mut finding = draft.finish(vocabulary);
        finding.actor = gain.actor(vocabulary);
        finding
    }
}

impl Ask {
    /// Returns what was written.
    fn kind(&self, vocabulary: &Vocabulary) -> String {
        let [resource, group] = [self.resource, self.group].map(|code| vocabulary.text(code));
        let names = self.tally.names();
        match &names[..] {
            [] => format!("{resource}.{group}"),
            names => format!("{resource}.{group} ({})", listed(names)),
        }
    }

    /// Returns what was written and gained, with what came between among the evidence.
    fn story(&self, made: &Made, gain: &Tally, context: &Context<'_>) -> Tally {
        let mut tally = self.tally.clone();
        tally.merge(gain.clone(), context);
        tally.add_sightings(made.tally.sightings.iter(), context);
        tally
    }
}

impl Made {
    fn new(request: &Request<'_>, from: u32, asks: Vec<Ask>, context: &Context<'_>) -> Self {
        Self {
            by: request.username(),
            ts: request.ts,
            tally: Tally::new(request, context),
            from,
            asks,
            gains: HashMap::new(),
        }
    }

    /// Takes in a request that gains by it, if it is of somebody who asked.
    fn gain(&mut self, request: &Request<'_>, context: &Context<'_>) {
        let user = request.username();
        let has_asked = self.asks.iter().any(|ask| ask.user == user);
        if has_asked && request.began() >= self.ts {
            let gain = self.gains.entry(user).or_insert_with(Tally::empty);
            gain.add(request, context);
        }
    }

    /// Returns those who asked and gained.
    fn gains(&self) -> impl Iterator<Item = (&Ask, &Tally)> {
        let asks = self.asks.iter();
        asks.filter_map(|ask| Some((ask, self.gains.get(&ask.user)?)))
    }
}

impl Reason {
    fn of(grant: &Grant<'_>) -> Self {
        match grant.kind {
            "ClusterRoleBinding" => Self::Everywhere(grant.binding.into(), grant.is_of_superuser()),
            _ => Self::Namespace,
        }
    }
}
