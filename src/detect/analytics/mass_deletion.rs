//! `mass-deletion`: one identity deletes much within minutes.
//!
//! Every deletion weighs something: little what comes back by itself, much what holds data, most what
//! takes everything in it along. A **burst** begins when the weights within a sliding window of event
//! time reach a limit, with all of that window, and ends with a pause. Not counted are deletions of what
//! the identity had made itself shortly before (tests, builds, previews), what controllers and kubelets
//! delete in consequence, and repetitions. A burst within one namespace, by name, of moderate numbers of
//! each kind is an **uninstalled application** and said for information.

use std::collections::{BTreeMap, VecDeque};

use hashbrown::{HashMap, HashSet};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use super::lives::{Who, called, who};
use super::machinery::Machinery;
use super::{Context, DAY_US, Draft, counted, lasting};
use crate::detect::habit::is_as_old;
use crate::detect::request::Request;
use crate::detect::tally::Tally;
use crate::detect::view;
use crate::finding::{Finding, Severity};
use crate::frame::vocabulary::known;
use crate::frame::{NULL, Vocabulary};
use crate::memory::remembers;
use crate::rules::{Parameters, RuleError, RuleMeta};

/// Objects that identities made are looked through for old ones when there are more than this.
const MADE: usize = 1 << 16;

/// Helm keeps its releases as Secrets and deletes the oldest with every upgrade.
pub(super) const HELM_RELEASE: &str = "sh.helm.release.v1.";

/// State of the analytic.
#[derive(Clone)]
pub struct MassDeletion {
    meta: RuleMeta,
    settings: Settings,
    codes: Codes,
    /// Weights of resources that do not weigh the usual.
    weights: HashMap<u32, u32>,
    /// What identities made: how often under that name, and when last.
    made: HashMap<(Who, u64), (u32, i64)>,
    made_limit: usize,
    doers: HashMap<Who, Doer>,
    /// Latest creation or deletion of anything.
    latest: i64,
}

remembers!(MassDeletion: [made, made_limit, doers, latest], anew [meta, settings, codes, weights]);

#[derive(Clone)]
struct Settings {
    window_us: i64,
    own_work_us: i64,
    least: u32,
    high: u32,
    critical: u32,
    weight: u32,
    light_weight: u32,
    heavy_weight: u32,
    root_weight: u32,
    collection: u32,
    selected: u32,
    one_kind: u64,
    one_application: u64,
    routine_days: usize,
    /// Words in the names of namespaces that come and go.
    fleeting_words: Vec<String>,
}

/// Codes of the words that requests are told apart by.
#[derive(Clone)]
struct Codes {
    create: u32,
    delete: u32,
    delete_collection: u32,
    namespaces: u32,
    pods: u32,
    /// Resources that are created all the time and never deleted by who made them.
    fleeting: [u32; 5],
}

/// Who deletes.
#[derive(Clone, Default, Serialize, Deserialize)]
struct Doer {
    /// Deletions of the last window, while they are too few.
    pending: VecDeque<Deletion>,
    weight: u32,
    burst: Option<Burst>,
    ended: Vec<Burst>,
}

/// A deletion, or the attempt.
#[derive(Clone, Serialize, Deserialize)]
struct Deletion {
    request: Request<'static>,
    object: u64,
    weight: u32,
    is_collection: bool,
}

/// Deletions that belong together.
#[derive(Clone, Serialize, Deserialize)]
struct Burst {
    tally: Tally,
    /// What was deleted, and what was refused: the attempt may be followed by the deletion.
    objects: HashSet<(u64, bool)>,
    /// Time and weight of the last window's deletions, and whether they were served.
    window: VecDeque<(i64, u32, bool)>,
    weight: u32,
    peak: u32,
    served_peak: u32,
    served_weight: u32,
    served: u64,
    refused: u64,
    /// Without a selector.
    whole_collections: u64,
    collections: u64,
    /// Objects by resource and namespace.
    kinds: HashMap<(u32, u32), u64>,
    /// Objects of resources that hold data, or everything else.
    heavy: u64,
}

