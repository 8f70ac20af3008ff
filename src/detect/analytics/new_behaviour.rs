//! `new-behaviour`: an identity does what it never did before, and it matters.
//!
//! Of each identity is known what it did (verb and resource), where (namespace), from where (address), with
//! what (program) and as whom (impersonation), since when. Served requests only: what is refused is no
//! behaviour yet. A request is looked at if it matters (parameters) and something about it has been known for
//! less than an hour, while the identity had a history when that began. How surprising that is: -log2 of the
//! share of new things among all its requests so far, by additive smoothing (V + 1) / (N + V + 1) for V distinct
//! things in N requests; who does new things every day is no news. What is done and whence it is done are taken as
//! independent, so that their surprises add up: an account with few requests has no other way to be surprising.
//!
//! One look-up decides for nearly all requests: the same identity did exactly this from there already.

mod draw;
mod thing;

use std::collections::BTreeSet;

use hashbrown::{HashMap, HashSet};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use super::address::{is_public, network};
use super::lives::{Lives, Past, Who};
use super::machinery::Machinery;
use super::mandate::{Word, Words};
use super::mass_deletion::HELM_RELEASE;
use super::{Context, DAY_US, lasting};
use crate::detect::request::Request;
use crate::detect::tally::Tally;
use crate::frame::derived::service_account;
use crate::frame::vocabulary::known;
use crate::frame::{NULL, Vocabulary};
use crate::memory::remembers;
use crate::rules::{Parameters, RuleError, RuleMeta};
use thing::{ASPECTS, Act, Deed, History, Since, Thing, act, deed, together};

/// How many requests are remembered whole, at least; forgetting one costs a few look-ups more.
const WHOLE: usize = 1 << 16;

/// How many things of one kind are known of one identity; clients choose some of them.
const KNOWN: u32 = 4096;

/// How many workload changes are kept before the old ones are looked for.
const CHANGES: usize = 1 << 14;

/// How many addresses are known of a person; who has more has no place of their own.
const PLACES: usize = 8;

/// How many words of others a finding names.
const WORDS: usize = 4;

/// State of the analytic.
#[derive(Clone)]
pub struct NewBehaviour {
    meta: RuleMeta,
    settings: Settings,
    codes: Codes,
    /// What matters, by verb, resource and subresource: `true` for most.
    deeds: HashMap<Deed, bool>,
    whole: Whole,
    /// Since when something is known of an identity.
    known: HashMap<(Who, Thing), Since>,
    /// How many things of each aspect are known of an identity.
    spread: HashMap<Who, [u32; ASPECTS]>,
    families: HashMap<u32, u32>,
    /// When workloads were changed, by namespace and hash of the name.
    changes: HashMap<(u32, u64), i64>,
    changes_limit: usize,
    /// Since when and after how long a silence identities are awake.
    awake: HashMap<Who, (i64, i64)>,
    days: HashMap<(Who, i64), Day>,
    /// What goes on after it was news, until when, and the day that it is news of.
    going_on: HashMap<(Who, Act), (i64, i64)>,
    going_on_until: i64,
    /// From where a person came first, and since when.
    places: HashMap<Who, Vec<(u32, i64)>>,
    words: Words,
}

remembers!(
    NewBehaviour: [whole, known, spread, changes, changes_limit, awake, days, going_on, going_on_until, places, words],
    anew [meta, settings, codes, deeds, families]
);

#[derive(Clone)]
struct Settings {
    least_requests: u64,
    least_history_us: i64,
    fresh_us: i64,
    least_bits: f64,
    medium_bits: f64,
    least_bits_together: f64,
    medium_bits_together: f64,
    roaming: u32,
    dormant_us: i64,
    sweep: usize,
}

#[derive(Clone)]
struct Codes {
    writes: [u32; 5],
    changes: [u32; 3],
    workloads: [u32; 6],
}

/// What was new of an identity on one day.
#[derive(Clone, Serialize, Deserialize)]
struct Day {
    tally: Tally,
    news: Vec<(Thing, History)>,
    /// The most bits of one request, for what it did and whence.
    together: f64,
    is_privileged: bool,
    /// Where Secrets were read, if that was news; null is everywhere at once.
    secrets: BTreeSet<u32>,
    /// Whether a person read such Secrets from the internet, where they never were, and outside their hours.
    is_abroad: bool,
    /// What somebody else had written that the identity acted on.
    words: Vec<Word>,
    /// Whether something was new that nobody else's word explains, or not one that is trusted.
    is_own_will: bool,
}

