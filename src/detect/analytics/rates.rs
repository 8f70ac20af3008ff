//! `denied-rate` and `secret-read-rate`: far more than an identity's own history lets expect.
//!
//! Requests are counted in half buckets; two neighbours are a bucket, so no edge cuts a burst in two. A bucket
//! is compared with the buckets before it in which the identity made any request at all (absence is no zero),
//! without those that were in alarm: an attack does not teach the baseline. Where too few came before, those an
//! hour later and on serve. By the median of the baseline the test is
//!
//! - a robust z-score by median and MAD, floored (Iglewicz and Hoaglin 1993), or
//! - where counts are small, the upper tail of a negative binomial distribution with mean and dispersion of the
//!   baseline less its top twentieth (Poisson if that is not over-dispersed), after Bonferroni over all buckets
//!   and identities.
//!
//! Besides, a bucket must hold more than twice what any other did. What remains and has its like at the same
//! time of two other days, or on three other days, is the identity's **rhythm** and dropped.
//!
//! Memory: 32 bytes per identity and half bucket with something to count, and the requests of few of them.

mod tail;

use std::collections::BTreeSet;

use hashbrown::{HashMap, HashSet};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::lives::{BUCKET_US, Life, Lives, Past, Who, called};
use super::machinery::Machinery;
use super::{Context, DAY_US, Draft, HOUR_US, counted, lasting, listed};
use crate::detect::request::Request;
use crate::detect::tally::Tally;
use crate::finding::{Confidence, Finding, Severity, Timestamp};
use crate::frame::vocabulary::known;
use crate::frame::{NULL, Vocabulary};
use crate::memory::remembers;
use crate::rules::{Parameters, RuleError, RuleMeta};
use tail::{Baseline, Verdict};

/// How long half a bucket is.
const SLOT_US: i64 = BUCKET_US / 2;

const SLOTS_A_DAY: i64 = DAY_US / SLOT_US;

/// How much later a baseline begins that has to be taken from afterwards.
const LATER_SLOTS: i64 = HOUR_US / SLOT_US;

/// Of how many slots an identity's requests are kept, the fullest ones.
const KEPT: usize = 64;

/// How many different objects a slot tells apart.
const VARIETY: usize = 256;

/// State of the analytics.
#[derive(Clone)]
pub struct Rates {
    denied: Rate,
    secrets: Rate,
    reads: [u32; 3],
}

remembers!(Rates: [], parts [denied, secrets], anew [reads]);

/// One of the analytics.
#[derive(Clone)]
struct Rate {
    meta: RuleMeta,
    settings: Settings,
    /// What is counted: `403`.
    what: &'static str,
    /// As people say it: `was refused`.
    did: &'static str,
    series: HashMap<Who, Series>,
}

remembers!(Rate: [series], anew [meta, settings, what, did]);

#[derive(Clone)]
struct Settings {
    least: u32,
    least_buckets: u32,
    least_log_us: i64,
    absolute: u32,
    least_z: f64,
    least_log_p: f64,
    variety: usize,
}

/// What is counted of one identity, in order of time, slots without any left out.
#[derive(Clone, Default, Serialize, Deserialize)]
struct Series {
    slots: Vec<Slot>,
    kept: usize,
}

#[derive(Clone, Serialize, Deserialize)]
struct Slot {
    at: i64,
    count: u32,
    /// Buckets with any request of the identity before this one.
    buckets_before: u32,
    /// The requests, while they may matter.
    requests: Option<Box<(Tally, HashSet<u64>)>>,
}

/// Alarms without a pause.
struct Run {
    from: i64,
    to: i64,
    peak_at: i64,
    peak: u32,
    verdict: Verdict,
    doubt: Option<&'static str>,
}

impl Rates {
    /// Reads the parameters.
    ///
    /// # Errors
    /// When a parameter is missing or of a wrong type.
    pub fn new(
        denied: (&RuleMeta, &Parameters),
        secrets: (&RuleMeta, &Parameters),
        vocabulary: &Vocabulary,
    ) -> Result<Self, RuleError> {
        Ok(Self {
            denied: Rate::new(denied, "403", "was refused")?,
            secrets: Rate::new(secrets, "reads of Secrets", "read Secrets")?,
            reads: ["get", "list", "watch"].map(|verb| vocabulary.code(verb)),
        })
    }

