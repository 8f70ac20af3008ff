//! The card of a saved question: what it asks, what it must be told, how its answer is read.

use std::sync::LazyLock;

use super::{link, page};
use crate::query::Questions;
use crate::tui::document::{Document, Look, Part};

/// The questions of the program; none if a file is damaged, which a test would tell.
static QUESTIONS: LazyLock<Option<Questions>> = LazyLock::new(|| Questions::embedded().ok());

pub(super) fn card(name: &str, parameters: &[(String, String)]) -> Document {
    let mut document = Document::new(name);
    let question = QUESTIONS.as_ref().and_then(|all| all.find(name).ok());
    let Some(question) = question else {
        document.line([format!("No question is named {name}.")]);
        return document;
    };
    document.line([Part::new(&question.title, Look::Bold)]);
    for parameter in &question.parameters {
        let told = parameters.iter().find(|(name, _)| *name == parameter.name);
        let value = match (told, &parameter.default) {
            (Some((_, value)), _) => Part::from(value.as_str()),
            (None, Some(default)) => Part::new(default, Look::Dim),
            (None, None) => Part::new("must be told", Look::Bad),
        };
        let meaning = Part::new(&format!("  {}", parameter.meaning), Look::Dim);
        document.field(&parameter.name, [value, meaning]);
    }
    let read: Vec<&str> = question.read.lines().collect();
    page::texts(&mut document, "How the answer is read", &read);
    let next: Vec<(&str, &[(&str, &str)])> = question
        .next
        .iter()
        .map(|name| (name.as_str(), &[][..]))
        .collect();
    section(&mut document, &next);
    document
}

/// Appends questions to ask next, each with what it is told.
pub(super) fn section(document: &mut Document, questions: &[(&str, &[(&str, &str)])]) {
    if questions.is_empty() {
        return;
    }
    document.heading("Ask next");
    for (name, parameters) in questions {
        let question = QUESTIONS.as_ref().and_then(|all| all.find(name).ok());
        let title = question.map_or(*name, |question| question.title.as_str());
        let ask = link::question(title, name, parameters);
        page::item(document, [ask, Part::new(&format!("  {name}"), Look::Dim)]);
    }
}
