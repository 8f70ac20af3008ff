//! `kubescry browse` from outside: the program in a pseudo-terminal, with keys and signals.
//!
//! A test waits for what the screen shows, and never for time to pass. What the screen shows comes from a terminal
//! emulator, and what colors and sequences were used from the bytes.

use std::io::{Read, Write};
use std::num::NonZero;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use kubescry::tui::terminal::Screen;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use portable_pty::{
    Child, CommandBuilder, MasterPty, PtyPair, PtySize, SlavePty, native_pty_system,
};
use tempfile::TempDir;

use crate::support::{kubescry, read, root, text};

/// How long the slowest machine may take for anything.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long leaving may take, where the machine is busy with other tests: the promise is about a second.
const LEAVING: Duration = Duration::from_secs(30);

const PROGRAM: &str = env!("CARGO_BIN_EXE_kubescry");
const REUSE: &str = "sample-logs/v1.36/token-reuse.log.gz";
const SMALL: &str = "sample-logs/v1.36/anonymous.log";

const ENTER: &str = "\r";
const ESC: &str = "\x1b";
const TAB: &str = "\t";
const CTRL_C: &str = "\x03";
const CTRL_R: &str = "\x12";
const CTRL_Z: &str = "\x1a";

/// What came out of the program.
struct Output {
    emulator: vt100::Parser,
    bytes: Vec<u8>,
}

/// The program in a terminal of its own.
struct Tty {
    master: Box<dyn MasterPty + Send>,
    /// Kept open, so that the settings of the terminal can be seen once the program is gone.
    _slave: Box<dyn SlavePty + Send>,
    keys: Box<dyn Write + Send>,
    child: Box<dyn Child + Send + Sync>,
    output: Arc<(Mutex<Output>, Condvar)>,
}

impl Tty {
    /// Runs a command in a terminal of 100 columns and 30 lines.
    fn run(command: CommandBuilder) -> Self {
        let size = PtySize {
            rows: 30,
            cols: 100,
            ..PtySize::default()
        };
        let PtyPair { slave, master } = native_pty_system().openpty(size).unwrap();
        let child = slave.spawn_command(command).unwrap();
        let output = Arc::new((
            Mutex::new(Output {
                emulator: vt100::Parser::new(cells(30), cells(100), 0),
                bytes: Vec::new(),
            }),
            Condvar::new(),
        ));
        let mut reader = master.try_clone_reader().unwrap();
        let shared = Arc::clone(&output);
        std::thread::spawn(move || {
            let mut buffer = [0; 1 << 14];
            while let Ok(length @ 1..) = reader.read(&mut buffer) {
                let mut output = shared.0.lock().unwrap();
                output.emulator.process(&buffer[..length]);
                output.bytes.extend_from_slice(&buffer[..length]);
                shared.1.notify_all();
            }
        });
        Self {
            keys: master.take_writer().unwrap(),
            master,
            _slave: slave,
            child,
            output,
        }
    }

    /// Browses with these arguments.
    fn browse(arguments: &[&str]) -> Self {
        let mut command = command(PROGRAM);
        command.arg("browse");
        command.args(arguments);
        Self::run(command)
    }

    /// Waits until the output is as wanted.
    #[track_caller]
    fn wait(&mut self, what: &str, mut is_so: impl FnMut(&Output) -> bool) -> &mut Self {
        let deadline = Instant::now() + PATIENCE;
        let mut output = self.output.0.lock().unwrap();
        while !is_so(&output) {
            let now = Instant::now();
            if now >= deadline {
                let screen = output.emulator.screen().contents();
                drop(output);
                panic!("waited for {what} in vain; the screen is\n{screen}");
            }
            output = self
                .output
                .1
                .wait_timeout(output, deadline - now)
                .unwrap()
                .0;
        }
        drop(output);
        self
    }

    /// Waits until the screen shows a text.
    #[track_caller]
    fn see(&mut self, text: &str) -> &mut Self {
        self.wait(text, |output| output.shows(text))
    }

