//! Findings by what they have: counts are those of plain code, and filters show as many findings as were counted.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;

use serde_json::Value;

use super::log::RULES;
use super::*;
use crate::finding::Finding;
use crate::tui::app::{Overlay, Screen, Tab};
use crate::tui::aspect::Aspect;
use crate::tui::view;
use crate::tui::work::{Outcome, Task};

/// A browser that shows the findings, the first two of them with a state.
fn play() -> Play {
    let mut play = Play::new(&Log::anonymous(), 120, 24);
    play.keys("2sbjse");
    play
}

/// Shows the facet of an aspect.
fn show(play: &mut Play, aspect: Aspect) {
    play.keys("2F");
    play.app.findings.facets.in_values = false;
    let at = Aspect::ALL.iter().position(|other| *other == aspect);
    play.keys("g");
    play.keys(&"j".repeat(at.unwrap()));
}

/// Returns what a finding has, by its JSON and its rule.
fn plain(play: &Play, finding: &Finding, aspect: Aspect) -> Vec<String> {
    let place = match aspect {
        Aspect::Severity => "/severity",
        Aspect::Family => "/family",
        Aspect::Rule => "/rule/name",
        Aspect::Username => "/actor/username",
        Aspect::Attack => "/attack",
        Aspect::PeerIps => "/source/ips",
        Aspect::Credential => "/actor/credential_id",
        Aspect::IdentityKind => "/actor/kind",
        Aspect::Resource => "/target/resource",
        Aspect::Namespace => "/target/namespace",
        Aspect::Confidence => "/confidence",
        Aspect::State => return vec![play.app.case.state(&finding.finding_id).to_string()],
        Aspect::Tactic => {
            let mut rules = RULES.0.rules.iter();
            let rule = rules.find(|rule| rule.meta.name == finding.rule.name);
            return rule.unwrap().meta.tactics.clone();
        }
    };
    let json = serde_json::to_value(finding).unwrap();
    match json.pointer(place).unwrap() {
        Value::Null => Vec::new(),
        Value::String(text) => vec![text.clone()],
        Value::Array(texts) => {
            let texts = texts.iter().map(|text| text.as_str().unwrap().to_owned());
            texts.collect()
        }
        other => panic!("{other}"),
    }
}

fn counts(play: &Play, aspect: Aspect) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for finding in &*play.app.results.findings {
        let mut values = plain(play, finding, aspect);
        if values.is_empty() {
            values.push(String::new());
        }
        for value in values {
            *counts.entry(value).or_default() += 1;
        }
    }
    counts
}

/// Returns how many findings the SQL behind the list gives.
fn asked(play: &Play) -> usize {
    let sql = view::sql_behind(&play.app);
    let stop = AtomicBool::new(false);
    match play.desk.task(Task::Sql(sql), &stop).unwrap() {
        Some(Outcome::Answer { answer, .. }) => answer.height(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_value_shows_as_many_findings_as_it_counts() {
    let mut play = play();
    let all = play.app.results.findings.len();
    for aspect in Aspect::ALL {
        show(&mut play, aspect);
        let facet = play.app.findings.facets.facet.clone().unwrap();
        let counts = counts(&play, aspect);
        assert_eq!(facet.rows, all as u64);
        assert_eq!(facet.distinct, counts.len(), "{aspect:?}");
        let counted: BTreeMap<String, u64> = facet.values.iter().cloned().collect();
        assert_eq!(counted, counts, "{aspect:?}");
        for (at, (value, count)) in facet.values.iter().enumerate() {
            let count = usize::try_from(*count).unwrap();
            for (key, wanted) in [("+", count), ("-", all - count)] {
                show(&mut play, aspect);
                play.keys("lg").keys(&"j".repeat(at)).keys(key);
                play.shows(&format!("{wanted}{} findings", of(wanted, all)));
                play.keys("<Esc><Esc>");
                assert!(matches!(play.app.screen(), Screen::Tab(Tab::Findings)));
                assert_eq!(
                    play.app.findings.shown.len(),
                    wanted,
                    "{aspect:?} {key}{value}"
                );
                if aspect.is_column() {
                    assert_eq!(asked(&play), wanted, "{aspect:?} {key}{value}");
                }
                play.keys("<Back>");
                assert_eq!(play.app.findings.shown.len(), all);
            }
        }
    }
}

fn of(shown: usize, all: usize) -> String {
    if shown < all {
        format!(" of {all}")
    } else {
        String::new()
    }
}

#[test]
fn filters_of_findings_are_listed_and_are_not_those_of_events() {
    let mut play = play();
    let all = play.app.findings.shown.len();
    // The most frequent severity, and a text.
    play.keys("2Fl+<Esc><Esc>&!secret<Enter>");
    let shown = play.app.findings.shown.len();
    assert!((1..all).contains(&shown));
    play.shows("[severity = medium] [not /secret/]");
    // The other way round: those that are not, but match.
    play.keys("f!j!");
    let Some(Overlay::Filters(_)) = &play.app.overlay else {
        panic!("the filters are open");
    };
    play.keys("<Esc>");
    play.shows("[severity ≠ medium] [/secret/]");
    let turned = play.app.findings.shown.len();
    play.keys("fj <Esc>");
    play.shows("(off: /secret/)");
    assert!(play.app.findings.shown.len() > turned);
    play.keys("fD<Esc>");
    assert_eq!(play.app.findings.shown.len(), all);
    play.keys("2Fl+4");
    play.shows("of 151 requests  ");
    play.keys("lll+2");
    assert_eq!(play.app.findings.chips.chips.len(), 1);
    play.keys("4<Back>2");
    play.shows("[severity = medium]");
}

#[test]
fn filters_that_leave_no_finding_say_so() {
    let mut play = play();
    play.keys("&no such thing<Enter>");
    play.shows("none of 22 findings passes the filters; Backspace drops the last one");
    play.keys("F");
    play.shows("no finding passes the filters; Backspace drops the last one");
    play.keys("l+");
    play.shows("no value under the cursor");
    play.keys("j<Back>");
    play.shows("22 findings");
}

/// A facet was counted once, whatever became of the findings.
#[test]
fn facets_follow_states_and_news() {
    let log = Log::anonymous();
    let mut play = Play::unread(&log, 80, 24);
    play.keys("2F");
    play.shows("no finding");
    play.finish(&log);
    play.shows("value (5 distinct)");
    show(&mut play, Aspect::State);
    play.shows("value (1 distinct)");
    play.keys("<Esc>sbF");
    play.shows("value (2 distinct)");
    play.shows("benign");
}
