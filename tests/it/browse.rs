//! `kubescry browse` from outside: the program in a pseudo-terminal, with keys and signals.
//!
//! A test waits for what the screen shows, and never for time to pass. What the screen shows comes from a terminal
//! emulator, and what colors and sequences were used from the bytes. Processes are looked at as Linux tells of them.

mod pipe;
mod tty;
mod typing;

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Instant;

use kubescry::tui::terminal::Screen;
use nix::sys::signal::Signal;
use portable_pty::CommandBuilder;
use tempfile::TempDir;

use crate::support::{kubescry, read, root, text};
use tty::{BACKSPACE, CTRL_C, CTRL_R, CTRL_Z, ENTER, ESC, LEAVING, PATIENCE, POLL, TAB, Tty};

const PROGRAM: &str = env!("CARGO_BIN_EXE_kubescry");
const REUSE: &str = "sample-logs/v1.36/token-reuse.log.gz";
const SMALL: &str = "sample-logs/v1.36/anonymous.log";

/// Bytes that are more than fit into the memory the tests allow for events.
const LONG: usize = 12_000_000;

/// Browses with these arguments.
fn browse(arguments: &[&str]) -> Tty {
    let mut command = command(PROGRAM);
    command.arg("browse");
    command.args(arguments);
    Tty::run(command)
}

/// Runs a line of sh(1).
fn sh(line: &str) -> Tty {
    let mut command = command("sh");
    command.args(["-c", line]);
    Tty::run(command)
}