/// Requests that were seen before, but for object and time. Two generations; the older one goes when the
/// younger is full.
#[derive(Clone, Default, Serialize, Deserialize)]
struct Whole {
    young: HashSet<[u32; 8]>,
    old: HashSet<[u32; 8]>,
}

impl Whole {
    /// Returns whether the request is new.
    fn insert(&mut self, request: &Request<'_>) -> bool {
        let key = [
            request.username(),
            request.imp_username(),
            request.verb(),
            request.resource(),
            request.subresource(),
            request.namespace(),
            request.peer_ip(),
            request.user_agent(),
        ];
        if self.young.contains(&key) {
            return false;
        }
        let is_new = !self.old.contains(&key);
        self.young.insert(key);
        if self.young.len() >= WHOLE {
            std::mem::swap(&mut self.young, &mut self.old);
            self.young.clear();
        }
        is_new
    }
}

impl NewBehaviour {
    /// Reads the parameters.
    ///
    /// # Errors
    /// When a parameter is missing or of a wrong type.
    pub fn new(
        (meta, parameters): (&RuleMeta, &Parameters),
        vocabulary: &Vocabulary,
    ) -> Result<Self, RuleError> {
        let code = |text: &str| vocabulary.code(text);
        let mut deeds = HashMap::new();
        for (list, is_privileged) in [("ordinary", false), ("privileged", true)] {
            for line in parameters.strings(list)? {
                let (verbs, what) = line.split_once(' ').unwrap_or(("", &line));
                let (resource, subresource) = what.split_once('/').unwrap_or((what, ""));
                for verb in verbs.split(',') {
                    deeds.insert(
                        (code(verb), code(resource), code(subresource)),
                        is_privileged,
                    );
                }
            }
        }
        Ok(Self {
            meta: meta.clone(),
            settings: Settings {
                least_requests: parameters.count("least_requests")?.into(),
                least_history_us: parameters.duration_us("least_history")?,
                fresh_us: parameters.duration_us("fresh")?,
                least_bits: parameters.number("least_bits")?,
                medium_bits: parameters.number("medium_bits")?,
                least_bits_together: parameters.number("least_bits_together")?,
                medium_bits_together: parameters.number("medium_bits_together")?,
                roaming: parameters.count("roaming")?,
                dormant_us: parameters.duration_us("dormant")?,
                sweep: parameters.count("sweep")? as usize,
            },
            codes: Codes {
                writes: ["create", "update", "patch", "delete", "deletecollection"].map(code),
                changes: ["create", "update", "patch"].map(code),
                workloads: [
                    "deployments",
                    "daemonsets",
                    "statefulsets",
                    "jobs",
                    "cronjobs",
                    "rollouts",
                ]
                .map(code),
            },
            deeds,
            whole: Whole::default(),
            known: HashMap::new(),
            spread: HashMap::new(),
            families: HashMap::new(),
            changes: HashMap::new(),
            changes_limit: CHANGES,
            awake: HashMap::new(),
            days: HashMap::new(),
            going_on: HashMap::new(),
            going_on_until: i64::MIN,
            places: HashMap::new(),
            words: Words::default(),
        })
    }

