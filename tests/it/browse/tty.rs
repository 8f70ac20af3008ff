//! A program in a terminal of its own.

use std::io::{Read, Write};
use std::num::NonZero;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use portable_pty::{
    Child, CommandBuilder, MasterPty, PtyPair, PtySize, SlavePty, native_pty_system,
};

/// How long the slowest machine may take for anything.
pub(super) const PATIENCE: Duration = Duration::from_mins(1);

/// How long leaving may take, where the machine is busy with other tests: the promise is about a second.
pub(super) const LEAVING: Duration = Duration::from_secs(10);

/// How often is looked at what nobody tells.
pub(super) const POLL: Duration = Duration::from_millis(5);

pub(super) const ENTER: &str = "\r";
pub(super) const ESC: &str = "\x1b";
pub(super) const TAB: &str = "\t";
pub(super) const BACKSPACE: &str = "\x7f";
pub(super) const CTRL_C: &str = "\x03";
pub(super) const CTRL_R: &str = "\x12";
pub(super) const CTRL_Z: &str = "\x1a";

/// What came out of the program.
pub(super) struct Output {
    emulator: vt100::Parser,
    bytes: Vec<u8>,
    /// How many of the bytes were taken.
    taken: usize,
}

/// The program in a terminal of its own.
pub(super) struct Tty {
    master: Box<dyn MasterPty + Send>,
    /// Kept open, so that the settings of the terminal can be seen once the program is gone.
    _slave: Box<dyn SlavePty + Send>,
    keys: Box<dyn Write + Send>,
    child: Box<dyn Child + Send + Sync>,
    output: Arc<(Mutex<Output>, Condvar)>,
}