/// Returns a command with an environment that does not depend on who tests.
fn command(program: &str) -> CommandBuilder {
    let mut command = CommandBuilder::new(program);
    command.cwd(root());
    command.env("TERM", "xterm-256color");
    for name in ["NO_COLOR", "TMUX", "COLORTERM", "RUST_BACKTRACE"] {
        command.env_remove(name);
    }
    command
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Writes a log of [`LONG`] bytes: a recorded one, again and again, each time a day later.
fn long_log(folder: &Path) -> PathBuf {
    let recorded = read(&root().join(REUSE));
    let recorded = text(&recorded);
    let path = folder.join("long.log");
    let mut file = std::io::BufWriter::new(File::create(&path).unwrap());
    let mut written = 0;
    for day in 1.. {
        if written >= LONG {
            break;
        }
        let date = format!("2026-01-{day:02}T");
        let id = format!("\"auditID\":\"{day:04x}");
        for line in recorded.lines() {
            let mut line = line.replace("2026-11-22T", &date);
            let at = line.find("\"auditID\":\"").unwrap();
            line.replace_range(at..at + id.len(), &id);
            writeln!(file, "{line}").unwrap();
            written += line.len() + 1;
        }
    }
    file.flush().unwrap();
    path
}

/// Appends a hole of a terabyte to a log: it takes no room on the disk, and nobody sees the end of it.
fn without_end(log: &Path) {
    let file = File::options().append(true).open(log).unwrap();
    file.set_len(1 << 40).unwrap();
}

#[test]
fn a_log_can_be_browsed_while_it_is_read() {
    let folder = TempDir::new().unwrap();
    let temporary = folder.path().join("tmp");
    std::fs::create_dir(&temporary).unwrap();
    let log = long_log(folder.path());
    // Findings are told as more is read, and so there is always more.
    let mut tty = sh(&format!(
        "(cat '{}'; while cat {SMALL}; do :; done) |
            TMPDIR='{}' {PROGRAM} browse - --memory 1M --startup-trace",
        log.display(),
        temporary.display(),
    ));
    // A key that is typed before there is a screen counts, too.
    tty.press("2").wait("findings while it is read", |output| {
        output.shows("findings so far") && output.shows("reading ")
    });
    tty.see("A credential used").see("rows on disk");
    tty.press("4")
        .see(" requests ")
        .see(" kubernetes-admin create ");
    // The cursor goes to the verb, and only its value stays.
    tty.press("lll");
    loop {
        tty.press("+").wait("a filter, or why not", |output| {
            output.shows("requests [verb = ") || output.shows("no value under")
        });
        if tty.screen().contains("requests [verb = ") {
            break;
        }
        // Rows were on their way just then.
        tty.press("h").miss("no value under").press("l");
    }
    tty.wait("rows of that verb only", |output| {
        output.shows(" create ") && !output.shows(" get ") && !output.shows(" list ")
    });
    tty.see("reading ");
    assert!(std::fs::read_dir(&temporary).unwrap().next().is_some());
    tty.press("q").see("What was read");
    tty.press("q").leaves().see("first screen after ");
    // Nobody could read it again.
    assert_eq!(std::fs::read_dir(&temporary).unwrap().count(), 0);
}

#[test]
fn reading_keeps_nobody() {
    let folder = TempDir::new().unwrap();
    let log = folder.path().join("audit.log");
    std::fs::copy(root().join(SMALL), &log).unwrap();
    without_end(&log);
    let start = || {
        let mut tty = browse(&[path(&log)]);
        tty.see("reading ");
        tty
    };
    start().press("q").leaves();
    start().interrupt_twice().leaves();
    start().signal(Signal::SIGTERM).leaves();
    // Nor does a writer that writes no more.
    let mut tty = sh(&format!(
        "(cat {SMALL}; exec sleep 600) | {PROGRAM} browse -"
    ));
    tty.see("reading ").press(CTRL_C).see("Ctrl-c again");
    tty.press(CTRL_C).is_restored();
}

#[test]
fn standard_input_is_data_and_keys_come_from_the_terminal() {
    for memory in ["", "--memory 1K"] {
        let mut tty = sh(&format!("cat {SMALL} | {PROGRAM} browse {memory} -"));
        tty.done();
        tty.press("4")
            .see(" requests ")
            .see("11-22 04:55:27Z  200 ");
        tty.press("v").see("auditID: ");
        tty.press("q").miss("auditID: ");
        tty.press("q").see("What was read");
        tty.press("q").leaves();
    }
}

#[test]
fn every_view_can_be_reached_and_left() {
    let folder = TempDir::new().unwrap();
    // What is suggested goes first.
    let file = |name: &str| {
        format!(
            "{}{}",
            BACKSPACE.repeat(40),
            folder.path().join(name).display()
        )
    };
    let mut tty = browse(&[REUSE]);
    tty.done()
        .see("Incidents (3)")
        .see("Findings in no incident");
    tty.press("3").see("█ served").see("minted");
    tty.press("5").see("value (17 distinct)");
    tty.press("6").see("first use").see("leg…oken");
    tty.press("7").see("credential-lineage");
    tty.press("9").see("kept until you leave");
    tty.press("0").see("Reading").see("4047 events");
    tty.press("8").see("Ctrl-r runs");
    tty.press(ESC).see("Tab: back into the editor");
    tty.press("1").see("Incidents (3)");
    tty.press(";").see("Tab: back into");

    // From an incident to its address, and to a finding of it.
    tty.press("1")
        .see("Incidents (3)")
        .press("/system:bootstrap")
        .press(ENTER)
        .press(ENTER)
        .see("Overview > incident")
        .see("Tied by");
    tty.press("/^from").press(ENTER).press(ENTER);
    tty.see("> incident > 127.0.66.50")
        .see("Findings about it (3)")
        .press(ESC)
        .see("Steps (3)");
    tty.press("/did more").press(ENTER).press(ENTER);
    tty.see("> incident > bootstrap-token-misused")
        .see("Evidence (4)");
    tty.press(ESC)
        .see("Steps (3)")
        .press(ESC)
        .see("Incidents (3)");
    // From a finding to its identity and a credential of that, and back step by step.
    tty.press("2").see("findings by severity").press("jj");
    tty.press(ENTER)
        .see("Findings > token-reuse-after-deletion")
        .see("Why");
    tty.press(TAB)
        .press(ENTER)
        .see("> system:serv…ount:default:default")
        .see("Credentials (4)");
    tty.press("/token-1").press(ENTER).press(ENTER);
    tty.see("> secret:default/default-token-1")
        .see("What ended it");
    tty.press(ESC).see("Credentials (4)").press(ESC).see("Why");
    // Its evidence is an event, with its JSON.
    tty.press("/Evidence").press(ENTER).press("j").press(ENTER);
    tty.see("> event ")
        .see("auditID: ")
        .press(ESC)
        .see("Why")
        .press(ESC);
    tty.see("findings by severity")
        .press(ESC)
        .see("What was read");
    // Esc never quits.
    tty.escape()
        .press("?")
        .see("any other key closes")
        .press("g")
        .press(ESC);
    tty.miss("any other key closes").see("What was read");
    tty.press("6").see("leg…oken").press("jjj").press(ENTER);
    tty.see("Requests after the end (169)")
        .press(ESC)
        .see("first use");

    // A question with parameters, from the palette.
    tty.press(":")
        .see("Commands: ")
        .press("lineage")
        .see("ask: Which credential");
    tty.press(ENTER)
        .see("Enter asks")
        .press(ENTER)
        .see("answer to credential-lineage");
    tty.see("JTI=")
        .press("x")
        .see("kubescry-answer.csv")
        .press(&file("answer.jsonl"))
        .press(ENTER);
    tty.see("wrote ")
        .press(ESC)
        .see("first use")
        .press("7")
        .see("credential-lineage");

    // SQL: completion, an answer, an error.
    tty.press("8")
        .see("Tab: back into")
        .press(TAB)
        .see("Ctrl-r runs")
        .press("SELECT usern\t")
        .see("SELECT username");
    tty.press(" FROM requests GROUP BY username")
        .press(CTRL_R)
        .see("kubernetes-admin");
    tty.press(TAB)
        .see("Ctrl-r runs")
        .press(" nonsense(")
        .press(CTRL_R);
    tty.see("sql parser error");
    tty.escape().escape();

    // Events: search, filters, JSON, timeline.
    let first = "11-22 04:55:55Z  201 kubernetes-admin create ";
    tty.press("4")
        .see(" requests ")
        .see(first)
        .press("/shortlived")
        .press(ENTER);
    tty.see("match 1 of ")
        .press("n")
        .see("match 2 of ")
        .press("N")
        .see("match 1 of ");
    tty.press("g")
        .see(first)
        .press("lll+")
        .see("[verb = create]")
        .miss(" get ");
    tty.press(BACKSPACE)
        .see(" requests ")
        .see(" get ")
        .press("g-")
        .see("[verb ≠ create]");
    tty.miss(first)
        .press(BACKSPACE)
        .see(" requests ")
        .press_until("g", first);
    tty.press("v")
        .see("auditID: ")
        .press(TAB)
        .press("jjjjjjj ")
        .see("▸ user");
    tty.press(TAB).press("v").miss("auditID: ");
    tty.press("=")
        .see("FROM requests")
        .press(ESC)
        .miss("FROM requests");
    // The object of an event, which its name stands for.
    tty.press("lll")
        .press(ENTER)
        .see("> secrets/default/default-token-0")
        .see("What happened to it (25)");
    tty.press(ESC).see(first).press("hhh");
    tty.press("x")
        .see("kubescry-events.csv")
        .press(&file("events.csv"))
        .press(ENTER);
    tty.see("wrote 2096 lines")
        .press("F")
        .see("distinct)")
        .press("4")
        .see(" requests ");
    tty.press("3")
        .see("█ served")
        .press("llllll ")
        .see("Esc drops it");
    tty.press("llllll ").see("requests [2026-11-22");
    tty.press("4").see("requests [2026-11-22").miss(first);
    tty.press(BACKSPACE)
        .see(" requests ")
        .press_until("g", first);

    // What an investigator adds.
    tty.press("m").see("bookmark set").press("c").see("Note");
    tty.press("looks odd").press(ENTER).see("noted");
    tty.press("2")
        .see("findings by")
        .press("s")
        .see("State of the finding");
    tty.press("e")
        .miss("State of")
        .press("a")
        .see("the finding is in the story");
    tty.press("9").see("looks odd").see("escalated");
    for name in ["case.md", "case.html"] {
        tty.press("x")
            .see("Write to the file")
            .press(&file(name))
            .press(ENTER)
            .see("wrote ");
        tty.press("j").miss("wrote ");
    }
    // The clipboard.
    tty.press("2").see("findings by").press("y").see("Copy");
    tty.bytes();
    tty.press("v").see("copied ");
    tty.wait("OSC 52", |output| output.wrote(b"\x1b]52;c;"));

    // Leaving would lose what was noted.
    tty.press("q")
        .see("What was read")
        .press("q")
        .see("There is no case folder");
    tty.press("y").leaves();
    let written = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
    assert!(written("answer.jsonl").starts_with('{'));
    assert_eq!(written("events.csv").lines().count(), 2097);
    assert!(written("case.md").contains("looks odd"));
    assert!(written("case.html").contains("looks odd"));
}

#[test]
fn findings_are_counted_and_filtered() {
    let mut tty = browse(&[REUSE]);
    tty.done()
        .press("2")
        .see("32 findings by severity")
        .see("F facet ");
    tty.press("F")
        .see("Findings > facets")
        .see("value (4 distinct)")
        .see("informational");
    tty.press("l-").see("[severity ≠ low]");
    tty.escape().escape();
    tty.see("first seen").see("[severity ≠ low]");
    tty.miss("L N  ");
    // What the investigator thinks of them is counted, too.
    tty.press("s").see("State of the finding").press("b");
    tty.see("is benign now").press("F").see("> facets");
    tty.press("/state").press(ENTER).see("value (2 distinct)");
    tty.press("l+").see("[state = new]");
    tty.press(BACKSPACE).miss("[state").press(BACKSPACE);
    tty.miss("[severity").see("32 findings");
    tty.press("2").see("32 findings by severity");
    tty.press("1").see("What was read").press("q");
    tty.see("There is no case folder").press("y").leaves();
}

#[test]
fn questions_of_a_folder_are_asked() {
    let folder = TempDir::new().unwrap();
    std::fs::create_dir(folder.path().join("questions")).unwrap();
    let question = folder.path().join("questions/own-verbs.sql");
    let header = "-- title: Which verbs are there?\n-- group: platform\n";
    std::fs::write(
        &question,
        format!("{header}SELECT DISTINCT verb FROM events"),
    )
    .unwrap();
    let arguments = [SMALL, "--queries", path(folder.path())];
    let mut tty = browse(&arguments);
    tty.done().press("7").press("/own-verbs").press(ENTER);
    tty.see("own-verbs ").press(ENTER).see("Enter asks");
    tty.press(ENTER)
        .see("answer to own-verbs")
        .see("Which verbs are there? (6 rows)")
        .see("update");
    tty.press("1").see("What was read").press("q").leaves();

    // What is wrong with one is said as `kubescry query` says it, before there is a screen.
    std::fs::write(&question, "-- group: nonsense\nSELECT 1").unwrap();
    let output = kubescry(&[&["query"], &arguments[1..]].concat(), b"");
    assert_eq!(output.status.code(), Some(2));
    let error = text(&output.stderr).lines().next().unwrap();
    assert!(error.contains("own-verbs"), "{error}");
    let mut tty = browse(&arguments);
    tty.see(error);
    assert_eq!(tty.ended(LEAVING), 2);
    assert!(!tty.is_raw());
}

#[test]
fn any_size_will_do() {
    let mut tty = browse(&[SMALL]);
    tty.done();
    for (cols, rows) in [(1, 1), (20, 5), (200, 60), (2, 3), (100, 30)] {
        tty.resize_and_draw(cols, rows);
        for view in [
            "1", "2", "3", "4", "v", "v", "5", "6", "7", "9", "0", "?", "x",
        ] {
            tty.press_and_draw(view);
        }
    }
    // A key that comes together with a new size counts.
    for cols in 80..100 {
        tty.resize(cols, 30).press("2").see("findings by");
        tty.resize(100, 30).press("1").see("What was read");
    }
    // Two changes at once: the last one counts.
    tty.resize(37, 11).resize(100, 30);
    tty.press("1").see("What was read").see("9 Case");
    tty.press("q").leaves();
}

#[test]
fn looks_are_as_asked_for() {
    let seen = |arguments: &[&str], variables: &[(&str, &str)]| {
        let mut command = command(PROGRAM);
        command.args(["browse", SMALL]);
        command.args(arguments);
        for (name, value) in variables {
            command.env(name, value);
        }
        let mut tty = Tty::run(command);
        tty.done();
        for (key, text) in [
            ("2", "findings by"),
            ("3", "served"),
            ("5", "distinct"),
            ("4", "11-22 04:55:27Z  200 "),
        ] {
            tty.press(key).see(text);
        }
        tty.press("v").see("auditID: ");
        tty.press("9")
            .see("kept until")
            .press("q")
            .see("What was read")
            .press("q")
            .leaves();
        tty.bytes()
    };
    let dark = seen(&["--theme", "dark"], &[]);
    let light = seen(&["--theme", "light"], &[]);
    let contrast = seen(&["--theme", "contrast"], &[]);
    let plain = seen(&[], &[("NO_COLOR", "1")]);
    let ascii = seen(&["--ascii"], &[]);
    assert!(colors(&dark).len() > 2, "{:?}", colors(&dark));
    assert_ne!(colors(&dark), colors(&light));
    assert_ne!(colors(&dark), colors(&contrast));
    assert_eq!(colors(&plain), Vec::<String>::new());
    assert!(!dark.is_ascii());
    assert!(ascii.is_ascii());
}

/// Returns the colors that were set: parameters of SGR but for attributes, and for the terminal's own color.
fn colors(bytes: &[u8]) -> Vec<String> {
    let sgr = regex::bytes::Regex::new("\x1b\\[([0-9;:]*)m").unwrap();
    let mut colors: Vec<String> = sgr
        .captures_iter(bytes)
        .map(|found| text(&found[1]).to_owned())
        .filter(|parameters| {
            let mut parameters = parameters
                .split(';')
                .map(|number| number.parse().unwrap_or(0));
            parameters.any(|number: u32| matches!(number, 30..=38 | 40..=48 | 58 | 90..=107))
        })
        .collect();
    colors.sort();
    colors.dedup();
    colors
}

#[test]
fn the_terminal_is_given_back() {
    let start = || {
        let mut tty = browse(&[SMALL, "--mouse"]);
        tty.done();
        tty.is_taken();
        tty
    };
    start().press("q").leaves();
    start().interrupt_twice().leaves();
    // Another key in between is a change of mind.
    start()
        .press(CTRL_C)
        .see("Ctrl-c again")
        .press("2")
        .see("findings by")
        .press(CTRL_C)
        .see("Ctrl-c again");
    for signal in [Signal::SIGTERM, Signal::SIGHUP, Signal::SIGINT] {
        start().signal(signal).leaves();
    }
}

/// A program that panics, for the test below; by itself, it would take over the terminal of whoever tests.
#[test]
#[ignore = "runs in a terminal of its own"]
fn a_thread_panics_under_the_screen() {
    let (sender, woken) = std::sync::mpsc::channel();
    let screen = Screen::take(true, move || sender.send(()).unwrap_or_default()).unwrap();
    let thread = std::thread::spawn(|| panic!("the reason"));
    woken.recv().unwrap();
    assert!(thread.join().is_err() && Screen::has_panicked());
    // Its end gives nothing back a second time.
    drop(screen);
    print_line("after the panic");
}

/// Prints past the capture of the test runner.
fn print_line(line: &str) {
    let mut out = std::io::stdout();
    out.write_all(format!("{line}\n").as_bytes()).unwrap();
}

#[test]
fn a_panic_gives_the_terminal_back_and_can_be_read() {
    let mut command = command(path(&std::env::current_exe().unwrap()));
    command.args(["--ignored", "--exact", "--nocapture", "--test-threads=1"]);
    command.arg("browse::a_thread_panics_under_the_screen");
    let mut tty = Tty::run(command);
    tty.see("after the panic").is_restored();
    let screen = tty.screen();
    let (reason, after) = (screen.find("the reason"), screen.find("after the panic"));
    assert!(reason.is_some() && reason < after, "{screen}");
    let left = memchr::memmem::find_iter(&tty.bytes(), b"\x1b[?1049l").count();
    assert_eq!(left, 1, "{screen}");
    assert_eq!(tty.ended(PATIENCE), 0);
}

#[test]
fn ctrl_z_stops_and_the_shell_continues() {
    let mut command = command("sh");
    command.arg("-mc");
    command.arg(format!(
        "{PROGRAM} browse {SMALL}; echo stopped, $?; read line; fg; echo over, $?"
    ));
    let mut tty = Tty::run(command);
    tty.done().press("2").see("findings by");
    let program = children(tty.pid())[0];
    tty.press(CTRL_Z);
    is_stopped(program);
    tty.see("stopped, ").is_restored();
    // The size changes while nobody looks.
    tty.resize(80, 24);
    tty.press("\n").see("findings by").see("Enter open");
    tty.is_taken();
    tty.resize(100, 30).press("1").see("9 Case");
    tty.press("q").see("over, 0").is_restored();

    // Stopped and continued by somebody else.
    let mut tty = browse(&[SMALL]);
    tty.done().signal(Signal::SIGSTOP);
    is_stopped(tty.pid());
    tty.bytes();
    tty.signal(Signal::SIGCONT);
    tty.wait("a new screen", |output| output.wrote(b"What was read"));
    tty.press("q").leaves();
    // Nobody could continue a program without a shell: it goes on.
    let mut tty = browse(&[SMALL]);
    tty.done().press(CTRL_Z).press("2").see("findings by");
    tty.press("1").see("What was read").press("q").leaves();
}

/// Returns the children of a process.
fn children(pid: u32) -> Vec<u32> {
    let list = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
    list.split_whitespace()
        .map(|pid| pid.parse().unwrap())
        .collect()
}

/// Waits until a process is stopped, proc(5).
#[track_caller]
fn is_stopped(pid: u32) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        if stat.rsplit(") ").next().unwrap().starts_with('T') {
            return;
        }
        assert!(Instant::now() < deadline, "{stat}");
        std::thread::sleep(POLL);
    }
}