impl MassDeletion {
    /// Reads the parameters.
    ///
    /// # Errors
    /// When a parameter is missing or of a wrong type.
    pub fn new(
        (meta, parameters): (&RuleMeta, &Parameters),
        vocabulary: &Vocabulary,
    ) -> Result<Self, RuleError> {
        let settings = Settings {
            window_us: parameters.duration_us("window")?,
            own_work_us: parameters.duration_us("own_work")?,
            least: parameters.count("least_weight")?,
            high: parameters.count("high_weight")?,
            critical: parameters.count("critical_weight")?,
            weight: parameters.count("weight")?,
            light_weight: parameters.count("light_weight")?,
            heavy_weight: parameters.count("heavy_weight")?,
            root_weight: parameters.count("root_weight")?,
            collection: parameters.count("collection_objects")?,
            selected: parameters.count("selected_objects")?,
            one_kind: parameters.count("one_kind")?.into(),
            one_application: parameters.count("one_application")?.into(),
            routine_days: parameters.count("routine_days")? as usize,
            fleeting_words: parameters.strings("fleeting_words")?,
        };
        let mut weights = HashMap::new();
        for (list, weight) in [
            ("derived", 0),
            ("light", settings.light_weight),
            ("heavy", settings.heavy_weight),
            ("root", settings.root_weight),
        ] {
            for resource in parameters.strings(list)? {
                weights.insert(vocabulary.code(&resource), weight);
            }
        }
        let code = |text: &str| vocabulary.code(text);
        Ok(Self {
            meta: meta.clone(),
            settings,
            codes: Codes {
                create: code("create"),
                delete: code("delete"),
                delete_collection: code("deletecollection"),
                namespaces: code("namespaces"),
                pods: code("pods"),
                fleeting: [
                    "events",
                    "leases",
                    "tokenreviews",
                    "subjectaccessreviews",
                    "selfsubjectaccessreviews",
                ]
                .map(code),
            },
            weights,
            made: HashMap::new(),
            made_limit: MADE,
            doers: HashMap::new(),
            latest: i64::MIN,
        })
    }

    /// Takes in one request.
    pub fn observe(&mut self, request: &Request<'_>, machinery: &Machinery, context: &Context<'_>) {
        let (verb, codes) = (request.verb(), &self.codes);
        let is_collection = verb == codes.delete_collection;
        if (verb != codes.create && verb != codes.delete && !is_collection)
            || request.subresource() != NULL
            || request.resource() == NULL
            || request.ts == 0
        {
            return;
        }
        self.latest = self.latest.max(request.ts);
        if verb == codes.create {
            if request.succeeded() && !codes.fleeting.contains(&request.resource()) {
                self.note_made(request, context.vocabulary);
            }
            return;
        }
        // What is not there, or is on its way out already, was not deleted by this.
        if !request.succeeded() && request.code != 403 {
            return;
        }
        let of_kubelet = request.identity_kind() == known::NODE && request.resource() == codes.pods;
        if of_kubelet
            || machinery.made(request, context.vocabulary)
            || request.is_dry_run(context.vocabulary)
            || self.is_own_work(request, context.vocabulary)
        {
            return;
        }
        let weight = self.weight(request, is_collection);
        if weight > 0 {
            let deletion = Deletion {
                request: request.to_owned(),
                object: object(request),
                weight,
                is_collection,
            };
            self.deleted(deletion, context);
        }
    }

    /// Notes what somebody made, to let them delete it.
    fn note_made(&mut self, request: &Request<'_>, vocabulary: &Vocabulary) {
        if request.is_dry_run(vocabulary) {
            return;
        }
        // A namespace's own deletion names it as its namespace too, its creation does not.
        let object = if request.resource() == self.codes.namespaces {
            object_key(self.codes.namespaces, NULL, request.name())
        } else {
            object(request)
        };
        let key = (who(request), object);
        let entry = self.made.entry(key).or_insert((0, 0));
        entry.0 += 1;
        entry.1 = request.ts;
        if self.made.len() > self.made_limit {
            let since = request.ts - self.settings.own_work_us;
            self.made.retain(|_, &mut (_, ts)| ts >= since);
            self.made_limit = MADE.max(self.made.len() * 2);
        }
    }