    /// Takes in one request; `past` says who made it.
    pub fn observe(
        &mut self,
        request: &Request<'_>,
        past: &Past,
        machinery: &Machinery,
        context: &Context<'_>,
    ) {
        // Nobody's rate says something: everybody without a credential has the same name.
        let is_somebody = request.identity_kind() != known::ANONYMOUS;
        let rate = if request.code == 403 && is_somebody {
            &mut self.denied
        } else if request.resource() == known::SECRETS
            && self.reads.contains(&request.verb())
            && request.subresource() == NULL
            && request.succeeded()
            && request.identity_kind() != known::NODE
            && is_somebody
        {
            &mut self.secrets
        } else {
            return;
        };
        if request.ts != 0 && !machinery.made(request, context.vocabulary) {
            rate.count(request, past, context);
        }
    }

    /// Draws the findings.
    pub fn finish(self, context: &Context<'_>, lives: &Lives) -> Vec<Finding> {
        let mut findings = self.denied.finish(context, lives);
        findings.extend(self.secrets.finish(context, lives));
        findings
    }
}

impl Rate {
    fn new(
        (meta, parameters): (&RuleMeta, &Parameters),
        what: &'static str,
        did: &'static str,
    ) -> Result<Self, RuleError> {
        Ok(Self {
            meta: meta.clone(),
            settings: Settings {
                least: parameters.count("least_requests")?,
                least_buckets: parameters.count("least_buckets")?,
                least_log_us: parameters.duration_us("least_log")?,
                absolute: parameters.count("absolute_requests")?,
                least_z: parameters.number("least_z")?,
                least_log_p: parameters.number("least_log_p")?,
                variety: parameters.count("least_variety")? as usize,
            },
            what,
            did,
            series: HashMap::new(),
        })
    }

    fn count(&mut self, request: &Request<'_>, past: &Past, context: &Context<'_>) {
        let at = request.ts.div_euclid(SLOT_US);
        let series = self.series.entry(past.who).or_default();
        let slots = &mut series.slots;
        let is_new = slots.last().is_none_or(|last| last.at < at);
        if is_new {
            let is_later = request.ts.div_euclid(BUCKET_US) > past.life.last.div_euclid(BUCKET_US);
            let has_begun = past.life.requests > 0 && !is_later;
            slots.push(Slot {
                at,
                count: 0,
                buckets_before: past.life.buckets - u32::from(has_begun),
                requests: Some(Box::new((Tally::empty(), HashSet::new()))),
            });
            series.kept += 1;
            series.let_go(self.settings.least);
        }
        // Logs are nearly in order: what is late goes to the slot it would have been in, or to the next.
        let index = series.slots.partition_point(|slot| slot.at < at);
        let slot = &mut series.slots[index];
        slot.count = slot.count.saturating_add(1);
        if let Some(requests) = &mut slot.requests {
            let (tally, objects) = &mut **requests;
            tally.add(request, context);
            if objects.len() < VARIETY {
                objects.insert(object(request));
            }
        }
    }

    fn finish(self, context: &Context<'_>, lives: &Lives) -> Vec<Finding> {
        let is_short = lives.span_us() < self.settings.least_log_us;
        let n_series = self.series.len();
        let mut findings = Vec::new();
        for (&who, series) in &self.series {
            let life = lives.of(who);
            let runs = if is_short {
                series.absolute(&self.settings)
            } else {
                let tests = u64::from(life.buckets) * n_series as u64;
                series.runs(life, tests, &self.settings)
            };
            let runs = runs
                .into_iter()
                .filter_map(|run| series.without_rhythm(run));
            findings.extend(runs.map(|run| self.finding(who, &run, series, context)));
        }
        findings
    }

