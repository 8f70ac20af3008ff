//! Episodes to findings, and what is done again and again in the same way to one of them.

use std::collections::BTreeMap;

use super::Correlation;
use super::condition::{Condition, Measure, Source};
use super::window::Episode;
use crate::detect::analytics::{Context, Draft, lasting};
use crate::detect::habit;
use crate::detect::summary::summary;
use crate::detect::tally::Tally;
use crate::finding::Finding;
use crate::rules::{Habit, RuleMeta};

impl Correlation {
    /// Draws the findings: one for each episode that is told.
    pub(in crate::detect) fn findings(
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
