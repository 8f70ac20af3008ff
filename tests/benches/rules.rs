//! Detection rules over columns at growing numbers, against `rsigma-eval` with the same rules and events.
//!
//! `cargo bench --bench rules`; `KUBESCRY_BENCH_MB=1000` for more data. One thread; both sides read the text of the
//! log and end with matches. The rules are of the kinds that public catalogues hold: plain fields, lists of values, parts
//! of texts, bodies, negations.

#![expect(clippy::print_stdout, reason = "figures are what a benchmark prints")]
#![expect(clippy::cast_precision_loss, reason = "figures are rounded anyway")]

mod support;

use std::fmt::Write as _;
use std::time::Duration;

use kubescry::detect::CompiledRules;
use kubescry::rules::RuleSet;
use rsigma_eval::Engine;
use rsigma_eval::event::JsonEvent;
use serde_json::Value;
use support::{
    History, LEVELS, bare, data, decode, in_turns, megabytes_per_second, target_bytes, timed,
    whole_lines,
};

/// Bytes that `rsigma-eval` reads: it needs as long for them as we for all.
const THEIR_BYTES: usize = 4 << 20;

fn main() {
    println!(
        "rules: one thread, median of 5 rounds; ratio to no rules, and to rsigma-eval with the same rules, the last run's in brackets"
    );
    let mut history = History::open("rules");
    for level in LEVELS {
        let data = data(level, target_bytes());
        let text = std::str::from_utf8(&data).expect("recorded logs are UTF-8");
        let part = &text[..whole_lines(text, THEIR_BYTES)];
        let times_more = text.len() as f64 / part.len() as f64;
        let no_rules = compiled(0);
        let events = bare(&data, 1);
        for count in [0, 10, 100, 1000] {
            let rules = compiled(count);
            let (mut hits, mut their_hits) = (0, None);
            let [none, ours, theirs] = in_turns([
                &mut || timed(|| assert_eq!(read(text, &no_rules).0, events, "every event")),
                &mut || timed(|| (_, hits) = read(text, &rules)),
                &mut || {
                    if count != 10 && count != 100 {
                        return Duration::ZERO;
                    }
                    timed(|| their_hits = Some(theirs(part, count))).mul_f64(times_more)
                },
            ]);
            println!(
                "{level}, {count} rules: {:.0} MB/s, {:.0} events/s, {hits} hits",
                megabytes_per_second(data.len(), ours.median()),
                events as f64 / ours.median().as_secs_f64(),
            );
            history.keep(&format!("{level}, {count} rules to none"), none.to(&ours));
            if let Some(their_hits) = their_hits {
                assert_eq!(read(part, &rules).1, their_hits, "the same matches");
                let name = format!("{level}, {count} rules to rsigma-eval");
                history.keep(&name, theirs.to(&ours));
            }
        }
    }
    history.save();
}

/// Returns the text of rule number `number`.
fn rule(number: usize) -> String {
    const RESOURCES: [&str; 6] = ["pods", "secrets", "configmaps", "roles", "nodes", "leases"];
    let resource = RESOURCES[number % RESOURCES.len()];
    let detection = match number % 8 {
        0 => format!(
            "s: {{verb: [create, update], objectRef.resource: {resource}, user.username|startswith: 'user-{number}'}}\n  condition: s"
        ),
        1 => format!(
            "s: {{objectRef.resource: {resource}, verb: list}}\n  f: {{userAgent|contains: ['tool-{number}', kube, go]}}\n  condition: s and not f"
        ),
        2 => format!("s: {{requestURI|contains: 'needle-{number}'}}\n  condition: s"),
        3 => format!(
            "s: {{objectRef.resource: pods, verb: create, requestObject.spec.containers.image|contains: 'image-{number}'}}\n  condition: s"
        ),
        4 => format!(
            "s: {{responseStatus.code|gte: 400, objectRef.namespace: 'ns-{number}'}}\n  condition: s"
        ),
        5 => format!(
            "s: {{objectRef.name|startswith: ['name-{number}', 'other-{number}']}}\n  t: {{verb: delete}}\n  condition: s and t"
        ),
        6 => format!(
            "a: {{user.groups: 'group-{number}'}}\n  b: {{user.username: 'admin-{number}'}}\n  condition: 1 of a or b"
        ),
        _ => format!(
            "s: {{userAgent|re: 'agent-{number}/[0-9]+'}}\n  f: {{sourceIPs|cidr: 10.0.0.0/8}}\n  condition: s and not f"
        ),
    };
    let mut text = String::new();
    let _ = write!(
        text,
        "title: R{number}\nid: 1b2c3d4e-0000-4000-8000-{number:012}\nname: r{number}\nlevel: low\nlogsource: {{product: kubernetes, service: audit}}\ndetection:\n  {detection}\n"
    );
    text
}

fn compiled(count: usize) -> CompiledRules {
    let files = (0..count).map(|number| (format!("detections/{number:05}.yml"), rule(number)));
    let set = RuleSet::from_files(files).expect("the rules are right");
    CompiledRules::compile(&set).expect("the rules compile")
}

/// Decodes and evaluates; returns events and hits.
fn read(text: &str, rules: &CompiledRules) -> (usize, usize) {
    let mut hits = 0;
    let events = decode(text, str::to_owned, |frame| {
        hits += rules.evaluate(frame).len();
    });
    (events, hits)
}

/// The same with `rsigma-eval`; returns the hits.
fn theirs(text: &str, count: usize) -> usize {
    let mut engine = Engine::new();
    for number in 0..count {
        let collection = rsigma_parser::parse_sigma_yaml(&rule(number)).expect("it is Sigma");
        engine.add_collection(&collection).expect("they take it");
    }
    let matches = text.lines().map(|line| {
        let value: Value = serde_json::from_str(line).expect("an event");
        engine.evaluate(&JsonEvent::borrow(&value)).len()
    });
    matches.sum()
}
