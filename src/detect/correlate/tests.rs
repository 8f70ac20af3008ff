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
