//! Summaries: the one sentence of a finding, after the template of its rule.
//!
//! In the braces of a template stand words that every finding has ([`WORDS`]), or fields of the event that a
//! detection rule hit: their values are quoted, without secrets. Of `FIELD|FIELD` it is the first that the event has.

use std::borrow::Cow;

use super::analytics::{counted, listed};
use super::compile::{CompiledRules, Problem, resolve};
use super::field::Field;
use super::row::{Memo, Row, is_secret};
use super::tally::{Quoted, Tally};
use super::tree::Tree;
use super::value::Values;
use crate::frame::{EventFrame, Vocabulary};
use crate::redact::{REDACTED, redact_arguments};
use crate::rules::words::closest;
use crate::rules::{RuleBody, RuleMeta};

/// What may stand in braces besides fields.
const WORDS: [&str; 13] = [
    "who",
    "impersonated",
    "requests",
    "served",
    "refused",
    "verbs",
    "resources",
    "names",
    "namespaces",
    "commands",
    "agents",
    "peers",
    "reasons",
];

/// The template of a rule that has none.
const PLAIN: &str = "{who} made {requests} from {peers}, {served} served: {verbs} on {resources}";

/// What stands for the values of fields that no event has.
const NONE: &str = "(not in this log)";

/// How many characters of one value are quoted.
const QUOTED_CHARS: usize = 120;

/// How many values of a field are read in one event.
const READ_VALUES: usize = 1000;

/// A part of a template.
#[derive(Debug, PartialEq, Eq)]
enum Part<'t> {
    Text(&'t str),
    /// A word or a field, without its braces.
    Name(&'t str),
}

/// Returns the parts of a template.
fn parts(template: &str) -> impl Iterator<Item = Part<'_>> {
    let mut rest = template;
    std::iter::from_fn(move || {
        if let Some(name) = rest.strip_prefix('{').and_then(|it| it.split_once('}'))
            && !name.0.is_empty()
            && !name.0.contains('{')
        {
            rest = name.1;
            return Some(Part::Name(name.0));
        }
        // The first character is text even where it is a brace.
        let from = rest.chars().next()?.len_utf8();
        let end = rest[from..].find('{').map_or(rest.len(), |at| from + at);
        let (text, behind) = rest.split_at(end);
        rest = behind;
        Some(Part::Text(text))
    })
}

/// One quote of a summary: fields of which the first is quoted that the event has.
pub(super) type Quote = Vec<Field>;

/// Returns what a rule's summary quotes, in order.
fn quoted(meta: &RuleMeta) -> impl Iterator<Item = &str> {
    parts(meta.summary.as_deref().unwrap_or(PLAIN)).filter_map(|part| match part {
        Part::Name(name) if !WORDS.contains(&name) => Some(name),
        _ => None,
    })
}

/// Returns what the summary of a rule quotes.
///
/// # Errors
/// With what is neither a word nor a field, and with any field of what is no detection rule: it has no event of its own.
pub(super) fn quotes_of(meta: &RuleMeta, body: &RuleBody) -> Result<Vec<Quote>, Problem> {
    quoted(meta)
        .map(|name| {
            let about = |what: String| Problem::about(name, what);
            if !matches!(body, RuleBody::Sigma(_)) {
                let what = format!("`{{{name}}}` in the summary is no word that summaries know");
                return Err(match closest(name, WORDS.into_iter()) {
                    Some(word) => about(what).hint(format!("did you mean `{{{word}}}`?")),
                    None => about(what).hint(format!("one of {}", WORDS.join(", "))),
                });
            }
            let fields = name.split('|').map(resolve);
            fields.collect::<Result<_, _>>().map_err(|problem| {
                match closest(name, WORDS.into_iter()) {
                    Some(word) => problem.hint(format!("did you mean `{{{word}}}`?")),
                    None => problem,
                }
            })
        })
        .collect()
}

impl CompiledRules {
    /// Returns how many quotes the summary of a rule has.
    pub(super) fn n_quotes(&self, rule: usize) -> usize {
        self.quotes[rule].len()
    }

    /// Returns what a row says where the summary of a rule quotes it: values by quote, without secrets.
    pub(super) fn quotes(
        &self,
        rule: usize,
        frame: &EventFrame,
        row_idx: usize,
    ) -> Vec<Vec<Quoted>> {
        let mut memo = Memo::new(0);
        let mut row = Row::new(self, frame, row_idx, &mut memo);
        let mut quote = |fields: &Quote| {
            for field in fields {
                let mut texts = Vec::new();
                row.find(field).texts(&mut texts);
                texts.truncate(READ_VALUES);
                if !texts.is_empty() && is_secret(frame, row_idx, field) {
                    return vec![quoted_value(REDACTED, false)];
                }
                if !texts.is_empty() {
                    let meant = texts.iter().map(|text| self.is_meant(rule, field, text));
                    let meant: Vec<bool> = meant.collect();
                    // Of arguments a flag and its value are two.
                    let texts = redact_arguments(&texts);
                    let values = texts.iter().zip(meant);
                    return values
                        .map(|(text, is_meant)| quoted_value(text, !is_meant))
                        .collect();
                }
            }
            Vec::new()
        };
        self.quotes[rule].iter().map(&mut quote).collect()
    }