#[test]
fn without_a_terminal_the_way_out_is_told() {
    let output = kubescry(&["browse", SMALL], b"");
    assert_eq!(output.status.code(), Some(2));
    let error = text(&output.stderr);
    assert!(error.contains("needs a terminal"), "{error}");
    assert!(
        error.contains("kubescry scan") && error.contains("kubescry query"),
        "{error}"
    );
    assert!(output.stdout.is_empty());

    let mut command = command(PROGRAM);
    command.args(["browse", SMALL]);
    command.env("TERM", "dumb");
    let mut tty = Tty::run(command);
    tty.see("TERM is `dumb`").see("kubescry query");
    assert_eq!(tty.ended(LEAVING), 2);
    assert!(!tty.bytes().contains(&0x1b) && !tty.is_raw());
}

#[test]
fn without_a_log_there_is_nothing_to_browse() {
    let mut tty = browse(&["no-such.log"]);
    tty.see("error: cannot read `no-such.log`");
    assert_eq!(tty.ended(LEAVING), 4);
    assert!(!tty.is_raw());
    browse(&["no-such.log", SMALL]).done().see("Incidents");
}

/// What holds no event is told on leaving as a scan tells it, with what to do.
#[test]
fn what_cannot_be_read_is_told_on_leaving() {
    let folder = TempDir::new().unwrap();
    let check = |name: &str, bytes: &[u8], expected: &str| {
        let log = folder.path().join(name);
        std::fs::write(&log, bytes).unwrap();
        let mut tty = browse(&[path(&log)]);
        tty.done()
            .press("0")
            .see("Files")
            .press("q")
            .see("What was read");
        tty.press("q");
        assert_eq!(tty.ended(LEAVING), 4, "{}", tty.screen());
        tty.is_restored();
        tty.see("no audit event could be read").see(expected);
    };
    check("foreign.json", b"{\"a\":1}\n", "--input-format FORMAT");
    check("x.csv", b"a,b\n1,2\n", "--input-format FORMAT");
    check("log.zip", b"PK\x03\x04\x14\0\0\0\0\0", "unzip -d");
}

