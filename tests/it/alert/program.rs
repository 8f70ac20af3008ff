//! The program from outside: output, errors, exit codes.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::root;

use super::{Told, assert_told, log, scanned_lines, told};

/// A folder with a configuration, and the program in it.
pub(super) struct Place(pub(super) TempDir);

impl Place {
    /// Makes one that prints lines for programs; `more` is put behind the configuration.
    pub(super) fn new(more: &str) -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        fs::create_dir(place.path("logs")).unwrap();
        place.configure(&format!(
            "[[sink]]\ntype = \"stdout\"\nformat = \"jsonl\"\n[baseline]\nfirst_run = \"alert\"\n{more}"
        ));
        place
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(super) fn configure(&self, more: &str) {
        let text = format!("[state]\ndir = \"state\"\n[[source]]\npath = \"logs\"\n{more}");
        fs::write(self.path("alert.toml"), text).unwrap();
    }

    pub(super) fn command(&self, arguments: &[&str]) -> Command {
        program(&self.path("alert.toml"), arguments)
    }

    pub(super) fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    fn write(&self, lines: &[Vec<u8>]) {
        fs::write(self.path("logs/audit.log"), lines.concat()).unwrap();
    }
}

/// Returns the program with a configuration.
pub(super) fn program(config: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kubescry"));
    command.arg("alert").arg("--config").arg(config);
    command.args(arguments).stdin(Stdio::null());
    command
}

#[track_caller]
fn check(output: &Output, exit: i32, err: &[&str]) {
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(exit), "{text}");
    for words in err {
        assert!(text.contains(words), "{words}\n---\n{text}");
    }
    if err.is_empty() {
        assert_eq!(text, "");
    }
}

