//! The terminal: taken over, and given back whatever happens.

use std::io::{self, Stdout, Write, stdout};
use std::mem::ManuallyDrop;
use std::sync::atomic::{AtomicBool, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::event::{
    DisableBracketedPaste, DisableMouseCapture, EnableBracketedPaste, EnableMouseCapture,
};
use ratatui::crossterm::terminal::{
    EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use ratatui::crossterm::{cursor, execute};

use super::app::App;
use super::view;

/// How much goes through OSC 52: some terminals take no more.
const COPY_BYTES: usize = 74_000;

/// Set by the panic hook: the screen is the shell's again, and nobody may draw.
static HAS_PANICKED: AtomicBool = AtomicBool::new(false);

/// Whether the terminal is ours. It is given back once: who leaves the alternate screen a second time puts the cursor
/// over what was printed after the first.
static IS_TAKEN: AtomicBool = AtomicBool::new(false);

/// A terminal that is taken over. Dropping it gives it back.
pub struct Screen {
    /// Never dropped: it would show the cursor, which is shown by then, and panics where the terminal is gone and takes
    /// no complaint about that.
    terminal: ManuallyDrop<Terminal<CrosstermBackend<Stdout>>>,
    has_mouse: bool,
}

impl Screen {
    /// Takes the terminal over. From now on, a panic of any thread gives it back before it says why, and then calls
    /// `on_panic`.
    ///
    /// # Errors
    /// When the terminal refuses.
    pub fn take(has_mouse: bool, on_panic: impl Fn() + Send + Sync + 'static) -> io::Result<Self> {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            {
                // Another thread may be in the middle of a screen, and must not go on with it afterwards.
                let _out = stdout().lock();
                HAS_PANICKED.store(true, Ordering::SeqCst);
                let _ = give_back();
            }
            before(panic);
            on_panic();
        }));
        let terminal = Terminal::new(CrosstermBackend::new(stdout()))?;
        let mut screen = Self {
            terminal: ManuallyDrop::new(terminal),
            has_mouse,
        };
        screen.enter()?;
        Ok(screen)
    }

    fn enter(&mut self) -> io::Result<()> {
        let _out = stdout().lock();
        if Self::has_panicked() {
            return Ok(());
        }
        IS_TAKEN.store(true, Ordering::SeqCst);
        enable_raw_mode()?;
        execute!(
            stdout(),
            EnterAlternateScreen,
            EnableBracketedPaste,
            cursor::Hide
        )?;
        if self.has_mouse {
            execute!(stdout(), EnableMouseCapture)?;
        }
        self.clear()
    }

    /// Returns whether some thread has panicked: nothing may be drawn then.
    pub fn has_panicked() -> bool {
        HAS_PANICKED.load(Ordering::SeqCst)
    }

    /// Draws the state.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub fn draw(&mut self, app: &App) -> io::Result<()> {
        // The lock is one that its thread may take again.
        let _out = stdout().lock();
        if !Self::has_panicked() {
            self.terminal.draw(|frame| view::draw(app, frame))?;
        }
        Ok(())
    }

    /// Draws everything anew with the next state.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub fn clear(&mut self) -> io::Result<()> {
        // Not `Terminal::clear`, which asks the terminal for its cursor and waits for the answer: up to two seconds where
        // there is none, and then fails; and the thread that waits for keys would have the answer.
        let size = self.terminal.size()?;
        self.terminal.resize(size.into())
    }

    /// Returns columns and lines.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub fn size(&self) -> io::Result<(u16, u16)> {
        let size = self.terminal.size()?;
        Ok((size.width, size.height))
    }

    /// Catches the mouse, or lets it go.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub fn mouse(&mut self, has_mouse: bool) -> io::Result<()> {
        self.has_mouse = has_mouse;
        if has_mouse {
            execute!(stdout(), EnableMouseCapture)
        } else {
            execute!(stdout(), DisableMouseCapture)
        }
    }

    /// Puts a text into the clipboard by OSC 52, which also works over SSH; inside tmux it is wrapped for the terminal
    /// outside. What is longer than terminals take is cut.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub fn copy(&mut self, text: &str) -> io::Result<()> {
        let mut end = text.len().min(COPY_BYTES * 3 / 4);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        let sequence = osc52(&text[..end], std::env::var_os("TMUX").is_some());
        let mut out = stdout();
        out.write_all(sequence.as_bytes())?;
        out.flush()
    }

    /// Gives the terminal back, stops the program until the shell continues it, and takes the terminal again.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub fn suspend(&mut self) -> io::Result<()> {
        give_back()?;
        // As the terminal does it for programs that leave it Ctrl-z: the whole job stops, so that the shell also gets
        // its prompt where another program still writes into our standard input. Where no shell could continue us, the
        // system ignores the signal.
        #[cfg(unix)]
        nix::sys::signal::kill(
            nix::unistd::Pid::from_raw(0),
            nix::sys::signal::Signal::SIGTSTP,
        )?;
        self.enter()
    }

    /// Takes the terminal again after the program was stopped by whomever: a shell has used it since.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub fn resume(&mut self) -> io::Result<()> {
        if !IS_TAKEN.load(Ordering::SeqCst) {
            return self.enter();
        }
        // Raw mode is on as far as we know, and off as far as the terminal knows.
        disable_raw_mode()?;
        enable_raw_mode()?;
        self.clear()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = give_back();
    }
}

/// Returns the sequence that sets the clipboard.
fn osc52(text: &str, is_tmux: bool) -> String {
    let sequence = format!("\x1b]52;c;{}\x07", STANDARD.encode(text));
    if is_tmux {
        format!("\x1bPtmux;{}\x1b\\", sequence.replace('\x1b', "\x1b\x1b"))
    } else {
        sequence
    }
}

/// Gives the terminal back to the shell, if it is ours.
fn give_back() -> io::Result<()> {
    if !IS_TAKEN.swap(false, Ordering::SeqCst) {
        return Ok(());
    }
    let raw = disable_raw_mode();
    let screen = execute!(
        stdout(),
        DisableMouseCapture,
        DisableBracketedPaste,
        LeaveAlternateScreen,
        cursor::Show
    );
    raw.and(screen)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clipboard_is_set_by_osc_52() {
        assert_eq!(osc52("hi", false), "\x1b]52;c;aGk=\x07");
        assert_eq!(osc52("hi", true), "\x1bPtmux;\x1b\x1b]52;c;aGk=\x07\x1b\\");
    }
}