/// A case wrote its files among the logs that it was about.
#[test]
fn a_case_is_no_folder_of_other_things() {
    let folder = TempDir::new().unwrap();
    std::fs::copy(root().join(SMALL), folder.path().join("audit.log")).unwrap();
    let mut tty = browse(&[path(folder.path()), "--case", path(folder.path())]);
    tty.see("is no case, and has other files in it")
        .see("-case");
    assert_eq!(tty.ended(LEAVING), 2);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

/// The result of the query found nobody to receive it, and the program was aborted.
#[test]
fn a_slow_query_is_stopped() {
    let mut tty = browse(&[SMALL]);
    tty.done().press("8").see("SELECT username");
    let from = "FROM requests a CROSS JOIN requests b CROSS JOIN requests c";
    let query = format!("SELECT a.username {from} WHERE a.ms + b.ms + c.ms = 5");
    tty.press(&query).press(CTRL_R).see("asking; Esc stops");
    tty.press(ESC).see("stopped");
    tty.press(TAB)
        .see("Ctrl-r runs")
        .press("\x15SELECT 41 + 1 AS n");
    tty.press(CTRL_R).see("42");
    tty.press("q").see("Incidents").press("q").leaves();
}

#[test]
fn a_case_keeps_everything() {
    let folder = TempDir::new().unwrap();
    let log = folder.path().join("audit.log");
    let recorded = read(&root().join(REUSE));
    let cut = memchr::memrchr(b'\n', &recorded[..recorded.len() / 2]).unwrap() + 1;
    std::fs::write(&log, &recorded[..cut]).unwrap();
    let case = folder.path().join("case");
    let open = |log: &Path| browse(&[path(log), "--case", path(&case)]);

    let mut tty = open(&log);
    tty.done().press("2").see("findings by severity");
    tty.press("s")
        .see("State of the finding")
        .press("b")
        .miss("State of");
    tty.press("a")
        .see("the finding is in the story")
        .press("T")
        .see("theme: light");
    tty.press("4")
        .see(" kubernetes-admin create ")
        .press("m")
        .see("bookmark set");
    tty.press("c")
        .see("Note")
        .press("first look")
        .press(ENTER)
        .see("noted");

    // One at a time.
    let mut second = open(&log);
    second.see("is open").see("--case");
    assert_eq!(second.ended(LEAVING), 2);
    tty.press("1").see("What was read").press("q").leaves();

    // For nobody else's eyes.
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let mut parquet = 0;
    for entry in walkdir::WalkDir::new(&case) {
        let entry = entry.unwrap();
        let wanted = if entry.file_type().is_dir() {
            0o700
        } else {
            0o600
        };
        assert_eq!(mode(entry.path()), wanted, "{}", entry.path().display());
        parquet += usize::from(entry.path().extension().is_some_and(|end| end == "parquet"));
    }
    assert!(parquet >= 2, "{parquet}");

    // Unchanged: nothing is read again, wherever the log is now.
    let moved = folder.path().join("moved.log");
    std::fs::rename(&log, &moved).unwrap();
    let mut tty = open(&moved);
    tty.done()
        .press("0")
        .see("opened from the case")
        .see("not changed");
    tty.press("9").see("first look").see("benign").see("Story");
    // Findings in a case do not tell their tactics, and have those of their rules.
    tty.press("2").see("findings by").press("F").see("> facets");
    tty.press("/tactic").press(ENTER).see("credential-access");
    tty.press("4")
        .see(" kubernetes-admin create ")
        .see("*11-22 04:55:55Z")
        .press("v")
        .see("auditID: ");
    tty.press("T")
        .see("theme: high contrast")
        .press("v")
        .miss("auditID: ")
        .press("q")
        .see("What was read")
        .press("q")
        .leaves();

    // What a run left that was killed goes.
    let leftover = case.join("frames-1");
    std::fs::create_dir(&leftover).unwrap();
    std::fs::write(case.join("frames-note.txt"), "not ours").unwrap();

    // Grown: what was found is there at once, what is new in the end.
    std::fs::write(&moved, &recorded).unwrap();
    let mut tty = open(&moved);
    tty.press("0").see("bytes are new since");
    tty.press("2").see(" findings ").done().see("32 findings");
    tty.press("9")
        .see("first look")
        .see("benign")
        .press("q")
        .see("What was read")
        .press("q")
        .leaves();
    assert!(!leftover.exists());
    assert_eq!(frames(&case).len(), 1);
    assert!(case.join("frames-note.txt").exists());

    // Damaged events: read again.
    let events = |case: &Path| {
        let entries = std::fs::read_dir(&frames(case)[0]).unwrap();
        let mut paths = entries.map(|entry| entry.unwrap().path());
        paths
            .find(|path| path.to_string_lossy().contains("events-"))
            .unwrap()
    };
    let damaged = events(&case);
    let mut bytes = std::fs::read(&damaged).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0xff;
    std::fs::write(&damaged, bytes).unwrap();
    let mut tty = open(&moved);
    tty.press("0").see("cannot be used").done();
    tty.press("2")
        .see("32 findings")
        .press("9")
        .see("first look");
    tty.press("q").see("What was read").press("q").leaves();

    // A damaged database: put aside, and the case begins anew.
    std::fs::write(case.join("case.sqlite"), "no database").unwrap();
    let mut tty = open(&moved);
    tty.done().press("9").see("is damaged").miss("first look");
    tty.press("2")
        .see("32 findings")
        .press("1")
        .see("What was read")
        .press("q")
        .leaves();
    assert!(case.join("case.sqlite.damaged").exists());
}

/// Returns the folders of events in a case.
fn frames(case: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(case).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    paths.filter(|path| path.is_dir()).collect()
}

#[test]
fn leaving_before_the_end_leaves_no_events_in_the_case() {
    let folder = TempDir::new().unwrap();
    let log = long_log(folder.path());
    without_end(&log);
    let case = folder.path().join("case");
    let arguments = [path(&log), "--case", path(&case), "--memory", "1M"];
    let mut tty = browse(&arguments);
    tty.see("rows on disk");
    assert_eq!(frames(&case).len(), 1);
    tty.press("9")
        .see("Story")
        .press("a")
        .press("half read")
        .press(ENTER)
        .see("half read");
    tty.signal(Signal::SIGTERM).leaves();
    assert_eq!(frames(&case).len(), 0);
    // Another log, which the case is not of.
    let mut tty = browse(&[SMALL, "--case", path(&case)]);
    tty.done()
        .press("9")
        .see("half read")
        .press("2")
        .see("findings by");
    tty.press("1").see("What was read").press("q").leaves();
    assert_eq!(frames(&case).len(), 1);
    // Standard input cannot be known again; its events are kept for as long as it is browsed.
    let mut tty = sh(&format!(
        "cat {SMALL} | {PROGRAM} browse - --case '{}'",
        case.display()
    ));
    tty.done().press("0").see("not kept in the case");
    tty.press("4")
        .see(" requests ")
        .see("11-22 04:55:27Z  200 ")
        .press("v")
        .see("auditID: ");
    tty.press("9")
        .see("half read")
        .press("q")
        .see("What was read")
        .press("q")
        .leaves();
    assert_eq!(frames(&case).len(), 1);
}

/// A server of tmux(1), with a folder for its socket.
struct Tmux(TempDir);

impl Tmux {
    /// Gives a command to the server; fails where tmux is not installed.
    fn tell(&self, arguments: &[&str]) -> std::io::Result<Output> {
        let mut command = Command::new("tmux");
        command.args(["-f", "/dev/null", "-S"]);
        command.arg(self.0.path().join("socket")).args(arguments);
        command.env_remove("TMUX").stdin(Stdio::null()).output()
    }

    #[track_caller]
    fn press(&self, keys: &[&str]) -> &Self {
        let told = self.tell(&[&["send-keys"], keys].concat()).unwrap();
        assert!(told.status.success(), "{}", text(&told.stderr));
        self
    }

    /// Waits until the screen shows a text.
    #[track_caller]
    fn see(&self, text: &str) -> &Self {
        self.wait(text, |screen| screen.contains(text))
    }

    /// Waits until the screen shows a text no more.
    #[track_caller]
    fn miss(&self, text: &str) -> &Self {
        self.wait(&format!("no {text}"), |screen| !screen.contains(text))
    }

    #[track_caller]
    fn wait(&self, what: &str, is_so: impl Fn(&str) -> bool) -> &Self {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let screen = self.tell(&["capture-pane", "-p"]).unwrap().stdout;
            let screen = String::from_utf8_lossy(&screen);
            if is_so(&screen) {
                return self;
            }
            assert!(
                Instant::now() < deadline,
                "waited for {what} in vain; the screen is\n{screen}"
            );
            std::thread::sleep(POLL);
        }
    }
}

impl Drop for Tmux {
    fn drop(&mut self) {
        let _ = self.tell(&["kill-server"]);
    }
}

#[test]
fn tmux_is_a_terminal_like_others() {
    let tmux = Tmux(TempDir::new().unwrap());
    let run = format!(
        "cd '{}' && {PROGRAM} browse {SMALL}; echo left with $?; cat",
        root().display()
    );
    let started = tmux.tell(&["new-session", "-d", "-x", "100", "-y", "30", &run]);
    if !started.is_ok_and(|output| output.status.success()) {
        print_line("skipped: tmux is not installed, or does not start");
        return;
    }
    tmux.see("What was read").press(&["2"]);
    tmux.see("findings by severity").press(&["Enter"]);
    // The screen may be half drawn, and with a key right behind it Esc is another key.
    tmux.see("Findings > ").miss("findings by severity");
    tmux.press(&["Escape"]);
    tmux.see("findings by severity").press(&["4"]);
    tmux.see("11-22 04:55:27Z  200 ").press(&["v"]);
    tmux.see("auditID: ").press(&["C-c"]);
    tmux.see("Ctrl-c again").press(&["C-c"]);
    tmux.see("left with 0");
}