fn records(output: &Output) -> Vec<Value> {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn what_stands_behind_damage_alone_is_told_if_asked_for() {
    let event =
        fs::read_to_string(root().join("tests/queries/cluster-admin-bound/hit.jsonl")).unwrap();
    let event = event.lines().next().unwrap();
    let told = |line: &str, more: &str| {
        let place = Place::new(more);
        place.write(&[format!("{line}\n").into_bytes()]);
        let output = place.run(&[]);
        let is_told = |it: &Value| it["rule"]["name"] == "cluster-admin-bound";
        let told = records(&output).iter().any(is_told);
        let err = String::from_utf8(output.stderr).unwrap();
        (told, err.contains("events found behind damage: 1"))
    };
    let cut = format!("{}{event}", &event[..200]);
    assert_eq!(told(event, ""), (true, false));
    assert_eq!(told(&cut, ""), (false, true));
    assert_eq!(told(&cut, "[noise]\nrecovered = true\n"), (true, false));
}

#[test]
fn what_a_run_does_not_see_is_said_once() {
    let mut lines = log("tests/logs/v1.36-realistic-token-reuse.log.zst");
    let early = |line: &Vec<u8>| {
        let text = String::from_utf8(line.clone()).unwrap();
        text.replace("2026-11-22T0", "2026-11-21T0").into_bytes()
    };
    let late: Vec<Vec<u8>> = lines.iter().take(lines.len() / 2).map(early).collect();
    assert_ne!(late[0], lines[0]);
    lines.extend(late);
    let place = Place::new("[noise]\nresolve_after = \"never\"\n");
    let wrapped = |line: &[u8]| {
        let text = String::from_utf8(line.to_vec()).unwrap();
        let wrapped = serde_json::json!({"odd": {"deep": [{"unknown": text.trim()}]}});
        format!("{wrapped}\n").into_bytes()
    };
    lines.push(wrapped(&lines[0]));
    fs::write(place.path("logs/audit.txt.orig"), "x").unwrap();
    place.write(&lines);
    let said = [
        "the logs are in no order of time",
        "in a wrapping that is not known: 1;",
        "audit.txt.orig`: their names are not those of logs",
    ];
    let first = place.run(&[]);
    check(&first, 0, &said);
    lines.push(lines[0].clone());
    place.write(&lines);
    check(&place.run(&[]), 0, &[]);
    // In a case of their own.
    lines.push(wrapped(&lines[0]));
    place.write(&lines);
    check(&place.run(&[]), 0, &said[1..2]);
    assert!(!String::from_utf8_lossy(&place.run(&[]).stderr).contains("order"));
}

#[test]
fn what_is_new_is_printed_once_and_nothing_when_nothing_is() {
    let lines = log("tests/logs/v1.36-realistic-token-reuse.log.zst");
    let place = Place::new("[noise]\nresolve_after = \"never\"\n");
    let half = lines.len() / 2;
    place.write(&lines[..half]);
    let first = place.run(&[]);
    check(&first, 0, &[]);
    let mut all = records(&first);
    assert!(
        all.iter()
            .all(|it| it["schema"] == "kubescry.finding/1" && it["event"] == "new")
    );
    let nothing = place.run(&[]);
    check(&nothing, 0, &[]);
    assert_eq!(String::from_utf8_lossy(&nothing.stdout), "");
    place.write(&lines);
    let second = place.run(&[]);
    check(&second, 0, &[]);
    all.extend(records(&second));
    assert_told("two runs", &told(&all), &scanned_lines(&lines));
    let exported = place.run(&["state", "export"]);
    check(&exported, 0, &[]);
    let exported = records(&exported)
        .into_iter()
        .filter(|line| line["event"] != "resolve");
    let exported = exported.map(|line| {
        let id = line["finding_id"].as_str().unwrap().to_owned();
        let severity = line["severity"].as_str().unwrap().to_owned();
        let rule = line["rule"]["name"].as_str().unwrap().to_owned();
        (id, (severity, line["count"].as_u64().unwrap(), rule))
    });
    assert_told(
        "export",
        &exported.collect::<Told>(),
        &scanned_lines(&lines),
    );
    let shown = place.run(&["state", "show"]);
    check(&shown, 0, &[]);
    let shown = String::from_utf8(shown.stdout).unwrap();
    for words in [
        "runs          3",
        "1 known, 0 of content that is gone",
        "waiting       0 alerts",
    ] {
        assert!(shown.contains(words), "{words}\n---\n{shown}");
    }
    let unasked = ["nothing was done", "--yes does it"];
    check(&place.run(&["state", "reset"]), 2, &unasked);
    check(
        &place.run(&["state", "reset", "--yes"]),
        0,
        &["the next run is a first one"],
    );
    check(&place.run(&["state", "show"]), 0, &["there is no state in"]);
}

#[test]
fn a_dry_run_shows_and_leaves_no_trace() {
    let place = Place::new("");
    place.write(&log("tests/logs/v1.36-realistic-token-reuse.log.zst"));
    let dry = place.run(&["--dry-run"]);
    check(&dry, 0, &[]);
    assert!(!place.path("state").exists());
    let wet = place.run(&[]);
    let plain = |output: &Output| {
        let mut records = records(output);
        for record in &mut records {
            record["run"] = Value::Null;
        }
        records
    };
    assert_eq!(plain(&dry), plain(&wet));
}

#[test]
fn what_is_wrong_with_a_configuration_is_said() {
    let place = Place::new("");
    check(&place.run(&["check"]), 0, &["warning: [[source]]"]);
    let check_is = |text: &str, err: &[&str]| {
        place.configure(text);
        check(&place.run(&["check"]), 2, err);
        check(&place.run(&[]), 2, err);
        assert!(!place.path("state").exists());
    };
    check_is(
        "[noise]\ncap_per_rul = 3\n",
        &[
            "unknown key `cap_per_rul`",
            "did you mean `cap_per_rule`?",
            "alert.toml:6:1",
        ],
    );
    check_is(
        "[[sink]]\ntype = \"webhook\"\nurl_env = \"KUBESCRY_NOT_SET\"\n",
        &["sink `webhook`", "KUBESCRY_NOT_SET"],
    );
    check_is("[noise]\nsilences = \"none.toml\"\n", &["none.toml"]);
    place.configure("[rules]\ndisable = [\"unauthorized-stor\"]\n");
    check(
        &place.run(&["check"]),
        2,
        &["did you mean `unauthorized-storm`?"],
    );
    let missing = Command::new(env!("CARGO_BIN_EXE_kubescry"))
        .args(["alert", "--config", "/no/such/alert.toml"])
        .output()
        .unwrap();
    check(
        &missing,
        2,
        &["cannot read `/no/such/alert.toml`", "kubescry alert init"],
    );
}

#[test]
fn what_will_hardly_be_meant_is_said() {
    let place = Place::new("");
    let text = "[state]\ndir = \"state\"\n[[source]]\npath = \"/no/such.log\"\n";
    fs::write(place.path("alert.toml"), text).unwrap();
    let out = place.run(&["check"]);
    check(
        &out,
        0,
        &[
            "the source `/no/such.log` cannot be read now",
            "[[source]] of line 3 has no `stale_after`: nobody is told when `/no/such.log` gets no more events",
            "there is no [[sink]]",
        ],
    );
    let text = "[state]\ndir = \"state\"\n[[source]]\npath = \"logs/*.none\"\n[[source]]\n\
        path = \"log[a-\"\n[[sink]]\ntype = \"stdout\"\n";
    fs::write(place.path("alert.toml"), text).unwrap();
    check(
        &place.run(&["check"]),
        0,
        &[
            "logs/*.none` matches no log now",
            "log[a-` is not a pattern",
        ],
    );
    let silences = "[[silence]]\nrule = \"stale-log\"\nuntil = 2020-01-01\nreason = \"old\"\n\n\
        [[silence]]\nrule = \"unauthorized-stor\"\nuntil = 9999-01-01\nreason = \"x\"\n";
    fs::write(place.path("silences.toml"), silences).unwrap();
    place.configure("[noise]\nsilences = \"silences.toml\"\n");
    check(
        &place.run(&["check"]),
        0,
        &[
            "this [[silence]] has ended, at 2020-01-02T00:00:00.000000Z\n  --> ",
            "silences.toml:1:1\nhint: take it out",
            "there is no rule `unauthorized-stor`\n  --> ",
            "silences.toml:6:1\nhint: did you mean `unauthorized-storm`?",
        ],
    );
}

#[test]
fn what_no_run_could_write_is_wrong() {
    let place = Place::new("");
    let check_is = |text: &str, err: &[&str]| {
        let text = format!("[[source]]\npath = \"logs\"\nstale_after = \"1h\"\n{text}");
        fs::write(place.path("alert.toml"), text).unwrap();
        let output = place.run(&["check"]);
        check(&output, if err.is_empty() { 0 } else { 2 }, err);
        assert_eq!(output.stdout.is_empty(), !err.is_empty(), "{output:?}");
    };
    let sink = "[[sink]]\nname = \"x\"\n";
    let state = "[state]\ndir = \"state\"\n";
    let stdout = "[[sink]]\ntype = \"stdout\"\n";
    check_is(
        &format!("[state]\ndir = \"/proc/kubescry\"\n{stdout}"),
        &["cannot use `/proc/kubescry`", "hint: "],
    );
    for kind in ["file", "prometheus", "ocsf"] {
        let at = |path: &str| format!("{state}{sink}type = \"{kind}\"\npath = \"{path}\"\n");
        let what = [
            "sink `x`: cannot ",
            "alert.toml:6",
            "hint: a run makes no folder",
        ];
        check_is(&at("none/alerts.prom"), &what);
        check_is(&at("alerts.prom"), &[]);
    }
    assert!(!place.path("alerts.prom").exists());
    fs::create_dir(place.path("folder")).unwrap();
    check_is(
        &format!("{state}{sink}type = \"file\"\npath = \"folder\"\n"),
        &["is not a plain file"],
    );
    check_is(
        &format!("{state}{stdout}[run]\ndead_letters = \"none/letters\"\n"),
        &["the dead letters: cannot append to `"],
    );
    check_is(&format!("{state}{stdout}"), &[]);
    assert!(!place.path("state").exists());
}

#[test]
fn the_configuration_to_begin_with_is_fine() {
    let place = Place::new("");
    let init = place.run(&["init"]);
    check(&init, 0, &[]);
    let text = String::from_utf8(init.stdout).unwrap();
    let text = text.replace("/var/log/kubernetes/audit", ".");
    fs::write(
        place.path("alert.toml"),
        text.replace("/var/lib/kubescry", "state"),
    )
    .unwrap();
    check(&place.run(&["check"]), 0, &[]);
    for (kind, words) in [
        ("crontab", "alert --config"),
        ("systemd", "OnCalendar="),
        ("kubernetes", "concurrencyPolicy: Forbid"),
    ] {
        let unit = place.run(&["print-unit", kind]);
        check(&unit, 0, &[]);
        let text = String::from_utf8(unit.stdout).unwrap();
        assert!(text.contains(words), "{text}");
    }
}

#[test]
fn a_sample_can_be_sent() {
    let place = Place::new(
        "[[sink]]\ntype = \"exec\"\nname = \"broken\"\nprogram = \"/bin/false\"\nattempts = 1\n",
    );
    let sent = place.run(&["test-sink", "stdout"]);
    check(&sent, 0, &["took the sample"]);
    assert_eq!(records(&sent)[0]["family"], "test");
    check(
        &place.run(&["test-sink", "broken"]),
        5,
        &["did not take the sample"],
    );
    check(
        &place.run(&["test-sink", "other"]),
        2,
        &["there is no sink `other`", "stdout, broken"],
    );
}

#[test]
fn what_vanished_unread_is_a_gap() {
    let lines = log("tests/logs/v1.36-realistic-token-reuse.log.zst");
    let place = Place::new("");
    place.write(&lines[..20]);
    check(&place.run(&[]), 0, &[]);
    place.write(&lines[..40]);
    fs::remove_file(place.path("logs/audit.log")).unwrap();
    fs::write(
        place.path("logs/audit-2026-11-22T05-00-00.000.log"),
        lines[50..60].concat(),
    )
    .unwrap();
    check(
        &place.run(&[]),
        3,
        &[
            "gap: `",
            "audit.log`, last seen at",
            "its end may be missing",
        ],
    );
    check(&place.run(&[]), 0, &[]);
    fs::remove_dir_all(place.path("logs")).unwrap();
    check(&place.run(&[]), 3, &["there is no log to read"]);
}

#[cfg(unix)]
#[test]
fn a_source_that_is_no_log_is_told() {
    let place = Place::new("[[source]]\npath = \"gone.log\"\n");
    std::os::unix::fs::symlink("nowhere", place.path("gone.log")).unwrap();
    std::os::unix::fs::symlink("nowhere", place.path("logs/other.log")).unwrap();
    let why = [
        "there is no log to read: `",
        "gone.log` is a link that leads nowhere",
    ];
    check(&place.run(&[]), 3, &why);
    place.write(&log("tests/logs/v1.36-realistic-token-reuse.log.zst")[..20]);
    let output = place.run(&[]);
    check(
        &output,
        3,
        &["not read: `", "gone.log` is a link that leads nowhere"],
    );
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(!err.contains("other.log"), "{err}");
}

#[test]
fn a_log_of_something_else_is_told_once() {
    let lines = log("tests/logs/v1.36-realistic-token-reuse.log.zst");
    let wrapped = |n: usize| -> Vec<Vec<u8>> {
        let line = |at: usize| format!("{{\"seal\": {at}, \"box\": \"AAEC\"}}\n").into_bytes();
        (0..n).map(line).collect()
    };
    // As `scan` ends.
    let place = Place::new("");
    place.write(&wrapped(3));
    let said = [
        "audit.log` holds no audit event: 3 records",
        "this is said once",
    ];
    check(&place.run(&[]), 4, &said);
    check(&place.run(&[]), 0, &[]);
    place.write(&wrapped(5));
    let again = String::from_utf8(place.run(&[]).stderr).unwrap();
    assert!(!again.contains("holds no audit event"), "{again}");
    // A log that had events.
    let place = Place::new("");
    place.write(&lines[..40]);
    check(&place.run(&[]), 0, &[]);
    place.write(&[&lines[..40], &wrapped(20)].concat());
    let said = ["holds no audit events any more: the last 20 records"];
    check(&place.run(&[]), 3, &said);
    place.write(&[&lines[..40], &wrapped(40)].concat());
    let again = String::from_utf8(place.run(&[]).stderr).unwrap();
    assert!(!again.contains("holds no audit event"), "{again}");
    // What lies beside a log is no fault, and is said.
    let place = Place::new("");
    place.write(&lines[..40]);
    fs::write(place.path("logs/other.log"), wrapped(3).concat()).unwrap();
    check(&place.run(&[]), 0, &["other.log` holds no audit event"]);
    check(&place.run(&[]), 0, &[]);
}

#[test]
fn no_sink_writes_into_a_log() {
    let lines = log("tests/logs/v1.36-realistic-token-reuse.log.zst");
    for file in ["logs/audit.log", "logs/alerts.log"] {
        let place = Place::new(&format!("[[sink]]\ntype = \"file\"\npath = \"{file}\"\n"));
        place.write(&lines[..20]);
        let before = fs::read(place.path("logs/audit.log")).unwrap();
        for arguments in [&["check"][..], &[]] {
            check(
                &place.run(arguments),
                2,
                &["which the [[source]] of line 3 reads"],
            );
        }
        assert_eq!(fs::read(place.path("logs/audit.log")).unwrap(), before);
    }
    // A file of another kind may lie there.
    let place = Place::new("[[sink]]\ntype = \"file\"\npath = \"logs/alerts.db\"\n");
    place.write(&lines[..20]);
    check(&place.run(&[]), 0, &[]);
}

#[test]
fn what_is_not_delivered_waits_for_the_next_run() {
    let place = Place::new("");
    place.configure(
        "[baseline]\nfirst_run = \"alert\"\n[[sink]]\ntype = \"exec\"\nprogram = \"/bin/sh\"\nargs = [\"-c\", \"cat >> told.jsonl && test -e open\"]\nattempts = 1\n",
    );
    place.write(&log("tests/logs/v1.36-realistic-system-masters.log.zst"));
    let run = || {
        let mut command = place.command(&[]);
        command.current_dir(place.0.path()).output().unwrap()
    };
    check(&run(), 5, &["alerts wait for the next run"]);
    fs::write(place.path("open"), "").unwrap();
    let before = super::lines(&place.path("told.jsonl"));
    check(&run(), 0, &[]);
    let keys = |lines: &[Value]| {
        let mut keys: Vec<String> = lines.iter().map(|line| line["key"].to_string()).collect();
        keys.sort();
        keys.dedup();
        keys
    };
    let after = super::lines(&place.path("told.jsonl"));
    assert!(keys(&after[before.len()..]).len() >= keys(&before).len());
    check(&run(), 0, &[]);
    assert_eq!(super::lines(&place.path("told.jsonl")).len(), after.len());
}

/// A configuration that tells everything to a program of the name `name`, which takes what comes once there is a file `open`.
fn to_program(place: &Place, name: &str) {
    let (told, open) = (place.path("told.jsonl"), place.path("open"));
    let script = format!("test -e {} && cat >> {}", open.display(), told.display());
    place.configure(&format!(
        "[baseline]\nfirst_run = \"alert\"\n[[sink]]\ntype = \"exec\"\nname = \"{name}\"\nprogram = \"/bin/sh\"\nargs = [\"-c\", \"{script}\"]\nattempts = 1\n"
    ));
}

fn waiting(place: &Place) -> i64 {
    let state = rusqlite::Connection::open(place.path("state/state.sqlite")).unwrap();
    let sql = "SELECT COUNT(*) FROM outbox WHERE dead IS NULL";
    state.query_row(sql, [], |row| row.get(0)).unwrap()
}

#[test]
fn what_waits_for_a_sink_that_is_gone_is_a_dead_letter_and_can_be_sent_again() {
    let place = Place::new("");
    place.write(&log("tests/logs/v1.36-realistic-system-masters.log.zst"));
    to_program(&place, "hook");
    check(&place.run(&[]), 5, &["alerts wait for the next run"]);
    let n_alerts = usize::try_from(waiting(&place)).unwrap();
    assert!(n_alerts > 2);
    // Nothing is given up that cannot be written down.
    to_program(&place, "renamed");
    let letters = place.path("state/dead-letters.jsonl");
    fs::create_dir(&letters).unwrap();
    check(&place.run(&[]), 5, &["sink `hook`", "is not a plain file"]);
    fs::remove_dir(&letters).unwrap();
    let why = "its sink is not in the configuration any more";
    let said = [why, &format!("{n_alerts} alerts will not be delivered")];
    check(&place.run(&[]), 5, &said);
    let written = super::lines(&letters);
    assert_eq!(written.len(), n_alerts);
    let is_right =
        |it: &Value| it["sink"] == "hook" && it["why"] == why && it["alert"]["key"].is_string();
    assert!(written.iter().all(is_right), "{written:?}");
    check(&place.run(&[]), 0, &[]);
    // There is no sink of that name.
    let resend = ["state", "resend"];
    check(
        &place.run(&resend),
        0,
        &["sends 0 dead letters", "letters for `hook`"],
    );
    to_program(&place, "hook");
    fs::write(place.path("open"), "").unwrap();
    check(&place.run(&[]), 0, &[]);
    assert!(!place.path("told.jsonl").exists());
    check(
        &place.run(&resend),
        0,
        &[&format!("sends {n_alerts} dead letters again")],
    );
    check(&place.run(&[]), 0, &[]);
    assert_eq!(super::lines(&place.path("told.jsonl")).len(), n_alerts);
}

#[test]
fn what_is_no_alert_is_a_dead_letter() {
    let place = Place::new("");
    place.write(&log("tests/logs/v1.36-realistic-system-masters.log.zst"));
    to_program(&place, "hook");
    check(&place.run(&[]), 5, &["wait for the next run"]);
    let state = rusqlite::Connection::open(place.path("state/state.sqlite")).unwrap();
    let sql = "UPDATE outbox SET alert = '{\u{1b}' WHERE rowid = (SELECT MIN(rowid) FROM outbox)";
    state.execute(sql, []).unwrap();
    drop(state);
    fs::write(place.path("open"), "").unwrap();
    check(
        &place.run(&[]),
        5,
        &["1 alerts will not be delivered", "no alert: "],
    );
    let letters = super::lines(&place.path("state/dead-letters.jsonl"));
    assert_eq!(letters.len(), 1);
    assert_eq!(
        (&letters[0]["alert"], &letters[0]["text"]),
        (&Value::Null, &"{\u{1b}".into())
    );
    assert!(letters[0]["key"].is_string());
}

#[test]
fn who_denies_today_gets_all_tomorrow() {
    use std::io::Write as _;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};

    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let status = Arc::new(AtomicU16::new(0));
    let (now, n_calls) = (Arc::clone(&status), Arc::new(AtomicUsize::new(0)));
    let calls = Arc::clone(&n_calls);
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            if let Ok(Some(_)) = super::faults::request(&stream) {
                let status = now.load(Ordering::SeqCst);
                let answer = format!(
                    "HTTP/1.1 {status} Well\r\nLocation: /there\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
                );
                calls.fetch_add(1, Ordering::SeqCst);
                stream.write_all(answer.as_bytes()).ok();
            }
        }
    });
    let place = Place::new("");
    place.configure(&format!(
        "[baseline]\nfirst_run = \"alert\"\n[[sink]]\ntype = \"webhook\"\nurl = \"http://{address}/\"\nbackoff = \"1ms\"\n"
    ));
    place.write(&log("tests/logs/v1.36-realistic-system-masters.log.zst"));
    let mut n_alerts = None;
    for answer in [401, 403, 404, 405, 407, 302, 400, 422] {
        status.store(answer, Ordering::SeqCst);
        let what = match answer {
            302 => "answers with a redirect".to_owned(),
            answer => format!("the target answers {answer}"),
        };
        check(&place.run(&[]), 5, &["alerts wait for the next run", &what]);
        let n_waiting = waiting(&place);
        assert_eq!(*n_alerts.get_or_insert(n_waiting), n_waiting, "{answer}");
    }
    assert!(!place.path("state/dead-letters.jsonl").exists());
    n_calls.store(0, Ordering::SeqCst);
    status.store(200, Ordering::SeqCst);
    check(&place.run(&[]), 0, &[]);
    assert_eq!(
        i64::try_from(n_calls.load(Ordering::SeqCst)).unwrap(),
        n_alerts.unwrap()
    );
}