    /// Returns whether somebody deletes what they made: the object, one whose name the server chose, or
    /// anything in a namespace of their own.
    fn is_own_work(&mut self, request: &Request<'_>, vocabulary: &Vocabulary) -> bool {
        if self.made.is_empty() {
            return false;
        }
        let since = request.ts - self.settings.own_work_us;
        let who = who(request);
        let namespace = object_key(
            self.codes.namespaces,
            NULL,
            vocabulary.text(request.namespace()),
        );
        let in_own = request.namespace() != NULL
            && (self.made.get(&(who, namespace))).is_some_and(|&(_, ts)| ts >= since);
        if in_own || request.name().is_empty() {
            return in_own;
        }
        let unnamed = object_key(request.resource(), request.namespace(), "");
        [object(request), unnamed].into_iter().any(|object| {
            match self.made.get_mut(&(who, object)) {
                Some((left, ts)) if *ts >= since && *left > 0 => {
                    *left -= 1;
                    true
                }
                _ => false,
            }
        })
    }

    fn weight(&self, request: &Request<'_>, is_collection: bool) -> u32 {
        let settings = &self.settings;
        if is_collection {
            let weight = self.weights.get(&request.resource());
            let objects = if is_selected(request) {
                settings.selected
            } else {
                settings.collection
            };
            return weight.copied().unwrap_or(settings.weight) * objects;
        }
        if request.resource() == known::SECRETS && request.name().starts_with(HELM_RELEASE) {
            return settings.light_weight;
        }
        let weight = self.weights.get(&request.resource());
        weight.copied().unwrap_or(settings.weight)
    }

    fn deleted(&mut self, deletion: Deletion, context: &Context<'_>) {
        let settings = &self.settings;
        let doer = self.doers.entry(who(&deletion.request)).or_default();
        let ts = deletion.request.ts;
        if let Some(burst) = &mut doer.burst {
            if ts - burst.tally.last <= settings.window_us {
                burst.add(deletion, settings, context);
                return;
            }
            doer.ended.extend(doer.burst.take().map(Burst::ended));
        }
        while doer
            .pending
            .front()
            .is_some_and(|first| first.request.ts < ts - settings.window_us)
        {
            doer.weight -= doer.pending.pop_front().map_or(0, |first| first.weight);
        }
        let repeats = |earlier: &Deletion| {
            earlier.object == deletion.object && earlier.request.code == deletion.request.code
        };
        if doer.pending.iter().any(repeats) {
            return;
        }
        doer.weight += deletion.weight;
        doer.pending.push_back(deletion);
        if doer.weight >= settings.least {
            let mut burst = Burst::new();
            for deletion in std::mem::take(&mut doer.pending) {
                burst.add(deletion, settings, context);
            }
            doer.weight = 0;
            doer.burst = Some(burst);
        }
    }

    /// Draws the findings; the log began at `began`.
    pub fn finish(self, began: i64, context: &Context<'_>) -> Vec<Finding> {
        let mut findings = Vec::new();
        for ((username, impersonated), doer) in self.doers {
            let names = [username, impersonated].map(|code| context.vocabulary.text(code));
            let bursts: Vec<Burst> = doer.ended.into_iter().chain(doer.burst).collect();
            for (index, burst) in bursts.iter().enumerate() {
                let log = (began, self.latest);
                let judged = burst.judge(index, &bursts, log, &self.settings, context);
                findings.push(burst.finding(&self.meta, names, judged, &self.settings, context));
            }
        }
        findings
    }
}

impl Burst {
    fn new() -> Self {
        Self {
            tally: Tally::empty(),
            objects: HashSet::new(),
            window: VecDeque::new(),
            weight: 0,
            peak: 0,
            served_peak: 0,
            served_weight: 0,
            served: 0,
            refused: 0,
            whole_collections: 0,
            collections: 0,
            kinds: HashMap::new(),
            heavy: 0,
        }
    }

    /// Gives up what only an open burst needs.
    fn ended(mut self) -> Self {
        self.objects = HashSet::new();
        self.window = VecDeque::new();
        self
    }

