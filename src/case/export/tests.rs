use proptest::prelude::*;
use regex::Regex;

use super::*;
use crate::case::bookmarks::tests::bookmark;
use crate::case::{Subject, Toggled};
use crate::finding::incident::{Surroundings, tie};
use crate::finding::{Severity, Timestamp};
use crate::report::document::{Block, Text};
use crate::report::tests::{HOSTILE, finding, summary};

/// Text that tries to become markup.
const MARKUP: [&str; 22] = [
    "</td><script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)>",
    "' onmouseover='alert(1)",
    "</title></style><svg/onload=alert(1)>",
    "&lt;b&gt; &#60;script&#62; &amp;amp;",
    "[x](javascript:alert(1))",
    "![x](https://evil.example/x.png)",
    "<https://evil.example> https://evil.example www.evil.example WWW.evil.example",
    "admin@evil.example mailto:a xmpp:b @octocat #1",
    "a | b || c \\| d \\\\| e|",
    "x@y|z@w|`",
    "` `` ``` a` `b",
    "``x@`y`` z",
    "# heading",
    "- list",
    "+ list",
    "1. list",
    "12) list",
    "===",
    "---",
    "    code",
    "*a* **b** _c_ __d__ ~~e~~ $f$ [^1] [ ] \\",
];

/// A case and its findings in which `text` is everywhere, and its report to `use_it`.
fn with_report<T>(text: &str, use_it: impl FnOnce(&Report<'_>) -> T) -> T {
    let mut findings = [Severity::Low, Severity::Critical].map(|severity| finding(severity, text));
    let incidents = tie(&mut findings, &Surroundings::default());
    let summary = summary(text);
    let id = findings[1].finding_id.clone();
    let owned = || text.to_owned();
    let mut case = Case::in_memory().unwrap();
    case.together(|case| {
        case.set_state(&id, State::Escalated, Timestamp(1))?;
        let mut last = None;
        for subject in [
            Subject::Finding(id.clone()),
            Subject::Credential(owned()),
            Subject::Identity(owned()),
            Subject::Address(owned()),
            Subject::Object(owned()),
            Subject::Event {
                file: owned(),
                offset: 7,
            },
            Subject::Case,
        ] {
            last = Some(case.add_note(subject, text, Timestamp(2))?);
        }
        let mark = bookmark(text, 9, 3, text);
        let Toggled::Set(mark) = case.toggle_bookmark(mark)? else {
            panic!("there was none");
        };
        for entry in [
            StoryEntry::Text(owned()),
            StoryEntry::Finding(id),
            StoryEntry::Bookmark(mark),
            StoryEntry::Note(last.unwrap()),
            StoryEntry::Finding(format!("missing {text}")),
        ] {
            case.add_to_story(entry, Timestamp(4))?;
        }
        case.log(Timestamp(5), text)
    })
    .unwrap();
    let journal = case.journal(10).unwrap();
    let sources = [SourceFile::of(text, 7, b"content", &[])];
    let report = Report::of(&case, text, &findings, &incidents, &summary, &journal);
    use_it(&Report {
        sources: &sources,
        ..report
    })
}

/// The same blocks with a harmless text in place of each.
fn harmless(blocks: &[Block]) -> Vec<Block> {
    let x = || Text::of("x");
    let xs = |texts: &[Text]| vec![x(); texts.len()];
    blocks
        .iter()
        .map(|block| match block {
            Block::Heading {
                level, severity, ..
            } => Block::Heading {
                level: *level,
                severity: *severity,
                text: x(),
            },
            Block::Paragraph(_) => Block::Paragraph(x()),
            Block::Quote(lines) => Block::Quote(xs(lines)),
            Block::Fields(fields) => {
                Block::Fields(fields.iter().map(|(label, _)| (*label, x())).collect())
            }
            Block::List(label, items) => Block::List(label, xs(items)),
            Block::Table(columns, rows) => {
                Block::Table(columns, rows.iter().map(|row| xs(row)).collect())
            }
        })
        .collect()
}

/// All `<...>` of `html` with what a browser would take for one.
fn tags(html: &str) -> Vec<&str> {
    let tag = Regex::new("<[^>]*>?").unwrap();
    tag.find_iter(html).map(|found| found.as_str()).collect()
}

/// What a line of Markdown is, by how it begins, and its number of cells if it is one of a table.
fn lines(markdown: &str) -> Vec<(String, usize)> {
    let start = Regex::new(r"^(#{1,3} |> |>$|- \*\*|- |\| |\*\*|)").unwrap();
    markdown
        .lines()
        .map(|line| {
            let start = &start.captures(line).unwrap()[1];
            let n_cells = cells(line);
            (start.to_owned(), if start == "| " { n_cells } else { 0 })
        })
        .collect()
}

/// Counts the cells of a table row for the most eager reader: any pipe is a border.
fn cells(line: &str) -> usize {
    line.matches('|').count()
}

/// Checks that `blocks` have no more structure than the same blocks with harmless texts.
fn check(blocks: &[Block]) {
    let plain = harmless(blocks);
    let html = html::render(blocks);
    assert_eq!(tags(&html), tags(&html::render(&plain)));
    assert_eq!(
        html.matches('>').count(),
        html::render(&plain).matches('>').count()
    );
    let markdown = markdown::render(blocks);
    assert_eq!(lines(&markdown), lines(&markdown::render(&plain)));
    for out in [&html, &markdown] {
        let hidden = |c: &char| *c != '\n' && crate::report::clean::is_hidden(*c);
        assert_eq!(out.chars().find(hidden), None);
    }
}

#[test]
fn hostile_text_stays_text() {
    for text in HOSTILE.iter().chain(&MARKUP) {
        with_report(text, |report| check(&document::of(report)));
    }
}

#[test]
fn no_secret_leaves() {
    let secret = "Bearer eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJrdWJlIn0.c2lnbmF0dXJl";
    let key = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBg\n-----END PRIVATE KEY-----\nafter";
    for (text, part) in [(secret, "c2lnbmF0dXJl"), (key, "MIIEvQIBADANBg")] {
        with_report(text, |report| {
            assert!(!markdown(report).contains(part));
            assert!(!html(report).contains(part));
        });
    }
}

#[test]
fn markdown_text_is_read_as_text() {
    let check = |text: &str, expected: &str| {
        assert_eq!(markdown::escape(&Text::of(text)), expected);
    };
    check("plain words, 10.0.0.1", "plain words, 10.0.0.1");
    check(
        "system:serviceaccount:ns:a-b",
        "system:serviceaccount:ns:a-b",
    );
    check("# x", "\\# x");
    check("- x", "\\- x");
    check("+ x", "\\+ x");
    check("=== x", "\\=== x");
    check("1. x 2. y", "1\\. x 2. y");
    check("12) x", "12\\) x");
    check("1.5", "1\\.5");
    check("    x  ", "x");
    check("a|b", "a&#124;b");
    check("\\", "\\\\");
    check("a_b*c", "a\\_b\\*c");
    check("[x](javascript:y)", "\\[x\\](javascript:y)");
    check("<b>&", "&lt;b&gt;&amp;");
    check("see https://e.example now", "see ` https://e.example ` now");
    check("a@b|c", "` a@b `&#124;` c `");
    check("a@`b``", "``` a@`b`` ```");
    check("x\ny", "x\\\\ny");
}

#[test]
fn html_text_is_read_as_text() {
    let escaped = html::escape(&Text::of("</td><a href='x' b=\"&\">"));
    assert_eq!(
        escaped,
        "&lt;/td&gt;&lt;a href=&#39;x&#39; b=&quot;&amp;&quot;&gt;"
    );
}

#[test]
fn html_loads_nothing_and_runs_nothing() {
    let html = with_report("plain", html);
    for part in [
        "<script", "src=", "href=", "url(", "@import", "http:", "https:",
    ] {
        assert!(!html.contains(part), "{part}");
    }
    assert!(html.contains("default-src 'none'"));
}

#[test]
fn report_says_everything_in_order() {
    let text = with_report("log text", markdown);
    let settings = {
        let mut settings = insta::Settings::clone_current();
        settings.set_snapshot_path("../../../tests/snapshots");
        settings.set_prepend_module_to_snapshot(false);
        settings.set_omit_expression(true);
        settings
    };
    settings.bind(|| insta::assert_snapshot!("case_report_markdown", text));
}

#[test]
fn an_empty_case_makes_a_report() {
    let case = Case::in_memory().unwrap();
    let summary = Summary::default();
    let report = Report::of(&case, "Nothing", &[], &[], &summary, &[]);
    let text = markdown(&report);
    assert!(text.starts_with("# Nothing\n\n- **time span**: no events\n"));
    assert!(text.contains("Nothing was found."));
    check(&document::of(&report));
}

fn text() -> impl Strategy<Value = String> {
    let pieces = proptest::sample::select([&HOSTILE[..], &MARKUP[..]].concat());
    prop_oneof![
        any::<String>(),
        "[<>|`\\\\*_#\\[\\]()@:/.&;\"' \n\ra1-]{0,40}",
        proptest::collection::vec(pieces, 1..4).prop_map(|pieces| pieces.concat()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn any_text_stays_text(text in text()) {
        with_report(&text, |report| check(&document::of(report)));
    }
}
