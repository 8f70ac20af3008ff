//! Correlations: hits to episodes, by group, sliding window and condition.
//!
//! Sigma specification 2.1, correlations, and the types that pySigma added to it. Windows slide over the time
//! of the log and end at each hit; they are never aligned to a clock. A request that lacks a value to group by or
//! to measure is no part of any group, and is counted. Once the condition holds, an episode runs for as long as
//! requests of the group follow within the timespan: one finding.

mod condition;
mod figures;
mod index;
mod trail;
mod window;

use std::collections::BTreeMap;

use hashbrown::HashMap;
use rsigma_parser::CorrelationCondition;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::analytics::{Context, Draft, counted, lasting};
use super::engine::{key, position};
use super::habit;
use super::request::Request;
use super::summary::summary;
use super::tally::{Tally, Trace};
use crate::finding::Finding;
use crate::frame::{Column, NULL, Vocabulary};
use crate::memory::remembers;
use crate::rules::{Habit, Rule, RuleBody, RuleError, RuleMeta, RuleSet};
use condition::{Condition, Measure, Source, condition, holds, source};
use window::{Entry, Episode, Window};

/// Rules that one correlation may name: they are bits of a number.
const BASES_MAX: usize = 64;

/// So many groups are kept whether or not anything comes to them any more.
const CROWD: usize = if cfg!(test) { 4 } else { 1024 };

/// So many entries of a window are looked through whenever that has to be known: most windows never have more.
const FEW: usize = 32;

/// One correlation, and what it remembers.
#[derive(Clone)]
pub(super) struct Correlation {
    /// Its index in the set.
    pub(super) rule: usize,
    terms: Terms,
    /// Of requests in the order of the log, and of those that never ended and so come behind it, in theirs.
    windows: [HashMap<Box<[u32]>, Window>; 2],
    /// Of these, so many groups make it worth while to look for those that nothing comes to any more.
    crowds: [usize; 2],
    /// Requests without a value to group by, or to measure.
    n_ungrouped: u64,
    /// The groups of the request at hand: room that serves again.
    groups: Vec<(Box<[u32]>, Entry)>,
}

remembers!(Correlation: [windows, n_ungrouped], anew [rule, terms, crowds, groups]);

/// What it says.
#[derive(Clone)]
struct Terms {
    /// The rules it looks at, in the order it names them.
    bases: Vec<u32>,
    /// By base: the columns to group by.
    group_by: Vec<Vec<Column>>,
    /// By base: what is counted or measured.
    values: Vec<Vec<Source>>,
    /// The place of the rule whose values are not counted, behind the others.
    discount: Option<usize>,
    timespan_us: i64,
    condition: Condition,
    /// The condition as it was written, if it is one on rules.
    written: String,
    /// [`FEW`].
    few: usize,
    /// Of entries alike in a row, a chain takes the latest, at most as many as there are rules.
    longest_run: usize,
}