    /// Takes in one request; `past` says who made it, and `lives` holds it already.
    pub fn observe(
        &mut self,
        request: &Request<'_>,
        past: &Past,
        lives: &Lives,
        machinery: &Machinery,
        context: &Context<'_>,
    ) {
        if !request.succeeded() || !request.authenticated() || request.ts == 0 {
            return;
        }
        self.note_change(request);
        self.note_word(request, context.vocabulary);
        let woke = self.wake(request, past);
        let going_on = self.going_on(request, past);
        if !self.whole.insert(request) && woke.is_none() {
            self.go_on(going_on, request, past, context);
            return;
        }
        let fresh = self.learn(request, past, lives, context.vocabulary);
        let rank = self.deeds.get(&deed(request)).copied();
        let own = service_account(context.vocabulary.text(request.username()));
        let own = own.and_then(|(namespace, _)| context.vocabulary.find(namespace));
        let matters = |thing: Thing| match thing {
            // To be somebody else matters whatever is done.
            Thing::Impersonated(_) => true,
            Thing::Namespace(namespace) if Some(namespace) == own => false,
            _ => rank.is_some(),
        };
        let mut news: Vec<(Thing, History)> = fresh
            .into_iter()
            .chain(woke)
            .filter(|&(thing, _)| matters(thing))
            .collect();
        if !news.is_empty()
            && let Some(home) = self.home_of_changed_workload(request, context.vocabulary)
        {
            // A new version does new things, in the places where the old one was.
            news.retain(|&(thing, _)| match thing {
                Thing::Namespace(namespace) => namespace != home,
                Thing::Address(_) | Thing::Impersonated(_) => true,
                Thing::Deed(_) | Thing::Program(_) | Thing::Awake(_) => false,
            });
        }
        let together = together(&news);
        if together < self.settings.least_bits_together {
            news.retain(|(_, history)| history.bits >= self.settings.least_bits);
        }
        if news.is_empty() || machinery.made(request, context.vocabulary) {
            self.go_on(going_on, request, past, context);
            return;
        }
        if woke.is_some() {
            self.awake.remove(&past.who);
        }
        let reads_secrets = request.resource() == known::SECRETS
            && !self.codes.writes.contains(&request.verb())
            && !is_of_helm(request)
            && news.iter().any(|(thing, _)| !thing.is_whence());
        let is_abroad = reads_secrets
            && past.life.is_out_of_hours(request.ts)
            && self.is_abroad(request, past, context.vocabulary);
        let word = self.words.on_which(request);
        // Whence it is done is nothing that another one's word explains.
        let is_own_will = news.iter().any(|(thing, _)| {
            thing.is_whence() || matches!(thing, Thing::Impersonated(_) | Thing::Awake(_))
        }) || !word.is_some_and(|word| word.is_trusted);
        let word = word.cloned();
        let date = request.ts.div_euclid(DAY_US);
        let until = request.ts + self.settings.fresh_us;
        self.going_on
            .retain(|_, &mut (until, _)| until >= request.ts);
        self.going_on
            .insert((past.who, act(request)), (until, date));
        self.going_on_until = self.going_on_until.max(until);
        let day = self.days.entry((past.who, date)).or_insert_with(|| Day {
            tally: Tally::empty(),
            news: Vec::new(),
            together: 0.0,
            is_privileged: false,
            secrets: BTreeSet::new(),
            is_abroad: false,
            words: Vec::new(),
            is_own_will: false,
        });
        day.together = day.together.max(together);
        (day.tally).add(request, context);
        day.is_privileged |= rank == Some(true);
        day.is_abroad |= is_abroad;
        day.is_own_will |= is_own_will;
        day.words
            .extend(word.filter(|word| day.words.len() < WORDS && !day.words.contains(word)));
        if reads_secrets {
            day.secrets.insert(request.namespace());
        }
        for (thing, history) in news {
            if !day.news.iter().any(|(known, _)| *known == thing) {
                day.news.push((thing, history));
            }
        }
    }

    /// Returns whether a person comes from the internet, and from a network where they were not before this hour. Who
    /// came from several networks of it already is on the way.
    fn is_abroad(&self, request: &Request<'_>, past: &Past, vocabulary: &Vocabulary) -> bool {
        let address = vocabulary.text(request.peer_ip());
        let places = self.places.get(&past.who).map_or(&[][..], Vec::as_slice);
        if places.len() >= PLACES || !is_public(address) {
            return false;
        }
        let known_until = request.ts - self.settings.fresh_us;
        let earlier = places.iter().filter(|(_, since)| *since < known_until);
        let earlier: Vec<&str> = earlier.map(|&(peer, _)| vocabulary.text(peer)).collect();
        let of_internet = earlier.iter().filter(|address| is_public(address));
        let of_internet: BTreeSet<_> = of_internet.map(|address| network(address)).collect();
        !earlier.is_empty() && of_internet.len() <= 1 && !of_internet.contains(&network(address))
    }

    /// Returns the day that the request's act is news of, while it goes on.
    fn going_on(&self, request: &Request<'_>, past: &Past) -> Option<i64> {
        if request.ts > self.going_on_until {
            return None;
        }
        let &(until, date) = self.going_on.get(&(past.who, act(request)))?;
        (request.ts <= until).then_some(date)
    }

