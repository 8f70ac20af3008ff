//! `kubescry scan` from outside: output, errors, exit codes.

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{kubescry, read, root, text};

#[test]
fn jsonl_keeps_its_contract() {
    let output = kubescry(
        &[
            "scan",
            "sample-logs/v1.36/anonymous.log",
            "--format",
            "jsonl",
        ],
        b"",
    );
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let mut lines = 0;
    for line in text(&output.stdout).lines() {
        let finding: Value = serde_json::from_str(line).unwrap();
        let keys: Vec<&String> = finding.as_object().unwrap().keys().collect();
        for key in [
            "schema",
            "finding_id",
            "family",
            "severity",
            "confidence",
            "rule",
            "summary",
            "first_seen",
            "last_seen",
            "count",
            "actor",
            "source",
            "target",
            "attack",
            "why",
            "next_steps",
            "blind_spots",
            "evidence_total",
            "evidence",
        ] {
            assert!(keys.iter().any(|known| *known == key), "{key} is missing");
        }
        assert_eq!(finding["schema"], "kubescry.finding/1");
        assert!(finding["evidence"].as_array().unwrap().len() <= 20);
        lines += 1;
    }
    assert!(lines > 0);
}

#[test]
fn evidence_points_into_the_log() {
    let log = "sample-logs/v1.36/shared-credentials.log.gz";
    let output = kubescry(
        &["scan", log, "--format", "jsonl", "--evidence", "all"],
        b"",
    );
    let content = read(&root().join(log));
    let mut checked = 0;
    for line in text(&output.stdout).lines() {
        let finding: Value = serde_json::from_str(line).unwrap();
        assert_eq!(
            finding["evidence"].as_array().unwrap().len() as u64,
            finding["evidence_total"]
        );
        for evidence in finding["evidence"].as_array().unwrap() {
            let place = |key: &str| usize::try_from(evidence[key].as_u64().unwrap()).unwrap();
            let record = &content[place("offset")..place("offset") + place("length")];
            let event: Value = serde_json::from_slice(record).unwrap();
            assert_eq!(event["auditID"], evidence["audit_id"]);
            assert_eq!(event["stage"], evidence["stage"]);
            assert_eq!(event["stageTimestamp"], evidence["ts"]);
            let line = memchr::memchr_iter(b'\n', &content[..place("offset")]).count();
            assert_eq!(line + 1, place("line"));
            checked += 1;
        }
    }
    assert!(checked > 100, "{checked}");
}

#[test]
fn exit_codes_say_how_it_went() {
    let check = |arguments: &[&str], input: &[u8], expected: i32| {
        let output = kubescry(arguments, input);
        let code = output.status.code();
        assert_eq!(
            code,
            Some(expected),
            "{arguments:?}: {}",
            text(&output.stderr)
        );
    };
    let log = "sample-logs/v1.36/anonymous.log";
    check(&["scan", log], b"", 0);
    check(&["scan", log, "--fail-on", "critical"], b"", 1);
    check(
        &[
            "scan",
            "sample-logs/v1.36/startup.log.gz",
            "--fail-on",
            "high",
        ],
        b"",
        0,
    );
    check(&["scan"], b"", 2);
    check(&["scan", log, "--min-severity", "awful"], b"", 2);
    check(&["scan", log, "no-such-file"], b"", 3);
    check(&["scan", "no-such-file"], b"", 4);
    check(&["scan", "-"], b"hello\n", 4);
    check(&["scan", "-"], b"", 0);
    check(&["scan", "-"], b"\n\n \n", 4);
    // Found by fuzzing: a character that begins like a byte order mark, between documents.
    check(&["scan", "-"], "{\n\"a\":1}\n\u{ff11} x\n".as_bytes(), 4);
    check(&["scan", "-"], &vec![0; 100_000], 4);
    check(&["scan", log, "--input-format", "none"], b"", 2);
    let list = root().join("tests/envelopes/event-list/wrapped.jsonl");
    let list = list.to_str().unwrap();
    check(&["scan", list, "--input-format", "event-list"], b"", 0);
    check(&["scan", list, "--input-format", "gke"], b"", 4);
    check(&["scan", log, "--input-format", "documents"], b"", 0);
    let damaged = [read(&root().join(log)), b"damaged\n".to_vec()].concat();
    check(&["scan", "-"], &damaged, 0);
    check(&["scan", "-", "--max-bad", "0"], &damaged, 3);
    check(&["scan", "-", "--max-line", "500"], &damaged, 3);
}

#[test]
fn standard_input_is_read_like_a_file() {
    let content = read(&root().join("sample-logs/v1.36/anonymous.log"));
    let file = kubescry(
        &[
            "scan",
            "sample-logs/v1.36/anonymous.log",
            "--format",
            "jsonl",
        ],
        b"",
    );
    let piped = kubescry(&["scan", "-", "--format", "jsonl"], &content);
    let same = text(&file.stdout).replace("sample-logs/v1.36/anonymous.log", "-");
    assert_eq!(text(&piped.stdout), same);
}