impl Correlation {
    pub(super) fn new(index: usize, rule: &Rule, rules: &RuleSet) -> Result<Self, RuleError> {
        let RuleBody::Correlation(correlation) = &rule.body else {
            unreachable!("the caller passes correlations only");
        };
        let meta = &rule.meta;
        if correlation.rules.len() > BASES_MAX {
            let what = format!("a correlation names at most {BASES_MAX} rules");
            return Err(RuleError::at(&meta.path, &meta.text, "rules:", what));
        }
        let base = |base: &String| {
            let index = position(rules, meta, base)?;
            Ok(u32::try_from(index).expect("fewer than 2^32 rules"))
        };
        let bases = rule.bases().map(base);
        let (condition, fields) = condition(correlation, meta)?;
        let written = match &correlation.condition {
            CorrelationCondition::Extended(expression) => expression.to_string(),
            CorrelationCondition::Threshold { .. } => String::new(),
        };
        if meta.discount.is_some() && !matches!(condition, Condition::Values(_)) {
            let what = "`discount` is for correlations of type `value_count`";
            return Err(RuleError::at(&meta.path, &meta.text, "discount:", what));
        }
        // A field of the correlation is one of the events, or an alias that says which one of each rule.
        let field_of = |name: &String, base: &String| {
            let alias = correlation
                .aliases
                .iter()
                .find(|alias| alias.alias == *name);
            alias.map_or_else(
                || Ok(name.clone()),
                |alias| {
                    alias.mapping.get(base).cloned().ok_or_else(|| {
                        let what = format!("alias `{name}` says nothing of rule `{base}`");
                        RuleError::at(&meta.path, &meta.text, name, what)
                    })
                },
            )
        };
        let group_by = rule.bases().map(|base| {
            let names = correlation.group_by.iter().map(|name| field_of(name, base));
            super::engine::columns(meta, &names.collect::<Result<Vec<_>, _>>()?)
        });
        let values = rule.bases().map(|base| {
            let sources = fields
                .iter()
                .map(|name| source(meta, &field_of(name, base)?));
            sources.collect::<Result<_, RuleError>>()
        });
        let terms = Terms {
            bases: bases.collect::<Result<_, RuleError>>()?,
            group_by: group_by.collect::<Result<_, RuleError>>()?,
            values: values.collect::<Result<_, RuleError>>()?,
            discount: meta.discount.as_ref().map(|_| correlation.rules.len()),
            timespan_us: i64::try_from(correlation.timespan.seconds)
                .unwrap_or(i64::MAX)
                .clamp(0, i64::MAX / 2_000_000)
                * 1_000_000,
            condition,
            written,
            few: FEW,
            longest_run: correlation.rules.len(),
        };
        Ok(Self {
            rule: index,
            terms,
            windows: [HashMap::new(), HashMap::new()],
            crowds: [CROWD; 2],
            n_ungrouped: 0,
            groups: Vec::new(),
        })
    }

    /// Returns the rules it looks at.
    pub(super) fn bases(&self) -> &[u32] {
        &self.terms.bases
    }

    /// Takes in that the rules `matched` hit a request; returns whether an episode began with it.
    pub(super) fn observe(
        &mut self,
        matched: &[u32],
        request: &Request<'_>,
        in_order: bool,
        context: &Context<'_>,
    ) -> bool {
        let order = usize::from(!in_order);
        if self.windows[order].len() >= self.crowds[order] {
            // Requests may stand a little out of order.
            self.forget_in(order, request.ts.saturating_sub(self.terms.timespan_us));
            self.crowds[order] = (2 * self.windows[order].len()).max(CROWD);
        }
        let terms = &self.terms;
        let mut has_begun = false;
        // Rules that group by the same columns are one event; aliases may part them.
        for (position, _) in (0..)
            .zip(&terms.bases)
            .filter(|(_, base)| matched.contains(base))
        {
            let group = key(request, &terms.group_by[position], context.vocabulary);
            let entry = terms.entry(position, request, context.vocabulary);
            let (Some(entry), false) = (entry, group.contains(&NULL)) else {
                self.n_ungrouped += 1;
                continue;
            };
            let is_one = |(other, known): &&mut (Box<[u32]>, Entry)| {
                *other == group && terms.is_discount(known) == terms.is_discount(&entry)
            };
            match self.groups.iter_mut().find(is_one) {
                Some((_, known)) => known.bases |= entry.bases,
                None => self.groups.push((group, entry)),
            }
        }
        for (group, entry) in self.groups.drain(..) {
            let window = self.windows[order].entry(group).or_insert_with(Window::new);
            has_begun |= if let Condition::Expression(tree) = &terms.condition {
                window.await_end(Entry {
                    trace: Some(Trace::of(request).into()),
                    ..entry
                });
                window.judge(
                    tree,
                    Some(request.ts),
                    terms.timespan_us,
                    terms.few,
                    context,
                )
            } else {
                terms.slide(window, entry, request, context)
            };
        }
        has_begun
    }