    fn add(&mut self, deletion: Deletion, settings: &Settings, context: &Context<'_>) {
        let Deletion {
            request,
            object,
            weight,
            is_collection,
        } = deletion;
        let served = request.succeeded();
        if !self.objects.insert((object, served)) {
            return;
        }
        (self.tally).add(&request, context);
        let of_served = |weight: u32, served: bool| if served { weight } else { 0 };
        self.window.push_back((request.ts, weight, served));
        self.weight += weight;
        self.served_weight += of_served(weight, served);
        while let Some(&(ts, old, served)) = self.window.front() {
            if ts >= request.ts - settings.window_us {
                break;
            }
            self.window.pop_front();
            self.weight -= old;
            self.served_weight -= of_served(old, served);
        }
        self.peak = self.peak.max(self.weight);
        self.served_peak = self.served_peak.max(self.served_weight);
        self.served += u64::from(served);
        self.refused += u64::from(!served);
        self.collections += u64::from(is_collection);
        self.whole_collections += u64::from(is_collection && !is_selected(&request));
        let key = (request.resource(), request.namespace());
        *self.kinds.entry(key).or_default() += 1;
        self.heavy += u64::from(weight >= settings.heavy_weight && !is_collection);
    }

    /// Says how bad it is, and why not worse.
    fn judge(
        &self,
        index: usize,
        bursts: &[Self],
        (began, ended): (i64, i64),
        settings: &Settings,
        context: &Context<'_>,
    ) -> (Severity, Option<&'static str>) {
        let namespaces = self.namespaces(context.vocabulary);
        let severity = match self.peak {
            peak if peak >= settings.critical && namespaces.len() > 2 => Severity::Critical,
            peak if peak >= settings.high => Severity::High,
            _ => Severity::Medium,
        };
        let is_as_heavy = |burst: &&Self| burst.peak * 2 >= self.peak;
        let day = |burst: &Self| burst.tally.first.div_euclid(DAY_US);
        let days = |bursts: &[Self]| {
            let days = bursts.iter().filter(is_as_heavy).map(day);
            let mut days: Vec<i64> = days.filter(|&other| other != day(self)).collect();
            days.dedup();
            days.len()
        };
        // Nobody saw it begin, and it went on, on half of the days at least.
        let is_as_old_as_log = || {
            let first = bursts.iter().find(is_as_heavy);
            let others = days(bursts);
            let lasted = usize::try_from(ended.saturating_sub(began) / DAY_US);
            first.is_some_and(|first| is_as_old(first.tally.first, began))
                && others >= settings.routine_days
                && lasted.is_ok_and(|lasted| (others + 1) * 2 > lasted)
        };
        if self.is_one_application(&namespaces, settings) {
            let severity = if self.heavy > 1 {
                Severity::Low
            } else {
                Severity::Informational
            };
            (
                severity,
                Some("one application: one namespace, by name, few of each kind"),
            )
        } else if self.served_peak < settings.least {
            let severity = if severity >= Severity::High {
                Severity::Medium
            } else {
                Severity::Low
            };
            (severity, Some("most of it was refused"))
        } else if days(&bursts[..index]) >= settings.routine_days {
            (Severity::Low, Some("routine: as much on earlier days"))
        } else if is_as_old_as_log() {
            (
                Severity::Low,
                Some("routine: as much on other days, as long as there is a log"),
            )
        } else if severity > Severity::Medium && self.is_of_previews(settings, context.vocabulary) {
            (
                Severity::Medium,
                Some("namespaces alone, all named as previews and the like"),
            )
        } else {
            (severity, None)
        }
    }

    /// By name, nine tenths in one namespace, and of no kind more than an application has.
    fn is_one_application(&self, namespaces: &BTreeMap<&str, u64>, settings: &Settings) -> bool {
        let total: u64 = namespaces.values().sum();
        let most = namespaces.values().max().copied().unwrap_or(0);
        total > 0
            && most * 10 >= total * 9
            && self.whole_collections == 0
            && self.kinds.values().all(|&count| count < settings.one_kind)
            && self.tally.count <= settings.one_application
    }

    /// Nothing but namespaces that are named as those that come and go.
    fn is_of_previews(&self, settings: &Settings, vocabulary: &Vocabulary) -> bool {
        let is_fleeting = |word: &str| settings.fleeting_words.iter().any(|it| it == word);
        self.kinds.keys().all(|&(resource, namespace)| {
            let mut words = vocabulary.text(namespace).split(['-', '.']);
            vocabulary.text(resource) == "namespaces" && words.any(is_fleeting)
        })
    }