impl Tty {
    /// Runs a command in a terminal of 100 columns and 30 lines.
    pub(super) fn run(command: CommandBuilder) -> Self {
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
                taken: 0,
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

    /// Waits until the output is as wanted, with no screen half drawn.
    #[track_caller]
    pub(super) fn wait(&mut self, what: &str, mut is_so: impl FnMut(&Output) -> bool) -> &mut Self {
        let deadline = Instant::now() + PATIENCE;
        let mut output = self.output.0.lock().unwrap();
        while !(output.is_whole() && is_so(&output)) {
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
    pub(super) fn see(&mut self, text: &str) -> &mut Self {
        self.wait(text, |output| output.shows(text))
    }

    /// Waits until the screen shows a text no more.
    #[track_caller]
    pub(super) fn miss(&mut self, text: &str) -> &mut Self {
        self.wait(&format!("no {text}"), |output| !output.shows(text))
    }

    /// Waits until all is read.
    #[track_caller]
    pub(super) fn done(&mut self) -> &mut Self {
        self.wait("the end of reading", |output| {
            output.shows("mem ") && !output.shows("reading ") && !output.shows("starting ")
        })
    }

    /// Types.
    pub(super) fn press(&mut self, keys: &str) -> &mut Self {
        self.keys.write_all(keys.as_bytes()).unwrap();
        self.keys.flush().unwrap();
        self
    }

    /// Asks to leave as who does not know the key for it: once to be told, once more to go.
    pub(super) fn interrupt_twice(&mut self) -> &mut Self {
        self.press(CTRL_C).see("Ctrl-c again").press(CTRL_C)
    }

    /// Types Esc where it may change nothing on the screen, and waits until it is taken in: with something behind it,
    /// it would be another key. Any key takes back what Ctrl-c has said.
    #[track_caller]
    pub(super) fn escape(&mut self) -> &mut Self {
        self.press(CTRL_C).see("Ctrl-c again");
        self.press(ESC).miss("Ctrl-c again")
    }

    /// Types, and waits until something is drawn.
    #[track_caller]
    pub(super) fn press_and_draw(&mut self, keys: &str) -> &mut Self {
        self.bytes();
        self.press(keys);
        self.wait("anything", |output| !output.untaken().is_empty())
    }

    /// Types again and again, until the screen shows a text: for keys that move among rows while others are on their
    /// way.
    #[track_caller]
    pub(super) fn press_until(&mut self, keys: &str, text: &str) -> &mut Self {
        let deadline = Instant::now() + PATIENCE;
        while !self.press_and_draw(keys).screen().contains(text) {
            assert!(Instant::now() < deadline, "no {text} in\n{}", self.screen());
        }
        self
    }

    /// Changes the size of the terminal, and waits until the program draws everything anew.
    #[track_caller]
    pub(super) fn resize_and_draw(&mut self, cols: u16, rows: u16) -> &mut Self {
        self.bytes();
        self.resize(cols, rows);
        self.wait("an empty screen", |output| output.wrote(b"\x1b[2J"))
    }

    /// Changes the size of the terminal.
    pub(super) fn resize(&mut self, cols: u16, rows: u16) -> &mut Self {
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

    pub(super) fn pid(&self) -> u32 {
        self.child.process_id().unwrap()
    }

    pub(super) fn signal(&mut self, signal: Signal) -> &mut Self {
        let pid = Pid::from_raw(self.pid().cast_signed());
        kill(pid, signal).unwrap();
        self
    }

    /// Waits until the program has ended; returns its exit code.
    #[track_caller]
    pub(super) fn ended(&mut self, within: Duration) -> u32 {
        let deadline = Instant::now() + within;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.exit_code();
            }
            if Instant::now() >= deadline {
                let screen = self.screen();
                panic!("the program does not end; the screen is\n{screen}");
            }
            std::thread::sleep(POLL);
        }
    }

    /// Waits until the program has ended well and the terminal is as it was.
    #[track_caller]
    pub(super) fn leaves(&mut self) -> &mut Self {
        assert_eq!(self.ended(LEAVING), 0, "{}", self.screen());
        self.is_restored()
    }

    /// Waits until the terminal is the program's alone.
    #[track_caller]
    pub(super) fn is_taken(&mut self) -> &mut Self {
        self.wait("a screen of its own", |output| {
            let screen = output.emulator.screen();
            screen.alternate_screen() && screen.hide_cursor() && screen.bracketed_paste()
        });
        self.wait_for_raw(true)
    }

    /// Waits until the terminal is as it was before.
    #[track_caller]
    pub(super) fn is_restored(&mut self) -> &mut Self {
        self.wait("the terminal as it was", |output| {
            let screen = output.emulator.screen();
            !screen.alternate_screen() && !screen.hide_cursor() && !screen.bracketed_paste()
        });
        self.wait_for_raw(false)
    }

    /// Waits until the terminal gives keys as they are typed, or does not.
    #[track_caller]
    fn wait_for_raw(&mut self, wanted: bool) -> &mut Self {
        let deadline = Instant::now() + PATIENCE;
        while self.is_raw() != wanted {
            assert!(Instant::now() < deadline, "{}", self.screen());
            std::thread::sleep(POLL);
        }
        self
    }

    /// Returns whether the terminal gives keys as they are typed, termios(3).
    pub(super) fn is_raw(&self) -> bool {
        let flags = self.master.get_termios().unwrap().local_flags;
        let cooked = ["ICANON", "ECHO", "ISIG"];
        !cooked
            .iter()
            .all(|name| flags.iter_names().any(|(flag, _)| flag == *name))
    }

    pub(super) fn screen(&self) -> String {
        self.output.0.lock().unwrap().emulator.screen().contents()
    }

    /// Takes the bytes that came so far.
    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut output = self.output.0.lock().unwrap();
        let bytes = output.untaken().to_vec();
        output.taken = output.bytes.len();
        bytes
    }
}

impl Output {
    /// Returns whether the screen shows a text.
    pub(super) fn shows(&self, text: &str) -> bool {
        self.emulator.screen().contents().contains(text)
    }

    /// Returns whether a sequence came since the bytes were taken.
    pub(super) fn wrote(&self, sequence: &[u8]) -> bool {
        memchr::memmem::find(self.untaken(), sequence).is_some()
    }

    fn untaken(&self) -> &[u8] {
        &self.bytes[self.taken..]
    }

    /// Returns whether a screen is drawn to its end, where ratatui hides the cursor, or shows and places it.
    fn is_whole(&self) -> bool {
        let cursor = b"\x1b[?25";
        let rest =
            memchr::memmem::rfind(&self.bytes, cursor).map(|at| &self.bytes[at + cursor.len()..]);
        !self.emulator.screen().alternate_screen()
            || rest.is_some_and(|rest| match rest {
                b"l" => true,
                [b'h', b'\x1b', b'[', place @ .., b'H'] => {
                    place.iter().all(|byte| matches!(byte, b'0'..=b'9' | b';'))
                }
                _ => false,
            })
    }
}

impl Drop for Tty {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn cells(count: u16) -> NonZero<u16> {
    NonZero::new(count).unwrap()
}