    /// Returns whether an episode of this correlation holds all of a session of its base rule.
    pub(super) fn says(&self, rule: u32, columns: &[Column], key: &[u32], session: &Tally) -> bool {
        let Some(position) = self.terms.bases.iter().position(|base| *base == rule) else {
            return false;
        };
        let part = |column: &Column| {
            let at = columns.iter().position(|other| other == column)?;
            key.get(at).copied()
        };
        let group: Option<Box<[u32]>> = self.terms.group_by[position].iter().map(part).collect();
        let holds = |Episode { tally, .. }: &Episode| {
            tally.first <= session.first && session.last <= tally.last
        };
        group.is_some_and(|group| {
            let windows = self
                .windows
                .iter()
                .filter_map(|windows| windows.get(&group));
            windows.flat_map(|window| &window.episodes).any(holds)
        })
    }

    /// Forgets what no window can hold any more that ends at `before` or later; of requests that never ended, at
    /// `unfinished_before` or later.
    pub(super) fn forget(&mut self, before: i64, unfinished_before: i64) {
        for (order, before) in [before, unfinished_before].into_iter().enumerate() {
            self.forget_in(order, before);
        }
    }

    fn forget_in(&mut self, order: usize, before: i64) {
        if matches!(self.terms.condition, Condition::Expression(_)) {
            // Windows of these are judged when they are over, not when they are full.
            return;
        }
        let from = before.saturating_sub(self.terms.timespan_us);
        self.windows[order].retain(|_, window| {
            window.forget(&self.terms.condition, from);
            !(window.recent.is_empty() && window.episodes.is_empty())
        });
    }

    /// Forgets the episodes that ended before a time.
    pub(super) fn forget_episodes(&mut self, before: i64) {
        for windows in &mut self.windows {
            for window in windows.values_mut() {
                window
                    .episodes
                    .retain(|episode| episode.tally.last >= before);
            }
        }
    }

    /// Judges the windows that the end of the log ends.
    pub(super) fn end(&mut self, context: &Context<'_>) {
        if let Condition::Expression(tree) = &self.terms.condition {
            for window in self.windows.iter_mut().flat_map(HashMap::values_mut) {
                let Terms {
                    timespan_us, few, ..
                } = self.terms;
                window.judge(tree, None, timespan_us, few, context);
            }
        }
    }

    /// Says how many requests were in no group, if any.
    pub(super) fn note(&self, meta: &RuleMeta) -> Option<String> {
        (self.n_ungrouped > 0).then(|| {
            format!(
                "`{}` left out {} without a value to group by or to measure",
                meta.name,
                counted(self.n_ungrouped, "request"),
            )
        })
    }

    pub(super) fn findings(
        self,
        meta: &RuleMeta,
        began: i64,
        context: &Context<'_>,
        findings: &mut Vec<Finding>,
    ) {
        let vocabulary = context.vocabulary;
        let what = match self
            .terms
            .values
            .first()
            .and_then(|sources| sources.first())
        {
            Some(Source::Column(column)) => column.name(),
            Some(Source::Seconds) => "session.seconds",
            None => "requests",
        };
        let within = lasting(self.terms.timespan_us);
        for (key, window) in self.windows.into_iter().flatten() {
            let episodes = match meta.habit {
                Some(habit) => habits(window.episodes, habit, began, context),
                None => window.episodes.into_iter().map(Told::from).collect(),
            };
            for told in &episodes {
                let Episode { tally, most } = &told.episode;
                let texts: Vec<String> = key
                    .iter()
                    .map(|&code| vocabulary.text(code).to_owned())
                    .collect();
                let mut draft = Draft::new(meta, texts.clone(), tally);
                if let Some(habit) = meta.habit.filter(|_| told.is_as_old) {
                    draft
                        .group
                        .extend(tally.likeness(habit, vocabulary).concat());
                    draft.sink();
                }
                draft.summary = summary(meta, tally, vocabulary);
                draft.why = self.terms.group_by[0]
                    .iter()
                    .zip(&texts)
                    .map(|(column, text)| format!("{} = {text}", column.name()))
                    .collect();
                draft.why.push(match &self.terms.condition {
                    Condition::Requests(_) => {
                        format!("requests within {within} = up to {most}")
                    }
                    Condition::Values(_) => {
                        let but = meta.discount.as_ref();
                        let but = but.map_or(String::new(), |rule| format!(", but for {rule}"));
                        format!("distinct {what} within {within} = up to {most}{but}")
                    }
                    Condition::Measure(Measure::Average, _) => {
                        format!("the average of {what} within {within} is met")
                    }
                    Condition::Measure(measure, _) => {
                        let kind = match measure {
                            Measure::Percentile(percent) => format!("percentile {percent}"),
                            _ => "sum".to_owned(),
                        };
                        let most = most / 1_000_000;
                        format!("{kind} of {what} within {within} = up to {most}")
                    }
                    Condition::Rules(_) => {
                        let all = self.terms.bases.len();
                        format!("{most} of its {all} rules hit within {within}")
                    }
                    Condition::Sequence => {
                        format!("its rules hit one after the other within {within}")
                    }
                    Condition::Expression(_) => {
                        format!("rules within {within}: {}", self.terms.written)
                    }
                });
                draft.why.extend(told.because.clone());
                findings.push(draft.finish(vocabulary));
            }
        }
    }
}

