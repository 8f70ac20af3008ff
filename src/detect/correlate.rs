//! Correlations: hits to episodes, by group, sliding window and threshold.
//!
//! Sigma specification 2.1, correlations, of which `event_count` and `value_count` are supported. Windows
//! slide over the time of the log and end at each hit; they are never aligned to a clock. An event
//! without a value to group by belongs to no group.

use std::collections::VecDeque;

use hashbrown::HashMap;
use rsigma_parser::{ConditionOperator, CorrelationCondition, CorrelationType};
use xxhash_rust::xxh3::xxh3_64;

use super::analytics::{Context, Draft, lasting};
use super::engine::{columns, key, position, summary};
use super::request::Request;
use super::tally::Tally;
use crate::finding::Finding;
use crate::frame::{Column, NULL, Vocabulary};
use crate::rules::{Rule, RuleBody, RuleError, RuleMeta, RuleSet};

/// A Sigma correlation (specification 2.1) that counts events or values in a sliding window.
pub(super) struct Correlation {
    pub(super) rule: usize,
    bases: Vec<u32>,
    group_by: Vec<Column>,
    value: Option<Column>,
    timespan_us: i64,
    predicates: Vec<(ConditionOperator, u64)>,
    windows: HashMap<Box<[u32]>, Window>,
}

#[derive(Default)]
struct Window {
    recent: VecDeque<(i64, u64, Option<Request<'static>>)>,
    values: HashMap<u64, u32>,
    most: u64,
    episodes: Vec<Tally>,
}

impl Correlation {
    pub(super) fn new(index: usize, rule: &Rule, rules: &RuleSet) -> Result<Self, RuleError> {
        let RuleBody::Correlation(correlation) = &rule.body else {
            unreachable!("the caller passes correlations only");
        };
        let meta = &rule.meta;
        let unsupported =
            |what: String| RuleError::at(&meta.path, &meta.text, "correlation:", what);
        if !matches!(
            correlation.correlation_type,
            CorrelationType::EventCount | CorrelationType::ValueCount
        ) {
            let name = correlation.correlation_type.as_str();
            return Err(unsupported(format!(
                "correlations of type `{name}` are not supported yet"
            )));
        }
        let CorrelationCondition::Threshold {
            predicates, field, ..
        } = &correlation.condition
        else {
            return Err(unsupported("this correlation needs a threshold".to_owned()));
        };
        let bases = correlation
            .rules
            .iter()
            .map(|base| {
                let index = position(rules, meta, base)?;
                Ok(u32::try_from(index).expect("fewer than 2^32 rules"))
            })
            .collect::<Result<_, RuleError>>()?;
        let value = match field.as_deref() {
            Some([field]) => columns(meta, std::slice::from_ref(field))?.pop(),
            Some(_) => return Err(unsupported("only one field can be counted yet".to_owned())),
            None => None,
        };
        Ok(Self {
            rule: index,
            bases,
            group_by: columns(meta, &correlation.group_by)?,
            value,
            timespan_us: i64::try_from(correlation.timespan.seconds)
                .unwrap_or(i64::MAX / 2_000_000)
                * 1_000_000,
            predicates: predicates.clone(),
            windows: HashMap::new(),
        })
    }

    pub(super) fn observe(&mut self, rule: u32, request: &Request<'_>, context: &Context<'_>) {
        if !self.bases.contains(&rule) {
            return;
        }
        let Context {
            vocabulary,
            evidence_limit,
        } = *context;
        let key = key(request, &self.group_by, vocabulary);
        // An event without the value it is grouped by belongs to no group (specification 2.1).
        if key.contains(&NULL) {
            return;
        }
        // A hash: clients choose these texts, and the dictionary would keep them all.
        let value = self
            .value
            .map_or(0, |column| xxh3_64(request.value_of(column, vocabulary)));
        let window = self.windows.entry(key).or_default();
        let from = request.ts.saturating_sub(self.timespan_us);
        while window.recent.front().is_some_and(|&(ts, ..)| ts <= from) {
            let (_, value, _) = window.recent.pop_front().expect("not empty");
            if let Some(count) = window.values.get_mut(&value) {
                *count -= 1;
                if *count == 0 {
                    window.values.remove(&value);
                }
            }
        }
        *window.values.entry(value).or_default() += 1;
        let running = window
            .episodes
            .last()
            .is_some_and(|episode| episode.last > from);
        let kept = (!running).then(|| request.to_owned());
        window.recent.push_back((request.ts, value, kept));
        let measure = match self.value {
            Some(_) => window.values.len(),
            None => window.recent.len(),
        } as u64;
        window.most = window.most.max(measure);
        if running {
            let episode = window.episodes.last_mut().expect("it runs");
            episode.add(request, vocabulary, evidence_limit);
        } else if self
            .predicates
            .iter()
            .all(|&(operator, limit)| holds(measure, operator, limit))
        {
            let mut episode = Tally::empty();
            for request in window
                .recent
                .iter_mut()
                .filter_map(|(_, _, request)| request.take())
            {
                episode.add(&request, vocabulary, evidence_limit);
            }
            window.episodes.push(episode);
        }
    }

    /// Returns whether an episode of this correlation holds all of a session of its base rule.
    pub(super) fn says(&self, rule: u32, columns: &[Column], key: &[u32], session: &Tally) -> bool {
        let part = |column: &Column| {
            let at = columns.iter().position(|other| other == column)?;
            Some(key[at])
        };
        let group: Option<Box<[u32]>> = self.group_by.iter().map(part).collect();
        let window = group.and_then(|group| self.windows.get(&group));
        self.bases.contains(&rule)
            && window.is_some_and(|window| {
                let holds = |episode: &Tally| {
                    episode.first <= session.first && session.last <= episode.last
                };
                window.episodes.iter().any(holds)
            })
    }

    pub(super) fn findings(
        self,
        meta: &RuleMeta,
        vocabulary: &Vocabulary,
        findings: &mut Vec<Finding>,
    ) {
        let counted = self.value.map_or("requests", Column::name);
        for (key, window) in self.windows {
            for tally in &window.episodes {
                let texts: Vec<String> = key
                    .iter()
                    .map(|&code| vocabulary.text(code).to_owned())
                    .collect();
                let mut draft = Draft::new(meta, texts.clone(), tally);
                draft.summary = summary(meta, tally, vocabulary);
                draft.why = self
                    .group_by
                    .iter()
                    .zip(&texts)
                    .map(|(column, text)| format!("{} = {text}", column.name()))
                    .collect();
                draft.why.push(format!(
                    "distinct {counted} within {} = up to {}",
                    lasting(self.timespan_us),
                    window.most
                ));
                findings.push(draft.finish(vocabulary));
            }
        }
    }
}

fn holds(measure: u64, operator: ConditionOperator, limit: u64) -> bool {
    match operator {
        ConditionOperator::Lt => measure < limit,
        ConditionOperator::Lte => measure <= limit,
        ConditionOperator::Gt => measure > limit,
        ConditionOperator::Gte => measure >= limit,
        ConditionOperator::Eq => measure == limit,
        ConditionOperator::Neq => measure != limit,
    }
}