#[cfg(unix)]
#[test]
fn what_arrived_before_a_run_was_killed_is_not_sent_again() {
    let place = Place::new("");
    let told = place.path("told.jsonl");
    let send = |script: &str| {
        let script = format!("cat >> {}; {script}", told.display());
        place.configure(&format!(
            "[baseline]\nfirst_run = \"alert\"\n[[sink]]\ntype = \"exec\"\nprogram = \"/bin/sh\"\nargs = [\"-c\", '{script}']\n"
        ));
        place.run(&[])
    };
    place.write(&log("tests/logs/v1.36-realistic-token-reuse.log.zst"));
    let path = told.display();
    send(&format!(
        "sleep 0.4; test $(wc -l < {path}) -lt 8 || kill -9 $PPID"
    ));
    assert_eq!(super::lines(&told).len(), 8);
    check(&send("true"), 0, &[]);
    let lines = super::lines(&told);
    let keys: BTreeSet<&str> = lines.iter().map(|it| it["key"].as_str().unwrap()).collect();
    // Of the eight, what arrived in the last second.
    assert!(keys.len() > 8 && lines.len() - keys.len() <= 4, "{lines:?}");
}

#[test]
fn secrets_are_nowhere() {
    const SECRET: &str = "planted-4711-secret";
    let mut lines = log("tests/logs/v1.36-full-token-reuse.log.zst");
    let event = String::from_utf8(lines[0].clone()).unwrap();
    let event: Value = serde_json::from_str(&event).unwrap();
    let mut exec = event.clone();
    exec["stage"] = "ResponseComplete".into();
    exec["verb"] = "create".into();
    exec["requestURI"] =
        format!("/api/v1/namespaces/default/pods/p/exec?command=curl&command=-H&command=Authorization%3A+Bearer+{SECRET}").into();
    exec["objectRef"] = serde_json::json!({"resource": "pods", "subresource": "exec", "namespace": "default", "name": "p", "apiVersion": "v1"});
    exec["responseStatus"] = serde_json::json!({"code": 101});
    exec["auditID"] = "11111111-2222-4333-8444-555555555555".into();
    lines.push(format!("{exec}\n").into_bytes());
    let place = Place::new(&format!(
        "[[sink]]\ntype = \"webhook\"\nurl = \"http://127.0.0.1:9/{SECRET}\"\nsigning_env = \"KUBESCRY_SIGNING\"\nattempts = 1\n"
    ));
    place.write(&lines);
    let mut command = place.command(&[]);
    let signing = "whsec_cGxhbnRlZC00NzExLXNlY3JldA==";
    let output = command.env("KUBESCRY_SIGNING", signing).output().unwrap();
    check(&output, 5, &["sink `webhook`"]);
    let mut texts = vec![output.stdout, output.stderr];
    for entry in fs::read_dir(place.path("state")).unwrap() {
        texts.push(fs::read(entry.unwrap().path()).unwrap());
    }
    assert!(texts.len() > 3);
    let mut unpacked = Vec::new();
    let state = rusqlite::Connection::open(place.path("state/state.sqlite")).unwrap();
    let mut statement = state
        .prepare("SELECT data FROM parts WHERE name LIKE 'memory:%'")
        .unwrap();
    let parts = statement
        .query_map([], |row| row.get::<_, Vec<u8>>(0))
        .unwrap();
    for part in parts {
        unpacked.push(zstd::decode_all(&*part.unwrap()).unwrap());
    }
    assert!(unpacked.len() > 20);
    texts.extend(unpacked);
    for text in texts {
        for secret in [SECRET, signing, "cGxhbnRlZC00NzExLXNlY3JldA"] {
            let at = memchr::memmem::find(&text, secret.as_bytes());
            let around = at.map(|at| String::from_utf8_lossy(&text[at.saturating_sub(200)..at]));
            assert_eq!(around, None, "{secret}");
        }
    }
}