/// An episode as it is told.
struct Told {
    episode: Episode,
    /// Why it stands for several, if it is a habit.
    because: Option<String>,
    /// Whether that is as old as the log.
    is_as_old: bool,
}

impl From<Episode> for Told {
    fn from(episode: Episode) -> Self {
        Self {
            episode,
            because: None,
            is_as_old: false,
        }
    }
}

/// Joins the episodes of a group that are a habit.
///
/// What is done again and again from an address that is new each time, as the jobs of a pipeline do, is told once too, but has
/// no less weight: it may come from anywhere.
fn habits(episodes: Vec<Episode>, habit: Habit, began: i64, context: &Context<'_>) -> Vec<Told> {
    let likeness = |episode: &Episode| episode.tally.likeness(habit, context.vocabulary);
    let anywhere = |episode: &Episode| likeness(episode).split_off(1);
    let (from_here, others) = join(episodes, likeness, context);
    let (from_anywhere, others) = join(others, anywhere, context);
    let told = |(n, episode): (usize, Episode), is_from_here: bool| {
        let is_as_old = is_from_here && habit::is_as_old(episode.tally.began, began);
        let because = habit::because(n, &episode.tally, is_from_here, is_as_old);
        Told {
            episode,
            because: Some(because),
            is_as_old,
        }
    };
    let from_here = from_here.into_iter().map(|it| told(it, true));
    let from_anywhere = from_anywhere.into_iter().map(|it| told(it, false));
    let habits = from_here.chain(from_anywhere);
    habits.chain(others.into_iter().map(Told::from)).collect()
}

/// Joins the episodes that are a habit among those alike, with how many they were; returns the others too.
fn join<K: Ord>(
    episodes: Vec<Episode>,
    likeness: impl Fn(&Episode) -> K,
    context: &Context<'_>,
) -> (Vec<(usize, Episode)>, Vec<Episode>) {
    let mut alike: BTreeMap<K, Vec<Episode>> = BTreeMap::new();
    for episode in episodes {
        alike.entry(likeness(&episode)).or_default().push(episode);
    }
    let (mut joined, mut others) = (Vec::new(), Vec::new());
    for mut episodes in alike.into_values() {
        episodes.sort_by_key(|episode| episode.tally.began);
        let tallies: Vec<&Tally> = episodes.iter().map(|episode| &episode.tally).collect();
        // One that never ends may hold what is new.
        let runs = habit::runs(&tallies).into_iter();
        let runs: Vec<_> = runs
            .map(|run| (run.len(), habit::is_habit(&tallies[run], false)))
            .collect();
        let mut episodes = episodes.into_iter();
        for (n, is_habit) in runs {
            let run = episodes.by_ref().take(n);
            if !is_habit {
                others.extend(run);
                continue;
            }
            let (mut tally, mut most) = (Tally::empty(), 0);
            for episode in run {
                most = most.max(episode.most);
                tally.merge(episode.tally, context);
            }
            joined.push((n, Episode { tally, most }));
        }
    }
    (joined, others)
}

