//! The news of an identity on one day to a finding.

use std::collections::BTreeMap;

use super::{Day, NewBehaviour};
use crate::detect::analytics::lives::{Who, called};
use crate::detect::analytics::{Context, DAY_US, Draft, counted, lasting};
use crate::finding::{Confidence, Finding, Severity};
use crate::frame::{NULL, Vocabulary};

/// What to look at first where no person acted.
const MACHINE_STEP: &str = "See who wrote what it acts on: the objects that it watches, and that were made or changed in the minutes before";

/// How many new things a finding names.
const NAMED: usize = 12;

impl NewBehaviour {
    /// Draws the findings.
    pub fn finish(self, context: &Context<'_>) -> Vec<Finding> {
        let days = self.days.iter();
        days.map(|(&(who, day), news)| self.finding(who, day, news, context.vocabulary))
            .collect()
    }

    fn finding(&self, who: Who, day: i64, of_day: &Day, vocabulary: &Vocabulary) -> Finding {
        let texts = [who.0, who.1].map(|code| vocabulary.text(code).to_owned());
        let mut said: BTreeMap<usize, Vec<(String, f64)>> = BTreeMap::new();
        for &(thing, history) in &of_day.news {
            let text = thing.text(vocabulary);
            said.entry(thing.order())
                .or_default()
                .push((text, history.bits));
        }
        let mut lines: Vec<(String, f64)> = Vec::new();
        for things in said.values_mut() {
            things.sort_by(|a, b| a.0.cmp(&b.0));
            lines.append(things);
        }
        let least = of_day.news.iter().map(|(_, history)| history);
        let requests = least
            .clone()
            .map(|history| history.requests)
            .min()
            .unwrap_or(0);
        let lasted_us = least
            .clone()
            .map(|history| history.lasted_us)
            .min()
            .unwrap_or(0);
        let bits = least.map(|history| history.bits).fold(0.0, f64::max);
        let mut draft = Draft::new(&self.meta, texts.to_vec(), &of_day.tally);
        draft.window_start = day * DAY_US;
        let kind = of_day.tally.actor(vocabulary).kind;
        let is_person = kind.as_deref() == Some("user");
        let settings = &self.settings;
        // Who never read a Secret of these places and reads them everywhere is a person at work on one thing no more.
        let sweeps = of_day.secrets.contains(&NULL) || of_day.secrets.len() >= settings.sweep;
        let is_surprising =
            bits >= settings.medium_bits || of_day.together >= settings.medium_bits_together;
        if sweeps
            || of_day.is_abroad
            || of_day.is_privileged && is_surprising && (!is_person || said.len() > 1)
        {
            draft.severity = Severity::Medium;
        }
        if !of_day.is_own_will {
            draft.severity = Severity::Low;
        }
        if said.len() > 2 {
            draft.confidence = Confidence::Medium;
        }
        let [username, impersonated] = texts;
        let name = called(&username, &impersonated);
        let more = lines.len().saturating_sub(NAMED);
        let named: Vec<&str> = lines
            .iter()
            .take(NAMED)
            .map(|(text, _)| text.as_str())
            .collect();
        let more = if more > 0 {
            format!("; {more} more")
        } else {
            String::new()
        };
        let words: Vec<String> = (of_day.words.iter())
            .map(|word| word.text(vocabulary))
            .collect();
        let on_word = words
            .first()
            .map(|word| format!(", on the word of {word}"))
            .unwrap_or_default();
        draft.summary = format!(
            "{name} did what it had not in {} and {}: {}{more}{on_word}",
            lasting(lasted_us),
            counted(requests, "request"),
            named.join("; "),
        );
        let named = lines.iter().take(NAMED);
        draft.why = named.map(|(text, _)| format!("new: {text}")).collect();
        draft.why.push(format!(
            "something new is as rare with it as one request in {} (medium from one in {} on)",
            one_in(bits),
            one_in(settings.medium_bits),
        ));
        if of_day.together > 0.0 {
            draft.why.push(format!(
                "both what it did and whence are new: as rare as one request in {} (medium from one in {} on)",
                one_in(of_day.together),
                one_in(settings.medium_bits_together)
            ));
        }
        let words = words.iter();
        (draft.why).extend(words.map(|word| format!("on the word of {word}")));
        if of_day.is_abroad {
            let why = "Secrets never read before, from a network of the internet that is new, outside the hours of earlier days";
            draft.why.push(why.to_owned());
        }
        draft.why.push(format!(
            "history = {} and {}",
            lasting(lasted_us),
            counted(requests, "request")
        ));
        let mut finding = draft.finish(vocabulary);
        if !is_person && let Some(step) = finding.next_steps.first_mut() {
            MACHINE_STEP.clone_into(step);
        }
        finding
    }
}

/// Returns of how many requests one is as rare as that many bits say.
fn one_in(bits: f64) -> String {
    format!("{:.0}", bits.exp2())
}