    fn finding(&self, who: Who, run: &Run, series: &Series, context: &Context<'_>) -> Finding {
        let vocabulary = context.vocabulary;
        let mut tally = Tally::empty();
        let mut objects: HashSet<u64> = HashSet::new();
        let mut total = 0;
        for slot in series.between(run.from, run.to) {
            total += u64::from(slot.count);
            if let Some((requests, several)) = slot.requests.as_deref() {
                tally.merge(requests.clone(), context);
                objects.extend(several);
            }
        }
        // Slots with few requests keep their number only.
        tally.count = total;
        let [username, impersonated] = [who.0, who.1].map(|code| vocabulary.text(code).to_owned());
        let mut draft = Draft::new(
            &self.meta,
            vec![username.clone(), impersonated.clone()],
            &tally,
        );
        draft.window_start = run.from * SLOT_US;
        if objects.len() < self.settings.variety || run.doubt.is_some() {
            draft.severity = Severity::Low;
        }
        let name = called(&username, &impersonated);
        let usual = match &run.verdict {
            Verdict::Absolute { .. } => String::new(),
            Verdict::ZScore { middle, .. } => format!(", where {middle} are usual"),
            Verdict::Tail { most: 0, .. } => ", where it had not at all".to_owned(),
            Verdict::Tail { mean, .. } => format!(", where {mean:.1} are expected"),
        };
        let variety = match objects.len() {
            n if n < VARIETY => n.to_string(),
            _ => format!("{VARIETY} or more"),
        };
        draft.summary = format!(
            "{name} {} {} within {}{usual}: {}{} of {variety} different objects",
            self.did,
            counted(run.peak.into(), "time"),
            lasting(BUCKET_US),
            if total > u64::from(run.peak) {
                format!("{total} in all, ")
            } else {
                String::new()
            },
            listed(&tally.verbs(vocabulary)),
        );
        draft.why = vec![format!(
            "{} within {} from {} = {}",
            self.what,
            lasting(BUCKET_US),
            Timestamp(run.peak_at * SLOT_US),
            run.peak
        )];
        draft.why.extend(run.verdict.words());
        draft.why.push(format!(
            "different objects = {variety} (fewer than {}: low)",
            self.settings.variety
        ));
        draft.why.extend(run.doubt.map(str::to_owned));
        if matches!(run.verdict, Verdict::Absolute { .. }) {
            draft.confidence = Confidence::Low;
        }
        draft.finish(vocabulary)
    }
}

impl Series {
    /// Lets the requests go of slots that are over and can be in no alarm, and of the emptiest of too many.
    fn let_go(&mut self, least: u32) {
        let Some((_, over)) = self.slots.split_last_mut() else {
            return;
        };
        if let Some(last) = over.last_mut()
            && last.count < least / 2
            && last.requests.take().is_some()
        {
            self.kept -= 1;
        }
        if self.kept > KEPT {
            let emptiest = over
                .iter_mut()
                .filter(|slot| slot.requests.is_some())
                .min_by_key(|slot| (slot.count, slot.at));
            if let Some(slot) = emptiest {
                slot.requests = None;
                self.kept -= 1;
            }
        }
    }

    fn between(&self, from: i64, to: i64) -> impl Iterator<Item = &Slot> {
        let start = self.slots.partition_point(|slot| slot.at < from);
        self.slots[start..]
            .iter()
            .take_while(move |slot| slot.at <= to)
    }

    /// Returns what the bucket holds that begins with a slot.
    fn bucket(&self, index: usize) -> u32 {
        let slot = &self.slots[index];
        let next = self
            .slots
            .get(index + 1)
            .filter(|next| next.at == slot.at + 1);
        slot.count.saturating_add(next.map_or(0, |next| next.count))
    }

    /// Returns all that is too many for anybody.
    fn absolute(&self, settings: &Settings) -> Vec<Run> {
        let mut runs = Vec::new();
        for index in 0..self.slots.len() {
            let count = self.bucket(index);
            if count >= settings.absolute {
                let least = settings.absolute;
                extend(
                    &mut runs,
                    self.slots[index].at,
                    count,
                    Verdict::Absolute { least },
                );
            }
        }
        runs
    }