impl Terms {
    /// Returns the request as an entry, without itself; `None` if it lacks a value.
    fn entry(
        &self,
        position: usize,
        request: &Request<'_>,
        vocabulary: &Vocabulary,
    ) -> Option<Entry> {
        let mut entry = Entry {
            ts: request.ts,
            bases: 1 << position,
            value: 0,
            figure: 0,
            trace: None,
        };
        let sources = &self.values[position];
        if matches!(self.condition, Condition::Measure(..)) {
            entry.figure = sources.first()?.figure(request, vocabulary)?;
        } else if !sources.is_empty() {
            // A hash: clients choose these texts, and the dictionary would keep them all.
            for source in sources {
                let column = match source {
                    Source::Column(column) if *column != Column::Code => *column,
                    _ => {
                        let figure = source.figure(request, vocabulary)?.to_le_bytes();
                        entry.value = xxh3_64_with_seed(&figure, entry.value);
                        continue;
                    }
                };
                let text = request.value_of(column, vocabulary);
                if text.is_empty() {
                    return None;
                }
                entry.value = xxh3_64_with_seed(text, entry.value);
            }
        }
        if matches!(self.condition, Condition::Values(_)) {
            entry.value = if self.is_discount(&entry) {
                window::discounted(entry.value)
            } else {
                window::counted(entry.value)
            };
        }
        Some(entry)
    }

    /// Returns whether an entry only says what is not counted.
    fn is_discount(&self, entry: &Entry) -> bool {
        self.discount.is_some_and(|at| entry.bases == 1 << at)
    }

    /// Moves the window to a new entry; returns whether an episode began.
    fn slide(
        &self,
        window: &mut Window,
        mut entry: Entry,
        request: &Request<'_>,
        context: &Context<'_>,
    ) -> bool {
        let from = request.ts.saturating_sub(self.timespan_us);
        window.forget(&self.condition, from);
        if self.is_discount(&entry) {
            window.push(&self.condition, entry, self.longest_run, self.few);
            return false;
        }
        let running = window
            .episodes
            .last()
            .is_some_and(|episode| episode.tally.last >= from);
        let trace = (!running).then(|| Trace::of(request));
        if matches!(self.condition, Condition::Sequence) {
            entry.trace = trace.map(Box::new);
        } else if let Some(trace) = trace {
            window.trail.push(trace, self.timespan_us, context);
        }
        window.push(&self.condition, entry, self.longest_run, self.few);
        let measure = self.measure(window);
        if running {
            let episode = window.episodes.last_mut().expect("it runs");
            episode.most = episode.most.max(measure);
            episode.tally.add(request, context);
            return false;
        }
        let Some(chain) = self.holds(measure, window) else {
            return false;
        };
        let mut tally = window.trail.take(context);
        for at in chain {
            if let Some(trace) = window.recent[at].trace.take() {
                tally.add_trace(*trace, context);
            }
        }
        let most = measure;
        window.episodes.push(Episode { tally, most });
        true
    }

    /// Returns what the condition compares; 0 if it compares nothing.
    fn measure(&self, window: &Window) -> i128 {
        match &self.condition {
            Condition::Requests(_) => window.recent.len() as i128,
            Condition::Values(_) => window.sum,
            Condition::Rules(_) => window.counts.len() as i128,
            Condition::Measure(measure, _) => window.figure(*measure),
            Condition::Sequence | Condition::Expression(_) => 0,
        }
    }

