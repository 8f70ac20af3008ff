//! What lines show, and how they fold.

use std::time::Instant;

use proptest::prelude::*;
use serde_json::Value as Json;

use super::*;
use crate::report::clean::is_hidden;

const EVENT: &str = r#"{"kind":"Event","user":{"username":"bob","extra":{"authentication.kubernetes.io/credential-id":["JTI=1","JTI=2"]}},"n":1.50e+2,"empty":[{},[],""],"kind":"twice"}"#;

/// The lines as text: indentation, marker, key and value.
fn lines(tree: &Tree) -> Vec<String> {
    let line = |line: usize| {
        let line = tree.line(line).unwrap();
        let marker = match line.marker {
            Marker::Open => '-',
            Marker::Closed => '+',
            Marker::Leaf => ' ',
        };
        let key = line.key.map(|key| format!("{key}: ")).unwrap_or_default();
        format!(
            "{}{marker}{key}{}",
            "  ".repeat(line.depth),
            line.value.text
        )
    };
    (0..tree.visible()).map(line).collect()
}

#[test]
fn a_document_is_laid_out_in_its_order() {
    let mut tree = Tree::parse(EVENT);
    let all = [
        " kind: Event",
        "-user: {2}",
        "   username: bob",
        "  -extra: {1}",
        "    -authentication.kubernetes.io/credential-id: [2]",
        "       JTI=1",
        "       JTI=2",
        " n: 1.50e+2",
        "-empty: [3]",
        "   {}",
        "   []",
        "   ",
        " kind: twice",
    ];
    assert_eq!(lines(&tree), all);
    tree.fold_to(1);
    assert_eq!(lines(&tree).len(), 10);
    assert_eq!(tree.line(3).unwrap().marker, Marker::Closed);
    tree.fold_all();
    assert_eq!(
        lines(&tree),
        [
            " kind: Event",
            "+user: {2}",
            " n: 1.50e+2",
            "+empty: [3]",
            " kind: twice"
        ]
    );
    tree.toggle(1);
    tree.toggle(0);
    tree.toggle(99);
    assert_eq!(
        lines(&tree)[1..4],
        ["-user: {2}", "   username: bob", "  +extra: {1}"]
    );
    tree.unfold_all();
    assert_eq!(lines(&tree), all);
}

