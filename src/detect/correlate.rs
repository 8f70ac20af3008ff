//! Correlations: hits to episodes, by group, sliding window and condition.
//!
//! Sigma specification 2.1, correlations, and the types that pySigma added to it. Windows slide over the time
//! of the log and end at each hit; they are never aligned to a clock. A request that lacks a value to group by or
//! to measure is no part of any group, and is counted. Once the condition holds, an episode runs for as long as
//! requests of the group follow within the timespan: one finding.

mod condition;
mod draw;
mod figures;
mod index;
mod trail;
mod window;

use hashbrown::HashMap;
use rsigma_parser::CorrelationCondition;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::analytics::{Context, counted};
use super::engine::{key, position};
use super::request::Request;
use super::tally::{Tally, Trace};
use crate::frame::{Column, NULL, Vocabulary};
use crate::memory::remembers;
use crate::rules::{Rule, RuleBody, RuleError, RuleMeta, RuleSet};
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
mod tests;