#[test]
fn what_is_no_audit_log_is_named() {
    let folder = TempDir::new().unwrap();
    let check = |content: &str, expected: &str| {
        let path = folder.path().join("x.log");
        std::fs::write(&path, content).unwrap();
        let output = kubescry(&["scan", path.to_str().unwrap()], b"");
        assert!(
            text(&output.stderr).contains(expected),
            "{}",
            text(&output.stderr)
        );
        assert_ne!(output.status.code(), Some(0));
    };
    check(
        "I1122 05:00:00.000000       1 controller.go:1] hello\n",
        "1 x a klog line",
    );
    check(
        r#"{"kind":"Event","apiVersion":"v1","involvedObject":{"kind":"Pod"}}"#,
        "1 x a core `Event` object",
    );
    check("PAR1", "Parquet");
}

#[test]
fn hostile_text_stays_text() {
    let event = concat!(
        r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","auditID":"\u001b[2J","#,
        r#""stage":"ResponseComplete","requestURI":"/api/v1/secrets?x=\u001b]52;c;aGk=\u0007","verb":"list","#,
        r#""user":{"username":"system:anonymous","groups":["system:unauthenticated"]},"#,
        r#""sourceIPs":["10.0.0.1\u202e"],"userAgent":"\u009b31mcurl\r\nERROR forged","#,
        r#""objectRef":{"resource":"secrets","apiVersion":"v1"},"responseStatus":{"metadata":{},"code":200},"#,
        r#""requestReceivedTimestamp":"2026-11-22T04:55:27.649211Z","stageTimestamp":"2026-11-22T04:55:27.650970Z","#,
        r#""annotations":{"authorization.k8s.io/decision":"allow","authorization.k8s.io/reason":"Bearer eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJzeXN0ZW0ifQ.c2lnbmF0dXJl"}}"#,
        "\n"
    );
    for format in ["table", "jsonl"] {
        let output = kubescry(
            &["scan", "-", "--format", format, "--color", "never"],
            event.as_bytes(),
        );
        let out = text(&output.stdout);
        assert!(out.contains("anonymous"), "{out}");
        let control =
            |c: char| (c.is_control() && c != '\n') || ('\u{202a}'..='\u{202e}').contains(&c);
        assert_eq!(out.chars().find(|&c| control(c)), None, "{out:?}");
        assert!(!out.contains("eyJhbGci"), "{out}");
    }
}

#[test]
fn no_secret_of_a_body_is_printed() {
    let log = root().join("tests/logs/v1.36-full-token-reuse.log.zst");
    let content = String::from_utf8(read(&log)).unwrap();
    let tokens: Vec<&str> = content
        .split('"')
        .filter(|text| text.starts_with("eyJ"))
        .collect();
    assert!(!tokens.is_empty(), "this recording logged tokens");
    let output = kubescry(
        &[
            "scan",
            "tests/logs/v1.36-full-token-reuse.log.zst",
            "--format",
            "jsonl",
            "--evidence",
            "all",
        ],
        b"",
    );
    let out = text(&output.stdout);
    assert!(tokens.iter().all(|token| !out.contains(token)));
    assert!(!out.contains("eyJ"));
}

#[test]
fn stats_are_written_over_no_log() {
    let folder = TempDir::new().unwrap();
    let log = folder.path().join("audit.log");
    let content = read(&root().join("sample-logs/v1.36/anonymous.log"));
    std::fs::write(&log, &content).unwrap();
    let (log, logs) = (log.to_str().unwrap(), folder.path().to_str().unwrap());
    for path in [log, logs] {
        let output = kubescry(&["scan", path, "--stats", log], b"");
        assert_eq!(output.status.code(), Some(2));
        let err = String::from_utf8(output.stderr).unwrap();
        assert!(err.contains("would write over"), "{err}");
        assert_eq!(read(log.as_ref()), content);
    }
}

#[test]
fn stats_add_up() {
    let folder = TempDir::new().unwrap();
    let stats = folder.path().join("stats.json");
    kubescry(
        &["scan", "sample-logs", "--stats", stats.to_str().unwrap()],
        b"",
    );
    let stats: Value = serde_json::from_slice(&std::fs::read(stats).unwrap()).unwrap();
    let sum = |of: &Value| {
        ["events", "duplicates", "bad", "oversize", "other"]
            .map(|key| of[key].as_u64().unwrap())
            .iter()
            .sum::<u64>()
    };
    assert_eq!(sum(&stats), stats["records"].as_u64().unwrap());
    let files = stats["files"].as_array().unwrap();
    assert_eq!(files.len(), 9);
    let bytes = |of: &Value| of["bytes"].as_u64().unwrap();
    assert_eq!(files.iter().map(bytes).sum::<u64>(), bytes(&stats));
    for file in files {
        assert_eq!(sum(file), file["records"].as_u64().unwrap(), "{file}");
        let content = read(&root().join(file["path"].as_str().unwrap()));
        assert_eq!(content.len() as u64, bytes(file), "{file}");
        let lines = memchr::memchr_iter(b'\n', &content).count() as u64;
        assert_eq!(lines, file["records"].as_u64().unwrap(), "{file}");
    }
}

#[test]
fn readme_shows_what_is_printed() {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let log = "sample-logs/v1.36/system-masters.log";
    let (_, block) = readme
        .split_once(&format!("From `kubescry scan {log}`"))
        .unwrap();
    let (_, block) = block.split_once("```text\n").unwrap();
    let (block, _) = block.split_once("```").unwrap();
    let output = kubescry(&["scan", log], b"");
    let printed = text(&output.stdout);
    assert!(
        printed.starts_with(block),
        "{block}\nis not what is printed:\n{printed}"
    );
}

#[test]
fn reports_say_what_is_missing() {
    let whole = std::fs::read(root().join("sample-logs/v1.36/refused.log.gz")).unwrap();
    let folder = TempDir::new().unwrap();
    let cut = folder.path().join("cut.log.gz");
    std::fs::write(&cut, &whole[..whole.len() / 2]).unwrap();
    for format in ["json", "sarif", "table", "markdown"] {
        let output = kubescry(&["scan", cut.to_str().unwrap(), "--format", format], b"");
        assert_eq!(output.status.code(), Some(3), "{format}");
        let printed = text(&output.stdout);
        assert!(printed.contains("unexpected end"), "{format}: {printed}");
        assert!(
            !printed.contains("\"executionSuccessful\":true"),
            "{format}"
        );
    }
}

#[test]
fn incidents_name_findings_that_are_printed() {
    let log = "sample-logs/v1.36/system-masters.log";
    let output = kubescry(
        &["scan", log, "--format", "json", "--min-severity", "high"],
        b"",
    );
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let ids = |of: &Value, key: &str| -> Vec<String> {
        let list = of[key].as_array().unwrap().iter();
        list.map(|it| {
            it.as_str()
                .unwrap_or_else(|| it["finding_id"].as_str().unwrap())
        })
        .map(str::to_owned)
        .collect()
    };
    let printed = ids(&report, "findings");
    let incidents = report["incidents"].as_array().unwrap();
    let named: Vec<String> = incidents
        .iter()
        .flat_map(|incident| ids(incident, "findings"))
        .collect();
    assert!(!named.is_empty());
    assert!(named.iter().all(|id| printed.contains(id)), "{named:?}");
}

#[test]
fn what_is_only_other_is_not_called_skipped() {
    let log = read(&root().join("sample-logs/v1.36/anonymous.log"));
    let klog =
        b"I1122 04:55:35.100000       1 controller.go:615] quota admission added evaluator\n";
    let output = kubescry(&["scan", "-"], &[&klog[..], &log].concat());
    let printed = text(&output.stdout);
    assert!(
        printed.contains("other     1 record; the first is -:1"),
        "{printed}"
    );
    assert!(!printed.contains("skipped"), "{printed}");
}

#[test]
fn what_is_missing_or_left_out_is_said() {
    let log = read(&root().join("sample-logs/v1.36/anonymous.log"));
    let folder = TempDir::new().unwrap();
    let path = folder.path().to_str().unwrap();
    let check = |arguments: &[&str], input: &[u8], code: i32, said: &[&str]| {
        let output = kubescry(
            &[&["scan", "--format", "jsonl"][..], arguments].concat(),
            input,
        );
        let err = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {err}");
        for words in said {
            assert!(err.contains(words), "{words}: {err}");
        }
        err.to_owned()
    };
    check(&[path], b"", 4, &["no file in the folders"]);
    for (name, content) in [
        ("audit.log", &log[..]),
        ("more.zip", &b"PK\x03\x04"[..]),
        ("events.bin", &b"x"[..]),
        ("README.md", &b"x"[..]),
    ] {
        std::fs::write(folder.path().join(name), content).unwrap();
    }
    let said = ["a zip archive", "unzip -d logs", "events.bin`: their names"];
    let err = check(&[path], b"", 3, &said);
    assert!(!err.contains("README"), "{err}");
    let packed = std::fs::read(root().join("sample-logs/v1.36/startup.log.gz")).unwrap();
    let said = ["compressed data follows the text", "zcat -f"];
    check(&["-"], &[&log[..], &packed[..]].concat(), 3, &said);

    let event = log.split(|&byte| byte == b'\n').next().unwrap();
    let event = std::str::from_utf8(event).unwrap();
    let hidden = format!("{}\n", serde_json::json!({"zork": event}));
    let input = [&log[..], hidden.as_bytes()].concat();
    let said = [
        "1 record holds the words of an audit event",
        "under `zork`",
        "jq -c '.zork'",
    ];
    check(&["-"], &input, 0, &said);

    let copy = folder.path().join("copy.log");
    std::fs::write(&copy, &log).unwrap();
    let same = ["sample-logs/v1.36/anonymous.log", copy.to_str().unwrap()];
    let err = check(&same, b"", 0, &[]);
    assert!(!err.contains("no audit event in"), "{err}");

    check(&["-", "--max-line", "64M"], &log, 0, &[]);
    check(&["s3://bucket/a.log"], b"", 4, &["download it first"]);
    check(&["logs/*.log"], b"", 4, &["expanded by the shell"]);
}