#[test]
fn paths_and_values_are_those_of_the_record() {
    let tree = Tree::parse(EVENT);
    let path = |line| tree.path(line).unwrap();
    assert_eq!(path(0), "kind");
    assert_eq!(
        path(6),
        r#"user.extra["authentication.kubernetes.io/credential-id"][1]"#
    );
    assert_eq!(path(9), "empty[0]");
    assert_eq!(tree.line(6).unwrap().path, path(6));
    assert_eq!(tree.value_text(2).unwrap(), "bob");
    assert_eq!(tree.value_text(4).unwrap(), r#"["JTI=1","JTI=2"]"#);
    assert_eq!(tree.value_text(7).unwrap(), "1.50e+2");
    assert_eq!(
        (tree.parent(6), tree.parent(4), tree.parent(0)),
        (Some(4), Some(3), None)
    );
    assert!(tree.line(13).is_none() && tree.path(13).is_none() && tree.value_text(13).is_none());
    let odd = Tree::parse(r#"[[1], {"a b": 1, "": 2, "a\"b": 3, "1": 4}]"#);
    let paths: Vec<_> = (0..odd.visible())
        .filter_map(|line| odd.path(line))
        .collect();
    assert_eq!(
        paths,
        [
            "[0]",
            "[0][0]",
            "[1]",
            r#"[1]["a b"]"#,
            r#"[1][""]"#,
            r#"[1]["a\"b"]"#,
            r#"[1]["1"]"#
        ]
    );
}

#[test]
fn documents_with_nothing_in_them_have_a_line() {
    for (text, kind, shown) in [
        (" {} ", Kind::Object, "{}"),
        ("[]", Kind::List, "[]"),
        ("\"a\\nb\"", Kind::Text, "a\\nb"),
        ("-0.0", Kind::Number, "-0.0"),
        ("null", Kind::Null, "null"),
        ("no JSON\u{1b}", Kind::Raw, "no JSON\\u{1b}"),
    ] {
        let mut tree = Tree::parse(text);
        tree.fold_all();
        assert_eq!(tree.visible(), 1, "{text}");
        let line = tree.line(0).unwrap();
        let found = (
            line.depth,
            line.marker,
            line.value.kind,
            &*line.value.text,
            &*line.path,
        );
        assert_eq!(found, (0, Marker::Leaf, kind, shown, ""));
    }
    assert_eq!(Tree::parse("").visible(), 0);
    assert_eq!(
        lines(&Tree::parse("{\"a\":\r\n\n1")),
        [" {\"a\":", " ", " 1"]
    );
}

#[test]
fn searching_unfolds_what_hides_a_match() {
    let mut tree = Tree::parse(EVENT);
    tree.fold_all();
    let pattern = |text| Regex::new(text).unwrap();
    assert_eq!(tree.find(&pattern("JTI=2"), 0, Direction::Forward), Some(6));
    assert_eq!(
        tree.path(6).unwrap(),
        r#"user.extra["authentication.kubernetes.io/credential-id"][1]"#
    );
    assert_eq!(
        tree.line(8).unwrap().marker,
        Marker::Closed,
        "what hides none stays folded"
    );
    tree.fold_all();
    // Within a folded line there is more than the line.
    assert_eq!(tree.find(&pattern("bob"), 1, Direction::Forward), Some(2));
    let kind = pattern("^kind$");
    let last = tree.visible() - 1;
    assert_eq!(tree.find(&kind, 0, Direction::Forward), Some(last));
    assert_eq!(tree.find(&kind, last, Direction::Forward), Some(0));
    assert_eq!(tree.find(&kind, 0, Direction::Backward), Some(last));
    assert_eq!(tree.find(&kind, last, Direction::Backward), Some(0));
    assert_eq!(
        tree.find(&pattern("150|username"), 2, Direction::Backward),
        Some(2),
        "itself, last"
    );
    assert_eq!(
        tree.find(&pattern("nothing like it"), 0, Direction::Forward),
        None
    );
    assert_eq!(Tree::parse("").find(&kind, 0, Direction::Forward), None);
}

fn assert_clean(tree: &Tree) {
    for line in 0..tree.visible() {
        let line = tree.line(line).unwrap();
        let texts = [
            &*line.value.text,
            &*line.path,
            line.key.as_deref().unwrap_or_default(),
        ];
        for text in texts {
            assert!(
                !text.chars().any(|c| c.is_control() || is_hidden(c)),
                "{text:?}"
            );
            assert!(text.len() <= 200_000);
        }
    }
}

#[test]
fn hostile_text_is_clean_and_short() {
    let parts = [
        "\u{1b}]52;c;cm0=\u{7}",
        "\u{202e}abc",
        "\u{200b}",
        "\u{301}",
        "\u{9b}2J",
        "\r\n\0",
        "é日🦀",
        "\u{7f}\\\"",
    ];
    for part in parts {
        for text in [part.to_owned(), part.repeat((1 << 20) / part.len())] {
            let written = Json::from(text.clone()).to_string();
            let tree = Tree::parse(format!(
                r#"{{"a":{written},{written}:[{{{written}:{written}}}]}}"#
            ));
            assert_eq!(tree.visible(), 4);
            assert_clean(&tree);
            assert_eq!(tree.value_text(0).unwrap(), text);
            assert_clean(&Tree::parse(text));
        }
    }
    assert_clean(&Tree::parse(r#"{"a":"\ud800\u001b","\udfff":1}"#));
}

#[test]
fn what_is_too_deep_is_one_line() {
    for depth in [DEPTH_MAX, DEPTH_MAX + 1, DEPTH_MAX + 2, 10_000] {
        let text = format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
        let mut tree = Tree::parse(text);
        let n_lines = depth.min(DEPTH_MAX + 1);
        assert_eq!(tree.visible(), n_lines);
        let last = tree.line(n_lines - 1).unwrap();
        if depth > DEPTH_MAX + 1 {
            assert_eq!(last.value.kind, Kind::Beyond);
            assert_eq!(
                last.value.text,
                format!("[… deeper than {DEPTH_MAX} levels]")
            );
            let rest = tree.value_text(n_lines - 1).unwrap();
            assert_eq!(rest.len(), 2 * (depth - DEPTH_MAX - 1) + 1);
        } else {
            assert_eq!(last.value.text, "1");
        }
        tree.fold_all();
        assert_eq!(tree.visible(), 1);
    }
    // No line for what is beyond what can be followed, but text.
    let deeper = "[".repeat(1 << 20);
    assert_eq!(Tree::parse(deeper).line(0).unwrap().value.kind, Kind::Raw);
    let both = format!(r#"{{"a":{}{},"b":1}}"#, "[".repeat(500), "]".repeat(500));
    let tree = Tree::parse(both);
    assert_eq!(lines(&tree).last().unwrap(), " b: 1");
}

#[test]
fn what_is_too_long_ends_in_one_line() {
    let list = |n: usize| format!("{{\"a\":[{}0],\"b\":1}}", "0,".repeat(n - 1));
    let tree = Tree::parse(list(LINES_MAX - 2));
    assert_eq!(tree.visible(), LINES_MAX);
    let mut tree = Tree::parse(list(LINES_MAX + 5));
    assert_eq!(tree.visible(), LINES_MAX + 1);
    assert_eq!(tree.line(LINES_MAX).unwrap().value.kind, Kind::Beyond);
    assert!(tree.value_text(LINES_MAX).unwrap().ends_with("\"b\":1}"));
    tree.fold_all();
    assert_eq!(tree.visible(), 1);
    let tree = Tree::parse("x\n".repeat(LINES_MAX + 5));
    assert_eq!(tree.visible(), LINES_MAX + 1);
    assert_eq!(tree.value_text(LINES_MAX).unwrap().len(), 10);
}

#[test]
fn many_lines_are_cheap() {
    let fields: Vec<String> = (0..200_000)
        .map(|n| format!("\"f{n}\":{{\"a\":\"{n}\"}}"))
        .collect();
    let mut tree = Tree::parse(format!("{{\"x\":{{{}}}}}", fields.join(",")));
    assert_eq!(tree.visible(), 400_001);
    let start = Instant::now();
    for step in 0..100 {
        for line in 0..50 {
            assert!(tree.line(step * 4000 + line).is_some());
        }
        tree.toggle(1 + step);
    }
    // Far more than it takes, since the machine may be busy; a quadratic layout would take minutes.
    assert!(start.elapsed().as_secs() < 20);
}

#[test]
fn secrets_are_gone_from_records() {
    let record = r#"{"objectRef":{"resource":"secrets"},"responseObject":{"kind":"Secret","data":{"a":"c2VjcmV0"}}}"#;
    let tree = Tree::of_record(record);
    assert!(!tree.text().contains("c2VjcmV0"));
    assert!(
        lines(&tree)
            .iter()
            .any(|line| line.ends_with("a: [redacted]"))
    );
}

/// Builds the document that all lines say.
fn document(tree: &Tree, is_list: bool) -> Json {
    fn build(tree: &Tree, line: &mut usize, depth: usize, is_list: bool) -> Json {
        let (mut list, mut object) = (Vec::new(), serde_json::Map::new());
        while let Some(found) = tree.line(*line).filter(|found| found.depth == depth) {
            assert_eq!(found.key.is_none(), is_list);
            let at = *line;
            *line += 1;
            let value = match found.value.kind {
                Kind::Object | Kind::List => {
                    build(tree, line, depth + 1, found.value.kind == Kind::List)
                }
                Kind::Text => Json::from(tree.value_text(at).unwrap()),
                _ => serde_json::from_str(&tree.value_text(at).unwrap()).unwrap(),
            };
            match tree.nodes[at].key.clone() {
                Some(key) => drop(object.insert(text(&tree.text[key]).into_owned(), value)),
                None => list.push(value),
            }
        }
        if is_list {
            Json::from(list)
        } else {
            Json::from(object)
        }
    }
    build(tree, &mut 0, 0, is_list)
}

/// Counts the lines that no folded one is around, one by one.
fn brute_force(tree: &Tree) -> usize {
    let is_shown = |node: &&Node| {
        let mut outer = node.parent;
        while let Some(at) = outer {
            if tree.nodes[at].is_folded {
                return false;
            }
            outer = tree.nodes[at].parent;
        }
        true
    };
    tree.nodes.iter().filter(is_shown).count()
}

fn arbitrary() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        any::<f64>().prop_map(Json::from),
        any::<String>().prop_map(Json::from),
    ];
    leaf.prop_recursive(8, 120, 8, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..8).prop_map(Json::from),
            prop::collection::btree_map("[a-z./\"\u{1b}]{0,5}", inner, 0..8)
                .prop_map(|map| Json::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn all_lines_say_the_document(value in arbitrary(), is_pretty in any::<bool>()) {
        let text = if is_pretty {
            serde_json::to_string_pretty(&value).unwrap()
        } else {
            value.to_string()
        };
        let mut tree = Tree::parse(text.clone());
        tree.fold_all();
        tree.unfold_all();
        let said = match &value {
            Json::Array(list) if !list.is_empty() => document(&tree, true),
            Json::Object(object) if !object.is_empty() => document(&tree, false),
            Json::String(text) => {
                prop_assert_eq!(&*tree.value_text(0).unwrap(), text.as_str());
                value.clone()
            }
            _ => serde_json::from_str(&tree.value_text(0).unwrap()).unwrap(),
        };
        let expected: Json = serde_json::from_str(&text).unwrap();
        let expected_text = expected.to_string();
        prop_assert_eq!(said.to_string(), expected_text);
        assert_clean(&tree);
    }

    #[test]
    fn toggles_keep_count(value in arbitrary(), steps in prop::collection::vec(any::<prop::sample::Index>(), 0..40)) {
        let mut tree = Tree::parse(value.to_string());
        let (n_all, pattern) = (tree.visible(), Regex::new("a").unwrap());
        for (nth, step) in steps.iter().enumerate() {
            let line = step.index(tree.visible());
            match nth % 7 {
                5 => tree.fold_to(line % 4),
                6 => {
                    tree.find(&pattern, line, Direction::Backward);
                }
                _ => tree.toggle(line),
            }
            prop_assert_eq!(tree.visible(), brute_force(&tree));
            let paths = (0..tree.visible()).map(|line| tree.path(line).unwrap());
            prop_assert_eq!(paths.count(), tree.visible());
        }
        tree.unfold_all();
        prop_assert_eq!(tree.visible(), n_all);
    }

    #[test]
    fn any_text_has_clean_lines(text in any::<String>()) {
        let tree = Tree::of_record(&text);
        assert_clean(&tree);
    }
}