    /// Adds a request to the news that it continues.
    fn go_on(
        &mut self,
        date: Option<i64>,
        request: &Request<'_>,
        past: &Past,
        context: &Context<'_>,
    ) {
        if let Some(day) = date.and_then(|date| self.days.get_mut(&(past.who, date))) {
            (day.tally).add(request, context);
        }
    }

    /// Notes who wrote an object of a kind that others act on, and who looks at such.
    fn note_word(&mut self, request: &Request<'_>, vocabulary: &Vocabulary) {
        if !self.words.concerns(request, vocabulary) {
            return;
        }
        if !self.codes.writes.contains(&request.verb()) {
            self.words.listen(request);
            return;
        }
        let key = ((request.username(), NULL), Thing::Deed(deed(request)));
        let since = self.known.get(&key).map(|since| since.ts);
        let does_always = request.identity_kind() == known::SERVICE_ACCOUNT
            && since.is_some_and(|since| request.ts - since >= self.settings.least_history_us);
        self.words.hear(request, does_always, vocabulary);
    }

    /// Notes that a workload was made or changed.
    fn note_change(&mut self, request: &Request<'_>) {
        if !self.codes.changes.contains(&request.verb())
            || request.subresource() != NULL
            || !self.codes.workloads.contains(&request.resource())
        {
            return;
        }
        let key = (request.namespace(), xxh3_64(request.name().as_bytes()));
        self.changes.insert(key, request.ts);
        if self.changes.len() > self.changes_limit {
            let since = request.ts - self.settings.fresh_us;
            self.changes.retain(|_, &mut ts| ts >= since);
            self.changes_limit = CHANGES.max(self.changes.len() * 2);
        }
    }

    /// Returns the news that an identity writes again, within a day of the end of a long silence.
    fn wake(&mut self, request: &Request<'_>, past: &Past) -> Option<(Thing, History)> {
        let silent_us = request.ts - past.life.last;
        if silent_us >= self.settings.dormant_us && past.life.requests > 0 {
            self.awake.insert(past.who, (request.ts, silent_us));
        }
        if self.awake.is_empty() || !self.codes.writes.contains(&request.verb()) {
            return None;
        }
        let &(since, silent_us) = self.awake.get(&past.who)?;
        if request.ts - since > DAY_US {
            self.awake.remove(&past.who);
            return None;
        }
        let history = self.history(past, since - silent_us, 0)?;
        // A silence is as surprising as it is long, whatever else came before.
        let bits = self.settings.medium_bits;
        Some((Thing::Awake(silent_us), History { bits, ..history }))
    }

    /// Learns what a request tells of its identity; returns what is fresh in it.
    fn learn(
        &mut self,
        request: &Request<'_>,
        past: &Past,
        lives: &Lives,
        vocabulary: &Vocabulary,
    ) -> Vec<(Thing, History)> {
        let is_node = request.identity_kind() == known::NODE;
        let mut things = Vec::new();
        // What a kubelet may do it does once the first Pod that needs it comes; Pods come and go on nodes,
        // and a Pod's address with it.
        if !is_node {
            things.push(Thing::Deed(deed(request)));
            things.extend(
                (request.namespace() != NULL).then_some(Thing::Namespace(request.namespace())),
            );
        }
        if request.token_pod() == NULL && request.peer_ip() != NULL {
            things.push(Thing::Address(request.peer_ip()));
            if request.identity_kind() == known::USER {
                let places = self.places.entry(past.who).or_default();
                let is_known = places.iter().any(|&(peer, _)| peer == request.peer_ip());
                if !is_known && places.len() < PLACES {
                    places.push((request.peer_ip(), request.ts));
                }
            }
        }
        things.push(Thing::Program(
            self.family(request.user_agent(), vocabulary),
        ));
        let mut fresh = Vec::new();
        for thing in things {
            fresh.extend(self.learn_thing(thing, past, request.ts));
        }
        if request.imp_username() != NULL {
            let who = (request.username(), NULL);
            let life = lives.of(who);
            let thing = Thing::Impersonated(request.imp_username());
            fresh.extend(self.learn_thing(thing, &Past { who, life }, request.ts));
        }
        fresh
    }

