//! What documents promise.

use std::fmt::Write as _;
use std::io::{self, Read};

use super::super::chunk::ChunkReader;
use super::super::content::Content;
use super::super::{Framing, Oversize, ReadOptions};
use super::*;

/// Hands out `step` bytes at a time.
struct Dribble(Vec<u8>, usize, usize);

impl Read for Dribble {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let rest = &self.0[self.1..];
        let n = self.2.min(out.len()).min(rest.len());
        out[..n].copy_from_slice(&rest[..n]);
        self.1 += n;
        Ok(n)
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Record {
    offset: u64,
    line: u64,
    integrity: Integrity,
    parent: Option<String>,
    text: String,
}

fn read(input: &[u8], target: usize, max: usize, step: usize) -> (Vec<Record>, Vec<Oversize>) {
    let options = ReadOptions {
        chunk_bytes: target,
        max_line_bytes: max,
        framing: Some(Framing::Documents),
        ..ReadOptions::default()
    };
    let content = Content::new(Box::new(Dribble(input.to_vec(), 0, step)));
    let mut chunks = ChunkReader::new(0, "x".into(), content, &options);
    let (mut records, mut over) = (Vec::new(), Vec::new());
    let mut buffer = Vec::new();
    while let Some(chunk) = chunks.next(buffer).unwrap() {
        over.extend(chunks.take_oversize());
        for span in chunk.records.unwrap() {
            let text = &chunk.data[span.start..span.end];
            let offset = chunk.offset + span.start as u64;
            let start = usize::try_from(offset).unwrap();
            assert!(input[start..].starts_with(text), "at its offset");
            let lines = memchr_iter(b'\n', &input[..start]).count() as u64;
            assert_eq!(span.line, lines + 1);
            records.push(Record {
                offset,
                line: span.line,
                integrity: span.integrity,
                parent: span.parent.map(|parent| parent.to_string()),
                text: String::from_utf8_lossy(text).into_owned(),
            });
        }
        buffer = chunk.data;
    }
    over.extend(chunks.take_oversize());
    assert_eq!(chunks.offset(), input.len() as u64);
    let ordered = records
        .windows(2)
        .all(|two| two[0].offset + two[0].text.len() as u64 <= two[1].offset);
    assert!(ordered);
    (records, over)
}

/// Reads in many ways, which must agree.
fn read_all(input: &[u8], max: usize) -> (Vec<Record>, Vec<Oversize>) {
    let expected = read(input, max, max, 1 << 20);
    for (target, step) in [
        (1, 1),
        (1, 4096),
        (2, 3),
        (7, 7),
        (64, 2),
        (1000, 4095),
        (4096, 4097),
    ] {
        let found = read(input, target, max, step);
        assert!(
            found == expected,
            "target {target}, step {step}:\n{found:#?}\n{expected:#?}"
        );
    }
    expected
}

/// Letters before the texts: `=` whole, `?` recovered, `!` damaged; then those passed over.
fn check(input: &str, max: usize, expected: &[&str]) {
    let (records, over) = read_all(input.as_bytes(), max);
    let sign = |integrity| match integrity {
        Integrity::Whole => "=",
        Integrity::Recovered => "?",
        Integrity::Damaged => "!",
    };
    let records = records
        .iter()
        .map(|record| format!("{}{}", sign(record.integrity), record.text));
    let over = over.iter().map(|over| {
        let head = String::from_utf8_lossy(&over.head);
        format!("line {}, {} bytes: {head}", over.line, over.length)
    });
    let found: Vec<String> = records.chain(over).collect();
    assert_eq!(found, expected, "{input}");
}

#[test]
fn values_at_the_top_are_records() {
    check("", 99, &[]);
    check(" \n\0\u{1e}\u{feff} ,", 99, &[]);
    check(
        "{\n \"a\": {\n }\n}\n{}",
        99,
        &["={\n \"a\": {\n }\n}", "={}"],
    );
    check(
        "{\"a\":1}{\"b\":[{}]}\u{1e}{}",
        99,
        &["={\"a\":1}", "={\"b\":[{}]}", "={}"],
    );
    check("\n\u{feff}{}\n\u{feff}{}", 99, &["={}", "={}"]);
    check(r#"{"a":"}\"{\\"}{}"#, 99, &[r#"={"a":"}\"{\\"}"#, "={}"]);
    check(
        "{\"a\":-1.5e+3 ,\"b\":true}",
        99,
        &["={\"a\":-1.5e+3 ,\"b\":true}"],
    );
}

#[test]
fn elements_at_the_top_are_records() {
    check("[{},{}]", 99, &["={}", "={}"]);
    check(
        "[\n  {\n  },\n  [1]\n]\n[{}]",
        99,
        &["={\n  }", "=[1]", "={}"],
    );
    check("[\"{}\", 12 ,null]", 99, &["=\"{}\"", "=12", "=null"]);
    check("[]\n[[]]", 99, &["=[]"]);
    check(
        r#"[{"items":[{},{}]},{"a":1}]"#,
        99,
        &[r#"={"items":[{},{}]}"#, r#"={"a":1}"#],
    );
}

#[test]
fn long_document_is_taken_apart_and_a_short_one_is_not() {
    let list = r#"{"kind":"EventList","items":[{"a":1},{"b":"]}"}],"x":[1]}"#;
    let parent = r#"{"kind":"EventList","items":["#;
    check(list, list.len(), &[&format!("={list}")]);
    check(list, list.len() - 1, &[r#"={"a":1}"#, r#"={"b":"]}"}"#]);
    let (records, _) = read_all(list.as_bytes(), 9);
    assert!(
        records
            .iter()
            .all(|record| record.parent.as_deref() == Some(parent))
    );
    for name in ["events", "records", "logEvents", "results"] {
        let list =
            format!("[{{\"x\": {{\"{name}\": [0]}}, \"{name}\" : [ [1], 2 ,\"3\" ]}}, {{}}]");
        check(&list, 20, &["=[1]", "=2", "=\"3\"", "={}"]);
    }
    check(
        r#"{"item":[{"a":1},{"b":2}]}{}"#,
        20,
        &["={}", "line 1, 26 bytes: {\"item\":[{\"a\":1},{\"b\":2}]}"],
    );
    check(
        r#"{"items":{"a":[{"a":1}]}}{}"#,
        20,
        &["={}", "line 1, 25 bytes: {\"items\":{\"a\":[{\"a\":1}]}}"],
    );
}

#[test]
fn list_behind_a_long_start_is_found() {
    let long = "x".repeat(9000);
    let list = format!(r#"{{"a":"{long}","items":[{{"b":1}}]}}"#);
    let (records, over) = read_all(list.as_bytes(), 100);
    assert_eq!((records.len(), over.len()), (1, 0));
    assert_eq!(records[0].text, r#"{"b":1}"#);
    assert_eq!(
        records[0].parent.as_deref(),
        Some(&list[..OVERSIZE_HEAD_BYTES])
    );
}

#[test]
fn record_over_the_limit_is_passed_over() {
    for n in [10, 100, 5000, 70_000] {
        let value = |n| format!("{{\"a\":\"{}\"}}", "x".repeat(n - 8));
        let input = format!("{}\n\n{}{}", value(n), value(n + 1), value(n));
        let (records, over) = read_all(input.as_bytes(), n);
        assert_eq!(records.len(), 2, "{n}");
        assert_eq!(
            (over.len(), over[0].line, over[0].length),
            (1, 3, n as u64 + 1)
        );
        assert_eq!(
            over[0].head,
            &value(n + 1).as_bytes()[..OVERSIZE_HEAD_BYTES.min(n + 1)]
        );
    }
    check(
        "[{\"a\":1},{\"b\":22},3]",
        7,
        &["={\"a\":1}", "=3", "line 1, 8 bytes: {\"b\":22}"],
    );
}

#[test]
fn damage_hides_nothing_behind_it() {
    // A line end in a string.
    check(
        "{\"a\":\"x\n{\"b\":1}\n{}",
        99,
        &["!{\"a\":\"x", "={\"b\":1}", "={}"],
    );
    // A document that breaks off takes the next one for a value of its own.
    check(
        "{\"a\":\n{\"b\":1}\n{\"c\":1}",
        99,
        &["!{\"a\":", "={\"b\":1}", "={\"c\":1}"],
    );
    check(
        "{\"a\":[1,\n{\"b\":1}\n{\"c\":1}\n",
        99,
        &["!{\"a\":[1,", "={\"b\":1}", "={\"c\":1}"],
    );
    check("{\"a\":{\n{\"b\":1}", 99, &["!{\"a\":{", "={\"b\":1}"]);
    // At the end.
    check("{}\n{\"a\":", 99, &["={}", "!{\"a\":"]);
    check("[{},{\"a\":\"", 99, &["={}", "!{\"a\":\""]);
    // Brackets that do not pair.
    check("{\"a\":[1}\n{}", 99, &["!{\"a\":[1}", "={}"]);
    check("{}}\n{}]\n{}", 99, &["={}", "={}", "={}"]);
    // Text between.
    check(
        "one\ntwo {}\n{}\nthree",
        99,
        &["!one", "!two {}", "={}", "!three"],
    );
}

/// Words stand before each document; one breaks off, and words open none.
#[test]
fn damage_hides_no_document_that_words_open() {
    for (log, expected) in [
        (
            "t s {\n\"a\":1,\nt s {\n\"b\":1\n}\nt s {\n\"c\":1}\n",
            "bc",
        ),
        ("t s {\n\"a\":1}\nso it goes {\nt s {\n\"b\":1\n}\n", "ab"),
    ] {
        let (records, _) = read_all(log.as_bytes(), 99);
        let whole = records
            .iter()
            .filter(|it| it.integrity != Integrity::Damaged);
        let documents = whole.filter(|it| it.text.starts_with('{'));
        let names: String = documents.map(|it| &it.text[3..4]).collect();
        assert_eq!(names, expected, "{log}");
    }
}

#[test]
fn damaged_element_hides_no_other() {
    check(
        "[\n  {\"a\": 1},\n  {\"a\": \"\n  },\n  {\n    \"b\": {\n    }\n  },\n  {}\n]\n{}",
        99,
        &[
            "={\"a\": 1}",
            "!{\"a\": \"\n  },",
            "?{\n    \"b\": {\n    }\n  }",
            "?{}",
            "={}",
        ],
    );
    check("[{} {\"a\":1}]", 99, &["={}", "?{\"a\":1}"]);
    let (records, _) = read_all(b"{\"items\":[{\"a\":1},{\"b\":2},{\"c\":\"", 99);
    let texts: Vec<&str> = records.iter().map(|record| &*record.text).collect();
    assert_eq!(texts, ["{\"a\":1}", "{\"b\":2}", "{\"c\":\""]);
    assert_eq!(records[0].parent.as_deref(), Some("{\"items\":["));
}

const EVENT_TEXT: &str = r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","auditID":"a"}"#;

#[test]
fn event_behind_damage_on_a_line_is_recovered() {
    let cut = r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","user":{"na"#;
    check(
        &format!("{cut}{EVENT_TEXT}\n{{}}"),
        999,
        &[&format!("!{cut}"), &format!("?{EVENT_TEXT}"), "={}"],
    );
    check(
        &format!("[{EVENT_TEXT},{cut},{EVENT_TEXT},{EVENT_TEXT}]"),
        999,
        &[
            &format!("={EVENT_TEXT}"),
            &format!("!{cut},"),
            &format!("?{EVENT_TEXT}"),
            &format!("?{EVENT_TEXT}"),
        ],
    );
    let hole = "\0".repeat(9000);
    check(
        &format!("{EVENT_TEXT}{hole}{EVENT_TEXT}\n{{\"a\":{hole}{EVENT_TEXT}"),
        20_000,
        &[
            &format!("={EVENT_TEXT}"),
            &format!("={EVENT_TEXT}"),
            "!{\"a\":",
            &format!("?{EVENT_TEXT}"),
        ],
    );
}

#[test]
fn lines_of_a_container_runtime_are_whole() {
    let prefix = "2026-11-22T04:55:40.123456789Z stdout F ";
    let line = format!("{prefix}{EVENT_TEXT}");
    check(
        &format!("[{EVENT_TEXT}]\n{line}\n{line}{EVENT_TEXT}\n{{}}"),
        999,
        &[
            &format!("={EVENT_TEXT}"),
            &format!("={line}"),
            &format!("={line}{EVENT_TEXT}"),
            "={}",
        ],
    );
    // Not at the start of a line, and behind something else.
    check(
        &format!("{{}} {line}\nx {EVENT_TEXT}"),
        999,
        &[
            "={}",
            &format!("!{}", prefix.trim_end()),
            &format!("?{EVENT_TEXT}"),
            "!x",
            &format!("?{EVENT_TEXT}"),
        ],
    );
}

#[test]
fn event_in_an_undamaged_value_is_no_record() {
    let escaped = EVENT_TEXT.replace('"', "\\\"");
    let string = format!("{{\"a\":\"\\n{escaped}\"}}");
    check(&string, 999, &[&format!("={string}")]);
    let nested = format!("{{\n\"a\":\n{EVENT_TEXT}\n}}");
    check(&nested, 999, &[&format!("={nested}")]);
    // In a damaged document, the text in a string still is none; the value is not trusted.
    let damaged = format!("{{\"a\":\"{escaped}\",\"b\":{EVENT_TEXT},,}}\n{{}}");
    let start = damaged.find(EVENT_TEXT).unwrap();
    check(
        &damaged,
        999,
        &[
            &format!("!{}", &damaged[..start]),
            &format!("?{EVENT_TEXT}"),
            "={}",
        ],
    );
}

#[test]
fn documents_read_lines_as_lines_do() {
    let mut input = String::new();
    for n in 0..300 {
        let text = "y".repeat(n * n % 89);
        writeln!(input, "{{\"n\":{n},\"s\":\"{text}\\\"\"}}").unwrap();
    }
    let (records, _) = read_all(input.as_bytes(), 999);
    let lines: Vec<&str> = records.iter().map(|record| &*record.text).collect();
    assert_eq!(lines, input.lines().collect::<Vec<_>>());
    assert!(
        records
            .iter()
            .all(|record| record.integrity == Integrity::Whole)
    );
}

/// A little list of everything, pretty or not.
fn sample(seed: &mut u64) -> String {
    let event = EVENT_TEXT.replace('}', ",\n  \"user\": {\"groups\": [\"x\", \"y\\\"\"]}\n}");
    let parts = [
        EVENT_TEXT,
        &event,
        "[\n  {\n    \"a\": 1\n  },\n  {\"b\": [{}]}\n]",
        "{\"items\":[{\"a\":1},{\"b\":2}],\"c\":0}",
        "\n",
        "\n",
        "text",
        "\0\0",
    ];
    (0..6).map(|_| parts[random(seed) % parts.len()]).collect()
}

fn random(seed: &mut u64) -> usize {
    *seed = seed
        .wrapping_mul(6_364_136_223_846_793_005)
        .wrapping_add(1_442_695_040_888_963_407);
    usize::try_from(*seed >> 40).unwrap()
}

#[test]
fn damage_of_any_kind_is_read_the_same_in_any_way() {
    let mut seed = 11;
    for _ in 0..400 {
        let mut input = sample(&mut seed).into_bytes();
        for _ in 0..random(&mut seed) % 4 {
            if input.is_empty() {
                break;
            }
            let at = random(&mut seed) % input.len();
            match random(&mut seed) % 3 {
                0 => input[at] ^= 1 << (random(&mut seed) % 7),
                1 => input.truncate(at),
                _ => input.insert(at, b"{}[]\",:\n"[random(&mut seed) % 8]),
            }
        }
        let max = [20, 60, 9999][random(&mut seed) % 3];
        let (records, over) = read_all(&input, max);
        if max == 9999 {
            // Nothing but separators and brackets stands outside of records.
            assert_eq!(over, []);
            let mut rest = input.clone();
            for record in &records {
                let start = usize::try_from(record.offset).unwrap();
                rest[start..start + record.text.len().min(input.len() - start)].fill(b' ');
            }
            let lost = rest
                .iter()
                .filter(|byte| !b" \t\r\n,[]{}\0\x1e\xef\xbb\xbf".contains(byte));
            let wrapping = String::from_utf8_lossy(&rest).contains("\"items\"");
            assert!(
                wrapping || lost.count() == 0,
                "{}",
                String::from_utf8_lossy(&rest)
            );
        }
    }
}

#[test]
fn cut_anywhere_keeps_what_was_whole() {
    let input = format!("[\n{EVENT_TEXT},\n{EVENT_TEXT}\n]\n{{\n  \"a\": 1\n}}\n{EVENT_TEXT}");
    let whole = read(input.as_bytes(), 99, 999, 999).0;
    for cut in 0..input.len() {
        let (records, _) = read_all(&input.as_bytes()[..cut], 999);
        let before: Vec<&Record> = whole
            .iter()
            .filter(|record| record.offset + record.text.len() as u64 <= cut as u64)
            .collect();
        let found: Vec<&Record> = records
            .iter()
            .filter(|record| record.integrity == Integrity::Whole)
            .collect();
        assert_eq!(found, before, "cut at {cut}");
        assert!(records.len() <= before.len() + 1, "cut at {cut}");
    }
}

/// Reads without keeping records; returns how many there are.
fn count(input: impl Read + Send + 'static, max: usize) -> (usize, Vec<Oversize>) {
    let options = ReadOptions {
        chunk_bytes: 1 << 16,
        max_line_bytes: max,
        framing: Some(Framing::Documents),
        ..ReadOptions::default()
    };
    let mut chunks = ChunkReader::new(0, "x".into(), Content::new(Box::new(input)), &options);
    let (mut n, mut over, mut buffer) = (0, Vec::new(), Vec::new());
    while let Some(chunk) = chunks.next(buffer).unwrap() {
        assert!(chunk.data.capacity() <= 4 * max);
        n += chunk.records.unwrap().len();
        over.extend(chunks.take_oversize());
        buffer = chunk.data;
    }
    over.extend(chunks.take_oversize());
    (n, over)
}

#[test]
fn nesting_costs_no_stack_and_little_memory() {
    let n = 1_000_000;
    let deep = [
        b"{\"a\":".repeat(n),
        b"1".to_vec(),
        b"}".repeat(n),
        b"{}".to_vec(),
    ]
    .concat();
    assert_eq!(count(io::Cursor::new(deep), 64 << 20).0, 2);
    let (n, over) = count(io::repeat(b'[').take(20 << 20), 1 << 20);
    assert!(n + over.len() > 0, "damage, and an end");
}

#[test]
fn endless_document_costs_no_memory() {
    let value = (&b"{\"a\":\""[..])
        .chain(io::repeat(b'x').take(300 << 20))
        .chain(&b"\"}{}"[..]);
    let (n, over) = count(value, 1 << 20);
    assert_eq!((n, over.len()), (1, 1));
    assert_eq!(over[0].length, (300 << 20) + 8);
}

#[test]
fn hostile_damage_costs_linear_time() {
    for piece in [
        "{\"a\":[\n",
        "{\"a\":\n",
        "{",
        "[{\"a\":1,,",
        "{\"a\":\"\n",
        "x\n",
        EVENT_TEXT,
        "\n{\"kind\":",
    ] {
        for end in ["", ",}", "\n"] {
            let input = piece.repeat((4 << 20) / piece.len()) + end;
            let started = std::time::Instant::now();
            let _ = count(io::Cursor::new(input), 64 << 20);
            assert!(
                started.elapsed().as_secs() < 20,
                "{piece}: {:?}",
                started.elapsed()
            );
        }
    }
}
