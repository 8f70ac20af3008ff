//! What is promised.

use rsigma_parser::parse_sigma_yaml;
use rsigma_parser::{Detection, DetectionItem};
use serde_json::{Value, json};

use super::*;
use crate::detect::json::{Json, Keys};

fn item(line: &str) -> DetectionItem {
    let yaml = format!("title: t\nlogsource: {{}}\ndetection:\n  s:\n    {line}\n  condition: s\n");
    let collection = parse_sigma_yaml(&yaml).unwrap();
    assert!(collection.errors.is_empty(), "{:?}", collection.errors);
    match &collection.rules[0].detection.named["s"] {
        Detection::AllOf(items) => items[0].clone(),
        other => panic!("{other:?}"),
    }
}

fn compile(line: &str, is_column: bool) -> Result<Matcher, String> {
    let item = item(line);
    let modifiers = Modifiers::parse(&item.field.modifiers)?;
    let matcher = Matcher::compile(&modifiers, &item.values, is_column)?;
    matcher.check().map(|()| matcher)
}

/// Tests `{"f": value}`; `found` is `None` if the field is missing.
#[track_caller]
fn check(line: &str, found: impl Into<Option<Value>>, expected: bool) {
    let found: Option<Value> = found.into();
    let text = found.as_ref().map(Value::to_string);
    let json = text.as_deref().map(|text| Json::parse(text, &Keys::all()));
    let values = Values::Found(json.as_slice().iter().collect());
    assert_eq!(
        compile(line, false).unwrap().matches(&values),
        expected,
        "{line} on {found:?}"
    );
}

#[track_caller]
fn check_error(line: &str, expected: &str) {
    let error = compile(line, false).unwrap_err();
    assert!(error.contains(expected), "{line}: {error}");
}

#[test]
fn texts_ignore_case() {
    check("f: Secrets", Some(json!("sEcrets")), true);
    check("f: Secrets", Some(json!("secret")), false);
    check("f: straße", Some(json!("STRAßE")), true);
    check("f: kelvin", Some(json!("\u{212a}elvin")), true);
    check("f|cased: Secrets", Some(json!("secrets")), false);
    check("f|contains: LOW", Some(json!("Mellow")), true);
    check("f|contains: low", Some(json!("lo")), false);
    check("f|contains: ÄÖ", Some(json!("xäöx")), true);
    check("f|startswith: /API", Some(json!("/api/v1")), true);
    check("f|endswith: .Exe", Some(json!("a.exE")), true);
    check("f|endswith: abcdef", Some(json!("ef")), false);
    check("f|contains|cased: LOW", Some(json!("low")), false);
    check("f: [a, b]", Some(json!("B")), true);
}

#[test]
fn wildcards() {
    check("f: 'system:*'", Some(json!("system:x")), true);
    check("f: '*:admin'", Some(json!("system:ADMIN")), true);
    check("f: 's*:*n'", Some(json!("System:admin")), true);
    check("f: 's?stem'", Some(json!("sYstem")), true);
    check("f: 's?stem'", Some(json!("sstem")), false);
    check("f: 'ä?b*'", Some(json!("Äöbc\nd")), true);
    check("f: '*'", Some(json!("")), true);
    check("f: '*'", None, false);
    check(r"f: 'a\*'", Some(json!("a*")), true);
    check(r"f: 'a\*'", Some(json!("ab")), false);
    check(r"f: 'a\\*'", Some(json!(r"a\b")), true);
    check("f|contains: 'a*c'", Some(json!("xabcx")), true);
    check("f|startswith: '*c'", Some(json!("abcx")), true);
}

#[test]
fn numbers_and_numeric_texts_are_equal() {
    check("f: 200", Some(json!(200)), true);
    check("f: 200", Some(json!("200")), true);
    check("f: '200'", Some(json!(200)), true);
    check("f: 200", Some(json!(200.0)), true);
    check(
        "f: 9007199254740993",
        Some(json!(9_007_199_254_740_992_i64)),
        false,
    );
    check("f: true", Some(json!("True")), true);
    check("f: 'true'", Some(json!(true)), true);
    check("f: true", Some(json!(1)), false);
    check("f|gte: 400", Some(json!("403")), true);
    check("f|lt: 400", Some(json!(399.5)), true);
    check("f|lt: 400", Some(json!("many")), false);
    check("f|gt: '4'", Some(json!(5)), true);
    check("f|lte: 4", None, false);
    check("f|contains: 20", Some(json!(1200)), true);
}

#[test]
fn null_empty_and_missing() {
    check("f: null", None, true);
    check("f: null", Some(json!(null)), true);
    check("f: null", Some(json!([])), true);
    check("f: null", Some(json!("")), false);
    check("f: ''", Some(json!("")), true);
    check("f: ''", Some(json!(null)), false);
    check("f: ''", None, false);
    check("f|exists: true", Some(json!(null)), true);
    check("f|exists: true", Some(json!([])), true);
    check("f|exists: true", None, false);
    check("f|exists: false", None, true);
    let empty = compile("f: ''", true).unwrap();
    assert!(empty.matches(&Values::MISSING));
    assert!(!compile("f: '*'", true).unwrap().matches(&Values::MISSING));
}