    /// Waits until the screen shows a text no more.
    #[track_caller]
    fn miss(&mut self, text: &str) -> &mut Self {
        self.wait(&format!("no {text}"), |output| !output.shows(text))
    }

    /// Waits until all is read.
    #[track_caller]
    fn done(&mut self) -> &mut Self {
        self.wait("the end of reading", |output| {
            output.shows("mem ") && !output.shows("reading ") && !output.shows("starting ")
        })
    }

    /// Types.
    fn press(&mut self, keys: &str) -> &mut Self {
        self.keys.write_all(keys.as_bytes()).unwrap();
        self.keys.flush().unwrap();
        self
    }

    /// Types what may change nothing on the screen, and waits until it is taken in: Esc with something behind it is
    /// another key.
    #[track_caller]
    fn step(&mut self, keys: &str) -> &mut Self {
        self.bytes();
        self.press(keys);
        self.wait("an answer", |output| !output.bytes.is_empty())
    }

    /// Changes the size of the terminal.
    fn resize(&mut self, cols: u16, rows: u16) -> &mut Self {
        let size = PtySize {
            rows,
            cols,
            ..PtySize::default()
        };
        let mut output = self.output.0.lock().unwrap();
        output
            .emulator
            .screen_mut()
            .set_size(cells(rows), cells(cols));
        self.master.resize(size).unwrap();
        drop(output);
        self
    }

    fn pid(&self) -> u32 {
        self.child.process_id().unwrap()
    }

    fn signal(&mut self, signal: Signal) -> &mut Self {
        let pid = Pid::from_raw(self.pid().cast_signed());
        kill(pid, signal).unwrap();
        self
    }