    fn learn_thing(&mut self, thing: Thing, past: &Past, ts: i64) -> Option<(Thing, History)> {
        let key = (past.who, thing);
        let since = self.known.get(&key).copied();
        let since = since.or_else(|| self.note_thing(key, past, ts))?;
        let is_fresh = ts - since.ts <= self.settings.fresh_us;
        since
            .past
            .filter(|_| is_fresh)
            .map(|history| (thing, history))
    }

    /// Notes what is new; not if there is too much of it.
    fn note_thing(&mut self, key: (Who, Thing), past: &Past, ts: i64) -> Option<Since> {
        let aspect = key.1.aspect();
        let count = self.spread.get(&key.0).map_or(0, |spread| spread[aspect]);
        if count >= KNOWN {
            return None;
        }
        let is_at_home = !matches!(key.1, Thing::Deed(_)) && count >= self.settings.roaming;
        let past = self.history(past, ts, count).filter(|_| !is_at_home);
        self.spread.entry(key.0).or_default()[aspect] += 1;
        let since = Since { ts, past };
        self.known.insert(key, since);
        Some(since)
    }

    /// Returns what an identity has behind it, if that is enough to call something new.
    fn history(&self, past: &Past, ts: i64, distinct: u32) -> Option<History> {
        let life = past.life;
        let lasted_us = ts - life.first;
        if life.requests < self.settings.least_requests
            || lasted_us < self.settings.least_history_us
        {
            return None;
        }
        #[expect(clippy::cast_precision_loss, reason = "far below 2^52 requests")]
        let requests = life.requests as f64;
        let distinct = f64::from(distinct);
        let bits = ((requests + distinct + 1.0) / (distinct + 1.0)).log2();
        Some(History {
            requests: life.requests,
            lasted_us,
            bits,
        })
    }

    /// Returns the code of a program without its version.
    fn family(&mut self, agent: u32, vocabulary: &Vocabulary) -> u32 {
        *self.families.entry(agent).or_insert_with(|| {
            let agent = vocabulary.text(agent);
            let end = agent.find(['/', ' ', '(']).unwrap_or(agent.len());
            vocabulary.code(&agent[..end])
        })
    }

    /// Returns the namespace of the workload that a ServiceAccount's Pod belongs to, if it was changed shortly before.
    /// The Pod's name begins with the workload's; without a Pod the account's name has to do.
    fn home_of_changed_workload(
        &self,
        request: &Request<'_>,
        vocabulary: &Vocabulary,
    ) -> Option<u32> {
        let username = vocabulary.text(request.username());
        let account = username.strip_prefix("system:serviceaccount:")?;
        let (namespace, account) = account.split_once(':')?;
        let namespace = vocabulary.find(namespace)?;
        let is_changed = |name: &str| {
            self.changes
                .get(&(namespace, xxh3_64(name.as_bytes())))
                .is_some_and(|&ts| request.ts - ts <= self.settings.fresh_us)
        };
        let mut name = vocabulary.text(request.token_pod());
        if name.is_empty() {
            return is_changed(account).then_some(namespace);
        }
        // `web-6cf79fdc55-hsl8s` of a Deployment, `agent-pz9xg` of a DaemonSet, `db-0` of a StatefulSet.
        for _ in 0..2 {
            let (workload, _) = name.rsplit_once('-')?;
            if is_changed(workload) {
                return Some(namespace);
            }
            name = workload;
        }
        None
    }

    /// Says if the log is too short for anybody to have a history.
    pub fn note(&self, lives: &Lives) -> Option<String> {
        let span = lives.span_us();
        (span > 0 && span < self.settings.least_history_us).then(|| {
            format!(
                "new behaviour of identities was not judged: the log spans {}, a history takes {} at least",
                lasting(span),
                lasting(self.settings.least_history_us)
            )
        })
    }
}

/// Returns whether a request is for the Secrets that helm keeps its releases in, of which it looks for those of one release
/// in each namespace that it works in.
fn is_of_helm(request: &Request<'_>) -> bool {
    let uri = request.request_uri();
    request.name().starts_with(HELM_RELEASE)
        || ["owner%3Dhelm", "owner=helm"]
            .iter()
            .any(|label| uri.contains(label))
}