#[cfg(unix)]
#[test]
fn following_tells_what_comes_and_ends_when_asked() {
    use nix::sys::signal::{Signal, kill};
    use nix::unistd::Pid;

    let lines = log("tests/logs/v1.36-realistic-token-reuse.log.zst");
    let place = Place::new("[noise]\nresolve_after = \"never\"\n");
    place.write(&lines[..lines.len() / 2]);
    let mut command = place.command(&["--follow", "--interval", "1"]);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap()).lines();
    let expected = scanned_lines(&lines);
    let mut records = vec![serde_json::from_str(&out.next().unwrap().unwrap()).unwrap()];
    place.write(&lines);
    while told(&records) != expected {
        records.push(serde_json::from_str(&out.next().unwrap().unwrap()).unwrap());
    }
    kill(
        Pid::from_raw(i32::try_from(child.id()).unwrap()),
        Signal::SIGTERM,
    )
    .unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[cfg(unix)]
#[test]
fn the_state_is_the_owners_alone() {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let place = Place::new("");
    place.write(&log("tests/logs/v1.36-realistic-system-masters.log.zst"));
    check(&place.run(&[]), 0, &[]);
    assert_eq!(mode(&place.path("state")), 0o700);
    for entry in fs::read_dir(place.path("state")).unwrap() {
        assert_eq!(mode(&entry.unwrap().path()), 0o600);
    }
    fs::set_permissions(place.path("state"), fs::Permissions::from_mode(0o777)).unwrap();
    check(&place.run(&[]), 2, &["everybody may write there", "hint:"]);
    check(
        &place.run(&["check"]),
        2,
        &["everybody may write there", "hint:"],
    );
    fs::set_permissions(place.path("state"), fs::Permissions::from_mode(0o770)).unwrap();
    check(&place.run(&[]), 2, &["its group may write there", "hint:"]);
    fs::set_permissions(place.path("state"), fs::Permissions::from_mode(0o755)).unwrap();
    check(&place.run(&[]), 0, &[]);
    // Only root can give something away.
    if nix::unistd::geteuid().is_root() {
        let stranger = Some(4711);
        std::os::unix::fs::chown(place.path("state"), stranger, None).unwrap();
        check(&place.run(&[]), 2, &["it belongs to another user"]);
        std::os::unix::fs::chown(place.path("state"), Some(0), None).unwrap();
        std::os::unix::fs::chown(place.path("state/state.lock"), stranger, None).unwrap();
        check(
            &place.run(&[]),
            2,
            &["a file of it belongs to another user"],
        );
    }
    fs::remove_dir_all(place.path("state")).unwrap();
    symlink(place.path("logs"), place.path("state")).unwrap();
    check(&place.run(&[]), 2, &["it is no folder"]);
    fs::remove_file(place.path("state")).unwrap();
    fs::create_dir(place.path("state")).unwrap();
    fs::write(place.path("victim"), "as it was").unwrap();
    symlink(place.path("victim"), place.path("state/state.sqlite")).unwrap();
    check(&place.run(&[]), 2, &["a file of it is a link or no file"]);
    assert_eq!(
        fs::read_to_string(place.path("victim")).unwrap(),
        "as it was"
    );
}