    /// Waits until the program has ended; returns its exit code.
    #[track_caller]
    fn ended(&mut self, within: Duration) -> u32 {
        let deadline = Instant::now() + within;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.exit_code();
            }
            if Instant::now() >= deadline {
                let screen = self.screen();
                panic!("the program does not end; the screen is\n{screen}");
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits until the program has ended well and the terminal is as it was.
    #[track_caller]
    fn leaves(&mut self) -> &mut Self {
        assert_eq!(self.ended(LEAVING), 0, "{}", self.screen());
        self.is_restored()
    }

    /// Waits until the terminal is as it was before.
    #[track_caller]
    fn is_restored(&mut self) -> &mut Self {
        self.wait("the terminal as it was", |output| {
            let screen = output.emulator.screen();
            !screen.alternate_screen() && !screen.hide_cursor() && !screen.bracketed_paste()
        });
        assert!(!self.is_raw());
        self
    }

    /// Returns whether the terminal gives keys as they are typed, termios(3).
    fn is_raw(&self) -> bool {
        let flags = self.master.get_termios().unwrap().local_flags;
        let cooked = ["ICANON", "ECHO", "ISIG"];
        !cooked
            .iter()
            .all(|name| flags.iter_names().any(|(flag, _)| flag == *name))
    }

    fn screen(&self) -> String {
        self.output.0.lock().unwrap().emulator.screen().contents()
    }

    /// Takes the bytes that came so far.
    fn bytes(&self) -> Vec<u8> {
        std::mem::take(&mut self.output.0.lock().unwrap().bytes)
    }
}

impl Output {
    fn shows(&self, text: &str) -> bool {
        self.emulator.screen().contents().contains(text)
    }
}

impl Drop for Tty {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
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

fn cells(count: u16) -> NonZero<u16> {
    NonZero::new(count).unwrap()
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Writes a log of at least so many bytes: a recorded one, again and again, each time a day later.
fn long_log(folder: &Path, bytes: usize) -> PathBuf {
    let recorded = read(&root().join(REUSE));
    let recorded = text(&recorded);
    let path = folder.join("long.log");
    let mut file = std::io::BufWriter::new(std::fs::File::create(&path).unwrap());
    let mut written = 0;
    for day in 0.. {
        if written >= bytes {
            break;
        }
        let date = format!("2026-{:02}-{:02}T", 1 + day / 28, 1 + day % 28);
        let id = format!("\"auditID\":\"{day:04x}");
        for line in recorded.lines() {
            let mut line = line.replace("2026-11-22T", &date);
            let at = line.find("\"auditID\":\"").unwrap();
            line.replace_range(at..at + id.len(), &id);
            writeln!(file, "{line}").unwrap();
            written += line.len() + 1;
        }
    }
    path
}

#[test]
fn a_long_log_can_be_browsed_while_it_is_read_and_left_at_any_time() {
    let folder = TempDir::new().unwrap();
    let temporary = folder.path().join("tmp");
    std::fs::create_dir(&temporary).unwrap();
    let log = long_log(folder.path(), 100_000_000);
    let mut command = command(PROGRAM);
    command.env("TMPDIR", &temporary);
    command.args(["browse", path(&log), "--memory", "1M", "--startup-trace"]);
    let mut tty = Tty::run(command);
    // A key that is typed before there is a screen counts, too.
    tty.press("2").wait("findings while it is read", |output| {
        output.shows("findings so far") && output.shows("reading ")
    });
    tty.see("A credential used").see("rows on disk");
    tty.press("4").see("all requests").see("kub…admin");
    // The cursor goes to the verb, and only its value stays.
    tty.press("ll");
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
    assert!(std::fs::read_dir(&temporary).unwrap().next().is_some());
    tty.press("q").see("What was read");
    tty.press("q").leaves().see("first screen after ");
    // Nobody could read it again.
    assert_eq!(std::fs::read_dir(&temporary).unwrap().count(), 0);

    for leave in [CTRL_C, "signal"] {
        let mut tty = Tty::browse(&[path(&log)]);
        tty.see("reading ");
        if leave == CTRL_C {
            tty.press(CTRL_C).see("Ctrl-c again").press(CTRL_C);
        } else {
            tty.signal(Signal::SIGTERM);
        }
        tty.leaves();
    }
}

#[test]
fn standard_input_is_data_and_keys_come_from_the_terminal() {
    for memory in ["", "--memory 1K"] {
        let mut command = command("sh");
        command.arg("-c");
        command.arg(format!("cat {SMALL} | {PROGRAM} browse {memory} -"));
        let mut tty = Tty::run(command);
        tty.done();
        tty.press("4").see("all requests").see("2026-");
        tty.press("v").see("auditID: ");
        tty.press("q").miss("auditID: ");
        tty.press("q").see("What was read");
        tty.press("q").is_restored();
    }
    // A writer that does not come to an end does not keep anybody.
    let mut command = command("sh");
    command.arg("-c");
    command.arg(format!(
        "(cat {SMALL}; exec sleep 600) | {PROGRAM} browse -"
    ));
    let mut tty = Tty::run(command);
    tty.see("reading ").press(CTRL_C).see("Ctrl-c again");
    tty.press(CTRL_C);
    tty.is_restored();
}

#[test]
fn every_view_can_be_reached_and_left() {
    let folder = TempDir::new().unwrap();
    // What is suggested goes first.
    let file = |name: &str| {
        format!(
            "{}{}",
            "\x7f".repeat(40),
            folder.path().join(name).display()
        )
    };
    let mut tty = Tty::browse(&[REUSE]);
    tty.done()
        .see("Incidents (3)")
        .see("Findings in no incident");
    tty.press("3").see("█ served").see("minted");
    tty.press("5").see("value (17 distinct)");
    tty.press("6").see("first use").see("leg…token");
    tty.press("7").see("credential-lineage");
    tty.press("9").see("kept until you leave");
    tty.press("0").see("Reading").see("4047 events");
    tty.press("8").see("Ctrl-r runs");
    tty.press(ESC).see("Tab: back into the editor");
    tty.press("1").see("Incidents (3)");
    tty.press(";").see("Tab: back into");

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
    tty.step(ESC)
        .press("?")
        .see("any other key closes")
        .press("g")
        .step(ESC);
    tty.miss("any other key closes").see("What was read");
    tty.press("6").see("leg…token").press("jjj").press(ENTER);
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
    tty.wait("an error", |output| {
        let contents = output.emulator.screen().contents().to_lowercase();
        contents.contains("expected") || contents.contains("error")
    });
    tty.step(ESC).step(ESC);

    // Events: search, filters, JSON, timeline.
    let first = "04:55:55.814Z  201 create";
    tty.press("4")
        .see("all requests")
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
        .press("ll+")
        .see("[verb = create]")
        .miss(" get ");
    tty.press("\x7f")
        .see("all requests")
        .see(" get ")
        .press("g-")
        .see("[verb ≠ create]");
    tty.miss(first)
        .press("\x7f")
        .see("all requests")
        .press("g")
        .see(first);
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
    tty.press("x")
        .see("kubescry-events.csv")
        .press(&file("events.csv"))
        .press(ENTER);
    tty.see("wrote 2096 lines")
        .press("F")
        .see("distinct)")
        .press("4")
        .see("all requests");
    tty.press("3")
        .see("█ served")
        .press(" ")
        .see("Esc drops it");
    tty.press("llllll ").see("requests [2026-11-22");
    tty.press("4")
        .see("requests [2026-11-22")
        .press("\x7f")
        .see("all requests")
        .see(first);

    // What an investigator adds.
    tty.press("m").see("bookmark set").press("c").see("Note");
    tty.press("looks odd").press(ENTER).see("noted");
    tty.press("2")
        .see("findings by")
        .press("s")
        .see("State of the finding");
    tty.press("e").miss("State of").press("a").see("story");
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
    tty.wait("OSC 52", |output| {
        memchr::memmem::find(&output.bytes, b"\x1b]52;c;").is_some()
    });

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
fn any_size_will_do() {
    let mut tty = Tty::browse(&[SMALL]);
    tty.done();
    for (cols, rows) in [(1, 1), (20, 5), (200, 60), (2, 3), (100, 30)] {
        for view in ["1", "2", "3", "4", "v", "v", "5", "6", "7", "9", "0", "?"] {
            tty.press(view);
            if view == "?" {
                tty.press("x");
            }
        }
        tty.resize(cols, rows);
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
            ("4", "all requests"),
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
        let mut tty = Tty::browse(&[SMALL, "--mouse"]);
        tty.done();
        assert!(tty.is_raw());
        let output = tty.output.0.lock().unwrap();
        let screen = output.emulator.screen();
        assert!(screen.alternate_screen() && screen.hide_cursor() && screen.bracketed_paste());
        drop(output);
        tty
    };
    start().press("q").leaves();
    start()
        .press(CTRL_C)
        .see("Ctrl-c again")
        .press(CTRL_C)
        .leaves();
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
    writeln!(std::io::stdout(), "{line}").unwrap();
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
    let pid = children(tty.pid());
    let state = |wanted: &str| {
        let deadline = Instant::now() + PATIENCE;
        let path = format!("/proc/{}/stat", pid[0]);
        loop {
            let stat = std::fs::read_to_string(&path).unwrap_or_default();
            let state = stat.rsplit(") ").next().unwrap_or_default();
            if state.starts_with(wanted) {
                return;
            }
            assert!(Instant::now() < deadline, "{stat}");
            std::thread::sleep(Duration::from_millis(5));
        }
    };
    tty.press(CTRL_Z);
    state("T");
    tty.see("stopped, ").is_restored();
    // The size changes while nobody looks.
    tty.resize(80, 24);
    tty.press("\n").see("findings by").see("Enter open");
    assert!(tty.is_raw());
    tty.resize(100, 30).press("1").see("9 Case");
    tty.press("q").see("over, 0").is_restored();

    // Stopped and continued by somebody else.
    let mut tty = Tty::browse(&[SMALL]);
    tty.done().signal(Signal::SIGSTOP).bytes();
    tty.signal(Signal::SIGCONT);
    tty.wait("a new screen", |output| {
        memchr::memmem::find(&output.bytes, b"What was read").is_some()
    });
    tty.press("q").leaves();
    // Nobody could continue a program without a shell: it goes on.
    let mut tty = Tty::browse(&[SMALL]);
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
    tty.see("kubescry query");
    assert_eq!(tty.ended(LEAVING), 2);
    assert!(!tty.bytes().contains(&0x1b) || !tty.is_raw());
}

#[test]
fn a_case_keeps_everything() {
    let folder = TempDir::new().unwrap();
    let log = folder.path().join("audit.log");
    let recorded = read(&root().join(REUSE));
    let cut = memchr::memrchr(b'\n', &recorded[..recorded.len() / 2]).unwrap() + 1;
    std::fs::write(&log, &recorded[..cut]).unwrap();
    let case = folder.path().join("case");
    let open = |log: &Path| Tty::browse(&[path(log), "--case", path(&case)]);

    let mut tty = open(&log);
    tty.done().press("2").see("findings by severity");
    tty.press("s")
        .see("State of the finding")
        .press("b")
        .miss("State of");
    tty.press("a").see("story").press("T").see("theme: light");
    tty.press("4")
        .see("kub…admin")
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
    tty.press("2")
        .see("findings by")
        .press("4")
        .see("kub…admin")
        .see("*2026")
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
    tty.press("2").see(" findings ").done().see("31 findings");
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
        .see("31 findings")
        .press("9")
        .see("first look");
    tty.press("q").see("What was read").press("q").leaves();

    // A damaged database: put aside, and the case begins anew.
    std::fs::write(case.join("case.sqlite"), "no database").unwrap();
    let mut tty = open(&moved);
    tty.done().press("9").see("is damaged").miss("first look");
    tty.press("2")
        .see("31 findings")
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
    let log = long_log(folder.path(), 20_000_000);
    let case = folder.path().join("case");
    let arguments = [path(&log), "--case", path(&case), "--memory", "1M"];
    let mut tty = Tty::browse(&arguments);
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
    let mut tty = Tty::browse(&[SMALL, "--case", path(&case)]);
    tty.done()
        .press("9")
        .see("half read")
        .press("2")
        .see("findings by");
    tty.press("1").see("What was read").press("q").leaves();
    assert_eq!(frames(&case).len(), 1);
    // Standard input cannot be known again; its events are kept for as long as it is browsed.
    let mut command = command("sh");
    command.arg("-c");
    command.arg(format!(
        "cat {SMALL} | {PROGRAM} browse - --case {}",
        path(&case)
    ));
    let mut tty = Tty::run(command);
    tty.done().press("0").see("not kept in the case");
    tty.press("4")
        .see("all requests")
        .see("2026-")
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

#[test]
fn tmux_is_a_terminal_like_others() {
    let folder = TempDir::new().unwrap();
    let socket = folder.path().join("tmux");
    let tmux = |arguments: &[&str]| {
        let mut command = Command::new("tmux");
        command
            .args(["-f", "/dev/null", "-S", path(&socket)])
            .args(arguments);
        command.env_remove("TMUX").stdin(Stdio::null()).output()
    };
    let run = format!(
        "cd '{}' && {PROGRAM} browse {SMALL}; echo left with $?; cat",
        root().display()
    );
    let started = tmux(&["new-session", "-d", "-x", "100", "-y", "30", &run]);
    if !started.is_ok_and(|output| output.status.success()) {
        print_line("skipped: tmux is not installed, or does not start");
        return;
    }
    let see = |wanted: &str| {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let screen = tmux(&["capture-pane", "-p"]).unwrap().stdout;
            if text(&screen).contains(wanted) {
                return;
            }
            assert!(
                Instant::now() < deadline,
                "no {wanted} in\n{}",
                text(&screen)
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    let keys = |keys: &[&str]| drop(tmux(&[&["send-keys"], keys].concat()).unwrap());
    see("What was read");
    keys(&["2"]);
    see("findings by severity");
    keys(&["Enter"]);
    see("Findings > ");
    keys(&["Escape"]);
    see("findings by severity");
    keys(&["4", "v"]);
    see("auditID: ");
    keys(&["C-c"]);
    see("Ctrl-c again");
    keys(&["C-c"]);
    see("left with 0");
    tmux(&["kill-server"]).unwrap();
}