    /// Returns the namespaces of what was deleted, with its number.
    fn namespaces<'v>(&self, vocabulary: &'v Vocabulary) -> BTreeMap<&'v str, u64> {
        let mut namespaces = BTreeMap::new();
        for (&(_, namespace), count) in &self.kinds {
            if namespace != NULL {
                *namespaces.entry(vocabulary.text(namespace)).or_default() += count;
            }
        }
        namespaces
    }

    /// Returns what was deleted, most of it first: `secrets 12`.
    fn kinds(&self, vocabulary: &Vocabulary) -> Vec<String> {
        let mut kinds: BTreeMap<&str, u64> = BTreeMap::new();
        for (&(resource, _), count) in &self.kinds {
            *kinds.entry(vocabulary.text(resource)).or_default() += count;
        }
        let mut kinds: Vec<(&str, u64)> = kinds.into_iter().collect();
        kinds.sort_by_key(|&(resource, count)| (std::cmp::Reverse(count), resource));
        let written = kinds.iter();
        written
            .map(|(resource, count)| format!("{resource} {count}"))
            .collect()
    }

    fn finding(
        &self,
        meta: &RuleMeta,
        [username, impersonated]: [&str; 2],
        (severity, excuse): (Severity, Option<&'static str>),
        settings: &Settings,
        context: &Context<'_>,
    ) -> Finding {
        const NAMED: usize = 8;
        let namespaces = self.namespaces(context.vocabulary);
        let mut kinds = self.kinds(context.vocabulary);
        let n_kinds = kinds.len();
        if kinds.len() > NAMED {
            kinds.truncate(NAMED);
            kinds.push(format!("{} kinds more", n_kinds - NAMED));
        }
        let group = vec![username.to_owned(), impersonated.to_owned()];
        let mut draft = Draft::new(meta, group, &self.tally);
        draft.severity = severity;
        let who = called(username, impersonated);
        let outcome = match (self.served, self.refused) {
            (served, 0) => format!("deleted {}", counted(served, "time")),
            (0, refused) => format!(
                "tried to delete {} and was refused",
                counted(refused, "time")
            ),
            (served, refused) => format!(
                "deleted {}, and was refused {refused} more",
                counted(served, "time")
            ),
        };
        let collections = match self.collections {
            0 => String::new(),
            1 => ", once a whole collection".to_owned(),
            n => format!(", {n} times a whole collection"),
        };
        draft.summary = format!(
            "{who} {outcome}{collections}, within {}: {}, in {}",
            lasting(self.tally.last - self.tally.first),
            kinds.join(", "),
            match namespaces.len() {
                0 => "the cluster's own scope".to_owned(),
                1 => format!(
                    "namespace {}",
                    namespaces.keys().next().expect("there is one")
                ),
                n => format!("{n} namespaces"),
            },
        );
        draft.why = vec![
            format!(
                "weight within {} = {} (at least {})",
                lasting(settings.window_us),
                self.peak,
                settings.least
            ),
            format!(
                "deletecollection = {}, without a selector {}",
                self.collections, self.whole_collections
            ),
            format!("served = {}, refused = {}", self.served, self.refused),
        ];
        if !namespaces.is_empty() {
            let mut named: Vec<(&str, u64)> = namespaces
                .iter()
                .map(|(name, count)| (*name, *count))
                .collect();
            named.sort_by_key(|&(name, count)| (std::cmp::Reverse(count), name));
            let more = named.len().saturating_sub(NAMED);
            let named = named.iter().take(NAMED);
            let named: Vec<String> = named
                .map(|(name, count)| format!("{name} {count}"))
                .collect();
            let more = if more > 0 {
                format!(", {more} more")
            } else {
                String::new()
            };
            draft
                .why
                .push(format!("by namespace: {}{more}", named.join(", ")));
        }
        draft
            .why
            .extend(excuse.map(|excuse| format!("class = {excuse}")));
        draft.finish(context.vocabulary)
    }
}

/// Returns what stands for the object of a request; for a collection if it has no name.
fn object(request: &Request<'_>) -> u64 {
    object_key(request.resource(), request.namespace(), request.name())
}

fn object_key(resource: u32, namespace: u32, name: &str) -> u64 {
    let place = u64::from(resource) << 32 | u64::from(namespace);
    xxh3_64_with_seed(name.as_bytes(), xxh3_64(&place.to_le_bytes()))
}

fn is_selected(request: &Request<'_>) -> bool {
    view::is_selective(request.request_uri())
}