#[test]
fn any_element_of_a_list_matches() {
    check("f: b", Some(json!(["a", ["B"]])), true);
    check("f: b", Some(json!({"b": 1})), false);
    check(
        "f|cidr: 10.0.0.0/8",
        Some(json!(["1.1.1.1", "10.2.3.4"])),
        true,
    );
    check("f|cidr: 'fd00::/8'", Some(json!("fd12::1")), true);
    check("f|cidr: 10.0.0.0/8", Some(json!("::ffff:10.0.0.1")), true);
    check("f|cidr: 10.0.0.1", Some(json!("10.0.0.2")), false);
    check("f|re: '^a.c$'", Some(json!("abc")), true);
    check("f|re: '^a.c$'", Some(json!("ABC")), false);
    check("f|re|i: '^a.c$'", Some(json!("ABC")), true);
    check("f|re|s: 'a.c'", Some(json!("a\nc")), true);
    check("f|re: '2..'", Some(json!(204)), true);
}

#[test]
fn what_cannot_be_compiled_says_why() {
    check_error("f|base64: 'x*'", "wildcards, which cannot be encoded");
    check_error("f|contains|re: x", "do not go together");
    check_error("f|i: x", "need `re`");
    check_error("f|re: '('", "not a regular expression");
    check_error("f|re: '(a{1000}){1000}'", "not a regular expression");
    check_error("f|cidr: 10.0.0.0/99", "not a network");
    check_error("f|gt: x", "not a number");
    check_error("f|exists: maybe", "takes `true` or `false`");
    check_error("f: [a, null]", "`null` cannot stand in a list");
    check_error("f: []", "list of values is empty");
}

#[test]
fn many_texts_are_looked_for_at_once() {
    let list = "f|contains: [alpha, beta, gamma, delta, epsilon, zeta, eta, theta]";
    check(list, Some(json!("xxDELTAxx")), true);
    check(list, Some(json!("delt")), false);
    let list = "f|startswith: [alpha, al, beta, gamma, delta, epsilon, zeta, eta]";
    check(list, Some(json!("ALabaster")), true);
    check(list, Some(json!("xalpha")), false);
    let list = "f|endswith: [alpha, pha, beta, gamma, delta, epsilon, zeta, eta]";
    check(list, Some(json!("xxALPHA")), true);
    check(list, Some(json!("alphax")), false);
    let list = "f: [a, b, c, Ä, d, e, f, g, '*wild*', 'x?z', 7, true]";
    check(list, Some(json!("ä")), true);
    check(list, Some(json!("a wild one")), true);
    check(list, Some(json!("xyz")), true);
    check(list, Some(json!("7")), true);
    check(list, Some(json!(true)), true);
    check(list, Some(json!("ab")), false);
    check("f|cased: [A, B, C, D]", Some(json!("a")), false);
    check(
        "f|contains: [a, b, c, d, e, f, g, '']",
        Some(json!("zzz")),
        true,
    );
    for (glob, text, expected) in [
        ("'a*b*c'", "axxbxxc", true),
        ("'a*b*c'", "axxcxxb", false),
        ("'*b?d*'", "xbcdx", true),
        ("'*b?d'", "bxdbyd", true),
        ("'*a*a'", "a", false),
        ("'?*?'", "é", false),
        ("'?*?'", "éé", true),
        ("'a*?'", "a", false),
        ("'*aab*'", "aaab", true),
    ] {
        check(&format!("f: {glob}"), Some(json!(text)), expected);
    }
}

#[test]
fn encodings_apply_before_the_comparison() {
    // `foobar` behind one and two bytes.
    check(
        "f|base64offset|contains: foobar",
        Some(json!("eGZvb2Jhcg==")),
        true,
    );
    check(
        "f|base64offset|contains: foobar",
        Some(json!("eHhmb29iYXI=")),
        true,
    );
    check(
        "f|base64offset|contains: foobar",
        Some(json!("eHhmb29iWXI=")),
        false,
    );
    check("f|base64: foobar", Some(json!("Zm9vYmFy")), true);
    check(
        "f|wide|base64offset|contains: ab",
        Some(json!("YQBiAA==")),
        true,
    );
    check("f|windash|contains: ' -e '", Some(json!("sh /e x")), true);
    check_error("f|contains|base64: x", "encodings stand before");
    check_error("f|base64|re: x", "for texts only");
}

#[test]
fn parts_of_a_time_are_numbers_in_utc() {
    let time = json!("2026-11-22T04:55:27.649211Z");
    for (line, expected) in [
        ("f|hour: 4", true),
        ("f|hour|lt: 6", true),
        ("f|hour|gte: 6", false),
        ("f|minute: [54, 55]", true),
        ("f|day: 22", true),
        ("f|month: 11", true),
        ("f|year: 2026", true),
        ("f|week: 47", true),
    ] {
        check(line, Some(time.clone()), expected);
    }
    check("f|hour: 3", Some(json!("2026-11-22T04:55:27+01:00")), true);
    check("f|hour: 3", Some(json!("soon")), false);
    check_error("f|hour|contains: 3", "compared as numbers");
}