    /// Returns, if the condition holds now, the entries that alone make it so; none where all of the window do.
    fn holds(&self, measure: i128, window: &mut Window) -> Option<Vec<usize>> {
        let (predicates, scale) = match &self.condition {
            Condition::Requests(predicates)
            | Condition::Values(predicates)
            | Condition::Rules(predicates) => (predicates, 1),
            Condition::Measure(Measure::Average, predicates) => {
                (predicates, 1_000_000 * window.recent.len() as i128)
            }
            Condition::Measure(_, predicates) => (predicates, 1_000_000),
            Condition::Sequence => return window.chain(self.bases.len(), self.few),
            Condition::Expression(_) => return None,
        };
        predicates
            .iter()
            .all(|&(operator, limit)| holds(measure, operator, i128::from(limit) * scale))
            .then(Vec::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::request::RequestColumns;
    use crate::frame::EventFrame;
    use crate::frame::reading::Reading;

    /// Reads `lines`, and returns the frame with its dictionary, the rules of a text, and where the one is that is named.
    fn set_up(lines: &[String], rules: &str, name: &str) -> (EventFrame, RuleSet, usize) {
        let frame = Reading::new(&Vocabulary::new()).chunk(lines, false);
        let rules = RuleSet::from_files([("correlations/c.yml", rules)]).unwrap();
        let index = position(&rules, &rules.rules[0].meta, name).unwrap();
        (frame, rules, index)
    }

    const RULES: &str = "title: R\nname: reads\nlevel: low\nlogsource: {product: kubernetes}\n\
        detection: {s: {verb: get}, condition: s}\n---\n\
        title: C\nname: many\nlevel: low\ncorrelation: {type: event_count, rules: [reads], \
        group-by: [user.username], timespan: 10s, condition: {gte: 3}}\n";

    #[test]
    fn groups_that_nothing_comes_to_any_more_are_forgotten() {
        // User 7 does four requests within 8 s now and then, the others one each, in all a second apart.
        let user = |at: usize| match at % 100 {
            0 | 2 | 4 | 8 => 7,
            _ => 1000 + at,
        };
        let line = |at: usize| {
            let (minute, second) = (at / 60, at % 60);
            format!(
                r#"{{"auditID":"{at}","stage":"ResponseComplete","verb":"get","user":{{"username":"u{}"}},"stageTimestamp":"2026-11-22T04:{minute:02}:{second:02}.000001Z"}}"#,
                user(at)
            )
        };
        let lines: Vec<String> = (0..1000).map(line).collect();
        let (frame, rules, index) = set_up(&lines, RULES, "many");
        let context = Context {
            vocabulary: frame.vocabulary(),
            evidence_limit: 1,
        };
        let findings = |crowd: usize| {
            let rule = &rules.rules[index];
            let mut correlation = Correlation::new(index, rule, &rules).unwrap();
            correlation.crowds = [crowd; 2];
            let base = correlation.bases().to_vec();
            let mut most = 0;
            for row_idx in 0..frame.height() {
                let request = RequestColumns::new(&frame).request(row_idx);
                correlation.observe(&base, &request, true, &context);
                most = most.max(correlation.windows[0].len());
            }
            let mut findings = Vec::new();
            correlation.findings(&rule.meta, 0, &context, &mut findings);
            let said = findings
                .iter()
                .map(|finding| (finding.count, finding.last_seen));
            let mut said: Vec<_> = said.collect();
            said.sort_unstable();
            (said, most)
        };
        let (all, kept) = findings(usize::MAX);
        assert_eq!((all.len(), kept), (10, 961));
        let (said, most) = findings(CROWD);
        assert_eq!(said, all);
        // What two windows hold, and as much again until it is looked for, and user 7.
        assert!(most <= 2 * 21 + 1, "{most} groups");
    }

    const USERS: &str = "title: R\nname: reads\nlevel: low\nlogsource: {product: kubernetes}\n\
        detection: {s: {verb: get}, condition: s}\n---\n\
        title: C\nname: users\nlevel: low\ncorrelation: {type: value_count, rules: [reads], \
        group-by: [verb], timespan: 640s, condition: {gte: 2, field: user.username}}\n";

    #[test]
    fn a_long_window_is_summed_up() {
        // Once a second, by one user until the second one comes.
        let line = |at: usize| {
            let (minute, second, user) = (at / 60, at % 60, at / 2000);
            format!(
                r#"{{"auditID":"{at}","stage":"ResponseComplete","verb":"get","user":{{"username":"u{user}"}},"stageTimestamp":"2026-11-22T04:{minute:02}:{second:02}.000001Z"}}"#
            )
        };
        let lines: Vec<String> = (0..=2000).map(line).collect();
        let (frame, rules, index) = set_up(&lines, USERS, "users");
        let context = Context {
            vocabulary: frame.vocabulary(),
            evidence_limit: 3,
        };
        let rule = &rules.rules[index];
        let mut correlation = Correlation::new(index, rule, &rules).unwrap();
        let base = correlation.bases().to_vec();
        let mut most = 0;
        for row_idx in 0..frame.height() {
            let request = RequestColumns::new(&frame).request(row_idx);
            correlation.observe(&base, &request, true, &context);
            let windows = correlation.windows[0].values();
            most = most.max(windows.map(|window| window.trail.len()).sum());
        }
        assert!(most <= 2 * 64 + 2 + 8, "{most} pieces");
        let mut findings = Vec::new();
        correlation.findings(&rule.meta, 0, &context, &mut findings);
        let [finding] = &findings[..] else {
            panic!("{} findings", findings.len())
        };
        // The window has 641 of them, its first piece at most ten more.
        assert!((641..=651).contains(&finding.count), "{}", finding.count);
        assert_eq!(finding.evidence.len(), 3);
        assert_eq!(finding.evidence[0].ts, finding.first_seen);
    }

    const DISCOUNT: &str = "title: R\nname: read\nlevel: low\nlogsource: {product: kubernetes}\n\
        detection: {s: {verb: get}, condition: s}\n---\n\
        title: W\nname: written\nlevel: low\nlogsource: {product: kubernetes}\n\
        detection: {s: {verb: patch}, condition: s}\n---\n\
        title: D\nname: many\nlevel: low\ncorrelation: {type: value_count, rules: [read], group-by: [user.username], \
        timespan: 10s, condition: {gte: 3, field: objectRef.name}}\nkubescry: {discount: written}\n";

    /// Reads and writes objects, one a second: `ra` reads `a`, `wa` writes it; returns how often findings count.
    fn counts_of(steps: &[&str]) -> Vec<u64> {
        let line = |(second, step): (usize, &&str)| {
            let (verb, name) = step.split_at(1);
            let verb = if verb == "r" { "get" } else { "patch" };
            format!(
                r#"{{"auditID":"{second}","stage":"ResponseComplete","verb":"{verb}","user":{{"username":"u"}},"objectRef":{{"resource":"secrets","name":"{name}"}},"stageTimestamp":"2026-11-22T04:00:{second:02}.000001Z"}}"#
            )
        };
        let lines: Vec<String> = steps.iter().enumerate().map(line).collect();
        let (frame, rules, index) = set_up(&lines, DISCOUNT, "many");
        let context = Context {
            vocabulary: frame.vocabulary(),
            evidence_limit: 9,
        };
        let rule = &rules.rules[index];
        let mut correlation = Correlation::new(index, rule, &rules).unwrap();
        let bases = correlation.bases().to_vec();
        for (row_idx, step) in steps.iter().enumerate() {
            let base = bases[usize::from(step.starts_with('w'))];
            let request = RequestColumns::new(&frame).request(row_idx);
            correlation.observe(&[base], &request, true, &context);
        }
        let mut findings = Vec::new();
        correlation.findings(&rule.meta, 0, &context, &mut findings);
        findings.iter().map(|finding| finding.count).collect()
    }

    #[test]
    fn values_of_the_discounted_rule_do_not_count() {
        assert_eq!(counts_of(&["ra", "rb", "rc"]), [3]);
        assert_eq!(
            counts_of(&["ra", "wa", "rb", "wb", "rc", "wc", "rd"]),
            [0; 0]
        );
        assert_eq!(counts_of(&["wa", "ra", "rb", "rc"]), [0; 0]);
        // Written by the way, it is read all the same, and the write is no part of the finding.
        assert_eq!(counts_of(&["ra", "wa", "rb", "rc", "rd"]), [4]);
        // Ten seconds later the write is forgotten, as the read is.
        let steps = [
            "ra", "wa", "rb", "rb", "rb", "rb", "rb", "rb", "rb", "rb", "rb", "rb", "ra", "rc",
        ];
        assert_eq!(counts_of(&steps).len(), 1);
    }

    #[test]
    fn only_values_are_discounted() {
        let rules = DISCOUNT.replace("value_count", "event_count");
        let rules = RuleSet::from_files([("correlations/c.yml", &*rules)]).unwrap();
        let index = position(&rules, &rules.rules[0].meta, "many").unwrap();
        let error = Correlation::new(index, &rules.rules[index], &rules)
            .err()
            .unwrap();
        assert!(error.to_string().contains("`discount`"), "{error}");
    }

    const CHAINS: &str = "title: A\nname: a\nlevel: low\nlogsource: {product: kubernetes}\n\
        detection: {s: {verb: get}, condition: s}\n---\n\
        title: B\nname: b\nlevel: low\nlogsource: {product: kubernetes}\n\
        detection: {s: {verb: list}, condition: s}\n---\n\
        title: C\nname: c\nlevel: low\nlogsource: {product: kubernetes}\n\
        detection: {s: {verb: watch}, condition: s}\n---\n\
        title: O\nname: ordered\nlevel: low\ncorrelation: {type: temporal_ordered, rules: [a, b, c], \
        group-by: [user.username], timespan: 10s}\n---\n\
        title: E\nname: expression\nlevel: low\ncorrelation: {type: temporal, rules: [a, b, c], \
        group-by: [user.username], timespan: 10s, condition: a and (b or not c)}\n---\n\
        title: V\nname: values\nlevel: low\ncorrelation: {type: value_count, rules: [a, b, c], \
        group-by: [verb], timespan: 10s, condition: {gte: 3, field: user.username}}\n---\n\
        title: D\nname: discounted\nlevel: low\ncorrelation: {type: value_count, rules: [a, b], \
        group-by: [verb], timespan: 10s, condition: {gte: 2, field: user.username}}\n\
        kubescry: {discount: c}\n---\n\
        title: T\nname: temporal\nlevel: low\ncorrelation: {type: temporal, rules: [a, b, c], \
        group-by: [user.username], timespan: 10s}\n";

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(96))]
        #[test]
        fn many_entries_come_to_what_looking_through_them_says(
            steps in proptest::collection::vec((-3_i64..6, 0_u32..8, 0..4_u32), 1..90)
        ) {
            let mut second = 3600;
            let lines = steps.iter().enumerate().map(|(at, (later, _, user))| {
                second += later;
                let (hour, minute, rest) = (second / 3600, second / 60 % 60, second % 60);
                format!(
                    r#"{{"auditID":"{at}","stage":"ResponseComplete","verb":"get","user":{{"username":"u{user}"}},"stageTimestamp":"2026-11-22T{hour:02}:{minute:02}:{rest:02}.000001Z"}}"#
                )
            });
            let lines: Vec<String> = lines.collect();
            for name in ["ordered", "expression", "values", "discounted", "temporal"] {
                let (frame, rules, index) = set_up(&lines, CHAINS, name);
                let context = Context { vocabulary: frame.vocabulary(), evidence_limit: 100 };
                let rule = &rules.rules[index];
                let said = |few: usize, forgets: usize| {
                    let mut correlation = Correlation::new(index, rule, &rules).unwrap();
                    correlation.terms.few = few;
                    if few == usize::MAX {
                        correlation.terms.longest_run = usize::MAX;
                    }
                    let bases = correlation.bases().to_vec();
                    for (row_idx, (_, hits, _)) in steps.iter().enumerate() {
                        let matched = bases.iter().zip(0..).filter(|(_, at)| hits >> at & 1 == 1);
                        let matched: Vec<u32> = matched.map(|(base, _)| *base).collect();
                        let request = RequestColumns::new(&frame).request(row_idx);
                        correlation.observe(&matched, &request, true, &context);
                        if row_idx % forgets == forgets - 1 {
                            let windows = correlation.windows.iter_mut();
                            windows.flat_map(HashMap::values_mut).for_each(Window::forget_index);
                        }
                    }
                    correlation.end(&context);
                    let mut findings = Vec::new();
                    correlation.findings(&rule.meta, 0, &context, &mut findings);
                    let mut said: Vec<String> =
                        findings.iter().map(|finding| format!("{finding:?}")).collect();
                    said.sort_unstable();
                    said
                };
                let plain = said(usize::MAX, usize::MAX);
                for (few, forgets) in [(0, usize::MAX), (5, usize::MAX), (0, 7), (3, 1), (90, 90)] {
                    proptest::prop_assert_eq!(said(few, forgets), &*plain, "{} {}", name, few);
                }
            }
        }
    }
}
