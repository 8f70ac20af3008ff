//! One rule in words.

use std::io::{self, Write};

use crate::report::WIDTH_DEFAULT;
use crate::report::page::Page;
use crate::rules::{RuleBody, RuleMeta, RuleSet, document, list};

/// Writes all that is known of rule number `rule`.
///
/// # Errors
/// When `out` cannot be written.
pub fn show(rules: &RuleSet, rule: usize, out: &mut dyn Write) -> io::Result<()> {
    let mut page = Page {
        out,
        width: WIDTH_DEFAULT,
        indent: 0,
        color: false,
    };
    let rule = &rules.rules[rule];
    let meta = &rule.meta;
    page.top(&format!("{}: {}", meta.name, meta.title))?;
    page.blank()?;
    page.own("id", &meta.id)?;
    page.own("family", &meta.family)?;
    page.own(
        "level",
        &format!("{}, confidence {}", meta.severity, meta.confidence.as_str()),
    )?;
    page.own("kind", kind(&rule.body))?;
    let paragraphs: Vec<String> = meta.description.split("\n\n").map(str::to_owned).collect();
    page.each("what", &paragraphs)?;
    if let RuleBody::Correlation(correlation) = &rule.body {
        page.own("asks for", &document::correlation(correlation))?;
        if !correlation.generate {
            page.own("", "what it correlates gives no findings of its own")?;
        }
    }
    if let Some(block) = rule.looks_for() {
        page.block("looks for", block.text)?;
    }
    page.own("needs", &needs(meta))?;
    page.own("reads", &fields(&rule.body).join(", "))?;
    for name in &meta.exclude {
        page.exclusions(rules, name)?;
    }
    // An analytic decides by itself what is one finding.
    if !matches!(rule.body, RuleBody::Analytic(_)) {
        page.own("findings", &grouping(meta))?;
    }
    page.each("part of", &correlations(rules, meta))?;
    let attack: Vec<&str> = meta
        .attack
        .iter()
        .chain(&meta.tactics)
        .map(String::as_str)
        .collect();
    page.own("ATT&CK", &attack.join(", "))?;
    page.own("threats", &meta.threat_matrix.join(", "))?;
    let names = meta.also_known_as.iter();
    let names: Vec<String> = names
        .map(|(product, name)| format!("{product}: {name}"))
        .collect();
    page.each("known as", &names)?;
    page.each("harmless", &meta.false_positives)?;
    page.each("next", &meta.next_steps)?;
    page.each("blind to", &meta.blind_spots)?;
    page.each("more", &meta.references)?;
    page.own("file", &meta.path)
}

impl Page<'_> {
    /// Writes each of `items` in full.
    fn each(&mut self, label: &str, items: &[String]) -> io::Result<()> {
        for (at, item) in items.iter().enumerate() {
            self.own(if at == 0 { label } else { "" }, &joined(item))?;
        }
        Ok(())
    }

    /// Writes a list of exclusions with the reason of each entry.
    fn exclusions(&mut self, rules: &RuleSet, name: &str) -> io::Result<()> {
        let Some(list) = rules.find_list(name).map(|list| &rules.lists[list]) else {
            return Ok(());
        };
        let only = if list.profiles.is_empty() {
            String::new()
        } else {
            format!(" (only on {})", list.profiles.join(", "))
        };
        self.own("excludes", &format!("list {name}{only}: {}", list.title))?;
        for entry in &list.entries {
            self.own("", &format!("- {}", joined(&entry.because)))?;
        }
        Ok(())
    }
}

fn kind(body: &RuleBody) -> &'static str {
    match body {
        RuleBody::Sigma(_) => "Sigma rule: one request suffices",
        RuleBody::Correlation(_) => "Sigma correlation: several requests in a window",
        RuleBody::Analytic(_) => "analytic: what Sigma cannot say, with these parameters",
    }
}

/// Says what the log must hold.
fn needs(meta: &RuleMeta) -> String {
    let mut parts = vec![format!("audit level {}", meta.needs)];
    if !meta.stages.is_empty() {
        parts.push(format!("stage {}", meta.stages.join(" or ")));
    }
    if !meta.requires.is_empty() {
        parts.push(format!(
            "some event with {}",
            meta.requires.join(" and some with ")
        ));
    }
    parts.join(", ")
}

/// Returns the fields that a rule names, each once, in order.
fn fields(body: &RuleBody) -> Vec<String> {
    let mut names = Vec::new();
    match body {
        RuleBody::Sigma(rule) => {
            for detection in rule.detection.named.values() {
                list::fields(detection, &mut names);
            }
            // Of a map, whose order differs from run to run.
            names.sort();
        }
        RuleBody::Correlation(rule) => names.extend(rule.group_by.iter().cloned()),
        RuleBody::Analytic(_) => {}
    }
    names.dedup();
    names
}

/// Says what makes one finding.
fn grouping(meta: &RuleMeta) -> String {
    let by = match &meta.group_by[..] {
        [] => "all matches".to_owned(),
        columns => format!("one for each {}", columns.join(", ")),
    };
    let habit = if meta.habit.is_some() {
        "; what is a habit is one"
    } else {
        ""
    };
    let own = if meta.own_namespace {
        "; a low one for each user in namespaces that he just made"
    } else {
        ""
    };
    let own = match &meta.discount {
        Some(rule) => format!("{own}; values that {rule} hits too do not count"),
        None => own.to_owned(),
    };
    if meta.once {
        format!("{by}, over the whole log{own}")
    } else {
        let minutes = meta.session_gap_us / 60_000_000;
        format!("{by}; a new one after {minutes} minutes of silence{habit}{own}")
    }
}

/// Returns the correlations that a rule is part of.
fn correlations(rules: &RuleSet, meta: &RuleMeta) -> Vec<String> {
    let is_base = |reference: &String| *reference == meta.name || *reference == meta.id;
    let correlations = rules.rules.iter().filter_map(|rule| match &rule.body {
        RuleBody::Correlation(body) if rule.bases().any(is_base) => {
            let silent = if body.generate {
                ""
            } else {
                ", and silent by itself"
            };
            Some(format!("{}{silent}", rule.meta.name))
        }
        _ => None,
    });
    correlations.collect()
}

/// Returns a text on one line: line ends in a file are those of its editor.
fn joined(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(name: &str) -> String {
        let rules = RuleSet::embedded().unwrap();
        let mut out = Vec::new();
        show(&rules, rules.find(name).unwrap(), &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn rules_of_every_kind_are_shown() {
        let text = shown("anonymous-granted");
        assert!(
            text.starts_with("anonymous-granted: Anonymous users granted rights\n"),
            "{text}"
        );
        for part in [
            "  looks for detection:\n",
            "                verb: [create, update, patch]\n",
            "  reads     binding.subjects, dry_run,",
            "  ATT&CK    T1098.006, persistence\n",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        let text = shown("anonymous-probing");
        assert!(
            text.contains("  asks for  at least 6 different values"),
            "{text}"
        );
        assert!(shown("anonymous-denied").contains("  part of   anonymous-probing\n"));
        assert!(shown("shared-credential").contains("least_returns: 2"));
    }
}