    /// Judges each bucket by those before it, or by those after it if before there are too few.
    fn runs(&self, life: Life, tests: u64, settings: &Settings) -> Vec<Run> {
        let mut runs: Vec<Run> = Vec::new();
        let mut before = Baseline::default();
        // The first slot that is not in the baseline yet.
        let mut next = 0;
        let mut alarmed = 0;
        for (index, slot) in self.slots.iter().enumerate() {
            let count = self.bucket(index);
            if count < settings.least {
                continue;
            }
            let start = slot.at.div_euclid(2) * 2;
            while next < self.slots.len() && self.slots[next].at < start {
                let bucket = self.slots[next].at.div_euclid(2);
                let of_bucket = |slot: &&Slot| slot.at.div_euclid(2) == bucket;
                let slots: Vec<&Slot> = self.slots[next..].iter().take_while(of_bucket).collect();
                next += slots.len();
                if runs
                    .iter()
                    .any(|run| slots.iter().any(|slot| run.holds(slot.at)))
                {
                    alarmed += 1;
                } else {
                    before.add(slots.iter().map(|slot| slot.count).sum());
                }
            }
            let n_before = slot.buckets_before.saturating_sub(alarmed);
            let verdict = if n_before >= settings.least_buckets {
                before.judge(
                    count,
                    n_before,
                    tests,
                    settings.least_z,
                    settings.least_log_p,
                )
            } else {
                let (after, n_after) = self.after(slot.at, life);
                if n_after >= settings.least_buckets {
                    after.judge(
                        count,
                        n_after,
                        tests,
                        settings.least_z,
                        settings.least_log_p,
                    )
                } else {
                    let least = settings.absolute;
                    (count >= least).then_some(Verdict::Absolute { least })
                }
            };
            if let Some(verdict) = verdict {
                extend(&mut runs, slot.at, count, verdict);
            }
        }
        runs
    }

    /// Returns the buckets from an hour after `at` on, and how many there are.
    fn after(&self, at: i64, life: Life) -> (Baseline, u32) {
        let mut baseline = Baseline::default();
        let start = self
            .slots
            .partition_point(|slot| slot.at < at + LATER_SLOTS);
        let buckets = self.slots[start..].chunk_by(|a, b| a.at.div_euclid(2) == b.at.div_euclid(2));
        for bucket in buckets {
            baseline.add(bucket.iter().map(|slot| slot.count).sum());
        }
        // Where nothing was counted any more, nothing tells how many buckets the hour took.
        let passed = self.slots.get(start).map_or_else(
            || {
                let last = self.slots.last().map_or(0, |slot| slot.buckets_before + 1);
                last + u32::try_from(LATER_SLOTS / 2).unwrap_or(u32::MAX)
            },
            |slot| slot.buckets_before,
        );
        (baseline, life.buckets.saturating_sub(passed))
    }

    /// Drops a run that has its like on other days; doubts it if there is one such day.
    fn without_rhythm(&self, mut run: Run) -> Option<Run> {
        let mut same_time = BTreeSet::new();
        let mut other_days = BTreeSet::new();
        let day = run.peak_at.div_euclid(SLOTS_A_DAY);
        for (index, slot) in self.slots.iter().enumerate() {
            if run.holds(slot.at) || self.bucket(index) < run.peak / 2 {
                continue;
            }
            let distance = slot.at - run.peak_at;
            let days = (distance + SLOTS_A_DAY / 2).div_euclid(SLOTS_A_DAY);
            if days != 0 && (distance - days * SLOTS_A_DAY).abs() <= 2 {
                same_time.insert(days);
            }
            if slot.at.div_euclid(SLOTS_A_DAY) != day {
                other_days.insert(slot.at.div_euclid(SLOTS_A_DAY));
            }
        }
        if same_time.len() >= 2 || other_days.len() >= 3 {
            return None;
        }
        run.doubt = (!same_time.is_empty())
            .then_some("about as much at the same time of another day: perhaps a rhythm");
        Some(run)
    }
}

impl Run {
    fn holds(&self, slot: i64) -> bool {
        (self.from..=self.to).contains(&slot)
    }
}

/// Adds the bucket that begins with slot `at` to the last run, if that is near, or starts one.
fn extend(runs: &mut Vec<Run>, at: i64, count: u32, verdict: Verdict) {
    match runs.last_mut().filter(|run| at <= run.to + 2) {
        Some(run) => {
            run.to = at + 1;
            if count > run.peak {
                run.peak = count;
                run.peak_at = at;
                run.verdict = verdict;
            }
        }
        None => runs.push(Run {
            from: at,
            to: at + 1,
            peak_at: at,
            peak: count,
            verdict,
            doubt: None,
        }),
    }
}

/// Returns what stands for what a request was about.
fn object(request: &Request<'_>) -> u64 {
    let parts = [
        request.verb(),
        request.resource(),
        request.subresource(),
        request.namespace(),
    ];
    let seed = parts.iter().fold(0, |seed: u64, &part| {
        (seed ^ u64::from(part)).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    });
    let name = if request.resource() == NULL {
        request.path()
    } else {
        request.name()
    };
    xxh3_64_with_seed(name.as_bytes(), seed)
}