    /// Returns whether a value meets what the rule asks of its field.
    fn is_meant(&self, rule: usize, field: &Field, text: &str) -> bool {
        let asks = |leaf_idx: &u32| {
            let leaf = &self.leaves[*leaf_idx as usize];
            let value = Values::Texts(vec![Cow::Borrowed(text)]);
            leaf.field == *field && leaf.test.matches(&value)
        };
        let rule = self.rules[rule].as_ref();
        rule.is_some_and(|rule| any_asked(&rule.tree, &asks))
    }
}

/// Returns whether a test says yes that must hold, or may.
fn any_asked(tree: &Tree<u32>, asks: &impl Fn(&u32) -> bool) -> bool {
    match tree {
        Tree::And(parts) | Tree::Or(parts) | Tree::AtLeast(_, parts) => {
            parts.iter().any(|part| any_asked(part, asks))
        }
        Tree::Not(_) => false,
        Tree::Test(leaf_idx) => asks(leaf_idx),
    }
}

fn quoted_value(text: &str, is_beside: bool) -> Quoted {
    Quoted {
        is_beside,
        is_of_system: text.starts_with("system:"),
        text: in_a_sentence(text).into(),
    }
}

/// Returns what is quoted of a text: its beginning, in one line.
pub(super) fn in_a_sentence(text: &str) -> String {
    // Scripts have lines of their own; a sentence has none.
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match text.char_indices().nth(QUOTED_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// Fills the rule's template, or says the facts in a plain sentence.
pub(super) fn summary(meta: &RuleMeta, tally: &Tally, vocabulary: &Vocabulary) -> String {
    let mut text = String::new();
    let mut quote = 0;
    let template = meta.summary.as_deref().unwrap_or(PLAIN);
    // Where a rule is about acting as others, its sentence says so itself.
    let acting = if template.contains("{impersonated}") {
        Vec::new()
    } else {
        tally.always_impersonated(vocabulary)
    };
    for part in parts(template) {
        let name = match part {
            Part::Text(part) => {
                text.push_str(part);
                continue;
            }
            Part::Name(name) => name,
        };
        if let Some(value) = word(name, tally, vocabulary) {
            let quote = if text.ends_with('`') { "`" } else { "" };
            text.push_str(&value);
            if name == "who" && !acting.is_empty() {
                let acting = listed(&acting);
                text.extend([quote, " as ", quote, &acting]);
            }
            continue;
        }
        match &tally.quoted(quote)[..] {
            [] => text.push_str(NONE),
            values => text.push_str(&listed(values)),
        }
        quote += 1;
    }
    text
}

/// Returns what a word of [`WORDS`] stands for.
fn word(name: &str, tally: &Tally, vocabulary: &Vocabulary) -> Option<String> {
    let or = |texts: &[String], none: &str| match texts {
        [] => none.to_owned(),
        texts => listed(texts),
    };
    Some(match name {
        "who" => or(&tally.usernames(vocabulary), "somebody without a name"),
        "impersonated" => listed(&tally.impersonated(vocabulary)),
        "requests" => counted(tally.count, "request"),
        "served" => tally.succeeded.to_string(),
        "refused" => tally.refused.to_string(),
        "verbs" => listed(&tally.verbs(vocabulary)),
        "resources" => or(&tally.resources(vocabulary), "non-resource paths"),
        "names" => or(&tally.names(), "unnamed objects"),
        "namespaces" => {
            let mut namespaces = tally.namespaces(vocabulary);
            if tally.is_cluster_wide() {
                namespaces.push("the whole cluster".to_owned());
            }
            listed(&namespaces)
        }
        "commands" => listed(&tally.commands()),
        "agents" => listed(&tally.agents(vocabulary)),
        "peers" => listed(&tally.peers(vocabulary)),
        "reasons" => listed(&tally.authz_reasons(vocabulary)),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Vocabulary;

    #[test]
    fn templates_are_read_once_and_braces_may_be_text() {
        let text = "{who} said {{peers}} {, {} and {object.spec.type}}";
        let parts: Vec<_> = parts(text).collect();
        assert_eq!(
            parts,
            [
                Part::Name("who"),
                Part::Text(" said "),
                Part::Text("{"),
                Part::Name("peers"),
                Part::Text("} "),
                Part::Text("{, "),
                Part::Text("{} and "),
                Part::Name("object.spec.type"),
                Part::Text("}"),
            ]
        );
    }

    #[test]
    fn every_word_stands_for_something() {
        let (tally, vocabulary) = (Tally::empty(), Vocabulary::new());
        for name in WORDS {
            assert!(word(name, &tally, &vocabulary).is_some(), "{name}");
        }
        assert_eq!(word("whom", &tally, &vocabulary), None);
    }
}
